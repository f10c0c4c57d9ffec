"""Whose record is damaged, and whether that stops what comes next: what a run made and nobody can read would
be rendered a second time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import RecordDamaged, StorageError
from runner.manifest.folder import head_of, is_of
from runner.manifest.salvage import is_whole
from runner.manifest.tables import LeftOut


@dataclass(frozen=True, slots=True)
class Asked:
    """The spec that is about to be run."""

    name: str
    """As the record names it."""
    path: Path


def refuse_damage(left_out: Sequence[LeftOut], runs: Path, asked: Asked) -> None:
    """Raise RecordDamaged where a run of the spec *asked* for has a record that `repair` can mend.

    A run whose journal the system does not let us read is StorageError. What no repair can change (a record
    of a newer animerun, a line that no table takes) costs its own run alone.
    """
    found = {each.run: each for each in stopping(left_out, runs, asked)}
    if not found:
        return
    where = "" if str(runs) == "runs" else f" --runs {runs}"
    which = f" {next(iter(found))}" if len(found) == 1 else ""
    told = "; ".join(str(each.error) for each in found.values())
    for each in found.values():
        if isinstance(each.error, StorageError):
            raise StorageError(told, hint=each.error.hint)
    made = "it has" if which else "they have"
    raise RecordDamaged(
        f"{told}; what {made} made would be rendered again, so nothing was begun",
        hint=f"animerun repair{which}{where}",
    )


def stopping(left_out: Sequence[LeftOut], runs: Path, asked: Asked) -> Iterator[LeftOut]:
    """Yield those of *left_out* that `refuse_damage` refuses."""
    for each in left_out:
        if is_of(runs, _head(runs, each.run), asked.name, asked.path) and _can_be_told(each):
            yield each


def _can_be_told(each: LeftOut) -> bool:
    return isinstance(each.error, StorageError) or not is_whole(each.path)


def _head(runs: Path, run: str) -> Mapping[str, Any]:
    """Return what *run* is: by its journal, else by its `run.json`, which was written from the same facts."""
    if head := head_of(runs, run):
        return head
    try:
        facts = json.loads((runs / run / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: str(value) for name, value in facts.items()} if isinstance(facts, dict) else {}
