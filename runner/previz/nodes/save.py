"""Save nodes: real files with the prompt inside, named by the counter rule."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from PIL import Image, PngImagePlugin

from runner.previz.files import Place, claim
from runner.previz.nodes.definition import (
    Call,
    NodeClass,
    Ui,
    choice,
    integer,
    late_choice,
    link,
    number,
    string,
    switch,
)
from runner.previz.picture import Images

COMPRESSION = 1
"""Of every PNG; the real server's 4 makes a card a fifth smaller and takes twice as long."""
EXIF_MODEL = 0x0110
EXIF_MAKE = 0x010F
WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}


def text_chunks(prompt: Any, extra_pnginfo: Any) -> PngImagePlugin.PngInfo:
    """Return the prompt and every key of *extra_pnginfo* as tEXt chunks of JSON."""
    chunks = PngImagePlugin.PngInfo()
    if prompt is not None:
        chunks.add_text("prompt", json.dumps(prompt))
    if extra_pnginfo is not None:
        for key in extra_pnginfo:
            chunks.add_text(key, json.dumps(extra_pnginfo[key]))
    return chunks


def save(
    call: Call, *, images: Images, filename_prefix: str, prompt: Any = None, extra_pnginfo: Any = None
) -> Ui:
    """Write one PNG per picture into the output folder."""
    _, height, width, _ = images.shape
    place = claim(call.folders, prefix=filename_prefix, kind="output", width=width, height=height)
    return _write_pngs(call, images, place, text_chunks(prompt, extra_pnginfo))


def preview(call: Call, *, images: Images, prompt: Any = None, extra_pnginfo: Any = None) -> Ui:
    """Write one PNG per picture into the temp folder."""
    _, height, width, _ = images.shape
    prefix = f"ComfyUI_temp_{call.letters.of(call.node_id, call.class_type)}"
    place = claim(call.folders, prefix=prefix, kind="temp", width=width, height=height)
    return _write_pngs(call, images, place, text_chunks(prompt, extra_pnginfo))


def _write_pngs(call: Call, images: Images, place: Place, chunks: PngImagePlugin.PngInfo) -> Ui:
    entries = []
    for index in range(images.count):
        stem = place.stem.replace("%batch_num%", str(index))
        name = f"{stem}_{place.counter + index:05}_.png"
        picture = images.frame(index, call.story)
        picture.save(place.folder / name, pnginfo=chunks, compress_level=COMPRESSION)
        entries.append(place.entry(name))
    return Ui(shown={"images": entries}, result=(images,))


def save_to_socket(call: Call, *, images: Images) -> Ui:
    """Send every picture as a binary PNG frame and write nothing."""
    count = images.shape[0]
    for index in range(count):
        call.report(index, count)
        buffer = io.BytesIO()
        images.frame(index, call.story).save(buffer, format="PNG", compress_level=COMPRESSION)
        call.send_bytes(struct.pack(">II", 1, 2) + buffer.getvalue())
    return Ui(shown={})


def save_webp(
    call: Call,
    *,
    images: Images,
    filename_prefix: str,
    fps: float,
    lossless: bool,
    quality: int,
    method: str,
    prompt: Any = None,
    extra_pnginfo: Any = None,
) -> Ui:
    """Write one animated WEBP."""
    frames, place = _frames(call, images, filename_prefix)
    exif = frames[0].getexif()
    if prompt is not None:
        exif[EXIF_MODEL] = f"prompt:{json.dumps(prompt)}"
    for offset, key in enumerate(extra_pnginfo or ()):
        exif[EXIF_MAKE - offset] = f"{key}:{json.dumps(extra_pnginfo[key])}"
    name = f"{place.stem}_{place.counter:05}_.webp"
    frames[0].save(
        place.folder / name,
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / fps),
        lossless=lossless,
        quality=quality,
        method=WEBP_METHODS[method],
        exif=exif,
    )
    return Ui(shown={"images": [place.entry(name)], "animated": [True]})


def save_apng(
    call: Call,
    *,
    images: Images,
    filename_prefix: str,
    fps: float,
    compress_level: int,
    prompt: Any = None,
    extra_pnginfo: Any = None,
) -> Ui:
    """Write one animated PNG."""
    frames, place = _frames(call, images, filename_prefix)
    chunks = PngImagePlugin.PngInfo()
    for key, value in _told(prompt, extra_pnginfo).items():
        text = key.encode("latin-1") + b"\0" + json.dumps(value).encode("latin-1")
        chunks.add(b"comf", text, after_idat=True)
    name = f"{place.stem}_{place.counter:05}_.png"
    frames[0].save(
        place.folder / name,
        pnginfo=chunks,
        compress_level=compress_level,
        save_all=True,
        append_images=frames[1:],
        duration=int(1000 / fps),
    )
    return Ui(shown={"images": [place.entry(name)], "animated": [True]})


def _told(prompt: Any, extra_pnginfo: Any) -> Mapping[str, Any]:
    told = {} if prompt is None else {"prompt": prompt}
    return {**told, **(extra_pnginfo or {})}


def _frames(call: Call, images: Images, prefix: str) -> tuple[list[Image.Image], Place]:
    count, height, width, _ = images.shape
    place = claim(call.folders, prefix=prefix, kind="output", width=width, height=height)
    return [images.frame(index, call.story) for index in range(count)], place


def show_any(call: Call, *, source: Any = None) -> Ui:
    """Show any value as text."""
    if isinstance(source, str):
        text = source
    elif isinstance(source, int | float | bool):
        text = str(source)
    else:
        text = "None" if source is None else repr(source)
    return Ui(shown={"text": [text]}, result=(text,))


def save_text(
    call: Call, *, text: str, filename_prefix: str, format: str, prompt: Any = None, extra_pnginfo: Any = None
) -> Ui:
    """Write one text file; JSON that can be read is laid out anew."""
    place = claim(call.folders, prefix=filename_prefix, kind="output", width=1, height=1)
    name = f"{place.stem}_{place.counter:05}.{format}"
    content = text
    if format == "json":
        with suppress(json.JSONDecodeError):
            content = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    (place.folder / name).write_text(content, "utf-8", newline="")
    return Ui(shown={"text": [text], "files": [place.entry(name)]}, result=(text,))


TEXT_FORMATS = ("txt", "csv", "md", "json")


HIDDEN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
PREFIX = {"images": link("IMAGE"), "filename_prefix": string(default="ComfyUI")}
FPS = number(6.0, 0.01, 1000.0)

CLASSES = (
    NodeClass(
        name="SaveImage",
        run=save,
        category="image",
        display="Save Image",
        output=True,
        required=PREFIX,
        hidden=HIDDEN,
        returns=("IMAGE",),
        return_names=("images",),
    ),
    NodeClass(
        name="PreviewImage",
        run=preview,
        category="image",
        display="Preview Image",
        output=True,
        required={"images": link("IMAGE")},
        hidden=HIDDEN,
        returns=("IMAGE",),
        return_names=("images",),
    ),
    NodeClass(
        name="SaveImageWebsocket",
        run=save_to_socket,
        category="api/image",
        module="custom_nodes.websocket_image_save",
        output=True,
        required={"images": link("IMAGE")},
        changed=lambda _folders, _inputs: float("nan"),
    ),
    NodeClass(
        name="SaveAnimatedWEBP",
        run=save_webp,
        category="image/animation",
        module="comfy_extras.nodes_images",
        output=True,
        required={
            **PREFIX,
            "fps": FPS,
            "lossless": switch(True),
            "quality": integer(80, 0, 100, None),
            "method": choice(*WEBP_METHODS),
        },
        hidden=HIDDEN,
    ),
    NodeClass(
        name="SaveAnimatedPNG",
        run=save_apng,
        category="image/animation",
        module="comfy_extras.nodes_images",
        output=True,
        required={**PREFIX, "fps": FPS, "compress_level": integer(4, 0, 9, None)},
        hidden=HIDDEN,
    ),
    NodeClass(
        name="PreviewAny",
        run=show_any,
        category="utils",
        display="Preview Any",
        module="comfy_extras.nodes_preview_any",
        output=True,
        required={"source": link("*")},
        returns=("STRING",),
    ),
    NodeClass(
        name="SaveText",
        run=save_text,
        category="text",
        display="Save Text",
        module="comfy_extras.nodes_text",
        newer=True,
        output=True,
        required={
            "text": string(forceInput=True, multiline=False),
            "filename_prefix": string(default="ComfyUI", multiline=False),
            "format": late_choice(*TEXT_FORMATS, default="txt"),
        },
        hidden=HIDDEN,
        returns=("STRING",),
        return_names=("text",),
    ),
)
