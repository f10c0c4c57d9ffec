"""Open country: hills, mountains, sea, fields and woods in layers that pale towards the horizon."""

from __future__ import annotations

from runner.previz.brush import Ink, Point, mix
from runner.previz.sky import View

GREEN: Ink = (74, 122, 86)


def ridge(view: View, base: float, rise: float, colour: Ink, *, steps: int = 9, jagged: bool = False) -> None:
    """Fill the land below a seeded ridge line round height *base*."""
    span = view.right - view.left
    line: list[Point] = [
        (view.left + span * at / steps, base - rise * view.dice.uniform(-0.4, 1.0)) for at in range(steps + 1)
    ]
    floor = [(view.right + 0.2, 1.4), (view.left - 0.2, 1.4)]
    if jagged:
        view.canvas.poly([*line, *floor], colour)
    else:
        from runner.previz.brush import smooth

        view.canvas.poly([*map(tuple, smooth(line, closed=False).tolist()), *floor], colour)


def paint_hills(view: View) -> None:
    """Draw rolling hills."""
    y = view.horizon
    for layer, distance in enumerate((0.8, 0.55, 0.3, 0.08)):
        ridge(
            view, y + 0.09 * layer, 0.08, view.light.far(mix(GREEN, (60, 90, 120), distance * 0.6), distance)
        )
