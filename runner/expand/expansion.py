"""All cuts of a spec, checked at once, then walked as often as wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from runner.domain import Job, Templates
from runner.errors import Problem
from runner.expand.effects import Effects
from runner.expand.names import Namer, Taken, read_namer
from runner.expand.patterns import check_deliver, check_patterns
from runner.expand.points import Points, jobs_at
from runner.expand.stage import Choice, Stage, patterns_of
from runner.expand.twins import Twins
from runner.faults import Faults
from runner.story import Spec

_ENOUGH = 100
"""Mistakes after which walking stops; what is behind them is mostly the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """The jobs of a spec: counted, checked, made one by one while iterating.

    Iterating yields the selected jobs in row-major order; `seq` counts all jobs, selected or not. Nothing a
    user wrote can make it fail. It may be iterated as often as wanted.
    """

    count: int
    """All jobs, `except` taken off."""
    selected: int
    """Those that are yielded."""
    warnings: tuple[Problem, ...] = ()
    """Those of the spec, then those of expanding it."""
    later: tuple[str, ...] = ()
    """A sentence for each thing that is validated but not acted upon yet."""
    _cuts: tuple[Points, ...] = ()
    _namer: Namer

    def __len__(self) -> int:
        return self.selected

    def __iter__(self) -> Iterator[Job]:
        """Yield the selected jobs in order."""
        return (job for job, selected in self._walk() if selected)

    def _walk(self) -> Iterator[tuple[Job, bool]]:
        seq = 0
        for points in self._cuts:
            for at, point in points:
                for job, selected in jobs_at(points, at, point, self._namer, seq):
                    seq = job.seq + 1
                    yield job, selected


def expand(
    spec: Spec,
    templates: Templates,
    *,
    max_jobs: int = 1_000_000,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    frozen: Collection[str] | None = None,
) -> Expansion:
    """Return the jobs of *spec*, every mistake in it found now.

    Args:
        spec: As loaded.
        templates: Where the templates come from.
        max_jobs: The product of all axes and takes is refused above it, before anything is expanded.
        only: Patterns; with any, a job must match one of them to be yielded.
        without: Patterns of jobs that are not yielded.
        frozen: The files of the project that a run was planned with; without it the folder is looked into.

    Raises:
        SpecError: Every mistake, in file order.

    """
    faults = Faults()
    choice = Choice(
        only=patterns_of(only, "--only", faults), without=patterns_of(without, "--except", faults)
    )
    stage = Stage.of(spec, templates, faults, frozen)
    cuts = stage.cuts(choice, max_jobs=max_jobs)
    namer = read_namer(spec, cuts, faults)
    effects = Effects(spec, stage.heads, faults)
    _walk(cuts, Taken(spec, namer, cuts, faults) if namer else None, effects, faults)
    counts = [points.sieve.count() for points in cuts]
    check_patterns(spec, cuts, choice, faults)
    check_deliver(spec, cuts, faults)
    effects.judge(cuts)
    faults.settle([spec.path])
    assert namer is not None
    return Expansion(
        count=sum(jobs for jobs, _ in counts),
        selected=sum(selected for _, selected in counts),
        warnings=(*spec.warnings, *faults.warnings),
        later=spec.later,
        _cuts=tuple(cuts),
        _namer=namer,
    )


def _walk(cuts: Sequence[Points], taken: Taken | None, effects: Effects, faults: Faults) -> None:
    """Look at every point and every name once; mistakes in them are noted on the way."""
    for points in cuts:
        twins = Twins(points, effects, faults)
        before = faults.noted
        empty = True
        for at, point in points:
            empty = False
            twins.meet(at, point)
            if taken and not points.broken:
                taken.point(points, at, point)
            if faults.noted > before + _ENOUGH:
                break
        points.broken |= empty or faults.noted > before
        twins.tell()
