"""The illustration of a card: place, people and weather composed at a supersampled size, then finished."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from runner.previz.brush import Canvas, Ink, mix
from runner.previz.die import MOST_TEXT, die
from runner.previz.ensemble import paint_creature, paint_people
from runner.previz.light import LIGHTS, Light
from runner.previz.marks import paint_marks
from runner.previz.places import PLACES
from runner.previz.sky import View, paint_fall, paint_fireworks, paint_maple, paint_sky
from runner.previz.staging import Staging, read_staging
from runner.previz.strip import has_story, without_strip

if TYPE_CHECKING:
    from runner.previz.card import Card

WORK_PIXELS = 4_000_000
LAMPLIT = 0.3
ZOOM = {"close": 1.35, "upper": 1.2, "cowboy": 1.08}
BLURRED = {"close": 0.016, "upper": 0.007}


def draw_picture(card: Card, wide: int, high: int) -> tuple[Image.Image, Ink]:
    """Return the RGB illustration of *wide* x *high* px and the colour that names its light."""
    staging = read_staging(card)
    light = _nuance(LIGHTS[staging.light], card)
    scale = max(1.0, min(2.0, (WORK_PIXELS / (wide * high)) ** 0.5))
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    image = Image.new("RGB", size)
    _compose(image, card, staging, light)
    if scale > 1:
        image = image.resize((wide, high), Image.Resampling.BOX if scale == 2 else Image.Resampling.HAMMING)
    return _grain(_through(image, card), card), light.key


def _compose(image: Image.Image, card: Card, staging: Staging, light: Light) -> None:
    dice = die("compose", card.prompt, card.seed, card.batch_index)
    aspect = image.width / image.height
    place = PLACES[staging.place]
    if place.inside and light.lamps > LAMPLIT:
        light = replace(light, ambient=mix(light.ambient, (255, 216, 172), 0.55))
    horizon = (
        place.horizon + {"low": 0.12, "high": -0.14}.get(staging.angle, 0.0) + dice.uniform(-0.045, 0.045)
    )
    turn = 0.07 if staging.angle == "dutch" else dice.uniform(-0.014, 0.014)
    zoom = ZOOM.get(staging.shot, 1.0) * dice.uniform(1.0, 1.24)
    pan = dice.uniform(-0.09, 0.09) * aspect
    corner = (aspect / 2 * (1 - zoom) + pan, horizon * (1 - zoom))
    canvas = Canvas(image, image.height).at(*corner, zoom, turn=turn)
    view = View(
        canvas=canvas,
        aspect=aspect,
        light=light,
        horizon=horizon,
        dice=dice,
        sun_side=dice.choice((-1, 1)),
        drift=dice.random(),
        lanterns=staging.floating,
        shore=staging.lantern == "set" and bool(staging.people) and staging.shot in ("wide", "far"),
    )
    paint_sky(view)
    if staging.fireworks:
        paint_fireworks(view)
    place.back(view)
    if staging.shot in BLURRED and (staging.people or staging.creature):
        _blur(image, BLURRED[staging.shot])
    if staging.people:
        paint_people(view, staging)
    if staging.creature:
        paint_creature(view, staging, card.prompt[:MOST_TEXT].lower())
    if place.front and staging.shot in ("wide", "far"):
        place.front(view)
    if not place.inside or staging.petals:
        if staging.leaves and not place.inside:
            paint_maple(view, -view.sun_side)
        paint_fall(view, petals=staging.petals, leaves=staging.leaves and not place.inside)
    if has_story(card):
        told = ", ".join((card.camera, card.action, card.prompt))[:MOST_TEXT].lower()
        paint_marks(Canvas(image, image.height), aspect, told)


def _blur(image: Image.Image, part: float) -> None:
    """Blur *image* in place by *part* of its height, as a long lens would."""
    small = image.reduce(4)
    soft = small.filter(ImageFilter.GaussianBlur(part * small.height))
    image.paste(soft.resize(image.size, Image.Resampling.BILINEAR))


def _nuance(light: Light, card: Card) -> Light:
    """Return *light* a little warmer or cooler by the seed, as takes of one evening differ."""
    dice = die("nuance", card.seed, card.batch_index)
    towards: Ink = dice.choice(((255, 150, 120), (120, 160, 255), (200, 140, 240), (255, 220, 150)))
    part = dice.uniform(0.0, 0.09)
    return replace(
        light, sky=tuple(mix(stop, towards, part) for stop in light.sky), haze=mix(light.haze, towards, part)
    )


def _through(image: Image.Image, card: Card) -> Image.Image:
    """Return *image* with the source picture of an img2img job showing through by 1 - denoise."""
    if card.source is None:
        return image
    keep = min(0.85, max(0.12, 1.0 - card.denoise))
    source = without_strip(card.source.convert("RGB"))
    fit = max(image.width / source.width, image.height / source.height)
    part = image.width / fit, image.height / fit
    left, top = (source.width - part[0]) / 2, (source.height - part[1]) / 2
    cover = source.resize(
        image.size, Image.Resampling.BICUBIC, box=(left, top, left + part[0], top + part[1])
    )
    return Image.blend(image, cover, keep)


def _grain(image: Image.Image, card: Card) -> Image.Image:
    noise = np.random.default_rng(card.seed % 2**32).integers(-3, 4, (128, 128), dtype=np.int16)
    tile = Image.fromarray((noise + 128).astype(np.uint8))
    sheet = Image.new("L", image.size)
    for x in range(0, image.width, 128):
        for y in range(0, image.height, 128):
            sheet.paste(tile, (x, y))
    return ImageChops.add(image, sheet.convert("RGB"), 1, -128)
