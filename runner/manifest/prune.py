"""The files of old runs: which may go, and letting them go. Journals, notes and `plan/` always stay.

A run keeps its files while it is young, among the newest of its spec and realm, a baseline, not ended, or
being run. A file that was edited since stays too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from runner import door
from runner.errors import StorageError
from runner.manifest.folder import spec_lock
from runner.manifest.notes import add_note
from runner.manifest.store import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which runs are old: started before *before* (UTC, naive), and not among the newest *keep*."""

    before: datetime | None = None
    keep: int = 0


@dataclass(slots=True)
class Candidate:
    """A run whose files may go. Paths are relative to its folder."""

    run: str
    spec: str
    paths: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    """Recorded files that somebody changed; they stay."""
    size: int = 0
    """Bytes of *paths*."""
    freed: int = 0
    """Bytes the disk gets back; a file that another run shares gives none until that one goes too."""


def candidates(manifest: Manifest, rule: Rule) -> tuple[list[Candidate], dict[str, str]]:
    """Return the old runs that have files, oldest first, and run → why an old one keeps them."""
    baselines = {row["run"] for row in manifest.query("baselines")}
    old: list[Candidate] = []
    kept: dict[str, str] = {}
    for row in _old(manifest.query("heads"), rule):
        if row["run"] in baselines:
            kept[row["run"]] = "a baseline"
        elif row["state"] == "open":
            kept[row["run"]] = "not ended"
        elif (found := _candidate(manifest, row)).paths or found.edited:
            old.append(found)
    _count_freed(manifest.runs, old)
    return old[::-1], kept


def _old(newest_first: Sequence[Mapping[str, Any]], rule: Rule) -> Iterator[Mapping[str, Any]]:
    seen: Counter[tuple[str, str]] = Counter()
    for row in newest_first:
        seen[row["spec"], row["realm"]] += 1
        young = rule.before is not None and row["started"] >= rule.before
        if not young and seen[row["spec"], row["realm"]] > rule.keep:
            yield row


def _candidate(manifest: Manifest, row: Mapping[str, Any]) -> Candidate:
    found = Candidate(row["run"], row["spec"])
    folder = manifest.runs / row["run"]
    for output in manifest.query("outputs", run=row["run"]):
        size = _size(folder, output["path"])
        if size is None:
            continue
        if size == output["size"]:
            found.paths.append(output["path"])
            found.size += size
        else:
            found.edited.append(output["path"])
    return found


def _size(folder: Path, path: str) -> int | None:
    """Return the size of the plain file *path*, None when it is gone or does not lie in *folder*."""
    file = folder / path
    if file.is_symlink() or not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
        return None
    return file.stat().st_size


def _count_freed(runs: Path, old: Sequence[Candidate]) -> None:
    """A file's blocks come back with its last name."""
    names: Counter[tuple[int, int]] = Counter()
    for each in old:
        for path in each.paths:
            found = (runs / each.run / path).stat()
            names[found.st_dev, found.st_ino] += 1
            if names[found.st_dev, found.st_ino] == found.st_nlink:
                each.freed += found.st_size


def prune(runs: Path, old: Candidate, *, at: float) -> None:
    """Delete the files of *old* and note which, the note first; *at* in seconds since the epoch.

    Raises RunLocked while the run's spec is being run, StorageError when a file cannot be deleted.
    """
    folder = runs / old.run
    with spec_lock(runs, Path(old.spec)):
        add_note(folder, "pruned", {"size": old.size, "paths": old.paths}, at=at)
        try:
            for path in old.paths:
                door.unlink(folder / path)
            for place in {parent for path in old.paths for parent in Path(path).parents}:
                _remove_empty(folder, place)
        except OSError as error:
            raise StorageError(f"cannot delete {error.filename}: {error.strerror}") from error


def _remove_empty(folder: Path, place: Path) -> None:
    """Remove *place* and the folders above it as far as they are empty; never the run's own."""
    while place.parts and (folder / place).is_dir() and not any((folder / place).iterdir()):
        (folder / place).rmdir()
        place = place.parent
