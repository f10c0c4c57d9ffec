"""What leaves: a run as one file, and the tables of the record as Parquet or CSV.

A run's file is a plain tar (pictures do not get smaller): names sorted, owners and modes fixed, every time
that of the run's start, so the same run gives the same bytes on every machine. It is not compressed: what it
unpacks to is never larger than itself.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import BinaryIO

import duckdb

from runner import door
from runner.errors import StorageError, UsageError
from runner.manifest.journal import Line, Reading
from runner.manifest.opening import literal
from runner.manifest.store import JOURNAL, NOTES, TABLES, VIEWS, Manifest

SUFFIX = ".animerun.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A run in one file. Sizes in bytes."""

    path: Path
    files: int
    size: int
    missing: tuple[str, ...] = ()
    """Recorded outputs that are not on disk, relative to the run's folder."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What a run's journal says that an export needs."""

    started: int
    outputs: frozenset[str]
    length: int
    """Bytes of whole lines."""


def export_run(folder: Path, target: Path, *, outputs: bool = True) -> Exported:
    """Write the run in *folder* into *target*, a new file; without *outputs* the record and `plan/` only.

    Hidden files, links and parts of files stay behind. Raises UsageError when *target* exists, RecordDamaged
    for a damaged journal, StorageError when it cannot be written.
    """
    if target.exists():
        raise UsageError(f"{target} exists already", hint="another name: --to FILE")
    record = _record(folder / JOURNAL)
    left = frozenset() if outputs else record.outputs
    names = [name for name in sorted(run_files(folder)) if name not in left]
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with door.File(part, "xb") as raw, BufferedWriter(raw) as file:
            _pack(file, folder, names, record)
            file.flush()
            raw.sync()
        door.rename(part, target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from error
    finally:
        door.unlink(part)
    missing = sorted(record.outputs - set(names)) if outputs else []
    return Exported(path=target, files=len(names), size=target.stat().st_size, missing=tuple(missing))


def output_paths(line: Line) -> Iterator[str]:
    """Yield the paths of the files that *line* of a journal records."""
    if line["t"] in ("done", "reused"):
        yield from (output["path"] for output in line["outputs"])


def _record(path: Path) -> _Record:
    started, outputs = 0, set[str]()
    reading = Reading(path)
    for line in reading:
        outputs.update(output_paths(line))
        if line["t"] == "run":
            started = int(line["at"])
    return _Record(started, frozenset(outputs), reading.position.offset)


def run_files(folder: Path) -> Iterator[str]:
    """Yield every plain file in a run's folder, hidden ones left out, but for `plan/`; relative, with `/`."""
    for place, folders, files in os.walk(folder):
        plan = Path(place, "_").relative_to(folder).parts[0] == "plan"
        folders[:] = [name for name in folders if plan or not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            if (plan or not name.startswith(".")) and not path.is_symlink() and path.is_file():
                yield path.relative_to(folder).as_posix()


def _pack(file: BinaryIO, folder: Path, names: list[str], record: _Record) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            with (folder / name).open("rb") as source:
                size = os.fstat(source.fileno()).st_size
                if name in (JOURNAL, NOTES):
                    # A line that is being written, or was never finished, is no part of the record.
                    size = record.length if name == JOURNAL else _whole(folder / name)
                tar.addfile(_member(f"{folder.name}/{name}", size, record.started), source)


def _whole(path: Path) -> int:
    reading = Reading(path)
    for _ in reading:
        pass
    return reading.position.offset


def _member(name: str, size: int, at: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, at, 0o644
    return member


def export_tables(
    runs: Path, target: Path, *, kind: str, run: str = ""
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Write every table and view into the folder *target* as *kind* (`parquet` or `csv`).

    Returns the rows of each, and what of the record could not be read. With *run* the rows of that run only.
    Texts of CSV files that a spreadsheet would take for a formula begin with `'`. Files of an earlier export
    are replaced, each as a whole. Raises StorageError.
    """
    counts: dict[str, int] = {}
    try:
        door.make_folder(target)
        with Manifest(runs, locked=False) as manifest:
            for table in (*TABLES, *VIEWS):
                counts[table] = _copy(manifest.connection, table, target, kind, run)
    except (OSError, duckdb.Error) as error:
        raise StorageError(f"cannot write into {target}: {error}") from error
    return counts, tuple(manifest.damaged)


def _copy(db: duckdb.DuckDBPyConnection, table: str, target: Path, kind: str, run: str) -> int:
    path, part = target / f"{table}.{kind}", target / f".{table}.{os.getpid()}.part"
    where = f" where run = {literal(run)}" if run else ""
    options = "format csv, header" if kind == "csv" else "format parquet, compression zstd"
    columns = _safe_columns(db, table) if kind == "csv" else "*"
    try:
        done = db.execute(f"copy (select {columns} from {table}{where}) to {literal(str(part))} ({options})")
        count = done.fetchone()
        door.rename(part, path)
    finally:
        door.unlink(part)
    return int(count[0]) if count else 0


def _safe_columns(db: duckdb.DuckDBPyConnection, table: str) -> str:
    """Return the columns of *table* for a spreadsheet: what would be a formula there is a text."""
    shown = []
    for name, kind, *_ in db.execute(f"describe {table}").fetchall():
        column = f'"{name}"'
        if kind in ("VARCHAR", "JSON"):
            formula = f"regexp_matches({column}, '^[-=+@\\t\\r]')"
            shown.append(f"case when {formula} then '''' || {column} else {column} end as {column}")
        else:
            shown.append(column)
    return ", ".join(shown)


def quoted_cell(text: str) -> str:
    """Return *text* for a CSV cell: one that a spreadsheet would run begins with `'`."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
