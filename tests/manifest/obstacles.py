# ruff: noqa: E501 - a program in a line
"""What people and machines do to the index: each function leaves one thing in the way of a published file."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from runner.manifest.store import SCHEMA

_HOLD = "import duckdb, sys; db = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'ro'); db.execute(sys.argv[3]); print('open', flush=True); sys.stdin.read()"


def started(path: Path, statement: str = "create table mine as select 'kept' as note", mode: str = "rw") -> subprocess.Popen[str]:  # fmt: skip
    """Return a process that has *path* open, after it has executed *statement*."""
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path), mode, statement],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    return child


@contextmanager
def holding(path: Path, mode: str = "rw") -> Iterator[int]:
    """Another process has *path* open for as long as this; yields its pid."""
    child = started(path, "select 1", mode)
    try:
        yield child.pid
    finally:
        child.communicate()


def killed_holder(path: Path) -> None:
    """A process that wrote into *path* was killed: its log is left and fits the file."""
    child = started(path)
    child.kill()
    child.communicate()


def stray_log(path: Path) -> None:
    """The log of another state of the file lies beside it."""
    whole = path.read_bytes()
    with duckdb.connect(str(path)) as db:
        db.execute("create table other as select range from range(10)")
    killed_holder(path)
    path.write_bytes(whole)


def _checksum(block: bytes) -> int:
    """DuckDB 2.0 src/common/checksum.cpp, for blocks of whole words."""
    found = 5381
    for (word,) in struct.iter_unpack("<Q", block):
        found ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return found


def newer_format(path: Path) -> None:
    """A DuckDB of years to come wrote the file."""
    content = bytearray(path.read_bytes())
    assert content[8:12] == b"DUCK"
    struct.pack_into("<Q", content, 12, 9_999)
    struct.pack_into("<Q", content, 0, _checksum(bytes(content[8:4096])))
    path.write_bytes(content)


def newer_schema(path: Path) -> None:
    """An animerun of years to come wrote the file."""
    with duckdb.connect(str(path)) as db:
        db.execute("update meta set schema = 99")


def another_database(path: Path) -> None:
    """Somebody keeps a database of their own under that name."""
    path.unlink()
    with duckdb.connect(str(path)) as db:
        db.execute("create table mine as select 1 as a")


def a_folder(path: Path) -> None:
    """A folder has the name."""
    path.unlink()
    (path / "in the way").mkdir(parents=True)


def garbage(path: Path) -> None:
    """No byte of it is what it was."""
    path.write_bytes(b"\0garbage" * 3_000)


def sqlite(path: Path) -> None:
    """A database of SQLite, which DuckDB would fetch an extension for."""
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("create table mine (a)")
    db.close()


def without_jobs(path: Path) -> None:
    """Somebody dropped a table."""
    with duckdb.connect(str(path)) as db:
        for what in (
            "view run_state",
            "view run_head",
            "view current_outputs",
            "view job_state",
            "table jobs",
        ):
            db.execute(f"drop {what}")


def empty(path: Path) -> None:
    """Nothing is in it."""
    path.write_bytes(b"")


def cut(path: Path) -> None:
    """It was copied in half."""
    os.truncate(path, path.stat().st_size // 2)


SOMEBODYS: dict[str, tuple[Callable[[Path], None], str]] = {
    "stray log": (stray_log, "manifest.duckdb.wal was left by another program and does not fit manifest.duckdb"),
    "newer DuckDB": (newer_format, "was written by a newer DuckDB (storage version 9999, this one reads up to "),
    "newer animerun": (newer_schema, f"was written by a newer animerun (schema 99, this one knows {SCHEMA})"),
    "another database": (another_database, "is a database, but no index of animerun"),
    "a folder": (a_folder, "manifest.duckdb cannot be read ("),
}  # fmt: skip
"""What is not ours to replace, with what is said of it."""

OURS: dict[str, Callable[[Path], None]] = {
    "garbage": garbage,
    "sqlite": sqlite,
    "empty": empty,
    "cut": cut,
    "dropped": without_jobs,
}
"""What is of no use to anybody and is built again; it is kept all the same."""
