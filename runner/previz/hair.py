"""Hair: what falls behind the body, what frames the face, and the back of a head. Units as in `face`."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from runner.previz.brush import Point
from runner.previz.looks import Looks
from runner.previz.sketch import Sketch, flip, lit, shade

DOME: list[Point] = [
    (-0.98, 0.05),
    (-1.04, -0.45),
    (-0.82, -1.0),
    (-0.36, -1.27),
    (0.0, -1.32),
    (0.36, -1.27),
    (0.82, -1.0),
    (1.04, -0.45),
    (0.98, 0.05),
]
FRINGES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((-0.74, 0.12), (-0.42, -0.10), (-0.08, -0.02), (0.26, -0.12), (0.60, 0.02)),
    ((-0.66, 0.02), (-0.28, -0.08), (0.10, -0.06), (0.46, -0.06), (0.76, 0.08)),
    ((-0.78, 0.16), (-0.56, -0.02), (0.02, -0.34), (0.50, -0.06), (0.80, 0.18)),
    ((-0.70, -0.02), (-0.36, -0.02), (0.0, -0.02), (0.36, -0.02), (0.70, -0.02)),
)
REACH = {
    "short": 0.62,
    "bob": 1.15,
    "long": 4.3,
    "ponytail": 0.62,
    "twintails": 0.62,
    "bun": 0.62,
    "braid": 0.85,
}


def draw_back_hair(sketch: Sketch, looks: Looks, sway: float) -> None:
    """Draw the hair behind neck and body; *sway* in half heads is where the wind carries its ends."""
    dark = shade(looks.hair, 0.34)
    style = looks.hair_style
    if style == "twintails":
        for side in (-1, 1):
            _tail(sketch, (side * 0.95, -0.62), side * 1.1 + sway, 3.1, looks)
    elif style == "ponytail":
        _tail(sketch, (0.35, -1.0), 1.25 + sway, 2.9, looks)
    elif style == "bun":
        sketch.fill([(-0.48, -1.35), (0, -1.78), (0.48, -1.35), (0.3, -1.0), (-0.3, -1.0)], looks.hair)
    low = 0.2 if looks.elder and style == "bun" else REACH[style]
    if style == "long":
        tips: list[Point] = [(1.3 + sway, low * 0.9), (0.86 + sway * 1.1, low - 0.35), (0.5 + sway, low),
                             (0.1 + sway, low - 0.4), (-0.4 + sway, low), (-0.8 + sway * 0.9, low - 0.4),
                             (-1.15 + sway * 0.8, low * 0.93)]  # fmt: skip
        sides = (
            [(1.16 + sway * 0.1, 0.9), (1.22 + sway * 0.4, 2.2)],
            [(-1.16 + sway * 0.3, 2.2), (-1.14, 0.9)],
        )
        sketch.fill([*DOME, *sides[0], *tips, *sides[1]], dark)
        return
    puff = 1.12 if style == "bob" else 1.0
    half: list[Point] = [(1.06 * puff, low * 0.4), (0.96 * puff, low), (0.62, low - 0.12), (0.38, low + 0.22)]
    sketch.fill([*DOME, *half, (0.0, low - 0.1), *flip(half)[::-1]], dark)


def draw_front_hair(sketch: Sketch, looks: Looks, turn: float, sway: float) -> None:
    """Draw crown, fringe and the locks beside the face."""
    hair = looks.hair
    shift = turn * 0.16
    if looks.elder:
        _combed(sketch, looks, shift)
        return
    for side in (-1, 1):
        _lock(sketch, looks, side, turn, sway)
    tips = [(x + shift, y) for x, y in FRINGES[looks.fringe]]
    edge: list[Point] = [(0.98, 0.02)]
    across = [0.9, *[(a[0] + b[0]) / 2 for a, b in zip(tips[::-1], tips[-2::-1], strict=False)], -0.9]
    for root, tip in zip(across, reversed(tips), strict=False):
        edge += [
            (root, -0.44 + abs(root) * 0.12),
            (tip[0] + 0.09, tip[1] - 0.12),
            tip,
            (tip[0] - 0.1, tip[1] - 0.16),
        ]
    edge += [(-0.9, -0.38), (-0.98, 0.02)]
    sketch.fill([*(_spiky(looks) if looks.boy else DOME), *edge], hair)
    for x, y in tips[1:-1]:
        sketch.stroke([(x * 0.55, -0.92), (x * 0.85, -0.6), (x + 0.05, y - 0.18)], 0.035, shade(hair, 0.5))
    _ring(sketch, looks, shift)
    if looks.hair_style == "twintails":
        for side in (-1, 1):
            sketch.fill(
                [(side * 0.82, -0.84), (side * 1.06, -0.78), (side * 1.04, -0.5), (side * 0.86, -0.54)],
                looks.tie,
            )
    if looks.fringe == 1 and not looks.boy:
        sketch.stroke([(0.02, -1.28), (-0.1, -1.56), (-0.34, -1.6)], 0.09, hair)


def _combed(sketch: Sketch, looks: Looks, shift: float) -> None:
    """Draw hair combed back from the forehead, as somebody old wears it."""
    hair, part = looks.hair, shift + 0.12
    line: list[Point] = [
        (0.9, 0.16),
        (0.8, -0.24),
        (0.5, -0.56),
        (part, -0.74),
        (-0.5, -0.5),
        (-0.8, -0.22),
        (-0.9, 0.16),
    ]
    sketch.fill([*DOME, *line], hair)
    for x in (-0.72, -0.42, 0.42, 0.72):
        start = (part + (x - part) * 0.5, -0.74 + abs(x) * 0.16)
        sketch.stroke(
            [(x * 1.08, -0.12 - (0.75 - abs(x)) * 0.5), start, (part * 0.4 + x * 0.3, -1.12)],
            0.034,
            shade(hair, 0.45),
        )
    _ring(sketch, looks, shift)


def draw_back_of_head(sketch: Sketch, looks: Looks, sway: float) -> None:
    """Draw the head seen from behind, hair over neck and shoulders."""
    style = looks.hair_style
    if looks.boy and style == "short":
        _nape(sketch, looks)
        return
    low = {"long": 4.2, "bob": 1.25, "short": 0.86}.get(style, 0.8)
    if style == "twintails":
        for side in (-1, 1):
            _tail(sketch, (side * 0.95, -0.62), side * 1.1 + sway, 3.1, looks)
    spread = 1.16 if style == "long" else 1.04
    right: list[Point] = [
        (spread, low * 0.45),
        (spread + sway * 0.4, low * 0.9),
        (0.62 + sway, low - 0.16),
        (0.34 + sway, low + 0.1),
    ]
    left: list[Point] = [
        (-0.34 + sway, low + 0.08),
        (-0.62 + sway, low - 0.16),
        (-spread + sway * 0.5, low * 0.9),
        (-spread, low * 0.45),
    ]
    sketch.fill([*DOME, *right, (sway, low - 0.08), *left], looks.hair)
    for x in (-0.6, -0.2, 0.25, 0.62):
        sketch.stroke(
            [(x * 0.5, -0.9), (x, 0.0), (x * 1.1 + sway * 0.6, low * 0.85)], 0.04, shade(looks.hair, 0.45)
        )
    _ring(sketch, looks, 0.0)
    if style in ("ponytail", "braid"):
        _tail(sketch, (0.0, -0.75), 0.25 + sway, 3.0, looks)
    if style == "bun":
        sketch.fill([(-0.46, -1.3), (0, -1.72), (0.46, -1.3), (0.34, -0.9), (-0.34, -0.9)], looks.hair)


def _nape(sketch: Sketch, looks: Looks) -> None:
    """Draw a boy's short hair from behind: ears, an unruly crown and a ragged neckline."""
    for side in (-1, 1):
        sketch.fill(
            [(side * 0.84, 0.0), (side * 1.06, 0.06), (side * 1.02, 0.34), (side * 0.84, 0.42)], looks.skin
        )
    tips: list[Point] = [
        (0.9, 0.5),
        (0.7, 0.42),
        (0.52, 0.78),
        (0.3, 0.6),
        (0.1, 0.9),
        (-0.12, 0.62),
        (-0.34, 0.84),
        (-0.5, 0.56),
        (-0.72, 0.68),
        (-0.86, 0.4),
    ]
    sketch.fill([*_spiky(looks), *tips], looks.hair)
    for x in (-0.55, -0.18, 0.22, 0.58):
        sketch.stroke([(x * 0.4, -0.8), (x * 0.9, -0.1), (x, 0.45)], 0.04, shade(looks.hair, 0.45))
    _ring(sketch, looks, 0.0)


def _spiky(looks: Looks) -> list[Point]:
    """Return the crown of short unruly hair: the dome with tufts, their lean set by the fringe."""
    lean = (-0.1, 0.1, 0.16, -0.16)[looks.fringe]
    crown: list[Point] = [DOME[0]]
    for (ax, ay), (bx, by) in pairwise(DOME[1:-1]):
        mx, my = (ax + bx) / 2, (ay + by) / 2
        crown += [(ax, ay), (mx * 1.1 + lean, my * 1.1 - 0.03)]
    return [*crown, DOME[-2], DOME[-1]]


def _tail(sketch: Sketch, root: Point, reach: float, length: float, looks: Looks) -> None:
    x, y = root
    path = [
        (x, y),
        (x + reach * 0.55, y + length * 0.18),
        (x + reach * 0.8, y + length * 0.6),
        (x + reach * 0.7, y + length),
    ]
    sketch.limb(path, [0.3, 0.66, 0.62, 0.05], shade(looks.hair, 0.16))
    inner = [
        (x + reach * 0.1, y + 0.1),
        (x + reach * 0.58, y + length * 0.3),
        (x + reach * 0.74, y + length * 0.8),
    ]
    sketch.stroke(inner, 0.05, shade(looks.hair, 0.6))
    sketch.oval(x, y, 0.17, 0.17, looks.tie)


def _lock(sketch: Sketch, looks: Looks, side: int, turn: float, sway: float) -> None:
    low = {"short": 0.42, "bob": 1.12, "long": 1.75, "braid": 0.9}.get(looks.hair_style, 0.95)
    if looks.boy:
        low = min(low, 0.5)
    x = side * (0.90 - 0.1 * max(0.0, side * turn)) + turn * 0.05
    path = [
        (x * 0.98, -0.5),
        (x * 1.06, 0.1),
        (x * 0.98 + sway * 0.1, low * 0.7),
        (x * 0.82 + sway * 0.2, low),
    ]
    sketch.limb(path, [0.2, 0.32, 0.24, 0.02], looks.hair)


def _ring(sketch: Sketch, looks: Looks, shift: float) -> None:
    """Draw the bright band round the crown, its lower edge in strands."""
    dice = Random(looks.fringe * 7 + len(looks.name))
    upper: list[Point] = []
    lower: list[Point] = []
    for at in range(15):
        x = -0.7 + at * 0.1
        y = -0.84 + 0.2 * x * x
        upper.append((x + shift, y - (0.05 if at % 2 else 0.0) - dice.uniform(0.0, 0.03)))
        lower.append((x + shift, y + 0.05 + (dice.uniform(0.05, 0.12) if at % 2 else 0.0)))
    part = 0.22 if sum(looks.hair) < 260 else 0.34
    sketch.fill(
        [(-0.78 + shift, -0.7), *upper, (0.78 + shift, -0.7), *lower[::-1]],
        lit(looks.hair, part),
        inked=False,
        sharp=True,
    )
