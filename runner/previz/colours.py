"""Colours as prompts name them: of hair, eyes, cloth and the sash, tie or ribbon worn with it."""

from __future__ import annotations

import re

from runner.previz.brush import Ink, hexed

COLOURS = {
    "silver": "d3d7e6",
    "white": "f2f1f4",
    "grey": "9a9daa",
    "gray": "9a9daa",
    "black": "33323e",
    "dark": "3a3440",
    "dark blue": "34437c",
    "dark green": "2f5a48",
    "dark red": "7d2a36",
    "dark brown": "4a332c",
    "indigo": "3a4384",
    "light brown": "a8794f",
    "brown": "6d4838",
    "blonde": "f1d27c",
    "blond": "f1d27c",
    "golden": "eec864",
    "yellow": "f5d155",
    "gold": "e0b64c",
    "red": "c8423d",
    "auburn": "9a4a34",
    "orange": "ea8646",
    "ginger": "dd7a3e",
    "pink": "f3a3ba",
    "purple": "8b6bb5",
    "violet": "8b6bb5",
    "lavender": "b7a3dc",
    "light blue": "9fcbee",
    "blue": "5584cf",
    "navy": "33416e",
    "aqua": "6fcfd4",
    "teal": "3f9c9c",
    "green": "5fa66c",
    "mint": "9bdcc0",
    "amber": "dd9b3a",
    "hazel": "a8813f",
    "crimson": "b3233f",
    "beige": "dcc9a8",
    "cream": "f3e8cf",
    "銀": "d3d7e6",
    "白": "f2f1f4",
    "黒": "33323e",
    "茶": "6d4838",
    "金": "f1d27c",
    "赤": "c8423d",
    "青": "5584cf",
    "緑": "5fa66c",
    "紫": "8b6bb5",
    "桃": "f3a3ba",
}
_NAMES = "|".join(sorted((re.escape(name) for name in COLOURS), key=len, reverse=True))
_WORN = (
    "hoodie|dress|kimono|yukata|coat|raincoat|sweater|cardigan|shirt|t-shirt|jinbei|hakama|gakuran|"
    "jacket|blazer|suit|uniform|pajamas|cloak|cape|robe|shawl|skirt|serafuku"
)
_JAPANESE = "[銀白黒茶金赤青緑紫桃]"
HAIR = re.compile(
    rf"(?<![a-z])({_NAMES})(?:[ -][a-z]+){{0,2}}[ -](?:hair(?:ed)?|bob|ponytail|twintails|braids?)(?![a-z])"
    rf"|({_JAPANESE})髪"
)
EYES = re.compile(rf"(?<![a-z])({_NAMES})[ -]eye[sd]?(?![a-z])|([銀黒茶金赤青緑紫桃])い?(?:目|瞳|眼)")
CLOTH = re.compile(
    rf"(?<![a-z])({_NAMES})(?:[ -][a-z]+)?[ -](?:{_WORN})(?![a-z])"
    rf"|(?<![a-z])(?:{_WORN})(?:, | in )({_NAMES})(?=\s*(?:[,.;)]|$| with | and ))"
    rf"|({_JAPANESE})い?(?:の)?(?:浴衣|着物|甚平)"
)
SASH = re.compile(rf"(?<![a-z])({_NAMES})[ -](?:obi|sash|belt)(?![a-z])|({_JAPANESE})い?(?:の)?帯")
TIE = re.compile(rf"(?<![a-z])({_NAMES})[ -](?:neckerchief|ribbon|scarf|necktie|tie|bow)(?![a-z])")


def coloured(pattern: re.Pattern[str], words: str) -> Ink | None:
    """Return the colour that *pattern* finds in *words*, None where it finds none."""
    found = pattern.search(words)
    return hexed(COLOURS[next(group for group in found.groups() if group)]) if found else None
