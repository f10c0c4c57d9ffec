"""All cuts of a spec, checked at once, then walked as often as wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.domain import Job, Templates
from runner.errors import Problem
from runner.expand.cast import Casts
from runner.expand.fragments import Fragments
from runner.expand.heads import Heads
from runner.expand.labels import axis_labels
from runner.expand.parameters import Parameters
from runner.expand.pictures import Pictures
from runner.expand.points import Namer, Points, jobs_at
from runner.expand.sieve import Sieve
from runner.expand.speech import Speaker
from runner.expand.standing import resolve
from runner.expand.takes import takes_of
from runner.expand.wardrobe import Wardrobe
from runner.faults import Faults
from runner.naming import DEFAULT_NAME, NAME_HOLES, NameTemplate, Pattern
from runner.story import CutPlans, Spec


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
    later: tuple[Problem, ...] = ()
    """What is validated but not acted upon yet."""
    _cuts: tuple[Points, ...] = ()
    _namer: Namer

    def __len__(self) -> int:
        return self.selected

    def __iter__(self) -> Iterator[Job]:
        """Yield the selected jobs in order."""
        seq = 0
        for points in self._cuts:
            for at, point in points:
                for job, selected in jobs_at(points, at, point, self._namer, seq):
                    seq = job.seq + 1
                    if selected:
                        yield job


def expand(
    spec: Spec,
    templates: Templates,
    *,
    max_jobs: int = 1_000_000,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Expansion:
    """Return the jobs of *spec*, every mistake in it found now.

    Args:
        spec: As loaded.
        templates: Where the templates come from.
        max_jobs: The product of all axes and takes is refused above it, before anything is expanded.
        only: Patterns; with any, a job must match one of them to be yielded.
        without: Patterns of jobs that are not yielded.

    Raises:
        SpecError: Every mistake, in file order.

    """
    faults = Faults()
    stage = _Stage(spec, templates, faults)
    cuts = stage.cuts(
        only=_patterns(only, "--only", faults),
        without=_patterns(without, "--except", faults),
        max_jobs=max_jobs,
    )
    faults.settle()
    counts = [points.sieve.count() for points in cuts]
    namer = Namer(
        NameTemplate.parse(spec.deliver.name.text if spec.deliver.name else DEFAULT_NAME), _blank(cuts)
    )
    expansion = Expansion(
        count=sum(jobs for jobs, _ in counts),
        selected=sum(selected for _, selected in counts),
        warnings=tuple(faults.warnings),
        later=spec.later,
        _cuts=tuple(cuts),
        _namer=namer,
    )
    for _ in expansion:
        pass
    faults.settle()
    return expansion


@dataclass(slots=True)
class _Stage:
    spec: Spec
    templates: Templates
    faults: Faults

    def cuts(self, *, only: tuple[Pattern, ...], without: tuple[Pattern, ...], max_jobs: int) -> list[Points]:
        spec, faults = self.spec, self.faults
        casts = Casts(spec, faults)
        heads = Heads(spec, self.templates, faults)
        speaker = Speaker(spec, casts, Fragments(spec, faults), Wardrobe(spec, faults), faults)
        parameters = Parameters(faults, Pictures(spec.root, faults))
        found = []
        for cut in spec.cuts:
            standing = resolve(cut, casts, faults)
            takes = takes_of(standing, faults)
            labels = tuple(axis_labels(one.axis, files={"lora"}, faults=faults) for one in standing.axes)
            excepts = tuple(Pattern.parse(text.text) for scope in cut.scopes for text in scope.excepts)
            sieve = Sieve(standing, labels, takes, excepts, only, without)
            speech = {
                "model",
                "template",
                "wording",
                "cast",
                "lora",
                "negative",
                "outfit",
                "expression",
                *spec.slots,
            }
            varied = tuple(
                (word, index)
                for word, (index, _) in standing.columns.items()
                if word not in speech and "." not in word
            )
            spoken = standing.axes_of(word for word in standing.columns if word in speech or "." in word)
            found.append(
                Points(
                    standing,
                    takes,
                    labels,
                    sieve,
                    spec.plans.get(cut.path, CutPlans()),
                    heads,
                    speaker,
                    parameters,
                    spoken,
                    varied,
                )
            )
        return found


def _patterns(texts: Sequence[str], flag: str, faults: Faults) -> tuple[Pattern, ...]:
    return tuple(Pattern.parse(text) for text in texts)


def _blank(cuts: Sequence[Points]) -> dict[str, str]:
    words = {one.axis.words[0] for points in cuts for one in points.standing.axes}
    return dict.fromkeys((*sorted(words), *sorted(NAME_HOLES)), "")
