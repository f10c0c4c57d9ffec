"""People: poses, how a body is put together, and where it stands for each framing."""

from __future__ import annotations

from dataclasses import dataclass

from runner.previz.attire import draw_body, draw_collar, draw_knees, draw_legs, draw_scarf, sleeve
from runner.previz.brush import Point
from runner.previz.face import draw_features, draw_head
from runner.previz.hair import draw_back_hair, draw_back_of_head, draw_front_hair
from runner.previz.lanterns import box_lantern, hang_lantern
from runner.previz.looks import Looks
from runner.previz.sketch import Sketch, lit, shade

SHOULDER_Y = 1.78
FEET_Y = 9.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Joints in half heads: elbow and hand of the left and right arm, knee and ankle of both legs.

    *held* is a key of `HELD`, or empty; *front* says that the arms lie before the body.
    """

    left: tuple[Point, Point] = ((-1.28, 3.1), (-1.12, 4.5))
    right: tuple[Point, Point] = ((1.28, 3.1), (1.12, 4.5))
    legs: tuple[tuple[Point, Point], tuple[Point, Point]] = (
        ((-0.48, 7.0), (-0.45, 9.45)),
        ((0.48, 7.0), (0.46, 9.45)),
    )
    lean: float = 0.0
    nod: float = 0.0
    front: bool = False
    seated: bool = False
    kneeling: bool = False
    held: str = ""

    @property
    def feet(self) -> float:
        """The height of the soles."""
        return max(leg[1][1] for leg in self.legs) + 0.34


_CROSS = (((-0.42, 7.0), (-0.12, 9.4)), ((0.52, 7.0), (0.5, 9.45)))
_STRIDE = (((-0.75, 6.9), (-1.1, 9.2)), ((0.7, 6.8), (0.75, 9.45)))
_SEAT = (((-0.72, 5.0), (-0.62, 7.5)), ((0.72, 5.0), (0.66, 7.5)))
POSES: dict[str, Pose] = {
    "idle": Pose(),
    "behind_back": Pose(left=((-1.3, 3.0), (-0.72, 4.0)), right=((1.3, 3.0), (0.72, 4.0)), nod=0.06),
    "hip": Pose(left=((-1.75, 2.9), (-0.95, 3.9)), lean=-0.03),
    "wave": Pose(right=((1.95, 2.5), (2.0, 0.7)), nod=-0.05, lean=0.03),
    "lean": Pose(
        left=((-1.55, 3.0), (-1.75, 4.1)), right=((1.5, 2.9), (1.72, 4.1)), legs=_CROSS, lean=-0.07, nod=0.08
    ),
    "lean_back": Pose(
        left=((-1.62, 2.7), (-1.95, 3.7)), right=((1.34, 3.1), (1.14, 4.4)), legs=_CROSS, nod=-0.08
    ),
    "lean_side": Pose(
        left=((-1.3, 3.1), (-1.1, 4.4)), right=((1.75, 2.9), (2.05, 1.9)), legs=_CROSS, lean=0.09, nod=-0.05
    ),
    "read": Pose(
        left=((-1.18, 3.3), (-0.38, 3.0)), right=((1.18, 3.3), (0.38, 3.0)), front=True, held="paper", nod=0.1
    ),
    "run": Pose(
        left=((-1.75, 2.8), (-1.2, 4.0)),
        right=((1.7, 2.7), (1.95, 1.6)),
        legs=(((-0.9, 6.6), (-1.9, 8.2)), ((0.95, 6.5), (0.75, 9.3))),
        lean=0.13,
    ),
    "walk": Pose(left=((-1.35, 3.1), (-1.45, 4.4)), right=((1.3, 3.1), (1.0, 4.5)), legs=_STRIDE, lean=0.02),
    "sit": Pose(
        left=((-1.2, 3.2), (-0.6, 4.7)), right=((1.2, 3.2), (0.6, 4.7)), legs=_SEAT, seated=True, front=True
    ),
    "crossed": Pose(left=((-1.25, 3.0), (0.5, 2.95)), right=((1.25, 3.1), (-0.5, 3.2)), front=True),
    "heart": Pose(left=((-1.25, 3.1), (-0.12, 2.6)), right=((1.25, 3.1), (0.12, 2.6)), front=True, nod=0.05),
    "reach": Pose(right=((1.9, 1.9), (3.0, 1.5)), lean=0.06),
    "sky": Pose(left=((-1.25, 3.1), (-0.12, 2.7)), right=((1.25, 3.1), (0.12, 2.7)), front=True, nod=-0.13),
    "run_b": Pose(
        left=((-1.8, 2.5), (-1.9, 1.3)),
        right=((1.6, 3.0), (1.25, 4.2)),
        legs=(((-0.85, 6.4), (-0.55, 9.2)), ((0.95, 6.7), (2.0, 7.9))),
        lean=-0.1,
    ),
    "walk_b": Pose(left=((-1.3, 3.0), (-0.9, 4.4)), right=((1.4, 3.0), (1.5, 4.3)), legs=_STRIDE, nod=-0.04),
    "climb": Pose(
        left=((-1.4, 3.1), (-1.5, 4.3)),
        right=((1.4, 3.0), (1.35, 4.3)),
        legs=(((-0.72, 6.0), (-0.62, 7.9)), ((0.5, 7.0), (0.5, 9.45))),
        lean=0.04,
    ),
    "climb_b": Pose(
        left=((-1.35, 3.1), (-1.3, 4.4)),
        right=((1.45, 3.0), (1.6, 4.2)),
        legs=(((-0.5, 7.0), (-0.5, 9.45)), ((0.74, 6.0), (0.62, 7.9))),
        lean=-0.04,
    ),
    "offer": Pose(right=((1.55, 2.8), (2.1, 2.3)), lean=0.04, held="note"),
    "read_close": Pose(
        left=((-1.4, 2.9), (-0.62, 1.95)),
        right=((1.4, 2.9), (0.62, 1.95)),
        front=True,
        held="letter",
        nod=0.05,
    ),
    "raise": Pose(
        left=((-1.3, 3.0), (-1.0, 4.3)),
        right=((1.75, 1.55), (1.62, 0.1)),
        held="raised",
        nod=-0.06,
        lean=0.03,
    ),
    "cup": Pose(
        left=((-1.3, 3.2), (-0.62, 3.35)),
        right=((1.3, 3.2), (0.62, 3.35)),
        front=True,
        held="cupped",
        nod=0.07,
    ),
    "cup_close": Pose(
        left=((-1.35, 2.8), (-0.78, 1.98)),
        right=((1.35, 2.8), (0.78, 1.98)),
        front=True,
        held="near",
        nod=0.05,
    ),
    "kneel": Pose(
        left=((-1.4, 3.3), (-0.62, 4.7)),
        right=((1.4, 3.3), (0.62, 4.7)),
        legs=(((-0.9, 5.2), (-0.7, 5.8)), ((0.9, 5.2), (0.7, 5.8))),
        front=True,
        kneeling=True,
        nod=0.09,
    ),
}
# What hands hold: where it is (half heads), its size, and the height of its light above that.
HELD: dict[str, tuple[tuple[Point, ...], float, float]] = {
    "raised": (((1.66, -0.12),), 0.62, -0.5),
    "cupped": (((0.0, 3.72),), 0.66, -0.55),
    "near": (((0.0, 2.86),), 0.74, -0.6),
    "set": (((0.0, 6.55),), 0.82, -0.6),
}
HANGING = 0.58


def draw_person(
    sketch: Sketch, looks: Looks, pose: Pose, *, turn: float, sway: float, behind: bool
) -> list[Point]:
    """Draw one person; *turn* -1..1 is where the face looks, *sway* what the wind does to the hair.

    Returns where the lanterns in its hands shine, in px.
    """
    body = sketch.at(0, FEET_Y, turn=pose.lean).at(0, -FEET_Y)
    head = body.at(0, 1.1, turn=pose.nod + pose.lean * -0.4).at(0, -1.1)
    if not behind:
        draw_back_hair(head, looks, sway)
    _trunk(body, looks, pose, behind=behind)
    if behind:
        draw_back_of_head(head, looks, sway)
    else:
        draw_head(head, looks, turn)
        if not looks.elder:
            _shadow_of_fringe(head, looks, turn)
        draw_front_hair(head, looks, turn, sway)
        draw_features(head, looks, turn)
        if looks.hat:
            _hat(head, looks)
    return _hold(body, looks, pose, behind=behind)


def _trunk(body: Sketch, looks: Looks, pose: Pose, *, behind: bool) -> None:
    """Draw everything below the chin, far limbs first."""
    arms = [(-1, pose.left), (1, pose.right)]
    hidden = [(side, joints) for side, joints in arms if joints[1][0] * side < 0.8 and pose.front == behind]
    for side, joints in hidden:
        _arm(body, looks, side, joints)
    legs = [((side * 0.44, 4.3), *joints) for side, joints in zip((-1, 1), pose.legs, strict=True)]
    low = pose.seated or pose.kneeling
    if pose.kneeling:
        draw_knees(body, looks)
    elif not pose.seated:
        draw_legs(body, looks, legs)
    body.fill([(-0.3, 0.6), (0.3, 0.6), (0.36, 1.42), (0, 1.75), (-0.36, 1.42)], shade(looks.skin, 0.4))
    if pose.seated:
        body.fill([(-1.25, 4.3), (1.25, 4.3), (1.3, 7.85), (-1.3, 7.85)], (150, 118, 98), sharp=True)
        body.fill([(-1.35, 4.2), (1.35, 4.2), (1.35, 4.6), (-1.35, 4.6)], (190, 152, 122), sharp=True)
    draw_body(body, looks, legs, behind=behind, seated=low)
    if pose.seated:
        draw_legs(body, looks, legs)
    _throat(body, looks, behind=behind)
    for side, joints in arms:
        if (side, joints) not in hidden:
            _arm(body, looks, side, joints)
    if not pose.front:
        draw_collar(body, looks, behind=behind)
    if looks.scarf:
        draw_scarf(body, looks)


def _hold(body: Sketch, looks: Looks, pose: Pose, *, behind: bool) -> list[Point]:
    """Draw what the hands hold; return where it shines, in px."""
    hands = [pose.left[1], pose.right[1]]
    if pose.held in ("lantern", "lanterns"):
        shining: list[Point] = []
        for x, y in hands[-1:] if pose.held == "lantern" else hands:
            upright = body.at(x, y, HANGING, turn=-body.canvas.turn * (-1 if body.canvas.mirror else 1))
            hang_lantern(upright.canvas)
            shining += upright.canvas.px([(0, 1.6)])
        return shining
    if behind:
        return []
    if pose.held in HELD:
        places, size, rise = HELD[pose.held]
        for x, y in places:
            box_lantern(body.at(x, y, size).canvas)
            _thumbs(body, looks, pose)
        return body.canvas.px([(x, y + rise) for x, y in places])
    if pose.held:
        _paper(body, looks, pose)
    return []


def _thumbs(body: Sketch, looks: Looks, pose: Pose) -> None:
    """Draw the fingers that lie over what both hands hold."""
    for side, (x, y) in ((-1, pose.left[1]), (1, pose.right[1])):
        if pose.front:
            body.fill(
                [(x + side * 0.16, y - 0.16), (x - side * 0.16, y - 0.1), (x - side * 0.2, y + 0.08),
                 (x - side * 0.02, y + 0.26), (x + side * 0.18, y + 0.22)], looks.skin)  # fmt: skip


def _paper(body: Sketch, looks: Looks, pose: Pose) -> None:
    """Draw a folded note or an open letter in the hands."""
    white = (252, 248, 238)
    if pose.held == "note":
        x, y = pose.right[1]
        body.fill(
            [(x - 0.1, y - 0.75), (x + 0.62, y - 0.85), (x + 0.7, y + 0.1), (x - 0.04, y + 0.16)],
            white,
            sharp=True,
        )
        body.stroke([(x + 0.26, y - 0.8), (x + 0.32, y + 0.12)], 0.04, shade(white, 0.4), blunt=1)
        return
    top, low = (1.36, 2.3) if pose.held == "letter" else (2.3, 3.2)
    body.fill(
        [(-0.6, top + 0.04), (0, top + 0.1), (0.56, top), (0.6, low), (0, low + 0.1), (-0.56, low + 0.05)],
        white,
        sharp=True,
    )
    body.fill(
        [(0, top + 0.1), (0.56, top), (0.6, low), (0, low + 0.1)], shade(white, 0.2), inked=False, sharp=True
    )
    for at in range(3):
        y = top + 0.24 + at * 0.2
        body.stroke([(-0.44, y), (-0.1, y + 0.05)], 0.035, (150, 150, 176), blunt=1)
        body.stroke([(0.12, y + 0.05), (0.42, y)], 0.035, (150, 150, 176), blunt=1)
    _thumbs(body, looks, pose)


def _throat(body: Sketch, looks: Looks, *, behind: bool) -> None:
    if behind or looks.outfit in ("gakuran", "sweater", "hoodie", "kimono", "jinbei"):
        return
    body.fill(
        [(-0.29, 1.1), (0.29, 1.1), (0.3, 1.3), (0, 1.95), (-0.3, 1.3)], shade(looks.skin, 0.18), inked=False
    )


def _arm(body: Sketch, looks: Looks, side: int, joints: tuple[Point, Point]) -> None:
    elbow, hand = joints
    colour, widths = sleeve(looks)
    if looks.outfit == "kimono" and hand[1] < elbow[1]:
        widths = (0.7, 0.9, 0.86)
    wide = 1.05 if looks.boy else 0.86
    shoulder = (side * wide, SHOULDER_Y)
    dx, dy = hand[0] - elbow[0], hand[1] - elbow[1]
    x, y = hand[0] + dx * 0.08, hand[1] + dy * 0.08
    short = looks.outfit == "jinbei"
    body.limb(
        [shoulder, elbow, hand] if short else [elbow, hand],
        [0.5, 0.36, 0.28] if short else [0.34, 0.28],
        looks.skin,
    )
    body.fill(
        [(x, y - 0.2), (x + 0.18, y - 0.05), (x + 0.12, y + 0.2), (x - 0.08, y + 0.22), (x - 0.18, y)],
        looks.skin,
    )
    cuff = (hand[0] - dx * 0.12, hand[1] - dy * 0.12)
    top = (shoulder[0] - side * 0.22, SHOULDER_Y - 0.16)
    sleeve_colour = shade(colour, 0.08 if side < 0 else 0.0)
    if short:
        over = (shoulder[0] + (elbow[0] - shoulder[0]) * 0.5, SHOULDER_Y + (elbow[1] - SHOULDER_Y) * 0.5)
        end = (elbow[0] + (hand[0] - elbow[0]) * 0.05, elbow[1] + (hand[1] - elbow[1]) * 0.05)
        body.limb([top, shoulder, over, end], (widths[0] * 0.4, *widths), sleeve_colour)
        return
    body.limb([top, shoulder, elbow, cuff], (widths[0] * 0.4, *widths), sleeve_colour)


def _shadow_of_fringe(head: Sketch, looks: Looks, turn: float) -> None:
    dark = shade(looks.skin, 0.24)
    edge: list[Point] = [
        (-0.84, -0.7),
        (0.84, -0.7),
        (0.82, 0.06),
        (0.4 + turn * 0.1, -0.06),
        (0, -0.02),
        (-0.4, -0.06),
        (-0.82, 0.06),
    ]
    head.fill(edge, dark, inked=False)


def _hat(head: Sketch, looks: Looks) -> None:
    head.fill([(-1.08, -0.62), (-0.9, -1.3), (0, -1.62), (0.9, -1.3), (1.08, -0.62), (0, -0.82)], looks.tie)
    head.fill([(-1.3, -0.58), (0, -0.84), (1.3, -0.58), (0, -0.5)], lit(looks.tie, 0.12))
