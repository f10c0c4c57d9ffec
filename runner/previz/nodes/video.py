"""Video: the latents that image-to-video graphs start from, and a video value.

`SaveVideo` is not offered yet: writing MP4 needs PyAV, which is an optional dependency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.previz.nodes.definition import LARGEST_SIDE, Call, NodeClass, integer, link, number
from runner.previz.nodes.latent import whole
from runner.previz.picture import Conditioning, Images, Latent


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A VIDEO value."""

    images: Images
    fps: float


def create(call: Call, *, images: Images, fps: float, audio: Any = None) -> tuple[Any, ...]:
    """Return the frames with their rate."""
    _ = images.shape
    return (Video(images=images, fps=fps),)


def clip_latent(width: int, height: int, length: int, batch: int, start: Images | None) -> Latent:
    """Return the latent of a clip of *length* frames that begins with *start*."""
    return Latent(width=whole(width), height=whole(height), frames=max(1, length), batch=batch, source=start)


def image_to_video(
    call: Call,
    *,
    positive: Conditioning,
    negative: Conditioning,
    width: int,
    height: int,
    length: int,
    batch_size: int,
    start_image: Images | None = None,
    **_: Any,
) -> tuple[Any, ...]:
    """Return both conditionings and the clip's latent."""
    return positive, negative, clip_latent(width, height, length, batch_size, start_image)


def image_to_latent(
    call: Call,
    *,
    width: int,
    height: int,
    length: int,
    batch_size: int,
    start_image: Images | None = None,
    **_: Any,
) -> tuple[Any, ...]:
    """Return the clip's latent."""
    return (clip_latent(width, height, length, batch_size, start_image),)


def _size(width: int, height: int, length: int, step: int) -> dict[str, Any]:
    return {
        "width": integer(width, step, LARGEST_SIDE, step),
        "height": integer(height, step, LARGEST_SIDE, step),
        "length": integer(length, 1, LARGEST_SIDE, 4),
        "batch_size": integer(1, 1, 4096, None),
    }


WAN = "comfy_extras.nodes_wan"
GUIDES = {"positive": link("CONDITIONING"), "negative": link("CONDITIONING"), "vae": link("VAE")}
THREE = ("CONDITIONING", "CONDITIONING", "LATENT")
THREE_NAMES = ("positive", "negative", "latent")

CLASSES = (
    NodeClass(
        name="WanImageToVideo",
        run=image_to_video,
        category="conditioning/video_models",
        module=WAN,
        newer=True,
        required={**GUIDES, **_size(832, 480, 81, 16)},
        optional={"clip_vision_output": link("CLIP_VISION_OUTPUT"), "start_image": link("IMAGE")},
        returns=THREE,
        return_names=THREE_NAMES,
    ),
    NodeClass(
        name="WanFirstLastFrameToVideo",
        run=image_to_video,
        category="conditioning/video_models",
        module=WAN,
        newer=True,
        required={**GUIDES, **_size(832, 480, 81, 16)},
        optional={
            "clip_vision_start_image": link("CLIP_VISION_OUTPUT"),
            "clip_vision_end_image": link("CLIP_VISION_OUTPUT"),
            "start_image": link("IMAGE"),
            "end_image": link("IMAGE"),
        },
        returns=THREE,
        return_names=THREE_NAMES,
    ),
    NodeClass(
        name="Wan22ImageToVideoLatent",
        run=image_to_latent,
        category="conditioning/inpaint",
        module=WAN,
        newer=True,
        required={"vae": link("VAE"), **_size(1280, 704, 49, 32)},
        optional={"start_image": link("IMAGE")},
        returns=("LATENT",),
    ),
    NodeClass(
        name="CreateVideo",
        run=create,
        category="image/video",
        display="Create Video",
        module="comfy_extras.nodes_video",
        newer=True,
        required={"images": link("IMAGE"), "fps": number(30.0, 1.0, 120.0, 1.0)},
        optional={"audio": link("AUDIO")},
        returns=("VIDEO",),
    ),
)
