"""The manifest: a DuckDB index over all journals, and how it is kept, published and read.

The writer owns `runs/.index/live.duckdb` while it holds `runs/.index/apply.lock`, reads what the journals
hold beyond the offsets it knows, and publishes `runs/manifest.duckdb` by checkpoint, copy and rename.
Readers open the published file read-only and fold in what the journals hold beyond it. Nothing here is the
truth: without a published file that can be opened (`opening.py`) a reader answers from the journals alone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from runner import beneath, door, locks, system
from runner.errors import RecordDamaged, StorageError
from runner.manifest.journal import Position
from runner.manifest.opening import (
    SCHEMA,
    Opening,
    Place,
    Private,
    Published,
    attach,
    literal,
    log_of,
    other_schema,
    private,
    put_aside,
    replaceable,
)
from runner.manifest.tables import (
    JOURNAL,
    LOCKED_DOWN,
    NOTES,
    TABLES,
    VIEWS,
    LeftOut,
    create,
    forget,
    journals,
    positions,
    queries,
    schema_parts,
    size_of,
    take,
    try_out,
)

__all__ = [
    "JOURNAL", "NOTES", "PUBLISHED", "SCHEMA", "TABLES", "VIEWS", "LeftOut", "Manifest", "Report", "journals",
    "keep_up", "refresh", "try_out",
]  # fmt: skip
PUBLISHED = "manifest.duckdb"


@dataclass(frozen=True, slots=True)
class Report:
    """What a refresh did: runs read, and one sentence for each journal that had to be left out."""

    applied: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    """What stood in the way of the index itself, and what was done about it; a sentence each."""
    published: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything a person should hear of it."""
        return (*self.damaged, *self.index)


def _lock_down(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("set enable_external_access = false")
    db.execute("set lock_configuration = true")


def _open(path: Path) -> duckdb.DuckDBPyConnection | Private:
    """Open the live index; a missing, unreadable or older one is started afresh.

    One that another program has open, or that may not be read, is left alone: `Private` says why. Raises
    RecordDamaged for one of a newer animerun.
    """
    fresh = not path.exists()
    db: duckdb.DuckDBPyConnection | None = None
    try:
        db = duckdb.connect(str(path), config=LOCKED_DOWN | {"memory_limit": "256MB"})
        if fresh:
            create(db)
        found = db.execute("select schema from meta").fetchone()
        if found == (SCHEMA,):
            db.execute("set enable_progress_bar = false")
            return db
        db.close()
        other = other_schema(path, found[0] if found else None)
        if other.cause == "newer":
            raise RecordDamaged(other.fact)
    except duckdb.Error as error:
        # One left open would be what the next `connect` gives, whatever lies under that name by then.
        if db is not None:
            db.close()
        if fresh:
            raise
        if (why := private(path, error)).cause in ("held", "unreadable"):
            return why
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
    with beneath.open_private(folder / "apply.lock") as lock:
        while True:
            try:
                locks.take_at_once(lock.fileno())
            except BlockingIOError:
                if door.monotonic() >= until:
                    yield False
                    return
                door.pause(0.05)
            else:
                yield True
                return


def refresh(runs: Path, *, wait_s: float = 10.0, anew: bool = False, asked: bool = False) -> Report | None:
    """Bring the index up to date with every journal and publish it; *anew* starts from nothing.

    Returns what was done, or None when another process kept the index for *wait_s* (it will publish).
    A damaged index is moved aside and built again; one that is not ours to replace is put aside when that was
    *asked* for, else it stays. Raises StorageError when the index cannot be written; the journals are not
    touched.
    """
    folder = runs / ".index"
    live = folder / "live.duckdb"
    try:
        for path in (live, log_of(live), runs / PUBLISHED, log_of(runs / PUBLISHED)):
            beneath.check(path)
        with _apply_lock(folder, wait_s=wait_s) as mine:
            if not mine:
                return None
            if anew and (held := _holder_of(live)):
                return Report(index=(held.reason,))
            if anew:
                door.unlink(live)
                door.unlink(log_of(live))
            try:
                return _bring_up(live, runs, asked=asked)
            except duckdb.Error:
                # Damage in a file of DuckDB may show only when the page concerned is read.
                _move_aside(live)
                return _bring_up(live, runs, asked=asked)
    except (OSError, duckdb.Error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise StorageError(f"cannot write the manifest in {runs}: {why}") from error


def keep_up(runs: Path, *, wait_s: float = 10.0) -> Report | None:
    """Do what `refresh` does; what stands in its way is told and raises nothing: the journals have it all."""
    try:
        return refresh(runs, wait_s=wait_s)
    except (StorageError, RecordDamaged) as error:
        told = f"{error}; the record itself is whole, animerun repair builds the index again"
        return Report(index=(told,))


def _holder_of(live: Path) -> Private | None:
    """Return who has the live index open, None when nobody has."""
    if not live.is_file():
        return None
    try:
        duckdb.connect(str(live), read_only=True, config=LOCKED_DOWN).close()
    except duckdb.Error as error:
        return found if (found := private(live, error)).cause == "held" else None
    return None


def _bring_up(live: Path, runs: Path, *, asked: bool) -> Report:
    db = _open(live)
    if isinstance(db, Private):
        return Report(index=(db.reason,))
    target = runs / PUBLISHED
    try:
        report = _apply_all(db, runs)
        db.execute("checkpoint")
        found = attach(db, target, "published")
    finally:
        db.close()
    kept = replaceable(found, target)
    if kept is not None and (kept.cause == "held" or not asked):
        return replace(report, index=(kept.reason,))
    said = _publish(live, target, spoilt=kept or found)
    return replace(report, index=said or (), published=said is not None)


def _apply_all(db: duckdb.DuckDBPyConnection, runs: Path) -> Report:
    known = positions(db)
    everything = list(journals(runs))
    for run in {run for run, _ in known} - {run for run, _ in everything}:
        forget(db, run)
    applied: dict[str, bool] = {}
    damaged = []
    for run, path in everything:
        start = known.get((run, path.name), Position())
        if applied.get(run) or size_of(path) == start.offset:
            continue
        try:
            applied[run] = take(db, run, path, start)
        except (RecordDamaged, StorageError) as error:
            damaged.append(str(LeftOut(run, path, error)))
    return Report(tuple(applied), tuple(damaged))


def _publish(live: Path, target: Path, *, spoilt: Opening) -> tuple[str, ...] | None:
    """Put a copy of *live* in the place of *target*; return what there is to say of it.

    None: it is read at this moment, where a file that is open keeps its name (Windows). A *spoilt* file is
    not deleted but put aside: it may be somebody's.
    """
    parts = f".{target.name}.*.part"
    for left in target.parent.glob(parts):
        # Of a killed process: who publishes has the lock.
        door.unlink(left)
    part = target.with_name(f"{beneath.fresh_name(f'.{target.name}.')}.part")
    try:
        door.effect("copy")
        with beneath.open_regular(live) as source, door.File(part, "xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            file.sync()
        aside = ""
        if isinstance(spoilt, Private) and spoilt.cause not in ("absent", "older"):
            aside = put_aside(target)
        door.rename(part, target)
    except PermissionError as error:
        if not system.busy(error):
            raise
        return None
    finally:
        door.unlink(part)
    if not isinstance(spoilt, Private) or not aside:
        return ()
    return (f"{spoilt.fact}; it is kept as {aside}, and {target.name} was built again from the journals",)


class Manifest:
    """A reader: the published index with what the journals hold beyond it. Never blocks a run.

    Where the published index cannot be opened, everything is read from the journals. With *locked* False the
    connection may write files; for our own statements only. Raises StorageError.
    """

    def __init__(self, runs: Path, *, locked: bool = True) -> None:
        self.runs = runs
        self.left_out: list[LeftOut] = []
        """Runs whose record cannot be read."""
        self.index: tuple[str, ...] = ()
        """Why the published index is not read, one sentence or none."""
        self._locked = locked
        self._healed = False
        self._db = self._open()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    @property
    def damaged(self) -> list[str]:
        """What a person should hear before the answers: a sentence each."""
        return [*self.index, *map(str, self.left_out)]

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
        while True:
            try:
                done = self._db.execute(queries()[name], values or None)
                return [column[0] for column in done.description or ()], done.fetchall()
            except duckdb.Error as error:
                self.heal(error)

    def heal(self, error: duckdb.Error) -> None:
        """Go on after *error* in the published file: build it again where we may, else read the journals.

        The second time, or when no such file is read, the fault is not one of the file: StorageError.
        """
        if self._healed or isinstance(error, (duckdb.OutOfMemoryException, duckdb.InterruptException)):
            raise StorageError(f"the record in {self.runs} cannot be read: {error}") from error
        self._db.close()
        self._db = self._without(private(self.runs / PUBLISHED, error))

    def _open(self) -> duckdb.DuckDBPyConnection:
        path = self.runs / PUBLISHED
        try:
            db, found = self._build(published=True)
        except duckdb.Error as error:
            return self._without(private(path, error))
        if isinstance(found, Private) and found.cause == "damaged":
            db.close()
            return self._without(found)
        if isinstance(found, Private):
            self._healed, self.index = True, (found.reason,) if found.reason else ()
        return db

    def _without(self, found: Private) -> duckdb.DuckDBPyConnection:
        """Return a connection that does not read the published file as it was *found*."""
        self._healed = True
        again = found.cause == "damaged" and self._built_again()
        if found.cause == "damaged":
            what = "built again from them" if again else "left aside"
            self.index = (f"{found.fact}; the journals have everything, and it was {what}",)
        else:
            self.index = (found.reason,)
        if again:
            with suppress(duckdb.Error):
                return self._build(published=True)[0]
        try:
            return self._build(published=False)[0]
        except duckdb.Error as error:
            raise StorageError(f"the record in {self.runs} cannot be read: {error}") from error

    def _built_again(self) -> bool:
        try:
            report = refresh(self.runs, wait_s=0.0, anew=True)
            return report is not None and report.published
        except (StorageError, RecordDamaged):
            return False

    def _build(self, *, published: bool) -> tuple[duckdb.DuckDBPyConnection, Opening]:
        self.left_out.clear()
        db = duckdb.connect(":memory:", config=LOCKED_DOWN | {"temp_directory": ""})
        try:
            db.execute("set enable_progress_bar = false")
            path = self.runs / PUBLISHED
            found = attach(db, path, "published") if published else Private("absent", path)
            known = found.applied if isinstance(found, Published) else {}
            if known and self._has_all(known):
                db.execute("use published")
                # A table that is missing is a damage of the file, and no mistake of who asks for it.
                db.execute(f"select 1 from {', '.join(TABLES)} limit 0")
            else:
                self._add_news(db, known)
            if self._locked:
                _lock_down(db)
        except BaseException:
            db.close()
            raise
        return db, found

    def _has_all(self, known: Mapping[Place, Position]) -> bool:
        """Return whether the journals hold nothing beyond what is *known*."""
        sizes = {(run, path.name): size_of(path) for run, path in journals(self.runs)}
        return sizes == {place: position.offset for place, position in known.items()}

    def _add_news(self, db: duckdb.DuckDBPyConnection, known: Mapping[Place, Position]) -> None:
        """Give *db* the tables and views, with what the journals hold beyond what is *known*."""
        tables, views = schema_parts()
        db.execute(f"create schema fresh; use fresh; {tables}")
        if not known:
            _allow_spilling(db)
        replaced = self._fold(db, known)
        db.execute("use main")
        _union(db, replaced, published=bool(known))
        db.execute(views)

    def _fold(self, db: duckdb.DuckDBPyConnection, known: Mapping[Place, Position]) -> set[str]:
        """Read what the published file does not have; return the runs of which it is to show nothing."""
        everything = list(journals(self.runs))
        hidden = {run for run, _ in known} - {run for run, _ in everything}
        for run, path in everything:
            start = known.get((run, path.name), Position())
            if run in hidden or size_of(path) == start.offset:
                continue
            try:
                if take(db, run, path, start):
                    hidden.add(run)
            except StorageError as error:
                # What is known of it from earlier stays.
                self.left_out.append(LeftOut(run, path, error))
            except RecordDamaged as error:
                self.left_out.append(LeftOut(run, path, error))
                hidden.add(run)
                forget(db, run)
        return hidden


def _allow_spilling(db: duckdb.DuckDBPyConnection) -> None:
    """Let what is read from all journals outgrow the memory.

    DuckDB makes the folder when it needs it, and takes it away when it is closed.
    """
    with suppress(FileNotFoundError):  # there is no place for temporary files
        folder = Path(tempfile.gettempdir()) / f"animerun-{os.urandom(8).hex()}"
        db.execute(f"set temp_directory = {literal(str(folder))}")


def _union(db: duckdb.DuckDBPyConnection, hidden: set[str], *, published: bool) -> None:
    """Show the rows read now behind the published ones, those of *hidden* runs left out."""
    names = ", ".join(map(literal, sorted(hidden)))
    where = f" where run not in ({names})" if names else ""
    for table in TABLES:
        old = f" union all select * from published.{table}{where}" if published else ""
        db.execute(f"create view {table} as select * from fresh.{table}{old}")
