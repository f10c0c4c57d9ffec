"""The film that previz writes, read by others: by our own check of boxes, and by PyAV where it is."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from runner.comfy.boxes import examine
from runner.previz.film import mp4

COLOURS = [(0, 0, 200), (120, 0, 200), (240, 0, 200)]


def film(tags: dict[str, str]) -> bytes:
    """Return a film of three frames in three colours."""
    frames = []
    for colour in COLOURS:
        buffer = BytesIO()
        Image.new("RGB", (64, 48), colour).save(buffer, "JPEG", quality=95)
        frames.append(buffer.getvalue())
    return mp4(frames, width=64, height=48, fps=8.0, tags=tags)


def test_its_boxes_are_whole() -> None:
    """The walk that downloads pass finds one picture track of that size and length."""
    made = film({"prompt": "{}"})
    track = examine(BytesIO(made), len(made))

    assert (track.width, track.height, track.frames) == (64, 48, 3)


def test_others_play_it() -> None:
    """PyAV reads rate, pictures and texts as they were written."""
    av = pytest.importorskip("av")
    with av.open(BytesIO(film({"prompt": '{"a": 1}', "animerun": "空"}))) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_image() for frame in container.decode(stream)]

        assert (stream.average_rate, stream.frames) == (8, 3)
        assert (container.metadata["prompt"], container.metadata["animerun"]) == ('{"a": 1}', "空")
    for picture, colour in zip(pictures, COLOURS, strict=True):
        found = picture.getpixel((20, 20))
        assert all(abs(a - b) < 12 for a, b in zip(found, colour, strict=True))
