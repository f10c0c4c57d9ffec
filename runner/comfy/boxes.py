"""The boxes of an MP4, MOV or AVIF file: whether they are whole, and what its picture track says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_DEPTH = 8
_MOST = 100_000
"""Boxes of a file beside one another; a live recording has two for each piece."""
_MOST_INSIDE = 200
"""Boxes in a box."""


class Broken(Exception):
    """The boxes do not fill the file, or there is no index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A picture track; zeros where the file does not say."""

    width: int = 0
    height: int = 0
    frames: int = 0


def walk(file: BinaryIO, start: int, end: int, most: int = _MOST_INSIDE) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, start of content, end) of each box in a part of *file*.

    Raises Broken when they overrun it, or are more than *most*.
    """
    at = start
    for _ in range(most):
        if at >= end:
            return
        file.seek(at)
        header = file.read(16)
        length, begin = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, begin = int.from_bytes(header[8:16], "big"), 16
        if length == 0:
            length = end - at
        if length < begin or at + length > end:
            raise Broken("the file is cut short: a box of it does not end")
        yield header[4:8], at + begin, at + length
        at += length
    if at < end:
        raise Broken(f"the file has more than {most:,} boxes beside one another")


def examine(file: BinaryIO, size: int) -> Track:
    """Return the first picture track; Broken when the file is not whole.

    A file without a picture track, or with one that cannot be read, gives zeros.
    """
    found = list(walk(file, 0, size, _MOST))
    index = next(((start, end) for name, start, end in found if name == b"moov"), None)
    if index is None:
        raise Broken("the video has no index")
    for name, start, end in walk(file, *index):
        if name == b"trak" and (track := _track(file, start, end)) is not None:
            return track
    return Track()


def still(file: BinaryIO, size: int) -> tuple[int, int]:
    """Return width and height of the largest picture in an AVIF or HEIF, 0 where it does not say.

    Raises Broken when the file is not whole.
    """
    found = list(walk(file, 0, size, _MOST))
    places = [(start, end) for name, start, end in found if name == b"meta"]
    sides = [(0, 0)]
    for start, end in places:
        # `meta` is a full box: four bytes of version and flags stand before what is in it.
        inside = _inside(file, start + 4, end, b"iprp", b"ipco")
        found = list(walk(file, *inside))
        sides += [_sides(_read(file, (begin, last))) for name, begin, last in found if name == b"ispe"]
    return max(sides)


def _sides(content: bytes) -> tuple[int, int]:
    return int.from_bytes(content[4:8], "big"), int.from_bytes(content[8:12], "big")


def _track(file: BinaryIO, start: int, end: int) -> Track | None:
    handler = _inside(file, start, end, b"mdia", b"hdlr")
    if _read(file, handler)[8:12] != b"vide":
        return None
    head = _read(file, _inside(file, start, end, b"tkhd"))
    sizes = _read(file, _inside(file, start, end, b"mdia", b"minf", b"stbl", b"stsz"), 12)
    # Width and height are the last two numbers of the header, in 16.16 fixed point.
    width, height = (int.from_bytes(head[at : at + 2], "big") for at in (len(head) - 8, len(head) - 4))
    return Track(width=width, height=height, frames=int.from_bytes(sizes[8:12], "big"))


def _inside(file: BinaryIO, start: int, end: int, *names: bytes) -> tuple[int, int]:
    """Return where the content of a box within boxes lies; an empty place when there is none."""
    for wanted in names[:_DEPTH]:
        start, end = next(
            ((begin, last) for name, begin, last in walk(file, start, end) if name == wanted), (end, end)
        )
    return start, end


def _read(file: BinaryIO, place: tuple[int, int], most: int = 200) -> bytes:
    start, end = place
    file.seek(start)
    return file.read(min(end - start, most))
