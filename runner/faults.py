"""Mistakes gathered while reading goes on, so that a person sees all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.errors import Problem, SpecError
from runner.text.tree import Mark


@dataclass(slots=True)
class Faults:
    """Problems and warnings found so far, each once, in the order found."""

    problems: dict[Problem, None] = field(default_factory=dict)
    warnings: dict[Problem, None] = field(default_factory=dict)
    noted: int = 0
    """How often a problem was noted, those already known counted again."""

    def at(self, mark: Mark, message: str) -> None:
        """Note *message* at *mark*."""
        self.add([mark.problem(message)])

    def add(self, problems: Iterable[Problem]) -> None:
        """Note *problems*."""
        for problem in problems:
            self.problems[problem] = None
            self.noted += 1

    def warn(self, problems: Iterable[Problem]) -> None:
        """Note *problems* as warnings."""
        self.warnings.update(dict.fromkeys(problems))

    def settle(self, order: Iterable[str] = ()) -> None:
        """Raise SpecError with everything found, by file in *order* (others as found), then by place."""
        if not self.problems:
            return
        files = dict.fromkeys((*order, *(problem.path for problem in self.problems)))
        rank = {path: index for index, path in enumerate(files)}
        raise SpecError(sorted(self.problems, key=lambda found: (rank[found.path], found.line, found.column)))
