"""What a card shows, read from its words: place, light, framing, and who is there.

Reading is by keyword and total: any text gives a staging. What the words leave open is drawn from a die
seeded by the card, so takes differ, while a character's looks follow from its name alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.previz.die import MOST_TEXT, die
from runner.previz.looks import Looks, read_people
from runner.previz.words import (
    ANGLES,
    CREATURES,
    FLOATING,
    LANTERN_WORDS,
    LEAVES,
    LIGHT_WORDS,
    PLACE_WORDS,
    POSE_WORDS,
    SHOTS,
    VIEWS,
    first_match,
    seen,
)

if TYPE_CHECKING:
    from runner.previz.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """The picture to draw: keys of the tables of places and lights, the camera, and the subjects.

    *lantern* is what people do with one (a key of `words.LANTERN_WORDS`, or empty); *floating* says that
    lanterns drift on the water.
    """

    place: str
    light: str
    shot: str
    view: str
    angle: str
    people: tuple[Looks, ...]
    creature: str
    pose: str
    lantern: str
    floating: bool
    petals: bool
    leaves: bool
    fireworks: bool


def read_staging(card: Card) -> Staging:
    """Return what *card* shows."""
    prompt = card.prompt[:MOST_TEXT].lower()
    told = ", ".join((card.place, card.light, card.camera, card.action, card.expression))[:MOST_TEXT].lower()
    whole = f"{told}, {prompt}"
    dice = die("staging", card.prompt, card.seed, card.batch_index)
    people = read_people(card, prompt, told)
    creature = first_match(CREATURES, whole)
    place = first_match(PLACE_WORDS, card.place[:MOST_TEXT].lower()) or first_match(PLACE_WORDS, whole)
    steady = die("place", re.sub(r"\W+", " ", prompt))
    return Staging(
        place=place or steady.choice(("hills", "mountains", "sea", "field", "town")),
        light=first_match(LIGHT_WORDS, card.light[:MOST_TEXT].lower())
        or first_match(LIGHT_WORDS, whole)
        or steady.choice(("noon", "gold", "dusk", "dawn", "sunset", "noon")),
        shot=first_match(SHOTS, whole) or dice.choice(("wide", "cowboy", "upper") if people else ("wide",)),
        view=first_match(VIEWS, whole) or "front",
        angle=first_match(ANGLES, whole) or "level",
        people=people,
        creature=creature,
        pose=first_match(POSE_WORDS, told) or first_match(POSE_WORDS, prompt),
        lantern=first_match(LANTERN_WORDS, card.action[:MOST_TEXT].lower())
        or first_match(LANTERN_WORDS, prompt),
        floating=seen(FLOATING, whole),
        leaves=seen(LEAVES, whole),
        petals=seen(r"petals?|cherry blossoms?|sakura|桜", whole),
        fireworks=seen(r"fireworks?|花火", whole),
    )
