"""Facts about a run that come after it: baseline, verified, repaired, pruned. Same format as the journal.

A note is never changed; what holds now is what the last note of a kind says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner import door
from runner.errors import RunLocked
from runner.manifest.journal import Journal, Line, Reading
from runner.manifest.store import NOTES


def add_note(folder: Path, kind: str, facts: Mapping[str, Any], *, at: float, wait_s: float = 10.0) -> None:
    """Write a note about the run in *folder*, durable on return; *at* in seconds since the epoch.

    Raises StorageError when it cannot be written, RecordDamaged when the notes before it are damaged, and
    RunLocked when another process writes notes for longer than *wait_s*.
    """
    journal = _open(folder / NOTES, folder.name, door.monotonic() + wait_s)
    try:
        journal.append({"t": "note", "at": at, "kind": kind, "facts": dict(facts)})
    finally:
        journal.close()


def read_notes(folder: Path) -> list[Line]:
    """Return every note about the run in *folder*, oldest first; raises RecordDamaged naming the line."""
    path = folder / NOTES
    return [line for line in Reading(path) if line["t"] == "note"] if path.is_file() else []


def _open(path: Path, run: str, until: float) -> Journal:
    while True:
        try:
            return Journal.resume(path)[0] if path.exists() else Journal.create(path, run=run)
        except RunLocked:
            if door.monotonic() >= until:
                raise
            door.pause(0.05)
