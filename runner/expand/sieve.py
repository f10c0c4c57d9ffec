"""Patterns over the jobs of a cut: what `except` leaves out, what `--only` and `--except` select."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import product
from math import prod

from runner.expand.standing import At, Standing
from runner.expand.takes import Takes
from runner.naming import Pattern, point_key

_MOST_KEPT = 65_536


class Verdict(IntEnum):
    """What becomes of one place in the product."""

    EXCEPTED = 0
    NOT_SELECTED = 1
    SELECTED = 2


@dataclass(slots=True)
class Sieve:
    """The patterns that concern one cut; walks only the axes they can tell apart."""

    standing: Standing
    labels: tuple[tuple[str, ...], ...]
    takes: Takes
    excepts: tuple[Pattern, ...]
    only: tuple[Pattern, ...]
    without: tuple[Pattern, ...]
    axes: tuple[int, ...] = ()
    told: frozenset[int] | None = frozenset()
    """Numbers of its takes that the patterns tell from all others; None when it may be any."""
    struck: set[Pattern] = field(default_factory=set)
    """Patterns that matched some job."""
    _kept: dict[tuple[At, int | None], Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        patterns = (*self.excepts, *self.only, *self.without)
        self.axes = tuple(
            index
            for index, standing in enumerate(self.standing.axes)
            if any(pattern.may_touch(standing.axis.words[0]) for pattern in patterns)
        )
        numbers = [pattern.numbers(self.takes.word) for pattern in patterns]
        known = [one for one in numbers if one is not None]
        self.told = frozenset().union(*known) if len(known) == len(numbers) else None
        if self.told:
            self.told = frozenset(filter(self.told.__contains__, self.takes.numbers()))

    def verdict(self, at: At, number: int | None) -> Verdict:
        """Return what becomes of take *number* at the point *at*; None is any that no pattern tells apart."""
        part = tuple(at[index] for index in self.axes)
        known = (part, number if self.told is None or number in self.told else None)
        found = self._kept.get(known)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[known] = self._judge(self._key(part), known[1])
        return found

    def takes_at(self, at: At, takes: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Return those of *takes*, each with its number first, that `except` leaves at the point *at*."""
        if self.told is None:
            return (take for take in takes if self.verdict(at, take[0]) != Verdict.EXCEPTED)
        if self.verdict(at, None) == Verdict.EXCEPTED:
            return iter(())
        gone = {number for number in self.told if self.verdict(at, number) == Verdict.EXCEPTED}
        return (take for take in takes if take[0] not in gone) if gone else takes

    def count(self) -> tuple[int, int]:
        """Return how many jobs the cut has and how many of them are selected."""
        sizes = [len(labels) for labels in self.labels]
        rest = prod(size for index, size in enumerate(sizes) if index not in self.axes)
        jobs = selected = 0
        for part in product(*(range(sizes[index]) for index in self.axes)):
            key = self._key(part)
            for number, alike in self._numbers():
                verdict = self._judge(key, number)
                jobs += rest * alike * (verdict != Verdict.EXCEPTED)
                selected += rest * alike * (verdict == Verdict.SELECTED)
        return jobs, selected

    def only_these(self, pattern: Pattern) -> Sieve:
        """Return a sieve over the same cut that selects what *pattern* matches."""
        return Sieve(self.standing, self.labels, self.takes, self.excepts, (pattern,), ())

    def segments(self) -> Iterator[str]:
        """Yield every segment that keys of this cut may hold, takes left out."""
        yield from self.standing.cut.path.split("/")
        for standing, labels in zip(self.standing.axes, self.labels, strict=True):
            yield from (f"{standing.axis.words[0]}={label}" for label in labels)

    def _numbers(self) -> Iterator[tuple[int | None, int]]:
        """Yield numbers of takes that can be told apart, and how many takes each stands for."""
        if self.told is None:
            yield from ((number, 1) for number in self.takes.numbers())
            return
        yield from ((number, 1) for number in sorted(self.told))
        if len(self.told) < self.takes.count:
            yield None, self.takes.count - len(self.told)

    def _key(self, part: At) -> str:
        """Return the key of a point, without the axes that no pattern can tell apart."""
        axes = [
            (self.standing.axes[index].axis.words[0], self.labels[index][value])
            for index, value in zip(self.axes, part, strict=True)
        ]
        return point_key(self.standing.cut.path, axes)

    def _judge(self, point: str, number: int | None) -> Verdict:
        key = point if number is None else f"{point}/{self.takes.word}={number}"
        if self._strikes(self.excepts, key):
            return Verdict.EXCEPTED
        wanted = not self.only or self._strikes(self.only, key)
        unwanted = self._strikes(self.without, key)
        return Verdict.SELECTED if wanted and not unwanted else Verdict.NOT_SELECTED

    def _strikes(self, patterns: tuple[Pattern, ...], key: str) -> bool:
        found = [pattern for pattern in patterns if pattern.matches(key)]
        self.struck.update(found)
        return bool(found)
