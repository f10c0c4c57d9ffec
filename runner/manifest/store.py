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
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from runner.errors import RecordDamaged, StorageError
from runner.manifest.journal import Position, Reading
from runner.manifest.rows import rows

SCHEMA = 1
JOURNAL = "journal.jsonl"
NOTES = "notes.jsonl"
PUBLISHED = "manifest.duckdb"
_FILES = (JOURNAL, NOTES)
_TABLES = (
    "runs", "run_ends", "servers", "inputs", "shapes", "texts", "templates", "variants", "jobs", "intents",
    "attempts", "outputs", "notes",
)  # fmt: skip
_LOCKED_DOWN: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": "512MB",
    "threads": "2",
}
_FLUSH = 50_000


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
        _append(db, ((table, row) for line in reading for table, row in rows(run, line)))
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


def _append(db: duckdb.DuckDBPyConnection, news: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
    held: dict[str, list[tuple[Any, ...]]] = {}
    for table, row in news:
        group = held.setdefault(table, [])
        group.append(row)
        if len(group) >= _FLUSH:
            _flush(db, table, group)
    for table, group in held.items():
        _flush(db, table, group)


def _flush(db: duckdb.DuckDBPyConnection, table: str, group: list[tuple[Any, ...]]) -> None:
    if group:
        with db.appender(table) as appender:
            appender.append_rows(group)
        group.clear()


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the live index; a missing, unreadable or older one is started afresh."""
    fresh = not path.exists()
    try:
        db = duckdb.connect(str(path), config=_LOCKED_DOWN)
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
        if fresh:
            raise
    _move_aside(path)
    return _open(path)


def _move_aside(path: Path) -> None:
    """Keep a file that cannot be used under another name, with its write-ahead log."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    for part in (path, path.with_name(path.name + ".wal")):
        if part.exists():
            part.rename(part.with_name(f"{part.name}.{stamp}.old"))


@contextmanager
def _apply_lock(folder: Path, *, wait_s: float) -> Iterator[bool]:
    """Yield whether the one right to write the index was had within *wait_s*."""
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + wait_s
    with (folder / "apply.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    yield False
                    return
                time.sleep(0.05)
            else:
                yield True
                return


def refresh(runs: Path, *, wait_s: float = 10.0) -> Report | None:
    """Bring the index up to date with every journal and publish it.

    Returns what was done, or None when another process kept the index for *wait_s* (it will publish).
    Raises StorageError when the index cannot be written; the journals are not touched.
    """
    folder = runs / ".index"
    live = folder / "live.duckdb"
    try:
        with _apply_lock(folder, wait_s=wait_s) as mine:
            if not mine:
                return None
            db = _open(live)
            try:
                report = _apply_all(db, runs)
                db.execute("checkpoint")
            finally:
                db.close()
            _publish(live, runs / PUBLISHED)
            return report
    except (OSError, duckdb.Error) as error:
        raise StorageError(f"cannot write the manifest in {runs}: {error}") from error


def _apply_all(db: duckdb.DuckDBPyConnection, runs: Path) -> Report:
    known = _positions(db)
    applied: dict[str, None] = {}
    damaged = []
    for run, path in journals(runs):
        start = known.get((run, path.name), Position())
        if path.stat().st_size <= start.offset:
            continue
        try:
            _apply(db, run, path, start)
            applied[run] = None
        except RecordDamaged as error:
            damaged.append(str(error))
    return Report(tuple(applied), tuple(damaged))


def _publish(live: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.copyfile(live, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)


def _quoted(text: str) -> str:
    """Return *text* as an SQL literal, for the statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


class Manifest:
    """A reader: the published index with what the journals hold beyond it. Never blocks a run."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.damaged: list[str] = []
        self._db = duckdb.connect(":memory:", config=_LOCKED_DOWN)
        self._db.execute("set enable_progress_bar = false")
        tables, views = _schema()
        self._db.execute(f"create schema fresh; use fresh; {tables}")
        known = self._attach(runs / PUBLISHED)
        fresh = self._fold(known)
        self._db.execute("use main")
        self._union(fresh, published=bool(known))
        self._db.execute(views)
        _lock_down(self._db)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def query(self, name: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of the named statement as dicts, in its order."""
        done = self._db.execute(queries()[name], values or None)
        names = [column[0] for column in done.description or ()]
        return [dict(zip(names, row, strict=True)) for row in done.fetchall()]

    def _attach(self, path: Path) -> dict[Place, Position]:
        """Open the published file, if it is there and ours; return how far it had read."""
        if not path.is_file():
            return {}
        try:
            self._db.execute(f"attach {_quoted(str(path))} as published (read_only)")
            if self._db.execute("select schema from published.meta").fetchone() == (SCHEMA,):
                statement = 'select run, file, "offset", line, "check" from published.applied'
                found = self._db.execute(statement).fetchall()
                return {(run, file): Position(offset=at, line=n, check=c) for run, file, at, n, c in found}
        except duckdb.Error as error:
            self.damaged.append(
                f"{path} cannot be read ({type(error).__name__}); reading the journals instead"
            )
        return {}

    def _fold(self, known: dict[Place, Position]) -> list[str]:
        """Read every file of the runs the published file is behind on; return those runs."""
        everything = list(journals(self.runs))
        fresh = {
            run: None
            for run, path in everything
            if path.stat().st_size > known.get((run, path.name), Position()).offset
        }
        for run, path in everything:
            if run in fresh:
                try:
                    _apply(self._db, run, path, Position())
                except RecordDamaged as error:
                    self.damaged.append(str(error))
        return list(fresh)

    def _union(self, fresh: list[str], *, published: bool) -> None:
        """Show the fresh runs' rows and, for all others, the published ones."""
        names = ", ".join(map(_quoted, fresh)) or "''"
        for table in _TABLES:
            old = (
                f" union all select * from published.{table} where run not in ({names})" if published else ""
            )
            self._db.execute(f"create view {table} as select * from fresh.{table}{old}")
