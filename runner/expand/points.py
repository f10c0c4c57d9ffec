"""The points of a cut and the jobs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product, repeat
from typing import Protocol

from runner.domain import Job, Plain, Template
from runner.expand.heads import Heads, settable
from runner.expand.parameters import Parameters, is_told
from runner.expand.sieve import Sieve, Verdict
from runner.expand.speech import UNSURE, Head, Speaker, Spoken
from runner.expand.standing import At, Standing
from runner.expand.takes import Takes
from runner.expand.upstream import Picks
from runner.naming import point_key
from runner.story import CutPlans
from runner.text.tree import Scalar

_MOST_KEPT = 4096
_AT_ONCE = 1024
"""Takes whose names are written together."""


class Naming(Protocol):
    """What writes deliver names."""

    def at(self, points: Points, point: Point) -> Callable[[Sequence[tuple[int, int]]], list[str]]:
        """Return what writes the names of (number in the key, seed) at *point*."""
        ...


@dataclass(frozen=True, slots=True)
class Scripted:
    """What all points share that differ only in parameters."""

    head: Head
    spoken: Spoken
    base: Mapping[str, Plain]
    picture: int
    """Hash of the base without the parameters that vary."""


@dataclass(frozen=True, slots=True)
class Point:
    """One variant of a cut."""

    key: str
    axes: tuple[tuple[str, str], ...]
    script: Scripted
    values: Mapping[str, Plain]
    picture: int
    """Equal for two variants that would draw the same."""
    length: str
    waits: str


@dataclass(slots=True)
class Points:
    """One cut, ready to be walked."""

    standing: Standing
    takes: Takes
    labels: tuple[tuple[str, ...], ...]
    sieve: Sieve
    plans: CutPlans
    heads: Heads
    speaker: Speaker
    parameters: Parameters
    templates: tuple[Template, ...]
    """Those that its points may be rendered with."""
    picks: Picks
    spoken_axes: tuple[int, ...]
    """Axes that change more than plain parameters."""
    varied: tuple[tuple[str, int], ...]
    """Plain parameters that vary, with their axis."""
    used: set[str] = field(default_factory=set)
    """Words that had a say in what was walked so far."""
    broken: bool = False
    """A mistake in it was noted: what it uses cannot be known."""
    _scripts: dict[At, Scripted | None] = field(default_factory=dict)
    _fixed: dict[tuple[str, str], tuple[Mapping[str, Plain], int]] = field(default_factory=dict)
    _varied: dict[tuple[str, str, str, int], tuple[Plain, int]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[At, Point]]:
        """Yield every point that can be drawn, row-major."""
        for at in product(*(range(len(labels)) for labels in self.labels)):
            if self.sieve.told is not None and self.sieve.verdict(at, None) == Verdict.EXCEPTED:
                continue
            point = self.point(at)
            if point is not None:
                yield at, point

    def takes_at(self, at: At, *, seeds: bool = True) -> Iterator[Sequence[tuple[int, int]]]:
        """Yield (number in the key, seed) of the jobs at *at*, many at a time and never none.

        Without *seeds* they are 0: a million of them take time to derive.
        """
        every = self.sieve.takes_at(at, iter(self.takes) if seeds else zip(self.takes.numbers(), repeat(0)))
        while takes := list(islice(every, _AT_ONCE)):
            yield takes

    def point(self, at: At) -> Point | None:
        """Return the point at *at*; None after noting why it cannot be drawn."""
        script = self.script(at)
        if script is None:
            return None
        values = dict(script.base)
        pictures = [script.picture]
        for word, axis in self.varied:
            if word in script.head.template.parameters:
                values[word], picture = self._parameter(word, axis, at, script.head)
                pictures.append(picture)
        axes = tuple(
            sorted(
                (standing.axis.words[0], self.labels[index][at[index]])
                for index, standing in enumerate(self.standing.axes)
            )
        )
        waits = self._await(values, dict(axes), script) if self.plans.upstream else ""
        if waits:
            pictures.append(hash(waits))
        length = self.standing.told("length", at)
        return Point(
            key=point_key(self.standing.cut.path, axes),
            axes=axes,
            script=script,
            values=values,
            picture=hash(tuple(pictures)),
            length=length.node.text if length and isinstance(length.node, Scalar) else "",
            waits=waits,
        )

    def _await(self, values: dict[str, Plain], axes: Mapping[str, str], script: Scripted) -> str:
        """Fill the pictures that come from earlier cuts; return what the point waits for."""
        wanted: list[str] = []
        for name, upstream in self.parameters.sources(script.head.template, self.plans).items():
            pick = self.picks.wanted(upstream, axes)
            values[name] = {"$from": pick}
            wanted.append(pick)
        return f"a pick of {' and of '.join(wanted)}" if wanted else ""

    def script(self, at: At) -> Scripted | None:
        """Return what the point *at* shares with those that differ only in parameters."""
        part = tuple(at[index] for index in self.spoken_axes)
        if part not in self._scripts:
            if len(self._scripts) >= _MOST_KEPT:
                self._scripts.clear()
            self._scripts[part] = self._script(at)
        return self._scripts[part]

    def _script(self, at: At) -> Scripted | None:
        head = self.heads.head(self.standing, at)
        if head is None:
            self.broken = True
            return None
        spoken = self.speaker.speak(self.standing, at, head)
        self.used |= spoken.used | set(settable(head.template))
        self.broken |= UNSURE in spoken.used
        fixed, same = self._fixed_values(at, head)
        composed = self.parameters.composed(head, spoken)
        plain = {word for word, _ in self.varied}
        moving = {
            name: self.parameters.value(self.standing, at, head, parameter)
            for name, parameter in head.template.parameters.items()
            if name not in fixed and name not in composed and name not in plain and parameter.type != "seed"
        }
        return Scripted(
            head=head,
            spoken=spoken,
            base={**fixed, **moving, **composed},
            picture=hash((same, repr(composed), repr(moving))),
        )

    def _fixed_values(self, at: At, head: Head) -> tuple[Mapping[str, Plain], int]:
        """Return the parameters that no axis and no wording moves, with a hash of them."""
        known = (head.template.name, head.model.name if head.model else "")
        if known not in self._fixed:
            waiting = self.parameters.sources(head.template, self.plans)
            values: dict[str, Plain] = dict.fromkeys(waiting)
            for name, parameter in head.template.parameters.items():
                if name not in waiting and name not in self.standing.columns and is_told(parameter):
                    values[name] = self.parameters.value(self.standing, at, head, parameter)
            self._fixed[known] = (values, hash((known[0], repr(values))))
        return self._fixed[known]

    def _parameter(self, word: str, axis: int, at: At, head: Head) -> tuple[Plain, int]:
        known = (word, head.template.name, head.model.name if head.model else "", at[axis])
        if known not in self._varied:
            value = self.parameters.value(self.standing, at, head, head.template.parameters[word])
            self._varied[known] = (value, hash(repr(value)))
        return self._varied[known]


def jobs_at(points: Points, at: At, point: Point, namer: Naming, seq: int) -> Iterator[tuple[Job, bool]]:
    """Yield the jobs of *point*, numbered from *seq*, each with whether it is selected."""
    write = namer.at(points, point)
    cut, head, spoken = points.standing.cut, point.script.head, point.script.spoken
    seeds = [name for name, parameter in head.template.parameters.items() if parameter.type == "seed"]
    place = cut.mark.problem("")
    for takes in points.takes_at(at):
        for (number, seed), name in zip(takes, write(takes), strict=True):
            values = dict(point.values)
            values.update(dict.fromkeys(seeds, seed))
            job = Job(
                key=f"{point.key}/{points.takes.word}={number}",
                seq=seq,
                episode=cut.episode,
                scene=cut.scene,
                cut=cut.name,
                axes=point.axes,
                take=f"t{points.takes.hole(number)}",
                seed=seed,
                name=name,
                template=head.template.name,
                model=head.model.name if head.model else "",
                values=values,
                prompt=_prompt(spoken),
                negative=spoken.negative,
                slots=spoken.slots,
                cast=spoken.members,
                loras=spoken.loras,
                title=cut.title,
                length=point.length,
                waits=point.waits,
                place=f"{place.path}:{place.line}",
            )
            seq += 1
            yield job, points.sieve.verdict(at, number) == Verdict.SELECTED


def _prompt(spoken: Spoken) -> str:
    return spoken.texts.get("prompt", next(iter(spoken.texts.values()), ""))
