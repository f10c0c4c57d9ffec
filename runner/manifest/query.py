"""One statement of a person's own against the record: it reads, it is bounded, and it reaches nothing else.

The connection is the reader's: views over a read-only file and over rows in memory, without access to files,
network or settings. Here the statement is held to one query, in a transaction that refuses to write, with a
limit of rows and of seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from runner.errors import StorageError, UsageError
from runner.manifest.store import Manifest

SECONDS = 30.0
_READS = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_WRITTEN_WRONG = (
    duckdb.ParserException, duckdb.SyntaxException, duckdb.BinderException, duckdb.CatalogException,
    duckdb.ConversionException, duckdb.InvalidInputException, duckdb.InvalidTypeException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException, duckdb.PermissionException, duckdb.TransactionException,
    duckdb.NotImplementedException, duckdb.DependencyException,
    duckdb.ConstraintException,
)  # fmt: skip
"""Faults of the statement; any other is one of the file that is read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query came to: the first rows, and whether there were more."""

    columns: tuple[str, ...]
    """Distinct: a second `n` is called `n_2`."""
    rows: list[tuple[Any, ...]]
    more: bool


def ask(manifest: Manifest, text: str, *, limit: int, seconds: float = SECONDS) -> Answer:
    """Return at most *limit* rows of the one query *text*; it is stopped after *seconds*.

    Raises UsageError for several statements, for anything but a query, and with DuckDB's own words for what
    cannot be answered.
    """
    try:
        return _run(manifest.connection, text, limit, seconds)
    except duckdb.InterruptException as error:
        raise UsageError(f"the query took more than {seconds:g} s and was stopped") from error
    except duckdb.OutOfMemoryException as error:
        raise UsageError("the query takes more memory than it may have; ask for less at a time") from error
    except _WRITTEN_WRONG as error:
        raise UsageError(sentence(error)) from error
    except duckdb.Error as error:
        try:
            manifest.heal(error)
        except StorageError:
            raise UsageError(sentence(error)) from error
    try:
        return _run(manifest.connection, text, limit, seconds)
    except duckdb.Error as error:
        raise UsageError(sentence(error)) from error


def columns(manifest: Manifest) -> list[tuple[str, str]]:
    """Return (table or view, its columns) of everything that can be asked, in alphabetical order."""
    text = (
        "select table_name, string_agg(column_name, ' ' order by column_index) from duckdb_columns() "
        "where schema_name = 'main' and database_name = current_database() and not internal "
        "and table_name not in ('meta', 'applied') group by 1 order by 1"
    )
    return [(str(name), str(names)) for name, names in _run(manifest.connection, text, 1_000, SECONDS).rows]


def sentence(error: duckdb.Error) -> str:
    """Return what DuckDB says, without the quotation of the statement, on one line."""
    told = str(error).split("\n\nLINE ")[0]
    return " ".join(told.split())


def _run(db: duckdb.DuckDBPyConnection, text: str, limit: int, seconds: float) -> Answer:
    statement = _one(db, text)
    with _read_only(db), _until(db, seconds):
        found = db.execute(statement)
        names = _distinct([column[0] for column in found.description or ()])
        rows = found.fetchmany(limit + 1)
    return Answer(names, rows[:limit], len(rows) > limit)


def _one(db: duckdb.DuckDBPyConnection, text: str) -> duckdb.Statement:
    statements = db.extract_statements(text)
    if len(statements) != 1:
        raise UsageError(f"one query at a time; there are {len(statements)} statements in this")
    if statements[0].type not in _READS:
        kind = statements[0].type.name.lower()
        raise UsageError(
            f"the record is only read here, and this is a statement of the kind {kind}", hint="select …"
        )
    return statements[0]


@contextmanager
def _read_only(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """A transaction in which a query that hides an insert fails."""
    db.execute("begin transaction read only")
    try:
        yield
    finally:
        db.rollback()


@contextmanager
def _until(db: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, db.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _distinct(names: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        number, other = 1, name
        while other in found:
            number += 1
            other = f"{name}_{number}"
        found.append(other)
    return tuple(found)
