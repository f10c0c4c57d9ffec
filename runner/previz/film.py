"""An MP4 file of JPEG pictures: every player's library reads it, and it needs nothing but bytes.

Boxes as ISO/IEC 14496-12 has them; 0x6C is JPEG in an ES descriptor (ISO/IEC 14496-1 table 5).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

TICKS_PER_S = 90_000
JPEG = 0x6C
MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def mp4(frames: Sequence[bytes], *, width: int, height: int, fps: float, tags: Mapping[str, str]) -> bytes:
    """Return the file of *frames* (JPEG each), shown at *fps*; *tags* are texts by key."""
    head = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2mp41")
    ticks = round(TICKS_PER_S / fps)
    length = ticks * len(frames)
    shown = struct.pack(">5I", 0, 0, 1, 0, length) + bytes(16) + MATRIX + _size(width, height)
    media = struct.pack(">4IHH", 0, 0, TICKS_PER_S, length, 0x55C4, 0)
    where = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    samples = _samples(frames, len(head) + 8, ticks, width, height)
    kept = _box(b"minf", _full(b"vmhd", bytes(8), flags=1), where, samples)
    told = _box(b"mdia", _full(b"mdhd", media), _handler(b"vide"), kept)
    track = _box(b"trak", _full(b"tkhd", shown, flags=3), told)
    movie = struct.pack(">5IH10x", 0, 0, TICKS_PER_S, length, 0x10000, 0x100) + MATRIX
    index = _box(b"moov", _full(b"mvhd", movie, bytes(24), struct.pack(">I", 2)), track, _told(tags))
    return head + _box(b"mdat", *frames) + index


def _samples(frames: Sequence[bytes], start: int, ticks: int, width: int, height: int) -> bytes:
    decoder = struct.pack(">BB3xII", JPEG, 0x11, 0, 0)
    stream = (
        b"\x03" + bytes([3 + 2 + len(decoder) + 3]) + bytes(3) + b"\x04" + bytes([len(decoder)]) + decoder
    )
    picture = bytes(6) + struct.pack(">H16xHHII4xH32xHh", 1, width, height, 0x480000, 0x480000, 1, 24, -1)
    entry = _box(b"mp4v", picture, _full(b"esds", stream))
    count, sizes = len(frames), [len(frame) for frame in frames]
    return _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), entry),
        _full(b"stts", struct.pack(">3I", 1, count, ticks)),
        _full(b"stsc", struct.pack(">4I", 1, 1, count, 1)),
        _full(b"stsz", struct.pack(f">2I{count}I", 0, count, *sizes)),
        _full(b"stco", struct.pack(">2I", 1, start)),
    )


def _told(tags: Mapping[str, str]) -> bytes:
    """Return *tags* as ffmpeg writes them with `use_metadata_tags`: keys, then values by their number."""
    names = [_box(b"mdta", key.encode()) for key in tags]
    values = [
        _box(number.to_bytes(4, "big"), _box(b"data", struct.pack(">II", 1, 0), text.encode()))
        for number, text in enumerate(tags.values(), 1)
    ]
    keys = _full(b"keys", struct.pack(">I", len(names)), *names)
    return _box(b"meta", _handler(b"mdta"), keys, _box(b"ilst", *values))


def _handler(kind: bytes) -> bytes:
    return _full(b"hdlr", bytes(4), kind, bytes(13))


def _size(width: int, height: int) -> bytes:
    return struct.pack(">II", width << 16, height << 16)


def _box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", len(body) + 8) + name + body


def _full(name: bytes, *content: bytes, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags), *content)
