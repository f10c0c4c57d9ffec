"""How a character looks: hair, eyes, clothes and expression, read from tags or derived from the name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.previz.brush import Ink, hexed
from runner.previz.die import die
from runner.previz.words import EXPRESSIONS, Table, first_match, seen

if TYPE_CHECKING:
    from runner.previz.card import Card

MOST_PEOPLE = 5
_COLOURS = {
    "silver": "d3d7e6",
    "white": "f2f1f4",
    "grey": "9a9daa",
    "gray": "9a9daa",
    "black": "33323e",
    "dark": "3a3440",
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
_NAMES = "|".join(sorted((re.escape(name) for name in _COLOURS), key=len, reverse=True))
_HAIR = re.compile(
    rf"(?<![a-z])({_NAMES})(?:[ -][a-z]+){{0,2}}[ -](?:hair(?:ed)?|bob|ponytail|twintails|braids?)(?![a-z])"
    r"|([銀白黒茶金赤青緑紫桃])髪"
)
_EYES = re.compile(rf"(?<![a-z])({_NAMES})[ -]eye[sd]?(?![a-z])|([銀黒茶金赤青緑紫桃])い?(?:目|瞳|眼)")
_WORN = (
    "hoodie|dress|kimono|yukata|coat|raincoat|sweater|cardigan|shirt|t-shirt|"
    "jacket|blazer|suit|uniform|pajamas|cloak|cape|robe|skirt|serafuku"
)
_CLOTH = re.compile(rf"(?<![a-z])({_NAMES})(?:[ -][a-z]+)?[ -](?:{_WORN})(?![a-z])")
_TIE = re.compile(rf"(?<![a-z])({_NAMES})[ -](?:neckerchief|ribbon|scarf|necktie|tie|bow)(?![a-z])")
OUTFITS: Table = (
    ("sailor", r"serafuku|sailor|seifuku|school uniform|セーラー|制服"),
    ("gakuran", r"gakuran|学ラン"),
    ("kimono", r"kimono|yukata|hakama|miko|着物|浴衣|袴"),
    ("hoodie", r"hoodie|sweatshirt|parka|パーカー"),
    ("pajamas", r"pajamas|pyjamas|nightgown|パジャマ"),
    ("suit", r"suit|blazer|tuxedo|jacket|スーツ"),
    ("coat", r"coat|raincoat|cloak|cape|robe|コート"),
    ("dress", r"dress|maid|apron|gown|sundress|ワンピース"),
    ("sweater", r"sweater|cardigan|turtleneck|セーター"),
    ("shirt", r"t-?shirt|shirt|シャツ"),
)
HAIRS: Table = (
    ("twintails", r"twin ?tails?|pigtails?|ツインテ\w*"),
    ("ponytail", r"ponytail|high ponytail|ポニーテ\w*"),
    ("bun", r"bun|updo|お団子"),
    ("braid", r"braid(?:s|ed)?|三つ編み"),
    ("long", r"(?:very )?long (?:[a-z]+ ){0,2}hair|hime cut|ロングヘア|長い髪"),
    ("bob", r"bob(?: cut)?|medium (?:[a-z]+ ){0,1}hair|shoulder-length|ボブ"),
    ("short", r"short (?:[a-z]+ ){0,2}hair|pixie|短い髪|ショート"),
)
_DEFAULT_CLOTH = {
    "sailor": "2f3c64",
    "gakuran": "2b2d3a",
    "kimono": "a4485c",
    "hoodie": "c9b59a",
    "pajamas": "a9c3e2",
    "suit": "3c4254",
    "coat": "8a6f5c",
    "dress": "f4f1ea",
    "sweater": "d9b48f",
    "shirt": "f3f2ee",
}

_UNIFORMS = frozenset({"sailor", "gakuran", "suit"})
_CLOTH_INKS = ("c56a5b", "5f8f8a", "d9a94f", "6b78b0", "e8e2d6", "8f6f9f")
_HAIR_INKS = ("33323e", "6d4838", "d9b36a", "4a3a36", "8a5a3c", "3a4666", "a5566a", "c9cede")
_EYE_INKS = ("5584cf", "6d4838", "5fa66c", "8b6bb5", "b3563f", "3f8f9c")
_GIRLS_HAIR = ("long", "bob", "ponytail", "short", "twintails", "long", "braid")
_BOYS_HAIR = ("short",)
_GIRLS_WEAR = ("sailor", "sweater", "dress", "hoodie")
_BOYS_WEAR = ("shirt", "hoodie", "gakuran", "sweater")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """A drawable character. Colours are untinted; *hair_style* and *outfit* are keys of HAIRS and OUTFITS."""

    name: str
    boy: bool
    hair: Ink
    hair_style: str
    fringe: int
    eyes: Ink
    skin: Ink
    outfit: str
    cloth: Ink
    tie: Ink
    glasses: bool
    hat: bool
    scarf: bool
    expression: str


def read_people(card: Card, prompt: str, told: str) -> tuple[Looks, ...]:
    """Return the characters of *card*, left to right; *prompt* and *told* are its words in lower case."""
    cast = [name[:60].split(".")[0].strip() for name in card.cast[:MOST_PEOPLE] if name.strip(" .")]
    if not cast:
        counted = _counted(prompt)
        return tuple(
            read_looks("", boy=boy, words=prompt, told=told, order=at) for at, boy in enumerate(counted)
        )
    parts = _parts(cast, prompt)
    general = "" if len(cast) > 1 else told
    boys = _boys(cast, parts, prompt)
    return tuple(
        read_looks(name, boy=boy, words=words, told=general, order=0)
        for name, words, boy in zip(cast, parts, boys, strict=True)
    )


def read_looks(name: str, *, boy: bool, words: str, told: str, order: int) -> Looks:
    """Return the looks that *words* give, the rest derived from *name*, or for the unnamed from *order*."""
    dice = die("looks", name.lower() or ",".join(words.split(",")[:3]))
    hair, style, eyes = (
        table[(dice.randrange(len(table)) + 3 * order) % len(table)]
        for table in (_HAIR_INKS, _BOYS_HAIR if boy else _GIRLS_HAIR, _EYE_INKS)
    )
    told_outfit = first_match(OUTFITS, words)
    worn = told_outfit or dice.choice(_BOYS_WEAR if boy else _GIRLS_WEAR)
    own = dice.choice((*_CLOTH_INKS, _DEFAULT_CLOTH[worn]))
    cloth = hexed(_DEFAULT_CLOTH[worn] if worn in _UNIFORMS else own)
    fringe = (dice.randrange(4) + order) % 4
    first = order == 0
    return Looks(
        name=name,
        boy=boy,
        hair=(_colour(_HAIR, words) if first else None) or hexed(hair),
        hair_style=(first_match(HAIRS, words) if first else "") or style,
        fringe=fringe,
        eyes=(_colour(_EYES, words) if first else None) or hexed(eyes),
        skin=hexed(dice.choice(("fde3d2", "fbdcc8", "fde6d8", "f3cfb4"))),
        outfit=worn,
        cloth=(_colour(_CLOTH, words) if first else None) or cloth,
        tie=_colour(_TIE, words) or hexed(dice.choice(("c8423d", "3f6fb0", "e0a53c"))),
        glasses=first and seen(r"glasses|spectacles|眼鏡|メガネ", words),
        hat=seen(r"hat|beret|cap|帽子", words),
        scarf=seen(r"scarf|muffler|マフラー", words),
        expression=first_match(EXPRESSIONS, words) or first_match(EXPRESSIONS, told) or "neutral",
    )


def _colour(pattern: re.Pattern[str], words: str) -> Ink | None:
    found = pattern.search(words)
    return hexed(_COLOURS[next(group for group in found.groups() if group)]) if found else None


def _counted(prompt: str) -> list[bool]:
    """Return one flag per person the tags count, true for a boy. Source: Danbooru tags 1girl … 6+girls."""
    found: list[bool] = []
    for pattern, boy in ((r"(\d)\+?girls?", False), (r"(\d)\+?boys?", True)):
        match = re.search(rf"(?<![a-z0-9]){pattern}(?![a-z])", prompt)
        found += [boy] * (int(match.group(1)) if match else 0)
    if not found and not seen(r"no humans|scenery only|無人", prompt):
        found += [False] * seen(r"girl|woman|heroine|lady|miko|she|少女|女の子|女性", prompt)
        found += [True] * seen(r"boy|man|hero|guy|少年|男の子|男性", prompt)
    return found[:MOST_PEOPLE]


def _parts(cast: list[str], prompt: str) -> list[str]:
    """Return for each of *cast* the stretch of *prompt* from its name to the next one's."""
    if len(cast) == 1:
        return [prompt]
    places: list[int] = []
    for name in cast:
        word = re.escape(name.lower())
        found = re.search(rf"(?<!\w){word}(?!\w)" if name.isascii() else word, prompt)
        places.append(found.start() if found else -1)
    ends = [*sorted(place for place in places if place >= 0), len(prompt)]
    return [
        prompt[place : next((end for end in ends if end > place), len(prompt))] if place >= 0 else ""
        for place in places
    ]


def _boys(cast: list[str], parts: list[str], prompt: str) -> list[bool]:
    counted = sorted(_counted(prompt))
    if counted and all(flag == counted[0] for flag in counted):
        return [counted[0]] * len(cast)
    return [seen(r"boy|man|gakuran|he|male|少年|学ラン|男", words) for words in parts]
