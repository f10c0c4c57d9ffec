"""Built places under the sky: rooftop, street, town, station and shrine."""

from __future__ import annotations

import math
from itertools import pairwise

from runner.previz.brush import Canvas, Ink, Point, clear, mix
from runner.previz.landscapes import GREEN, PINE, firs, ridge
from runner.previz.sky import View

CONCRETE: Ink = (176, 174, 178)
STEEL: Ink = (112, 122, 136)
LAMP: Ink = (255, 226, 150)
WALLS: tuple[Ink, ...] = ((214, 204, 192), (188, 196, 204), (206, 186, 172), (170, 178, 190), (222, 214, 200))


def skyline(view: View, base: float, tall: float, distance: float, *, narrow: float = 0.05) -> None:
    """Draw a row of buildings standing on *base*, windows lit as the hour asks."""
    light, dice = view.light, view.dice
    x = view.left
    while x < view.right:
        wide, top = dice.uniform(narrow, narrow * 2.4), base - tall * (0.25 + 0.75 * dice.random() ** 1.7)
        colour = light.far(dice.choice(WALLS), distance)
        view.canvas.box(x, top, x + wide, base + 0.4, colour)
        face = mix(colour, light.deep, 0.16)
        side = x + wide * (0.72 if view.sun_side < 0 else 0.0)
        view.canvas.box(side, top, side + wide * 0.28, base + 0.4, face)
        if dice.random() < 0.3:
            view.canvas.box(x + wide * 0.4, top - 0.03, x + wide * 0.43, top, colour)
        elif dice.random() < 0.4:
            view.canvas.box(x + wide * 0.2, top - 0.012, x + wide * 0.55, top, face)
        _windows(view, (x, top, x + wide, base), distance, colour)
        x += wide * dice.uniform(0.86, 1.15)


def _windows(view: View, wall: tuple[float, float, float, float], distance: float, colour: Ink) -> None:
    left, top, right, base = wall
    pitch = 0.012 + 0.012 * (1 - distance)
    dark, lit = mix(colour, view.light.deep, 0.28), mix(LAMP, view.light.haze, distance * 0.45)
    for row in range(min(10, int((base - top) / pitch / 1.2))):
        y = top + 0.012 + row * pitch * 1.2
        if view.light.lamps < 0.2:
            view.canvas.box(left + 0.006, y, right - 0.006, y + pitch * 0.45, dark)
            continue
        for at in range(min(9, int((right - left - 0.008) / pitch))):
            if view.dice.random() < view.light.lamps * 0.5:
                a = left + 0.006 + at * pitch
                view.canvas.box(a, y, a + pitch * 0.55, y + pitch * 0.55, lit)


def paint_rooftop(view: View) -> None:
    """Draw a school roof: parapet, chain-link fence, a stair house, the city behind."""
    light, canvas, y = view.light, view.canvas, view.horizon
    ridge(view, y - 0.03, 0.05, light.far((110, 120, 150), 0.72), steps=7)
    skyline(view, y + 0.02, 0.30, 0.62, narrow=0.035)
    skyline(view, y + 0.10, 0.25, 0.38)
    canvas.veil(y - 0.05, y + 0.12, light.haze, 0.0, 0.45)
    floor, wall = 0.80, light.far(CONCRETE, 0.05)
    side = view.sun_side
    house = view.aspect * (0.5 - side * 0.56)
    spot = canvas.at(house, floor, mirror=side > 0)
    spot.box(-0.4, -0.46, 0.2, 0.05, mix(wall, light.deep, 0.05))
    spot.box(-0.42, -0.49, 0.23, -0.455, mix(wall, (255, 255, 255), 0.14))
    spot.box(0.16, -0.455, 0.2, 0.05, mix(wall, light.key, 0.3))
    spot.box(-0.02, -0.32, 0.1, 0.05, light.far((92, 120, 134), 0.0))
    spot.box(0.0, -0.29, 0.08, -0.2, mix(light.sky[-1], light.deep, 0.3))
    spot.oval(-0.12, -0.62, 0.12, 0.03, wall)
    spot.box(-0.24, -0.62, 0.0, -0.5, mix(wall, light.deep, 0.12))
    _fence(view, 0.36, floor)
    canvas.box(view.left, floor - 0.045, view.right, floor, mix(wall, light.deep, 0.22))
    canvas.box(view.left, floor - 0.052, view.right, floor - 0.04, mix(wall, light.key, 0.35))
    canvas.box(view.left, floor, view.right, 1.5, mix(wall, light.deep, 0.06))
    canvas.veil(floor, 1.05, light.deep, 0.0, 0.42)
    vanish = view.aspect / 2
    for at in range(-9, 10):
        canvas.line([(vanish + at * 0.16, floor), (vanish + at * 0.42, 1.2)], 0.0022, clear(light.deep, 0.28))
    for depth in (0.03, 0.08, 0.16, 0.3):
        canvas.line(
            [(view.left, floor + depth), (view.right, floor + depth)], 0.0022, clear(light.deep, 0.28)
        )
    for at in range(14):
        x = view.left + (view.right - view.left) * at / 13
        canvas.line([(x, floor), (x - side * 0.14, 1.2)], 0.005, clear(light.deep, 0.16))


def _fence(view: View, top: float, low: float) -> None:
    light, canvas = view.light, view.canvas
    wire = mix(light.far(STEEL, 0.1), light.deep, 0.3)
    pitch, span = 0.03, low - top
    count = int((view.right - view.left + span) / pitch)
    for at in range(count):
        x = view.left + at * pitch
        canvas.line([(x, low), (x - span, top)], 0.0016, clear(wire, 0.62))
        canvas.line([(x - span, low), (x, top)], 0.0016, clear(wire, 0.62))
    for y in (top, (top + low) / 2):
        canvas.box(view.left, y - 0.006, view.right, y + 0.004, wire)
        canvas.box(view.left, y - 0.006, view.right, y - 0.003, mix(wire, light.key, 0.6))
    start = view.dice.uniform(0, 0.34)
    for at in range(9):
        x = view.left + start + at * 0.34
        canvas.box(x, top - 0.03, x + 0.013, low, wire)
        edge = x + (0.009 if view.sun_side > 0 else 0.0)
        canvas.box(edge, top - 0.03, edge + 0.004, low, mix(wire, light.key, 0.7))


def paint_town(view: View) -> None:
    """Draw a city seen from a hill, with a river of lit windows."""
    light, y = view.light, view.horizon
    ridge(view, y - 0.06, 0.09, light.far((100, 112, 150), 0.75), steps=7)
    tower = view.aspect * view.dice.uniform(0.2, 0.8)
    steel = light.far((196, 96, 84), 0.5)
    view.canvas.poly(
        [
            (tower - 0.035, y + 0.05),
            (tower - 0.004, y - 0.34),
            (tower + 0.004, y - 0.34),
            (tower + 0.035, y + 0.05),
        ],
        steel,
    )
    view.canvas.box(tower - 0.017, y - 0.14, tower + 0.017, y - 0.12, mix(steel, (255, 255, 255), 0.25))
    for step, distance in enumerate((0.66, 0.46, 0.26)):
        skyline(view, y + 0.02 + 0.09 * step, 0.34 - 0.05 * step, distance, narrow=0.035 + 0.018 * step)
        view.canvas.veil(y - 0.04 + 0.09 * step, y + 0.07 + 0.09 * step, light.haze, 0.0, 0.3)
    ridge(view, 0.88, 0.03, light.far(mix(PINE, GREEN, 0.4), 0.0), steps=6)
    _rail(view, 0.86)


def paint_street(view: View) -> None:
    """Draw a narrow street running away between houses, with poles, wires and a vending machine."""
    light, canvas, y = view.light, view.canvas, view.horizon
    vx = view.aspect * (0.5 + view.sun_side * 0.06)
    skyline(view, y + 0.02, 0.12, 0.6, narrow=0.03)
    road = light.far((128, 128, 140), 0.05)
    canvas.box(view.left, y, view.right, 1.5, mix(road, light.deep, 0.05))
    canvas.poly([(vx - 0.02, y), (vx + 0.02, y), (vx + 1.1, 1.25), (vx - 1.1, 1.25)], road)
    canvas.veil(y, 1.05, light.deep, 0.0, 0.3)
    white = mix(light.figure((246, 244, 238)), road, 0.2)
    for side in (-1, 1):
        canvas.poly(
            [
                (vx + side * 0.016, y),
                (vx + side * 0.018, y),
                (vx + side * 0.98, 1.25),
                (vx + side * 0.9, 1.25),
            ],
            white,
        )
        _houses(view, vx, side)
    for at in range(5):
        near, far = 1 - 0.2 * at, 1 - 0.2 * at - 0.09
        a, b = y + (1.1 - y) * near**2.4, y + (1.1 - y) * far**2.4
        if at > 0:
            canvas.poly(
                [
                    (vx - 0.012 * near, b),
                    (vx + 0.012 * near, b),
                    (vx + 0.02 * near, a),
                    (vx - 0.02 * near, a),
                ],
                clear(white, 0.8),
            )
    _poles(view, vx)
    _vending(view, vx)


def _houses(view: View, vx: float, side: int) -> None:
    """Draw house fronts on one side, from the far end to the near one."""
    light, canvas, y = view.light, view.canvas, view.horizon
    reach = [0.09, 0.15, 0.24, 0.38, 0.6, 1.0, 1.7]
    for at, (near, far) in enumerate(zip(reach[1:], reach, strict=False)):
        distance = 0.5 - 0.08 * at
        wall = light.far(view.dice.choice(WALLS), max(0.03, distance))
        wall = mix(wall, light.deep, 0.22 if side == view.sun_side else 0.05)
        tall = view.dice.uniform(0.62, 1.15)

        def spot(depth: float, height: float) -> Point:
            return vx + side * depth, y + 0.42 * depth - height * depth * 0.9

        canvas.poly([spot(far, -0.02), spot(far, tall), spot(near, tall), spot(near, -0.02)], wall)
        roof = light.far((96, 84, 104), max(0.03, distance))
        canvas.poly(
            [
                spot(far * 0.97, tall),
                spot(far, tall + 0.14),
                spot(near, tall + 0.14),
                spot(near * 0.97, tall),
            ],
            roof,
        )
        for level in (0.12, 0.6):
            if tall < level + 0.35:
                continue
            lit = view.dice.random() < light.lamps
            pane = LAMP if lit else mix(mix(light.sky[-2], wall, 0.35), light.deep, 0.25)
            for part in (0.16, 0.56):
                a, b = far + (near - far) * part, far + (near - far) * (part + 0.28)
                corners = [spot(a, level), spot(a, level + 0.26), spot(b, level + 0.26), spot(b, level)]
                canvas.poly(corners, pane)
        if light.lamps < 0.2 or at > 2:
            canvas.line([spot(near, -0.02), spot(near, tall)], 0.003, clear(light.deep, 0.4))


def _poles(view: View, vx: float) -> None:
    light, canvas, y = view.light, view.canvas, view.horizon
    ink = mix(light.far((92, 88, 98), 0.08), light.deep, 0.4)
    side = -view.sun_side
    tops: list[Point] = []
    for depth in (0.12, 0.22, 0.42, 0.8):
        x, foot, tall = vx + side * depth * 0.9, y + 0.42 * depth, 1.25 * depth
        wide = 0.016 * depth + 0.002
        canvas.box(x - wide, foot - tall, x + wide, foot, ink)
        for arm in (0.9, 0.82):
            canvas.box(
                x - 0.13 * depth,
                foot - tall * arm - 0.006 * depth,
                x + 0.13 * depth,
                foot - tall * arm + 0.006 * depth,
                ink,
            )
        canvas.box(x + wide, foot - tall * 0.74, x + wide + 0.05 * depth, foot - tall * 0.6, ink)
        tops.append((x, foot - tall * 0.9))
        if light.lamps > 0.4:
            canvas.glow(x - side * 0.1 * depth, foot - tall * 0.62, 0.22 * depth, LAMP, 0.9)
    tops.append((vx + side * 1.9, y - 1.7))
    for shift in (-0.12, 0.0, 0.12):
        for (ax, ay), (bx, by) in pairwise(tops):
            a, b = (ax - vx) * side, (bx - vx) * side
            sag = 0.09 * (b - a)
            line = [
                (ax + shift * a, ay),
                ((ax + bx) / 2 + shift * (a + b) / 2, (ay + by) / 2 + sag),
                (bx + shift * b, by),
            ]
            canvas.wire(line, 0.0016 + 0.0012 * b, ink)


def _vending(view: View, vx: float) -> None:
    light, canvas, y = view.light, view.canvas, view.horizon
    depth, side = 0.52, view.sun_side
    spot = canvas.at(vx + side * depth * 0.84, y + 0.42 * depth + 0.02, 0.3)
    if light.lamps > 0.2:
        canvas.glow(vx + side * depth * 0.84, y + 0.08, 0.34, (214, 240, 255), 0.55 * light.lamps + 0.2)
    body = view.dice.choice(((206, 58, 58), (236, 240, 246), (58, 104, 184)))
    spot.box(-0.24, -0.98, 0.24, 0.0, light.figure(body))
    spot.box(-0.24, -0.98, -0.19, 0.0, mix(light.figure(body), light.deep, 0.35))
    spot.box(
        -0.17, -0.92, 0.2, -0.42, (236, 248, 255) if light.lamps > 0.2 else light.figure((206, 222, 230))
    )
    cans: tuple[Ink, ...] = ((214, 70, 70), (66, 140, 90), (240, 190, 70), (70, 120, 200), (236, 236, 236))
    for row in range(3):
        for at in range(5):
            x = -0.15 + at * 0.07
            spot.box(x, -0.9 + row * 0.16, x + 0.045, -0.8 + row * 0.16, view.dice.choice(cans))
    spot.box(-0.12, -0.22, 0.16, -0.08, (36, 36, 44))


def paint_station(view: View) -> None:
    """Draw a platform under its roof, a train waiting or the far platform, and the yellow line."""
    light, canvas, y = view.light, view.canvas, view.horizon
    skyline(view, y + 0.02, 0.2, 0.55, narrow=0.04)
    canvas.box(view.left, y + 0.06, view.right, 1.5, light.far((118, 112, 112), 0.1))
    if view.dice.random() < 0.7:
        _train(view, y - 0.16, y + 0.16)
    else:
        _wires(view)
    edge, floor = 0.80, light.far(CONCRETE, 0.03)
    canvas.box(view.left, edge - 0.02, view.right, edge, mix(floor, light.deep, 0.5))
    canvas.box(view.left, edge, view.right, 1.5, floor)
    canvas.box(view.left, edge + 0.03, view.right, edge + 0.055, light.figure((242, 200, 70)))
    canvas.veil(edge, 1.05, light.deep, 0.05, 0.4)
    iron = mix(light.far((90, 100, 112), 0.0), light.deep, 0.45)
    canvas.poly([(view.left, -0.2), (view.right, -0.2), (view.right, 0.13), (view.left, 0.10)], iron)
    canvas.poly(
        [(view.left, 0.10), (view.right, 0.13), (view.right, 0.145), (view.left, 0.115)],
        mix(iron, light.key, 0.35),
    )
    start = view.dice.uniform(0.02, 0.2)
    for at in range(5):
        x = view.left + start + at * 0.62
        canvas.box(x, 0.1, x + 0.03, edge + 0.08, iron)
        canvas.poly([(x - 0.1, 0.11), (x + 0.13, 0.12), (x + 0.03, 0.22), (x, 0.22)], iron)
        if light.lamps > 0.2:
            canvas.glow(x + 0.32, 0.16, 0.2, (255, 246, 214), 0.7)
        canvas.box(x + 0.26, 0.13, x + 0.38, 0.14, (255, 250, 232))
    sign = view.aspect * (0.5 - view.sun_side * 0.3)
    canvas.box(sign - 0.13, 0.22, sign + 0.13, 0.31, light.figure((250, 250, 248)))
    canvas.box(sign - 0.13, 0.285, sign + 0.13, 0.297, light.figure((70, 150, 90)))
    for a in (-0.11, 0.1):
        canvas.box(sign + a, 0.12, sign + a + 0.008, 0.22, iron)
    for at in range(3):
        canvas.box(
            sign - 0.06 + at * 0.042, 0.242, sign - 0.03 + at * 0.042, 0.27, light.figure((60, 60, 70))
        )


def _train(view: View, top: float, low: float) -> None:
    light, canvas = view.light, view.canvas
    body = light.figure((232, 232, 236))
    stripe = light.figure(view.dice.choice(((70, 150, 90), (226, 110, 60), (60, 110, 190), (206, 60, 80))))
    start = view.aspect * view.dice.uniform(-0.1, 0.25) if view.dice.random() < 0.5 else view.left
    canvas.box(start, top, view.right, low, body)
    canvas.box(start, top - 0.02, view.right, top, mix(body, light.deep, 0.35))
    canvas.box(start, low - 0.11, view.right, low - 0.085, stripe)
    canvas.box(start, low, view.right, low + 0.05, mix(light.deep, (30, 30, 36), 0.5))
    glass = mix(LAMP, (255, 255, 255), 0.3) if light.lamps > 0.2 else mix(light.sky[-2], light.deep, 0.3)
    x = start + 0.04
    while x < view.right:
        canvas.box(x, top + 0.05, x + 0.15, low - 0.14, glass)
        canvas.box(x + 0.074, top + 0.05, x + 0.078, low - 0.14, body)
        canvas.box(x + 0.18, top + 0.03, x + 0.26, low - 0.005, mix(body, light.deep, 0.1))
        canvas.box(x + 0.19, top + 0.05, x + 0.216, low - 0.14, glass)
        canvas.box(x + 0.224, top + 0.05, x + 0.25, low - 0.14, glass)
        x += 0.3


def _wires(view: View) -> None:
    light, canvas, y = view.light, view.canvas, view.horizon
    ink = mix(light.far((84, 88, 100), 0.2), light.deep, 0.4)
    for at in range(5):
        x = view.left + 0.2 + at * 0.55
        canvas.box(x, y - 0.34, x + 0.012, y + 0.1, ink)
        canvas.box(x - 0.09, y - 0.3, x + 0.1, y - 0.29, ink)
    for height in (0.3, 0.27):
        canvas.line([(view.left, y - height), (view.right, y - height + 0.01)], 0.002, ink)
    for lift in (0.09, 0.13):
        canvas.line([(view.left, y + lift), (view.right, y + lift)], 0.006, mix(ink, light.key, 0.4))


def paint_shrine(view: View) -> None:
    """Draw a torii before cedars at the head of stone steps, lanterns on both sides."""
    light, canvas, y = view.light, view.canvas, view.horizon
    ridge(view, y - 0.1, 0.12, light.far(PINE, 0.6), steps=8)
    firs(view, y + 0.05, 0.42, 0.36, 18)
    firs(view, y + 0.1, 0.3, 0.18, 12)
    middle = view.aspect * (0.5 + view.dice.uniform(-0.06, 0.06))
    ground = light.far((150, 150, 132) if light.fall != "snow" else (236, 242, 250), 0.05)
    canvas.box(view.left, y + 0.1, view.right, 1.5, mix(ground, light.deep, 0.12))
    stone = light.far((188, 184, 176), 0.08)
    for step in range(7):
        top, wide = y + 0.1 + step * 0.048 * (1 + step * 0.12), 0.3 + 0.075 * step
        canvas.box(middle - wide, top, middle + wide, top + 0.12, mix(stone, light.deep, 0.18 + 0.03 * step))
        canvas.box(middle - wide, top, middle + wide, top + 0.012 + 0.003 * step, mix(stone, light.key, 0.25))
    _torii(canvas.at(middle, y + 0.16, 0.62), view)
    for side in (-1, 1):
        for at in range(4):
            depth = 0.4 + 0.22 * at
            x, foot, unit = middle + side * (0.32 + 0.14 * at), y + 0.12 + 0.1 * at, 0.16 * depth + 0.06
            lantern = canvas.at(x, foot, unit)
            lantern.box(-0.09, -0.55, 0.09, 0.08, mix(stone, light.deep, 0.3))
            lantern.box(-0.22, -0.9, 0.22, -0.55, mix(stone, light.deep, 0.2))
            lantern.box(-0.13, -0.84, 0.13, -0.6, LAMP if light.lamps > 0.2 else mix(stone, light.deep, 0.6))
            lantern.poly([(-0.36, -0.88), (0, -1.15), (0.36, -0.88)], mix(stone, light.deep, 0.35))
            if light.lamps > 0.2:
                lantern.glow(0, -0.72, 1.1, (255, 190, 110), 0.75)


def _torii(spot: Canvas, view: View) -> None:
    light = view.light
    red, dark = light.figure((208, 62, 48)), mix(light.figure((60, 44, 56)), light.deep, 0.3)
    shade = mix(red, light.deep, 0.4)
    for side in (-1, 1):
        spot.poly([(side * 0.44, 0.02), (side * 0.52, 0.02), (side * 0.46, -0.86), (side * 0.39, -0.86)], red)
        spot.poly(
            [(side * 0.44, 0.02), (side * 0.465, 0.02), (side * 0.412, -0.86), (side * 0.39, -0.86)], shade
        )
        spot.box(side * 0.48 - 0.06, -0.05, side * 0.48 + 0.06, 0.03, dark)
    spot.box(-0.54, -0.66, 0.54, -0.59, red)
    spot.box(-0.54, -0.605, 0.54, -0.59, shade)
    spot.box(-0.045, -0.84, 0.045, -0.62, dark)
    curve = [(x / 10 * 0.72, -0.9 - 0.05 * (x / 10) ** 2) for x in range(-10, 11)]
    spot.poly([*curve, *[(x * 0.96, y + 0.075) for x, y in curve[::-1]]], red)
    spot.poly([*[(x * 1.04, y - 0.05) for x, y in curve], *[(x, y + 0.012) for x, y in curve[::-1]]], dark)
    rope: Ink = light.figure((232, 214, 164))
    spot.stroke([(-0.42, -0.57), (0, -0.47), (0.42, -0.57)], 0.03, rope, blunt=0.8)
    for x in (-0.24, 0.0, 0.24):
        spot.poly(
            [(x - 0.02, -0.5), (x + 0.03, -0.49), (x, -0.44), (x + 0.035, -0.39), (x - 0.015, -0.41)],
            light.figure((250, 250, 252)),
        )


def _rail(view: View, y: float) -> None:
    ink = mix(view.light.far((210, 214, 220), 0.02), view.light.deep, 0.25)
    for lift in (0.0, 0.05):
        view.canvas.box(view.left, y + lift, view.right, y + lift + 0.01, ink)
    steps = math.ceil((view.right - view.left) / 0.22)
    for at in range(steps):
        view.canvas.box(view.left + at * 0.22, y - 0.01, view.left + at * 0.22 + 0.014, y + 0.13, ink)
