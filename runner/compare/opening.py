"""Opening a side: a run of the manifest, a run's folder, an exported file, or the plan of a spec."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from runner.diff.model import Side
from runner.errors import UsageError
from runner.manifest.compare_rows import Letter, Sides, Source
from runner.manifest.intake import import_run
from runner.manifest.journal import Journal
from runner.manifest.store import JOURNAL, Manifest
from runner.plan import make_plan
from runner.record import Recorder
from runner.spec import name_in_project


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One side as it is asked for."""

    name: str
    """What the person wrote."""
    kind: Literal["run", "folder", "file", "plan"]
    run: str = ""
    """Kind `run`: its id in the manifest."""
    path: Path = Path()
    """The run's folder, the exported file, or the spec."""
    sets: tuple[str, ...] = ()
    """Kind `plan`: words set for all cuts."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A side that can be read."""

    source: Source
    folder: Path | None


def opened(asked: Asked, stack: ExitStack) -> Opened:
    """Return *asked*, ready to be read; what had to be written for that goes with *stack*."""
    match asked.kind:
        case "run":
            return Opened(Source(run=asked.run), asked.path)
        case "folder":
            return Opened(Source(folder=asked.path), asked.path)
        case "file":
            folder = _unpacked(asked.path, stack)
            return Opened(Source(folder=folder), folder)
        case "plan":
            return Opened(Source(folder=_planned(asked, stack), planned=True), None)


def _unpacked(path: Path, stack: ExitStack) -> Path:
    """Return the folder of the run in the exported file *path*; it goes with *stack*."""
    target = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="animerun-")))
    return target / import_run(path, target).run


def _planned(asked: Asked, stack: ExitStack) -> Path:
    """Write what would be recorded of every job of a spec into a folder that goes with *stack*."""
    plan = make_plan(asked.path, sets=asked.sets)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="animerun-"))) / "plan"
    folder.mkdir()
    journal = Journal.create(folder / JOURNAL, run="plan")
    try:
        recorder = Recorder(journal, clock=lambda: 0.0)
        recorder.head(
            uuid="", spec=name_in_project(asked.path), episode=plan.spec.episode, title=plan.spec.title,
            realm="", animerun="", total=plan.total, waiting=plan.waiting, scope={},
        )  # fmt: skip
        for file in plan.inputs.values():
            recorder.input(name=file.name, path=file.project, size=file.size)
        for name, template in plan.templates.items():
            recorder.template(name=name, digest=template.digest)
        for number, rendered in enumerate(plan.rendered()):
            recorder.job(rendered.job, rendered.workflow, recipe=rendered.recipe)
            if number % 10_000 == 0:
                recorder.commit()
    finally:
        journal.close()
    return folder


def side_of(sides: Sides, letter: Letter, asked: Asked, found: Opened) -> Side:
    """Return what is known of side *letter* as a whole; raises UsageError when nothing is."""
    rows = sides.ask("head", side=letter)
    if not rows:
        raise UsageError(f"{asked.name} has recorded nothing", hint="animerun list")
    [row] = rows
    scope = json.loads(row["scope"])
    plan = asked.kind == "plan"
    return Side(
        name=asked.name,
        run=str(asked.path) if plan else (asked.run or str(found.folder and found.folder.name)),
        kind="plan" if plan else "run",
        folder="" if found.folder is None else str(found.folder),
        spec=row["spec"],
        episode=row["episode"],
        realm=row["realm"],
        started="" if plan else _iso(row["started"]),
        exit_code=row["exit_code"],
        jobs=row["total"],
        recorded=row["recorded"],
        **{name: tuple(scope.get(name, ())) for name in ("only", "without", "sets")},
    )


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds") + "Z"


def head_of(asked: Asked, *, runs: Path) -> Side:
    """Return what is known of one side as a whole, without comparing anything."""
    with ExitStack() as stack:
        found = opened(asked, stack)
        manifest = stack.enter_context(Manifest(runs))
        for each in manifest.left_out:
            if each.run == asked.run:
                raise each.error
        return side_of(Sides(manifest, found.source, found.source), "a", asked, found)
