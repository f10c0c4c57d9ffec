# ruff: noqa: E501 - a table reads better in long rows
"""Files made to cost whoever looks at them time or memory: small to send, large or endless to read.

`python -m tests.comfy.bombs` makes each and looks at it, in a process whose time (for each) and memory (above what
it began with) the operating system limits; it prints a line of JSON for each: name, what came of it, processor
seconds, MiB of memory. Where the lines end early, the next one broke through.
"""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from runner.comfy.sniff import Unwanted, examine
from runner.domain import OutputKind
from runner.pictures import NotWhole

SECONDS = 3
MEMORY = 512 * 2**20
_PNG = b"\x89PNG\r\n\x1a\n"


def _chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def _ihdr(width: int, height: int, depth: int = 8, colour: int = 6) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def _zeros(length: int, level: int = 1) -> bytes:
    """Return *length* zero bytes, deflated a piece at a time."""
    packer, out = zlib.compressobj(level), []
    for at in range(0, length, 2**20):
        out.append(packer.compress(bytes(min(2**20, length - at))))
    return b"".join((*out, packer.flush()))


def _png(
    width: int, height: int, *between: bytes, depth: int = 8, colour: int = 6, data: bytes = b""
) -> bytes:
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth
    data = data or _zeros(height * (1 + (width * bits + 7) // 8))
    return b"".join(
        (_PNG, _ihdr(width, height, depth, colour), *between, _chunk(b"IDAT", data), _chunk(b"IEND", b""))
    )


def _apng(width: int, height: int, frames: int, *, real: int) -> bytes:
    """Return an animation that says it has *frames*, of which *real* are there, each as large as the canvas."""
    data = _zeros(height * (1 + width * 4), level=9)
    parts = [_PNG, _ihdr(width, height), _chunk(b"acTL", struct.pack(">II", frames, 0))]
    number = 0
    for frame in range(real):
        parts.append(_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0)))
        number += 1
        if frame == 0:
            parts.append(_chunk(b"IDAT", data))
        else:
            parts.append(_chunk(b"fdAT", struct.pack(">I", number) + data))
            number += 1
    return b"".join((*parts, _chunk(b"IEND", b"")))


def _gif(width: int, height: int, *blocks: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + b"".join(blocks) + b";"


def _gif_frame(width: int = 1, height: int = 1, left: int = 0) -> bytes:
    return b"," + struct.pack("<HHHHB", left, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(c)) + c + bytes(len(c) & 1) for name, c in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _canvas(width: int, height: int) -> bytes:
    return bytes((2, 0, 0, 0)) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]


def _webp(width: int, height: int, frames: int) -> bytes:
    """Return an animation whose frames are one pixel each on a large canvas."""
    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, "WEBP", lossless=True)
    still = out.getvalue()[12:]
    frame = bytes(6) + bytes((1, 0, 0, 1, 0, 0)) + bytes((10, 0, 0)) + b"\0" + still
    return _riff((b"VP8X", _canvas(width, height)), (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * frames)


def _jpeg(width: int = 64, height: int = 64, mode: str = "RGB", **how: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height), (90, 40, 10, 5)[: len(mode)]).save(out, "JPEG", **how)
    return out.getvalue()


def _jpeg_of(width: int, height: int, mode: str = "RGB", *, progressive: bool = False) -> bytes:
    """Return a small JPEG that says it is larger."""
    small = _jpeg(mode=mode, progressive=progressive, subsampling=0)
    at = small.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return small[: at + 5] + struct.pack(">HH", height, width) + small[at + 9 :]


def _scans(width: int, height: int, count: int) -> bytes:
    """Return a progressive JPEG whose last scan comes *count* times."""
    whole = _jpeg(width, height, progressive=True, quality=10)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * count + b"\xff\xd9"


def _first_scans(width: int, height: int, count: int) -> bytes:
    """Return a progressive JPEG of four colours with *count* of its 18 scans."""
    whole = _jpeg_of(width, height, "CMYK", progressive=True)
    return b"\xff\xda".join(whole.split(b"\xff\xda")[: count + 1]) + b"\xff\xd9"


def _apart(width: int, height: int) -> bytes:
    """Return a JPEG that is not progressive, and yet has a scan for each colour."""
    whole = _jpeg_of(width, height)
    at = whole.index(b"\xff\xda")
    table = whole[at + 5 : at + 11]
    scans = [b"\xff\xda\0\x08\1" + table[i : i + 2] + b"\0\x3f\0" + bytes(64) for i in (0, 2, 4)]
    return whole[:at] + b"".join(scans) + b"\xff\xd9"


def _mpo_of(width: int, height: int) -> bytes:
    """Return a small JPEG that holds a large one behind it."""
    behind = _jpeg_of(width, height)
    at = len(_mpo(2, _jpeg())) - 10  # counted from what stands after "MPF\0"
    return _mpo(2, _jpeg(), struct.pack("<IIIHH", 0, len(behind), at, 0, 0)) + behind


def _mpo(frames: int, small: bytes = b"", last: bytes = b"") -> bytes:
    """Return a JPEG that says it holds *frames* pictures, all of them the first, or the last elsewhere."""
    entries = struct.pack("<IIIHH", 0x20030000, 0, 0, 0, 0) * frames
    entries = entries[: len(entries) - len(last)] + last
    ifd = (
        struct.pack("<H", 3)
        + struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
        + struct.pack("<HHII", 0xB001, 4, 1, frames)
    )
    ifd += struct.pack("<HHII", 0xB002, 7, len(entries), 8 + len(ifd) + 12 + 4) + bytes(4)
    body = b"MPF\0" + b"II*\0" + struct.pack("<I", 8) + ifd + entries
    small = small or _jpeg(2000, 2000)
    return small[:2] + b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body + small[2:]


def _box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", len(content) + 8, name) + content


def _latent(head: bytes) -> bytes:
    return struct.pack("<Q", len(head)) + head


def _nested(size: int) -> bytes:
    """Return JSON of about *size* bytes, all of it maps of one entry."""
    unit = b'{"":' * 60 + b"0" + b"}" * 60 + b","
    return b"[" + unit * (size // len(unit)) + b"0]"


def _keys(count: int) -> bytes:
    """Return a map of *count* entries, no two of one name."""
    return b"{" + b",".join(b'"%x":1e1' % number for number in range(count)) + b"}"


def _text(name: bytes, size: int) -> bytes:
    if name == b"iTXt":
        return _chunk(name, b"a\0\1\0\0\0" + _zeros(size))
    return _chunk(name, b"a\0\0" + _zeros(size))


def _broken(data: bytes) -> bytes:
    return data[: len(data) * 3 // 4]


def _noise(form: str, **how: object) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(64 * 64 * 3)).save(out, form, **how)
    return out.getvalue()


BOMBS: dict[str, tuple[OutputKind, Callable[[], bytes]]] = {
    "png that says 65,535²": ("image", lambda: _png(65_535, 65_535, data=_zeros(10))),
    "png of 36 million pixels": ("image", lambda: _png(6_000, 6_000)),
    "png with a palette, 64 million pixels": (
        "image",
        lambda: _png(8_000, 8_000, _chunk(b"PLTE", bytes(6)), _chunk(b"tRNS", bytes(2)), colour=3),
    ),
    "png with a zTXt bomb": ("image", lambda: _png(8, 8, _text(b"zTXt", 10**8))),
    "png with an iTXt bomb": ("image", lambda: _png(8, 8, _text(b"iTXt", 10**8))),
    "png with a thousand texts": ("image", lambda: _png(8, 8, *[_text(b"zTXt", 2**20 - 64)] * 1_000)),
    "png with an iCCP bomb": ("image", lambda: _png(8, 8, _text(b"iCCP", 10**8))),
    "png with a million chunks": ("image", lambda: _png(8, 8, _chunk(b"tEXt", b"a\0b") * 1_000_000)),
    "png with more data than pixels": ("image", lambda: _png(8, 8, data=_zeros(10**8))),
    "apng that says 2³¹ frames": ("image", lambda: _apng(8, 8, 2**31 - 1, real=2)),
    "apng of 4,000 million pixels": ("video", lambda: _apng(2_000, 2_000, 1_000, real=1_000)),
    "gif that says 65,535²": ("image", lambda: _gif(65_535, 65_535, _gif_frame())),
    "gif that grows": ("image", lambda: _gif(8, 8, _gif_frame(), _gif_frame(13_000, 13_000))),
    "gif of a million frames": ("video", lambda: _gif(8, 8, _gif_frame() * 1_000_000)),
    "gif of ten million blocks": (
        "video",
        lambda: _gif(8, 8, _gif_frame(), b"!\xfe" + b"\1a" * 10_000_000 + b"\0", _gif_frame()),
    ),
    "gif of two million remarks": (
        "video",
        lambda: _gif(8, 8, _gif_frame(), b"!\xfe\1a\0" * 2_000_000, _gif_frame()),
    ),
    "webp that says 16,777,216 × 250": (
        "image",
        lambda: _riff((b"VP8X", _canvas(2**24, 250)), (b"ANIM", bytes(6))),
    ),
    "webp with a canvas of 4,000 million pixels": ("image", lambda: _webp(65_000, 65_000, 2)),
    "webp of 20,000 frames": ("video", lambda: _webp(440, 440, 20_000)),
    "jpeg that says 65,500²": ("image", lambda: _jpeg_of(65_500, 65_500)),
    "jpeg of a thousand scans": ("image", lambda: _scans(4_000, 4_000, 1_000)),
    "jpeg of three million segments": (
        "image",
        lambda: b"\xff\xd8" + b"\xff\xe1\0\2" * 3_000_000 + _jpeg()[2:],
    ),
    "jpeg with ten million fill bytes": ("image", lambda: b"\xff\xd8" + b"\xff" * 10_000_000 + _jpeg()[2:]),
    "jpeg with ten million stray bytes": (
        "image",
        lambda: b"\xff\xd8\xff\xe1\0\2" + b"x" * 10_000_000 + _jpeg()[2:],
    ),
    "jpeg whose coefficients are kept": ("image", lambda: _first_scans(7_990, 7_990, 7)),
    "jpeg of a scan for each colour": ("image", lambda: _apart(7_990, 7_990)),
    "jpeg of several scans, 35 million pixels": ("image", lambda: _first_scans(5_900, 5_900, 7)),
    "mpo of 2,000 pictures": ("image", lambda: _mpo(2_000)),
    "mpo whose second picture is large": ("image", lambda: _mpo_of(16_000, 16_000)),
    "png cut short": ("image", lambda: _broken(_noise("PNG"))),
    "jpeg cut short": ("image", lambda: _broken(_noise("JPEG")) + b"\xff\xd9"),
    "webp cut short": ("image", lambda: _broken(_noise("WEBP", lossless=True))),
    "gif cut short": ("image", lambda: _broken(_noise("GIF"))),
    "mp4 of four million boxes": (
        "video",
        lambda: _box(b"ftyp", b"isom" + bytes(4)) + _box(b"free") * 4_000_000,
    ),
    "mp4 of boxes in its index": (
        "video",
        lambda: _box(b"ftyp", b"isom" + bytes(4)) + _box(b"moov", _box(b"trak") * 1_000_000),
    ),
    "latent with a large head": ("latent", lambda: _latent(b'{"a":[' + b"[]," * 13_333_333 + b"[]]}")),
    "latent with maps in maps": ("latent", lambda: _latent(b'{"a":' + _nested(16 * 10**6) + b"}")),
    "latent with a million names": ("latent", lambda: _latent(_keys(1_000_000))),
    "latent with half a million maps": ("latent", lambda: _latent(b'{"a":' + _nested(4 * 480_000) + b"}")),
    "json that is no picture": ("image", lambda: _nested(2**24 - 100)),
    "json of maps in maps, 16 MiB": ("text", lambda: _nested(2**24 - 100)),
    "json of maps in maps, 2 MiB": ("text", lambda: _nested(2**21 - 1000)),
    "json of 9 MiB": ("text", lambda: b"[" + b"{}," * 3_000_000 + b"{}]"),
    "json that is deep": ("text", lambda: b"[" * 400_000),
}
"""Name → what its node was declared to save, and the bytes."""

HARMLESS = {
    "jpeg of several scans, 35 million pixels",
    "mpo of 2,000 pictures",
    "mpo whose second picture is large",
    "json of maps in maps, 16 MiB",
    "json of maps in maps, 2 MiB",
    "png of 36 million pixels",
    "png with a palette, 64 million pixels",
    "png with more data than pixels",
    "jpeg cut short",
    "json of 9 MiB",
    "json that is deep",
}
"""What is taken for what it says. Of a JPEG with an end, libjpeg does not tell that its middle is missing."""


def _came_of(path: Path, kind: OutputKind) -> str:
    try:
        return f"taken: {examine(path, kind=kind, pixels=64_000_000).media}"
    except NotWhole as error:
        return f"not whole: {error}"
    except Unwanted as error:
        return f"{error.code}: {error}"


def _main() -> None:
    examined = _came_of(Path(__file__), "text")
    assert examined.startswith("taken"), "everything that is needed has been imported"
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    for name, (kind, make) in BOMBS.items():
        with tempfile.NamedTemporaryFile() as file:
            file.write(make())
            file.flush()
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before, began = _peak(), time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            told = _came_of(Path(file.name), kind)
            signal.setitimer(signal.ITIMER_PROF, 0)
        spent = round(time.process_time() - began, 2)
        line = {"name": name, "told": told, "seconds": spent, "MiB": _peak() - before}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def _peak() -> int:
    """Return the most memory held since the peak was last reset. MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024


if __name__ == "__main__":
    _main()
