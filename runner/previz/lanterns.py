"""Paper lanterns: round ones that hang, boxes that are held and set afloat, and a river full of them."""

from __future__ import annotations

import math

from runner.previz.brush import Canvas, Ink, Point, clear, mix
from runner.previz.sky import View

FLAME: Ink = (255, 246, 206)
PAPER: Ink = (255, 206, 124)
EDGE: Ink = (240, 142, 68)
RIB: Ink = (214, 112, 52)
WOOD: Ink = (92, 56, 42)
WARM: Ink = (255, 176, 92)
SMALL = 0.0085


def hang_lantern(canvas: Canvas, *, paper: Ink = PAPER, cord: float = 0.5) -> None:
    """Draw a round ribbed lantern on a cord whose upper end is the origin; the lantern is about 2 units wide.

    Colours are opaque and its own: a lantern gives light and takes none.
    """
    canvas.line([(0, 0), (0, cord)], 0.07, WOOD)
    spot = canvas.at(0, cord + 1.12)
    edge = mix(paper, EDGE, 0.62)
    spot.oval(0, 0, 0.98, 1.0, edge)
    spot.oval(0, 0.03, 0.84, 0.92, mix(paper, EDGE, 0.2))
    spot.oval(0, 0.12, 0.62, 0.72, mix(paper, FLAME, 0.35))
    spot.oval(0, 0.24, 0.36, 0.46, mix(paper, FLAME, 0.85))
    for at in range(-3, 4):
        y = at * 0.27
        reach = 0.97 * math.sqrt(max(0.0, 1 - y * y))
        spot.wire([(-reach, y - 0.02), (0, y + 0.07), (reach, y - 0.02)], 0.035, mix(edge, RIB, 0.5))
    for y, wide in ((-1.0, 0.42), (0.98, 0.4)):
        spot.box(-wide, y - 0.11, wide, y + 0.11, WOOD)
    spot.line([(0, 1.05), (0, 1.5)], 0.09, mix(RIB, (200, 50, 40), 0.5))


def box_lantern(canvas: Canvas, *, light: float = 1.0) -> None:
    """Draw a paper box with a flame on a wooden float, 2 units wide; the origin is under its middle.

    *light* 0..1 pales it with distance or daylight.
    """
    paper, edge = mix(PAPER, FLAME, 0.25 * light), mix(EDGE, PAPER, 0.25)
    back = [(-0.66, -2.0), (0.66, -2.0), (0.84, -1.72), (-0.84, -1.72)]
    canvas.poly(back, mix(edge, WOOD, 0.35))
    canvas.poly([(-0.84, -1.72), (0.84, -1.72), (0.74, -0.2), (-0.74, -0.2)], edge)
    canvas.poly([(-0.7, -1.6), (0.7, -1.6), (0.62, -0.26), (-0.62, -0.26)], paper)
    canvas.oval(0, -0.78, 0.5, 0.58, mix(paper, FLAME, 0.55))
    canvas.oval(0, -0.68, 0.27, 0.4, FLAME)
    for side in (-1, 1):
        canvas.line([(side * 0.84, -1.74), (side * 0.74, -0.18)], 0.09, WOOD)
    canvas.line([(-0.86, -1.72), (0.86, -1.72)], 0.09, WOOD)
    canvas.line([(-0.66, -2.0), (0.66, -2.0)], 0.05, WOOD)
    canvas.poly([(-0.98, -0.24), (0.98, -0.24), (0.88, 0.04), (-0.88, 0.04)], WOOD)
    canvas.poly([(-0.98, -0.24), (0.98, -0.24), (0.97, -0.17), (-0.97, -0.17)], mix(WOOD, PAPER, 0.55))


def light_up(canvas: Canvas, x: float, y: float, reach: float, strength: float) -> None:
    """Lay the glow of a lantern at *x*, *y* over an RGB picture; *reach* is its radius."""
    canvas.glow(x, y, reach, WARM, 0.5 * strength)
    canvas.glow(x, y, reach * 0.4, FLAME, 0.42 * strength)


def shining(view: View) -> float:
    """Return how strongly lanterns shine in the hour's light, 0.3 at noon to 1 at night."""
    return min(1.0, 0.3 + 0.9 * view.light.lamps)


def float_lanterns(view: View, top: float, low: float) -> None:
    """Draw lanterns drifting away over water that lies between two heights, each with its reflection."""
    dice, power = view.dice, shining(view)
    bend, phase = dice.choice((-1, 1)) * dice.uniform(0.16, 0.3), dice.uniform(0.0, 2.2)
    middle = 0.5 + dice.uniform(-0.1, 0.1)

    def stream(depth: float) -> float:
        return view.aspect * (middle + bend * math.sin(phase + 2.6 * depth) * (0.35 + 0.65 * depth))

    view.canvas.veil(top, top + (low - top) * 0.6, WARM, 0.30 * power, 0.0)
    for depth in (0.04, 0.2, 0.45, 0.8):
        y = top + (low - top) * depth**1.35
        view.canvas.glow(stream(depth), y, 0.16 + 0.3 * depth, WARM, 0.3 * power)
    placed: list[tuple[float, float]] = []
    for at in range(112):
        depth = dice.random() ** (1.9 if at % 3 else 1.2)
        spread = 0.10 + 0.17 * depth if at % 4 else 0.6
        placed.append((depth, stream(depth) + view.aspect * dice.gauss(0, spread)))
    for depth, x in sorted(placed):
        y = top + (low - top) * depth**1.35
        _afloat(view, x, y, 0.0042 + 0.030 * depth**1.2, power)


def _afloat(view: View, x: float, y: float, unit: float, power: float) -> None:
    """Draw one floating lantern with its glow and the light it lays on the water."""
    canvas, dice, small = view.canvas, view.dice, unit < SMALL
    for at in range(0, 7, 3 if small else 1):
        part = at / 6
        shift, wide = dice.uniform(-0.25, 0.25) * part, (0.62 + 0.2 * part) * dice.uniform(0.7, 1.1)
        colour = clear(mix(FLAME, EDGE, 0.3 + 0.7 * part), (0.74 - 0.6 * part) * (0.45 + 0.55 * power))
        canvas.oval(
            x + shift * unit, y + unit * (0.3 + 2.9 * part), wide * unit, unit * 0.17, colour, corners=12
        )
    canvas.glow(x, y - unit, unit * (4 if small else 5.2), WARM, 0.62 * power)
    if small:
        canvas.oval(x, y - unit * 0.8, unit * 0.8, unit * 0.95, mix(PAPER, FLAME, 0.5), corners=10)
        return
    box_lantern(canvas.at(x, y, unit, turn=dice.uniform(-0.07, 0.07)), light=power)


def float_near(view: View, top: float, low: float) -> None:
    """Draw a few lanterns on the strip of near water between two heights."""
    for _ in range(view.dice.randint(2, 4)):
        x = view.aspect * view.dice.uniform(0.03, 0.97)
        _afloat(view, x, view.dice.uniform(top + 0.03, low), view.dice.uniform(0.026, 0.034), shining(view))


def reflect(canvas: Canvas, x: float, y: float, unit: float) -> None:
    """Draw the light that a lantern of size *unit*, afloat at *x*, *y*, lays on the water below it."""
    for at in range(9):
        part = at / 8
        wide = unit * (0.85 - 0.3 * part) * (1.15 if at % 2 else 0.8)
        canvas.oval(
            x + unit * 0.12 * (-1) ** at,
            y + unit * (0.2 + 2.4 * part),
            wide,
            unit * 0.1,
            clear(mix(FLAME, EDGE, part), 0.75 - 0.6 * part),
            corners=16,
        )


def string_lanterns(view: View, line: list[Point], unit: float) -> None:
    """Hang lanterns of about *unit* picture heights at the points of *line*, in warm and pale papers."""
    for x, y in line:
        size = unit * view.dice.uniform(0.75, 1.25)
        paper: Ink = view.dice.choice((PAPER, PAPER, (250, 224, 176), (244, 150, 96)))
        cord = view.dice.uniform(0.3, 1.6)
        view.canvas.glow(x, y + size * (cord + 1.1), size * 4.0, WARM, 0.34 + 0.3 * shining(view))
        hang_lantern(view.canvas.at(x, y, size), paper=paper, cord=cord)
