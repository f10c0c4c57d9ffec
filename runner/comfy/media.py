"""Types of files: by the first bytes, by the text, and where neither says enough by the server's name. Pure.

A name never outweighs bytes that are known: it decides only between types that look alike (`.vrm` is a GLB)
and names what is known by nothing else (`.splat` has no signature).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Final

UNKNOWN: Final = "application/octet-stream"
PLAIN: Final = "text/plain"
SVG: Final = "image/svg+xml"
JSON: Final = "application/json"
LATENT: Final = "application/x-safetensors"
HEAD_LIMIT: Final = 16 * 2**20
"""Bytes that are read of a text, or at the head of a latent."""

_EXTENSION: Final = re.compile(r"\.([A-Za-z0-9]{1,12})$")
_RUNS: Final = frozenset({
    "exe", "com", "bat", "cmd", "scr", "pif", "lnk", "msi", "dll", "ps1", "vbs", "vbe", "js", "jse", "wsf",
    "wsh", "hta", "reg", "url", "jar", "sh", "desktop", "app", "command",
})  # fmt: skip
"""Extensions that an operating system runs on a double click; a server does not choose those."""
_STARTS: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"GIF87a", "image/gif", "gif"),
    (b"GIF89a", "image/gif", "gif"),
    (b"\x76\x2f\x31\x01", "image/x-exr", "exr"),
    (b"II*\0", "image/tiff", "tif"),
    (b"MM\0*", "image/tiff", "tif"),
    (b"II+\0", "image/tiff", "tif"),
    (b"MM\0+", "image/tiff", "tif"),
    (b"glTF", "model/gltf-binary", "glb"),
    (b"ply\n", "model/ply", "ply"),
    (b"ply\r\n", "model/ply", "ply"),
    (b"Kaydara FBX Binary", "model/fbx", "fbx"),
    (b"\x1aE\xdf\xa3", "video/webm", "webm"),
    (b"fLaC", "audio/flac", "flac"),
    (b"ID3", "audio/mpeg", "mp3"),
    (b"PK\x03\x04", "application/zip", "zip"),
    (b"\x1f\x8b", "application/gzip", "gz"),
    (b"\x93NUMPY", "application/x-npy", "npy"),
    (b"%PDF-", "application/pdf", "pdf"),
)
_BRANDS: Final[Mapping[bytes, tuple[str, str]]] = {
    b"qt  ": ("video/quicktime", "mov"),
    b"M4A ": ("audio/mp4", "m4a"),
    b"avif": ("image/avif", "avif"),
    b"avis": ("image/avif", "avif"),
    b"heic": ("image/heic", "heic"),
    b"heix": ("image/heic", "heic"),
}
_RIFF: Final[Mapping[bytes, tuple[str, str]]] = {
    b"WEBP": ("image/webp", "webp"),
    b"WAVE": ("audio/wav", "wav"),
    b"AVI ": ("video/x-msvideo", "avi"),
}
_MODELS: Final[Mapping[str, str]] = {
    "obj": "model/obj", "stl": "model/stl", "fbx": "model/fbx", "ply": "model/ply", "gltf": "model/gltf+json",
    "splat": "model/splat", "ksplat": "model/splat", "spz": "model/splat",
    "usd": "model/usd", "usda": "model/usd", "usdc": "model/usd", "usdz": "model/vnd.usdz+zip",
    "3mf": "model/3mf", "dae": "model/vnd.collada+xml", "off": "model/off", "blend": "model/x-blender",
}  # fmt: skip
"""Extension → type of models that have no signature, or that of something more general."""
_SIGNED: Final = frozenset(
    extension for _, extension in (*((m, e) for _, m, e in _STARTS), *_BRANDS.values(), *_RIFF.values())
) | frozenset({
    "mp4", "ogg", "opus", "aac", "aiff", "bmp", "heif", "latent", "mkv", "jpeg", "tiff", "html", "svg",
    "safetensors",
})  # fmt: skip
"""Extensions of types that are known by their bytes: a plain text is none of them, whatever it is called."""
_ALIKE: Final[Mapping[str, frozenset[str]]] = {
    "model/gltf-binary": frozenset({"vrm"}),
    LATENT: frozenset({"safetensors", "sft"}),
    "image/tiff": frozenset({"tiff", "dng"}),
    "video/mp4": frozenset({"m4v"}),
    "audio/ogg": frozenset({"oga"}),
    "video/webm": frozenset({"mkv"}),
    JSON: frozenset({"geojson"}),
}
"""Type → extensions that say more than its own."""
_CONTAINERS: Final = frozenset({"", "application/zip", "application/gzip", PLAIN, JSON, "text/xml"})
"""Types in which a model can be packed or written."""
_SVG: Final = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE\s+svg[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:\w+:)?svg[\s>]",
    re.DOTALL,
)
_SVG_END: Final = re.compile(r"</(?:\w+:)?svg>\s*(?:<!--.*?-->\s*)*\Z", re.DOTALL)
_CONTROLS: Final = bytes(sorted({*range(32), 127} - {*b"\t\n\v\f\r\x1b"}))
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", 1),
    (codecs.BOM_UTF32_LE, "utf-32", 4),
    (codecs.BOM_UTF32_BE, "utf-32", 4),
    (codecs.BOM_UTF16_LE, "utf-16", 2),
    (codecs.BOM_UTF16_BE, "utf-16", 2),
)
"""Byte order mark → encoding, bytes of a unit. That of UTF-32 LE begins like that of UTF-16 LE."""
_NAMES: Final[Mapping[str, str]] = {
    SVG: "an SVG", LATENT: "a safetensors file", "text/html": "a web page",
    "image/x-exr": "an EXR", "audio/mpeg": "an MP3", "video/mp4": "an MP4", "image/avif": "an AVIF picture",
    "model/gltf-binary": "a GLB", "application/zip": "a ZIP archive",
}  # fmt: skip
_KINDS: Final = (
    ("image/", "image"), ("video/", "video"), ("audio/", "audio"), ("model/", "model3d"), ("text/", "text"),
    (JSON, "text"), (LATENT, "latent"),
)  # fmt: skip


def by_bytes(head: bytes) -> tuple[str, str]:
    """Return media type and extension for a file that begins with *head* (64 bytes are enough).

    Returns ("", "") for what is not known by its first bytes.
    """
    for start, media, extension in _STARTS:
        if head.startswith(start):
            return (media, extension) if media != "video/webm" else _matroska(head)
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12], ("", ""))
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff", "aiff"
    if head[4:8] == b"ftyp":
        return _isobmff(head)
    if head.startswith(b"OggS"):
        return "audio/ogg", "opus" if b"OpusHead" in head else "ogg"
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= HEAD_LIMIT:
        return LATENT, "latent"
    if (
        head[:2] == b"BM"
        and head[6:10] == bytes(4)
        and head[14:18] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    ):
        return "image/bmp", "bmp"
    return _sound(head)


def _matroska(head: bytes) -> tuple[str, str]:
    return ("video/x-matroska", "mkv") if b"matroska" in head else ("video/webm", "webm")


def _isobmff(head: bytes) -> tuple[str, str]:
    """Return what the major brand says; HEIF's general one (`mif1`) leaves it to the compatible ones."""
    brands = [head[8:12]]
    if head[8:12] in (b"mif1", b"msf1"):
        length = min(int.from_bytes(head[:4], "big"), len(head))
        brands += [head[at : at + 4] for at in range(16, length - 3, 4)]
        return next((_BRANDS[each] for each in brands if each in _BRANDS), ("image/heif", "heif"))
    return _BRANDS.get(brands[0], ("video/mp4", "mp4"))


def _sound(head: bytes) -> tuple[str, str]:
    """Return MP3 or AAC for the head of one of their frames, which a text in UTF-16 almost is."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return "", ""
    version, layer, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3
    if layer == 0 and head[1] >= 0xF0 and head[2] >> 2 & 15 < 13:
        return "audio/aac", "aac"
    if version != 1 and layer in (1, 2) and rate != 3 and head[2] >> 4 != 15:
        return "audio/mpeg", "mp3"
    return "", ""


def decoded(content: bytes, *, cut: bool, guess: bool) -> str | None:
    """Return the text that *content* is, None for what is none.

    Args:
        content: The beginning of a file.
        cut: There is more of it, so its last character may be in parts.
        guess: Bytes that are not Unicode may be Latin-1 (read as Windows-1252, which holds it).

    """
    for mark, encoding, unit in _BOMS:
        if content.startswith(mark) and (encoding == "utf-8-sig" or len(content) % unit == 0 or cut):
            return _decoded(content, encoding, cut=cut)
    if b"\0" in content:
        return None
    text = _decoded(content, "utf-8", cut=cut)
    if text is not None or not guess or len(content.translate(None, _CONTROLS)) < len(content):
        return text
    return content.decode("cp1252", "replace")


def _decoded(content: bytes, encoding: str, *, cut: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(content, final=not cut)
    except UnicodeDecodeError:
        return None


def is_svg(text: str) -> bool:
    """Whether *text* begins like an SVG."""
    return _SVG.match(text[:8192]) is not None


def ends_as_svg(text: str) -> bool:
    """Whether *text* ends like an SVG."""
    return _SVG_END.search(text[-8192:]) is not None


def extension_of(name: str) -> str:
    """Return the extension of a file *name* in lower case; empty without one, or for one that is run."""
    found = _EXTENSION.search(name)
    extension = found[1].lower() if found else ""
    return "" if extension in _RUNS else extension


def refined(media: str, extension: str, name: str) -> tuple[str, str]:
    """Return type and extension of a file whose bytes say *media*, with what its server's *name* adds."""
    said = extension_of(name)
    if media in _CONTAINERS and said in _MODELS:
        return _MODELS[said], said
    if said in _ALIKE.get(media, ()):
        return media, said
    if media in ("", "application/zip", "application/gzip") or (media == PLAIN and said not in _SIGNED):
        return media or UNKNOWN, said or extension or "bin"
    return media, extension


def kind_of(media: str) -> str:
    """Return the kind under which a template declares an output of this type."""
    return next((kind for start, kind in _KINDS if media.startswith(start)), "file")


def called(media: str, extension: str) -> str:
    """Return *media* in words, for a message."""
    if media == UNKNOWN:
        return f"of no type that is known here (.{extension} by its name)"
    return f"{media} ({_NAMES[media]})" if media in _NAMES else media
