"""Pictures: plain, loaded, scaled, inverted, joined; and masks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageSequence

from runner.pictures import opened
from runner.previz.files import Folders
from runner.previz.nodes.definition import (
    LARGEST_SIDE,
    Call,
    NodeClass,
    Socket,
    choice,
    integer,
    late_choice,
    link,
    number,
    switch,
)
from runner.previz.picture import Images, Mask, Named, Story, held, joined, mapped, repeated, solid

RESAMPLING = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
NO_MASK = (64, 64)
BLENDS: dict[str, Callable[[Image.Image, Image.Image], Image.Image]] = {
    "normal": lambda _below, above: above,
    "multiply": ImageChops.multiply,
    "screen": ImageChops.screen,
    "overlay": ImageChops.overlay,
    "soft_light": ImageChops.soft_light,
    "difference": ImageChops.difference,
}
UPSCALE = re.compile(r"(\d+)x|x(\d+)", re.IGNORECASE)


def empty(call: Call, *, width: int, height: int, batch_size: int, color: int) -> tuple[Any, ...]:
    """Return plain pictures."""
    return (solid(width, height, batch_size, color),)


def invert(call: Call, *, image: Images) -> tuple[Any, ...]:
    """Return the pictures with every sample inverted."""
    _, height, width, _ = image.shape
    return (mapped(image, ImageChops.invert, (width, height)),)


def scale_by(call: Call, *, image: Images, upscale_method: str, scale_by: float) -> tuple[Any, ...]:
    """Return the pictures scaled by a factor."""
    _, height, width, _ = image.shape
    size = max(1, round(width * scale_by)), max(1, round(height * scale_by))
    return (scaled(image, size, upscale_method),)


def scale_to(
    call: Call, *, image: Images, upscale_method: str, width: int, height: int, crop: str
) -> tuple[Any, ...]:
    """Return the pictures at a given size; a side of 0 follows the other one, both 0 keep the pictures."""
    _, old_height, old_width, _ = image.shape
    if width == 0 and height == 0:
        return (image,)
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    if crop == "center":
        method = RESAMPLING[upscale_method]
        size = (width, height)
        return (mapped(image, lambda p: ImageOps.fit(p, size, method), size, origin=image.origin),)
    return (scaled(image, (width, height), upscale_method),)


def scaled(image: Images, size: tuple[int, int], method: str) -> Images:
    """Return *image* at *size* (width, height)."""
    resampling = RESAMPLING[method]
    return mapped(image, lambda picture: picture.resize(size, resampling), size, origin=image.origin)


def scale_with_model(call: Call, *, upscale_model: Named, image: Images) -> tuple[Any, ...]:
    """Return the pictures enlarged by the factor in the model's file name, else by 4."""
    _, height, width, _ = image.shape
    found = UPSCALE.search(upscale_model.file)
    factor = int(found.group(1) or found.group(2)) if found else 4
    factor = factor if 1 <= factor <= 8 else 4
    return (scaled(image, (width * factor, height * factor), "lanczos"),)


def batch(call: Call, *, image1: Images, image2: Images) -> tuple[Any, ...]:
    """Return the frames of both."""
    _ = image1.shape, image2.shape
    return (joined(image1, image2),)


def repeat(call: Call, *, image: Images, amount: int) -> tuple[Any, ...]:
    """Return the frames *amount* times over."""
    _ = image.shape
    return (repeated(image, amount),)


def blend(
    call: Call, *, image1: Images, image2: Images, blend_factor: float, blend_mode: str
) -> tuple[Any, ...]:
    """Return a mix of both, the second one laid over the first in one of BLENDS."""
    _, height, width, _ = image1.shape
    if blend_mode not in BLENDS:
        raise ValueError(f"Unsupported blend mode: {blend_mode}")
    first, second = image1.count, image2.count
    if first != second and 1 not in (first, second):
        raise RuntimeError(f"batches of {first} and {second} pictures do not match")

    def draw(index: int, story: Story) -> Image.Image:
        below = image1.frame(min(index, first - 1), story)
        above = image2.frame(min(index, second - 1), story).resize((width, height))
        return Image.blend(below, BLENDS[blend_mode](below, above), blend_factor)

    return (Images(width=width, height=height, count=max(first, second), draw=draw),)


def composite(
    call: Call,
    *,
    destination: Images,
    source: Images,
    x: int,
    y: int,
    resize_source: bool,
    mask: Mask | None = None,
) -> tuple[Any, ...]:
    """Return *destination* with *source* pasted at (x, y) through the mask."""
    _, height, width, _ = destination.shape

    def draw(index: int, story: Story) -> Image.Image:
        canvas = destination.frame(index, story).copy()
        pasted = source.frame(min(index, source.count - 1), story)
        if resize_source:
            pasted = pasted.resize(canvas.size)
        through = mask.picture.resize(pasted.size) if mask is not None else None
        canvas.paste(pasted, (x, y), through)
        return canvas

    return (Images(width=width, height=height, count=destination.count, draw=draw),)


def load(call: Call, *, image: str) -> tuple[Any, ...]:
    """Return the frames of a file and the mask made of its transparency."""
    with opened(_path(call.folders, image)) as file:
        first: tuple[int, int] | None = None
        frames: list[Images] = []
        masks: list[Image.Image] = []
        for frame in ImageSequence.Iterator(file):
            upright = ImageOps.exif_transpose(frame)
            if first is not None and upright.size != first:
                continue
            first = upright.size
            frames.append(held(upright))
            masks.append(_transparency(upright))
    result = frames[0]
    for more in frames[1:]:
        result = joined(result, more)
    return result, Mask(picture=masks[0])


def load_mask(call: Call, *, image: str, channel: str) -> tuple[Any, ...]:
    """Return one channel of a file as a mask."""
    with opened(_path(call.folders, image)) as file:
        upright = ImageOps.exif_transpose(file)
        if channel == "alpha":
            return (Mask(picture=_transparency(upright)),)
        return (Mask(picture=upright.convert("RGB").getchannel(channel[0].upper())),)


def _transparency(picture: Image.Image) -> Image.Image:
    if "A" in picture.getbands() or "transparency" in picture.info:
        return ImageChops.invert(picture.convert("RGBA").getchannel("A"))
    return Image.new("L", NO_MASK, 0)


def _path(folders: Folders, name: str) -> Path:
    path = folders.find(name)
    if path is None:
        raise FileNotFoundError(f"no such file: {name!r}")
    return path


def check_file(folders: Folders, name: Any) -> str | None:
    """Return the complaint about a file that is not there."""
    return None if folders.find(name) is not None else f"Invalid image file: {name}"


def file_hash(folders: Folders, inputs: Mapping[str, Any]) -> str:
    """Return the sha256 of the file that a loader names."""
    return hashlib.sha256(_path(folders, inputs["image"]).read_bytes()).hexdigest()


def file_choices(folders: Folders) -> dict[str, Socket]:
    """Return the `image` input with the names in the input folder."""
    return {"image": choice(*folders.input_names(), image_upload=True)}


def solid_mask(call: Call, *, value: float, width: int, height: int) -> tuple[Any, ...]:
    """Return a mask of one value."""
    return (Mask(picture=Image.new("L", (width, height), round(value * 255))),)


def grow_mask(call: Call, *, mask: Mask, expand: int, tapered_corners: bool) -> tuple[Any, ...]:
    """Return the mask grown (or shrunk, when negative) by some px; at most 64 of them are honoured."""
    reach = min(abs(expand), 64)
    grow = ImageFilter.MaxFilter(3) if expand > 0 else ImageFilter.MinFilter(3)
    picture = mask.picture
    for _ in range(reach):
        picture = picture.filter(grow)
    return (Mask(picture=picture),)


IMAGE = {"image": link("IMAGE")}
METHODS = choice(*RESAMPLING)
SIDE = integer(512, 1, LARGEST_SIDE)
MASKS = "comfy_extras.nodes_mask"

CLASSES = (
    NodeClass(
        name="EmptyImage",
        run=empty,
        category="image",
        required={
            "width": SIDE,
            "height": SIDE,
            "batch_size": integer(1, 1, 4096, None),
            "color": integer(0, 0, 0xFFFFFF, 1, display="color"),
        },
        returns=("IMAGE",),
    ),
    NodeClass(
        name="LoadImage",
        run=load,
        category="image",
        display="Load Image",
        required={"image": choice(image_upload=True)},
        returns=("IMAGE", "MASK"),
        listing=file_choices,
        check=check_file,
        checked="image",
        changed=file_hash,
    ),
    NodeClass(
        name="LoadImageMask",
        run=load_mask,
        category="mask",
        display="Load Image (as Mask)",
        required={
            "image": choice(image_upload=True),
            "channel": choice("alpha", "red", "green", "blue"),
        },
        returns=("MASK",),
        listing=file_choices,
        check=check_file,
        checked="image",
        changed=file_hash,
    ),
    NodeClass(
        name="ImageInvert",
        run=invert,
        category="image",
        display="Invert Image",
        required=IMAGE,
        returns=("IMAGE",),
    ),
    NodeClass(
        name="ImageScale",
        run=scale_to,
        category="image/upscaling",
        display="Upscale Image",
        required={
            **IMAGE,
            "upscale_method": METHODS,
            "width": integer(512, 0, LARGEST_SIDE),
            "height": integer(512, 0, LARGEST_SIDE),
            "crop": choice("disabled", "center"),
        },
        returns=("IMAGE",),
    ),
    NodeClass(
        name="ImageScaleBy",
        run=scale_by,
        category="image/upscaling",
        display="Upscale Image By",
        required={**IMAGE, "upscale_method": METHODS, "scale_by": number(1.0, 0.01, 8.0)},
        returns=("IMAGE",),
    ),
    NodeClass(
        name="ImageUpscaleWithModel",
        run=scale_with_model,
        category="image/upscaling",
        display="Upscale Image (using Model)",
        module="comfy_extras.nodes_upscale_model",
        newer=True,
        required={"upscale_model": link("UPSCALE_MODEL"), **IMAGE},
        returns=("IMAGE",),
    ),
    NodeClass(
        name="ImageBatch",
        run=batch,
        category="image",
        display="Batch Images",
        required={"image1": link("IMAGE"), "image2": link("IMAGE")},
        returns=("IMAGE",),
    ),
    NodeClass(
        name="RepeatImageBatch",
        run=repeat,
        category="image/batch",
        module="comfy_extras.nodes_images",
        required={**IMAGE, "amount": integer(1, 1, 4096, None)},
        returns=("IMAGE",),
    ),
    NodeClass(
        name="ImageBlend",
        run=blend,
        category="image/postprocessing",
        module="comfy_extras.nodes_post_processing",
        newer=True,
        required={
            "image1": link("IMAGE"),
            "image2": link("IMAGE"),
            "blend_factor": number(0.5, 0.0, 1.0),
            "blend_mode": late_choice(*BLENDS),
        },
        returns=("IMAGE",),
    ),
    NodeClass(
        name="ImageCompositeMasked",
        run=composite,
        category="image",
        module=MASKS,
        required={
            "destination": link("IMAGE"),
            "source": link("IMAGE"),
            "x": integer(0, 0, LARGEST_SIDE),
            "y": integer(0, 0, LARGEST_SIDE),
            "resize_source": switch(False),
        },
        optional={"mask": link("MASK")},
        returns=("IMAGE",),
    ),
    NodeClass(
        name="SolidMask",
        run=solid_mask,
        category="mask",
        module=MASKS,
        required={"value": number(1.0, 0.0, 1.0), "width": SIDE, "height": SIDE},
        returns=("MASK",),
    ),
    NodeClass(
        name="GrowMask",
        run=grow_mask,
        category="mask",
        module=MASKS,
        required={
            "mask": link("MASK"),
            "expand": integer(0, -LARGEST_SIDE, LARGEST_SIDE),
            "tapered_corners": switch(True),
        },
        returns=("MASK",),
    ),
)
