"""What a storyboard artist pencils over the picture: frame corners, and arrows for a camera that moves."""

from __future__ import annotations

from collections.abc import Callable

from runner.previz.brush import Canvas, Colour, Point, clear
from runner.previz.words import Table, first_match

CORNER: Colour = clear((255, 255, 255), 0.5)
PENCIL: Colour = clear((238, 62, 46), 0.92)
MOVES: Table = (
    ("in", r"push(?:es)? in|zoom(?:s)? in|dolly in|slow push|track in|t\.u\.|寄り|ズームイン"),
    ("out", r"pull(?:s)? (?:out|back)|zoom(?:s)? out|dolly out|track back|t\.b\.|引き|ズームアウト"),
    ("left", r"pan(?:s)? left|tracking left|左パン"),
    ("right", r"pan(?:s|ning)?(?: right)?|tracking(?: shot)?|右パン|パン"),
    ("up", r"tilt(?:s)? up|crane up|pan(?:s)? up|ティルトアップ"),
    ("down", r"tilt(?:s)? down|crane down|pan(?:s)? down|ティルトダウン"),
)


def paint_marks(canvas: Canvas, aspect: float, words: str) -> None:
    """Draw corner ticks, and the camera move that *words* (lower case) ask for; the canvas has height 1."""
    for x, sx in ((0.035, 1), (aspect - 0.035, -1)):
        for y, sy in ((0.035, 1), (0.965, -1)):
            canvas.line([(x + sx * 0.035, y), (x, y), (x, y + sy * 0.035)], 0.003, CORNER)
    move = first_match(MOVES, words)
    if move:
        _MOVES[move](canvas, aspect)


def _arrow(canvas: Canvas, start: Point, end: Point) -> None:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(1e-6, (dx * dx + dy * dy) ** 0.5)
    ux, uy = dx / length, dy / length
    neck = (end[0] - ux * 0.03, end[1] - uy * 0.03)
    canvas.line([start, neck], 0.006, PENCIL)
    canvas.poly(
        [end, (neck[0] - uy * 0.018, neck[1] + ux * 0.018), (neck[0] + uy * 0.018, neck[1] - ux * 0.018)],
        PENCIL,
    )


def _frame(canvas: Canvas, aspect: float) -> list[tuple[Point, Point]]:
    """Draw the smaller frame of a push or pull; return its corners, each with the outer corner beside it."""
    inset = 0.2
    left, right, top, low = aspect * inset, aspect * (1 - inset), inset, 1 - inset
    canvas.line([(left, top), (right, top), (right, low), (left, low), (left, top)], 0.004, PENCIL)
    return [
        ((left, top), (0.05, 0.05)),
        ((right, top), (aspect - 0.05, 0.05)),
        ((right, low), (aspect - 0.05, 0.95)),
        ((left, low), (0.05, 0.95)),
    ]


def _push(canvas: Canvas, aspect: float) -> None:
    for inner, outer in _frame(canvas, aspect):
        _arrow(canvas, outer, inner)


def _pull(canvas: Canvas, aspect: float) -> None:
    for inner, outer in _frame(canvas, aspect):
        _arrow(canvas, inner, outer)


_MOVES: dict[str, Callable[[Canvas, float], None]] = {
    "in": _push,
    "out": _pull,
    "left": lambda canvas, aspect: _arrow(canvas, (aspect * 0.62, 0.9), (aspect * 0.38, 0.9)),
    "right": lambda canvas, aspect: _arrow(canvas, (aspect * 0.38, 0.9), (aspect * 0.62, 0.9)),
    "up": lambda canvas, aspect: _arrow(canvas, (aspect - 0.09, 0.62), (aspect - 0.09, 0.36)),
    "down": lambda canvas, aspect: _arrow(canvas, (aspect - 0.09, 0.36), (aspect - 0.09, 0.62)),
}
