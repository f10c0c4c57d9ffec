"""Heads: the face with its expression.

Units are half a head; the origin is between the cheeks, the chin at y = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.previz.brush import Ink, Point, mix
from runner.previz.looks import Looks
from runner.previz.sketch import LINE, Sketch, flip, lit, shade

BLUSH: Ink = (246, 142, 138)
MOUTH: Ink = (176, 68, 78)
TEAR: Ink = (196, 232, 255)
WHITE: Ink = (255, 255, 255)
GLINT: Ink = (236, 244, 252)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """How an expression moves a face: lids and brows in half heads, *open* of the eye 0..1."""

    open: float = 1.0
    iris: float = 1.0
    brow: float = 0.0
    tilt: float = 0.0
    mouth: str = "line"
    blush: float = 0.28
    tears: bool = False
    arc: int = 0


MOODS: dict[str, Mood] = {
    "neutral": Mood(open=0.92),
    "smile": Mood(mouth="smile", brow=-0.03, blush=0.4),
    "laughing": Mood(mouth="laugh", brow=-0.07, blush=0.5, arc=-1),
    "crying": Mood(mouth="wobble", open=0.8, brow=-0.02, tilt=-0.12, blush=0.6, tears=True),
    "angry": Mood(mouth="frown", open=0.86, brow=0.06, tilt=0.15, blush=0.3),
    "surprised": Mood(mouth="o", open=1.08, iris=0.82, brow=-0.12),
    "sad": Mood(mouth="frown", open=0.74, brow=-0.01, tilt=-0.11),
    "shy": Mood(mouth="wobble", open=0.88, tilt=-0.07, blush=0.85),
    "sleepy": Mood(mouth="line", arc=1, brow=0.02),
}


def draw_head(sketch: Sketch, looks: Looks, turn: float) -> None:
    """Draw head and ears without features; *turn* -1..1 is how far it looks to the right."""
    skin = looks.skin
    for side in (-1, 1):
        if side * turn < 0.45:
            ear = [(side * x + 0.0, y) for x, y in ((0.78, 0.0), (0.95, 0.02), (0.94, 0.28), (0.76, 0.4))]
            sketch.fill(ear, shade(skin, 0.12))
    chin = turn * 0.14
    jaw: list[Point] = [
        (0.86, -0.35), (0.83, 0.12), (0.70, 0.50), (0.36 + chin * 0.6, 0.86), (chin, 0.99),
    ]  # fmt: skip
    left = [(-0.36 + chin * 0.6, 0.86), *flip(jaw[:3])[::-1]]
    sketch.fill([(0.0, -1.0), (0.62, -0.82), *jaw, *left, (-0.62, -0.82)], skin)


def draw_features(sketch: Sketch, looks: Looks, turn: float) -> None:
    """Draw eyes, nose, mouth, blush and tears of the looks' expression."""
    mood = MOODS.get(looks.expression, MOODS["neutral"])
    if looks.elder:
        mood = replace(mood, open=mood.open * 0.7, iris=mood.iris * 0.88, blush=mood.blush * 0.8)
        _years(sketch, looks, turn)
    shift = turn * 0.27
    skin = looks.skin
    for side in (-1, 1):
        near = 1.0 - 0.3 * max(0.0, side * turn)
        sketch.oval(shift + side * 0.47 * near, 0.50, 0.17 * near, 0.09, mix(skin, BLUSH, mood.blush))
        if mood.blush > 0.45:
            for at in (-1, 0, 1):
                x = shift + side * 0.47 * near + at * 0.085
                sketch.stroke(
                    [(x + 0.035, 0.45), (x - 0.035, 0.55)], 0.026, mix(skin, BLUSH, 0.95), blunt=0.6
                )
    sketch.stroke([(shift * 1.5 + 0.015, 0.40), (shift * 1.5 + 0.05, 0.49), (shift * 1.5 - 0.02, 0.52)], 0.04,
                  shade(skin, 0.42))  # fmt: skip
    for side in (-1, 1):
        near = 1.0 - 0.34 * max(0.0, side * turn)
        eye = sketch.at(shift + side * 0.41 * (1.0 - 0.16 * max(0.0, side * turn)), 0.2, mirror=side < 0)
        _eye(eye, looks, mood, near)
        _brow(eye, looks, mood, near)
    _mouth(sketch.at(shift * 1.25, 0.70), mood, looks)
    if looks.glasses:
        _glasses(sketch, shift, turn)


def _years(sketch: Sketch, looks: Looks, turn: float) -> None:
    """Draw the gentle lines of age: at the eyes, under them, beside the mouth."""
    line, shift = shade(looks.skin, 0.4), turn * 0.27
    for side in (-1, 1):
        near = 1.0 - 0.3 * max(0.0, side * turn)
        x = shift + side * 0.41 * near
        sketch.stroke([(x - side * 0.2, 0.46), (x, 0.53), (x + side * 0.2, 0.47)], 0.032, line)
        for rise in (0.12, 0.2, 0.28):
            end = rise + (rise - 0.2) * 0.7
            sketch.stroke(
                [(x + side * 0.32 * near, rise), (x + side * 0.43 * near, end)], 0.028, line, blunt=0.4
            )
        fold = shift * 1.15 + side * 0.27 * near
        sketch.stroke([(fold - side * 0.07, 0.55), (fold, 0.68), (fold - side * 0.01, 0.8)], 0.035, line)


def _eye(eye: Sketch, looks: Looks, mood: Mood, near: float) -> None:
    """Draw one eye, outer corner at positive x."""
    lash = mix(mix(looks.hair, LINE, 0.7), (30, 20, 30), 0.1 if looks.elder else 0.45)
    wide, tall = 0.25 * near, (0.27 if looks.boy else 0.31) * mood.open
    if mood.arc:
        bend = 0.15 * mood.arc
        eye.stroke(
            [(-wide, 0.08 - bend * 0.3), (0, 0.08 + bend), (wide * 1.1, 0.06 - bend * 0.3)], 0.085, lash
        )
        if mood.arc > 0:
            eye.stroke([(wide * 0.8, 0.1), (wide * 1.25, 0.16)], 0.05, lash)
        return
    lid: list[Point] = [
        (-wide, 0.05),
        (-wide * 0.7, -tall * 0.72),
        (0, -tall),
        (wide * 0.75, -tall * 0.74),
        (wide, 0.02),
    ]
    eye.fill(
        [*lid, (wide * 0.68, tall * 0.78), (0, tall * 0.92), (-wide * 0.66, tall * 0.8)],
        (253, 252, 255),
        inked=False,
    )
    _iris(eye, looks.eyes, mood, near)
    eye.stroke(
        [
            (-wide * 1.02, 0.03),
            (-wide * 0.66, -tall * 0.76),
            (0, -tall * 1.02),
            (wide * 0.78, -tall * 0.74),
            (wide * 1.2, -0.02),
        ],
        0.105,
        lash,
        blunt=0.35,
    )
    if not (looks.boy or looks.elder):
        eye.stroke([(wide * 0.86, -tall * 0.62), (wide * 1.38, -tall * 0.66)], 0.055, lash)
    eye.stroke(
        [(wide * 0.75, tall * 0.72), (wide * 0.2, tall * 0.97), (-wide * 0.3, tall * 0.94)], 0.03, lash
    )
    if mood.tears:
        _tears(eye, wide, tall)


def _iris(eye: Sketch, colour: Ink, mood: Mood, near: float) -> None:
    rx, ry = 0.205 * near * mood.iris, 0.305 * mood.open * mood.iris
    dark = mix(colour, (26, 18, 46), 0.62)
    eye.oval(-0.01, 0.0, rx, ry, dark)
    eye.oval(-0.01, ry * 0.22, rx * 0.86, ry * 0.72, mix(colour, dark, 0.25))
    eye.oval(-0.01, ry * 0.46, rx * 0.66, ry * 0.44, lit(colour, 0.4))
    eye.oval(-0.01, ry * 0.0, rx * 0.46, ry * 0.44, mix(dark, (10, 8, 24), 0.6))
    sense = -1 if eye.canvas.mirror else 1
    eye.canvas.oval(-0.01 - sense * rx * 0.42, -ry * 0.42, rx * 0.36, ry * 0.25, WHITE)
    eye.canvas.oval(-0.01 + sense * rx * 0.45, ry * 0.42, rx * 0.17, ry * 0.12, WHITE)


def _tears(eye: Sketch, wide: float, tall: float) -> None:
    canvas = eye.canvas
    canvas.oval(wide * 0.1, tall * 0.92, wide * 0.72, 0.055, TEAR)
    for x, low in ((-wide * 0.3, 0.62), (wide * 0.62, 0.74)):
        canvas.poly([(x - 0.025, tall * 0.8), (x + 0.03, tall * 0.8), (x + 0.06, low), (x - 0.06, low)], TEAR)
        canvas.oval(x, low + 0.015, 0.062, 0.08, TEAR)
        canvas.oval(x - 0.015, low, 0.02, 0.04, WHITE)


def _brow(eye: Sketch, looks: Looks, mood: Mood, near: float) -> None:
    y = -0.47 + mood.brow
    wide = 0.27 * near
    thick = 0.075 if looks.boy else 0.052
    inner, outer = y + mood.tilt, y - mood.tilt * 0.55
    colour = mix(looks.hair, LINE, 0.62)
    eye.stroke(
        [(-wide * 0.9, inner + 0.02), (0, (inner + outer) / 2 - 0.035), (wide * 1.1, outer + 0.05)],
        thick,
        colour,
    )


def _mouth(mouth: Sketch, mood: Mood, looks: Looks) -> None:
    ink = mix(MOUTH, LINE, 0.45)
    shapes: dict[str, list[Point]] = {
        "line": [(-0.10, 0.01), (0, 0.015), (0.10, 0.0)],
        "smile": [(-0.19, -0.04), (-0.08, 0.045), (0.08, 0.045), (0.19, -0.04)],
        "frown": [(-0.15, 0.06), (0, -0.02), (0.15, 0.06)],
        "wobble": [(-0.16, 0.03), (-0.08, -0.025), (0, 0.02), (0.08, -0.025), (0.16, 0.03)],
    }
    if mood.mouth in shapes:
        mouth.stroke(shapes[mood.mouth], 0.045, ink, blunt=0.3)
    elif mood.mouth == "laugh":
        mouth.fill(
            [(-0.22, -0.07), (0, -0.045), (0.22, -0.07), (0.13, 0.13), (0, 0.18), (-0.13, 0.13)], MOUTH
        )
        mouth.oval(0, 0.115, 0.10, 0.045, (238, 132, 132))
    else:
        mouth.fill([(-0.08, 0), (0, -0.1), (0.08, 0), (0.06, 0.11), (0, 0.14), (-0.06, 0.11)], MOUTH)
    if mood.mouth in ("smile", "line") and not looks.boy:
        mouth.stroke([(-0.05, 0.105), (0.05, 0.105)], 0.022, shade(looks.skin, 0.3))


def _glasses(sketch: Sketch, shift: float, turn: float) -> None:
    frame: Ink = (58, 44, 56)
    for side in (-1, 1):
        near = 1.0 - 0.3 * max(0.0, side * turn)
        x = shift + side * 0.42 * (1.0 - 0.16 * max(0.0, side * turn))
        ring: list[Point] = [
            (x - 0.33 * near, 0.02),
            (x - 0.24 * near, -0.2),
            (x + 0.24 * near, -0.2),
            (x + 0.33 * near, 0.02),
            (x + 0.25 * near, 0.42),
            (x, 0.49),
            (x - 0.25 * near, 0.42),
            (x - 0.33 * near, 0.02),
        ]
        sketch.wire(ring, 0.045, frame)
        sketch.stroke([(x - 0.16 * near, 0.33), (x + 0.02, 0.08)], 0.035, GLINT, blunt=0.5)
        if side * turn < 0.3:
            sketch.wire([(x + side * 0.33 * near, 0.05), (side * 0.9, 0.08)], 0.04, frame)
    sketch.wire([(shift - 0.1, 0.06), (shift, 0.02), (shift + 0.1, 0.06)], 0.045, frame)
