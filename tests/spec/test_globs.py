"""What a pattern of pictures may ask for."""

from __future__ import annotations

import pytest

HEAD = "animerun: 1\nepisode: ep\ntemplate: refs\n"


def scene(pattern: str) -> str:
    """Return a spec whose pictures are those of *pattern*."""
    return HEAD + f'scenes: {{s: {{prompt: x, poses: "{pattern}"}}}}'


@pytest.fixture
def deep(studio):
    """A studio with a picture in the last of 41 folders inside each other."""
    studio.touch("/".join(["a"] * 41) + "/owl.png")
    return studio


def test_any_depth_is_walked_once(deep):
    """`**` right behind `**` says nothing new: six of them are one, not forty folders to the sixth."""
    job = deep.job(scene("**/**/**/**/**/**/*.png"))

    assert job.values["poses"] == [{"$file": "/".join(["a"] * 41) + "/owl.png"}]


def test_a_pattern_walks_any_depth_twice_at_most(deep):
    """Three `**` with folders between them are refused in a sentence, before any folder is read."""
    (message,) = deep.messages(scene("**/a/**/a/**/*.png"))

    assert "a pattern holds at most 2 `**`; write the folders' names instead" in message
