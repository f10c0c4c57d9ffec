"""Animals and robots, sitting and looking at us. Units: the creature's height to the brow, feet at y = 0."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from runner.previz.brush import Ink, Point, hexed, mix
from runner.previz.sketch import LINE, Sketch, flip, lit, shade

WHITE: Ink = (252, 248, 242)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coat:
    """A four-legged creature's colours and the shapes that tell it from the others."""

    fur: Ink
    pale: Ink = WHITE
    socks: Ink | None = None
    ears: str = "tall"
    tail: str = "brush"
    wide: float = 0.34
    cheeks: bool = True
    whiskers: bool = False


COATS: dict[str, Coat] = {
    "fox": Coat(fur=hexed("dd7534"), socks=hexed("4a3230"), wide=0.36),
    "cat": Coat(
        fur=hexed("4c4654"), pale=hexed("f4ece2"), ears="small", tail="thin", wide=0.31, whiskers=True
    ),
    "dog": Coat(fur=hexed("d99a56"), ears="small", tail="curl", wide=0.33),
    "rabbit": Coat(fur=hexed("efe7e0"), ears="long", tail="none", wide=0.27, cheeks=False),
}
_FURS: tuple[tuple[str, str], ...] = (
    ("white|arctic|snowy?|白", "f1eff2"), ("black|黒", "3d3944"), ("orange|ginger|tabby|茶トラ", "e0954e"),
    ("gr[ea]y|silver|灰", "9aa0ae"), ("brown|茶", "8f6244"), ("red|赤", "dd6a34"), ("blue|青", "7a9ad0"),
)  # fmt: skip


def draw_creature(sketch: Sketch, kind: str, words: str, dice: Random) -> None:
    """Draw the creature *kind*, in the fur that *words* (lower case) give it."""
    if kind == "robot":
        _robot(sketch, dice)
    elif kind == "bird":
        _bird(sketch, dice)
    else:
        _beast(sketch, COATS[kind], _fur(words, kind) or COATS[kind].fur, dice)


def _fur(words: str, kind: str) -> Ink | None:
    name = {
        "fox": "fox|kitsune|狐",
        "cat": "cat|kitten|猫",
        "dog": "dog|puppy|犬",
        "rabbit": "rabbit|bunny|兎",
    }[kind]
    for pattern, colour in _FURS:
        if re.search(rf"(?<![a-z])(?:{pattern})(?:[ い]|の| [a-z]+ )?(?:{name})", words):
            return hexed(colour)
    return None


def _beast(sketch: Sketch, coat: Coat, fur: Ink, dice: Random) -> None:
    pale = coat.pale if sum(fur) < 640 else mix(fur, (255, 255, 255), 0.6)
    _tail(sketch, coat, fur, pale)
    body: list[Point] = [(0.16, -0.5), (0.25, -0.3), (0.31, -0.06), (0.22, 0.01)]
    sketch.fill([*body, *flip(body)[::-1]], fur)
    sketch.fill([(0.2, -0.2), (0.3, -0.08), (0.24, 0.005), (0.12, 0.0)], shade(fur, 0.22), inked=False)
    sketch.fill([(-0.1, -0.46), (0.1, -0.46), (0.13, -0.26), (0, -0.12), (-0.13, -0.26)], pale, inked=False)
    for side in (-1, 1):
        leg: list[Point] = [(side * 0.09, -0.32), (side * 0.085, -0.15), (side * 0.085, -0.02)]
        sketch.limb(leg, [0.04, 0.11, 0.09], fur)
        sketch.fill(
            [(side * 0.03, -0.1), (side * 0.14, -0.1), (side * 0.15, 0.015), (side * 0.02, 0.015)],
            coat.socks or pale,
        )
    head = sketch.at(0, -0.62, turn=dice.uniform(-0.12, 0.12))
    _ears(head, coat, fur)
    w = coat.wide
    face: list[Point] = [
        (0, -0.25),
        (w * 0.55, -0.22),
        (w * 0.9, -0.05),
        (w, 0.1),
        (w * 0.45, 0.19),
        (0, 0.235),
    ]
    head.fill([*face, *flip(face[1:-1])[::-1]], fur)
    if coat.cheeks:
        mask: list[Point] = [
            (0.0, 0.06),
            (w * 0.3, -0.0),
            (w * 0.62, 0.02),
            (w * 0.93, 0.1),
            (w * 0.42, 0.18),
            (0, 0.225),
        ]
        head.fill([*mask, *flip(mask[1:-1])[::-1]], pale, inked=False)
    _face(head, coat, dice)


def _face(head: Sketch, coat: Coat, dice: Random) -> None:
    ink = mix(LINE, (20, 14, 24), 0.5)
    happy = dice.random() < 0.4
    for side in (-1, 1):
        x = side * coat.wide * 0.44
        if happy:
            head.stroke([(x - 0.05, 0.01), (x, -0.03), (x + 0.05, 0.01)], 0.022, ink, blunt=0.4)
            continue
        head.oval(x, -0.01, 0.036, 0.05, ink)
        head.canvas.oval(x - 0.012, -0.028, 0.013, 0.016, (255, 255, 255))
        head.canvas.oval(x + 0.012, 0.015, 0.006, 0.008, (255, 255, 255))
    head.oval(0, 0.105, 0.034, 0.024, ink)
    head.stroke(
        [(-0.055, 0.155), (-0.02, 0.17), (0, 0.13), (0.02, 0.17), (0.055, 0.155)], 0.013, ink, blunt=0.6
    )
    if coat.whiskers:
        for side in (-1, 1):
            for drop in (-0.02, 0.02, 0.06):
                head.stroke(
                    [(side * 0.16, 0.1 + drop * 0.6), (side * 0.42, 0.08 + drop * 2)], 0.008, WHITE, blunt=0.6
                )


def _ears(head: Sketch, coat: Coat, fur: Ink) -> None:
    reach = {"tall": (0.25, -0.50), "small": (0.24, -0.40), "long": (0.15, -0.78)}[coat.ears]
    for side in (-1, 1):
        x, y = reach
        if coat.ears == "long":
            head.limb([(side * 0.1, -0.18), (side * x, -0.5), (side * x * 1.1, y)], [0.12, 0.16, 0.06], fur)
            head.limb(
                [(side * 0.11, -0.25), (side * x, -0.5), (side * x * 1.05, y + 0.08)],
                [0.05, 0.08, 0.02],
                (242, 180, 184),
                inked=False,
            )
            continue
        outer: list[Point] = [(side * 0.31, -0.08), (side * x * 1.18, y), (side * 0.06, -0.2)]
        head.fill(outer, fur, sharp=True)
        head.fill(
            [(side * 0.26, -0.12), (side * x * 1.1, y + 0.09), (side * 0.12, -0.19)],
            shade((226, 160, 150), 0.3),
            inked=False,
            sharp=True,
        )


def _tail(sketch: Sketch, coat: Coat, fur: Ink, pale: Ink) -> None:
    dark = shade(fur, 0.12)
    if coat.tail == "brush":
        sketch.limb(
            [(0.16, -0.06), (0.46, -0.04), (0.62, -0.24), (0.56, -0.52)], [0.12, 0.24, 0.28, 0.02], dark
        )
        sketch.limb([(0.615, -0.30), (0.6, -0.4), (0.56, -0.53)], [0.235, 0.17, 0.02], pale, inked=False)
    elif coat.tail == "thin":
        sketch.limb(
            [(0.18, -0.05), (0.46, -0.02), (0.54, -0.24), (0.44, -0.42), (0.5, -0.56)],
            [0.08, 0.08, 0.075, 0.07, 0.03],
            dark,
        )
    elif coat.tail == "curl":
        sketch.limb(
            [(0.2, -0.12), (0.42, -0.16), (0.46, -0.38), (0.3, -0.42), (0.3, -0.3)],
            [0.12, 0.16, 0.16, 0.13, 0.05],
            dark,
        )
    else:
        sketch.oval(0.27, -0.06, 0.08, 0.08, lit(fur, 0.5))


def _bird(sketch: Sketch, dice: Random) -> None:
    back: Ink = dice.choice((hexed("5f8fc0"), hexed("46424e"), hexed("c98b5c")))
    for at in (-0.06, 0.06):
        sketch.limb([(at, -0.2), (at * 1.2, -0.06), (at * 1.4, 0.0)], [0.02, 0.02, 0.02], hexed("c98a4a"))
    sketch.fill([(-0.3, -0.26), (-0.62, -0.12), (-0.66, -0.2), (-0.3, -0.42)], shade(back, 0.2))
    sketch.fill(
        [
            (0.24, -0.78),
            (0.34, -0.66),
            (0.3, -0.4),
            (0.12, -0.18),
            (-0.14, -0.16),
            (-0.38, -0.3),
            (-0.2, -0.52),
            (0.0, -0.74),
        ],
        back,
    )
    sketch.fill(
        [(0.33, -0.6), (0.29, -0.38), (0.12, -0.19), (-0.04, -0.19), (0.1, -0.42), (0.2, -0.56)],
        WHITE,
        inked=False,
    )
    sketch.fill([(0.04, -0.5), (-0.2, -0.44), (-0.42, -0.24), (-0.06, -0.3)], shade(back, 0.35))
    sketch.fill([(0.33, -0.69), (0.46, -0.63), (0.33, -0.6)], hexed("e6a63e"), sharp=True)
    sketch.oval(0.22, -0.68, 0.03, 0.035, LINE)
    sketch.canvas.oval(0.212, -0.69, 0.011, 0.012, (255, 255, 255))


def _robot(sketch: Sketch, dice: Random) -> None:
    shell, joint = hexed(dice.choice(("e8e4da", "8fb3c9", "d9a24f", "b8c7a2"))), hexed("5a6070")
    for side in (-1, 1):
        sketch.limb([(side * 0.12, -0.2), (side * 0.13, -0.05), (side * 0.14, 0.0)], [0.1, 0.1, 0.2], joint)
        sketch.limb(
            [(side * 0.24, -0.46), (side * 0.36, -0.32), (side * 0.34, -0.2)], [0.08, 0.07, 0.09], joint
        )
    sketch.fill(
        [(-0.24, -0.52), (0.24, -0.52), (0.26, -0.2), (0.18, -0.12), (-0.18, -0.12), (-0.26, -0.2)], shell
    )
    sketch.fill([(-0.1, -0.42), (0.1, -0.42), (0.1, -0.28), (-0.1, -0.28)], shade(shell, 0.3), sharp=True)
    sketch.limb([(0, -0.98), (0.02, -1.06), (0.0, -1.14)], [0.02, 0.02, 0.02], joint)
    sketch.oval(0, -1.15, 0.035, 0.035, hexed("e0604e"))
    sketch.fill(
        [(-0.3, -0.92), (0.3, -0.92), (0.36, -0.76), (0.3, -0.58), (-0.3, -0.58), (-0.36, -0.76)], shell
    )
    sketch.fill(
        [(-0.23, -0.86), (0.23, -0.86), (0.27, -0.76), (0.22, -0.65), (-0.22, -0.65), (-0.27, -0.76)],
        hexed("2a3040"),
    )
    for side in (-1, 1):
        sketch.canvas.oval(side * 0.11, -0.76, 0.045, 0.055, hexed("8ff0e4"))
        sketch.canvas.oval(side * 0.11 - 0.012, -0.78, 0.014, 0.016, (255, 255, 255))
