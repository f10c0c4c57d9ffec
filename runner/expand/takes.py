"""`takes` and `seeds`: which seeds a cut is drawn with, and how its jobs are called by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from runner.errors import SpecError
from runner.expand.standing import Standing
from runner.faults import Faults
from runner.naming import derived_seeds, take_hole
from runner.values import Seeds, parse_seeds, parse_takes


@dataclass(slots=True)
class Takes:
    """The takes of every variant of one cut; derived seeds are made when first asked for."""

    word: Literal["take", "seed"]
    count: int
    path: str
    seeds: Seeds | None = None
    _derived: tuple[int, ...] | None = None

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (number in the key, seed) in order."""
        if self.seeds is not None:
            yield from ((seed, seed) for seed in self.seeds)
        else:
            if self._derived is None:
                self._derived = derived_seeds(self.path, self.count)
            yield from enumerate(self._derived, 1)

    def hole(self, number: int) -> str:
        """Return what `{{ take }}` writes for *number* of the key."""
        return take_hole((self.word, number))


def takes_of(standing: Standing, faults: Faults) -> Takes:
    """Return the takes that *standing* asks for; one when nobody says or the word is wrong (noted)."""
    path = standing.cut.path
    takes, seeds = standing.told("takes", ()), standing.told("seeds", ())
    try:
        if seeds:
            parsed = parse_seeds(seeds.node)
            faults.warn(parsed.warnings)
            return Takes("seed", parsed.count, path, parsed)
        return Takes("take", parse_takes(takes.node) if takes else 1, path)
    except SpecError as refused:
        faults.add(refused.problems)
        return Takes("take", 1, path)
