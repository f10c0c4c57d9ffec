"""Open country: hills, mountains, woods, fields, snow and space in layers that pale towards the horizon."""

from __future__ import annotations

import math
from dataclasses import replace

from runner.previz.brush import Ink, Point, clear, mix, smooth
from runner.previz.sky import View

GREEN: Ink = (88, 150, 92)
PINE: Ink = (48, 98, 84)
ROCK: Ink = (92, 104, 132)
SNOW: Ink = (240, 245, 252)


def ridge(
    view: View, base: float, rise: float, colour: Ink, *, steps: int = 9, jagged: bool = False
) -> list[Point]:
    """Fill the land below a seeded ridge line round height *base* and return that line."""
    span = view.right - view.left
    jitter = 0.3 / steps
    line: list[Point] = [
        (
            view.left + span * (at / steps + view.dice.uniform(-jitter, jitter)),
            base - rise * view.dice.uniform(-0.4, 1.0),
        )
        for at in range(steps + 1)
    ]
    line[0], line[-1] = (view.left, line[0][1]), (view.right, line[-1][1])
    if not jagged:
        line = [(float(x), float(y)) for x, y in smooth(line, closed=False)]
    view.canvas.poly([*line, (view.right + 0.2, 1.5), (view.left - 0.2, 1.5)], colour)
    return line


def ground_colour(view: View) -> Ink:
    """Return what open ground is covered with in this light: grass, or snow."""
    return SNOW if view.light.fall == "snow" else GREEN


def paint_hills(view: View) -> None:
    """Draw rolling hills with a lone tree."""
    y, ground = view.horizon, ground_colour(view)
    ridge(view, y, 0.13, view.light.far(mix(ROCK, ground, 0.3), 0.72), steps=6)
    for layer, distance in enumerate((0.58, 0.38, 0.2)):
        line = ridge(view, y + 0.05 + 0.075 * layer, 0.07, view.light.far(ground, distance))
        _copses(view, line, distance)
    ridge(view, y + 0.26, 0.05, view.light.far(mix(ground, PINE, 0.3), 0.02), steps=5)
    x = view.aspect * view.dice.choice((0.12, 0.2, 0.8, 0.9))
    tree(view, x, y + 0.27, view.dice.uniform(0.26, 0.36), 0.05)
    grass(view, 0.9, view.light.far(mix(ground, PINE, 0.55), 0.0))


def paint_mountains(view: View) -> None:
    """Draw a great snow-capped peak over ranges and a dark line of firs."""
    y = view.horizon
    x, tall = view.aspect * view.dice.uniform(0.25, 0.75), view.dice.uniform(0.36, 0.46)
    _peak(view, x, y + 0.04, tall, view.dice.uniform(0.55, 0.75))
    for layer, distance in enumerate((0.62, 0.42, 0.22)):
        ridge(
            view,
            y + 0.03 + 0.07 * layer,
            0.11,
            view.light.far(ROCK if layer < 1 else PINE, distance),
            steps=13,
            jagged=True,
        )
        view.canvas.veil(y + 0.04 + 0.07 * layer, y + 0.12 + 0.07 * layer, view.light.haze, 0.0, 0.3)
    ridge(view, y + 0.27, 0.04, view.light.far(ground_colour(view), 0.04), steps=5)
    firs(view, y + 0.25, 0.16, 0.05, 22)


def paint_forest(view: View) -> None:
    """Draw a forest: trunks in three depths, canopy, and shafts of light."""
    light = replace(
        view.light,
        backlit=view.light.backlit * 0.35,
        haze=mix(view.light.haze, view.light.figure((150, 196, 150)), 0.6),
    )
    floor = view.horizon + 0.12
    view.canvas.veil(-0.2, 1.3, light.far(mix(GREEN, PINE, 0.3), 0.45), 0.8, 0.95)
    for distance, count, wide, foot in (
        (0.6, 16, 0.018, 0.0),
        (0.4, 10, 0.035, 0.05),
        (0.15, 5, 0.075, 0.14),
    ):
        bark = light.far((84, 66, 66), distance)
        ridge(
            view, floor + foot, 0.02, light.far(mix(ground_colour(view), PINE, 0.3), distance * 0.8), steps=7
        )
        for _ in range(count):
            x, bend = view.dice.uniform(view.left, view.right), view.dice.uniform(-0.03, 0.03)
            if wide > 0.05 and abs(x - view.aspect / 2) < view.aspect * 0.24:
                x += view.aspect * 0.4 * (1 if x > view.aspect / 2 else -1)
            view.canvas.poly(
                [
                    (x - wide * 0.7, floor + foot + 0.02),
                    (x + wide * 0.7, floor + foot + 0.02),
                    (x + wide * 0.4 + bend, -0.1),
                    (x - wide * 0.4 + bend, -0.1),
                ],
                bark,
            )
        for _ in range(count + 6):
            x, y, r = (
                view.dice.uniform(view.left, view.right),
                view.dice.uniform(-0.12, 0.16 - distance * 0.1),
                view.dice.uniform(0.07, 0.17),
            )
            view.canvas.oval(
                x, y, r * 1.3, r, light.far(mix(PINE, GREEN, view.dice.random() * 0.5), distance), corners=16
            )
    slant = 0.35 * view.sun_side
    for _ in range(5):
        x, wide = view.dice.uniform(0, view.aspect), view.dice.uniform(0.03, 0.1)
        view.canvas.poly(
            [(x + slant, -0.1), (x + slant + wide, -0.1), (x + wide * 2.0 - slant, 1.0), (x - slant, 1.0)],
            clear(mix(light.key, (255, 255, 255), 0.3), 0.10),
        )
    grass(view, 0.95, light.far(mix(ground_colour(view), PINE, 0.7), 0.0))


def paint_field(view: View) -> None:
    """Draw a meadow in flower with trees far off."""
    y, ground = view.horizon, ground_colour(view)
    ridge(view, y - 0.02, 0.08, view.light.far(PINE, 0.66), steps=7)
    line = ridge(view, y + 0.02, 0.02, view.light.far(ground, 0.4), steps=6)
    _copses(view, line, 0.35)
    for layer, distance in enumerate((0.28, 0.14, 0.02)):
        ridge(
            view,
            y + 0.07 + 0.1 * layer,
            0.02,
            view.light.far(mix(ground, (196, 206, 96), 0.25 - 0.1 * layer), distance),
            steps=5,
        )
    blooms: tuple[Ink, ...] = view.dice.choice(
        (
            ((250, 214, 92),),
            ((244, 150, 176), (255, 238, 242)),
            ((150, 140, 226), (250, 250, 255)),
            ((236, 96, 82),),
        )
    )
    for _ in range(170):
        depth = view.dice.random() ** 1.3
        x, at, r = view.dice.uniform(view.left, view.right), y + 0.08 + depth * 0.42, 0.0025 + 0.010 * depth
        view.canvas.oval(x, at, r, r * 0.75, view.light.figure(view.dice.choice(blooms)), corners=10)
    grass(view, 0.94, view.light.far(mix(ground, PINE, 0.45), 0.0))


def paint_snowfield(view: View) -> None:
    """Draw drifts of snow with bare firs."""
    y = view.horizon
    ridge(view, y, 0.1, view.light.far((150, 170, 200), 0.6), steps=11, jagged=True)
    firs(view, y + 0.03, 0.09, 0.5, 26)
    for layer in range(4):
        line = ridge(
            view,
            y + 0.05 + 0.09 * layer,
            0.035,
            view.light.figure(mix(SNOW, view.light.deep, 0.20 - 0.06 * layer)),
            steps=5,
        )
        view.canvas.wire(line[:: len(line) // 12], 0.004, clear((255, 255, 255), 0.5))
        if layer == 1:
            firs(view, y + 0.15, 0.2, 0.2, 7)


def paint_space(view: View) -> None:
    """Draw a ringed planet over a far horizon of stars."""
    view.canvas.veil(-0.2, 1.3, (10, 10, 36), 0.93, 0.72)
    for _ in range(190):
        r = 0.0008 + 0.0022 * view.dice.random() ** 4
        view.canvas.oval(
            view.dice.uniform(0, view.aspect),
            view.dice.random(),
            r,
            r,
            clear((255, 250, 240), view.dice.uniform(0.3, 1)),
            corners=8,
        )
    for colour in (view.light.sky[1], view.light.key, (120, 90, 220)):
        view.canvas.glow(view.dice.uniform(0, view.aspect), view.dice.uniform(0.1, 0.7), 0.5, colour, 0.3)
    spot = view.canvas.at(
        view.aspect * view.dice.uniform(0.2, 0.8),
        view.dice.uniform(0.22, 0.4),
        view.dice.uniform(0.14, 0.22),
        turn=-0.35,
    )
    body, night = (
        view.dice.choice(((232, 150, 112), (126, 168, 226), (226, 190, 130), (176, 132, 206))),
        (24, 18, 54),
    )
    spot.glow(0, 0, 2.2, body, 0.4)
    spot.stroke([(-1.9, 0.02), (0, -0.42), (1.9, -0.02)], 0.08, clear(mix(body, (255, 255, 255), 0.5), 0.9))
    for at in range(7):
        spot.oval(-0.05 * at, -0.04 * at, 1 - 0.07 * at, 1 - 0.07 * at, mix(night, body, 0.35 + 0.11 * at))
    spot.stroke([(-1.9, 0.02), (0, 0.46), (1.9, -0.02)], 0.1, clear(mix(body, (255, 255, 255), 0.5), 0.95))
    ridge(view, 0.86, 0.04, (26, 24, 52), steps=9)
    ridge(view, 0.93, 0.03, (16, 15, 38), steps=7)


def tree(view: View, x: float, foot: float, tall: float, distance: float) -> None:
    """Draw one broad tree, lit on the side of the sun."""
    spot = view.canvas.at(x, foot, tall)
    spot.poly(
        [(-0.05, 0.02), (-0.03, -0.5), (0.03, -0.5), (0.06, 0.02)], view.light.far((86, 62, 58), distance)
    )
    leaves = mix(PINE, GREEN, 0.35) if view.light.fall != "snow" else (206, 218, 232)
    for step, part in enumerate((0.0, 0.35, 0.7)):
        colour = mix(
            view.light.far(leaves, distance), mix(view.light.key, view.light.far(GREEN, 0), 0.6), part * 0.55
        )
        for _ in range(9):
            angle, reach = view.dice.uniform(0, 2 * math.pi), view.dice.random() ** 0.5 * 0.26
            a = math.cos(angle) * reach * 1.25 + view.sun_side * 0.06 * step
            b = -0.7 + math.sin(angle) * reach * 0.85 - 0.05 * step
            r = 0.15 - 0.035 * step
            spot.oval(a, b, r, r * 0.9, colour, corners=20)


def firs(view: View, foot: float, tall: float, distance: float, count: int) -> None:
    """Draw a row of firs along height *foot*."""
    colour = view.light.far(PINE, distance)
    for at in range(count):
        x = view.left + (view.right - view.left) * (at + view.dice.uniform(-0.4, 0.4)) / max(1, count - 1)
        h = tall * view.dice.uniform(0.55, 1.0)
        steps: list[Point] = []
        for level in range(5):
            steps += [
                (0.06 + 0.055 * level, -1 + 0.2 * (level + 1)),
                (0.03 + 0.035 * level, -1 + 0.2 * (level + 1) - 0.02),
            ]
        view.canvas.at(x, foot + 0.03, h).poly(
            [(0, -1), *steps, (0.05, 0.12), (-0.05, 0.12), *[(-a, b) for a, b in steps[::-1]]], colour
        )


def grass(view: View, height: float, colour: Ink) -> None:
    """Draw blades of grass along the lower edge."""
    blades = round(60 * max(1.0, view.aspect))
    for at in range(blades):
        x = view.left + (view.right - view.left) * at / blades + view.dice.uniform(-0.01, 0.01)
        top, bend = 1.0 - (1.0 - height) * view.dice.uniform(0.3, 1.15), view.dice.uniform(-0.02, 0.03)
        view.canvas.poly(
            [
                (x - 0.006, 1.25),
                (x + bend * 0.5, (top + 1) / 2),
                (x + bend, top),
                (x + 0.005 + bend * 0.4, (top + 1) / 2),
                (x + 0.012, 1.25),
            ],
            colour,
        )


def _peak(view: View, x: float, foot: float, tall: float, wide: float) -> None:
    light = view.light
    outline: list[Point] = [
        (-wide, 0),
        (-wide * 0.55, -tall * 0.36),
        (-wide * 0.2, -tall * 0.82),
        (-0.05, -tall),
        (0.045, -tall * 0.985),
        (wide * 0.2, -tall * 0.80),
        (wide * 0.58, -tall * 0.33),
        (wide, 0),
    ]
    spot = view.canvas.at(x, foot)
    curve = [(float(a), float(b)) for a, b in smooth(outline, closed=False)]
    spot.poly([*curve, (wide, 0.3), (-wide, 0.3)], light.far(ROCK, 0.52))
    snow = mix(light.figure(SNOW), light.haze, 0.25)
    cap = [(a, b) for a, b in curve if b < -tall * 0.6]
    teeth = [
        (
            cap[-1][0] * (1 - 2 * at / 8),
            -tall * (0.60 + (0.14 if at % 2 else -0.02) + view.dice.uniform(-0.03, 0.03)),
        )
        for at in range(1, 8)
    ]
    spot.poly([*cap, *teeth], snow)
    lee = [(a, b) for a, b in cap if a * view.sun_side <= 0.01]
    if len(lee) > 2:
        spot.poly([*lee, (0, -tall * 0.7)], mix(snow, light.deep, 0.18))


def _copses(view: View, line: list[Point], distance: float) -> None:
    colour = view.light.far(mix(PINE, GREEN, 0.3), distance)
    for x, y in line[3::9]:
        if view.dice.random() < 0.5:
            for _ in range(4):
                r = view.dice.uniform(0.008, 0.018) * (1.5 - distance)
                view.canvas.oval(
                    x + view.dice.uniform(-0.03, 0.03), y - r * 0.3, r * 1.1, r, colour, corners=14
                )
