"""Picture files within bounds: their structure is read before a decoder sees them, their samples in strips.

A few kilobytes can stand for gigabytes of samples, millions of parts or hours of decoding. What a file may
hold grows with its size, so a small one is always soon done; a large one takes a minute at most.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image, UnidentifiedImageError
from PIL.MpoImagePlugin import MpoImageFile

PIXELS: Final = 64_000_000
"""Of one frame, in a picture that has no other."""

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Of which decoders are used at all."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_SCAN: Final = b"\xff\xda"
_FRAME_HEADS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Marks of the JPEG segments that say how large it is."""
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
"""Those of them whose pictures come in several scans."""
_KEPT: Final = 400 * 2**20
"""Bytes of a JPEG in several scans: all its coefficients are kept beside its pixels until the last."""
_FRAMES: Final = 20_000
_MOVING: Final = 16_000_000
"""Pixels of a frame that has others beside it: decoders keep several."""
_ROOM: Final = threading.RLock()
"""Whoever has it may look at a picture of more pixels than that."""
_ALWAYS, _PER_BYTE, _EVER = 150_000_000, 100, 4_000_000_000
"""Samples of all frames and scans together: what any file may hold, what each of its bytes adds, the most."""
_LIGHT: Final = 4
"""Scans that cost as much as decoding and hashing one frame."""
_PARTS: Final = 100_000
"""Chunks of a PNG, blocks of a GIF."""
_SEGMENTS: Final = 4_096
"""Of a JPEG before its first scan; a colour profile has up to 255."""
_REMARKS: Final = 8_192
"""Parts of the comments in a GIF; each is 255 bytes at most, and Pillow joins them one by one."""
_STRIP: Final = 2**20


class NotWhole(Exception):
    """The file is damaged or incomplete."""


class TooMuch(Exception):
    """The file may be whole, but holds more than is looked at."""


@contextmanager
def opened(path: Path, *, pixels: int = PIXELS) -> Iterator[Image.Image]:
    """Yield the picture at *path*, not decoded yet; `n_frames` of it costs nothing any more.

    Of several pictures in one JPEG only the first is there: each other may be of any size.

    Args:
        path: Of one of FORMATS, whatever it is called.
        pixels: Most pixels a frame may have.

    Raises:
        NotWhole: Damaged or incomplete, or something else; also while the picture is used.
        TooMuch: Too many pixels, frames, scans or parts.

    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        width, height, scans = _structure(file, size)
        _bound(width, height, 1, scans, size, pixels)
    try:
        large = width * height > _MOVING
        with _ROOM if large else nullcontext(), Image.open(path, formats=FORMATS) as image:
            if isinstance(image, MpoImageFile):
                image.n_frames = 1
            width, height = max(width, image.width), max(height, image.height)
            _bound(width, height, getattr(image, "n_frames", 1), scans, size, pixels)
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooMuch("more pixels than allowed") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, zlib.error) as error:
        raise NotWhole(f"the picture cannot be decoded: {error}") from error


def strips(image: Image.Image) -> Iterator[Image.Image]:
    """Yield *image* in strips of full width, top first: whole copies of a large one are large too."""
    rows = max(1, _STRIP // max(1, image.width))
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(image.height, top + rows)))


def _bound(width: int, height: int, frames: int, scans: int, size: int, pixels: int) -> None:
    most = pixels if frames == 1 else min(pixels, _MOVING)
    if width * height > most:
        each = " in each of several frames" if frames > 1 else ""
        raise TooMuch(f"{width}×{height} are more pixels than the {most:,} allowed{each}")
    if frames > _FRAMES:
        raise TooMuch(f"{frames} frames are more than the {_FRAMES:,} allowed")
    if width * height * frames * max(1, scans // _LIGHT) > min(_ALWAYS + _PER_BYTE * size, _EVER):
        what = f"{frames} frames" if frames > 1 else f"{scans} scans"
        raise TooMuch(f"{what} of {width}×{height} are more than a file of {size:,} bytes may hold")


def _structure(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Return width, height and scans as the head of *file* tells them, zeros where it does not."""
    head = file.read(30)
    file.seek(0)
    if head.startswith(_PNG):
        walk_png(file)
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"), 1
    if head.startswith(b"\xff\xd8"):
        return _walk_jpeg(file)
    if head.startswith(b"GIF8"):
        return *_walk_gif(file, size), 1
    # A decoder of WebP takes the memory for two canvases before it can be asked how large they are.
    if head[8:16] == b"WEBPVP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1, 1
    if head[8:16] == b"WEBPVP8L":
        sides = int.from_bytes(head[21:25], "little")
        return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1, 1
    if head[8:16] == b"WEBPVP8 ":
        sides = int.from_bytes(head[26:30], "little")
        return sides & 0x3FFF, sides >> 16 & 0x3FFF, 1
    return 0, 0, 1


def walk_png(file: BinaryIO) -> None:
    """Check every chunk's length and checksum up to IEND; raises NotWhole, TooMuch."""
    file.read(len(_PNG))
    for _ in range(_PARTS):
        header = file.read(8)
        if len(header) < 8:
            raise NotWhole("the PNG ends before its end chunk")
        length, name = struct.unpack(">I4s", header)
        checksum = zlib.crc32(name)
        while length:
            block = file.read(min(length, 2**20))
            if not block:
                raise NotWhole("the PNG is cut short")
            checksum = zlib.crc32(block, checksum)
            length -= len(block)
        if file.read(4) != checksum.to_bytes(4, "big"):
            raise NotWhole(f"the PNG's {name.decode('ascii', 'replace')} chunk has a wrong checksum")
        if name == b"IEND":
            return
    raise TooMuch(f"the PNG has more than {_PARTS:,} chunks")


def _walk_jpeg(file: BinaryIO) -> tuple[int, int, int]:
    """Return width, height and scans at most; what stands before the first must be segments, and few.

    Raises TooMuch where its coefficients and pixels together are more than is kept.
    """
    file.read(2)
    width = height = colours = 0
    progressive = False
    for _ in range(_SEGMENTS):
        mark = file.read(2)
        if len(mark) < 2 or mark[0] != 0xFF:
            raise NotWhole("the JPEG is not made of segments")
        if mark == _SCAN:
            if progressive or file.read(3)[2:] < bytes((colours,)):
                _bound_kept(width, height, colours)
            return width, height, 1 + _count(file, _SCAN)
        if mark == b"\xff\xff":  # fill, as may stand before a mark
            file.seek(-1, 1)
            continue
        length = int.from_bytes(file.read(2), "big")
        content = file.read(max(0, length - 2))
        if mark[1] in _FRAME_HEADS:
            height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            colours = max(colours, *content[5:6], 0)
            progressive = progressive or mark[1] in _PROGRESSIVE
    raise TooMuch(f"the JPEG has more than {_SEGMENTS:,} segments before its picture")


def _bound_kept(width: int, height: int, colours: int) -> None:
    most = _KEPT // (4 + 2 * colours)
    if width * height > most:
        raise TooMuch(f"{width}×{height} are more pixels than the {most:,} allowed in several scans")


def _count(file: BinaryIO, mark: bytes) -> int:
    found, last = 0, b""
    while block := file.read(2**20):
        found += (last + block).count(mark)
        last = block[-1:]
    return found


def _walk_gif(file: BinaryIO, size: int) -> tuple[int, int]:
    """Return the width and height that hold every frame; raises NotWhole without its end, TooMuch."""
    head = file.read(13)
    if len(head) < 13:
        raise NotWhole("the GIF is cut short")
    width, height, flags = struct.unpack("<HHB", head[6:11])
    _skip_colours(file, flags)
    left, remarks = size // 64 + _PARTS, _REMARKS
    for _ in range(_PARTS):
        match file.read(1):
            case b";":
                return width, height
            case b"!":
                kind, parts = file.read(1), _skip_parts(file, left)
                left -= parts
                remarks -= parts + 1 if kind == b"\xfe" else 0
            case b",":
                x, y, across, down, flags = struct.unpack("<HHHHB", _exactly(file, 9))
                width, height = max(width, x + across), max(height, y + down)
                _skip_colours(file, flags)
                _exactly(file, 1)
                left -= _skip_parts(file, left)
            case b"":
                raise NotWhole("the GIF ends before its end mark")
            case _:
                raise NotWhole("the GIF is not made of blocks")
        if remarks < 0:
            raise TooMuch(f"the GIF's comments have more than {_REMARKS:,} parts")
    raise TooMuch(f"the GIF has more than {_PARTS:,} blocks")


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 * 2 ** ((flags & 7) + 1), 1)


def _skip_parts(file: BinaryIO, most: int) -> int:
    """Return how many parts stood there; raises TooMuch where they are more than *most*."""
    count = 0
    while length := _exactly(file, 1)[0]:
        file.seek(length, 1)
        count += 1
        if count > most:
            raise TooMuch("the GIF is in too many parts")
    return count


def _exactly(file: BinaryIO, length: int) -> bytes:
    got = file.read(length)
    if len(got) < length:
        raise NotWhole("the GIF is cut short")
    return got
