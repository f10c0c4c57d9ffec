"""The values that travel along links: descriptors instead of tensors, pictures drawn when looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from runner.previz.card import Card, draw_card

LARGEST_AREA = 64_000_000
"""Most pixels of one picture; a real server would run out of memory somewhere above."""

REMEMBERED = 8
"""Most drawn frames kept per value, so that a preview and a save draw once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What the submission says about the job, for the card's margin; every field may be empty."""

    episode: str = ""
    title: str = ""
    scene: str = ""
    cut: str = ""
    take: str = ""
    cast: tuple[str, ...] = ()
    action: str = ""
    camera: str = ""
    place: str = ""
    light: str = ""
    expression: str = ""
    template: str = ""
    key: str = ""


STORY_TEXTS = tuple(name for name in Story.__slots__ if name != "cast")


def story_of(extra_data: object) -> Story:
    """Return the story in ``extra_pnginfo.animerun.job`` of a submission; wrong types are left out."""
    job = extra_data
    for key in ("extra_pnginfo", "animerun", "job"):
        job = job.get(key) if isinstance(job, Mapping) else None
    if not isinstance(job, Mapping):
        return Story()
    texts = {name: _text(job.get(name)) for name in STORY_TEXTS}
    cast = job.get("cast")
    names = cast if isinstance(cast, list) else [cast]
    return Story(cast=tuple(_text(name) for name in names[:16] if _text(name)), **texts)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)[:2000]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A diffusion model by name, with the LoRAs laid over it (``name@weight``)."""

    file: str
    loras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Any other loaded thing of which only the file name matters (CLIP, VAE, ControlNet, upscaler)."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioning:
    """The text that a sampler is guided by."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one sampler run was asked for."""

    model: str
    loras: tuple[str, ...]
    positive: str
    negative: str
    seed: int
    steps: int
    cfg: float
    sampler: str
    denoise: float


class Images:
    """An IMAGE value: *count* pictures of one size, drawn when a frame is asked for."""

    def __init__(
        self,
        *,
        width: int,
        height: int,
        count: int,
        draw: Callable[[int, Story], Image.Image],
        origin: Latent | None = None,
    ) -> None:
        if width < 1 or height < 1 or width * height > LARGEST_AREA:
            raise ValueError(f"a picture of {width}x{height} px is outside what previz draws")
        self.width = width
        self.height = height
        self.count = count
        self.origin = origin
        """The sampled latent these pictures show, at whatever size; None when they show anything else."""
        self._draw = draw
        self._drawn: dict[tuple[int, Story], Image.Image] = {}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(count, height, width, 3)."""
        return self.count, self.height, self.width, 3

    def frame(self, index: int, story: Story) -> Image.Image:
        """Return one picture, RGB, exactly width x height px; not to be changed by the caller."""
        key = (index, story)
        if key not in self._drawn:
            if len(self._drawn) >= REMEMBERED:
                self._drawn.clear()
            self._drawn[key] = self._draw(index, story)
        return self._drawn[key]

    def __repr__(self) -> str:
        return f"images(count={self.count}, width={self.width}, height={self.height})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """A MASK value: one grey picture, 255 = selected."""

    picture: Image.Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """A LATENT value: a size in px, a batch, and what it holds: nothing, a picture or a sampler's result."""

    width: int
    height: int
    batch: int = 1
    frames: int = 1
    sample: Sample | None = None
    source: Images | None = None


def solid(width: int, height: int, count: int, colour: int) -> Images:
    """Return plain pictures of a 0xRRGGBB colour."""
    rgb = ((colour >> 16) & 0xFF, (colour >> 8) & 0xFF, colour & 0xFF)
    return Images(
        width=width, height=height, count=count, draw=lambda _i, _s: Image.new("RGB", (width, height), rgb)
    )


def held(picture: Image.Image) -> Images:
    """Return one picture that already exists."""
    rgb = picture.convert("RGB")
    return Images(width=rgb.width, height=rgb.height, count=1, draw=lambda _i, _s: rgb)


def mapped(
    images: Images,
    change: Callable[[Image.Image], Image.Image],
    size: tuple[int, int],
    *,
    origin: Latent | None = None,
) -> Images:
    """Return *images* with *change* applied to each frame; *change* must return *size*."""
    width, height = size
    return Images(
        width=width,
        height=height,
        count=images.count,
        draw=lambda i, story: change(images.frame(i, story)),
        origin=origin,
    )


def joined(first: Images, second: Images) -> Images:
    """Return the frames of both, the second ones scaled to the size of the first."""

    def draw(index: int, story: Story) -> Image.Image:
        if index < first.count:
            return first.frame(index, story)
        picture = second.frame(index - first.count, story)
        return picture if picture.size == size else picture.resize(size)

    size = (first.width, first.height)
    return Images(width=first.width, height=first.height, count=first.count + second.count, draw=draw)


def repeated(images: Images, amount: int) -> Images:
    """Return every frame of *images*, *amount* times over."""
    return Images(
        width=images.width,
        height=images.height,
        count=images.count * amount,
        draw=lambda i, story: images.frame(i % images.count, story),
    )


def decoded(latent: Latent) -> Images:
    """Return what a latent shows: cards for a sampler's result, else what was encoded, else grey."""
    count = latent.batch * latent.frames
    if latent.sample is not None:
        return _cards(latent, latent.sample, count)
    if latent.source is not None:
        return _fitted(latent.source, latent.width, latent.height, count)
    return solid(latent.width, latent.height, count, 0x808080)


def _fitted(source: Images, width: int, height: int, count: int) -> Images:
    def draw(index: int, story: Story) -> Image.Image:
        picture = source.frame(min(index, source.count - 1), story)
        return picture if picture.size == (width, height) else picture.resize((width, height))

    return Images(width=width, height=height, count=count, draw=draw)


def _cards(latent: Latent, sample: Sample, count: int) -> Images:
    def draw(index: int, story: Story) -> Image.Image:
        return draw_card(card_for(latent, sample, story, index))

    return Images(width=latent.width, height=latent.height, count=count, draw=draw, origin=latent)


def card_for(latent: Latent, sample: Sample, story: Story, index: int) -> Card:
    """Return the description of the card that shows one picture of a sampler's result."""
    source = None
    if latent.source is not None:
        source = latent.source.frame(min(index, latent.source.count - 1), story)
    told: dict[str, Any] = {name: getattr(story, name) for name in Story.__slots__}
    return Card(
        width=latent.width,
        height=latent.height,
        prompt=sample.positive,
        negative=sample.negative,
        seed=sample.seed,
        steps=sample.steps,
        cfg=sample.cfg,
        sampler=sample.sampler,
        denoise=sample.denoise,
        model=sample.model,
        loras=sample.loras,
        batch_index=index,
        source=source,
        **told,
    )
