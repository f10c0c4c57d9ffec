"""Deliver names: written for every job, all distinct ignoring case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.expand.points import Point, Points
from runner.expand.standing import At
from runner.faults import Faults
from runner.naming import DEFAULT_NAME, NAME_HOLES, NameTemplate, variant
from runner.story import Spec
from runner.text.letters import folded
from runner.text.nearest import did_you_mean
from runner.text.tree import Mark
from runner.wording import hole

_MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class Namer:
    """Writes the deliver name of jobs."""

    template: NameTemplate
    blank: Mapping[str, str]
    """Every hole that some cut of the spec fills, empty."""

    @property
    def by_seed(self) -> bool:
        """Whether a name tells the seed."""
        return "seed" in self.template.holes

    def at(self, points: Points, point: Point) -> Callable[[Sequence[tuple[int, int]]], list[str]]:
        """Return what writes the names of (number in the key, seed) at *point*; that raises ValueError."""
        cut, head = points.standing.cut, point.script.head
        holes = {
            **self.blank,
            **{hole(word): text for word, text in point.axes},
            "episode": cut.episode,
            "scene": cut.scene,
            "cut": cut.name,
            "variant": variant(point.axes),
            "model": head.model.name if head.model else "",
            "template": head.template.name,
        }
        return self.template.at(holes, points.takes.word)


def read_namer(spec: Spec, cuts: Iterable[Points], faults: Faults) -> Namer | None:
    """Return what writes the names of *spec*; None after noting why its template cannot."""
    words = {word for points in cuts for one in points.standing.axes for word in one.axis.words[:1]}
    blank = dict.fromkeys((*sorted(words), *sorted(NAME_HOLES)), "")
    written = spec.deliver.name
    try:
        template = NameTemplate.parse(written.text if written else DEFAULT_NAME)
    except ValueError as error:
        faults.at(_mark(spec), f"deliver.name: {error}")
        return None
    known = {hole(word) for word in blank}
    unknown = sorted(template.holes - known)
    for name in unknown:
        hint = did_you_mean(name, known) or f"; it has {', '.join(sorted(known))}"
        faults.at(_mark(spec), f"deliver.name has no hole `{name}`{hint}")
    return None if unknown else Namer(template, dict.fromkeys(map(hole, blank), ""))


@dataclass(slots=True)
class Taken:
    """The names given so far; holds a hash of each, so that a million of them fit."""

    spec: Spec
    namer: Namer
    cuts: Sequence[Points]
    faults: Faults
    _hashes: set[int] = field(default_factory=set)
    _told: int = 0

    def point(self, points: Points, at: At, point: Point) -> None:
        """Write the names of all jobs at *point*; note what is wrong with them."""
        try:
            for takes, names in self._names(points, at, point):
                hashes = set(map(hash, _folded(names)))
                if len(hashes) == len(names) and hashes.isdisjoint(self._hashes):
                    self._hashes |= hashes
                else:
                    for (number, _), name in zip(takes, names, strict=True):
                        self._take(name, _key(points, point, number))
        except ValueError as error:
            written = self.spec.deliver.name
            self.faults.at(written.mark if written else points.standing.cut.mark, str(error))

    def _names(
        self, points: Points, at: At, point: Point
    ) -> Iterator[tuple[Sequence[tuple[int, int]], list[str]]]:
        """Yield takes at *point*, many at a time, with their names; raises ValueError."""
        write = self.namer.at(points, point)
        for takes in points.takes_at(at, seeds=self.namer.by_seed):
            yield takes, write(takes)

    def _take(self, name: str, key: str) -> None:
        known = hash(folded(name))
        if known not in self._hashes:
            self._hashes.add(known)
        elif self._told < _MOST_TOLD:
            self._tell(name, key)

    def _tell(self, name: str, key: str) -> None:
        """Find who had *name* first, by walking all jobs up to there once more."""
        mine = folded(name)
        first = next((other for written, other in self._every() if folded(written) == mine), key)
        if first != key:
            self._told += 1
            self.faults.at(
                _mark(self.spec),
                f"two jobs would write `{name}`: {first} and {key};"
                " add {{ variant }} or {{ take }} to deliver.name",
            )

    def _every(self) -> Iterator[tuple[str, str]]:
        """Yield name and key of every job, in order."""
        for points in self.cuts:
            for at, point in points:
                for takes, names in self._names(points, at, point):
                    for (number, _), name in zip(takes, names, strict=True):
                        yield name, _key(points, point, number)


def _folded(names: Sequence[str]) -> Iterable[str]:
    """Return *names* folded, at the pace of C where all are ASCII: a point may have a million."""
    return map(str.casefold if all(map(str.isascii, names)) else folded, names)


def _key(points: Points, point: Point, number: int) -> str:
    return f"{point.key}/{points.takes.word}={number}"


def _mark(spec: Spec) -> Mark:
    return spec.deliver.name.mark if spec.deliver.name else spec.cuts[0].mark
