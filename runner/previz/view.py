"""`GET /view`: stored bytes with ranges and conditions, or a re-encoded preview or channel."""

from __future__ import annotations

import asyncio
import io
import mimetypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from PIL import Image
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from runner.pictures import FORMATS
from runner.previz.files import Folders, inside, split_annotation

WHOLE_BYTES = 4 << 20
"""Files up to this size are sent in one piece."""

SPELLED = {".js": "application/javascript; charset=utf-8", ".webp": "image/webp"}
"""Types that the real server fixes, whatever the machine's own table says."""

ACTIVE = {"text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css"}
QUALITY = 90


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """A request for a file is answered with this status and an empty body."""

    status: int


async def view(folders: Folders, request: Request) -> Response:
    """Return the answer to `GET /view`."""
    query = request.query_params
    try:
        path = locate(folders, query)
    except Refused as refusal:
        return Response(status_code=refusal.status)
    if not path.is_file():
        return Response(status_code=404)
    channel = query.get("channel", "")
    if "preview" in query:
        return await asyncio.to_thread(_preview, path, query["preview"], channel)
    if channel in ("rgb", "a"):
        return await asyncio.to_thread(_channel, path, channel)
    return stored(path, request.headers)


def locate(folders: Folders, query: QueryParams) -> Path:
    """Return the path a query means; it need not exist.

    Raises:
        Refused: 404 without a name, 400 for a bad name or type, 403 for a subfolder that leads out.

    """
    if "filename" not in query:
        raise Refused(404)
    name, kind = split_annotation(query["filename"])
    if not name or name.startswith("/") or ".." in name:
        raise Refused(400)
    top = folders.of(kind or query.get("type", "output"))
    if top is None:
        raise Refused(400)
    folder = Path(os.path.normpath(top / query.get("subfolder", "")))
    if not inside(folder, top):
        raise Refused(403)
    return folder / os.path.basename(name)  # noqa: PTH119  # Path("a/").name is "a", basename is ""


def _disposition(path: Path) -> dict[str, str]:
    # Header values are latin-1 on the wire; a name beyond that is sent as its UTF-8 bytes.
    return {"Content-Disposition": f'filename="{path.name}"'.encode().decode("latin-1")}


def _preview(path: Path, wish: str, channel: str) -> Response:
    parts = wish.split(";")
    kind = parts[0] if parts[0] in ("webp", "jpeg") and "a" not in channel else "webp"
    quality = int(parts[-1]) if parts[-1].isdigit() else QUALITY
    buffer = io.BytesIO()
    with Image.open(path, formats=FORMATS) as file:
        picture = file.convert("RGB") if kind == "jpeg" or channel == "rgb" else file
        picture.save(buffer, format=kind, quality=quality)
    return Response(buffer.getvalue(), headers=_disposition(path), media_type=f"image/{kind}")


def _channel(path: Path, channel: str) -> Response:
    buffer = io.BytesIO()
    with Image.open(path, formats=FORMATS) as file:
        if channel == "rgb":
            file.convert("RGB").save(buffer, format="PNG")
        else:
            alpha = file.getchannel("A") if file.mode == "RGBA" else Image.new("L", file.size, 255)
            picture = Image.new("RGBA", file.size)
            picture.putalpha(alpha)
            picture.save(buffer, format="PNG")
    return Response(buffer.getvalue(), headers=_disposition(path), media_type="image/png")


def stored(path: Path, asked: Headers) -> Response:
    """Return a file's bytes, honouring Range, If-None-Match and If-Modified-Since."""
    facts = path.stat()
    guess = SPELLED.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    headers = {
        **_disposition(path),
        "Content-Type": "application/octet-stream" if guess in ACTIVE else guess,
        "Etag": f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"',
        "Last-Modified": formatdate(facts.st_mtime, usegmt=True),
    }
    if _unchanged(asked, headers["Etag"], facts.st_mtime):
        return Response(status_code=304, headers=headers)
    try:
        first, last = span(asked.get("range"), facts.st_size)
    except ValueError:
        bad = {key: headers[key] for key in ("Content-Disposition", "Content-Type")}
        return Response(status_code=416, headers={**bad, "Content-Range": f"bytes */{facts.st_size}"})
    headers["Accept-Ranges"] = "bytes"
    headers["Content-Length"] = str(last - first)
    partial = asked.get("range") is not None
    if partial:
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{facts.st_size}"
    status = 206 if partial else 200
    if last - first > WHOLE_BYTES:
        return StreamingResponse(_chunks(path, first, last), status_code=status, headers=headers)
    with path.open("rb") as file:
        file.seek(first)
        return Response(file.read(last - first), status_code=status, headers=headers)


def _chunks(path: Path, first: int, last: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        left = last - first
        while left > 0 and (chunk := file.read(min(left, WHOLE_BYTES))):
            left -= len(chunk)
            yield chunk


def _unchanged(asked: Headers, etag: str, modified_s: float) -> bool:
    wanted = asked.get("if-none-match")
    if wanted:
        return wanted.strip() == "*" or etag in [tag.strip() for tag in wanted.split(",")]
    since = asked.get("if-modified-since")
    if not since:
        return False
    try:
        return int(modified_s) <= parsedate_to_datetime(since).timestamp()
    except ValueError:
        return False


def span(wanted: str | None, size: int) -> tuple[int, int]:
    """Return the byte range ``[first, last)`` of a Range header over *size* bytes; everything without one.

    Raises:
        ValueError: The header is malformed, names several ranges, or lies past the end.

    """
    if wanted is None:
        return 0, size
    unit, _, numbers = wanted.partition("=")
    start, dash, end = numbers.strip().partition("-")
    if unit != "bytes" or not dash or (not start and not end):
        raise ValueError(f"not one byte range: {wanted!r}")
    if not start:
        return max(0, size - int(end)), size
    first, last = int(start), min(int(end) + 1 if end else size, size)
    if first >= last:
        raise ValueError(f"range outside the file: {wanted!r}")
    return first, last
