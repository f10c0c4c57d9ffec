"""Japanese clothes: kimono and yukata, jinbei, and the sandals that go with them. Units as in `attire`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from runner.previz.brush import Ink, Point, mix
from runner.previz.looks import Looks
from runner.previz.sketch import Sketch, flip, lit, shade

SHIRT: Ink = (248, 247, 250)
STRAP: Ink = (196, 58, 62)
SOLE: Ink = (120, 82, 58)
POLLEN: Ink = (246, 222, 140)
KNEELING_Y = 6.0
"""Ankles above this height belong to somebody kneeling."""

_STILL = 1.25


def draw_kimono(
    sketch: Sketch, looks: Looks, legs: Sequence[Sequence[Point]], *, behind: bool, seated: bool
) -> None:
    """Draw a kimono whose skirt follows *legs* (hip, knee, ankle), with collar and obi."""
    cloth = looks.cloth
    right: list[Point] = [(0.36, 1.2), (1.0, 1.5), (0.95, 2.6), (0.88, 3.75)]
    skirt = _folded(legs) if seated else _skirt(legs)
    sketch.fill([*right, *skirt, *flip(right)[::-1]], cloth, sharp=True)
    _flowers(sketch, looks, skirt, seated=seated)
    low = max(y for _, y in skirt)
    if not behind:
        if not seated:
            edge: list[Point] = [(0.2, 4.1), (0.14, 5.8), (0.26, min(low, 9.0) - 0.15)]
            sketch.stroke(edge, 0.055, shade(cloth, 0.6), blunt=1)
        _collars(sketch, looks, cloth)
    _obi(sketch, looks, behind=behind)


def draw_jinbei(sketch: Sketch, looks: Looks, *, behind: bool, seated: bool) -> None:
    """Draw the short wrapped jacket of a jinbei, tied at the side."""
    cloth, wide = looks.cloth, 1.12 if looks.boy else 1.0
    right: list[Point] = [
        (0.36, 1.2),
        (0.98 * wide, 1.5),
        (0.96 * wide, 2.7),
        (0.98 * wide, 3.8),
        (1.14 * wide, 5.0),
    ]
    sketch.fill([*right, *flip(right)[::-1]], cloth, sharp=True)
    for x in (-0.72, -0.36, 0.36, 0.72):
        sketch.wire([(x * 0.92, 1.75), (x, 3.4), (x * 1.12, 4.94)], 0.028, lit(cloth, 0.16))
    fold: list[Point] = [
        (-1.08 * wide, 4.96),
        (-0.93 * wide, 3.8),
        (-0.9 * wide, 2.4),
        (-0.72, 3.4),
        (-0.82, 4.96),
    ]
    sketch.fill(fold, shade(cloth, 0.3), inked=False, sharp=True)
    if behind:
        sketch.stroke([(0, 1.6), (0.02, 3.2), (0, 4.9)], 0.04, shade(cloth, 0.55))
        return
    _collars(sketch, looks, cloth, band=lit(cloth, 0.2))
    sketch.stroke([(-0.42, 2.9), (-0.5, 4.0), (-0.48, 4.95)], 0.05, shade(cloth, 0.6), blunt=1)
    for end in ((-0.86, 3.5), (-0.6, 3.72), (-0.98, 3.74)):
        sketch.stroke([(-0.52, 3.2), ((end[0] - 0.52) / 2, 3.36), end], 0.1, lit(cloth, 0.32), blunt=0.6)


def draw_shorts(sketch: Sketch, looks: Looks, legs: Sequence[Sequence[Point]]) -> None:
    """Draw bare legs in sandals and the knee-long trousers of a jinbei over them."""
    for at, leg in enumerate(legs):
        sketch.limb(leg, [0.84, 0.5, 0.32], shade(looks.skin, 0.12 + (0.2 if at == 0 else 0.0)))
    draw_sandals(sketch, legs, bare=looks.skin)
    for at, ((hx, hy), (kx, ky), (ax, ay)) in enumerate(legs):
        end = (kx + (ax - kx) * 0.12, ky + (ay - ky) * 0.12)
        cloth = shade(looks.cloth, 0.3 if at == 0 else 0.1)
        sketch.limb([(hx, hy), ((hx + kx) / 2, (hy + ky) / 2), end], [1.02, 1.06, 1.02], cloth)


def draw_sandals(sketch: Sketch, legs: Sequence[Sequence[Point]], *, bare: Ink | None = None) -> None:
    """Draw sandals at the ends of *legs*, in white socks unless *bare* gives the skin."""
    for leg in legs:
        (kx, ky), (x, y) = leg[-2], leg[-1]
        turn = math.atan2(y - ky, x - kx) - math.pi / 2
        foot = sketch.at(x, y, turn=turn * 0.8)
        foot.fill([(-0.2, -0.25), (0.2, -0.25), (0.27, 0.16), (-0.27, 0.16)], bare or SHIRT)
        foot.stroke([(-0.22, 0.0), (0.02, 0.12), (0.22, 0.0)], 0.07, STRAP, blunt=0.8)
        foot.fill([(-0.34, 0.15), (0.34, 0.15), (0.31, 0.34), (-0.31, 0.34)], SOLE, sharp=True)


def _skirt(legs: Sequence[Sequence[Point]]) -> list[Point]:
    """Return the lower edge of a kimono from its right hip round to the left one."""
    (_, left_knee, left_foot), (_, right_knee, right_foot) = legs
    striding = abs(right_foot[0] - left_foot[0]) > _STILL or abs(right_foot[1] - left_foot[1]) > _STILL / 2
    if not striding:
        return [(1.02, 5.2), (0.9, 9.3), (-0.9, 9.3), (-1.02, 5.2)]

    def hem(knee: Point, foot: Point, side: float) -> Point:
        part = 0.5
        x, y = knee[0] + (foot[0] - knee[0]) * part, knee[1] + (foot[1] - knee[1]) * part
        dx, dy = foot[0] - knee[0], foot[1] - knee[1]
        length = max(0.1, math.hypot(dx, dy))
        return x + side * 0.5 * dy / length, y - side * 0.5 * dx / length

    inner_right, inner_left = hem(right_knee, right_foot, -1), hem(left_knee, left_foot, 1)
    crotch = ((inner_right[0] + inner_left[0]) / 2, min(inner_right[1], inner_left[1]) - 0.25)
    return [
        (max(1.0, right_knee[0] + 0.5), right_knee[1] - 0.3),
        hem(right_knee, right_foot, 1),
        inner_right,
        crotch,
        inner_left,
        hem(left_knee, left_foot, -1),
        (min(-1.0, left_knee[0] - 0.5), left_knee[1] - 0.3),
    ]


def _folded(legs: Sequence[Sequence[Point]]) -> list[Point]:
    """Return the lower edge of the kimono of somebody kneeling, or sitting on a chair."""
    if legs[0][-1][1] > KNEELING_Y:
        return [(1.02, 5.0), (0.95, 6.4), (-0.95, 6.4), (-1.02, 5.0)]
    right: list[Point] = [(1.22, 4.5), (1.5, 5.3), (1.46, 5.95), (1.0, 6.15)]
    return [*right, *flip(right)[::-1]]


def _flowers(sketch: Sketch, looks: Looks, skirt: Sequence[Point], *, seated: bool) -> None:
    """Print flowers on skirt and shoulders; a boy's robe has stripes instead."""
    cloth = looks.cloth
    if looks.boy and looks.motif is None:
        if not seated:
            for x in (-0.6, -0.2, 0.2, 0.6):
                sketch.wire([(x, 1.8), (x * 1.05, 5.0), (x * 1.1, 9.2)], 0.03, lit(cloth, 0.16))
        return
    petal = looks.motif or mix(cloth, SHIRT, 0.62)
    low = max(y for _, y in skirt) - 0.45
    for x, y, r in (
        (-0.5, 5.3, 1.0),
        (0.45, 6.2, 1.2),
        (-0.25, 7.3, 0.95),
        (0.5, 8.2, 1.05),
        (-0.55, 8.6, 1.2),
        (-0.62, 2.2, 0.8),
        (0.72, 2.35, 0.9),
        (0.15, 4.6, 0.75),
        (-0.85, 6.5, 0.7),
    ):
        if y > low:
            continue
        if looks.motif is None:
            _blossom(sketch.at(x, y, r), petal)
        else:
            _trumpet(sketch.at(x, y, r), petal)


def _blossom(spot: Sketch, petal: Ink) -> None:
    for dx, dy in ((0, -0.15), (0.14, -0.04), (0.09, 0.13), (-0.09, 0.13), (-0.14, -0.04)):
        spot.oval(dx, dy, 0.1, 0.1, petal)
    spot.oval(0, 0, 0.06, 0.06, POLLEN)


def _trumpet(spot: Sketch, petal: Ink) -> None:
    """Draw one morning glory: a round flower with a pale star, and a leaf."""
    spot.fill([(0.12, 0.12), (0.36, 0.1), (0.34, 0.34), (0.16, 0.3)], (112, 160, 122), inked=False)
    spot.oval(0, 0, 0.25, 0.24, petal)
    for at in range(5):
        angle = at * 2 * math.pi / 5 - math.pi / 2
        spot.stroke(
            [
                (0, 0),
                (0.1 * math.cos(angle), 0.1 * math.sin(angle)),
                (0.2 * math.cos(angle), 0.2 * math.sin(angle)),
            ],
            0.06,
            lit(petal, 0.7),
            blunt=0.5,
        )
    spot.oval(0, 0, 0.06, 0.06, POLLEN)


def _collars(sketch: Sketch, looks: Looks, cloth: Ink, *, band: Ink = SHIRT) -> None:
    sketch.fill([(-0.3, 1.15), (0.3, 1.15), (0.06, 2.1)], shade(looks.skin, 0.16), inked=False, sharp=True)
    sketch.fill([(0.34, 1.14), (-0.5, 2.75), (-0.3, 2.95), (0.52, 1.3)], band, sharp=True)
    sketch.fill([(-0.34, 1.14), (0.5, 2.75), (0.3, 2.95), (-0.52, 1.3)], band, sharp=True)


def _obi(sketch: Sketch, looks: Looks, *, behind: bool) -> None:
    if looks.boy:
        sketch.fill([(-0.92, 3.7), (0.92, 3.7), (0.93, 4.1), (-0.93, 4.1)], looks.tie, sharp=True)
        return
    sketch.fill([(-0.93, 2.75), (0.93, 2.75), (0.92, 3.85), (-0.92, 3.85)], looks.tie, sharp=True)
    band = mix(looks.tie, SHIRT, 0.55) if sum(looks.tie) < 520 else (206, 92, 70)
    sketch.fill([(-0.93, 3.2), (0.93, 3.2), (0.93, 3.34), (-0.93, 3.34)], band, inked=False, sharp=True)
    if not behind:
        return
    for side in (-1, 1):
        sketch.fill([(side * 0.05, 3.5), (side * 0.3, 3.4), (side * 0.62, 4.9), (side * 0.26, 5.0)],
                    shade(looks.tie, 0.16), sharp=True)  # fmt: skip
        sketch.fill(
            [(0, 3.2), (side * 0.9, 2.5), (side * 1.12, 3.0), (side * 0.95, 3.75)], lit(looks.tie, 0.15)
        )
    sketch.fill([(-0.2, 2.95), (0.2, 2.95), (0.17, 3.5), (-0.17, 3.5)], band)
