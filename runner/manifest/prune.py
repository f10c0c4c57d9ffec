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
from runner.domain import Output
from runner.errors import StorageError
from runner.manifest.folder import head_of, spec_lock, spec_of
from runner.manifest.notes import add_note
from runner.manifest.store import Manifest
from runner.relink import intact


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
    outputs: list[Output] = field(default_factory=list, repr=False)
    """What was recorded of *paths*."""

    def facts(self) -> dict[str, Any]:
        """Return what people are told: plain data."""
        names = ("run", "spec", "paths", "edited", "size", "freed")
        return {name: getattr(self, name) for name in names}


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
    found.outputs = [Output(**output) for output in manifest.query("recorded_outputs", run=row["run"])]
    _look(manifest.runs / row["run"], found)
    return found


def _look(folder: Path, found: Candidate) -> None:
    """Keep of the outputs of *found* those whose files are in *folder* as recorded."""
    there = [output for output in found.outputs if _plain(folder, output.path)]
    edited = {output.path for output in there if intact(folder, (output,))}
    found.edited += sorted(edited)
    found.outputs = [output for output in there if output.path not in edited]
    found.paths = [output.path for output in found.outputs]
    found.size = sum(output.size for output in found.outputs)


def _plain(folder: Path, path: str) -> bool:
    """Return whether *path* is a plain file that lies in *folder*."""
    file = folder / path
    return not file.is_symlink() and file.resolve().is_relative_to(folder.resolve()) and file.is_file()


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

    What was edited since it was looked at stays, and *old* says so afterwards.

    Raises RunLocked while the run's spec is being run, StorageError when a file cannot be deleted.
    """
    folder = runs / old.run
    # Of a run whose journal is damaged, the name as the index has it.
    with spec_lock(runs, spec_of(runs, {"spec": old.spec, **head_of(runs, old.run)})):
        _look(folder, old)
        add_note(folder, "pruned", {"size": old.size, "paths": old.paths}, at=at)
        try:
            for output in old.outputs:
                if _plain(folder, output.path) and not intact(folder, (output,)):
                    door.unlink(folder / output.path)
            for place in {parent for path in old.paths for parent in Path(path).parents}:
                _remove_empty(folder, place)
        except OSError as error:
            raise StorageError(f"cannot delete {error.filename}: {error.strerror}") from error


def _remove_empty(folder: Path, place: Path) -> None:
    """Remove *place* and the folders above it as far as they are empty; never the run's own."""
    while place.parts and (folder / place).is_dir() and not any((folder / place).iterdir()):
        (folder / place).rmdir()
        place = place.parent
