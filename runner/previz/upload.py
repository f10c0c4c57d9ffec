"""`POST /upload/image` and `/upload/mask`: where an uploaded file goes and under which name."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from runner.pictures import FORMATS
from runner.previz.files import Folders, inside, split_annotation
from runner.previz.web import plain_json

Write = Callable[[BinaryIO, Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One uploaded file and what the form says about it."""

    name: str
    file: BinaryIO
    kind: str
    subfolder: str
    overwrite: bool


async def upload_image(folders: Folders, form: FormData) -> Response:
    """Store an uploaded file as it is."""
    return await asyncio.to_thread(_store, folders, form, _write_as_is)


async def upload_mask(folders: Folders, form: FormData) -> Response:
    """Store a copy of an earlier picture with the uploaded picture's alpha."""
    return await asyncio.to_thread(
        _store, folders, form, lambda file, path: _write_masked(folders, form, file, path)
    )


def _store(folders: Folders, form: FormData, write: Write) -> Response:
    parcel = _parcel(form)
    if parcel is None:
        return Response(status_code=400)
    top = folders.of(parcel.kind)
    if top is None:
        raise ValueError(f"no such folder type: {parcel.kind!r}")
    folder = Path(os.path.normpath(top / os.path.normpath(parcel.subfolder)))
    if not inside(Path(os.path.normpath(folder / parcel.name)), top):
        return Response(status_code=400)
    folder.mkdir(parents=True, exist_ok=True)
    name, is_known = free_name(folder, parcel)
    if not is_known:
        write(parcel.file, folder / name)
    return plain_json({"name": name, "subfolder": parcel.subfolder, "type": parcel.kind})


def _parcel(form: FormData) -> Parcel | None:
    upload = form.get("image")
    if not isinstance(upload, UploadFile) or not upload.filename:
        return None
    texts = {name: form.get(name) for name in ("type", "subfolder", "overwrite")}
    plain = {name: value for name, value in texts.items() if isinstance(value, str)}
    return Parcel(
        name=upload.filename,
        file=upload.file,
        kind=plain.get("type", "input"),
        subfolder=plain.get("subfolder", ""),
        overwrite=plain.get("overwrite") in ("true", "1"),
    )


def free_name(folder: Path, parcel: Parcel) -> tuple[str, bool]:
    """Return the name to store under, and whether the very same bytes are there already."""
    stem, suffix = os.path.splitext(parcel.name)  # noqa: PTH122  # a name may hold slashes
    name, attempt = parcel.name, 0
    while not parcel.overwrite and (folder / name).exists():
        if _digest_of(folder / name) == _digest(parcel.file):
            return name, True
        attempt += 1
        name = f"{stem} ({attempt}){suffix}"
    return name, False


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_as_is(file: BinaryIO, path: Path) -> None:
    path.write_bytes(file.read())


def _write_masked(folders: Folders, form: FormData, file: BinaryIO, path: Path) -> None:
    asked = form.get("original_ref")
    if not isinstance(asked, str):
        raise TypeError("original_ref is missing")
    reference = json.loads(asked)
    name, kind = split_annotation(reference["filename"])
    top = folders.of(kind or reference.get("type", "output"))
    if not name or name.startswith("/") or ".." in name or top is None:
        return
    folder = Path(os.path.normpath(top / reference.get("subfolder", "")))
    original = folder / Path(name).name
    if not inside(folder, top) or not original.is_file():
        return
    with Image.open(original, formats=FORMATS) as picture, Image.open(file, formats=FORMATS) as mask:
        result = picture.convert("RGBA")
        result.putalpha(mask.convert("RGBA").getchannel("A").resize(result.size))
        result.save(path, compress_level=4)
