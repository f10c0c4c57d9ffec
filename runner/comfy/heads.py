"""Pictures that are not decoded here, EXR and TIFF: their size, and whether all they point to is in the file.

Nothing is read but heads and tables, a bounded number of bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from runner.pictures import NotWhole

_ATTRIBUTES: Final = 1_000
_VALUE: Final = 64 * 2**20
"""Bytes of one attribute; ComfyUI keeps the whole workflow in one."""
_LINES: Final = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""Compression of an EXR → lines in a chunk. Source: OpenEXR, technical introduction."""
_TILED: Final = 0x0200
_PARTS: Final = 0x1000
_TAGS: Final = 4_096
_TYPES: Final = {1: 1, 3: 2, 4: 4, 16: 8}
"""TIFF's types of whole numbers → bytes."""
_WIDTH, _HEIGHT = 256, 257


def exr(file: BinaryIO, size: int) -> tuple[int, int, bool]:
    """Return width and height of an EXR, and whether its last chunk ends where it does; raises NotWhole."""
    file.seek(4)
    flags = int.from_bytes(_exactly(file, 4), "little")
    found: dict[bytes, bytes] = dict(_attributes(file))
    window, compression = found.get(b"dataWindow", b""), found.get(b"compression", b"")
    if len(window) != 16 or len(compression) != 1 or b"channels" not in found:
        raise NotWhole("the EXR has no head")
    left, top, right, bottom = struct.unpack("<4i", window)
    width, height = right - left + 1, bottom - top + 1
    if width < 1 or height < 1:
        raise NotWhole("the EXR has no size")
    lines = _LINES.get(compression[0], 0)
    if flags & (_TILED | _PARTS) or not lines:
        return width, height, False
    rows = -(-height // lines)
    table = _exactly(file, 8 * rows) if 8 * rows < size else b""
    if not table:
        raise NotWhole("the EXR is cut short")
    last = max(struct.unpack(f"<{len(table) // 8}Q", table))
    file.seek(min(last + 4, size))
    end = last + 8 + int.from_bytes(_exactly(file, 4), "little")
    if end > size:
        raise NotWhole("the EXR is cut short")
    return width, height, end == size


def _attributes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and value up to the end of the head; long values are passed over."""
    for _ in range(_ATTRIBUTES):
        if not (name := _name(file)):
            return
        _name(file)
        length = int.from_bytes(_exactly(file, 4), "little")
        if length > _VALUE:
            break
        yield name, _exactly(file, length) if length <= 16 else b""
        if length > 16:
            file.seek(length, 1)
    raise NotWhole("the EXR has no end of its head")


def _name(file: BinaryIO) -> bytes:
    name = b""
    while (ch := _exactly(file, 1)) != b"\0":
        name += ch
        if len(name) > 255:
            raise NotWhole("the EXR has no head")
    return name


def tiff(file: BinaryIO, size: int) -> tuple[int, int]:
    """Return width and height as the first directory of a TIFF tells them; raises NotWhole without one."""
    file.seek(0)
    head = _exactly(file, 16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(f"{order}H", head[2:4])[0] == 43
    place = struct.unpack(f"{order}{'Q' if big else 'I'}", head[8:16] if big else head[4:8])[0]
    file.seek(min(place, size))
    count = struct.unpack(f"{order}{'Q' if big else 'H'}", _exactly(file, 8 if big else 2))[0]
    if not 0 < count <= _TAGS:
        raise NotWhole("the TIFF has no directory")
    step = 20 if big else 12
    entries = _exactly(file, count * step)
    told = dict(_number(entries[at : at + step], order, big=big) for at in range(0, len(entries), step))
    if told.get(_WIDTH, 0) < 1 or told.get(_HEIGHT, 0) < 1:
        raise NotWhole("the TIFF has no size")
    return told[_WIDTH], told[_HEIGHT]


def _number(entry: bytes, order: str, *, big: bool) -> tuple[int, int]:
    tag, kind = struct.unpack(f"{order}2H", entry[:4])
    start, length = 12 if big else 8, _TYPES.get(kind, 0)
    return tag, int.from_bytes(entry[start : start + length], "little" if order == "<" else "big")


def _exactly(file: BinaryIO, length: int) -> bytes:
    got = file.read(length)
    if len(got) < length:
        raise NotWhole("the picture is cut short")
    return got
