"""A lantern maker's workshop: board walls, full shelves, a bench, and paper lanterns under the beams."""

from __future__ import annotations

from runner.previz.brush import Ink, Point, clear, mix
from runner.previz.landscapes import ridge
from runner.previz.lanterns import FLAME, PAPER, WARM, box_lantern, string_lanterns
from runner.previz.sky import View
from runner.previz.town import skyline

BOARD: Ink = (176, 124, 84)
DARK: Ink = (98, 64, 48)
SHEETS: tuple[Ink, ...] = ((248, 238, 216), (236, 206, 168), (214, 108, 84), (238, 188, 104), (150, 168, 150))


def paint_workshop(view: View) -> None:
    """Draw the workshop: a window with paper panes, shelves of work, a bench, lanterns hanging in front."""
    ridge(view, 0.5, 0.06, view.light.far((96, 132, 120), 0.6), steps=7)
    skyline(view, 0.58, 0.14, 0.5, narrow=0.05)
    side = view.sun_side
    middle = view.aspect * (0.5 + side * view.dice.uniform(0.2, 0.3))
    _walls(view, (middle - 0.34, 0.12, middle + 0.34, 0.56))
    for at, reach in enumerate((-0.02, 0.62)):
        _shelves(view, view.aspect * 0.5 - side * (0.34 + reach) * 1.0 - side * 0.1, 0.26 + 0.02 * at)
    _boards(view, 0.77)
    _light(view, middle, side)
    _bench(view, view.aspect * 0.5 - side * view.aspect * view.dice.uniform(0.26, 0.36))
    _beams(view)


def _inside(view: View, colour: Ink) -> Ink:
    """Return a wooden or paper surface in the lanterns' own warm light, whatever the hour outside."""
    warm = mix(view.light.figure(colour), colour, 0.45)
    return mix(warm, (88, 44, 40), 0.06 + 0.24 * view.light.backlit)


def _walls(view: View, pane: tuple[float, float, float, float]) -> None:
    canvas = view.canvas
    left, top, right, low = pane
    wall = _inside(view, BOARD)
    for box in ((view.left, -0.3, view.right, top), (view.left, low, view.right, 1.5),
                (view.left, top, left, low), (right, top, view.right, low)):  # fmt: skip
        canvas.box(*box, wall)
    x = view.left
    while x < view.right:
        wide = view.dice.uniform(0.07, 0.12)
        grain = mix(wall, (70, 36, 30), view.dice.uniform(0.0, 0.12))
        for upper, lower in ((-0.3, top), (low, 0.8)) if left < x + wide and x < right else ((-0.3, 0.8),):
            if x > right or x + wide < left or upper < 0 or lower > 0.7:
                canvas.box(x, upper, x + wide - 0.003, lower, clear(grain, 0.55))
        x += wide
    canvas.veil(-0.1, 0.25, (60, 30, 36), 0.42, 0.0)
    frame, paper = _inside(view, DARK), mix(_inside(view, (250, 236, 206)), view.light.key, 0.3)
    half = left + (right - left) * (0.34 if view.dice.random() < 0.5 else 0.5)
    canvas.box(half, top, right, low, clear(paper, 0.86))
    for at in range(9):
        x = left + (right - left) * at / 8
        canvas.box(x - 0.003, top, x + 0.003, low, frame if x >= half else clear(frame, 0.0))
    for at in range(5):
        y = top + (low - top) * at / 4
        canvas.box(half, y - 0.003, right, y + 0.003, frame)
    for a, b, c, d in (
        (left - 0.02, top - 0.02, right + 0.02, top + 0.004),
        (left - 0.02, low, right + 0.02, low + 0.03),
        (left - 0.02, top, left, low),
        (right, top, right + 0.02, low),
        (half - 0.008, top, half + 0.008, low),
    ):
        canvas.box(a, b, c, d, frame)


def _shelves(view: View, x: float, top: float) -> None:
    """Draw three shelves of rolled paper, lanterns still to be finished, jars and brushes."""
    canvas, frame = view.canvas, _inside(view, DARK)
    wide = 0.29
    canvas.box(x - wide, top - 0.1, x + wide, 0.77, clear(mix(frame, (40, 20, 24), 0.4), 0.6))
    for side in (-1, 1):
        canvas.box(x + side * wide - 0.008, top - 0.1, x + side * wide + 0.008, 0.77, frame)
    for level in range(4):
        y = top + 0.03 + level * 0.145
        at = x - wide + 0.03
        while at < x + wide - 0.06:
            at += _thing(view, at, y)
        canvas.box(x - wide - 0.012, y, x + wide + 0.012, y + 0.016, frame)
        canvas.box(x - wide - 0.012, y, x + wide + 0.012, y + 0.004, mix(frame, PAPER, 0.4))


def _thing(view: View, x: float, y: float) -> float:
    """Draw one thing standing on a shelf at *x*, *y*; return the room it takes."""
    canvas, kind = view.canvas, view.dice.random()
    paper = _inside(view, view.dice.choice(SHEETS))
    if kind < 0.3:
        unit = view.dice.uniform(0.026, 0.034)
        if view.dice.random() < 0.6:
            canvas.glow(x + unit, y - unit, unit * 3.2, WARM, 0.4)
        box_lantern(canvas.at(x + unit, y - 0.001, unit), light=0.8)
        return unit * 2.5
    if kind < 0.62:
        for at in range(3):
            r = 0.013
            cx, cy = x + r + at * r * 2, y - r
            canvas.oval(cx, cy, r, r, paper, corners=16)
            canvas.oval(cx, cy, r * 0.45, r * 0.45, mix(paper, (70, 40, 36), 0.6), corners=12)
        canvas.oval(x + 2 * 0.013, y - 0.034, 0.013, 0.013, mix(paper, FLAME, 0.3), corners=16)
        canvas.oval(x + 4 * 0.013, y - 0.034, 0.013, 0.013, paper, corners=16)
        return 0.092
    if kind < 0.84:
        tall = view.dice.uniform(0.035, 0.06)
        for at in range(4):
            lean = (at - 1.5) * 0.009
            canvas.line(
                [(x + 0.02, y - tall * 0.6), (x + 0.02 + lean, y - tall - 0.045)],
                0.004,
                mix(paper, DARK, 0.6),
            )
        canvas.box(x, y - tall, x + 0.04, y, _inside(view, (110, 132, 140)))
        canvas.box(x, y - tall, x + 0.012, y, _inside(view, (150, 170, 172)))
        return 0.058
    for at in range(5):
        canvas.box(x, y - 0.01 * (at + 1), x + 0.1, y - 0.01 * at - 0.001, _inside(view, SHEETS[at % 3]))
    return 0.12


def _boards(view: View, top: float) -> None:
    canvas, colour = view.canvas, _inside(view, (150, 100, 68))
    canvas.box(view.left, top, view.right, 1.5, colour)
    canvas.box(view.left, top - 0.02, view.right, top, _inside(view, DARK))
    vanish = view.aspect / 2
    for at in range(-14, 15):
        line: list[Point] = [(vanish + at * 0.12, top), (vanish + at * 0.36, 1.2)]
        canvas.line(line, 0.0024, clear((60, 30, 28), 0.45))
    canvas.veil(top, 1.05, (52, 24, 36), 0.0, 0.4)


def _light(view: View, middle: float, side: int) -> None:
    """Lay the window's light slanting over the floor."""
    if view.light.lamps > 0.5 or view.light.fall:
        return
    slant = -0.5 * side
    key = view.light.key
    view.canvas.poly([(middle - 0.34, 0.12), (middle + 0.34, 0.12), (middle + 0.44 + slant, 1.1),
                      (middle - 0.44 + slant, 1.1)], clear(key, 0.10))  # fmt: skip
    view.canvas.poly(
        [
            (middle - 0.3 + slant * 0.6, 0.8),
            (middle + 0.3 + slant * 0.6, 0.8),
            (middle + 0.4 + slant, 1.1),
            (middle - 0.4 + slant, 1.1),
        ],
        clear(key, 0.28),
    )


def _bench(view: View, x: float) -> None:
    """Draw the bench with an unfinished lantern, a glue pot and sheets of paper."""
    canvas, wood = view.canvas, _inside(view, (170, 112, 72))
    canvas.box(x - 0.36, 0.66, x + 0.36, 0.69, mix(wood, view.light.key, 0.22))
    canvas.box(x - 0.36, 0.69, x + 0.36, 0.73, mix(wood, (60, 30, 28), 0.35))
    for at in (-0.33, 0.29):
        canvas.box(x + at, 0.72, x + at + 0.04, 0.93, mix(wood, (60, 30, 28), 0.45))
    canvas.poly(
        [(x - 0.3, 0.655), (x - 0.1, 0.645), (x - 0.06, 0.665), (x - 0.27, 0.672)], _inside(view, SHEETS[0])
    )
    canvas.poly([(x - 0.24, 0.648), (x - 0.14, 0.64), (x - 0.1, 0.655)], _inside(view, SHEETS[2]))
    canvas.glow(x + 0.12, 0.6, 0.3, WARM, 0.5)
    box_lantern(canvas.at(x + 0.12, 0.664, 0.05))
    frame = _inside(view, DARK)
    for at in (-0.02, 0.03):
        canvas.line([(x + at, 0.664), (x + at + 0.004, 0.58)], 0.004, frame)
    for y in (0.66, 0.585):
        canvas.line([(x - 0.03, y), (x + 0.045, y)], 0.004, frame)
    canvas.box(x + 0.23, 0.615, x + 0.29, 0.662, _inside(view, (124, 96, 108)))
    canvas.line([(x + 0.25, 0.63), (x + 0.285, 0.54)], 0.006, frame)


def _beams(view: View) -> None:
    canvas, wood = view.canvas, _inside(view, DARK)
    canvas.box(view.left, -0.3, view.right, 0.012, mix(wood, (40, 18, 22), 0.4))
    canvas.box(view.left, 0.012, view.right, 0.05, wood)
    canvas.box(view.left, 0.046, view.right, 0.05, mix(wood, PAPER, 0.35))
    dice = view.dice
    count = max(3, round(5 * view.aspect / 1.6))
    start = dice.uniform(0.0, 0.6)
    hooks: list[Point] = [
        (view.aspect * (at + start + dice.uniform(-0.2, 0.2)) / count, 0.05) for at in range(count)
    ]
    string_lanterns(view, hooks, 0.042)
