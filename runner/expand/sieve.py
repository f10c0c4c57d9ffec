"""Patterns over the jobs of a cut: what `except` leaves out, what `--only` and `--except` select."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import product
from math import prod

from runner.expand.standing import At, Standing
from runner.expand.takes import Takes
from runner.naming import Pattern, job_key, point_key

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
    by_take: bool = False
    struck: set[Pattern] = field(default_factory=set)
    """Patterns that matched some job."""
    _kept: dict[tuple[At, int], Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        patterns = (*self.excepts, *self.only, *self.without)
        self.axes = tuple(
            index
            for index, standing in enumerate(self.standing.axes)
            if any(pattern.may_touch(standing.axis.words[0]) for pattern in patterns)
        )
        self.by_take = any(pattern.may_touch(self.takes.word) for pattern in patterns)

    def verdict(self, at: At, number: int) -> Verdict:
        """Return what becomes of take *number* at the point *at*."""
        part = tuple(at[index] for index in self.axes)
        known = (part, number if self.by_take else 0)
        found = self._kept.get(known)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[known] = self._judge(part, number)
        return found

    def count(self) -> tuple[int, int]:
        """Return how many jobs the cut has and how many of them are selected."""
        sizes = [len(labels) for labels in self.labels]
        rest = prod(size for index, size in enumerate(sizes) if index not in self.axes)
        rest *= 1 if self.by_take else self.takes.count
        jobs = selected = 0
        for part in product(*(range(sizes[index]) for index in self.axes)):
            for number in self._numbers():
                verdict = self._judge(part, number)
                jobs += rest * (verdict != Verdict.EXCEPTED)
                selected += rest * (verdict == Verdict.SELECTED)
        return jobs, selected

    def only_these(self, pattern: Pattern) -> Sieve:
        """Return a sieve over the same cut that selects what *pattern* matches."""
        return Sieve(self.standing, self.labels, self.takes, self.excepts, (pattern,), ())

    def segments(self) -> Iterator[str]:
        """Yield every segment that keys of this cut may hold, takes left out."""
        yield from self.standing.cut.path.split("/")
        for standing, labels in zip(self.standing.axes, self.labels, strict=True):
            yield from (f"{standing.axis.words[0]}={label}" for label in labels)

    def _numbers(self) -> Iterator[int]:
        return (number for number, _ in self.takes) if self.by_take else iter((0,))

    def _judge(self, part: At, number: int) -> Verdict:
        axes = [
            (self.standing.axes[index].axis.words[0], self.labels[index][value])
            for index, value in zip(self.axes, part, strict=True)
        ]
        path = self.standing.cut.path
        key = job_key(path, axes, (self.takes.word, number)) if self.by_take else point_key(path, axes)
        if self._strikes(self.excepts, key):
            return Verdict.EXCEPTED
        wanted = not self.only or self._strikes(self.only, key)
        unwanted = self._strikes(self.without, key)
        return Verdict.SELECTED if wanted and not unwanted else Verdict.NOT_SELECTED

    def _strikes(self, patterns: tuple[Pattern, ...], key: str) -> bool:
        found = [pattern for pattern in patterns if pattern.matches(key)]
        self.struck.update(found)
        return bool(found)
