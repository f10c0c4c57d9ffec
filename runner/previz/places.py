"""The places a card can show, by key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runner.previz.landscapes import paint_hills
from runner.previz.sky import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How a place is drawn: behind the people, in front of them, its horizon, and whether it has no sky."""

    back: Callable[[View], None]
    front: Callable[[View], None] | None = None
    horizon: float = 0.62
    inside: bool = False


_HILLS = Place(back=paint_hills)
PLACES: dict[str, Place] = dict.fromkeys(
    [
        "plain",
        "lighthouse",
        "rooftop",
        "classroom",
        "corridor",
        "station",
        "shrine",
        "river",
        "sea",
        "forest",
        "snowfield",
        "mountains",
        "bedroom",
        "cafe",
        "street",
        "town",
        "space",
        "field",
        "hills",
    ],
    _HILLS,
)
