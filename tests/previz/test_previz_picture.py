"""Descriptors: what a card is told, and that nothing is drawn before somebody looks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from runner.previz.nodes.definition import Call
from runner.previz.nodes.image import scale_to
from runner.previz.nodes.latent import encode, scaled
from runner.previz.nodes.sampling import sampled
from runner.previz.picture import (
    Images,
    Latent,
    Sample,
    Story,
    card_for,
    decoded,
    held,
    joined,
    solid,
    story_of,
)

SAMPLE = Sample(
    model="ink.safetensors",
    loras=("aki@0.8",),
    positive="a lighthouse",
    negative="blurry",
    seed=7,
    steps=20,
    cfg=5.0,
    sampler="euler/normal",
    denoise=0.5,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def job(**told: Any) -> dict[str, Any]:
    """Return the extra data of a submission that tells *told*."""
    return {"extra_pnginfo": {"animerun": {"job": told}}}


def test_the_story_comes_from_the_submission() -> None:
    """Known words are taken as text, numbers too."""
    story = story_of(job(episode="ep01", cut=3, cast=["aki", "ren"], unknown="x"))

    assert story == Story(episode="ep01", cut="3", cast=("aki", "ren"))


@given(JSON)
def test_any_submission_has_a_story(told: Any) -> None:
    """Wrong types anywhere give an empty word, never an error, and the story can be a key."""
    keys = ("cast", "episode", "scene")
    stories = [story_of(told), story_of({"extra_pnginfo": told}), story_of(job(**dict.fromkeys(keys, told)))]

    assert len({hash(story) for story in stories}) >= 1
    assert all(isinstance(story.episode, str) for story in stories)


def test_a_card_is_told_everything_that_was_asked_for() -> None:
    """Size, texts, seed, sampler, models, story and the picture it starts from."""
    source = held(Image.new("RGB", (32, 16), (9, 9, 9)))
    latent = sampled(Latent(width=32, height=16, source=source), SAMPLE)
    card = card_for(latent, SAMPLE, Story(scene="s01", cast=("aki",)), 2)

    assert (card.width, card.height, card.prompt, card.negative) == (32, 16, "a lighthouse", "blurry")
    assert (card.seed, card.denoise, card.model, card.loras) == (7, 0.5, "ink.safetensors", ("aki@0.8",))
    assert (card.scene, card.cast, card.batch_index) == ("s01", ("aki",), 2)
    assert card.source.getpixel((0, 0)) == (9, 9, 9)


@pytest.mark.parametrize(
    ("seed", "expected"),
    [(7, [(128, 64, True)]), (8, [(128, 64, True), (128, 64, False)])],
    ids=["same picture", "another picture"],
)
def test_a_second_pass(monkeypatch: pytest.MonkeyPatch, seed: int, expected: list[tuple]) -> None:
    """Over the same picture it is one larger card; with another seed it starts from the card before."""
    cards = []

    def draw(card: Any) -> Image.Image:
        cards.append(card)
        return Image.new("RGB", (card.width, card.height))

    monkeypatch.setattr("runner.previz.picture.draw_card", draw)
    first = sampled(Latent(width=64, height=32), SAMPLE)
    (larger,) = scaled(CALL, samples=first, upscale_method="area", scale_by=2.0)
    decoded(sampled(larger, replace(SAMPLE, seed=seed))).frame(0, Story())

    assert [(card.width, card.height, card.source is None) for card in cards] == expected


def test_an_enlarged_card_is_still_known_as_one() -> None:
    """Scaling pixels and encoding them again keeps what was sampled, at the new size."""
    cards = decoded(sampled(Latent(width=64, height=32), SAMPLE))
    (larger,) = scale_to(CALL, image=cards, upscale_method="area", width=128, height=64, crop="center")
    (latent,) = encode(CALL, pixels=larger, vae=None)

    assert (latent.width, latent.height, latent.sample, latent.source) == (128, 64, SAMPLE, None)


CALL: Call = None  # type: ignore[assignment]  # these nodes do not look at their call


def counted(log: list[int], count: int = 2) -> Images:
    """Return pictures that note when they are drawn."""

    def draw(index: int, _story: Story) -> Image.Image:
        log.append(index)
        return Image.new("RGB", (8, 4), (index, 0, 0))

    return Images(width=8, height=4, count=count, draw=draw)


def test_nothing_is_drawn_before_it_is_looked_at() -> None:
    """Scaling and joining only describe; a frame is drawn once for one story."""
    log: list[int] = []
    (larger,) = scale_to(CALL, image=counted(log), upscale_method="area", width=16, height=0, crop="disabled")
    both = joined(larger, counted(log))
    assert (log, both.shape) == ([], (4, 8, 16, 3))

    both.frame(1, Story())
    both.frame(1, Story())
    assert log == [1]


def test_another_story_is_another_drawing() -> None:
    """A cached picture is drawn anew for a job that tells something else."""
    log: list[int] = []
    images = counted(log, count=1)
    images.frame(0, Story(cut="c001"))
    images.frame(0, Story(cut="c002"))

    assert log == [0, 0]


@pytest.mark.parametrize("size", [(0, 8), (16384, 16384)])
def test_absurd_sizes_are_refused(size: tuple[int, int]) -> None:
    """No picture without an area, none that would eat the machine."""
    with pytest.raises(ValueError, match="outside"):
        solid(*size, 1, 0)
