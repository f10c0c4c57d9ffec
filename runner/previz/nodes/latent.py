"""Latents: sizes in px and what they hold; encoding keeps the picture, decoding stays lazy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runner.previz.nodes.definition import (
    LARGEST_SIDE,
    Call,
    NodeClass,
    choice,
    integer,
    link,
    number,
    switch,
)
from runner.previz.picture import Conditioning, Images, Latent, Mask, decoded

CELL = 8
"""Px per latent cell; sizes are rounded down to it."""


def empty(call: Call, *, width: int, height: int, batch_size: int) -> tuple[Any, ...]:
    """Return an empty latent."""
    return (Latent(width=whole(width), height=whole(height), batch=batch_size),)


def whole(side: int) -> int:
    """Return *side* rounded down to full cells, at least one."""
    return max(CELL, side // CELL * CELL)


def decode(call: Call, *, samples: Latent, **_: Any) -> tuple[Any, ...]:
    """Return the pictures, not drawn yet."""
    return (decoded(samples),)


def encode(call: Call, *, pixels: Images, **_: Any) -> tuple[Any, ...]:
    """Return a latent that holds the pictures."""
    return (held_latent(pixels),)


def held_latent(pixels: Images) -> Latent:
    """Return a latent of the pictures' size that holds them; a sampler's pictures stay known as such."""
    width, height = whole(pixels.width), whole(pixels.height)
    if pixels.origin is not None:
        return resized(pixels.origin, width, height)
    return Latent(width=width, height=height, batch=pixels.count, source=pixels)


def scaled(call: Call, *, samples: Latent, upscale_method: str, scale_by: float) -> tuple[Any, ...]:
    """Return the latent at another size."""
    width, height = round(samples.width * scale_by), round(samples.height * scale_by)
    return (resized(samples, width, height),)


def scaled_to(
    call: Call, *, samples: Latent, upscale_method: str, width: int, height: int, crop: str
) -> tuple[Any, ...]:
    """Return the latent at a given size; a side of 0 follows the other one, both 0 keep the size."""
    if width == 0 and height == 0:
        return (samples,)
    if width == 0:
        width = round(samples.width * height / samples.height)
    if height == 0:
        height = round(samples.height * width / samples.width)
    return (resized(samples, width, height),)


def resized(latent: Latent, width: int, height: int) -> Latent:
    """Return *latent* at another size, in whole cells."""
    return replace(latent, width=whole(width), height=whole(height))


def masked(call: Call, *, samples: Latent, mask: Mask) -> tuple[Any, ...]:
    """Return the latent unchanged: a card does not show the mask."""
    return (samples,)


def encode_masked(call: Call, *, pixels: Images, mask: Mask, **_: Any) -> tuple[Any, ...]:
    """Return a latent that holds the pictures."""
    return (held_latent(pixels),)


def inpaint(
    call: Call, *, positive: Conditioning, negative: Conditioning, pixels: Images, **_: Any
) -> tuple[Any, ...]:
    """Return both conditionings and a latent that holds the pictures."""
    return positive, negative, held_latent(pixels)


SIZE = {
    "width": integer(512, 0, LARGEST_SIDE, 8),
    "height": integer(512, 0, LARGEST_SIDE, 8),
    "crop": choice("disabled", "center"),
}
METHODS = choice("nearest-exact", "bilinear", "area", "bicubic", "bislerp")
BATCH = integer(1, 1, 4096, None)
PIXELS = {"pixels": link("IMAGE"), "vae": link("VAE")}

CLASSES = (
    NodeClass(
        name="EmptyLatentImage",
        run=empty,
        category="latent",
        display="Empty Latent Image",
        required={
            "width": integer(512, 16, LARGEST_SIDE, 8),
            "height": integer(512, 16, LARGEST_SIDE, 8),
            "batch_size": BATCH,
        },
        returns=("LATENT",),
    ),
    NodeClass(
        name="EmptySD3LatentImage",
        run=empty,
        category="latent/sd3",
        module="comfy_extras.nodes_sd3",
        newer=True,
        required={
            "width": integer(1024, 16, LARGEST_SIDE, 16),
            "height": integer(1024, 16, LARGEST_SIDE, 16),
            "batch_size": BATCH,
        },
        returns=("LATENT",),
    ),
    NodeClass(
        name="VAEDecode",
        run=decode,
        category="latent",
        display="VAE Decode",
        required={"samples": link("LATENT"), "vae": link("VAE")},
        returns=("IMAGE",),
    ),
    NodeClass(
        name="VAEDecodeTiled",
        run=decode,
        category="_for_testing",
        display="VAE Decode (Tiled)",
        required={
            "samples": link("LATENT"),
            "vae": link("VAE"),
            "tile_size": integer(512, 64, 4096, 32),
            "overlap": integer(64, 0, 4096, 32),
            "temporal_size": integer(64, 8, 4096, 4),
            "temporal_overlap": integer(8, 4, 4096, 4),
        },
        returns=("IMAGE",),
    ),
    NodeClass(
        name="VAEEncode",
        run=encode,
        category="latent",
        display="VAE Encode",
        required=PIXELS,
        returns=("LATENT",),
    ),
    NodeClass(
        name="VAEEncodeForInpaint",
        run=encode_masked,
        category="latent/inpaint",
        display="VAE Encode (for Inpainting)",
        required={**PIXELS, "mask": link("MASK"), "grow_mask_by": integer(6, 0, 64)},
        returns=("LATENT",),
    ),
    NodeClass(
        name="InpaintModelConditioning",
        run=inpaint,
        category="conditioning/inpaint",
        required={
            "positive": link("CONDITIONING"),
            "negative": link("CONDITIONING"),
            "vae": link("VAE"),
            "pixels": link("IMAGE"),
            "mask": link("MASK"),
            "noise_mask": switch(True),
        },
        returns=("CONDITIONING", "CONDITIONING", "LATENT"),
        return_names=("positive", "negative", "latent"),
    ),
    NodeClass(
        name="SetLatentNoiseMask",
        run=masked,
        category="latent/inpaint",
        display="Set Latent Noise Mask",
        required={"samples": link("LATENT"), "mask": link("MASK")},
        returns=("LATENT",),
    ),
    NodeClass(
        name="LatentUpscale",
        run=scaled_to,
        category="latent",
        display="Upscale Latent",
        required={"samples": link("LATENT"), "upscale_method": METHODS, **SIZE},
        returns=("LATENT",),
    ),
    NodeClass(
        name="LatentUpscaleBy",
        run=scaled,
        category="latent",
        display="Upscale Latent By",
        required={
            "samples": link("LATENT"),
            "upscale_method": METHODS,
            "scale_by": number(1.5, 0.01, 8.0),
        },
        returns=("LATENT",),
    ),
)
