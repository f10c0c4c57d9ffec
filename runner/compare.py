"""Two sides → what differs: opens runs, folders, exported files, plans; asks; grades.

What is found out is put together by `runner.diff`; nothing here prints.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from runner.diff.causes import Grouping, Variant, node_changes, read_words, word_changes
from runner.diff.model import (
    Change,
    Counts,
    Drift,
    Group,
    Look,
    Picture,
    RunDiff,
    Side,
    Slower,
    Times,
)
from runner.diff.remarks import remarks
from runner.errors import UsageError
from runner.likeness import grade
from runner.manifest.compare_rows import DuckError, Letter, Sides, Source
from runner.manifest.journal import Journal
from runner.manifest.shapes import unpack
from runner.manifest.store import JOURNAL, Manifest
from runner.naming import Pattern
from runner.plan import make_plan
from runner.record import Recorder

GRADED = 200
"""Differing pictures that are looked at unless more are asked for."""

_PAIRS = 20_000
_UNEXPLAINED = 1_000
_SLOWEST = 5


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


@dataclass(frozen=True, slots=True)
class _Opened:
    source: Source
    folder: Path | None


class Comparison:
    """Two sides, compared. `diff` is the result; the rest is asked for line by line while it is open."""

    def __init__(self, a: Asked, b: Asked, *, runs: Path, pictures: int | None = GRADED) -> None:
        """Compare *a* with *b*; at most *pictures* differing pictures are graded, None = all.

        Raises SpecError for a plan, UsageError for a file that is no exported run, RecordDamaged for a
        damaged journal.
        """
        self._stack = ExitStack()
        try:
            self._opened = tuple(_open(each, self._stack) for each in (a, b))
            manifest = self._stack.enter_context(Manifest(runs))
            try:
                self.diff = self._compare(manifest, a, b, pictures)
            except DuckError as error:
                # A damaged page of the published file shows when it is read.
                manifest.heal(error)
                self.diff = self._compare(manifest, a, b, pictures)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Comparison:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def jobs(self) -> Iterator[dict[str, Any]]:
        """Yield every job that differs, in listing order: key, on which sides, and in what."""
        yield from self._sides.each("each")

    def outputs(self) -> Iterator[dict[str, Any]]:
        """Yield every output that differs, with its paths on both sides and its grade."""
        yield from self._sides.each("odd_outputs")

    def cases(self) -> Iterator[dict[str, Any]]:
        """Yield every job of side b with its state, fault and seconds, in listing order."""
        yield from self._sides.each("cases")

    def gone(self) -> Iterator[dict[str, Any]]:
        """Yield every job that side a has made and side b does not have."""
        yield from self._sides.each("cases_gone")

    def missing(self) -> tuple[int, tuple[str, ...]]:
        """Return how many jobs side a has made and side b neither made nor failed, and the first keys."""
        [row] = self._sides.ask("missing")
        return row["jobs"], tuple(row["keys"] or ())

    def states(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return state → how many jobs of side b are in it, and the first keys."""
        found = self._sides.ask("state_counts", side="b")
        return {row["state"]: (row["jobs"], tuple(row["keys"])) for row in found if row["state"]}

    # -- the comparison --------------------------------------------------------------------------------

    def _compare(self, manifest: Manifest, a: Asked, b: Asked, pictures: int | None) -> RunDiff:
        first, second = self._opened
        self._sides = Sides(manifest, first.source, second.source)
        left, right = _side(self._sides, "a", a, first), _side(self._sides, "b", b, second)
        for name in ("painted", "odd"):
            self._sides.run(name)
        _leave_out(self._sides, left, right)
        changed = tuple(_changed(self._sides))
        looked = _graded(self._sides, left, right, pictures)
        counts = _counts(self._sides)
        found = RunDiff(
            a=left,
            b=right,
            counts=counts,
            groups=(*_lone(self._sides), *changed, *_moved(self._sides), *_looks(self._sides)),
            environment=tuple(_environment(self._sides, left, right)),
            times=_times(self._sides),
            pictures=looked,
        )
        return replace(found, remarks=(*manifest.damaged, *remarks(found)))


# -- opening -----------------------------------------------------------------------------------------------


def _open(asked: Asked, stack: ExitStack) -> _Opened:
    match asked.kind:
        case "run":
            return _Opened(Source(run=asked.run), asked.path)
        case "folder":
            return _Opened(Source(folder=asked.path), asked.path)
        case "file":
            folder = _unpacked(asked.path, stack)
            return _Opened(Source(folder=folder), folder)
        case "plan":
            return _Opened(Source(folder=_planned(asked.path, stack), planned=True), None)


def _unpacked(path: Path, stack: ExitStack) -> Path:
    """Return the folder of the run in the exported file *path*."""
    target = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="animerun-")))
    try:
        with tarfile.open(path) as tar:
            tar.extractall(target, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(
            f"{path} is no exported run: {error}", hint="animerun export RUN makes one"
        ) from error
    found = [each for each in sorted(target.iterdir()) if (each / JOURNAL).is_file()]
    if len(found) != 1:
        raise UsageError(f"{path} is no exported run: it holds {len(found)} runs instead of one")
    return found[0]


def _planned(spec: Path, stack: ExitStack) -> Path:
    """Write what would be recorded of every job of *spec* into a folder that goes with *stack*."""
    plan = make_plan(spec)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="animerun-"))) / "plan"
    folder.mkdir()
    journal = Journal.create(folder / JOURNAL, run="plan")
    try:
        recorder = Recorder(journal, clock=lambda: 0.0)
        recorder.head(
            uuid="", spec=str(spec), episode=plan.spec.episode, title=plan.spec.title, realm="",
            animerun="", total=plan.total, waiting=plan.waiting, scope={},
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


def _side(sides: Sides, letter: Letter, asked: Asked, opened: _Opened) -> Side:
    found = sides.ask("head", side=letter)
    if not found:
        raise UsageError(f"{asked.name} has recorded nothing", hint="animerun list")
    [row] = found
    scope = json.loads(row["scope"])
    plan = asked.kind == "plan"
    return Side(
        name=asked.name,
        run=str(asked.path) if plan else (asked.run or str(opened.folder and opened.folder.name)),
        kind="plan" if plan else "run",
        folder="" if opened.folder is None else str(opened.folder),
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


# -- scope -------------------------------------------------------------------------------------------------


def _leave_out(sides: Sides, a: Side, b: Side) -> None:
    """Forget the jobs of one side that the other was not asked for."""
    if a.narrowed or b.narrowed:
        asked_a, asked_b = _asked_for(a), _asked_for(b)
        alone = sides.ask("alone")
        other = ((row["key"], row["in_a"], asked_b if row["in_a"] else asked_a) for row in alone)
        sides.keep("outside", ((key, in_a) for key, in_a, asked in other if not asked(key)))
        sides.run("forget")


def _asked_for(side: Side) -> Any:
    only = [Pattern.parse(text) for text in side.only]
    without = [Pattern.parse(text) for text in side.without]

    def asked(key: str) -> bool:
        wanted = not only or any(pattern.matches(key) for pattern in only)
        return wanted and not any(pattern.matches(key) for pattern in without)

    return asked


# -- causes ------------------------------------------------------------------------------------------------


def _changed(sides: Sides) -> Iterator[Group]:
    """Yield the jobs with another workflow, by cause."""
    sides.run("pairs")
    pairs = sides.ask("pairs_first", limit=_PAIRS)
    before = _variants(sides, "a", {pair["variant_a"] for pair in pairs})
    after = _variants(sides, "b", {pair["variant_b"] for pair in pairs})
    grouping, silent = Grouping(), []
    for pair in pairs:
        changes = word_changes(before[pair["variant_a"]], after[pair["variant_b"]])
        if pair["reseeded"]:
            changes = (*changes, Change(what="seed", before=pair["seed_a"], after=pair["seed_b"]))
        if changes:
            grouping.add(changes, jobs=pair["jobs"], keys=pair["keys"])
        else:
            silent.append(pair)
    _look_into_nodes(sides, silent, grouping)
    yield from grouping.groups()
    if len(pairs) == _PAIRS:
        yield from _coarse(sides)


def _variants(sides: Sides, side: Letter, names: set[str]) -> dict[str, Variant]:
    files = {row["path"]: row["name"] for row in sides.ask("inputs", side=side)}
    templates = {row["name"]: row["digest"] for row in sides.ask("templates", side=side)}
    return {
        row.pop("variant"): Variant(words=read_words(row), templates=templates, files=files)
        for row in sides.ask("variants", side=side, names=sorted(names))
    }


def _look_into_nodes(sides: Sides, silent: Sequence[Mapping[str, Any]], grouping: Grouping) -> None:
    """Tell from the stored workflows what the words do not tell."""
    if not silent:
        return
    jobs = sum(pair["jobs"] for pair in silent)
    rows = sides.ask("unexplained", saids=[pair["said"] for pair in silent], limit=_UNEXPLAINED)
    keys = [row["key"] for row in rows]
    before, after = _workflows(sides, "a", keys), _workflows(sides, "b", keys)
    for key in keys:
        unknown = (Change(what="workflow"),)
        changes = node_changes(before[key], after[key]) if key in before and key in after else unknown
        grouping.add(changes or unknown, jobs=1, keys=[key])
    if jobs > len(keys):
        grouping.add((Change(what="workflow (not looked into)"),), jobs=jobs - len(keys), keys=[])


def _workflows(sides: Sides, side: Letter, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    packed = {
        row["key"]: {"shape": row["shape"], "leaves": json.loads(row["leaves"])}
        for row in sides.ask("packed", side=side, names=list(keys))
    }
    wanted = sorted({each["shape"] for each in packed.values()})
    shapes = {row["shape"]: json.loads(row["nodes"]) for row in sides.ask("shapes", side=side, names=wanted)}
    names = {
        value["$text"]
        for each in packed.values()
        for value in each["leaves"].values()
        if isinstance(value, dict) and value.keys() == {"$text"}
    }
    texts = {row["text"]: row["value"] for row in sides.ask("texts", side=side, names=sorted(names))}
    return {key: unpack(each, shapes, texts) for key, each in packed.items()}


def _coarse(sides: Sides) -> Iterator[Group]:
    for row in sides.ask("pairs_rest", limit=_PAIRS):
        what = ", ".join(row["names"]) or "workflow"
        yield Group(
            kind="changed", cause=f"{what} changed (not looked into)", jobs=row["jobs"],
            keys=tuple(row["keys"]), uniform=False,
        )  # fmt: skip


def _lone(sides: Sides) -> Iterator[Group]:
    found = [
        Group(
            kind="removed" if row["in_a"] else "added",
            cause=row["cut"],
            jobs=row["jobs"],
            keys=tuple(row["keys"]),
        )
        for row in sides.ask("lone")
    ]
    yield from (group for group in found if group.kind == "removed")
    yield from (group for group in found if group.kind == "added")


def _moved(sides: Sides) -> Iterator[Group]:
    for row in sides.ask("moved"):
        fault = f" ({row['code']})" if row["code"] else ""
        yield Group(
            kind="state", cause=f"{row['state_a']} → {row['state_b']}{fault}", jobs=row["jobs"],
            keys=tuple(row["keys"]),
        )  # fmt: skip


# -- pictures ----------------------------------------------------------------------------------------------


def _graded(sides: Sides, a: Side, b: Side, most: int | None) -> tuple[Picture, ...]:
    """Look at the outputs that differ, as far as there are files and not more than *most*."""
    sides.run("graded")
    if a.realm != b.realm:
        return ()
    rows = sides.ask("pictures", limit=most)
    found = tuple(_grade(row, Path(a.folder), Path(b.folder)) for row in rows)
    sides.keep("graded", ((p.key, p.node, p.index, p.kind) for p in found if p.kind != "ungraded"))
    sides.run("repaint")
    return found


def _grade(row: Mapping[str, Any], a: Path, b: Path) -> Picture:
    told: dict[str, Any] = {
        "key": row["key"], "node": row["node"], "index": row["index"], "expected": row["rewritten"],
        "before": row["path_a"] or "", "after": row["path_b"] or "",
    }  # fmt: skip
    if not row["path_a"] or not row["path_b"]:
        return Picture(**told, kind="changed", note="only one side has this output")
    paths = a / row["path_a"], b / row["path_b"]
    gone = next((path for path in paths if not path.is_file()), None)
    if gone is not None:
        return Picture(**told, kind="ungraded", note=f"{gone} is not there")
    found = grade(*paths)
    return Picture(**told, kind=found.kind, dhash_bits=found.dhash_bits, ssim=found.ssim, note=found.note)


def _looks(sides: Sides) -> Iterator[Group]:
    words: dict[Look, str] = {
        "changed": "look different",
        "near": "look the same",
        "ungraded": "were not looked at",
    }
    for row in sides.ask("looks"):
        why = "after a changed workflow" if row["rewritten"] else "from the same workflow"
        yield Group(
            kind="pixels", cause=f"other pixels {why}; they {words[row['kind']]}", jobs=row["jobs"],
            keys=tuple(row["keys"]), look=row["kind"], expected=row["rewritten"],
        )  # fmt: skip


# -- the rest ----------------------------------------------------------------------------------------------


def _counts(sides: Sides) -> Counts:
    [row] = sides.ask("counts")
    return Counts(
        before=row["a"],
        after=row["b"],
        outside=row["outside"],
        both=row["both"],
        removed=row["removed"],
        added=row["added"],
        different=row["different"],
        changed=row["rewritten"],
        state=row["moved"],
        pixels=row["repainted"],
    )


def _environment(sides: Sides, a: Side, b: Side) -> Iterator[Drift]:
    """Yield what is another; of templates, inputs and model files only what both sides have."""
    before, after = _surroundings(sides, "a"), _surroundings(sides, "b")
    own = ("template ", "input ", "model file ")
    for what in (*before, *(name for name in after if name not in before)):
        old, new = before.get(what, ()), after.get(what, ())
        both = bool(old and new) or not (what.startswith(own) or "plan" in (a.kind, b.kind))
        if old != new and both:
            yield Drift(what=what, before=old, after=new)


def _surroundings(sides: Sides, side: Letter) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in sides.ask("environment", side=side):
        if row["value"]:
            found[row["what"]] = (*found.get(row["what"], ()), row["value"])
    return found


def _times(sides: Sides) -> Times:
    sides.run("times")
    [row] = sides.ask("time_totals")
    return Times(
        jobs=row["jobs"],
        before_s=round(row["run_a"], 4),
        after_s=round(row["run_b"], 4),
        median_ratio=round(row["ratio"] or 1.0, 4),
        slowest=tuple(
            Slower(key=each["key"], before_s=each["run_a"], after_s=each["run_b"])
            for each in sides.ask("slowest", limit=_SLOWEST)
        ),
    )
