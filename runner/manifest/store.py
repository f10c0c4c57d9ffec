"""The manifest: a DuckDB index over all journals, and how it is kept, published and read.

The writer owns `runs/.index/live.duckdb` while it holds `runs/.index/apply.lock`, reads what the journals
hold beyond the offsets it knows, and publishes `runs/manifest.duckdb` by checkpoint, copy and rename.
Readers open the published file read-only and fold in what the journals hold beyond it. Nothing here is the
truth: a file that cannot be opened is moved aside and built again from the journals.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from runner import door
from runner.errors import RecordDamaged, StorageError
from runner.manifest.journal import Line, Position, Reading
from runner.manifest.rows import rows

SCHEMA = 3
JOURNAL = "journal.jsonl"
NOTES = "notes.jsonl"
PUBLISHED = "manifest.duckdb"
_FILES = (JOURNAL, NOTES)
TABLES = (
    "runs", "run_ends", "servers", "inputs", "shapes", "texts", "templates", "variants", "jobs", "intents",
    "attempts", "outputs", "notes", "model_files",
)  # fmt: skip
VIEWS = ("job_state", "current_outputs", "run_head", "run_state")
_LOCKED_DOWN: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": "512MB",
    "threads": "2",
}
_FLUSH = 2_048
_UNFIT = (
    duckdb.DataError, duckdb.InvalidInputException, duckdb.InvalidTypeException,
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What a line raises that is whole by its checksum and says what no column holds."""


@cache
def queries() -> dict[str, str]:
    """Return the named statements of queries.sql."""
    text = resources.files("runner.manifest").joinpath("queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@cache
def _schema() -> tuple[str, str]:
    """Return the statements that make the tables, and those that make the views."""
    text = resources.files("runner.manifest").joinpath("schema.sql").read_text("utf-8")
    at = text.index("create view")
    return text[:at], text[at:]


@dataclass(frozen=True, slots=True)
class Report:
    """What a refresh did: runs read, and one sentence for each journal that had to be left out."""

    applied: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


Place = tuple[str, str]
"""(run, name of the file in its folder)."""


def journals(runs: Path) -> Iterator[tuple[str, Path]]:
    """Yield (run, path) for every journal, sorted by run; a run's notes follow its journal."""
    if runs.is_dir():
        for folder in sorted(runs.iterdir()):
            if not folder.name.startswith(".") and (folder / JOURNAL).is_file():
                yield from ((folder.name, folder / name) for name in _FILES if (folder / name).is_file())


def _create(db: duckdb.DuckDBPyConnection) -> None:
    tables, views = _schema()
    db.execute(tables + views)
    db.execute("insert into meta values (?)", [SCHEMA])


def _lock_down(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("set enable_external_access = false")
    db.execute("set lock_configuration = true")


def _positions(db: duckdb.DuckDBPyConnection) -> dict[Place, Position]:
    found = db.execute(queries()["applied"]).fetchall()
    return {(run, file): Position(offset=at, line=line, check=check) for run, file, at, line, check in found}


def _apply(db: duckdb.DuckDBPyConnection, run: str, path: Path, start: Position) -> Position:
    """Add what the journal holds beyond *start*, in one transaction; return where it ended."""
    reading = Reading(path, start)
    db.execute("begin")
    try:
        try:
            _append(db, (row for line in reading for row in rows(run, line)))
        except _UNFIT:
            _try_out(run, path, start)
            raise
        end = reading.position
        db.execute("delete from applied where run = ? and file = ?", [run, path.name])
        db.execute(
            "insert into applied values (?, ?, ?, ?, ?)", [run, path.name, end.offset, end.line, end.check]
        )
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise
    return end


def try_out(folder: Path) -> None:
    """Raise RecordDamaged where the record of the run in *folder* has a line that no table takes."""
    for path in (folder / name for name in _FILES):
        if path.is_file():
            _try_out(folder.name, path, Position())


def _try_out(run: str, path: Path, start: Position) -> None:
    """Raise RecordDamaged naming the first line beyond *start* that no table takes. Nothing is kept."""
    number, lines = start.line, iter(Reading(path, start))
    with duckdb.connect(":memory:", config=_LOCKED_DOWN) as db:
        db.execute(_schema()[0])
        while block := list(islice(lines, _FLUSH)):
            db.execute("begin")
            try:
                _append(db, (row for line in block for row in rows(run, line)))
            except _UNFIT:
                for at, line in enumerate(block, number):
                    _try_line(db, run, f"{path}:{at}", line)
                raise
            finally:
                db.execute("rollback")
            number += len(block)


def _try_line(db: duckdb.DuckDBPyConnection, run: str, place: str, line: Line) -> None:
    try:
        _append(db, rows(run, line))
    except _UNFIT as error:
        # Whole by its checksum: of another version, of a server that lies, or made to do harm.
        what = (
            f"lacks {error}"
            if isinstance(error, KeyError)
            else f"says what cannot be ({type(error).__name__})"
        )
        raise RecordDamaged(f"{place}: this line {what}", hint="a newer animerun may know better") from error


def _take(db: duckdb.DuckDBPyConnection, run: str, path: Path, start: Position) -> bool:
    """Apply what is new in *path*; True when another file was read before and the run was read anew.

    Only `repair` and `import-run` put another file in the place of one; what the old one said goes.
    """
    if path.stat().st_size >= start.offset:
        try:
            _apply(db, run, path, start)
            return False
        except RecordDamaged:
            if not start.offset:
                raise
    _forget(db, run)
    for each in (path.with_name(name) for name in _FILES):
        if each.is_file():
            _apply(db, run, each, Position())
    return True


def _forget(db: duckdb.DuckDBPyConnection, run: str) -> None:
    for table in (*TABLES, "applied"):
        db.execute(f"delete from {table} where run = ?", [run])


def _append(db: duckdb.DuckDBPyConnection, news: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
    """Add rows by the thousand: small enough for the processor's cache, each table's appender opened once."""
    held: dict[str, list[tuple[Any, ...]]] = {}
    with ExitStack() as appenders:
        adding: dict[str, Callable[[list[tuple[Any, ...]]], None]] = {}
        for table, row in news:
            group = held.get(table)
            if group is None:
                group = held[table] = []
                adding[table] = appenders.enter_context(db.appender(table)).append_rows
            group.append(row)
            if len(group) >= _FLUSH:
                adding[table](group)
                group.clear()
        for table, group in held.items():
            adding[table](group)


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the live index; a missing, unreadable or older one is started afresh."""
    fresh = not path.exists()
    db: duckdb.DuckDBPyConnection | None = None
    try:
        db = duckdb.connect(str(path), config=_LOCKED_DOWN | {"memory_limit": "256MB"})
        if fresh:
            _create(db)
        found = db.execute("select schema from meta").fetchone()
        if found == (SCHEMA,):
            db.execute("set enable_progress_bar = false")
            return db
        db.close()
        if found is not None and found[0] > SCHEMA:
            raise RecordDamaged(
                f"{path} was written by a newer animerun (schema {found[0]}, this one knows {SCHEMA})"
            )
    except duckdb.Error:
        # One left open would be what the next `connect` gives, whatever lies under that name by then.
        if db is not None:
            db.close()
        if fresh:
            raise
    _move_aside(path)
    return _open(path)


def _move_aside(path: Path) -> None:
    """Keep a file that cannot be used under another name, with its log; the one kept before goes."""
    for old in path.parent.glob(f"{path.name}.*.old"):
        door.unlink(old)
    stamp = f"{door.utc():%Y%m%dT%H%M%S}"
    for part in (path, path.with_name(path.name + ".wal")):
        if part.exists():
            door.rename(part, part.with_name(f"{part.name}.{stamp}.old"))


@contextmanager
def _apply_lock(folder: Path, *, wait_s: float) -> Iterator[bool]:
    """Yield whether the one right to write the index was had within *wait_s*."""
    door.make_folder(folder)
    until = door.monotonic() + wait_s
    with (folder / "apply.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if door.monotonic() >= until:
                    yield False
                    return
                door.pause(0.05)
            else:
                yield True
                return


def refresh(runs: Path, *, wait_s: float = 10.0, anew: bool = False) -> Report | None:
    """Bring the index up to date with every journal and publish it; *anew* starts from nothing.

    Returns what was done, or None when another process kept the index for *wait_s* (it will publish).
    A damaged index is moved aside and built again. Raises StorageError when the index cannot be written; the
    journals are not touched.
    """
    folder = runs / ".index"
    live = folder / "live.duckdb"
    try:
        with _apply_lock(folder, wait_s=wait_s) as mine:
            if not mine:
                return None
            if anew:
                door.unlink(live)
                door.unlink(live.with_name(live.name + ".wal"))
            try:
                return _bring_up(live, runs)
            except duckdb.Error:
                # Damage in a file of DuckDB may show only when the page concerned is read.
                _move_aside(live)
                return _bring_up(live, runs)
    except (OSError, duckdb.Error) as error:
        raise StorageError(f"cannot write the manifest in {runs}: {error}") from error


def keep_up(runs: Path, *, wait_s: float = 10.0) -> Report | None:
    """Do what `refresh` does; what stands in its way is told and raises nothing: the journals have it all."""
    try:
        return refresh(runs, wait_s=wait_s)
    except (StorageError, RecordDamaged) as error:
        told = f"{error}; the record itself is whole, animerun repair builds the index again"
        return Report(damaged=(told,))


def _bring_up(live: Path, runs: Path) -> Report:
    db = _open(live)
    try:
        report = _apply_all(db, runs)
        db.execute("checkpoint")
    finally:
        db.close()
    _publish(live, runs / PUBLISHED)
    return report


def _apply_all(db: duckdb.DuckDBPyConnection, runs: Path) -> Report:
    known = _positions(db)
    everything = list(journals(runs))
    for run in {run for run, _ in known} - {run for run, _ in everything}:
        _forget(db, run)
    applied: dict[str, bool] = {}
    damaged = []
    for run, path in everything:
        start = known.get((run, path.name), Position())
        if applied.get(run) or path.stat().st_size == start.offset:
            continue
        try:
            applied[run] = _take(db, run, path, start)
        except RecordDamaged as error:
            damaged.append(str(error))
    return Report(tuple(applied), tuple(damaged))


def _publish(live: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    door.effect("copy")
    shutil.copyfile(live, part)
    with door.File(part, "ab") as file:
        file.sync()
    door.rename(part, target)


def literal(text: str) -> str:
    """Return *text* as an SQL literal, for the statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


class Manifest:
    """A reader: the published index with what the journals hold beyond it. Never blocks a run.

    `damaged` tells what could not be read. With *locked* False the connection may write files; for our own
    statements only.
    """

    def __init__(self, runs: Path, *, locked: bool = True) -> None:
        self.runs = runs
        self.damaged: list[str] = []
        self._locked = locked
        self._healed = False
        try:
            self._db = self._build(published=True)
        except duckdb.Error as error:
            self.heal(error)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection that has the tables and views; it is another one after `heal`."""
        return self._db

    def rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of the named statement as tuples, for many of them."""
        return self._ask(name, values)[1]

    def query(self, name: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of the named statement as dicts, in its order."""
        names, rows = self._ask(name, values)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _ask(self, name: str, values: dict[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        for _ in range(2):
            try:
                done = self._db.execute(queries()[name], values or None)
                return [column[0] for column in done.description or ()], done.fetchall()
            except duckdb.Error as error:
                self.heal(error)
        raise AssertionError("heal raises the second time")

    def heal(self, error: duckdb.Error) -> None:
        """Go on after *error* in the published file: build it again where we may, else read the journals.

        The second time, or when there is no such file, the fault is not one of the file: *error* is raised.
        """
        path = self.runs / PUBLISHED
        if self._healed or not path.is_file():
            raise error
        self._healed = True
        self.damaged.clear()
        try:
            again = refresh(self.runs, wait_s=0.0, anew=True) is not None
        except StorageError:
            again = False
        what = "built again from them" if again else "left aside"
        told = f"{path} was damaged ({type(error).__name__}); the journals are sound and it was {what}"
        self._db = self._build(published=again)
        self.damaged.insert(0, told)

    def _build(self, *, published: bool) -> duckdb.DuckDBPyConnection:
        db = duckdb.connect(":memory:", config=_LOCKED_DOWN | {"temp_directory": ""})
        db.execute("set enable_progress_bar = false")
        tables, views = _schema()
        db.execute(f"create schema fresh; use fresh; {tables}")
        known = _attach(db, self.runs / PUBLISHED) if published else {}
        replaced = self._fold(db, known)
        db.execute("use main")
        _union(db, replaced, published=bool(known))
        db.execute(views)
        if self._locked:
            _lock_down(db)
        return db

    def _fold(self, db: duckdb.DuckDBPyConnection, known: dict[Place, Position]) -> set[str]:
        """Read what the published file does not have; return the runs of which it is to show nothing."""
        everything = list(journals(self.runs))
        hidden = {run for run, _ in known} - {run for run, _ in everything}
        for run, path in everything:
            start = known.get((run, path.name), Position())
            if run in hidden or path.stat().st_size == start.offset:
                continue
            try:
                if _take(db, run, path, start):
                    hidden.add(run)
            except RecordDamaged as error:
                self.damaged.append(str(error))
                hidden.add(run)
                _forget(db, run)
        return hidden


def _attach(db: duckdb.DuckDBPyConnection, path: Path) -> dict[Place, Position]:
    """Open the published file, if it is there and of this schema; return how far it had read."""
    if not path.is_file():
        return {}
    db.execute(f"attach {literal(str(path))} as published (read_only)")
    if db.execute("select schema from published.meta").fetchone() != (SCHEMA,):
        return {}
    found = db.execute('select run, file, "offset", line, "check" from published.applied').fetchall()
    return {(run, file): Position(offset=at, line=n, check=c) for run, file, at, n, c in found}


def _union(db: duckdb.DuckDBPyConnection, hidden: set[str], *, published: bool) -> None:
    """Show the rows read now behind the published ones, those of *hidden* runs left out."""
    names = ", ".join(map(literal, sorted(hidden)))
    where = f" where run not in ({names})" if names else ""
    for table in TABLES:
        old = f" union all select * from published.{table}{where}" if published else ""
        db.execute(f"create view {table} as select * from fresh.{table}{old}")
