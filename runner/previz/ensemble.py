"""Putting people into the frame: who stands where, how large, with what shadow and rim of light."""

from __future__ import annotations

from PIL import Image, ImageChops

from runner.previz.brush import Canvas, clear, mix
from runner.previz.creatures import draw_creature
from runner.previz.figure import FEET_Y, POSES, draw_person
from runner.previz.sketch import Sketch
from runner.previz.sky import View
from runner.previz.staging import Staging

HEAD_TOP = 1.35
VARIANTS = {"lean": ("lean", "lean_back", "lean_side")}
# Half a head in picture heights, and where the head's centre is (None: the soles are on the ground).
FRAMES: dict[str, tuple[float, float | None]] = {
    "far": (0.030, None),
    "wide": (0.064, None),
    "cowboy": (0.112, 0.24),
    "upper": (0.174, 0.36),
    "close": (0.262, 0.47),
}


def paint_people(view: View, staging: Staging) -> None:
    """Draw the staging's people over the picture."""
    count = len(staging.people)
    size, head = FRAMES[staging.shot]
    size = min(size * (1.08 if staging.angle == "low" else 1.0), view.aspect / (2.9 * count + 0.2))
    if staging.shot == "wide":
        size = min(size, 0.80 / (FEET_Y + HEAD_TOP))
    size *= view.dice.uniform(0.93, 1.04)
    layer = Image.new("RGBA", view.canvas.image.size)
    ground = Canvas(view.canvas.image, view.canvas.image.height)
    for at, looks in enumerate(staging.people):
        x = _across(view, at, count, size, staging.shot)
        pose = POSES[_pose(view, staging, at)]
        y = 0.93 + view.dice.uniform(-0.015, 0.015) - size * pose.feet if head is None else head
        y = max(y, size * HEAD_TOP + 0.02) + (0.03 if staging.angle == "low" else 0.0)
        if head is None:
            _ground_shadow(view, ground, x, y + size * pose.feet, size)
        toward = 1 if x < view.aspect / 2 else -1
        turn = _turn(view, staging, toward if count > 1 else view.dice.choice((-1, 1)))
        mirror = turn < 0 and count == 1
        sketch = Sketch(Canvas(layer, layer.height).at(x, y, size, mirror=mirror), view.light)
        sway = view.dice.uniform(-0.25, 0.5)
        draw_person(
            sketch,
            looks,
            pose,
            turn=abs(turn) if mirror else turn,
            sway=sway,
            behind=staging.view == "behind",
        )
    _merge(view, layer, size)


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


def _across(view: View, at: int, count: int, size: float, shot: str) -> float:
    if count == 1:
        drift = 0.05 if shot == "close" else 0.16
        return view.aspect * (0.5 + view.dice.uniform(-drift, drift))
    gap = min(max(2.9 * size, 0.24 * view.aspect * min(1.0, 2 / count)), view.aspect / count)
    return view.aspect / 2 + (at - (count - 1) / 2) * gap


def _pose(view: View, staging: Staging, at: int) -> str:
    if staging.pose and (at == 0 or staging.pose in ("sit", "walk", "run")):
        return view.dice.choice(VARIANTS.get(staging.pose, (staging.pose,)))
    return view.dice.choice(("idle", "idle", "behind_back", "hip", "heart"))


def _turn(view: View, staging: Staging, toward: int) -> float:
    amount = {"side": 0.92, "quarter": 0.6, "behind": 0.0}.get(staging.view)
    if amount is None:
        amount = view.dice.uniform(0.0, 0.5)
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
