"""The plan pass: everything that can be known before the first submission.

Every job is expanded, named, rendered and checked here, one after the other and without keeping it, so that
a mistake in the last of a million jobs is found at once. What is kept is small: counts, inputs by hash, and
the distinct demands the workflows make on a server.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from runner.domain import Job, Template, Workflow
from runner.errors import Problem, SpecError, TemplateError
from runner.expand import Expansion, expand
from runner.inputs import InputFile, input_file
from runner.render import Catalog, render
from runner.rendered import Demands, Rendered, ticket_of
from runner.reuse import Answer, Question, Reuse
from runner.spec import load
from runner.story import Spec
from runner.summary import Before
from runner.variants import Variants

MAX_PROBLEMS = 20
"""Distinct mistakes shown of one plan; a wrong template would say the same for every job."""

CHUNK = 8_192
"""Jobs asked about at once."""

_KEYS_SHOWN = 3
SEEDS_TOLD = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CutCount:
    """How many jobs of one cut were planned, and with which templates and models."""

    scene: str
    cut: str
    title: str
    jobs: int
    waiting: int
    reused: int = 0
    templates: tuple[str, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...] = ()
    """The first of its seeds, each once, at most `SEEDS_TOLD` and one more for those beyond."""
    waits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be run. `rendered()` walks the jobs again, in listing order, in constant memory."""

    spec: Spec
    root: Path
    expansion: Expansion
    catalog: Catalog
    inputs: Mapping[str, InputFile]
    """Project path → file."""
    total: int
    """Jobs in scope: made plus waiting."""
    waiting: int
    cuts: tuple[CutCount, ...]
    templates: Mapping[str, Template]
    reuse: Reuse | None
    reused: int
    """Jobs that are up to date."""
    makers: frozenset[str]
    """The runs whose files are reused."""
    done_by: str
    """The run that made all of them, when there is nothing to do and one run holds everything."""
    reasons: Mapping[str, tuple[int, tuple[str, ...]]]
    """Reason → how many jobs are rendered for it, and the keys of the first few."""
    model_files: frozenset[tuple[str, str]]
    """(folder, name) of every model file the jobs name."""
    samples: tuple[Rendered, ...]
    """One job for every distinct demand on a server, see `Demands`."""
    warnings: tuple[Problem, ...]
    later: tuple[str, ...]
    """What the spec asks for that is checked but not acted upon yet."""

    def rendered(self) -> Iterator[Rendered]:
        """Yield every job in scope, rendered; cannot fail on a user's mistake any more."""
        variants = Variants(self.catalog, self.inputs)
        for jobs in _chunks(self.expansion):
            asked = [variants.question(*each) for each in zip(jobs, variants.of(jobs), strict=True)]
            for question, answer in zip(asked, _answered(asked, self.reuse), strict=True):
                yield _rendered(question, answer)

    @property
    def before(self) -> Before:
        """Nothing of a plan has been made by its own run."""
        return Before()

    def open(self) -> tuple[()]:
        """Nothing of a plan has been started."""
        return ()

    @property
    def to_run(self) -> int:
        """Jobs that will be rendered."""
        return self.total - self.waiting - self.reused

    def files_of(self, workflow: Workflow) -> dict[str, Path]:
        """Return content name → local file for the inputs of *workflow*."""
        by_name = {file.name: file.path for file in self.inputs.values()}
        return {name: by_name[name] for name in workflow.inputs}


def make_plan(
    path: Path,
    *,
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    max_jobs: int = 1_000_000,
    reuse: Reuse | None = None,
) -> Plan:
    """Return the plan of the spec at *path*; raises SpecError with everything that is wrong.

    Without *reuse* every job is rendered.
    """
    spec = load(path, sets=sets)
    catalog = Catalog(spec.root)
    expansion = expand(spec, catalog, max_jobs=max_jobs, only=only, without=without)
    return plan_of(spec, catalog, expansion, reuse)


def plan_of(
    spec: Spec,
    catalog: Catalog,
    expansion: Expansion,
    reuse: Reuse | None,
    *,
    inputs: Mapping[str, InputFile] | None = None,
) -> Plan:
    """Return the plan of what was expanded; raises SpecError with everything that is wrong.

    *inputs* are files already found (project path → file); others are looked for in the project folder.
    """
    survey = _Survey(catalog, spec.root, reuse)
    survey.inputs |= inputs or {}
    with _few_collections():
        for jobs in _chunks(expansion):
            survey.see(jobs)
    if survey.problems:
        raise SpecError(survey.problems)
    return Plan(
        spec=spec,
        root=spec.root,
        expansion=expansion,
        catalog=catalog,
        inputs=survey.inputs,
        total=survey.total,
        waiting=survey.waiting,
        cuts=survey.counted(),
        templates={name: catalog.load(name) for name in sorted(survey.used)},
        reuse=reuse,
        reused=survey.reused,
        makers=frozenset(survey.makers),
        done_by=survey.done_by(whole=expansion.selected == expansion.count),
        reasons=survey.reasons,
        model_files=frozenset(survey.model_files),
        samples=tuple(survey.demands.samples),
        warnings=(*expansion.warnings, *survey.warnings),
        later=expansion.later,
    )


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for cycles seldom: thousands of jobs have none, and the search took a quarter of the time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _chunks(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Yield the jobs some thousand at a time, so that questions to the record are asked in bulk."""
    rest = iter(jobs)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _answered(questions: Sequence[Question], reuse: Reuse | None) -> list[Answer]:
    """Return what is to be done for each job; a waiting one is never asked about."""
    if reuse is None:
        return [Answer(question.recipe, None, "") for question in questions]
    ready = [question for question in questions if not question.job.waits]
    found = iter(reuse.answers(ready, _workflow))
    return [Answer(q.recipe, None, "") if q.job.waits else next(found) for q in questions]


def _workflow(question: Question) -> Workflow:
    return render(question.template, question.job.values, files=question.files)


def _rendered(question: Question, answer: Answer) -> Rendered:
    job = question.job
    if job.waits:
        return Rendered(job, None, answer.recipe, None)
    workflow = answer.workflow or _workflow(question)
    if answer.made is not None:
        return Rendered(job, workflow, answer.recipe, None, answer.reason, answer.made)
    return Rendered(job, workflow, answer.recipe, ticket_of(job, workflow), answer.reason)


class _Survey:
    """Looks at every job once and keeps only what a plan needs."""

    def __init__(self, catalog: Catalog, root: Path, reuse: Reuse | None) -> None:
        self._root = root
        self._reuse = reuse
        self.inputs: dict[str, InputFile] = {}
        self._variants = Variants(catalog, self.inputs)
        self.problems: list[Problem] = []
        self.demands = Demands()
        self.used: set[str] = set()
        self.total = self.waiting = self.reused = 0
        self.reasons: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.model_files: set[tuple[str, str]] = set()
        self.makers: set[str] = set()
        self._renamed = False
        self._missing: set[str] = set()
        self._cuts: dict[tuple[str, str], _Counting] = {}
        self._cut: tuple[str, str] = ("", "")
        self._digests: dict[str, Question] = {}
        self._equal: list[Problem] = []

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Return a warning for the first two jobs whose files are equal: a copy, or a frame that is held."""
        return tuple(self._equal[:1])

    def see(self, jobs: Sequence[Job]) -> None:
        """Find out what each of *jobs* needs, what is wrong with it, and whether it is up to date."""
        variants = self._variants.of(jobs)
        for job, variant in zip(jobs, variants, strict=True):
            for path in variant.inputs:
                self._input(path, job)
        if self._missing or len(self.problems) >= MAX_PROBLEMS:
            return
        try:
            questions = [self._variants.question(*each) for each in zip(jobs, variants, strict=True)]
            answers = _answered(questions, self._reuse)
        except TemplateError as error:
            self._add(*error.problems)
            return
        for variant in dict.fromkeys(variants):
            self.model_files.update(variant.models)
        for question, answer in zip(questions, answers, strict=True):
            self._see(question, answer)

    def _see(self, question: Question, answer: Answer) -> None:
        job = question.job
        self.total += 1
        self.waiting += bool(job.waits)
        self.reused += answer.made is not None
        self.used.add(job.template)
        self._count(job, reused=answer.made is not None)
        if answer.made is not None:
            self.makers.add(answer.made.run)
            self._renamed |= (answer.made.key, answer.made.name) != (job.key, job.name)
            return
        if len(self.problems) >= MAX_PROBLEMS:
            return
        try:
            rendered = _rendered(question, answer)
        except TemplateError as error:
            self._add(*error.problems)
            return
        if rendered.workflow is not None:
            self.demands.see(rendered)
            self._same_picture(question, rendered.workflow)
            number, keys = self.reasons.get(answer.reason, (0, ()))
            self.reasons[answer.reason] = (number + 1, keys if number >= _KEYS_SHOWN else (*keys, job.key))

    def done_by(self, *, whole: bool) -> str:
        """Return the run that holds everything under its present names, empty when none does.

        Of a *whole* spec it must hold nothing else: a scene that was taken out leaves its pictures behind.
        """
        alone = len(self.makers) == 1 and self.reused + self.waiting == self.total and not self._renamed
        if not alone or self._reuse is None:
            return ""
        run = next(iter(self.makers))
        return "" if whole and self._reuse.history.jobs_of(run) != self.total else run

    def counted(self) -> tuple[CutCount, ...]:
        """Return the counts per cut, in listing order."""
        return tuple(counting.told() for counting in self._cuts.values())

    def _count(self, job: Job, *, reused: bool) -> None:
        where = (job.scene, job.cut)
        if where != self._cut:
            self._cut = where
            self._digests = {}
        counting = self._cuts.get(where)
        if counting is None:
            counting = self._cuts[where] = _Counting(job)
        counting.see(job, reused=reused)

    def _same_picture(self, question: Question, workflow: Workflow) -> None:
        """Refuse a job with the picture of an earlier one, unless it is made from another file."""
        first = self._digests.setdefault(workflow.digest, question)
        if first is question:
            return
        one, other = first.job.key, question.job.key
        if first.recipe == question.recipe and first.files.keys() != question.files.keys():
            message = f"{one} and {other} are made from files of equal content; each is rendered"
            self._equal.append(_at(question.job, message))
            return
        what = f"what differs is not used by template {question.job.template}"
        self._add(_at(question.job, f"{one} and {other} are the same picture: {what}"))

    def _input(self, path: str, job: Job) -> None:
        if path in self.inputs or path in self._missing:
            return
        found = input_file(self._root, path)
        if isinstance(found, InputFile):
            self.inputs[path] = found
        else:
            self._missing.add(path)
            self._add(_at(job, found))

    def _add(self, *problems: Problem) -> None:
        self.problems += [problem for problem in problems if problem not in self.problems]


@dataclass(slots=True)
class _Counting:
    """A CutCount that is still being counted."""

    first: Job
    jobs: int = 0
    waiting: int = 0
    reused: int = 0
    templates: dict[str, None] = field(default_factory=dict)
    models: dict[str, None] = field(default_factory=dict)
    seeds: dict[int, None] = field(default_factory=dict)
    waits: str = ""

    def see(self, job: Job, *, reused: bool) -> None:
        self.jobs += 1
        self.waiting += bool(job.waits)
        self.reused += reused
        self.templates[job.template] = None
        if len(self.seeds) <= SEEDS_TOLD:
            self.seeds[job.seed] = None
        if job.model:
            self.models[job.model] = None
        self.waits = job.waits or self.waits

    def told(self) -> CutCount:
        return CutCount(
            scene=self.first.scene,
            cut=self.first.cut,
            title=self.first.title,
            jobs=self.jobs,
            waiting=self.waiting,
            reused=self.reused,
            templates=tuple(self.templates),
            models=tuple(self.models),
            seeds=tuple(self.seeds),
            waits=self.waits,
        )


def _at(job: Job, message: str) -> Problem:
    path, _, line = job.place.rpartition(":")
    return Problem(message=message, path=path or job.place, line=int(line) if line.isdigit() else 0)


def frozen(plan: Plan) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of everything the jobs were made from: specs, templates, inputs."""
    index: dict[str, Any] = {"spec": plan.spec.files[0].path, "files": {}, "templates": {}, "inputs": {}}
    for file in plan.spec.files:
        content = (plan.root / file.path).read_bytes()
        name = f"files/{file.path}"
        index["files"][file.path] = {"sha256": hashlib.sha256(content).hexdigest(), "kept": name}
        yield name, content
    sources = {name: source for name, source, _ in plan.catalog.sources()}
    for template in plan.templates.values():
        index["templates"][template.name] = {"digest": template.digest}
        yield f"templates/{template.name}.json.j2", sources[template.name].read_bytes()
    if (macros := plan.root / "templates" / "nodes.j2").is_file():
        yield "templates/nodes.j2", macros.read_bytes()
    for used in plan.inputs.values():
        index["inputs"][used.project] = used.name
        yield f"inputs/{used.name}", used.path.read_bytes()
    yield "index.json", json.dumps(index, ensure_ascii=False, indent=1).encode()


def edited(plan: Plan) -> tuple[str, ...]:
    """Return the files that are no longer what *plan* was made from: specs, then templates, then inputs."""
    specs = (file.path for file in plan.spec.files if _sum(plan.root / file.path) != file.sha256)
    inputs = (each.project for each in plan.inputs.values() if _sum(each.path) != each.name.partition(".")[0])
    return (*specs, *plan.catalog.changed(), *inputs)


def _sum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
