"""The strip under a card's picture: which cut this is, who does what, the prompt, and how it was sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageDraw

from runner.previz.brush import Ink, mix
from runner.previz.lettering import Face, clean, shorten, width, wrap, write

if TYPE_CHECKING:
    from PIL import Image

    from runner.previz.card import Card

PAPER: Ink = (24, 24, 28)
BRIGHT: Ink = (244, 241, 234)
SOFT: Ink = (188, 186, 184)
DIM: Ink = (128, 127, 132)
LEAST_WIDTH, LEAST_HEIGHT = 200, 160
NEAR = 4
LEAST_PART, MOST_PART = 0.05, 0.6
"""How much of a card's height its strip takes at least and at most, in `without_strip`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Type sizes and distances of a strip in px."""

    title: int
    text: int
    small: int
    pad: int
    leading: int
    prompt_lines: int
    foot_lines: int
    height: int


def measure(card: Card) -> Measure | None:
    """Return the strip's sizes for *card*, or None where no text would be legible.

    The height depends on the size alone, but for cards without a story, which have less to say.
    """
    wide, high = card.width, card.height
    if wide < LEAST_WIDTH or high < LEAST_HEIGHT:
        return None
    base = (wide * high) ** 0.5
    text = max(9, round(min(base / 50, wide / 32, high / 18)))
    title, small, pad = round(text * 1.5), max(8, round(text * 0.84)), round(text * 1.1)
    leading = round(text * 1.42)
    lines = 1 if high < 520 else 2 if high < 640 or wide > 1.6 * high else 3
    height = 2 * pad + round(title * 1.15) + round(text * 1.6) + lines * leading + round(small * 1.5)
    if not has_story(card):
        lines = 1 if width(heading(card), Face(size=round(text * 1.2))) < wide - 2 * pad else 2
        height = 2 * pad + lines * round(title * 1.2) + round(small * 1.7)
    foot = 2 if wide < 1.2 * high and high >= 300 else 1
    height += (foot - 1) * round(small * 1.5)
    if high < 300:
        height = 2 * pad + title + leading
    return Measure(
        title=title,
        text=text,
        small=small,
        pad=pad,
        leading=leading,
        prompt_lines=lines,
        foot_lines=foot,
        height=height,
    )


def draw_strip(image: Image.Image, card: Card, sizes: Measure, accent: Ink) -> None:
    """Draw the strip over the lowest `sizes.height` px of *image*; *accent* is the picture's own colour."""
    draw = ImageDraw.Draw(image)
    top = image.height - sizes.height
    draw.rectangle((0, top, image.width, image.height), fill=PAPER)
    draw.rectangle((0, top, image.width, top + max(1, sizes.text // 8)), fill=mix(accent, BRIGHT, 0.15))
    if image.height < 300:
        _brief(draw, card, sizes, top, image.width, accent)
        return
    left = _slate(draw, card, sizes, top, accent)
    _story(draw, card, sizes, (left, top, image.width - sizes.pad), accent)


def without_strip(image: Image.Image) -> Image.Image:
    """Return *image* (RGB) without the strip under it if it is a card, scaled or not; any other as it is."""
    wide, high = image.size
    margin = max(1, wide // 160)
    paper = np.asarray(PAPER, dtype=np.int16)
    sides = np.concatenate(
        [
            np.asarray(image.crop(box), dtype=np.int16)
            for box in ((0, 0, margin, high), (wide - margin, 0, wide, high))
        ],
        axis=1,
    )
    plain = np.abs(sides - paper).max(axis=(1, 2)) <= NEAR
    rows = high if plain.all() else int(np.argmin(plain[::-1]))
    if not LEAST_PART * high <= rows <= MOST_PART * high:
        return image
    rule = max(2, round(high / 150))
    return image.crop((0, 0, wide, max(1, high - rows - rule)))


def technical(card: Card) -> str:
    """Return seed, size and sampling on one line, leaving out what is not known."""
    parts = [f"seed {card.seed}" + (f" #{card.batch_index}" if card.batch_index else "")]
    parts.append(f"{card.width}×{card.height}")
    parts += [f"{card.steps} steps"] if card.steps else []
    parts += [f"cfg {card.cfg:g}"] if card.cfg else []
    parts += [clean(card.sampler, limit=60)] if card.sampler else []
    parts += [f"denoise {card.denoise:g}"] if card.denoise < 1 else []
    parts += [_stem(name) for name in (card.model, *card.loras[:8]) if name]
    parts += [clean(card.template, limit=60)] if card.template else []
    parts += [clean(card.key, limit=120)] if card.key and not card.cut else []
    return "   ".join(parts)


def heading(card: Card) -> str:
    """Return the line a reader looks for first: title, action, cast, or the prompt's beginning."""
    return clean(card.title or card.action or _cast_line(card) or card.prompt, limit=300) or "untitled"


def has_story(card: Card) -> bool:
    """Return whether *card* knows more than its prompt: a title, an action, a cast or a cut."""
    return any((card.title, card.action, card.cast, card.cut, card.scene, card.episode))


def _stem(name: str) -> str:
    path, _, weight = clean(name, limit=200).partition("@")
    stem = path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".safetensors").removesuffix(".gguf")
    return f"{stem}@{weight}" if weight else stem


def _brief(draw: ImageDraw.ImageDraw, card: Card, sizes: Measure, top: int, wide: int, accent: Ink) -> None:
    room = wide - 2 * sizes.pad
    label = " ".join(
        filter(None, (clean(card.scene, limit=40), clean(card.cut, limit=40), clean(card.take, limit=40)))
    )
    title, small = Face(size=sizes.title, weight="bold"), Face(size=sizes.small)
    line = f"{label}  {heading(card)}" if label else heading(card)
    write(draw, (sizes.pad, top + sizes.pad + sizes.title * 0.85), shorten(line, title, room), title, BRIGHT)
    below = top + sizes.pad + sizes.title + sizes.leading * 0.8
    write(draw, (sizes.pad, below), shorten(technical(card), small, room), small, mix(accent, SOFT, 0.6))


def _slate(draw: ImageDraw.ImageDraw, card: Card, sizes: Measure, top: int, accent: Ink) -> int:
    """Draw episode, scene, cut and take in a column; return where the next column starts (px)."""
    small = Face(size=sizes.small, weight="bold")
    number = Face(size=round(sizes.title * 1.7), weight="bold")
    over = " · ".join(filter(None, (clean(card.episode, limit=40), clean(card.scene, limit=40)))).upper()
    cut = clean(card.cut, limit=40).upper()
    take = clean(card.take, limit=40)
    if not (over or cut or take):
        return sizes.pad
    most = image_third = draw.im.size[0] / 3.2 - sizes.pad
    over, cut = shorten(over, small, most), shorten(cut, number, image_third)
    y = top + sizes.pad + sizes.small
    write(draw, (sizes.pad, y), over, small, mix(accent, BRIGHT, 0.25), tracking=sizes.small * 0.06)
    y += round(number.size * (1.08 if cut else 0.2))
    write(draw, (sizes.pad, y), cut, number, BRIGHT)
    label = shorten(take if not take.isdigit() else f"take {take}", small, most)
    y += round(sizes.small * 1.7)
    write(draw, (sizes.pad, y), label, small, SOFT)
    widest = max(width(over, small) * 1.12, width(cut, number), width(label, small), sizes.title * 4.0)
    edge = round(sizes.pad * 2 + widest)
    draw.line(
        (edge, top + sizes.pad, edge, draw.im.size[1] - sizes.pad),
        fill=(58, 58, 64),
        width=max(1, sizes.text // 12),
    )
    return edge + sizes.pad


def _story(
    draw: ImageDraw.ImageDraw, card: Card, sizes: Measure, span: tuple[int, int, int], accent: Ink
) -> None:
    left, top, right = span
    room = right - left
    title, text, small = Face(size=sizes.title, weight="bold"), Face(size=sizes.text), Face(size=sizes.small)
    settings = wrap(technical(card), small, room=room, lines=sizes.foot_lines)
    foot = draw.im.size[1] - sizes.pad - (len(settings) - 1) * round(sizes.small * 1.5)
    y = top + sizes.pad + round(sizes.title * 0.85)
    if not has_story(card):
        plain = Face(size=round(sizes.text * 1.2))
        for line in wrap(heading(card), plain, room=room, lines=sizes.prompt_lines):
            write(draw, (left, y), line, plain, BRIGHT)
            y += round(sizes.title * 1.15)
    else:
        write(draw, (left, y), shorten(heading(card), title, room), title, BRIGHT)
        y = _doing(draw, card, sizes, (left, y + round(sizes.text * 1.75), right), accent)
        lines = (foot - sizes.small - sizes.text // 3 - y) // sizes.leading + 1
        for line in wrap(clean(card.prompt), text, room=room, lines=max(1, lines)):
            write(draw, (left, y), line, text, SOFT)
            y += sizes.leading
    for at, line in enumerate(settings):
        write(draw, (left, foot + at * round(sizes.small * 1.5)), line, small, DIM)


def _doing(
    draw: ImageDraw.ImageDraw, card: Card, sizes: Measure, spot: tuple[int, int, int], accent: Ink
) -> int:
    """Draw cast and action on one line; return the next baseline, the same one if there is neither."""
    left, y, right = spot
    text = Face(size=sizes.text)
    cast = _cast_line(card) if card.title or card.action else ""
    action = clean(card.action, limit=300) if card.title else ""
    if not (cast or action):
        return y
    x = write(draw, (left, y), shorten(cast, text, right - left), text, mix(accent, BRIGHT, 0.35))
    if action and x < right - sizes.text * 6:
        x += sizes.text * 0.9 if cast else 0
        write(draw, (x, y), shorten(action, text, right - x), text, BRIGHT)
    return y + sizes.leading


def _cast_line(card: Card) -> str:
    names = [clean(name, limit=60) for name in card.cast[:8]]
    return " + ".join(name for name in names if name)
