"""The comparison of two sides: what is asked of the database, in which order, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from runner import model_files
from runner.compare.changed import changed
from runner.compare.opening import Asked, opened, side_of
from runner.compare.pictures import GRADED, graded, looks
from runner.diff.model import Counts, Drift, Group, RunDiff, Side, Slower, Times
from runner.diff.remarks import remarks
from runner.drift import systems
from runner.manifest.compare_rows import DuckError, Letter, Sides
from runner.manifest.store import Manifest
from runner.naming import Pattern
from runner.text.times import utc

_SLOWEST = 5


class Comparison:
    """Two sides, compared. `diff` is the result; the rest is asked for line by line while it is open."""

    def __init__(self, a: Asked, b: Asked, *, runs: Path, pictures: int | None = GRADED) -> None:
        """Compare *a* with *b*; at most *pictures* differing pictures are graded, None = all.

        Raises SpecError for a plan, UsageError for a file that is no exported run, RecordDamaged for a
        damaged journal.
        """
        self._stack = ExitStack()
        try:
            self._opened = tuple(opened(each, self._stack) for each in (a, b))
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

    def cases(self) -> Iterator[dict[str, Any]]:
        """Yield every job of side b with its state, fault and seconds, in listing order."""
        yield from self._sides.each("cases")

    def gone(self) -> Iterator[dict[str, Any]]:
        """Yield every job that side a has made and side b does not have."""
        yield from self._sides.each("cases_gone")

    def undone(self) -> tuple[int, tuple[str, ...]]:
        """Return how many jobs of both a has made and b neither made nor failed, and the first keys."""
        [row] = self._sides.ask("undone")
        return row["jobs"], tuple(row["keys"] or ())

    def states(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return state → how many jobs of side b are in it, and the first keys."""
        found = self._sides.ask("state_counts", side="b")
        return {row["state"]: (row["jobs"], tuple(row["keys"])) for row in found if row["state"]}

    def places(self, keys: Sequence[str]) -> dict[str, str]:
        """Return key → `file:line` of its cut, as far as it is known."""
        return {row["key"]: row["place"] for row in self._sides.ask("places", names=list(keys))}

    # -- the comparison --------------------------------------------------------------------------------

    def _compare(self, manifest: Manifest, a: Asked, b: Asked, pictures: int | None) -> RunDiff:
        first, second = self._opened
        for each in manifest.left_out:
            if each.run in (a.run, b.run):
                raise each.error
        self._sides = Sides(manifest, first.source, second.source)
        left, right = side_of(self._sides, "a", a, first), side_of(self._sides, "b", b, second)
        for name in ("painted", "odd"):
            self._sides.run(name)
        _leave_out(self._sides, left, right)
        rewritten = tuple(changed(self._sides))
        looked = graded(self._sides, left, right, pictures)
        counts = _counts(self._sides)
        found = RunDiff(
            a=left,
            b=right,
            counts=counts,
            groups=(*_lone(self._sides), *rewritten, *_moved(self._sides), *looks(self._sides)),
            environment=tuple(_environment(self._sides, left, right)),
            times=_times(self._sides),
            pictures=looked,
        )
        return replace(found, remarks=(*manifest.damaged, *remarks(found)))


# -- scope -------------------------------------------------------------------------------------------------


def _leave_out(sides: Sides, a: Side, b: Side) -> None:
    """Forget the jobs of one side that the other was not asked for."""
    if a.narrowed or b.narrowed:
        asked_a, asked_b = _asked_for(a), _asked_for(b)
        alone = sides.ask("alone")
        other = ((row["key"], row["in_a"], asked_b if row["in_a"] else asked_a) for row in alone)
        sides.keep("outside", ((key, in_a) for key, in_a, asked in other if not asked(key)))
        sides.run("forget")


def _asked_for(side: Side) -> Callable[[str], bool]:
    only = [Pattern.parse(text) for text in side.only]
    without = [Pattern.parse(text) for text in side.without]

    def asked(key: str) -> bool:
        wanted = not only or any(pattern.matches(key) for pattern in only)
        return wanted and not any(pattern.matches(key) for pattern in without)

    return asked


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
    own = ("template ", "input ", "model file ", "sha256 of ")
    for what in (*before, *(name for name in after if name not in before)):
        old, new = before.get(what, ()), after.get(what, ())
        both = bool(old and new) or not (what.startswith(own) or "plan" in (a.kind, b.kind))
        if what == "os" and len(set(systems(old, new))) == 1:
            continue
        if old != new and both:
            yield Drift(what=what, before=old, after=new)

    then, now = (model_files.recorded(sides.each("model_files", side=side)) for side in ("a", "b"))
    for (folder, name), how in model_files.changed(then, now).items():
        if how == model_files.CHANGED_SINCE:
            times = ({utc(at) for at in each[folder, name].modified.values()} for each in (then, now))
            old, new = (tuple(sorted(each)) for each in times)
            yield Drift(what=f"model file {folder}/{name}, last changed", before=old, after=new)


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
