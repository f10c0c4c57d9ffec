"""The newest runs of the record that answer to a filter, with the counts of their jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any

from runner.manifest.store import Manifest

_PARTS = 12
"""Episodes from which one question about everything costs less than one about each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs; an empty text is any. *spec*: a path, a file name with or without ending, or a pattern."""

    spec: str = ""
    state: str = ""
    realm: str = ""

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Whether *row*, a run, is wanted."""
        if any(
            asked not in ("", row[name]) for name, asked in (("state", self.state), ("realm", self.realm))
        ):
            return False
        path = PurePath(row["spec"])
        return not self.spec or any(
            fnmatchcase(name, self.spec) for name in (str(path), path.name, path.stem)
        )


def newest(manifest: Manifest, wanted: Wanted, *, limit: int) -> list[dict[str, Any]]:
    """Return at most *limit* rows of `run_state`, newest first; counts jobs of these runs only."""
    names = [row["run"] for row in manifest.query("heads") if wanted.takes(row)][:limit]
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(name.rsplit("-", 2)[0], []).append(name)
    bounds = list(parts.values()) if len(parts) < _PARTS else [names]
    found = {
        row["run"]: row
        for part in bounds
        for row in manifest.query("runs_between", first=min(part), last=max(part))
    }
    return [found[name] for name in names]
