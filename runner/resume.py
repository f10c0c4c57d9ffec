"""A run continued: what its journal says is done stays done, what is open is settled, the rest is rendered.

Only the run's own folder is read: the frozen spec, templates and inputs under `plan/`, and the journal.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from runner import __version__
from runner.collect import discard
from runner.comfy.credentials import spelled
from runner.domain import Template, Workflow
from runner.errors import RecordDamaged, SpecError, UsageError
from runner.expand import Expansion, expand
from runner.inputs import InputFile
from runner.manifest.export import output_paths
from runner.manifest.history import History
from runner.manifest.journal import Line
from runner.naming import Pattern
from runner.plan import Plan, plan_of
from runner.record import Recorder
from runner.relink import unshare
from runner.render import Catalog
from runner.rendered import Open, Rendered
from runner.reuse import Policy, Reuse
from runner.spec import load
from runner.story import Spec
from runner.summary import Before

_RECORD = re.compile(r"(journal|run|notes)\.json")
_PART = re.compile(r"\..*\.[0-9a-f]{8}\.part")


@dataclass(slots=True)
class Standing:
    """What a journal says of its run."""

    head: Mapping[str, Any] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    """Keys with files: made or reused."""
    reused: set[str] = field(default_factory=set)
    files: int = 0
    failed: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)
    """Key → number of its last attempt, for those not made."""
    deaths: dict[str, int] = field(default_factory=dict)
    """Key → server deaths while it ran."""
    open: dict[str, Line] = field(default_factory=dict)
    """prompt_id → intent without an end."""
    ended: bool = False
    """The last process left in good order."""


def standing(lines: Iterable[Line]) -> Standing:
    """Return what *lines* say; pure."""
    found = Standing()
    for line in lines:
        match line["t"]:
            case "run":
                found.head = line
            case "template":
                found.templates[line["name"]] = line["digest"]
            case "intent":
                found.open[line["id"]] = line
                found.attempts[line["key"]] = line["n"]
                found.failed.discard(line["key"])
            case "done" | "reused":
                found.open.pop(line["id"], None)
                found.made.add(line["key"])
                found.files += len(line["outputs"])
                if line["t"] == "reused":
                    found.reused.add(line["key"])
                found.attempts.pop(line["key"], None)
            case "failed":
                found.open.pop(line["id"], None)
                if line["code"] in ("SERVER_DIED", "QUARANTINED"):
                    found.deaths[line["key"]] = found.deaths.get(line["key"], 0) + 1
                if line["final"]:
                    found.failed.add(line["key"])
            case "cancelled":
                found.open.pop(line["id"], None)
            case "end" | "resumed":
                found.ended = line["t"] == "end"
            case _:
                pass
    return found


def reuse_of(state: Standing, runs: Path) -> Reuse:
    """Return what the run may take over from other runs, as it was told when it began."""
    force = state.head.get("force", {"all": False, "only": ()})
    patterns = tuple(Pattern.parse(text) for text in force["only"])
    return Reuse(History(runs), state.head["realm"], Policy(force=force["all"], force_only=patterns))


def continuable(run: str, state: Standing) -> None:
    """Raise UsageError when *run* is none that can be continued, with what to do instead."""
    if not state.head:
        raise UsageError(
            f"{run} was stopped before anything of it was recorded; there is nothing to continue",
            hint="run its spec again",
        )
    if replayed := state.head.get("replay_of"):
        raise UsageError(f"{run} is a replay; it is not resumed", hint=f"animerun replay {replayed}")


def sweep(folder: Path, lines: Sequence[Line], history: History | None = None) -> None:
    """Remove what a killed process downloaded and did not record; only for the holder of its journal.

    With *history* also what it had taken over from other runs, see `unshare`.
    """
    found = list(_files(folder))
    recorded = {folder / path for line in lines for path in output_paths(line)}
    for part in found:
        if _PART.fullmatch(part.name):
            discard(part, recorded)
    left = [
        path
        for path in found
        if path not in recorded and not _RECORD.match(path.relative_to(folder).as_posix())
    ]
    if left and history is not None:
        _unshare(folder, left, standing(lines), history)


def _unshare(folder: Path, left: Sequence[Path], state: Standing, history: History) -> None:
    """Remove what of *left* the run in *folder* had taken over from others, unless it ended in good order."""

    def names() -> set[str]:
        try:
            return {job.name for job in frozen_plan(folder, state).expansion}
        except (UsageError, SpecError, RecordDamaged):
            return set()  # What its jobs are called cannot be told any more: nothing is ours for certain.

    if not state.ended:
        unshare(folder, left, names=names, held=partial(history.others_hold, folder.name))


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file of a run but its frozen plan; links are not followed."""
    for parent, below, names in os.walk(folder):
        if Path(parent) == folder and "plan" in below:
            below.remove("plan")
        yield from (Path(parent, name) for name in names)


def frozen_plan(folder: Path, state: Standing, reuse: Reuse | None = None) -> Plan:
    """Return the plan of the run in *folder* as it was frozen; with *reuse*, what others made is left out.

    Raises RecordDamaged when it cannot be made again just so, UsageError when animerun's own templates have
    changed since: then the rest would not be what was planned.
    """
    if not state.head:
        # Its process died before the first thing it records, which is what run it is.
        raise UsageError(f"{folder.name} never began: nothing of it was submitted", hint="run its spec again")
    plan = folder / "plan"
    try:
        index = json.loads((plan / "index.json").read_text("utf-8"))
        name, files = str(index["spec"]), dict(index["inputs"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RecordDamaged(f"{plan / 'index.json'} cannot be read: {error}") from error
    scope = state.head["scope"]
    spec = load(plan / "files" / name, root=plan / "files", sets=scope["sets"])
    catalog = Catalog(plan)
    changed = [name for name, digest in state.templates.items() if catalog.load(name).digest != digest]
    if changed:
        raise UsageError(
            f"template {', '.join(changed)} is not what it was: animerun has changed since this run began",
            hint="start a new run of the spec; what is made will be reused where it is the same",
        )
    expansion = expand(spec, catalog, only=scope["only"], without=scope["without"], frozen=frozenset(files))
    inputs = {project: _input(plan, project, content) for project, content in files.items()}
    _refuse_renamed(spec, expansion, state)
    return plan_of(spec, catalog, expansion, reuse, inputs=inputs)


def _refuse_renamed(spec: Spec, expansion: Expansion, state: Standing) -> None:
    """Raise UsageError where jobs of the run have other keys now: labels that are not ASCII changed once."""
    recorded = state.made | state.failed | {line["key"] for line in state.open.values()}
    if not recorded or all((spec.root / file.path).read_bytes().isascii() for file in spec.files):
        return
    unknown = recorded - {job.key for job in expansion}
    if unknown:
        raise UsageError(
            f"{min(unknown)} has another key now: animerun has changed since this run began",
            hint="start a new run of the spec; what is made will be reused where it is the same",
        )


class _Taken:
    """The lines that a plan would record, as they come."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def append(self, line: Mapping[str, Any]) -> None:
        self._lines.append(dict(line))

    def commit(self) -> None:
        """Nothing of it goes to a disk."""

    def new(self) -> list[Line]:
        found, self._lines = self._lines, []
        return found


def retold(folder: Path, head: Line, templates: Mapping[str, str]) -> Iterator[Line]:
    """Yield what the run in *folder* records of its jobs, and what they refer to, from its frozen plan.

    Nothing where that can be told no more: the plan is damaged, another version of animerun wrote the run, or
    nothing says what a template was.
    """
    if head.get("animerun") != __version__ or "scope" not in head:
        return
    taken = _Taken()
    recorder = Recorder(taken, clock=lambda: 0.0)
    try:
        plan = frozen_plan(folder, Standing(head=head, templates=dict(templates)))
    except (UsageError, SpecError, RecordDamaged):
        return
    for each in plan.rendered():
        if each.job.template in templates:
            place = each.job.place.rpartition("/plan/files/")[2]
            recorder.job(replace(each.job, place=place), each.workflow, recipe=each.recipe)
            yield from taken.new()


def _input(plan: Path, project: str, name: str) -> InputFile:
    path = plan / "inputs" / name
    try:
        size = path.stat().st_size
    except OSError as error:
        raise RecordDamaged(f"{path} is not there: {error.strerror}") from error
    return InputFile(name=name, project=project, path=path, size=size)


class Remainder:
    """What is left of a run. *only_on*: nothing is started, only what is open on these servers is settled."""

    def __init__(
        self,
        plan: Plan,
        state: Standing,
        *,
        retry_failed: bool = False,
        only_on: Collection[str] | None = None,
    ) -> None:
        self._plan = plan
        self._state = state
        self._skip: Collection[str] = state.made if retry_failed else state.made | state.failed
        self._only_on = only_on
        self._open = {
            prompt_id: line
            for prompt_id, line in state.open.items()
            if only_on is None or spelled(line["server"], only_on) in only_on
        }
        self._open_keys = {line["key"] for line in self._open.values()}

    def spell(self, servers: Collection[str]) -> None:
        """Name the servers of open attempts as *servers* do: one server may have been spelled otherwise."""
        self._open = {
            prompt_id: {**line, "server": spelled(line["server"], servers)}
            for prompt_id, line in self._open.items()
        }

    @property
    def total(self) -> int:
        """Jobs of the whole run."""
        return self._plan.total

    @property
    def waiting(self) -> int:
        """Jobs that wait for a pick."""
        return self._plan.waiting

    @property
    def before(self) -> Before:
        """What is settled already; a failed job that is tried again is not."""
        state = self._state
        return Before(
            succeeded=len(state.made - state.reused),
            reused=len(state.reused),
            failed=len((state.failed - state.made) & set(self._skip)),
            files=state.files,
        )

    @property
    def model_files(self) -> frozenset[tuple[str, str]]:
        """(folder, name) of every model file the jobs name."""
        return self._plan.model_files

    @property
    def templates(self) -> Mapping[str, Template]:
        """Name → template of what is asked of the servers."""
        return self._plan.templates

    @property
    def samples(self) -> tuple[Rendered, ...]:
        """What is asked of the servers."""
        return self._plan.samples if self._only_on is None else ()

    def rendered(self) -> Iterator[Rendered]:
        """Yield the jobs to start, each with the number of its next attempt; waiting ones were recorded."""
        if self._only_on is not None:
            return
        for each in self._plan.rendered():
            key = each.job.key
            if each.job.waits or key in self._skip or key in self._open_keys:
                continue
            yield each if each.made else self._numbered(each, self._state.attempts.get(key, 0) + 1)

    def open(self) -> tuple[Open, ...]:
        """Return the open attempts with their jobs, in listing order."""
        if not self._open_keys:
            return ()
        jobs = self._begun(self._plan)
        if any(each.made for each in jobs.values()):
            # Another run has made one meanwhile; what is open here comes to its end all the same.
            jobs = self._begun(replace(self._plan, reuse=None))
        return tuple(
            Open(
                self._numbered(jobs[line["key"]], line["n"]),
                prompt_id,
                line["server"],
                line["prefix"],
                line["at"],
            )
            for prompt_id, line in self._open.items()
            if line["key"] in jobs
        )

    def _begun(self, plan: Plan) -> dict[str, Rendered]:
        return {each.job.key: each for each in plan.rendered() if each.job.key in self._open_keys}

    def _numbered(self, each: Rendered, number: int) -> Rendered:
        """Return it with what earlier processes have to say of its next attempt."""
        assert each.ticket is not None, "a waiting job is never started"
        deaths = self._state.deaths.get(each.job.key, 0)
        return replace(each, ticket=replace(each.ticket, number=number, deaths=deaths))

    def files_of(self, workflow: Workflow) -> dict[str, Path]:
        """Return content name → local file for the inputs of *workflow*."""
        return self._plan.files_of(workflow)
