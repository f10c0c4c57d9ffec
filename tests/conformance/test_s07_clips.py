"""Protocol sections 6, 7.3 and 7.4 for moving pictures: one file a clip, and where its metadata lies."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from .graphs import Graph, canvas, colour, node
from .server import Server, files, outputs

EXTRA = {"workflow": {"id": "w"}, "animerun": {"job": "ep01/空"}}
SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SaveAnimatedWEBP": ("webp", {"fps": 8.0, "lossless": True, "quality": 80, "method": "default"}),
    "SaveAnimatedPNG": ("png", {"fps": 8.0, "compress_level": 4}),
    "SaveWEBM": ("webm", {"codec": "vp9", "fps": 8.0, "crf": 32.0}),
    "SaveVideo": ("mp4", {"format": "auto", "codec": "auto"}),
}


def clip(class_type: str, prefix: str) -> Graph:
    """Return a workflow that saves a clip of four frames in two colours; the last node is the saver."""
    graph = {
        "1": canvas(color=colour(), width=64, height=64),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node("RepeatImageBatch", image=["3", 0], amount=2),
    }
    options = SAVERS[class_type][1]
    if class_type == "SaveVideo":
        graph["5"] = node("CreateVideo", images=["4", 0], fps=8.0)
        return graph | {"9": node(class_type, video=["5", 0], filename_prefix=prefix, **options)}
    return graph | {"9": node(class_type, images=["4", 0], filename_prefix=prefix, **options)}


@pytest.fixture
def saved(server: Server, prefix: str, need: Callable[..., None]) -> Callable[[str], bytes]:
    """Return a function that makes one clip and returns its file."""

    def make(class_type: str) -> bytes:
        need(class_type, *(["CreateVideo"] if class_type == "SaveVideo" else []))
        entry = server.render(clip(class_type, prefix), extra_data={"extra_pnginfo": EXTRA})
        return server.view(files(entry, "9")[0]).content

    return make


@pytest.mark.parametrize("class_type", list(SAVERS))
def test_s06_clips_are_reported_under_images(
    server: Server, prefix: str, need: Callable[..., None], class_type: str
) -> None:
    """Every saver of clips reports one file under images, beside animated [true]."""
    need(class_type, *(["CreateVideo"] if class_type == "SaveVideo" else []))
    entry = server.render(clip(class_type, prefix))
    name = f"pic_00001_.{SAVERS[class_type][0]}"
    ref = {"filename": name, "subfolder": prefix.rsplit("/", 1)[0], "type": "output"}

    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    assert outputs(entry) == {"9": {"images": [ref], "animated": [True]}}


@pytest.mark.parametrize(
    ("class_type", "kind", "magic"),
    [
        ("SaveAnimatedWEBP", "image/webp", (0, b"RIFF")),
        ("SaveAnimatedPNG", "image/png", (0, b"\x89PNG")),
        ("SaveWEBM", "video/webm", (0, b"\x1a\x45\xdf\xa3")),
        ("SaveVideo", "video/mp4", (4, b"ftyp")),
    ],
)
def test_s07_1_content_types_of_clips(
    server: Server,
    prefix: str,
    need: Callable[..., None],
    class_type: str,
    kind: str,
    magic: tuple[int, bytes],
) -> None:
    """/view gives each clip its own content type and container."""
    need(class_type, *(["CreateVideo"] if class_type == "SaveVideo" else []))
    ref = files(server.render(clip(class_type, prefix)), "9")[0]
    answer = server.view(ref)
    at, head = magic

    assert answer.headers["Content-Type"] == kind
    assert answer.content[at : at + len(head)] == head


@pytest.mark.parametrize("class_type", ["SaveAnimatedWEBP", "SaveAnimatedPNG"])
def test_s07_3_frames_of_an_animation(saved: Callable[[str], bytes], class_type: str) -> None:
    """An animation holds all its frames, as long as neighbours differ, at the asked rate."""
    image = Image.open(BytesIO(saved(class_type)))

    assert image.n_frames == 4
    assert image.size == (64, 64)
    image.seek(1)
    image.load()
    assert round(image.info["duration"]) == 125


def test_s07_4_animated_webp_metadata(saved: Callable[[str], bytes]) -> None:
    """WEBP carries prompt in EXIF tag 0x0110 and the other keys in the tags below it, as key:json."""
    exif = Image.open(BytesIO(saved("SaveAnimatedWEBP"))).getexif()
    told = dict(exif[tag].split(":", 1) for tag in (0x0110, 0x010F, 0x010E))

    assert exif[0x0110].startswith("prompt:")
    assert json.loads(told["prompt"])["9"]["class_type"] == "SaveAnimatedWEBP"
    assert {key: json.loads(told[key]) for key in EXTRA} == EXTRA


def test_s07_4_animated_png_metadata(saved: Callable[[str], bytes]) -> None:
    """An animated PNG carries each key as key, zero byte, JSON in a comf chunk behind the first picture."""
    content, told, kinds, at = saved("SaveAnimatedPNG"), {}, [], 8
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        kinds.append(kind)
        if kind == b"comf":
            key, text = content[at + 8 : at + 8 + length].split(b"\0", 1)
            told[key.decode("latin-1")] = json.loads(text)
        at += 12 + length

    assert kinds.index(b"comf") > kinds.index(b"IDAT")
    assert told["prompt"]["9"]["class_type"] == "SaveAnimatedPNG"
    assert {key: told[key] for key in EXTRA} == EXTRA


@pytest.mark.parametrize(("class_type", "key"), [("SaveWEBM", b"PROMPT"), ("SaveVideo", b"prompt")])
def test_s07_4_video_metadata(saved: Callable[[str], bytes], class_type: str, key: bytes) -> None:
    """A video carries the prompt and every key of extra_pnginfo as container tags of ASCII JSON."""
    content = saved(class_type)

    assert key in content
    assert f'"class_type": "{class_type}"'.encode() in content
    assert json.dumps(EXTRA["animerun"]).encode() in content


def test_s07_3_clips_share_the_counter_of_their_prefix(
    server: Server, prefix: str, need: Callable[..., None]
) -> None:
    """The number counts files of any suffix."""
    need("SaveAnimatedWEBP", "SaveAnimatedPNG")
    server.render(clip("SaveAnimatedWEBP", prefix))

    assert files(server.render(clip("SaveAnimatedPNG", prefix)), "9")[0]["filename"] == "pic_00002_.png"
