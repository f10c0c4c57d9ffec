"""Places by the water: sea, lighthouse and river."""

from __future__ import annotations

import math

from runner.previz.brush import Ink, Point, clear, mix, smooth
from runner.previz.landscapes import PINE, SNOW, grass, ground_colour, ridge
from runner.previz.lanterns import float_lanterns, float_near
from runner.previz.sky import View, sun_place


def paint_sea(view: View) -> None:
    """Draw the sea with islands and a path of light, and a beach with foam."""
    y = view.horizon
    _water(view, y, 1.2)
    for side in (-1, 1):
        wide, x = view.dice.uniform(0.2, 0.5), view.aspect * (0.5 + side * view.dice.uniform(0.3, 0.5))
        top = view.dice.uniform(0.02, 0.07)
        view.canvas.blob([(x - wide, y + 0.004), (x - wide * 0.3, y - top), (x + wide * 0.2, y - top * 0.7),
                          (x + wide, y + 0.004)], view.light.far(PINE, 0.55))  # fmt: skip
    if view.lanterns:
        float_lanterns(view, y + 0.02, 0.98)
    sand = view.light.far(SNOW if view.light.fall == "snow" else (226, 202, 162), 0.05)
    tilt = view.dice.uniform(-0.06, 0.06)
    shore: list[Point] = [
        (
            view.left + (view.right - view.left) * at / 7,
            y + 0.23 + tilt * (at - 3.5) / 3.5 + view.dice.uniform(-0.012, 0.012),
        )
        for at in range(8)
    ]
    foot = [(view.right, 1.5), (view.left, 1.5)]
    for lift, colour in (
        (-0.022, mix(view.light.haze, view.light.cloud, 0.7)),
        (0.0, mix(sand, view.light.deep, 0.25)),
        (0.025, sand),
    ):
        path = smooth([(x, at + lift) for x, at in shore], closed=False)
        view.canvas.poly([*((float(a), float(b)) for a, b in path), *foot], colour)
    gulls(view)


def paint_lighthouse(view: View) -> None:
    """Draw a lighthouse on its rock over the sea, its beam lit when it is dark."""
    y = view.horizon
    _water(view, y, 1.2)
    side = -view.sun_side
    x, unit = view.aspect * (0.5 + side * view.dice.uniform(0.08, 0.2)), view.dice.uniform(0.92, 1.08)
    spot = view.canvas.at(x, y + 0.12, unit, mirror=side < 0)
    rock = view.light.far((92, 88, 96), 0.05)
    top: list[Point] = [
        (-0.42, 0.14),
        (-0.26, 0.02),
        (-0.1, -0.06),
        (0.12, -0.07),
        (0.3, 0.0),
        (0.62, 0.04),
        (1.4, 0.0),
    ]
    spot.poly([*top, (3.0, 0.9), (-0.6, 0.9)], rock)
    spot.poly(
        [*[(a, b + 0.012) for a, b in top[2:]], (3.0, 0.06), (0.3, 0.075), (0.0, 0.02)],
        view.light.far(ground_colour(view), 0.04),
    )
    for at in range(9):
        a = -0.4 + at * 0.2 + view.dice.uniform(-0.05, 0.05)
        spot.blob(
            [(a - 0.09, 0.2), (a, 0.12 + view.dice.uniform(-0.02, 0.02)), (a + 0.1, 0.2), (a, 0.26)],
            mix(rock, view.light.deep, 0.3),
        )
    white, red = view.light.figure((250, 248, 244)), view.light.figure((206, 66, 58))
    shade = mix(white, view.light.deep, 0.35)
    for band in range(5):
        low, high = -0.06 - band * 0.092, -0.06 - (band + 1) * 0.092
        a, b = 0.062 - band * 0.0056, 0.062 - (band + 1) * 0.0056
        colour = red if band % 2 else white
        spot.poly([(-a, low), (a, low), (b, high), (-b, high)], colour)
        spot.poly([(-a, low), (-a * 0.35, low), (-b * 0.35, high), (-b, high)], mix(colour, shade, 0.6))
    spot.box(-0.055, -0.535, 0.055, -0.515, mix(red, view.light.deep, 0.4))
    lamp: Ink = (255, 240, 176) if view.light.lamps > 0.3 else mix(view.light.haze, (255, 255, 255), 0.4)
    spot.box(-0.028, -0.59, 0.028, -0.535, lamp)
    spot.poly([(-0.045, -0.585), (0, -0.645), (0.045, -0.585)], red)
    house = view.light.figure((244, 238, 226))
    spot.box(0.12, -0.13, 0.3, 0.0, house)
    spot.poly([(0.1, -0.12), (0.15, -0.2), (0.28, -0.2), (0.33, -0.12)], red)
    spot.box(0.18, -0.09, 0.22, -0.045, lamp if view.light.lamps > 0.2 else mix(house, view.light.deep, 0.6))
    if view.light.lamps > 0.3:
        for part in range(10):
            reach = 0.35 + 0.17 * part
            spot.poly(
                [(0, -0.565), (-reach, -0.565 - reach * 0.13), (-reach, -0.565 + reach * 0.05)],
                clear(lamp, 0.07),
            )
        spot.glow(0, -0.565, 0.2, lamp, 0.9)
    gulls(view)


def paint_river(view: View) -> None:
    """Draw a river with an arched bridge and grassy banks."""
    y, ground = view.horizon, ground_colour(view)
    ridge(view, y - 0.01, 0.09, view.light.far(PINE, 0.62), steps=8)
    ridge(view, y + 0.0, 0.025, view.light.far(ground, 0.4), steps=12)
    _water(view, y + 0.02, 1.2)
    stone = view.light.far((150, 128, 120), 0.2)
    deck, arch = y - 0.05, view.dice.uniform(0.34, 0.44)
    view.canvas.box(view.left, deck, view.right, deck + 0.035, stone)
    view.canvas.box(view.left, deck - 0.03, view.right, deck - 0.024, stone)
    start = view.dice.uniform(-0.3, 0.0)
    for at in range(12):
        a = view.left + start + at * arch
        view.canvas.box(a - 0.016, deck, a + 0.016, y + 0.05, mix(stone, view.light.deep, 0.2))
        curve = [
            (a + 0.016 + (arch - 0.032) * t / 10, deck + 0.09 - 0.06 * math.sin(math.pi * t / 10))
            for t in range(11)
        ]
        view.canvas.poly([(a, deck + 0.03), *curve, (a + arch, deck + 0.03)], stone)
        for post in range(6):
            view.canvas.box(a + post * arch / 6, deck - 0.028, a + post * arch / 6 + 0.004, deck, stone)
    near = view.light.far(mix(ground, PINE, 0.15), 0.02)
    side = view.dice.choice((-1, 1))
    middle = view.aspect / 2
    drop = 0.0
    if view.lanterns:
        float_lanterns(view, y + 0.035, 0.98)
        drop = 0.035
    bank = [
        (middle + side * a * view.aspect, b)
        for a, b in (
            (0.75, drop + y + 0.1),
            (0.3, drop + y + 0.16),
            (0.0, drop + y + 0.23),
            (-0.35, drop + y + 0.27),
            (-0.8, drop + y + 0.29),
        )
    ]
    path = [(float(a), float(b)) for a, b in smooth(bank, closed=False)]
    view.canvas.poly(
        [*path, (middle - side * 0.8 * view.aspect, 1.5), (middle + side * 0.75 * view.aspect, 1.5)], near
    )
    if view.shore:
        paint_edge(view, 0.86)
    else:
        grass(view, 0.92, view.light.far(mix(ground, PINE, 0.5), 0.0))


def paint_edge(view: View, top: float) -> None:
    """Draw the water's edge before the people: a line of stones, and water down to the frame."""
    light, canvas, dice = view.light, view.canvas, view.dice
    x = view.left
    while x < view.right:
        r = dice.uniform(0.018, 0.04)
        stone = mix(light.far((128, 124, 130), 0.03), light.deep, dice.uniform(0.1, 0.4))
        canvas.oval(x, top + 0.004, r, r * 0.55, stone, corners=20)
        canvas.oval(x - r * 0.1, top - r * 0.12, r * 0.7, r * 0.28, mix(stone, light.key, 0.22), corners=16)
        x += r * 1.55
    canvas.box(view.left, top + 0.012, view.right, 1.5, mix(light.sky[0], light.deep, 0.15))
    canvas.veil(top + 0.012, 1.05, mix(light.sky[-1], light.sky[-2], 0.5), 0.5, 0.1)
    for _ in range(24):
        depth = dice.random()
        y, reach = top + 0.02 + depth * (1.0 - top), dice.uniform(0.02, 0.12)
        canvas.oval(
            dice.uniform(view.left, view.right), y, reach, 0.0022, clear(light.cloud, 0.3), corners=12
        )
    if view.lanterns:
        float_near(view, top, 0.99)


def gulls(view: View) -> None:
    """Draw a few birds far off."""
    ink = view.light.far((70, 78, 104) if view.light.lamps < 0.5 else (150, 156, 190), 0.25)
    for _ in range(view.dice.randint(3, 6)):
        spot = view.canvas.at(
            view.dice.uniform(0.1, 0.9) * view.aspect,
            view.horizon * view.dice.uniform(0.25, 0.8),
            view.dice.uniform(0.010, 0.022),
        )
        spot.stroke([(-1, -0.25), (-0.5, -0.5), (0, 0.05)], 0.2, ink)
        spot.stroke([(0, 0.05), (0.5, -0.5), (1, -0.2)], 0.2, ink)


def _water(view: View, top: float, low: float) -> None:
    """Draw water that mirrors the sky, with bands of ripples and the sun's path."""
    light = view.light
    near = mix(light.sky[0], light.deep, 0.25)
    view.canvas.box(view.left, top, view.right, low + 0.3, mix(light.sky[-1], light.sky[-2], 0.5))
    view.canvas.veil(top, min(low, 1.05), mix(near, (40, 120, 150), 0.2), 0.15, 0.95)
    sx, _ = sun_place(view)
    glint = light.sun or light.cloud
    for at in range(70):
        depth = view.dice.random() ** 1.4
        y = top + 0.006 + depth * (1.02 - top)
        reach = (0.015 + 0.07 * depth) * view.dice.uniform(0.5, 1.5)
        x = view.dice.uniform(view.left, view.right)
        if at % 2 and light.sun:
            x = sx + view.dice.gauss(0, 0.02 + 0.09 * depth)
            view.canvas.oval(x, y, reach, 0.0012 + 0.004 * depth, clear(glint, 0.75), corners=12)
        else:
            view.canvas.oval(x, y, reach * 1.6, 0.0012 + 0.003 * depth, clear(light.cloud, 0.22), corners=12)
