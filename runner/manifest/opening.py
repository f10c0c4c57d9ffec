"""Opening a file of the index: everything that can stand in its way, told apart in one place.

The journals hold all that the index holds, so nothing here ends a command: a reader that finds `Private`
reads the journals, a writer that finds it publishes another time. A file that another program has open or
left a log for, that a newer version wrote, or that is not ours, is never replaced unasked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import duckdb

from runner import door
from runner.manifest.journal import Position

SCHEMA = 3
Place = tuple[str, str]
"""(run, name of the file in its folder)."""
Cause = Literal["absent", "held", "log", "newer", "foreign", "unreadable", "older", "damaged"]
OURS: tuple[Cause, ...] = ("absent", "older", "damaged")
"""Causes for which a file is replaced unasked: it is our own and of no use any more."""

# DuckDB 2.0.1 names the holder of a lock so on Linux and macOS; on Windows it lists `NAME (PID n)` lines.
_HELD = re.compile(r"Conflicting lock is held|being used by another process|File is already open in")
_HOLDER = re.compile(r"(?:held in |\n)(?P<name>[^\n]*?) ?\(PID (?P<pid>\d+)\)")
_VERSION = re.compile(r"version number (\d+), but we can only read .*?(\d+) and (\d+)")
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Published:
    """The file is open and is an index of this version."""

    applied: Mapping[Place, Position] = field(default_factory=dict)
    """How far each journal was read into it."""


@dataclass(frozen=True, slots=True)
class Private:
    """The file cannot be used: what is asked is answered from the journals alone."""

    cause: Cause
    path: Path
    fact: str = ""
    """What is wrong, as the beginning of a sentence; empty where there is nothing to say."""

    @property
    def reason(self) -> str:
        """One sentence for a person: what is wrong, what follows from it and what to do; may be empty."""
        if not self.fact:
            return ""
        does = "it is left as it is, and the journals, which have everything, are read instead"
        if self.cause == "held":
            return f"{self.fact}: {does}; the index is brought up to date after it is closed there"
        return f"{self.fact}: {does}; animerun repair puts it aside and builds a new one"


Opening = Published | Private


def log_of(path: Path) -> Path:
    """Return where DuckDB keeps the write-ahead log of the database *path*."""
    return path.with_name(path.name + ".wal")


def attach(db: duckdb.DuckDBPyConnection, path: Path, name: str) -> Opening:
    """Attach the index *path* to *db* as *name*, read-only; after `Private` nothing of it is attached."""
    try:
        path.stat()
    except FileNotFoundError:
        return Private("absent", path)
    except OSError as error:
        return Private("unreadable", path, f"{path} cannot be read ({error.strerror})")
    try:
        # Without a type DuckDB takes a file of SQLite for one and asks the network for an extension.
        db.execute(f"attach {literal(str(path))} as {name} (read_only, type duckdb)")
    except duckdb.Error as error:
        return private(path, error)
    try:
        found = _read(db, path, name)
    except duckdb.CatalogException:
        found = Private("foreign", path, f"{path} is a database, but no index of animerun")
    except duckdb.Error as error:
        found = private(path, error)
    if isinstance(found, Private):
        db.execute(f"detach {name}")
    return found


def _read(db: duckdb.DuckDBPyConnection, path: Path, name: str) -> Opening:
    found = db.execute(f"select schema from {name}.meta").fetchone()
    if found != (SCHEMA,):
        return other_schema(path, found[0] if found else None)
    rows = db.execute(f'select run, file, "offset", line, "check" from {name}.applied').fetchall()
    return Published({(run, file): Position(offset=at, line=n, check=c) for run, file, at, n, c in rows})


def other_schema(path: Path, schema: int | None) -> Private:
    """Return what an index of another *schema* than ours is; None = it has none yet."""
    if schema is not None and schema > SCHEMA:
        fact = f"{path} was written by a newer animerun (schema {schema}, this one knows {SCHEMA})"
        return Private("newer", path, fact)
    return Private("older", path)


def private(path: Path, error: duckdb.Error) -> Private:
    """Return why *path* cannot be used, from the *error* that DuckDB raised when it was opened or read."""
    said = str(error)
    if _HELD.search(said):
        return Private("held", path, f"{path} is open in another program ({_holder(said, path)})")
    if trouble := _unreadable(path):
        return Private("unreadable", path, f"{path} cannot be read ({trouble})")
    if _log_is_left(path) and "WAL" in said:
        fact = f"{log_of(path)} was left by another program and does not fit {path.name}"
        return Private("log", path, fact)
    if (found := _VERSION.search(said)) and int(found[1]) > int(found[3]):
        versions = f"storage version {found[1]}, this one reads up to {found[3]}"
        return Private("newer", path, f"{path} was written by a newer DuckDB ({versions})")
    if "Could not set lock" in said:
        # The file system keeps no locks, or none are left.
        return Private("unreadable", path, f"{path} cannot be locked ({said.splitlines()[0]})")
    return Private("damaged", path, f"{path} was damaged ({type(error).__name__})")


def _holder(said: str, path: Path) -> str:
    """Return who holds *path*: its pid and its command, as far as DuckDB and the system tell it.

    A lock that was taken on another machine has a number of that machine, or none: nobody is to end a process
    of this one for it.
    """
    found = _HOLDER.search(said)
    if found is None or found["pid"] == "0":
        return "its holder is unknown"
    opens = _opens(found["pid"], path)
    if opens is None:
        return f"pid {found['pid']}" + (f": {name}" if (name := found["name"].strip()) else "")
    if not opens:
        return f"its holder is not on this machine, or in a container; there its pid is {found['pid']}"
    return f"pid {found['pid']}: {_command(found['pid'])}"


def _opens(pid: str, path: Path) -> bool | None:
    """Return whether the process *pid* has *path* open; None where that cannot be told."""
    process = Path("/proc") / pid
    if not Path("/proc/self/fd").exists():
        return None
    if not process.exists():
        return False
    try:
        asked, files = path.stat(), list((process / "fd").iterdir())
    except OSError:
        return None
    for each in files:
        with suppress(OSError):  # closed meanwhile
            if os.path.samestat(each.stat(), asked):
                return True
    return False


def _command(pid: str) -> str:
    """Return the command line of a process of this machine, cut short; empty where it cannot be told."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    text = raw.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _unreadable(path: Path) -> str:
    """Return why the system does not let us read *path*, empty when it does."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _log_is_left(path: Path) -> bool:
    try:
        return log_of(path).stat().st_size > 0
    except OSError:
        return False


def replaceable(found: Opening, path: Path) -> Private | None:
    """Return why the published file *path*, opened as *found*, may not be replaced unasked; None = it may."""
    if isinstance(found, Private) and found.cause not in OURS:
        return found
    if _log_is_left(path):
        # To put another file beside it would make both unreadable.
        return Private("log", path, f"{log_of(path)} was left by a program that did not close the index")
    return None


def put_aside(path: Path) -> str:
    """Give *path* and its log names under which DuckDB still opens them together; return that of the file.

    Empty when neither is there. Raises OSError.
    """
    if not path.exists() and not log_of(path).exists():
        return ""
    target = next(name for name in _names(path) if not name.exists() and not log_of(name).exists())
    for old, new in ((path, target), (log_of(path), log_of(target))):
        if old.exists():
            door.rename(old, new)
    return target.name


def _names(path: Path) -> Iterator[Path]:
    stamp = f"{door.utc():%Y%m%dT%H%M%SZ}"
    yield path.with_name(f"{path.name}.aside-{stamp}")
    yield from (path.with_name(f"{path.name}.aside-{stamp}-{number}") for number in range(2, 1_000))


def literal(text: str) -> str:
    """Return *text* as an SQL literal, for the statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"
