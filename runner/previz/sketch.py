"""Inked shapes in a scene's light: what figures and creatures are drawn with, on a layer of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.previz.brush import Canvas, Ink, Point, mix, smooth, tint
from runner.previz.light import Light

LINE: Ink = (52, 30, 48)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A canvas on an RGBA layer and the light its colours stand in; colours are given as in white light."""

    canvas: Canvas
    light: Light
    line: float = 0.026

    def at(self, x: float, y: float, unit: float = 1.0, *, turn: float = 0.0, mirror: bool = False) -> Sketch:
        """Return this sketch moved, see `Canvas.at`."""
        return Sketch(self.canvas.at(x, y, unit, turn=turn, mirror=mirror), self.light, self.line)

    def fill(self, points: Sequence[Point], colour: Ink, *, inked: bool = True, sharp: bool = False) -> None:
        """Fill a closed shape, smooth unless *sharp*, with a thin darker outline."""
        path = np.asarray(points, dtype=float) if sharp else smooth(points, closed=True)
        pixels = self.canvas.px(path)
        pen = self.canvas.pen
        pen.polygon(pixels, fill=self.light.figure(colour))
        if inked:
            edge = self.light.figure(mix(colour, LINE, 0.55))
            pen.line(
                [*pixels, pixels[0]], fill=edge, width=self._px(self.line), joint="curve" if sharp else None
            )

    def limb(
        self, points: Sequence[Point], widths: Sequence[float], colour: Ink, *, inked: bool = True
    ) -> None:
        """Fill a bent ribbon through *points*, as wide as *widths* at each of them."""
        path = smooth(points, closed=False, steps=6)
        spread = np.interp(np.linspace(0, len(points) - 1, len(path)), range(len(widths)), widths) / 2
        along = np.gradient(path, axis=0)
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / (np.hypot(*along.T) + 1e-9)[:, None]
        left, right = path + normal * spread[:, None], path - normal * spread[:, None]
        outline = np.concatenate([left, right[::-1]])
        self.fill([(float(x), float(y)) for x, y in outline], colour, inked=inked, sharp=True)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Ink) -> None:
        """Fill an ellipse without outline."""
        self.canvas.oval(x, y, rx, ry, self.light.figure(colour))

    def stroke(self, points: Sequence[Point], width: float, colour: Ink, *, blunt: float = 0.15) -> None:
        """Draw a tapered line."""
        self.canvas.stroke(points, width, self.light.figure(colour), blunt=blunt)

    def wire(self, points: Sequence[Point], width: float, colour: Ink) -> None:
        """Draw an even smooth line."""
        self.canvas.pen.line(
            self.canvas.px(smooth(points, closed=False)),
            fill=self.light.figure(colour),
            width=self._px(width),
        )

    def _px(self, width: float) -> int:
        return max(1, round(width * self.canvas.scale))


def shade(colour: Ink, part: float = 0.3) -> Ink:
    """Return the cel shadow of *colour*: warm on skin and warm cloth, violet on white and cold cloth."""
    warm = min(1.0, max(0.0, (colour[0] - colour[2] - 10) / 30))
    shadow = tint(colour, mix((176, 172, 216), (226, 176, 174), warm))
    return mix(colour, shadow, min(1.0, part * 2.2))


def lit(colour: Ink, part: float = 0.3) -> Ink:
    """Return the highlight of *colour*."""
    return mix(colour, (255, 252, 244), part)


def flip(points: Sequence[Point]) -> list[Point]:
    """Return *points* mirrored left to right."""
    return [(-x, y) for x, y in points]
