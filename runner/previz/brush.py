"""Drawing primitives in picture units: smooth shapes, tapered strokes, glows and veils on one image.

A canvas maps its own coordinates to pixels by a similarity, so a place or a figure is drawn in the units
that suit it. Colours are `(r, g, b)` or `(r, g, b, alpha)`, 0..255; alpha blends on RGB images and is
written as it is on RGBA ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Ink = tuple[int, int, int]
Colour = tuple[int, int, int] | tuple[int, int, int, int]
Point = tuple[float, float]


def mix(one: Ink, other: Ink, part: float) -> Ink:
    """Return *one* with *part* (0..1) of *other* in it."""
    part = min(1.0, max(0.0, part))
    return tuple(round(a + (b - a) * part) for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


def tint(colour: Ink, by: Ink) -> Ink:
    """Return *colour* under a light of colour *by* (white changes nothing)."""
    return tuple(a * b // 255 for a, b in zip(colour, by, strict=True))  # type: ignore[return-value]


def clear(colour: Ink, alpha: float) -> Colour:
    """Return *colour* with opacity *alpha* (0..1)."""
    return (*colour[:3], round(255 * min(1.0, max(0.0, alpha))))


def hexed(text: str) -> Ink:
    """Return the colour written as six hexadecimal digits."""
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def gradient(stops: Sequence[Ink], length: int) -> NDArray[np.uint8]:
    """Return (length, 3) colours running evenly through *stops*."""
    places = np.linspace(0.0, 1.0, len(stops))
    where = np.linspace(0.0, 1.0, max(1, length))
    table = np.array(stops, dtype=float)
    return (
        np.stack([np.interp(where, places, table[:, c]) for c in range(3)], axis=1).round().astype(np.uint8)
    )


def smooth(points: Sequence[Point], *, closed: bool, steps: int = 8) -> NDArray[np.float64]:
    """Return (n, 2) points of a Catmull-Rom curve through *points*."""
    given = np.asarray(points, dtype=float)
    if closed:
        padded = np.concatenate([given[-1:], given, given[:2]])
    else:
        padded = np.concatenate([given[:1], given, given[-1:]])
    before, here, there, after = (padded[at : len(padded) - 3 + at, None, :] for at in range(4))
    t = _steps(steps)
    curve = 0.5 * (
        2 * here
        + (there - before) * t
        + (2 * before - 5 * here + 4 * there - after) * t**2
        + (3 * here - before - 3 * there + after) * t**3
    )
    flat = curve.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, given[-1:]])


@lru_cache(maxsize=8)
def _steps(steps: int) -> NDArray[np.float64]:
    return np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None]


@lru_cache(maxsize=4)
def _circle(corners: int) -> NDArray[np.float64]:
    turn = np.linspace(0.0, 2 * math.pi, corners, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


@lru_cache(maxsize=2)
def _halo(size: int) -> Image.Image:
    axis = np.linspace(-1.0, 1.0, size)
    distance = np.hypot(axis[:, None], axis[None, :])
    return Image.fromarray((np.clip(1.0 - distance, 0.0, 1.0) ** 2 * 255).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Canvas:
    """An image and the similarity from units to its pixels: scale (px per unit), origin (px), turn."""

    image: Image.Image
    scale: float
    origin: Point = (0.0, 0.0)
    turn: float = 0.0
    mirror: bool = False

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        """A fresh Pillow pen that blends alpha on RGB images."""
        return ImageDraw.Draw(self.image, "RGBA")

    def at(self, x: float, y: float, unit: float = 1.0, *, turn: float = 0.0, mirror: bool = False) -> Canvas:
        """Return a canvas whose origin is *x*, *y* here and with *unit* of this unit, turned by radians."""
        (origin,) = self.px([(x, y)])
        sense = -1.0 if self.mirror else 1.0
        return Canvas(self.image, self.scale * unit, origin, self.turn + sense * turn, self.mirror != mirror)

    def px(self, points: Iterable[Point] | NDArray[np.float64]) -> list[Point]:
        """Return *points* in pixels."""
        given = (
            np.asarray(points if isinstance(points, np.ndarray) else list(points), dtype=float) * self.scale
        )
        x = -given[:, 0] if self.mirror else given[:, 0]
        y = given[:, 1]
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        columns = (x * cos - y * sin + self.origin[0]).tolist(), (x * sin + y * cos + self.origin[1]).tolist()
        return list(zip(*columns, strict=True))

    def poly(self, points: Iterable[Point] | NDArray[np.float64], colour: Colour) -> None:
        """Fill a polygon."""
        self.pen.polygon(self.px(points), fill=colour)

    def blob(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill the smooth closed curve through *points*."""
        self.poly(smooth(points, closed=True), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle (upright in this canvas)."""
        self.poly([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, *, corners: int = 48) -> None:
        """Fill an ellipse with centre and radii."""
        self.poly(_circle(corners) * (rx, ry) + (x, y), colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw straight lines of *width* units, at least one px."""
        self.pen.line(self.px(points), fill=colour, width=max(1, round(width * self.scale)), joint="curve")

    def wire(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a smooth line of even *width*, at least one px."""
        self.pen.line(
            self.px(smooth(points, closed=False)), fill=colour, width=max(1, round(width * self.scale))
        )

    def stroke(self, points: Sequence[Point], width: float, colour: Colour, *, blunt: float = 0.0) -> None:
        """Draw a smooth brush stroke, thickest in the middle; *blunt* (0..1) keeps its ends thick."""
        path = smooth(points, closed=False, steps=6)
        along = np.gradient(path, axis=0)
        normal = (
            np.stack([-along[:, 1], along[:, 0]], axis=1)
            / (np.hypot(along[:, 0], along[:, 1]) + 1e-9)[:, None]
        )
        swell = blunt + (1 - blunt) * np.sin(np.linspace(0, math.pi, len(path)))
        side = normal * (swell * width / 2)[:, None]
        self.poly(np.concatenate([path + side, (path - side)[::-1]]), colour)

    def glow(self, x: float, y: float, radius: float, colour: Ink, strength: float) -> None:
        """Lighten softly round a point; *strength* 0..1 is the opacity at its middle."""
        ((cx, cy),) = self.px([(x, y)])
        reach = max(1, round(radius * self.scale))
        left, top = round(cx) - reach, round(cy) - reach
        frame = (
            max(0, left),
            max(0, top),
            min(self.image.width, left + 2 * reach),
            min(self.image.height, top + 2 * reach),
        )
        if frame[0] >= frame[2] or frame[1] >= frame[3]:
            return
        fit = 256 / (2 * reach)
        source = tuple((edge - start) * fit for edge, start in zip(frame, (left, top) * 2, strict=True))
        mask = _halo(256).resize(
            (frame[2] - frame[0], frame[3] - frame[1]),
            Image.Resampling.BILINEAR,
            box=source,  # type: ignore[arg-type]
        )
        self.image.paste(colour, frame, mask.point(lambda value: value * strength))

    def veil(self, top: float, bottom: float, colour: Ink, above: float, below: float) -> None:
        """Lay *colour* over the band between two heights, opacity running from *above* to *below* (0..1)."""
        (_, first), (_, last) = self.px([(0, top), (0, bottom)])
        height = round(last - first)
        start, end = max(0, round(first)), min(self.image.height, round(last))
        if height < 1 or start >= end:
            return
        ramp = (np.linspace(above, below, height) * 255).astype(np.uint8)[start - round(first) :][
            : end - start
        ]
        mask = Image.fromarray(ramp[:, None]).resize((self.image.width, len(ramp)))
        self.image.paste(colour, (0, start, self.image.width, start + len(ramp)), mask)
