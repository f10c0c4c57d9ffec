"""The folder of a run and the locks round it: what must be on disk before the first submission.

runs/<run>/journal.jsonl   the truth
runs/<run>/run.json        what was asked: spec, scope, versions
runs/<run>/plan/           the spec, its includes, the templates and inputs, frozen
runs/<run>/…               the outputs, under their deliver names
runs/.index/locks/         one lock per spec path; it frees itself when its holder dies
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from runner import beneath, door, locks
from runner.errors import RecordDamaged, RunLocked, StorageError
from runner.manifest.journal import Reading


def run_name(episode: str, now: datetime, token: str) -> str:
    """Return a readable, sortable run id; *token* is four hex digits."""
    return f"{episode}-{now:%Y%m%dT%H%M%SZ}-{token}"


def probe(runs: Path) -> None:
    """Write, sync, rename and delete a file under *runs*; raises StorageError naming what failed."""
    target = runs / beneath.fresh_name(".probe-")
    step = "create the folder"
    try:
        door.make_folder(runs)
        step = "write a file in"
        with door.File(target, "xb") as file:
            file.write(b"animerun")
            file.sync()
        step = "rename a file in"
        renamed = target.with_name(target.name + "-renamed")
        door.rename(target, renamed)
        step = "delete a file in"
        door.unlink(renamed)
    except OSError as error:
        raise StorageError.of(step, runs, error) from error


def write_durably(path: Path, content: bytes) -> None:
    """Write *path* so that after a crash it holds all of *content* or does not exist."""
    part = path.with_name(f".{path.name}.part")
    try:
        door.make_folder(path.parent)
        with door.File(part, "wb") as file:
            file.write(content)
            file.sync()
        door.rename(part, path)
        door.sync_folder(path.parent)
    except OSError as error:
        raise StorageError.of("write", path, error) from error


def create(runs: Path, run: str, *, facts: Mapping[str, Any], frozen: Mapping[str, bytes]) -> Path:
    """Return the new folder of *run* with `run.json` and the *frozen* files under `plan/`, all durable."""
    folder = runs / run
    try:
        if folder.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        door.make_folder(folder)
    except OSError as error:
        raise StorageError.of("create", folder, error) from error
    for name, content in frozen.items():
        write_durably(folder / "plan" / name, content)
    write_durably(folder / "run.json", json.dumps(facts, ensure_ascii=False, indent=1).encode() + b"\n")
    return folder


def seen_from(runs: Path, spec: Path) -> str:
    """Return the path of *spec* from *runs*, which stays the same when both are moved together; with `/`."""
    place = spec.resolve()
    try:
        return Path(os.path.relpath(place, runs.resolve())).as_posix()
    except ValueError:  # Windows: another drive
        return place.as_posix()


def spec_of(runs: Path, head: Mapping[str, Any]) -> Path:
    """Return the spec of the run that *head* tells of: where it was, else its name in the working folder."""
    path = os.path.normpath(runs.resolve() / head.get("spec_path", ""))
    return Path(path) if os.path.isfile(path) else Path(head["spec"])  # noqa: PTH113 - names no file can have


def head_of(runs: Path, run: str) -> Mapping[str, Any]:
    """Return the line that says what *run* is, empty where its journal has none that can be read."""
    with suppress(RecordDamaged, StorageError):
        return next((line for line in Reading(runs / run / "journal.jsonl") if line["t"] == "run"), {})
    return {}


def is_of(runs: Path, head: Mapping[str, Any], name: str, path: Path | None = None) -> bool:
    """Return whether the run with *head* is a run of the spec *name*, which is the file *path* now.

    *name* is the path from the project folder (`spec.name_in_project`). A spec that is still where the run
    found it decides by the file itself, however it was spelled. Otherwise the recorded name decides; runs of
    before it was relative to the project folder recorded the path as it was typed.
    """
    recorded = str(head.get("spec", ""))
    if path is None:
        return recorded == name
    found = Path(os.path.normpath(runs.resolve() / head.get("spec_path", "")))
    if found.is_file():
        return found.resolve() == path.resolve()
    return recorded == name or Path(recorded).resolve() == path.resolve()


@contextmanager
def spec_lock_after_probe(runs: Path, spec: Path) -> Iterator[int]:
    """Hold the lock of *spec*, with *runs* proven writable. A lock held by another is told first."""
    if not runs.is_dir():
        probe(runs)
    with spec_lock(runs, spec) as seen:
        probe(runs)
        yield seen


@contextmanager
def spec_lock(runs: Path, spec: Path) -> Iterator[int]:
    """Hold the one right to run *spec* into *runs*; raises RunLocked naming the holder.

    However the path is written, it is one spec: links are followed first. Yields what `lock_seen` would have
    returned just before.
    """
    path = _lock_of(runs, spec)
    folder = path.parent
    try:
        door.make_folder(folder)
        file = beneath.open_private(path)
    except OSError as error:
        raise StorageError.of("write in", folder, error) from error
    with file:
        try:
            locks.take(file.fileno())
        except BlockingIOError:
            file.seek(0)
            raise RunLocked(
                f"{spec} is being run by another process ({file.read().strip() or 'unknown'})",
                hint="--wait-lock waits for it; or give another folder: --runs DIR",
            ) from None
        except OSError as error:
            raise StorageError.of("lock", folder, error) from error
        seen = os.fstat(file.fileno()).st_mtime_ns if file.tell() else 0
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}, since {door.utc():%Y-%m-%d %H:%M:%S} UTC")
        with suppress(OSError):  # on a full disk nobody is told who holds it
            file.flush()
        try:
            yield seen
        finally:
            with suppress(OSError):  # only a sign for `lock_seen`
                os.utime(path)


def lock_seen(runs: Path, spec: Path) -> int:
    """Return a number that is another one as soon as a process has taken or left the lock of *spec* since.

    0 = nobody ever had it, -1 = somebody has it now and may leave it at any moment.
    """
    try:
        with beneath.open_regular(_lock_of(runs, spec)) as file:
            return -1 if locks.held(file.fileno()) else os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return 0


def _lock_of(runs: Path, spec: Path) -> Path:
    name = hashlib.sha256(str(spec.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return runs / ".index" / "locks" / name
