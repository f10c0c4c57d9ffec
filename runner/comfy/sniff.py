"""What a downloaded file really is: type by its bytes, wholeness by structure, pixels by decoding.

Content types of servers are not looked at, and their names only where the bytes leave a choice
(`comfy.media`). Nothing above the limits is decoded. What no structure proves whole is whole when its length
is the one that the server announced, or when a second download brought the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from runner.comfy import boxes, heads, media
from runner.comfy.media import HEAD_LIMIT, JSON, LATENT, PLAIN, SVG, UNKNOWN
from runner.domain import OutputKind
from runner.pictures import NotWhole, TooMuch, opened, strips

_JSON_LIMIT = 2 * 2**20
"""Bytes of a text that are looked at as JSON."""
_VALUES = 500_000
"""Of JSON that is looked at; each takes up to 300 bytes of memory."""

_ENDLESS = 0xFFFF_FF00
"""From here on a length in a WAV says that it was not known when the head was written."""
_MOST = 2**31 - 1
"""The largest size or length that is recorded, whatever a file says; the index holds no more."""


class Unwanted(Exception):
    """The file is whole, as far as can be told, but not acceptable; *code* says in which way."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the bytes of one file turned out to be."""

    media: str
    extension: str
    pixels: str = ""
    width: int = 0
    height: int = 0
    frames: int = 1


_SUITS: dict[OutputKind, tuple[str, ...]] = {
    "image": ("image/",),
    "video": ("video/", "image/webp", "image/png", "image/gif", "image/avif"),
    "audio": ("audio/", "video/mp4", "video/webm", "video/x-matroska"),
    "text": ("text/", JSON, SVG, "model/obj", "model/gltf+json"),
    "latent": (LATENT,),
    "model3d": ("model/",),
    "file": ("",),
}
_DECODED = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp")
_BOXED = ("image/avif", "image/heic", "image/heif")


def examine(
    path: Path,
    *,
    kind: OutputKind,
    pixels: int,
    name: str = "",
    fits: bool = True,
    again: bool = False,
) -> Facts:
    """Return what the file at *path* is.

    Args:
        path: A finished download.
        kind: What its node was declared to save.
        pixels: Most pixels a frame may have.
        name: What the server calls it.
        fits: It is as long as the server announced.
        again: An earlier download brought the same bytes, so this is what the server has.

    Raises:
        NotWhole: Cut short or damaged, or nothing says yet that it is not.
        Unwanted: Of another kind (BAD_OUTPUT), or with too many pixels (TOO_LARGE).

    """
    with path.open("rb") as file:
        found, proven = _identified(file, kind, name)
        if not found.media.startswith(_SUITS[kind]):
            _refuse(found, kind, sure=again or found.media != UNKNOWN)
        try:
            facts, proven = _looked_into(path, file, found, pixels, proven=proven)
        except (NotWhole, Unwanted) as error:
            # Declared as anything: what the server has is what was made, whatever a decoder thinks of it.
            if kind != "file" or (isinstance(error, NotWhole) and not again):
                raise
            facts, proven = found, False
    if not (proven or fits or again):
        raise NotWhole("nothing says that all of it is here")
    return facts


def _refuse(found: Facts, kind: OutputKind, *, sure: bool) -> None:
    what = media.called(found.media, found.extension)
    if not sure:
        raise NotWhole(f"it is {what}")
    right = media.kind_of(found.media)
    raise Unwanted("BAD_OUTPUT", f"declared as {kind}, but it is {what}; that is kind `{right}`")


def _identified(file: BinaryIO, kind: OutputKind, name: str) -> tuple[Facts, bool]:
    """Return type and extension, and whether what was read for that proves the file whole."""
    head = file.read(64)
    kinds, proven = media.by_bytes(head), False
    if not kinds[0] and (head or kind in ("text", "file")):
        kinds, proven = _text(file, kind, name)
    if not head and kind not in ("text", "file"):
        raise NotWhole("the file is empty")
    kinds = media.refined(*kinds, name)
    return Facts(media=kinds[0], extension=kinds[1]), proven


def _text(file: BinaryIO, kind: OutputKind, name: str) -> tuple[tuple[str, str], bool]:
    """Return the type of a text file, ("", "") for what is none, and whether its end is there.

    JSON is plain text where there is much of it, or where no text was declared.
    """
    file.seek(0)
    content = file.read(HEAD_LIMIT + 1)
    cut = len(content) > HEAD_LIMIT
    guess = kind == "text" or media.extension_of(name) in ("txt", "csv", "md", "obj", "srt")
    text = media.decoded(content, cut=cut, guess=guess)
    if text is None:
        return ("", ""), False
    if media.is_svg(text):
        if not cut and not media.ends_as_svg(text):
            raise NotWhole("the SVG has no end")
        return (SVG, "svg"), not cut
    begin = text.lstrip()[:9].lower()
    if begin == "<!doctype":
        return ("text/html", "html"), False
    may_be = kind == "text" or media.extension_of(name) in ("json", "gltf")
    if may_be and begin[:1] in ("{", "[") and len(content) <= _JSON_LIMIT:
        try:
            _parsed(content)
        except ValueError:
            return (PLAIN, "txt"), False
        return (JSON, "json"), True
    return (PLAIN, "txt"), False


def _looked_into(
    path: Path, file: BinaryIO, found: Facts, pixels: int, *, proven: bool
) -> tuple[Facts, bool]:
    """Return *found* with what its structure says, and whether that proves the file whole."""
    if found.media in _DECODED:
        _complete(file, found.media)
        return _picture(path, found.media, found.extension, pixels), True
    if found.media in ("video/mp4", "video/quicktime", "audio/mp4"):
        return _film(file, found.media, found.extension), True
    if found.media in _BOXED:
        width, height = _still(file)
        return _sized(found, width, height), bool(width)
    if found.media == "image/x-exr":
        width, height, proven = heads.exr(file, file.seek(0, 2))
        return _sized(found, width, height), proven
    if found.media == "image/tiff":
        width, height = heads.tiff(file, file.seek(0, 2))
        return _sized(found, width, height), False
    return found, _complete(file, found.media) or proven


def _sized(found: Facts, width: int, height: int) -> Facts:
    return replace(found, width=min(width, _MOST), height=min(height, _MOST))


def _parsed(content: bytes) -> Any:
    """Return what JSON says; raises ValueError where it is none, too deep, or of more values than allowed."""
    if sum(map(content.count, (b"{", b"[", b","))) > _VALUES:
        raise ValueError("too many values")
    try:
        return json.loads(content)
    except (RecursionError, MemoryError) as error:
        raise ValueError("too deep or too large") from error


def _complete(file: BinaryIO, kind: str) -> bool:
    """Return whether its structure proves the file whole; raises NotWhole where it proves the contrary."""
    size = file.seek(0, 2)
    file.seek(0)
    match kind:
        case "image/jpeg":
            file.seek(max(0, size - 65536))
            if b"\xff\xd9" not in file.read():
                raise NotWhole("the JPEG has no end")
            return True
        case "image/webp" | "audio/wav":
            # A WAV that was written into a pipe says 0 or the most there is.
            length = int.from_bytes(file.read(8)[4:], "little")
            if length + 8 > size and (kind == "image/webp" or 0 < length < _ENDLESS):
                raise NotWhole("the file is shorter than it says")
            return length + 8 == size
        case "model/gltf-binary":
            length = int.from_bytes(file.read(12)[8:], "little")
            if length > size:
                raise NotWhole("the GLB is shorter than it says")
            return length == size
        case "model/stl":
            return _is_binary_stl(file, size)
        case "application/x-safetensors":
            _check_safetensors(file, size)
            return True
        case _:
            return False  # its structure says nothing about its length


def _is_binary_stl(file: BinaryIO, size: int) -> bool:
    """Return whether it is as long as its number of triangles says; an STL that is a text has no number."""
    return size == 84 + 50 * int.from_bytes(file.read(84)[80:], "little")


def _still(file: BinaryIO) -> tuple[int, int]:
    """Return the size that an AVIF or HEIF tells, 0 where it does not; raises NotWhole."""
    try:
        return boxes.still(file, file.seek(0, 2))
    except boxes.Broken as error:
        raise NotWhole(str(error)) from error


def _film(file: BinaryIO, kind: str, extension: str) -> Facts:
    """Check that the boxes of an MP4 are whole, and read size and length from its index."""
    try:
        track = boxes.examine(file, file.seek(0, 2))
    except boxes.Broken as error:
        raise NotWhole(str(error)) from error
    frames = min(track.frames, _MOST) or 1
    return Facts(media=kind, extension=extension, width=track.width, height=track.height, frames=frames)


def _check_safetensors(file: BinaryIO, size: int) -> None:
    length = int.from_bytes(file.read(8), "little")
    try:
        header = _parsed(file.read(length if length + 8 <= size else 0))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        whole = max(ends, default=0) + 8 + length == size
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        raise NotWhole("the latent has no readable header") from error
    if not whole:
        raise NotWhole("the latent is shorter or longer than it says")


def _picture(path: Path, kind: str, extension: str, pixels: int) -> Facts:
    """Decode every frame."""
    try:
        with opened(path, pixels=pixels) as image:
            width, height = image.size
            frames = getattr(image, "n_frames", 1)
            digest = _hash_samples(image, frames)
    except TooMuch as error:
        raise Unwanted("TOO_LARGE", str(error)) from error
    return Facts(media=kind, extension=extension, pixels=digest, width=width, height=height, frames=frames)


def _hash_samples(image: Image.Image, frames: int) -> str:
    digest = hashlib.sha256()
    for index in range(frames):
        if frames > 1:
            image.seek(index)
        image.load()
        for number, strip in enumerate(strips(image)):
            samples = strip.convert("RGBA") if frames > 1 else _plain(strip)
            if index == number == 0:
                digest.update(f"{samples.mode} {image.width} {image.height} {frames}\n".encode("ascii"))
            digest.update(samples.tobytes())
    return digest.hexdigest()


def _plain(image: Image.Image) -> Image.Image:
    if image.mode != "P":
        return image
    return image.convert("RGBA" if "transparency" in image.info else "RGB")
