"""Cuts made ready to be walked: words resolved, takes counted, values labelled, patterns compiled."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from runner.domain import Template, Templates
from runner.errors import Problem, SpecError
from runner.expand.cast import Casts
from runner.expand.fragments import Fragments
from runner.expand.heads import Heads, settable
from runner.expand.labels import axis_labels
from runner.expand.parameters import Parameters, first_picture
from runner.expand.pictures import Pictures
from runner.expand.points import Points
from runner.expand.sieve import Sieve
from runner.expand.speech import Speaker
from runner.expand.standing import Standing, resolve
from runner.expand.takes import Takes, takes_of
from runner.expand.upstream import Picks
from runner.expand.wardrobe import Wardrobe
from runner.faults import Faults
from runner.naming import Pattern
from runner.story import Cut, CutPlans, Spec
from runner.text.tree import Scalar
from runner.values import parse_fps, parse_storyboard_length

_FILES = frozenset({"file", "files", "image", "video", "audio", "images"})
_FACTORS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Patterns from the command line."""

    only: tuple[Pattern, ...] = ()
    without: tuple[Pattern, ...] = ()


@dataclass(slots=True)
class Stage:
    """Everything that the cuts of one spec share while they are walked."""

    spec: Spec
    faults: Faults
    heads: Heads
    casts: Casts
    speaker: Speaker
    parameters: Parameters
    picks: Picks

    @classmethod
    def of(
        cls, spec: Spec, templates: Templates, faults: Faults, frozen: Collection[str] | None = None
    ) -> Stage:
        """Return the stage of *spec*; *frozen* as `expand` takes it."""
        casts = Casts(spec, faults)
        return cls(
            spec=spec,
            faults=faults,
            heads=Heads(spec, templates, faults),
            casts=casts,
            speaker=Speaker(spec, casts, Fragments(spec, faults), Wardrobe(spec, faults), faults),
            parameters=Parameters(faults, Pictures(spec.root, faults, frozen)),
            picks=Picks(faults),
        )

    def cuts(self, choice: Choice, *, max_jobs: int) -> list[Points]:
        """Return the cuts ready to be walked; raises SpecError when there would be more than *max_jobs*."""
        counted = [self._counted(cut) for cut in self.spec.cuts]
        refuse_product([(standing, takes) for standing, takes, _ in counted], max_jobs=max_jobs)
        return [self._points(standing, takes, choice, broken=broken) for standing, takes, broken in counted]

    def _counted(self, cut: Cut) -> tuple[Standing, Takes, bool]:
        """Return what stands in *cut*, its takes, and whether a mistake was noted on the way."""
        before = self.faults.noted
        standing = resolve(cut, self.casts, self.faults)
        return standing, takes_of(standing, self.faults), self.faults.noted > before

    def _points(self, standing: Standing, takes: Takes, choice: Choice, *, broken: bool) -> Points:
        before = self.faults.noted
        cut = standing.cut
        templates = self.heads.templates_of(standing)
        self._check_length(standing)
        plans = self.spec.plans.get(cut.path, CutPlans())
        self._check_upstream(standing, plans, templates)
        labels = tuple(
            axis_labels(one.axis, files=_file_words(templates), faults=self.faults) for one in standing.axes
        )
        sieve = Sieve(standing, labels, takes, self._excepts(standing), choice.only, choice.without)
        self.picks.sieves[cut.path] = sieve
        plain = self._plain_words(standing, templates)
        return Points(
            standing,
            takes,
            labels,
            sieve,
            plans,
            self.heads,
            self.speaker,
            self.parameters,
            templates,
            self.picks,
            spoken_axes=standing.axes_of(word for word in standing.columns if word not in plain),
            varied=tuple((word, standing.columns[word][0]) for word in plain),
            broken=broken or self.faults.noted > before,
        )

    def _plain_words(self, standing: Standing, templates: Sequence[Template]) -> tuple[str, ...]:
        """Return the varied words that are nothing but a parameter."""
        parameters = {name for template in templates for name in settable(template)}
        composed = {
            name
            for template in templates
            for name, parameter in template.parameters.items()
            if parameter.wording is not None
        }
        speech = {*self.spec.slots, *composed}
        return tuple(word for word in standing.columns if word in parameters and word not in speech)

    def _excepts(self, standing: Standing) -> tuple[Pattern, ...]:
        found = (self.pattern(text) for scope in standing.cut.scopes for text in scope.excepts)
        return tuple(pattern for pattern in found if pattern)

    def pattern(self, text: Scalar) -> Pattern | None:
        """Return the pattern that *text* writes; None after noting why it is none."""
        try:
            return Pattern.parse(text.text)
        except ValueError as error:
            self.faults.at(text.mark, str(error))
            return None

    def _check_upstream(self, standing: Standing, plans: CutPlans, templates: Sequence[Template]) -> None:
        """Note a picture that both `from` and a word as near fill."""
        upstream, source = plans.upstream.get(""), standing.fixed.get("from")
        if upstream is None or source is None:
            return
        for name in dict.fromkeys(first_picture(template) for template in templates):
            other = standing.nearness(name)
            if other is not None and other >= source[0].nearness:
                self.faults.at(upstream.mark, f"`{name}` is filled `from` a cut and set here; keep one")

    def _check_length(self, standing: Standing) -> None:
        """Note a `length` or `fps` that cannot be read, also where no parameter takes it."""
        fps: str | None = None
        for node in standing.nodes("fps"):
            fps = node.text if isinstance(node, Scalar) else ""
            try:
                parse_fps(fps)
            except ValueError as error:
                self.faults.at(node.mark, f"`fps: {fps}`: {error}")
                return
        for node in standing.nodes("length"):
            text = node.text if isinstance(node, Scalar) else ""
            if isinstance(node, Scalar) and node.is_null:
                continue
            try:
                parse_storyboard_length(text, fps)
            except ValueError as error:
                self.faults.at(node.mark, f"`length: {text}`: {error}")


def refuse_product(counted: Sequence[tuple[Standing, Takes]], *, max_jobs: int) -> None:
    """Raise SpecError, its factors named, when the product of axes and takes is above *max_jobs*."""
    sizes = [prod(map(len, standing.axes)) * takes.count for standing, takes in counted]
    total = sum(sizes)
    if total <= max_jobs:
        return
    largest = sorted(range(len(sizes)), key=lambda index: -sizes[index])[:_FACTORS_SHOWN]
    factors = "; ".join(_factors(*counted[index], sizes[index]) for index in largest)
    mark = counted[largest[0]][0].cut.mark
    message = f"this makes {total:,} jobs, more than --max-jobs {max_jobs:,}: {factors}"
    raise SpecError([mark.problem(message)])


def _factors(standing: Standing, takes: Takes, size: int) -> str:
    factors = [f"{len(one)} {'+'.join(one.axis.words)}" for one in standing.axes]
    factors.append(f"{takes.count:,} {'seeds' if takes.word == 'seed' else 'takes'}")
    return f"{standing.cut.path} has {size:,} ({' × '.join(factors)})"


def _file_words(templates: Sequence[Template]) -> frozenset[str]:
    """Return the words whose values are files: their labels leave folder and extension out."""
    return frozenset(
        {
            "lora",
            *(
                name
                for template in templates
                for name, parameter in template.parameters.items()
                if parameter.type in _FILES
            ),
        }
    )


def patterns_of(texts: Sequence[str], flag: str, faults: Faults) -> tuple[Pattern, ...]:
    """Return the patterns behind *flag*, notes those that are none."""
    return tuple(_parsed(texts, flag, faults))


def _parsed(texts: Sequence[str], flag: str, faults: Faults) -> Iterator[Pattern]:
    for text in texts:
        try:
            yield Pattern.parse(text)
        except ValueError as error:
            faults.add([Problem(message=f"{flag} {error}", path="")])
