"""The newest runs of the record that answer to a filter, with the counts of their jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any

from runner.manifest.journal import held
from runner.manifest.store import JOURNAL, Manifest

_PARTS = 12
"""Episodes from which one question about everything costs less than one about each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs; an empty text is any. *spec*: a path, a file name with or without ending, or a pattern.

    *state*: one of `run_state`, or `running`.
    """

    spec: str = ""
    state: str = ""
    realm: str = ""

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Whether *row*, a run, is of the spec and realm that are wanted."""
        if self.realm not in ("", row["realm"]):
            return False
        path = PurePath(row["spec"])
        return not self.spec or any(
            fnmatchcase(name, self.spec) for name in (str(path), path.name, path.stem)
        )


def newest(manifest: Manifest, wanted: Wanted, *, limit: int) -> list[dict[str, Any]]:
    """Return at most *limit* rows of `run_state`, newest first; counts jobs of these runs only.

    The state of a run that a process is writing at this moment is `running`. Beside the columns each has
    `gate` (the last verdict, `passed` or `tripped`, None without), `baseline` (whether it is the one that was
    accepted last for its spec and realm) and `pruned` (how many of its files were).
    """
    states: dict[str, str] = {}
    for row in manifest.query("heads"):
        if wanted.takes(row) and wanted.state in ("", state := _state(row, manifest.runs)):
            states[row["run"]] = state
        if len(states) == limit:
            break
    parts: dict[str, list[str]] = {}
    for name in states:
        parts.setdefault(name.rsplit("-", 2)[0], []).append(name)
    bounds = list(parts.values()) if len(parts) < _PARTS else [list(states)]
    found, told = (
        {row["run"]: row for part in bounds for row in manifest.query(query, first=min(part), last=max(part))}
        for query in ("runs_between", "told_between")
    )
    baselines = {row["run"] for row in manifest.query("baselines_now")}
    return [
        found[name] | {"state": state, **_since(told.get(name, {})), "baseline": name in baselines}
        for name, state in states.items()
    ]


def _since(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what came of a run after its end."""
    verdicts = {"true": "passed", "false": "tripped", None: None}
    return {"gate": verdicts[told.get("passed")], "pruned": told.get("pruned", 0)}


def _state(row: Mapping[str, Any], runs: Path) -> str:
    """Return the state of a run now; what has succeeded is looked at no more."""
    state = str(row["state"])
    return "running" if state != "succeeded" and held(runs / row["run"] / JOURNAL) else state
