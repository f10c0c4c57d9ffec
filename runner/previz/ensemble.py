"""Putting people into the frame: who stands where, how large, with what shadow and rim of light."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image, ImageChops

from runner.previz.brush import Canvas, Point, clear, mix
from runner.previz.creatures import draw_creature
from runner.previz.figure import FEET_Y, POSES, Pose, draw_person
from runner.previz.lanterns import light_up, reflect, shining
from runner.previz.sketch import Sketch
from runner.previz.sky import View
from runner.previz.staging import Staging

HEAD_TOP = 1.35
VARIANTS = {
    "lean": ("lean", "lean_back", "lean_side"),
    "run": ("run", "run_b"),
    "walk": ("walk", "walk_b"),
    "climb": ("climb", "climb_b"),
}
_AFLOAT = ((-1.4, 3.4), (-0.86, 4.85)), ((1.4, 3.4), (0.86, 4.85))
# How far takes differ in size, by framing.
SPREAD = {"wide": (0.86, 1.06), "close": (0.86, 1.08), "far": (0.85, 1.15)}
# Half a head in picture heights, and where the head's centre is (None: the soles are on the ground).
FRAMES: dict[str, tuple[float, float | None]] = {
    "far": (0.030, None),
    "wide": (0.064, None),
    "cowboy": (0.112, 0.24),
    "upper": (0.174, 0.36),
    "close": (0.262, 0.47),
}


def paint_people(view: View, staging: Staging) -> None:
    """Draw the staging's people over the picture, and the light of the lanterns they hold."""
    count = len(staging.people)
    frame, head = FRAMES[staging.shot]
    frame = min(frame * (1.08 if staging.angle == "low" else 1.0), view.aspect / (2.9 * count + 0.2))
    if staging.shot == "wide":
        frame = min(frame, 0.80 / (FEET_Y + HEAD_TOP))
    frame *= view.dice.uniform(*SPREAD.get(staging.shot, (0.93, 1.05)))
    layer = Image.new("RGBA", view.canvas.image.size)
    ground = Canvas(view.canvas.image, view.canvas.image.height)
    group = view.aspect * view.dice.uniform(-0.1, 0.1) * (count > 1)
    flip = view.dice.random() < 0.5
    lamps: list[tuple[Point, float]] = []
    for at, looks in enumerate(staging.people):
        depth = (
            view.dice.uniform(-0.015 if view.lanterns else -0.05, 0.02) if head is None and count > 1 else 0.0
        )
        x = _across(view, at, count, frame, staging) + group
        pose = _loosened(view, _pose(view, staging, at))
        size = (
            frame
            * (1 + depth * 1.6)
            * (0.95 if looks.elder else 1.35 if pose.kneeling and view.shore else 1.0)
        )
        y = _height(view, staging, pose, size, head) + depth
        if head is None:
            _ground_shadow(view, ground, x, y + size * pose.feet, size)
        toward = 1 if x < view.aspect / 2 + group else -1
        turn = _turn(view, staging, toward if count > 1 else view.dice.choice((-1, 1)))
        mirror = turn < 0 if count == 1 else _mirrored(staging, at, flip=flip)
        sketch = Sketch(Canvas(layer, layer.height).at(x, y, size, mirror=mirror), view.light)
        shines = draw_person(
            sketch,
            looks,
            pose,
            turn=-turn if mirror else turn,
            sway=view.dice.uniform(-0.3, 0.55),
            behind=staging.view == "behind",
        )
        lamps += [(place, size) for place in shines]
    _merge(view, layer, frame)
    tall = view.canvas.image.height
    for (px, py), size in lamps:
        light_up(ground, px / tall, py / tall, size * 4.6, 0.5 + 0.5 * shining(view))
        if view.shore:
            reflect(ground, px / tall, py / tall + 0.55 * size, 0.8 * size)


def _height(view: View, staging: Staging, pose: Pose, size: float, head: float | None) -> float:
    """Return the height of a head's centre."""
    drop = view.dice.uniform(-0.02, 0.02)
    if head is None:
        head = (0.85 if pose.kneeling and view.shore else 0.93 + drop) - size * pose.feet
    else:
        head += drop
    return max(head, size * HEAD_TOP + 0.02) + (0.03 if staging.angle == "low" else 0.0)


def _mirrored(staging: Staging, at: int, *, flip: bool) -> bool:
    """Return whether the person at *at* of several is drawn the other way round."""
    if staging.pose == "offer" or staging.lantern == "raise":
        return False
    return flip if staging.pose in ("run", "walk") else flip != (at % 2 == 1)


def _loosened(view: View, pose: Pose) -> Pose:
    """Return *pose* with head and body inclined a little otherwise, as no two takes are alike."""
    nod, lean = view.dice.uniform(-0.075, 0.075), view.dice.uniform(-0.025, 0.025)
    return replace(pose, nod=pose.nod + nod, lean=pose.lean + lean * (not pose.kneeling))


def paint_creature(view: View, staging: Staging, words: str) -> None:
    """Draw the staging's animal or robot: alone it has the stage, beside people it sits at their feet."""
    if staging.people and staging.shot not in ("wide", "far"):
        return
    layer = Image.new("RGBA", view.canvas.image.size)
    tall = {"close": 0.62, "upper": 0.54, "cowboy": 0.46, "far": 0.2}.get(staging.shot, 0.36)
    x, foot = view.aspect * (0.5 + view.dice.uniform(-0.14, 0.14)), 0.9
    if staging.people:
        tall, x, foot = 0.15, view.aspect * view.dice.choice((0.2, 0.8)), 0.94
    elif tall > 0.5:
        foot = 0.98
    tall = min(tall, view.aspect * 0.6)
    ground = Canvas(view.canvas.image, view.canvas.image.height)
    ground.oval(x, foot - 0.01, 0.4 * tall, 0.06 * tall, clear(mix(view.light.deep, (20, 16, 40), 0.4), 0.35))
    sketch = Sketch(
        Canvas(layer, layer.height).at(x, foot, tall, mirror=view.dice.random() < 0.5), view.light, line=0.009
    )
    draw_creature(sketch, staging.creature, words, view.dice)
    _merge(view, layer, tall * 0.2)


def _across(view: View, at: int, count: int, size: float, staging: Staging) -> float:
    shot, reaching = staging.shot, staging.pose == "offer" or staging.lantern in ("raise", "both", "carry")
    if count == 1:
        drift = {"close": 0.12, "upper": 0.16}.get(shot, 0.24)
        return view.aspect * (0.5 + view.dice.uniform(-drift, drift))
    gap = min(max(2.9 * size, 0.24 * view.aspect * min(1.0, 2 / count)), view.aspect / count)
    if count == 2:
        gap *= view.dice.uniform(0.88, 1.08)
        if reaching:
            gap = max(gap, 4.4 * size)
    return view.aspect / 2 + (at - (count - 1) / 2) * gap


def _pose(view: View, staging: Staging, at: int) -> Pose:
    base = _stance(view, staging, at)
    near = staging.shot == "close"
    match staging.lantern:
        case "set" | "cup" if at == 0:
            low = staging.lantern == "set" and staging.shot in ("wide", "far")
            if low:
                return replace(POSES["kneel"], left=_AFLOAT[0], right=_AFLOAT[1], held="set")
            return POSES["cup_close" if near else "cup"]
        case "raise" if at == 0:
            return POSES["raise"]
        case "both":
            swing = view.dice.uniform(-0.25, 0.25)
            hands = (((-1.6, 2.8), (-1.9, 3.5 + swing)), ((1.6, 2.8), (1.9, 3.5 - swing)))
            return replace(base, left=hands[0], right=hands[1], held="lanterns", front=False)
        case "carry":
            hand = (
                base.right
                if base.right[1][0] > 1.2 and not near
                else ((1.6, 2.7), (1.9, 1.7 if near else 3.3))
            )
            return replace(base, right=hand, held="lantern", front=False)
        case _:
            return base


def _stance(view: View, staging: Staging, at: int) -> Pose:
    name = staging.pose
    if name == "read" and staging.shot == "close" and at == 0:
        name = "read_close"
    if name and (at == 0 or name in ("sit", "walk", "run", "climb")):
        pose = POSES[view.dice.choice(VARIANTS.get(name, (name,)))]
        return replace(pose, held="") if staging.lantern and name == "read" else pose
    return POSES[view.dice.choice(("idle", "idle", "behind_back", "hip", "heart"))]


def _turn(view: View, staging: Staging, toward: int) -> float:
    amount = {"side": 0.92, "quarter": 0.6, "behind": 0.0}.get(staging.view)
    if amount is None:
        amount = view.dice.uniform(0.0, 0.6)
    return toward * amount


def _ground_shadow(view: View, ground: Canvas, x: float, y: float, size: float) -> None:
    dark = mix(view.light.deep, (20, 16, 40), 0.4)
    ground.oval(x, y - 0.1 * size, 1.5 * size, 0.3 * size, clear(dark, 0.35))
    if view.light.name in ("sunset", "gold", "dawn"):
        ground.poly(
            [
                (x - 0.5 * size, y - 0.1 * size),
                (x + 0.6 * size, y - 0.1 * size),
                (x + 2.6 * size, y + 3.4 * size),
                (x + 0.8 * size, y + 3.4 * size),
            ],
            clear(dark, 0.28),
        )


def _merge(view: View, layer: Image.Image, size: float) -> None:
    """Paste *layer* with a rim of key light on the side of the sun."""
    box = layer.getbbox()
    if box is None:
        return
    cut = layer.crop(box)
    alpha = cut.getchannel("A")
    reach = max(1, round(size * 0.045 * layer.height))
    moved = Image.new("L", alpha.size)
    moved.paste(alpha, (-reach * view.sun_side, reach // 2))
    rim = ImageChops.subtract(alpha, moved)
    strength = {"sunset": 0.85, "gold": 0.8, "dawn": 0.7, "dusk": 0.6, "night": 0.45}.get(
        view.light.name, 0.3
    )
    cut.paste(view.light.key, (0, 0), rim.point(lambda value: value * strength))
    cut.putalpha(alpha)
    view.canvas.image.paste(cut, box[:2], alpha)
