"""Clothes: legs, skirts, torsos and sleeves by outfit.

Units as in `face`; shoulders at y = 1.6, feet at 9.8.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.previz.brush import Ink, Point, mix
from runner.previz.looks import Looks
from runner.previz.robes import draw_jinbei, draw_kimono, draw_sandals, draw_shorts
from runner.previz.sketch import Sketch, flip, lit, shade

SHOE: Ink = (70, 48, 44)
SOCK: Ink = (44, 46, 62)
SHIRT: Ink = (248, 247, 250)


def draw_legs(sketch: Sketch, looks: Looks, legs: Sequence[Sequence[Point]]) -> None:
    """Draw both legs through hip, knee and ankle, with shoes."""
    if looks.outfit == "kimono":
        for leg in legs:
            sketch.limb(leg, [0.7, 0.46, 0.3], shade(looks.skin, 0.16))
        draw_sandals(sketch, legs)
        return
    if looks.outfit == "jinbei":
        draw_shorts(sketch, looks, legs)
        return
    trousers = looks.boy or looks.outfit in ("suit", "gakuran", "pajamas")
    colour = looks.cloth if looks.outfit in ("suit", "gakuran", "pajamas") else (64, 66, 88)
    for at, leg in enumerate(legs):
        dark = 0.22 if at == 0 else 0.0
        (_, _), (kx, ky), (ax, ay) = leg
        if trousers:
            sketch.limb(leg, [0.98, 0.74, 0.62], shade(colour, dark))
        elif looks.elder:
            sketch.limb(leg, [0.7, 0.5, 0.36], shade((226, 214, 206), 0.1 + dark))
        else:
            sketch.limb(leg, [0.84, 0.56, 0.34], shade(looks.skin, 0.12 + dark))
            sock: list[Point] = [
                (kx + (ax - kx) * 0.22, ky + (ay - ky) * 0.22),
                ((kx + ax) / 2, (ky + ay) / 2),
                (ax, ay),
            ]
            sketch.limb(sock, [0.54, 0.54, 0.37], shade(SOCK if looks.outfit != "dress" else SHIRT, dark))
        sense = 1 if ax >= 0 else -1
        sketch.fill([(ax - 0.24, ay - 0.12), (ax + 0.2, ay - 0.12), (ax + 0.24 + sense * 0.12, ay + 0.32),
                     (ax - 0.24 + sense * 0.12, ay + 0.34)], SHOE)  # fmt: skip


def draw_knees(sketch: Sketch, looks: Looks) -> None:
    """Draw the knees of somebody kneeling, seen from the front."""
    bare = not (looks.boy or looks.elder or looks.outfit in ("suit", "gakuran", "pajamas"))
    colour = looks.skin if bare else looks.cloth if looks.outfit in ("suit", "gakuran") else (64, 66, 88)
    for side in (-1, 1):
        knee: list[Point] = [(side * 0.1, 4.4), (side * 1.1, 4.5), (side * 1.22, 5.7), (side * 0.7, 6.15)]
        sketch.fill([*knee, (side * 0.1, 5.9)], shade(colour, 0.1))


def draw_body(
    sketch: Sketch, looks: Looks, legs: Sequence[Sequence[Point]], *, behind: bool, seated: bool
) -> None:
    """Draw torso and skirt or tails of the outfit; a kimono follows *legs* (hip, knee, ankle)."""
    wide = 1.22 if looks.boy else 1.0
    cloth = looks.cloth
    match looks.outfit:
        case "sailor":
            if looks.boy:
                _torso(sketch, wide, SHIRT, 4.6)
            else:
                _skirt(sketch, cloth, 5.75, 1.42, seated=seated)
                _torso(sketch, wide, SHIRT, 3.75)
            _sailor_collar(sketch, looks, behind=behind)
        case "kimono":
            draw_kimono(sketch, looks, legs, behind=behind, seated=seated)
        case "jinbei":
            draw_jinbei(sketch, looks, behind=behind, seated=seated)
        case "cardigan":
            _cardigan(sketch, looks, behind=behind, seated=seated)
        case "dress":
            _skirt(sketch, cloth, 6.7, 1.75, seated=seated)
            _torso(sketch, wide, cloth, 3.5)
            sketch.fill([(-0.76, 3.25), (0.76, 3.25), (0.78, 3.58), (-0.78, 3.58)], looks.tie, sharp=True)
        case "coat":
            _torso(sketch, wide * 1.1, cloth, 6.4 if not seated else 5.0, flare=1.5)
            _placket(sketch, cloth, behind=behind)
        case "gakuran" | "suit":
            _torso(sketch, wide * 1.04, cloth, 4.7)
            _jacket(sketch, looks, behind=behind)
        case "hoodie":
            if not looks.boy:
                sketch.fill(
                    [(-0.92, 4.2), (0.92, 4.2), (1.0, 5.3), (0.06, 5.3), (0, 4.9), (-0.06, 5.3), (-1.0, 5.3)],
                    (74, 84, 118),
                    sharp=True,
                )
            _torso(sketch, wide * 1.12, cloth, 4.75, flare=1.12)
            _hood(sketch, cloth, behind=behind)
        case _:
            if not looks.boy and looks.outfit != "pajamas":
                _skirt(sketch, mix(cloth, (70, 70, 104), 0.7), 5.6, 1.34, seated=seated)
            _torso(sketch, wide * 1.05, cloth, 4.4)
            _knit(sketch, looks, behind=behind)


def draw_collar(sketch: Sketch, looks: Looks, *, behind: bool) -> None:
    """Draw what lies over the shoulder seams: a sailor collar or a hood."""
    if looks.outfit == "sailor":
        _sailor_collar(sketch, looks, behind=behind)
    elif looks.outfit == "hoodie":
        _hood(sketch, looks.cloth, behind=behind)


def sleeve(looks: Looks) -> tuple[Ink, tuple[float, float, float]]:
    """Return the colour and the widths (shoulder, elbow, wrist) of the outfit's sleeves."""
    widths = {"hoodie": (0.72, 0.66, 0.56), "kimono": (0.7, 1.0, 1.5), "coat": (0.72, 0.62, 0.56)}
    widths |= {"jinbei": (0.8, 0.86, 0.94), "cardigan": (0.64, 0.56, 0.5)}
    colour = SHIRT if looks.outfit == "sailor" else looks.cloth
    return colour, widths.get(looks.outfit, (0.58, 0.48, 0.42))


def draw_scarf(sketch: Sketch, looks: Looks) -> None:
    """Draw a scarf wound round the neck, one end hanging."""
    sketch.fill([(0.25, 1.5), (0.62, 1.55), (0.78, 3.1), (0.36, 3.15)], shade(looks.tie, 0.1))
    sketch.fill([(-0.72, 1.02), (0, 1.22), (0.72, 1.02), (0.8, 1.45), (0, 1.74), (-0.8, 1.45)], looks.tie)


def _torso(sketch: Sketch, wide: float, colour: Ink, hem: float, *, flare: float = 1.0) -> None:
    right: list[Point] = [
        (0.34, 1.22),
        (0.82 * wide, 1.42),
        (1.02 * wide, 1.75),
        (0.92 * wide, 2.5),
        (0.80 * wide, 3.3),
        (0.94 * wide * flare, hem),
    ]
    sketch.fill([*right, *flip(right)[::-1]], colour, sharp=True)
    fold = shade(colour, 0.3)
    sketch.fill(
        [
            (-0.90 * wide, 2.3),
            (-0.62 * wide, 2.9),
            (-0.56 * wide, 3.5),
            (-0.66 * wide, hem - 0.04),
            (-0.92 * wide * flare, hem - 0.04),
            (-0.78 * wide, 3.3),
        ],
        fold,
        inked=False,
        sharp=True,
    )


def _skirt(sketch: Sketch, colour: Ink, hem: float, wide: float, *, seated: bool) -> None:
    if seated:
        hem = min(hem, 5.2)
    rim = [(wide * (1 - at / 6), hem + (0.1 if at % 2 else 0.0)) for at in range(13)]
    sketch.fill([(-0.72, 3.3), (0.72, 3.3), *rim], colour, sharp=True)
    for at in range(1, 6):
        x = -1 + at / 3
        top, low = (x * 0.72, 3.45), (x * wide, hem)
        sketch.fill(
            [top, low, (x * wide + wide * 0.12, hem + 0.05)], shade(colour, 0.35), inked=False, sharp=True
        )


def _sailor_collar(sketch: Sketch, looks: Looks, *, behind: bool) -> None:
    navy = looks.cloth if sum(looks.cloth) < 600 else (60, 80, 140)
    line = SHIRT if sum(navy) < 420 else (90, 90, 120)
    if behind:
        sketch.fill([(-0.72, 1.3), (0.72, 1.3), (0.78, 2.45), (-0.78, 2.45)], navy, sharp=True)
        sketch.wire([(-0.66, 2.3), (0, 2.3), (0.66, 2.3)], 0.05, line)
        return
    for side in (-1, 1):
        flap: list[Point] = [
            (side * 0.3, 1.16),
            (side * 0.86, 1.42),
            (side * 0.72, 1.85),
            (side * 0.04, 2.66),
            (side * 0.02, 2.4),
        ]
        sketch.fill(flap, navy, sharp=True)
        sketch.canvas.line(
            [(side * 0.76, 1.52), (side * 0.63, 1.82), (side * 0.08, 2.48)], 0.045, sketch.light.figure(line)
        )
    tie = looks.tie
    for side in (-1, 1):
        sketch.fill([(0, 2.5), (side * 0.44, 2.42), (side * 0.5, 2.72), (side * 0.1, 2.66)], tie)
        sketch.fill(
            [(side * 0.02, 2.55), (side * 0.18, 2.6), (side * 0.34, 3.3), (side * 0.1, 3.36)], shade(tie, 0.1)
        )
    sketch.fill([(-0.13, 2.44), (0.13, 2.44), (0.12, 2.7), (-0.12, 2.7)], tie)


def _jacket(sketch: Sketch, looks: Looks, *, behind: bool) -> None:
    if behind:
        sketch.stroke([(0, 1.7), (0.02, 3.2), (0, 4.6)], 0.04, shade(looks.cloth, 0.6))
        return
    if looks.outfit == "gakuran":
        sketch.fill([(-0.42, 1.06), (0.42, 1.06), (0.46, 1.42), (0, 1.56), (-0.46, 1.42)], looks.cloth)
        sketch.stroke([(0, 1.5), (0.02, 3.0), (0, 4.6)], 0.035, shade(looks.cloth, 0.7), blunt=1)
        for at in range(4):
            sketch.oval(0.1, 1.9 + at * 0.66, 0.075, 0.075, (232, 192, 96))
        return
    sketch.fill([(-0.3, 1.2), (0.3, 1.2), (0.02, 2.9)], SHIRT, sharp=True)
    sketch.fill([(-0.1, 1.5), (0.1, 1.5), (0.14, 2.5), (0, 2.75), (-0.14, 2.5)], looks.tie, sharp=True)
    for side in (-1, 1):
        sketch.fill(
            [(side * 0.3, 1.14), (side * 0.62, 1.45), (side * 0.5, 2.1), (0, 3.0)],
            lit(looks.cloth, 0.1),
            sharp=True,
        )
    sketch.oval(0.06, 3.3, 0.06, 0.06, lit(looks.cloth, 0.5))


def _placket(sketch: Sketch, cloth: Ink, *, behind: bool) -> None:
    sketch.stroke([(0.1, 1.8), (0.12, 3.6), (0.14, 6.2)], 0.04, shade(cloth, 0.6), blunt=1)
    if not behind:
        for side in (-1, 1):
            sketch.fill(
                [(side * 0.2, 1.15), (side * 0.75, 1.35), (side * 0.7, 1.95), (side * 0.1, 1.8)],
                lit(cloth, 0.12),
            )
        for at in range(3):
            sketch.oval(-0.12, 2.4 + at * 0.75, 0.07, 0.07, shade(cloth, 0.7))


def _hood(sketch: Sketch, cloth: Ink, *, behind: bool) -> None:
    if behind:
        sketch.fill([(-0.8, 1.25), (0.8, 1.25), (0.62, 2.2), (0, 2.6), (-0.62, 2.2)], lit(cloth, 0.08))
        return
    sketch.fill(
        [
            (-0.86, 1.25),
            (-0.4, 1.05),
            (0, 1.5),
            (0.4, 1.05),
            (0.86, 1.25),
            (0.6, 1.72),
            (0, 2.0),
            (-0.6, 1.72),
        ],
        lit(cloth, 0.1),
    )
    for side in (-1, 1):
        sketch.stroke([(side * 0.2, 1.85), (side * 0.24, 2.3), (side * 0.2, 2.75)], 0.06, SHIRT, blunt=1)
    sketch.fill([(-0.6, 3.5), (0.6, 3.5), (0.78, 4.4), (-0.78, 4.4)], shade(cloth, 0.16), sharp=True)


def _knit(sketch: Sketch, looks: Looks, *, behind: bool) -> None:
    if looks.outfit == "sweater":
        sketch.fill([(-0.4, 1.0), (0.4, 1.0), (0.46, 1.44), (-0.46, 1.44)], lit(looks.cloth, 0.12))
    elif looks.outfit == "pajamas":
        for at in range(-3, 4):
            sketch.stroke([(at * 0.27, 1.7), (at * 0.25, 3.0), (at * 0.28, 4.3)], 0.05, SHIRT, blunt=1)
    elif not behind:
        for side in (-1, 1):
            sketch.fill(
                [(side * 0.02, 1.5), (side * 0.36, 1.12), (side * 0.5, 1.5), (side * 0.26, 1.8)],
                lit(looks.cloth, 0.4),
            )


def _cardigan(sketch: Sketch, looks: Looks, *, behind: bool, seated: bool) -> None:
    """Draw an open cardigan over a blouse; an elder wears a long skirt and a shawl with it."""
    cloth = looks.cloth
    wide = 1.16 if looks.boy or looks.elder else 1.02
    if not looks.boy:
        skirt = mix(mix(cloth, (92, 84, 120), 0.75), (40, 36, 60), 0.2)
        _skirt(sketch, skirt, 8.9 if looks.elder else 5.7, 1.42 if looks.elder else 1.34, seated=seated)
    _torso(sketch, wide * 0.98, (240, 230, 212), 4.5)
    if behind:
        _torso(sketch, wide * 1.08, cloth, 4.9)
    else:
        for side in (-1, 1):
            panel: list[Point] = [
                (side * 0.3, 1.2), (side * 0.84 * wide, 1.42), (side * 1.06 * wide, 1.8),
                (side * 0.98 * wide, 3.2), (side * 1.1 * wide, 4.9), (side * 0.34, 4.95), (side * 0.26, 3.0),
                (side * 0.5, 2.0),
            ]  # fmt: skip
            sketch.fill(panel, shade(cloth, 0.14) if side < 0 else cloth, sharp=True)
            sketch.wire([(side * 0.46, 2.0), (side * 0.25, 3.0), (side * 0.33, 4.92)], 0.1, lit(cloth, 0.16))
        for at in range(3):
            sketch.oval(0.3, 2.9 + at * 0.62, 0.07, 0.07, lit(cloth, 0.5))
        for side in (-1, 1):
            sketch.fill(
                [(side * 0.04, 1.6), (side * 0.34, 1.12), (side * 0.56, 1.5), (side * 0.3, 1.9)],
                (250, 244, 232),
            )
    if looks.elder and not looks.boy:
        _shawl(sketch, looks, behind=behind)


def _shawl(sketch: Sketch, looks: Looks, *, behind: bool) -> None:
    """Draw a knitted shawl round the shoulders."""
    colour = mix(looks.tie, (206, 180, 160), 0.55)
    if behind:
        sketch.fill([(-0.9, 1.2), (0.9, 1.2), (1.3, 2.1), (0, 3.6), (-1.3, 2.1)], colour, sharp=True)
        return
    for side in (-1, 1):
        sketch.fill(
            [
                (side * 0.26, 1.14),
                (side * 0.9, 1.28),
                (side * 1.3, 1.9),
                (side * 1.12, 2.5),
                (side * 0.5, 2.6),
                (side * 0.1, 2.75),
            ],
            shade(colour, 0.12) if side < 0 else colour,
        )
        for part in (0.35, 0.7):
            x = side * (0.3 + 0.8 * part)
            sketch.stroke([(x * 0.8, 1.5), (x, 2.0), (x * 0.9, 2.4)], 0.05, shade(colour, 0.5))
    sketch.fill([(-0.2, 2.5), (0.2, 2.5), (0.16, 2.8), (-0.16, 2.8)], lit(colour, 0.2))
    for side in (-1, 1):
        sketch.fill(
            [(side * 0.02, 2.75), (side * 0.2, 2.75), (side * 0.42, 3.5), (side * 0.14, 3.5)],
            colour,
            sharp=True,
        )
