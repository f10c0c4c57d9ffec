"""Text of a card: the bundled fonts, which of them has a character, and lines that fit a width.

Nothing here depends on the machine's own fonts or on a text-shaping library, so the same text gives the
same pixels everywhere. Text is untrusted: `clean` bounds and straightens it before anything measures it.
"""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Literal

from PIL import ImageDraw, ImageFont

Weight = Literal["bold", "medium"]
Ink = tuple[int, int, int]

FONTS = Path(__file__).parent / "fonts"
MISSING = "▫"
ELLIPSIS = "…"
_FILES = {"bold": "card-latin-bold.otf", "medium": "card-latin-medium.otf", "cjk": "card-cjk.otf"}
_NO_LINE_START = frozenset("、。，．・：；？！ー）」』】〉》〕’”…,.;:!?)]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A size in px and a weight of the card's typeface."""

    size: int
    weight: Weight = "medium"


def clean(text: str, *, limit: int = 2000) -> str:
    """Return *text* on one line: at most *limit* characters read, no controls, runs of space made one.

    Characters no bundled font has (emoji, Arabic, …) become one small square per run; combining marks
    are composed where Unicode has the composed letter and dropped where it has not.
    """
    composed = unicodedata.normalize("NFC", text[:limit])
    shown = (_shown(character) for character in composed)
    merged = "".join(MISSING if key == MISSING else "".join(run) for key, run in groupby(shown))
    return " ".join(merged.split())


def width(text: str, face: Face) -> float:
    """Return the advance of *text* in px."""
    return sum(_font(name, face.size).getlength(run) for name, run in _runs(text, face.weight))


def shorten(text: str, face: Face, room: float) -> str:
    """Return *text*, or its longest beginning that fits *room* px with an ellipsis."""
    if width(text, face) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width(text[:middle].rstrip() + ELLIPSIS, face) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip(" ,;") + ELLIPSIS if low else ""


def wrap(text: str, face: Face, *, room: float, lines: int) -> list[str]:
    """Return *text* broken into at most *lines* lines of *room* px, the last with an ellipsis if cut.

    Latin breaks at spaces, CJK anywhere but before closing punctuation.
    """
    broken: list[str] = []
    line = ""
    pieces = _pieces(text)
    for at, piece in enumerate(pieces):
        if not line or width(line + piece.rstrip(), face) <= room:
            line += piece
            continue
        if len(broken) + 1 == lines:
            broken.append(shorten(line + "".join(pieces[at : at + 12]), face, room))
            return broken
        broken.append(shorten(line.rstrip(), face, room))
        line = piece.lstrip()
    return [*broken, shorten(line.rstrip(), face, room)] if line.strip() and lines > len(broken) else broken


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    face: Face,
    ink: Ink,
    *,
    tracking: float = 0.0,
) -> float:
    """Draw *text* with its baseline at *at* (px) and return where it ends; *tracking* is px per letter."""
    x, y = at
    for name, run in _runs(text, face.weight):
        font = _font(name, face.size)
        stroke = max(0.3, face.size / 46) if name == "cjk" and face.weight == "bold" else 0.0
        for part in run if tracking else [run]:
            draw.text((x, y), part, fill=ink, font=font, anchor="ls", stroke_width=stroke)
            x += font.getlength(part) + tracking
    return x


def has_glyph(character: str) -> bool:
    """Return whether a bundled font draws *character*."""
    return any(ord(character) in _coverage(name) for name in ("medium", "cjk"))


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "Z" or character in "\t\n\r\v\f":
        return " "
    if category[0] in "CM":
        return "" if category != "Cn" and category != "Co" else MISSING
    return character if has_glyph(character) else MISSING


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for character in text:
        starts = not pieces or pieces[-1].endswith(" ") or (_wide(character) or _wide(pieces[-1][-1]))
        if starts and character not in _NO_LINE_START and character != " ":
            pieces.append(character)
        elif pieces:
            pieces[-1] += character
    return pieces


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _runs(text: str, weight: Weight) -> list[tuple[str, str]]:
    latin = _coverage(weight)
    return [
        (name, "".join(run))
        for name, run in groupby(text, key=lambda character: weight if ord(character) in latin else "cjk")
    ]


@lru_cache(maxsize=64)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONTS / _FILES[name]), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _coverage(name: str) -> frozenset[int]:
    """Return the code points the font maps. Source: OpenType 1.9, tables `cmap` formats 4 and 12."""
    blob = (FONTS / _FILES[name]).read_bytes()
    tables = struct.unpack_from(">H", blob, 4)[0]
    records = (struct.unpack_from(">4sIII", blob, 12 + 16 * at) for at in range(tables))
    start = next(offset for tag, _, offset, _ in records if tag == b"cmap")
    found: set[int] = set()
    for at in range(struct.unpack_from(">H", blob, start + 2)[0]):
        table = start + struct.unpack_from(">I", blob, start + 4 + 8 * at + 4)[0]
        found.update(_mapped(blob, table))
    return frozenset(found)


def _mapped(blob: bytes, table: int) -> list[int]:
    kind = struct.unpack_from(">H", blob, table)[0]
    if kind == 12:
        groups = struct.unpack_from(">I", blob, table + 12)[0]
        spans = [struct.unpack_from(">II", blob, table + 16 + 12 * at) for at in range(groups)]
    elif kind == 4:
        count = struct.unpack_from(">H", blob, table + 6)[0] // 2
        ends = struct.unpack_from(f">{count}H", blob, table + 14)
        starts = struct.unpack_from(f">{count}H", blob, table + 16 + 2 * count)
        spans = [(first, last) for first, last in zip(starts, ends, strict=True) if first != 0xFFFF]
    else:
        return []
    return [code for first, last in spans for code in range(first, last + 1)]
