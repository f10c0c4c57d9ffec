"""`takes` and `seeds`: which seeds a cut is drawn with, and how its jobs are called by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from runner.errors import SpecError
from runner.expand.standing import Standing
from runner.faults import Faults
from runner.naming import seeds_of_takes, take_hole
from runner.values import Seeds, parse_seeds, parse_takes


@dataclass(slots=True)
class Takes:
    """The takes of every variant of one cut; a derived seed is made when it is first asked for."""

    word: Literal["take", "seed"]
    count: int
    path: str
    seeds: Seeds | None = None
    _derived: list[int] = field(default_factory=list)
    _more: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._more = seeds_of_takes(self.path)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (number in the key, seed) in order."""
        if self.seeds is not None:
            return zip(self.seeds, self.seeds, strict=True)
        return ((number, self._seed(number)) for number in range(1, self.count + 1))

    def numbers(self) -> Iterator[int]:
        """Yield the numbers in the keys, in order; no seed is derived for them."""
        return iter(range(1, self.count + 1) if self.seeds is None else self.seeds)

    def _seed(self, number: int) -> int:
        if number > len(self._derived):
            self._derived.append(next(self._more))
        return self._derived[number - 1]

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
