"""How alike two files are, by what they show: a pure comparison of decoded pictures.

*same*: every sample of every frame is equal. *near*: a person would call them the same picture; at most four
bits of the dHash differ and the SSIM at 256 px is at least 0.95. *changed*: everything else, and everything
that cannot be told (`note` says why). File metadata never counts.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

from runner.pictures import NotWhole, TooMuch, opened, strips

Kind = Literal["same", "near", "changed"]
Samples = npt.NDArray[np.float64]

NEAR_BITS = 4
NEAR_SSIM = 0.95
_SIDE = 256
_FRAMES = 9
_FLAT = 2  # grey levels of 256
_RADIUS, _SIGMA = 5, 1.5
_SCENE = 16 * 2**20
"""Bytes of the description in a GLB that are read; its geometry lies beside it."""
_ATTRIBUTES = 1_000
"""Of an EXR."""
_BLOCKS = 128
"""Of notes in a FLAC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """How alike two files are."""

    kind: Kind
    dhash_bits: int = 64
    """Bits of 64 in which the dHashes differ; the worst frame counts."""
    ssim: float = 0.0
    """Structural similarity at 256 px, 1 = equal; the worst frame counts."""
    note: str = ""
    """Why *kind* is not founded on decoded pictures; empty when it is."""


def dhash64(image: Image.Image) -> int:
    """Return the difference hash: bit set where a pixel of the 9×8 luma picture is darker than its right one.

    Row-major, first comparison in the highest of 64 bits.
    """
    return int.from_bytes(np.packbits(_slopes(image) > 0).tobytes(), "big")


def dhash_bits(a: Image.Image, b: Image.Image) -> int:
    """Return in how many of 64 bits the dHashes differ, slopes that are flat in both left out.

    In a plain sky the last bit of a sample decides a hash bit; such a bit tells nothing.
    """
    x, y = _slopes(a), _slopes(b)
    steep = np.maximum(np.abs(x), np.abs(y)) > _FLAT
    return int((((x > 0) != (y > 0)) & steep).sum())


def _slopes(image: Image.Image) -> npt.NDArray[np.int16]:
    small = np.asarray(_opaque(image).convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return small[:, 1:] - small[:, :-1]


def ssim_256(a: Image.Image, b: Image.Image) -> float:
    """Return the structural similarity of two pictures of one size, −1 … 1.

    Both are brought to at most 256 px on the longer side; Gaussian window of 11 px (σ 1.5), constants 0.01
    and 0.03 for a range of 255; of R, G and B the least alike counts, for a change of hue alone is a change.

    Raises ValueError when the sizes differ.
    """
    if a.size != b.size:
        raise ValueError(f"pictures of {a.size} and {b.size} cannot be compared sample by sample")
    x, y = _planes(a), _planes(b)
    return min(float(_ssim_map(x[..., n], y[..., n]).mean()) for n in range(3))


def grade(a: Path, b: Path) -> Grade:
    """Return how alike the files *a* and *b* are; never raises for what they hold.

    Animations are judged by up to nine frames spread evenly, the worst counts; another size or number of
    frames is a change. All other files are the same when their encoded samples are, byte for byte: what
    ComfyUI notes in films, latents, GLB, EXR, FLAC and MP3 does not count; of unknown types every byte does.
    """
    try:
        if not (_is_picture(a) and _is_picture(b)):
            return _by_bytes(_coded(a) == _coded(b))
        with opened(a) as first, opened(b) as second:
            return _pictures(first, second)
    except TooMuch as error:
        return Grade(kind="changed", note=str(error))
    except (NotWhole, OSError, ValueError) as error:
        return Grade(kind="changed", note=f"cannot be compared: {type(error).__name__}")


def _by_bytes(equal: bool) -> Grade:
    if equal:
        return Grade(kind="same", dhash_bits=0, ssim=1.0, note="judged by its encoded samples")
    return Grade(kind="changed", note="encoded samples differ; only pictures are graded further")


def _pictures(a: Image.Image, b: Image.Image) -> Grade:
    counts = getattr(a, "n_frames", 1), getattr(b, "n_frames", 1)
    if a.size != b.size:
        return Grade(kind="changed", note=f"{a.width}×{a.height} became {b.width}×{b.height}")
    if counts[0] != counts[1]:
        return Grade(kind="changed", note=f"{counts[0]} frames became {counts[1]}")
    if _equal(a, b):
        return Grade(kind="same", dhash_bits=0, ssim=1.0)
    return _worst(a, b, counts[0])


def _equal(a: Image.Image, b: Image.Image) -> bool:
    """Whether every frame has the same samples; a palette counts as the colours it stands for."""
    if a.mode != b.mode and "P" not in (a.mode, b.mode):
        return False
    pairs = zip(ImageSequence.Iterator(a), ImageSequence.Iterator(b), strict=True)
    return all(
        _samples(p) == _samples(q) for x, y in pairs for p, q in zip(strips(x), strips(y), strict=True)
    )


def _samples(image: Image.Image) -> bytes:
    return (image.convert("RGBA") if image.mode == "P" else image).tobytes()


def _worst(a: Image.Image, b: Image.Image, frames: int) -> Grade:
    bits, alike = 0, 1.0
    for number in _spread(frames):
        for image in (a, b):
            image.seek(number)
        bits = max(bits, dhash_bits(a, b))
        alike = min(alike, ssim_256(a, b))
    near = bits <= NEAR_BITS and alike >= NEAR_SSIM
    return Grade(kind="near" if near else "changed", dhash_bits=bits, ssim=round(alike, 4))


def _spread(frames: int) -> Iterator[int]:
    count = min(frames, _FRAMES)
    return (round(n * (frames - 1) / max(1, count - 1)) for n in range(count))


def _opaque(image: Image.Image) -> Image.Image:
    """Return *image* as RGB, what is transparent on mid grey."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        ground = Image.new("RGBA", over.size, (128, 128, 128, 255))
        return Image.alpha_composite(ground, over).convert("RGB")
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image, dtype=np.float64)
        scale = 257.0 if image.mode.startswith("I") else 1 / 255.0
        return Image.fromarray(np.clip(deep / scale, 0, 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _planes(image: Image.Image) -> Samples:
    plain = _opaque(image)
    share = min(1.0, _SIDE / max(plain.size))
    size = tuple(max(1, round(side * share)) for side in plain.size)
    return np.asarray(plain.resize((size[0], size[1]), Image.Resampling.BOX), dtype=np.float64)


def _ssim_map(x: Samples, y: Samples) -> Samples:
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = _blur(x), _blur(y)
    vx, vy, both = _blur(x * x) - mx * mx, _blur(y * y) - my * my, _blur(x * y) - mx * my
    above: Samples = (2 * mx * my + c1) * (2 * both + c2)
    return above / ((mx * mx + my * my + c1) * (vx + vy + c2))


def _blur(plane: Samples) -> Samples:
    """Return *plane* under a Gaussian window, its edges mirrored."""
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        pad: Any = [(0, 0), (0, 0)]
        pad[axis] = (_RADIUS, _RADIUS)
        padded = np.pad(plane, pad, mode="symmetric")
        length = plane.shape[axis]
        parts = (np.take(padded, range(n, n + length), axis=axis) for n in range(2 * _RADIUS + 1))
        plane = np.sum([part * w for part, w in zip(parts, weights, strict=True)], axis=0)
    return plane


def _is_picture(path: Path) -> bool:
    """Whether the file begins like one of those that are decoded (`pictures.FORMATS`)."""
    with path.open("rb") as file:
        head = file.read(12)
    webp = head[:4] == b"RIFF" and head[8:] == b"WEBP"
    return webp or head.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM"))


def _coded(path: Path) -> int:
    """Return a checksum of the encoded samples of a file; of an unknown type, of all of it."""
    with path.open("rb") as file:
        head = file.read(16)
        if head[4:8] == b"ftyp":
            return _films(file)
        file.seek(0)
        if head[8:9] == b"{":
            file.seek(8 + int.from_bytes(head[:8], "little"))
        elif head.startswith(b"glTF"):
            return _glb(file)
        elif head.startswith(b"\x76\x2f\x31\x01"):
            return _exr(file)
        elif head.startswith(b"ID3"):
            # The length of the tag has seven bits in a byte.
            file.seek(10 + sum(byte << 7 * (3 - at) for at, byte in enumerate(head[6:10])))
        elif head.startswith(b"fLaC"):
            _skip_flac_notes(file)
        return _checksum(file, -1, 0)


def _glb(file: BinaryIO) -> int:
    """Return a checksum of scene and geometry without `asset`, in which ComfyUI notes prompt and workflow."""
    file.seek(12)
    length = int.from_bytes(file.read(4), "little")
    file.seek(4, 1)
    if length > _SCENE:
        return _checksum(file, -1, 0)
    scene = file.read(length)
    with suppress(ValueError, RecursionError):
        found = json.loads(scene)
        if isinstance(found, dict):
            scene = json.dumps({**found, "asset": None}, sort_keys=True).encode()
    return _checksum(file, -1, zlib.crc32(scene))


def _exr(file: BinaryIO) -> int:
    """Return a checksum of the chunks and of the attributes that are no texts.

    Between both stands a table of places in the file, which depend on the length of the texts.
    """
    file.seek(8)
    check = 0
    for _ in range(_ATTRIBUTES):
        name = _until_zero(file)
        if not name:
            break
        kind = _until_zero(file)
        length = int.from_bytes(file.read(4), "little")
        if kind == b"string":
            file.seek(length, 1)
        else:
            check = _checksum(file, length, zlib.crc32(name, check))
    file.seek(int.from_bytes(file.read(8), "little"))
    return _checksum(file, -1, check)


def _until_zero(file: BinaryIO) -> bytes:
    found = b""
    while len(found) < 256 and (ch := file.read(1)) not in (b"", b"\0"):
        found += ch
    return found


def _skip_flac_notes(file: BinaryIO) -> None:
    """Go to the first frame, after the blocks that describe the stream."""
    file.seek(4)
    for _ in range(_BLOCKS):
        head = file.read(4)
        file.seek(int.from_bytes(head[1:4], "big"), 1)
        if len(head) < 4 or head[0] & 0x80:
            return


def _films(file: BinaryIO) -> int:
    """Return a checksum over the `mdat` boxes; the tags lie in others."""
    check, at = 0, 0
    end = file.seek(0, 2)
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        start = 16 if size == 1 else 8
        size = int.from_bytes(head[8:16], "big") if size == 1 else size or end - at
        if size < start:
            raise ValueError("a box is shorter than its head")
        if head[4:8] == b"mdat":
            file.seek(at + start)
            check = _checksum(file, size - start, check)
        at += size
    return check


def _checksum(file: BinaryIO, length: int, check: int) -> int:
    """Return the checksum of the next *length* bytes, of the rest when it is negative."""
    while length and (block := file.read(2**20 if length < 0 else min(length, 2**20))):
        check = zlib.crc32(block, check)
        length -= len(block) if length > 0 else 0
    return check
