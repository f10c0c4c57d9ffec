"""Is a run what was recorded? Its journal's chain, and every file against its size and sha256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import RecordDamaged, StorageError
from runner.manifest.export import run_files
from runner.manifest.journal import Line, Reading
from runner.manifest.notes import read_notes
from runner.manifest.salvage import salvage
from runner.manifest.store import JOURNAL, NOTES


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file as the record has it; sizes in bytes."""

    path: str
    size: int
    sha256: str
    key: str = ""


@dataclass(slots=True)
class Findings:
    """What came of verifying one run. Paths are relative to its folder."""

    run: str
    files: int = 0
    """Files that were looked at."""
    size: int = 0
    pruned: int = 0
    damaged: list[str] = field(default_factory=list)
    """One sentence for each file of the record that cannot be trusted."""
    torn: list[str] = field(default_factory=list)
    """Files of the record whose last line was never finished."""
    missing: list[Recorded] = field(default_factory=list)
    changed: list[Recorded] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    """Files nobody recorded; that is no fault."""

    @property
    def sound(self) -> bool:
        """Whether everything recorded is there and is what it was."""
        return not (self.damaged or self.missing or self.changed)


def verify(folder: Path, *, quick: bool = False) -> Findings:
    """Return what is wrong with the run in *folder*; *quick* looks at sizes, else every byte is read.

    What was pruned is not missing. Nothing is changed. Raises StorageError when a file cannot be read.
    """
    found = Findings(folder.name)
    recorded = {each.path: each for each in _recorded(folder, found)}
    gone = _pruned(folder, found)
    for each in recorded.values():
        _look(folder, each, found, gone, quick=quick)
    found.extra = sorted(name for name in run_files(folder) if name not in recorded and not _ours(name))
    return found


def pruned_paths(notes: list[Line]) -> set[str]:
    """Return the paths that *notes* say were pruned."""
    return {path for note in notes if note["kind"] == "pruned" for path in note["facts"]["paths"]}


def _recorded(folder: Path, found: Findings) -> Iterator[Recorded]:
    """Yield the files the journal tells of; of a damaged one, what its whole lines tell."""
    reading = Reading(folder / JOURNAL)
    try:
        for line in reading:
            yield from _files(line)
    except RecordDamaged as error:
        found.damaged.append(str(error))
        for piece in salvage(folder / JOURNAL):
            yield from _files(json.loads(piece.body + b"}")) if piece.state == "proven" else ()
    if reading.torn:
        found.torn.append(JOURNAL)


def _files(line: Line) -> Iterator[Recorded]:
    if line["t"] == "input":
        yield Recorded(f"plan/inputs/{line['name']}", line["size"], line["name"].split(".")[0])
    if line["t"] in ("done", "reused"):
        for output in line["outputs"]:
            yield Recorded(output["path"], output["size"], output["sha256"], line["key"])


def _pruned(folder: Path, found: Findings) -> set[str]:
    try:
        return pruned_paths(read_notes(folder))
    except RecordDamaged as error:
        found.damaged.append(str(error))
        return set()


def _look(folder: Path, each: Recorded, found: Findings, gone: set[str], *, quick: bool) -> None:
    path = folder / each.path
    try:
        there = path.is_file() and not path.is_symlink()
        size = path.stat().st_size if there else -1
        if not there:
            if each.path in gone:
                found.pruned += 1
            else:
                found.missing.append(each)
            return
        found.files += 1
        found.size += size
        if size != each.size or not (quick or sha256_of(path) == each.sha256):
            found.changed.append(each)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ours(name: str) -> bool:
    """Whether *name* belongs to every run folder without being recorded as an output."""
    return name.startswith((JOURNAL, NOTES, "plan/")) or name == "run.json"


def facts_of(found: Findings, *, quick: bool) -> dict[str, Any]:
    """Return what a note keeps of *found*; long lists are cut at a hundred."""
    return {
        "sound": found.sound,
        "quick": quick,
        "files": found.files,
        "pruned": found.pruned,
        "damaged": found.damaged,
        "missing": [each.path for each in found.missing[:100]],
        "changed": [each.path for each in found.changed[:100]],
        "counts": [len(found.missing), len(found.changed), len(found.extra)],
    }
