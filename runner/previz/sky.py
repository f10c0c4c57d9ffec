"""Skies: gradient, sun or moon, stars, clouds; and what falls or drifts in front of everything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image

from runner.previz.brush import Canvas, Ink, Point, clear, gradient, mix
from runner.previz.light import Light

LOW_SUN = frozenset({"sunset", "dawn", "gold"})
MAPLES: tuple[Ink, ...] = ((206, 52, 40), (228, 84, 44), (240, 132, 56), (178, 36, 46), (246, 172, 74))
_MAPLE: list[Point] = [
    (0.0, -1.0),
    (0.16, -0.52),
    (0.42, -0.66),
    (0.36, -0.3),
    (0.95, -0.42),
    (0.62, -0.1),
    (0.86, 0.18),
    (0.42, 0.16),
    (0.44, 0.56),
    (0.1, 0.3),
    (0.05, 0.9),
    (-0.05, 0.9),
    (-0.1, 0.3),
    (-0.44, 0.56),
    (-0.42, 0.16),
    (-0.86, 0.18),
    (-0.62, -0.1),
    (-0.95, -0.42),
    (-0.36, -0.3),
    (-0.42, -0.66),
    (-0.16, -0.52),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A canvas of height 1 and width *aspect*, its *light*, its *horizon* (0 top .. 1 bottom) and its die.

    *sun_side* is 1 where the light comes from the right, -1 from the left; *drift* 0..1 moves it.
    *lanterns* float on the water there is; *shore* brings the water's edge before the people's feet.
    """

    canvas: Canvas
    aspect: float
    light: Light
    horizon: float
    dice: Random
    sun_side: int = 1
    drift: float = 0.5
    lanterns: bool = False
    shore: bool = False

    @property
    def left(self) -> float:
        """Where drawing starts: left of the frame, since the camera may be turned."""
        return -0.15 * self.aspect - 0.1

    @property
    def right(self) -> float:
        """Where drawing ends, beyond the right edge."""
        return 1.15 * self.aspect + 0.1


def paint_sky(view: View) -> None:
    """Fill the picture with the light's sky down to the horizon and its haze below."""
    image = view.canvas.image
    reach = max(2, round(image.height * max(0.2, view.horizon)))
    ramp = gradient(view.light.sky, reach)
    below = np.repeat(ramp[-1:], max(0, image.height - reach), axis=0)
    column = np.concatenate([ramp, below])[: image.height]
    image.paste(Image.fromarray(column[:, None, :]).resize(image.size, Image.Resampling.NEAREST))
    _stars(view)
    _sun(view)
    _clouds(view)


def sun_place(view: View) -> tuple[float, float]:
    """Return where sun or moon stands."""
    low = view.light.name in LOW_SUN
    x = view.aspect * (0.5 + view.sun_side * (0.18 + 0.17 * view.drift))
    return x, view.horizon * ((0.74 if low else 0.2) + 0.12 * view.drift)


def _stars(view: View) -> None:
    count = round(150 * view.light.stars * min(2.0, view.aspect))
    bright = mix(view.light.sky[0], (255, 255, 255), 0.9)
    for at in range(count):
        x, depth = view.dice.uniform(0, view.aspect), view.dice.random() ** 1.6
        y, size = depth * view.horizon * 0.9, 0.0008 + 0.0016 * view.dice.random() ** 3
        view.canvas.oval(
            x, y, size, size, clear(bright, (1 - depth) * view.dice.uniform(0.4, 1.0)), corners=8
        )
        if at % 40 == 0:
            view.canvas.glow(x, y, 0.012, (255, 255, 255), 0.7)


def _sun(view: View) -> None:
    sun = view.light.sun
    x, y = sun_place(view)
    if sun is None:
        return
    low = view.light.name in LOW_SUN
    night = view.light.name == "night"
    size = 0.06 if low else 0.038
    view.canvas.glow(x, y, 0.75 if low else 0.42, sun, 0.5 if not night else 0.28)
    view.canvas.glow(x, y, 0.2, sun, 0.75 if not night else 0.4)
    view.canvas.oval(x, y, size, size, sun)
    if night:
        for dx, dy, r in ((0.010, -0.008, 0.008), (-0.012, 0.006, 0.006), (0.006, 0.016, 0.005)):
            view.canvas.oval(x + dx, y + dy, r, r, mix(sun, (190, 190, 200), 0.35))


def _clouds(view: View) -> None:
    kind = view.light.name
    if kind == "noon" or (kind in ("gold", "dawn", "snow") and view.dice.random() < 0.5):
        _cumulus(view)
    count = {"night": 3, "noon": 3, "overcast": 8, "rain": 9}.get(kind, 6)
    for _ in range(count):
        _streak(view)


def _streak(view: View) -> None:
    """Draw one long cloud: a flat base, a rolling top, a lit rim."""
    dice = view.dice
    y = view.horizon * (0.10 + 0.74 * dice.random())
    nearness = 1.25 - y / max(0.2, view.horizon)
    x, wide = dice.uniform(-0.1, 1.1) * view.aspect, dice.uniform(0.18, 0.5) * (0.6 + nearness)
    thick = dice.uniform(0.014, 0.034) * (0.35 + nearness) * (1.5 if view.light.fall else 1.0)
    colour = mix(view.light.cloud, view.light.cloud_shade, dice.random() * 0.7)
    bumps = dice.randint(6, 9)
    top: list[Point] = []
    for at in range(bumps):
        part = at / (bumps - 1)
        swell = math.sin(math.pi * part) ** 0.8
        top.append((x + wide * (part * 2 - 1), y - thick * swell * dice.uniform(0.35, 1.0)))
    base = [
        (x + wide * 0.6, y + thick * 0.16),
        (x - wide * 0.2, y + thick * 0.22),
        (x - wide * 0.7, y + thick * 0.1),
    ]
    view.canvas.blob([(x - wide * 1.25, y), *top, (x + wide * 1.3, y), *base], clear(colour, 0.62))
    rim = [(a, b + thick * 0.05) for a, b in top]
    view.canvas.stroke(rim, thick * 0.16, clear(mix(colour, view.light.key, 0.6), 0.5))


def _cumulus(view: View) -> None:
    """Draw one towering summer cloud standing on the horizon: shade, body and lit crown."""
    x, wide = view.dice.uniform(0.1, 0.9) * view.aspect, view.dice.uniform(0.3, 0.5)
    base = view.horizon * view.dice.uniform(0.93, 1.02)
    tall = view.horizon * view.dice.uniform(0.42, 0.66)
    lit, shade = view.light.cloud, mix(view.light.cloud_shade, view.light.haze, 0.35)
    puffs = []
    for _ in range(26):
        across = view.dice.uniform(-1, 1)
        top = (1 - abs(across) ** 1.4) * view.dice.uniform(0.25, 1.0)
        puffs.append(
            (x + across * wide, base - top * tall, view.dice.uniform(0.045, 0.09) * (1.15 - 0.45 * top))
        )
    puffs.sort(key=lambda puff: puff[1])
    for px, py, r in puffs:
        view.canvas.oval(px, py, r, r * 0.92, lit)
    for px, py, r in puffs[4:]:
        view.canvas.oval(px + r * 0.28, py + r * 0.34, r * 0.86, r * 0.7, mix(lit, shade, 0.55))
        view.canvas.oval(px - r * 0.05, py - r * 0.12, r * 0.8, r * 0.7, mix(lit, shade, 0.12))
    view.canvas.veil(base - tall * 0.5, base + 0.03, view.light.haze, 0.0, 0.75)


def paint_fireworks(view: View) -> None:
    """Draw a few bursts of fireworks over the horizon."""
    for _ in range(view.dice.randint(3, 5)):
        x, y = view.dice.uniform(0.08, 0.92) * view.aspect, view.horizon * view.dice.uniform(0.15, 0.6)
        colour = view.dice.choice(
            ((255, 214, 120), (255, 120, 140), (130, 210, 255), (190, 255, 170), (230, 160, 255))
        )
        spot = view.canvas.at(x, y, view.dice.uniform(0.08, 0.19))
        spot.glow(0, 0, 1.9, colour, 0.4)
        for ring, count in ((1.0, 30), (0.66, 22), (0.34, 14)):
            for at in range(count):
                angle = 2 * math.pi * (at + 0.3 * ring) / count
                a, b = math.cos(angle) * ring, math.sin(angle) * ring
                spot.stroke(
                    [(a * 0.72, b * 0.72), (a, b + 0.05 * ring)], 0.026, mix(colour, (255, 255, 255), 0.35)
                )
                spot.oval(a, b + 0.05 * ring, 0.022, 0.022, (255, 252, 240), corners=8)


def paint_fall(view: View, *, petals: bool, leaves: bool = False, amount: float = 1.0) -> None:
    """Draw rain, snow, petals or red leaves in front of the picture."""
    if view.light.fall == "rain":
        for _ in range(round(150 * amount)):
            x, y = view.dice.uniform(-0.1, view.aspect + 0.1), view.dice.uniform(-0.1, 1)
            length = view.dice.uniform(0.03, 0.1)
            ends = [(x, y), (x - length * 0.18, y + length)]
            view.canvas.line(ends, 0.0013, clear((235, 242, 250), view.dice.uniform(0.15, 0.5)))
    if view.light.fall == "snow":
        for _ in range(round(110 * amount)):
            r = 0.0018 + 0.007 * view.dice.random() ** 4
            x, y = view.dice.uniform(0, view.aspect), view.dice.random()
            view.canvas.oval(x, y, r, r, clear((255, 255, 255), view.dice.uniform(0.5, 0.95)), corners=14)
    if petals:
        for _ in range(round(46 * amount)):
            _petal(view, view.dice.uniform(0.006, 0.016))
    if leaves:
        for at in range(round(44 * amount)):
            size = view.dice.uniform(0.008, 0.018) if at % 9 else view.dice.uniform(0.026, 0.038)
            place = view.dice.uniform(0, view.aspect), view.dice.random()
            _leaf(view, *place, size, view.dice.choice(MAPLES))


def _petal(view: View, size: float) -> None:
    spot = view.canvas.at(
        view.dice.uniform(0, view.aspect), view.dice.random(), size, turn=view.dice.uniform(0, 2 * math.pi)
    )
    colour = mix((250, 205, 216), (255, 238, 240), view.dice.random())
    spot.blob(
        [(-1, 0), (-0.2, -0.55), (0.9, -0.25), (0.65, 0), (0.9, 0.25), (-0.2, 0.55)], view.light.tone(colour)
    )


def paint_maple(view: View, side: int) -> None:
    """Hang a maple branch in autumn red into the upper corner on *side*."""
    dice, tone = view.dice, view.light.figure
    edge = view.aspect * (0.5 + side * 0.56)
    bark = mix(tone((84, 56, 58)), view.light.deep, 0.4)
    twigs: list[Point] = []
    for drop, reach in ((-0.02, 0.62), (0.1, 0.46), (0.2, 0.28)):
        tip = (edge - side * reach, drop + dice.uniform(0.05, 0.12))
        mid = (edge - side * reach * 0.5, drop + 0.02)
        view.canvas.stroke([(edge, drop - 0.05), mid, tip], 0.014, bark, blunt=0.4)
        twigs += [
            (mid[0] + (tip[0] - mid[0]) * part, mid[1] + (tip[1] - mid[1]) * part) for part in (0, 0.5, 1)
        ]
        twigs.append((edge - side * reach * 0.2, drop))
    for x, y in twigs:
        for _ in range(8):
            place = x + dice.gauss(0, 0.05), y + dice.gauss(0.015, 0.032)
            _leaf(view, *place, dice.uniform(0.018, 0.032), dice.choice(MAPLES))


def _leaf(view: View, x: float, y: float, size: float, colour: Ink) -> None:
    spot = view.canvas.at(x, y, size, turn=view.dice.uniform(0, 2 * math.pi))
    flat = view.dice.uniform(0.45, 1.0)
    spot.poly([(a * flat, b) for a, b in _MAPLE], mix(view.light.figure(colour), view.light.key, 0.08))
