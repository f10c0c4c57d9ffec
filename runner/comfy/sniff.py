"""What a downloaded file really is: type by its first bytes, wholeness by structure, pixels by decoding.

Names, extensions and content types of servers are not looked at. Nothing above the limits is decoded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from runner.comfy import boxes
from runner.domain import OutputKind
from runner.pictures import NotWhole, TooMuch, opened, strips

_HEAD_LIMIT = 16 * 2**20
"""Bytes that are read of a text or at the head of a latent."""
_JSON_LIMIT = 2 * 2**20
"""Bytes of a text that are looked at as JSON."""
_VALUES = 500_000
"""Of JSON that is looked at; each takes up to 300 bytes of memory."""

_FRAMES = 2**31 - 1
"""Most that are told of a film, whatever it claims; an INTEGER of the index holds no more."""


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
    "video": ("video/", "image/webp", "image/png", "image/gif"),
    "audio": ("audio/", "video/mp4", "video/webm"),
    "text": ("text/", "application/json"),
    "latent": ("application/x-safetensors",),
}


def sniff(head: bytes) -> tuple[str, str]:
    """Return media type and extension for a file that begins with *head* (64 bytes are enough).

    Returns ("", "") for what is not known by its first bytes.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png", "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", "jpg"
    if head[:4] == b"RIFF":
        return {b"WEBP": ("image/webp", "webp"), b"WAVE": ("audio/wav", "wav")}.get(head[8:12], ("", ""))
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif", "gif"
    if head[4:8] == b"ftyp":
        return _mp4(head[8:12])
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm", "webm"
    if head.startswith(b"fLaC"):
        return "audio/flac", "flac"
    if head.startswith(b"OggS"):
        return "audio/ogg", "opus" if b"OpusHead" in head else "ogg"
    if head.startswith(b"ID3") or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return "audio/mpeg", "mp3"
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _HEAD_LIMIT:
        return "application/x-safetensors", "latent"
    return "", ""


def _mp4(brand: bytes) -> tuple[str, str]:
    if brand == b"qt  ":
        return "video/quicktime", "mov"
    return ("audio/mp4", "m4a") if brand == b"M4A " else ("video/mp4", "mp4")


def examine(path: Path, *, kind: OutputKind, pixels: int) -> Facts:
    """Return what the file at *path* is.

    Args:
        path: A finished download.
        kind: What its node was declared to save.
        pixels: Most pixels a frame may have.

    Raises:
        NotWhole: Empty, cut short, or damaged.
        Unwanted: Of another kind (BAD_OUTPUT), or with too many pixels (TOO_LARGE).

    """
    with path.open("rb") as file:
        head = file.read(64)
        if not head:
            raise NotWhole("the file is empty")
        media, extension = sniff(head)
        if not media:
            media, extension = _text(file, kind)
        if not media.startswith(_SUITS[kind]):
            raise Unwanted("BAD_OUTPUT", f"declared as {kind}, but it is {media}")
        _complete(file, media)
        if media.startswith("image/"):
            return _picture(path, media, extension, pixels)
        if media in ("video/mp4", "video/quicktime", "audio/mp4"):
            return _film(file, media, extension)
    return Facts(media=media, extension=extension)


def _text(file: BinaryIO, kind: OutputKind) -> tuple[str, str]:
    """Return the type of a text file; what is not UTF-8 is damaged, for no binary type is unknown here.

    JSON is plain text where there is much of it, or where no text was declared.
    """
    file.seek(0)
    content = file.read(_HEAD_LIMIT + 1)
    if len(content) > _HEAD_LIMIT or b"\0" in content:
        raise NotWhole("the file is of no known type")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotWhole("the file is of no known type") from error
    begin = text.lstrip()[:9].lower()
    if kind == "text" and begin[:1] in ("{", "[") and len(content) <= _JSON_LIMIT:
        try:
            _parsed(content)
        except ValueError:
            return "text/plain", "txt"
        return "application/json", "json"
    return ("text/html", "html") if begin == "<!doctype" else ("text/plain", "txt")


def _parsed(content: bytes) -> Any:
    """Return what JSON says; raises ValueError where it is none, too deep, or of more values than allowed."""
    if sum(map(content.count, (b"{", b"[", b","))) > _VALUES:
        raise ValueError("too many values")
    try:
        return json.loads(content)
    except (RecursionError, MemoryError) as error:
        raise ValueError("too deep or too large") from error


def _complete(file: BinaryIO, media: str) -> None:
    size = file.seek(0, 2)
    file.seek(0)
    match media:
        case "image/jpeg":
            file.seek(max(0, size - 65536))
            if b"\xff\xd9" not in file.read():
                raise NotWhole("the JPEG has no end")
        case "image/webp" | "audio/wav":
            if int.from_bytes(file.read(8)[4:], "little") + 8 > size:
                raise NotWhole("the file is shorter than it says")
        case "application/x-safetensors":
            _check_safetensors(file, size)
        case _:
            pass  # its structure says nothing about its length


def _film(file: BinaryIO, media: str, extension: str) -> Facts:
    """Check that the boxes of an MP4 are whole, and read size and length from its index."""
    try:
        track = boxes.examine(file, file.seek(0, 2))
    except boxes.Broken as error:
        raise NotWhole(str(error)) from error
    frames = min(track.frames, _FRAMES) or 1
    return Facts(media=media, extension=extension, width=track.width, height=track.height, frames=frames)


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


def _picture(path: Path, media: str, extension: str, pixels: int) -> Facts:
    """Decode every frame."""
    try:
        with opened(path, pixels=pixels) as image:
            width, height = image.size
            frames = getattr(image, "n_frames", 1)
            digest = _hash_samples(image, frames)
    except TooMuch as error:
        raise Unwanted("TOO_LARGE", str(error)) from error
    return Facts(media=media, extension=extension, pixels=digest, width=width, height=height, frames=frames)


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
