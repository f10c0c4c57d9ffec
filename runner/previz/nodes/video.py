"""Video: the latents that image-to-video graphs start from, a video value, and its file."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from runner.previz.files import claim
from runner.previz.film import mp4
from runner.previz.nodes.definition import (
    LARGEST_SIDE,
    Call,
    NodeClass,
    Socket,
    Ui,
    dynamic,
    integer,
    late_choice,
    link,
    number,
    option,
    string,
)
from runner.previz.nodes.latent import whole
from runner.previz.nodes.save import HIDDEN
from runner.previz.picture import Conditioning, Images, Latent


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A VIDEO value."""

    images: Images
    fps: float


def create(call: Call, *, images: Images, fps: float, **_more: Any) -> tuple[Any, ...]:
    """Return the frames with their rate."""
    _ = images.shape
    return (Video(images=images, fps=fps),)


def save(
    call: Call,
    *,
    video: Video,
    filename_prefix: str,
    format: str,
    prompt: Any = None,
    extra_pnginfo: Any = None,
    **_: Any,
) -> Ui:
    """Write one MP4, whatever codec is asked for."""
    count, height, width, _channels = video.images.shape
    place = claim(call.folders, prefix=filename_prefix, kind="output", width=width, height=height)
    told = {**(extra_pnginfo or {}), **({} if prompt is None else {"prompt": prompt})}
    film = mp4(
        [_jpeg(call, video.images, index) for index in range(count)],
        width=width,
        height=height,
        fps=video.fps,
        tags={key: json.dumps(value) for key, value in told.items()},
    )
    name = f"{place.stem}_{place.counter:05}_.mp4"
    (place.folder / name).write_bytes(film)
    return Ui(shown={"images": [place.entry(name)], "animated": [True]}, result=(video,))


def _jpeg(call: Call, images: Images, index: int) -> bytes:
    buffer = io.BytesIO()
    images.frame(index, call.story).convert("RGB").save(buffer, format="JPEG", quality=QUALITY)
    return buffer.getvalue()


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


CONTAINERS = ("auto", "mp4")
QUALITY = 90


def _codec(**more: Any) -> Socket:
    crf = number(23.0, 0.0, 51.0, 1.0)
    space = late_choice("auto", "sRGB", "HDR", "HDR PQ", default="auto")
    encoding = dynamic(option("auto"), option("re-encode", {"crf": crf, "color_space": space}))
    known = [option(key, optional={"encoding": encoding}) for key in ("h264", "av1")]
    return dynamic(option("auto"), *known, **more)


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
        optional={"audio": link("AUDIO"), "bit_depth": integer(8, 8, 10, 2)},
        returns=("VIDEO",),
    ),
    NodeClass(
        name="SaveVideo",
        run=save,
        category="video",
        display="Save Video",
        module="comfy_extras.nodes_video",
        newer=True,
        output=True,
        required={
            "video": link("VIDEO"),
            "filename_prefix": string(default="video/ComfyUI", multiline=False),
            "format": dynamic(*(option(key, {"codec": _codec()}) for key in CONTAINERS)),
        },
        optional={"codec": _codec(hidden=True)},
        hidden=HIDDEN,
        returns=("VIDEO",),
        return_names=("video",),
    ),
)
