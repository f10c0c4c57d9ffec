"""Rooms: classroom, corridor, bedroom, café, and the plain paper of a character sheet.

Their windows show the sky.
"""

from __future__ import annotations

from runner.previz.brush import Colour, Ink, clear, mix
from runner.previz.landscapes import ridge
from runner.previz.sky import View, paint_fall
from runner.previz.town import LAMP, skyline

WOOD: Ink = (206, 164, 116)
CREAM: Ink = (244, 236, 220)


def _outlook(view: View) -> None:
    """Draw what the windows look out on."""
    ridge(view, 0.5, 0.06, view.light.far((96, 132, 120), 0.6), steps=7)
    skyline(view, 0.60, 0.16, 0.5, narrow=0.05)
    paint_fall(view, petals=False, amount=0.6)


def _wall(view: View, colour: Ink, panes: list[tuple[float, float, float, float]]) -> None:
    """Draw a wall with holes at *panes* (left, top, right, bottom; left to right, all of one height)."""
    canvas = view.canvas
    top, low = panes[0][1], panes[0][3]
    canvas.box(view.left, -0.2, view.right, top, colour)
    canvas.box(view.left, low, view.right, 1.5, colour)
    edge = view.left
    for left, _, right, _ in panes:
        canvas.box(edge, top, left, low, colour)
        edge = right
    canvas.box(edge, top, view.right, low, colour)


def _frames(
    view: View, panes: list[tuple[float, float, float, float]], colour: Ink, *, bars: int = 1
) -> None:
    for left, top, right, low in panes:
        for at in range(bars + 2):
            x = left + (right - left) * at / (bars + 1)
            view.canvas.box(x - 0.006, top, x + 0.006, low, colour)
        for y in (top, top + (low - top) * 0.3, low):
            view.canvas.box(left - 0.006, y - 0.006, right + 0.006, y + 0.006, colour)
        view.canvas.box(left - 0.02, low, right + 0.02, low + 0.018, mix(colour, view.light.key, 0.3))


def _shafts(view: View, panes: list[tuple[float, float, float, float]], floor: float) -> None:
    """Lay the light of the windows slanting into the room and onto its floor."""
    key, slant = view.light.key, -0.3 * view.sun_side
    if view.light.lamps > 0.5 or view.light.fall:
        return
    for left, top, right, _low in panes:
        view.canvas.poly(
            [(left, top), (right, top), (right + slant, 1.1), (left + slant, 1.1)], clear(key, 0.07)
        )
        view.canvas.poly(
            [
                (left + slant * 0.5, floor + 0.03),
                (right + slant * 0.5, floor + 0.03),
                (right + slant * 1.1, 1.1),
                (left + slant * 1.1, 1.1),
            ],
            clear(key, 0.26),
        )


def _floor(view: View, top: float, colour: Ink) -> None:
    canvas, light = view.canvas, view.light
    canvas.box(view.left, top, view.right, 1.5, colour)
    vanish = view.aspect / 2
    for at in range(-14, 15):
        canvas.line([(vanish + at * 0.11, top), (vanish + at * 0.34, 1.2)], 0.002, clear(light.deep, 0.22))
    canvas.veil(top, 1.05, light.deep, 0.0, 0.3)


def _lamp_light(view: View, x: float, y: float) -> None:
    if view.light.lamps > 0.3:
        view.canvas.glow(x, y, 1.5, (255, 196, 120), 0.5)
        view.canvas.glow(x, y, 0.6, LAMP, 0.5)
        view.canvas.glow(x, y, 0.16, (255, 246, 214), 0.85)


def _indoor(view: View, colour: Ink) -> Ink:
    """Return an inside surface: it keeps some of its own colour even at night."""
    return mix(view.light.figure(colour), view.light.deep, 0.10 + 0.25 * view.light.backlit)


def paint_classroom(view: View) -> None:
    """Draw a classroom: tall windows, a chalkboard with drawings, rows of desks."""
    _outlook(view)
    light, canvas, flip = view.light, view.canvas, view.dice.random() < 0.5
    pane = 0.34
    start = view.aspect * 0.5 - 0.1 if flip else view.aspect * 0.5 - 3.3 * (pane + 0.05) + 0.1
    panes = [(start + at * (pane + 0.05), 0.1, start + at * (pane + 0.05) + pane, 0.55) for at in range(4)]
    wall = _indoor(view, CREAM)
    _wall(view, wall, panes)
    _frames(view, panes, _indoor(view, (206, 214, 220)))
    curtain = mix(light.figure((250, 250, 252)), light.haze, 0.25)
    for left, top, right, _ in panes[:: 2 if flip else 1][:3]:
        x = left if flip else right
        sway = view.dice.uniform(0.03, 0.09)
        fold = [
            (x - 0.03, top - 0.03),
            (x + 0.05, top - 0.03),
            (x + 0.04 - sway, 0.34),
            (x + 0.03, 0.60),
            (x - 0.06 - sway, 0.6),
            (x - 0.03, 0.3),
        ]
        canvas.blob(fold, clear(curtain, 0.9))
        canvas.wire([(x, top), (x - sway * 0.4, 0.33), (x - 0.02, 0.58)], 0.003, clear(light.deep, 0.25))
    board = start - 0.95 if flip else panes[-1][2] + 0.1
    canvas.box(board, 0.14, board + 0.85, 0.55, _indoor(view, (150, 112, 78)))
    canvas.box(board + 0.02, 0.16, board + 0.83, 0.53, _indoor(view, (52, 92, 78)))
    chalk = clear((240, 246, 236), 0.7)
    for at in range(3):
        y = 0.24 + at * 0.085
        canvas.wire(
            [(board + 0.1 + t * 0.07, y + view.dice.uniform(-0.012, 0.012)) for t in range(6)], 0.004, chalk
        )
    canvas.box(view.left, 0.575, view.right, 0.60, _indoor(view, WOOD))
    _floor(view, 0.72, _indoor(view, WOOD))
    _shafts(view, panes, 0.72)
    for row, (y, unit) in enumerate(((0.66, 0.2), (0.72, 0.27))):
        shift = view.dice.uniform(-0.1, 0.1)
        for at in range(-4, 5):
            _desk(view, view.aspect / 2 + (at + 0.5 * (row % 2)) * unit * 2.1 + shift, y, unit)


def _desk(view: View, x: float, y: float, unit: float) -> None:
    spot, light = view.canvas.at(x, y, unit), view.light
    top, iron = _indoor(view, (222, 182, 132)), mix(_indoor(view, (126, 134, 144)), light.deep, 0.3)
    for side in (-0.36, 0.33):
        spot.box(side, 0.05, side + 0.035, 0.66, iron)
    spot.box(-0.34, 0.06, 0.34, 0.18, mix(top, light.deep, 0.4))
    spot.poly([(-0.34, -0.08), (0.34, -0.08), (0.42, 0.05), (-0.42, 0.05)], mix(top, light.key, 0.22))
    spot.box(-0.42, 0.05, 0.42, 0.085, top)


def front_classroom(view: View) -> None:
    """Draw the edge of the nearest desk in front of the people."""
    x = view.aspect * (0.14 if view.drift < 0.5 else 0.86)
    _desk(view, x, 0.9, 0.62)


def paint_corridor(view: View) -> None:
    """Draw a school corridor running away, windows on one side."""
    light, canvas, y = view.light, view.canvas, 0.46
    vx = view.aspect * 0.5
    wall = _indoor(view, CREAM)
    far: tuple[float, float, float, float] = (vx - 0.1, y - 0.13, vx + 0.1, y + 0.13)
    canvas.veil(-0.2, 1.2, light.sky[-1], 0.4, 0.6)
    reach = 1.3
    floor, ceiling = _indoor(view, (196, 176, 150)), mix(wall, light.deep, 0.12)
    canvas.poly([(far[0], far[3]), (far[2], far[3]), (vx + reach * 1.6, 1.6), (vx - reach * 1.6, 1.6)], floor)
    canvas.poly(
        [(far[0], far[1]), (far[2], far[1]), (vx + reach * 1.6, -0.9), (vx - reach * 1.6, -0.9)], ceiling
    )

    def spot(side: int, depth: float, height: float) -> tuple[float, float]:
        return vx + side * 0.1 * depth, y + 0.13 * depth * height

    depths = [1.0, 1.5, 2.2, 3.3, 5.0, 7.6, 12.0, 18.0]
    for side in (-1, 1):
        solid = side == view.sun_side
        colour = mix(wall, light.deep, 0.06 if solid else 0.16)
        for near, deep in zip(depths[1:], depths, strict=False):
            bands = [(-1.05, -0.72), (0.2, 1.05)] if solid else [(-1.05, 1.05)]
            for top, low in bands:
                canvas.poly(
                    [
                        spot(side, deep, top),
                        spot(side, near, top),
                        spot(side, near, low),
                        spot(side, deep, low),
                    ],
                    colour,
                )
            edge = deep + (near - deep) * 0.86
            if solid:
                canvas.poly(
                    [
                        spot(side, edge, -0.75),
                        spot(side, near, -0.75),
                        spot(side, near, 0.25),
                        spot(side, edge, 0.25),
                    ],
                    colour,
                )
                shine = [spot(side, deep, 1.0), spot(side, edge, 1.0)]
                canvas.poly(
                    [
                        *shine,
                        (shine[1][0] - side * 0.09 * edge, shine[1][1]),
                        (shine[0][0] - side * 0.09 * deep, shine[0][1]),
                    ],
                    clear(light.key, 0.4),
                )
            else:
                door = [
                    spot(side, deep, -0.6),
                    spot(side, edge, -0.6),
                    spot(side, edge, 1.0),
                    spot(side, deep, 1.0),
                ]
                canvas.poly(door, _indoor(view, (214, 176, 130)))
                canvas.poly(
                    [
                        spot(side, deep * 1.06, -0.45),
                        spot(side, edge * 0.96, -0.45),
                        spot(side, edge * 0.96, 0.1),
                        spot(side, deep * 1.06, 0.1),
                    ],
                    mix(light.sky[-1], wall, 0.4),
                )
    canvas.box(*far, mix(wall, light.key, 0.3))
    canvas.box(vx - 0.05, y - 0.09, vx + 0.05, y + 0.04, mix(light.sky[-1], (255, 255, 255), 0.4))
    canvas.glow(vx, y, 0.3, light.key, 0.45)


def paint_bedroom(view: View) -> None:
    """Draw a bedroom: one large window, curtains, a bed, a desk lamp and a shelf."""
    _outlook(view)
    light, canvas = view.light, view.canvas
    middle = view.aspect * (0.5 + 0.12 * view.sun_side)
    panes = [(middle - 0.36, 0.08, middle + 0.36, 0.56)]
    wall = _indoor(
        view, view.dice.choice(((236, 222, 206), (214, 222, 232), (232, 212, 214), (216, 226, 212)))
    )
    _wall(view, wall, panes)
    _frames(view, panes, _indoor(view, (246, 242, 236)))
    cloth = _indoor(view, view.dice.choice(((244, 214, 190), (190, 208, 226), (230, 196, 206))))
    for side in (-1, 1):
        x = middle + side * 0.36
        fold = [
            (x - side * 0.10, 0.04),
            (x + side * 0.14, 0.04),
            (x + side * 0.15, 0.35),
            (x + side * 0.13, 0.66),
            (x - side * 0.02, 0.66),
            (x - side * 0.02, 0.36),
        ]
        canvas.poly(fold, cloth)
        for part in (0.02, 0.07, 0.11):
            canvas.wire(
                [(x + side * part - side * 0.03, 0.05), (x + side * part, 0.4), (x + side * part, 0.65)],
                0.003,
                clear(light.deep, 0.28),
            )
    canvas.box(view.left, 0.03, view.right, 0.042, _indoor(view, (150, 116, 90)))
    _floor(view, 0.76, _indoor(view, WOOD))
    _shafts(view, panes, 0.76)
    side, frame = -view.sun_side, _indoor(view, (150, 106, 78))
    shelf = view.aspect * 0.5 - side * view.aspect * 0.33
    for level in (0.2, 0.36):
        _books(view, shelf - 0.18, level, 13)
        canvas.box(shelf - 0.2, level, shelf + 0.2, level + 0.014, frame)
    canvas.box(shelf - 0.26, 0.62, shelf + 0.26, 0.645, mix(frame, light.key, 0.25))
    for leg in (-0.24, 0.22):
        canvas.box(shelf + leg, 0.64, shelf + leg + 0.02, 0.86, frame)
    canvas.line(
        [(shelf - 0.14, 0.62), (shelf - 0.16, 0.5), (shelf - 0.09, 0.44)], 0.008, mix(frame, light.deep, 0.5)
    )
    canvas.poly(
        [(shelf - 0.12, 0.42), (shelf - 0.06, 0.43), (shelf - 0.02, 0.48), (shelf - 0.1, 0.49)],
        _indoor(view, (214, 96, 80)),
    )
    _lamp_light(view, shelf - 0.05, 0.5)
    _bed(view, view.aspect * 0.5 + side * view.aspect * 0.36, side, cloth)


def _bed(view: View, x: float, side: int, cloth: Ink) -> None:
    spot, light = view.canvas.at(x, 0.84, 1.1, mirror=side < 0), view.light
    frame, sheet = _indoor(view, (150, 106, 78)), _indoor(view, (250, 248, 250))
    spot.box(0.4, -0.34, 0.46, 0.12, frame)
    spot.box(-0.44, -0.06, 0.42, 0.07, mix(frame, light.deep, 0.25))
    spot.box(-0.44, 0.07, -0.41, 0.13, frame)
    spot.poly([(-0.44, -0.14), (0.41, -0.16), (0.41, -0.02), (-0.44, -0.02)], sheet)
    spot.blob(
        [(0.16, -0.17), (0.2, -0.25), (0.36, -0.25), (0.4, -0.16), (0.3, -0.12)], mix(sheet, light.key, 0.15)
    )
    quilt = mix(cloth, light.deep, 0.06)
    hem = [(0.14 - 0.58 * at / 8, 0.085 + (0.012 if at % 2 else 0.0)) for at in range(9)]
    spot.poly([(-0.44, -0.17), (-0.15, -0.185), (0.12, -0.18), (0.15, -0.1), *hem], quilt)
    spot.poly(
        [(0.06, -0.18), (0.12, -0.18), (0.15, -0.1), (0.14, 0.085), (0.07, 0.09)], mix(sheet, cloth, 0.3)
    )
    for x in (-0.32, -0.18, -0.04):
        spot.wire([(x, -0.17), (x + 0.03, -0.04), (x - 0.01, 0.08)], 0.004, clear(light.deep, 0.2))


def _books(view: View, x: float, foot: float, count: int) -> None:
    for _ in range(count):
        wide, tall = view.dice.uniform(0.014, 0.03), view.dice.uniform(0.06, 0.11)
        colour = _indoor(
            view,
            view.dice.choice(
                (
                    (196, 84, 76),
                    (84, 124, 168),
                    (222, 186, 104),
                    (110, 150, 118),
                    (236, 228, 214),
                    (120, 96, 140),
                )
            ),
        )
        view.canvas.box(x, foot - tall, x + wide - 0.003, foot, colour)
        x += wide


def paint_cafe(view: View) -> None:
    """Draw a café or library corner: shelves, a window, hanging lamps, a counter."""
    _outlook(view)
    light, canvas, side = view.light, view.canvas, view.sun_side
    middle = view.aspect * (0.5 + 0.28 * side)
    panes = [(middle - 0.3, 0.14, middle + 0.3, 0.6)]
    wall = _indoor(view, (186, 150, 120))
    _wall(view, wall, panes)
    _frames(view, panes, _indoor(view, (92, 66, 56)))
    shelf = view.aspect * (0.5 - 0.3 * side)
    dark = _indoor(view, (110, 76, 60))
    canvas.box(shelf - 0.42, 0.1, shelf + 0.42, 0.74, dark)
    for level in (0.25, 0.41, 0.57, 0.72):
        canvas.box(shelf - 0.4, level - 0.135, shelf + 0.4, level, mix(dark, light.deep, 0.45))
        _books(view, shelf - 0.39, level, 34)
    _floor(view, 0.74, _indoor(view, (150, 106, 82)))
    _shafts(view, panes, 0.74)
    for at in range(3):
        x = view.aspect * (0.2 + 0.3 * at)
        canvas.line([(x, -0.1), (x, 0.1)], 0.003, dark)
        canvas.poly(
            [(x - 0.05, 0.14), (x - 0.016, 0.095), (x + 0.016, 0.095), (x + 0.05, 0.14)],
            mix(dark, light.deep, 0.3),
        )
        canvas.glow(x, 0.15, 0.28, LAMP, 0.6)
        canvas.oval(x, 0.142, 0.03, 0.012, (255, 246, 214))
    top = _indoor(view, (206, 160, 118))
    ends = (view.left, shelf + 0.5) if side > 0 else (shelf - 0.5, view.right)
    canvas.box(ends[0], 0.80, ends[1], 0.825, top)
    canvas.box(ends[0], 0.825, ends[1], 1.4, mix(top, light.deep, 0.4))


def paint_plain(view: View) -> None:
    """Draw the pale paper of a character sheet: a soft disc, a floor line and halftone dots."""
    canvas, light = view.canvas, view.light
    hue: Ink = view.dice.choice(
        ((246, 214, 206), (208, 224, 242), (224, 236, 212), (244, 230, 198), (226, 214, 240))
    )
    paper: Colour = mix((250, 248, 244), hue, 0.25)
    canvas.box(view.left, -0.2, view.right, 1.5, paper)
    canvas.oval(
        view.aspect * (0.5 + 0.1 * view.sun_side),
        0.46,
        0.38,
        0.38,
        mix((250, 248, 244), hue, 0.8),
        corners=96,
    )
    for row in range(12):
        for at in range(30 - 2 * row):
            r = 0.0062 * (1 - row / 13)
            canvas.oval(
                0.02 + at * 0.026 + (row % 2) * 0.013,
                0.97 - row * 0.024,
                r,
                r,
                mix(hue, light.deep, 0.12),
                corners=10,
            )
    canvas.veil(0.86, 1.05, mix(hue, (120, 110, 130), 0.2), 0.0, 0.4)
