"""The places a card can show, by the keys of `words.PLACE_WORDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runner.previz import landscapes, rooms, town, waters, workshop
from runner.previz.sky import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How a place is drawn: behind the people, in front of them, its horizon, and whether rain stays out."""

    back: Callable[[View], None]
    front: Callable[[View], None] | None = None
    horizon: float = 0.62
    inside: bool = False


PLACES: dict[str, Place] = {
    "plain": Place(back=rooms.paint_plain, inside=True),
    "workshop": Place(back=workshop.paint_workshop, inside=True),
    "lighthouse": Place(back=waters.paint_lighthouse, horizon=0.7),
    "rooftop": Place(back=town.paint_rooftop, horizon=0.6),
    "classroom": Place(back=rooms.paint_classroom, front=rooms.front_classroom, inside=True),
    "corridor": Place(back=rooms.paint_corridor, inside=True),
    "station": Place(back=town.paint_station, horizon=0.56),
    "shrine": Place(back=town.paint_shrine, horizon=0.54),
    "river": Place(back=waters.paint_river, horizon=0.56),
    "sea": Place(back=waters.paint_sea, horizon=0.58),
    "forest": Place(back=landscapes.paint_forest, horizon=0.56),
    "snowfield": Place(back=landscapes.paint_snowfield, horizon=0.56),
    "mountains": Place(back=landscapes.paint_mountains, horizon=0.6),
    "bedroom": Place(back=rooms.paint_bedroom, inside=True),
    "cafe": Place(back=rooms.paint_cafe, inside=True),
    "street": Place(back=town.paint_street, horizon=0.55),
    "town": Place(back=town.paint_town, horizon=0.58),
    "space": Place(back=landscapes.paint_space, horizon=0.9, inside=True),
    "field": Place(back=landscapes.paint_field, horizon=0.54),
    "hills": Place(back=landscapes.paint_hills),
}
