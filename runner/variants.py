"""What the takes of a variant share is worked out once: its files, its model files, most of its recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import is_not
from typing import Protocol

from runner.domain import Job, Plain, Template, Templates
from runner.model_files import ModelFiles, model_files
from runner.render import recipe_by_seed
from runner.reuse import Question


class File(Protocol):
    """A file of the project."""

    @property
    def name(self) -> str:
        """`<sha256>.<ext>`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """What jobs that differ in their seed alone share."""

    template: Template
    values: Mapping[str, Plain]
    names: tuple[str, ...]
    inputs: tuple[str, ...]
    """Project paths of the files used."""
    models: ModelFiles
    seeds: tuple[str, ...]


class Variants:
    """Works out what a variant's takes share once; it remembers the last variant, for takes come in a row."""

    def __init__(self, templates: Templates, inputs: Mapping[str, File]) -> None:
        self._templates = templates
        self._inputs = inputs
        self._last: Variant | None = None
        self._of: Variant | None = None
        self._files: Mapping[str, str] = {}
        self._recipe: Callable[[int], str] = str

    def of(self, jobs: Sequence[Job]) -> list[Variant]:
        """Return the variant of each of *jobs*."""
        found, last = [], self._last
        for job in jobs:
            if last is None or last.template.name != job.template or not _same(last, job.values):
                last = self._new(job)
            found.append(last)
        self._last = last
        return found

    def question(self, job: Job, variant: Variant) -> Question:
        """Return *job* with its recipe; the files of its variant must be known by now."""
        if variant is not self._of:
            self._files = {path: self._inputs[path].name for path in variant.inputs}
            values = {name: _unpicked(value) for name, value in job.values.items()}
            sources = {path: path for path in _sources(values)}
            self._recipe = recipe_by_seed(variant.template, values, {**self._files, **sources})
            self._of = variant
        return Question(job, self._recipe(job.seed), variant.template, self._files)

    def _new(self, job: Job) -> Variant:
        template = self._templates.load(job.template)
        return Variant(
            template=template,
            values=job.values,
            names=tuple(job.values),
            inputs=tuple(path for value in job.values.values() for path in file_paths(value)),
            models=model_files(template, job),
            seeds=tuple(name for name, each in template.parameters.items() if each.type == "seed"),
        )


def _same(variant: Variant, values: Mapping[str, Plain]) -> bool:
    """Whether *values* are the very objects of *variant*, seeds left out."""
    before = variant.values
    if tuple(values) != variant.names:
        return False
    differ = sum(map(is_not, values.values(), before.values()))
    return differ == sum(values[name] is not before[name] for name in variant.seeds)


def _unpicked(value: Plain) -> Plain:
    """Return *value*; of a picture that is not picked yet its source is the identity."""
    if isinstance(value, dict) and value.keys() == {"$from"}:
        return {"$file": f"from {value['$from']}"}
    return value


def _sources(values: Mapping[str, Plain]) -> Iterator[str]:
    for value in values.values():
        yield from (path for path in file_paths(value) if path.startswith("from "))


def file_paths(value: Plain) -> Iterator[str]:
    """Yield every project path that stands as {"$file": path} in a job's value."""
    if isinstance(value, dict):
        if set(value) == {"$file"}:
            yield value["$file"]
            return
        for each in value.values():
            yield from file_paths(each)
    elif isinstance(value, list):
        for each in value:
            yield from file_paths(each)
