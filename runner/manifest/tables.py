"""The tables of the index, and how the lines of a journal become their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from runner.errors import RecordDamaged, StorageError
from runner.manifest.journal import Line, Position, Reading
from runner.manifest.opening import SCHEMA, Place
from runner.manifest.rows import rows

JOURNAL = "journal.jsonl"
NOTES = "notes.jsonl"
_FILES = (JOURNAL, NOTES)
TABLES = (
    "runs", "run_ends", "servers", "inputs", "shapes", "texts", "templates", "variants", "jobs", "intents",
    "attempts", "outputs", "notes", "model_files",
)  # fmt: skip
VIEWS = ("job_state", "current_outputs", "run_head", "run_state")
LOCKED_DOWN: dict[str, str | bool | int | float | list[str]] = {
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
def schema_parts() -> tuple[str, str]:
    """Return the statements that make the tables, and those that make the views."""
    text = resources.files("runner.manifest").joinpath("schema.sql").read_text("utf-8")
    at = text.index("create view")
    return text[:at], text[at:]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run of which nothing can be told, for *path*, a file of its record, cannot be read."""

    run: str
    path: Path
    error: RecordDamaged | StorageError

    def __str__(self) -> str:
        """One sentence, with the command that saves the rest."""
        return f"{self.error}; {self.run} is left out" + (f" → {self.error.hint}" if self.error.hint else "")


def journals(runs: Path) -> Iterator[tuple[str, Path]]:
    """Yield (run, path) for every journal, sorted by run; a run's notes follow its journal.

    Raises StorageError where *runs* cannot be listed; that it does not exist yet is no fault.
    """
    try:
        folders = sorted(runs.iterdir())
    except FileNotFoundError as error:
        if runs.is_symlink():
            told = f"{runs} is a link to {runs.readlink()}, which is not there"
            raise StorageError(told, hint="mount what it leads to; or another folder: --runs DIR") from error
        return
    except OSError as error:
        raise StorageError.of("read", runs, error) from error
    for folder in folders:
        if not folder.name.startswith(".") and _is_file(folder / JOURNAL):
            yield from ((folder.name, folder / name) for name in _FILES if _is_file(folder / name))


def _is_file(path: Path) -> bool:
    """Return whether *path* is a file; one that we may not look at counts: to open it tells why."""
    try:
        return path.is_file()
    except OSError:
        return True


def size_of(path: Path) -> int:
    """Return how long *path* is, -1 where it cannot be told: to open it tells why."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def create(db: duckdb.DuckDBPyConnection) -> None:
    """Make the tables and views of an index in *db*, which is empty."""
    tables, views = schema_parts()
    db.execute(tables + views)
    db.execute("insert into meta values (?)", [SCHEMA])


def positions(db: duckdb.DuckDBPyConnection) -> dict[Place, Position]:
    """Return how far each journal was read into *db*."""
    found = db.execute(queries()["applied"]).fetchall()
    return {(run, file): Position(offset=at, line=line, check=check) for run, file, at, line, check in found}


def _apply(db: duckdb.DuckDBPyConnection, run: str, path: Path, start: Position) -> Position:
    """Add what the journal holds beyond *start*, in one transaction; return where it ended."""
    reading = Reading(path, start)
    db.execute("begin")
    try:
        try:
            append(db, (row for line in reading for row in rows(run, line)))
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
    with duckdb.connect(":memory:", config=LOCKED_DOWN) as db:
        db.execute(schema_parts()[0])
        while block := list(islice(lines, _FLUSH)):
            db.execute("begin")
            try:
                append(db, (row for line in block for row in rows(run, line)))
            except _UNFIT:
                for at, line in enumerate(block, number):
                    _try_line(db, run, f"{path}:{at}", line)
                raise
            finally:
                db.execute("rollback")
            number += len(block)


def _try_line(db: duckdb.DuckDBPyConnection, run: str, place: str, line: Line) -> None:
    try:
        append(db, rows(run, line))
    except _UNFIT as error:
        # Whole by its checksum: of another version, of a server that lies, or made to do harm.
        what = (
            f"lacks {error}"
            if isinstance(error, KeyError)
            else f"says what cannot be ({type(error).__name__})"
        )
        raise RecordDamaged(f"{place}: this line {what}", hint="a newer animerun may know better") from error


def take(db: duckdb.DuckDBPyConnection, run: str, path: Path, start: Position) -> bool:
    """Apply what is new in *path*; True when another file was read before and the run was read anew.

    Only `repair` and `import-run` put another file in the place of one; what the old one said goes.
    """
    if not 0 <= size_of(path) < start.offset:
        try:
            _apply(db, run, path, start)
            return False
        except RecordDamaged:
            if not start.offset:
                raise
    forget(db, run)
    for each in (path.with_name(name) for name in _FILES):
        if each.is_file():
            _apply(db, run, each, Position())
    return True


def forget(db: duckdb.DuckDBPyConnection, run: str) -> None:
    """Delete everything about *run*."""
    for table in (*TABLES, "applied"):
        db.execute(f"delete from {table} where run = ?", [run])


def append(db: duckdb.DuckDBPyConnection, news: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
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
