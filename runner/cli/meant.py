"""Which run a person means, told from the folders alone: it works when an index or a journal does not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from runner.cli.console import counted
from runner.errors import UsageError
from runner.text.nearest import did_you_mean


def run_names(runs: Path) -> list[str]:
    """Return the names of all run folders, newest first."""
    from runner.manifest.store import journals

    return sorted({run for run, _ in journals(runs)}, key=lambda run: _age(runs, run), reverse=True)


def _age(runs: Path, run: str) -> tuple[str, int, str]:
    """Return when *run* began: by its name, within one second by the file that is written first."""
    found = re.search(r"-(\d{8}T\d{6}Z)-", run)
    try:
        written_ns = (runs / run / "run.json").stat().st_mtime_ns
    except OSError:
        written_ns = 0
    return (found[1] if found else "", written_ns, run)


def meant_run(names: Sequence[str], asked: str, runs: Path) -> str:
    """Return the run meant by *asked*: empty = the newest, -1, -2 … from the end, a unique beginning,
    or its last four digits.

    Raises UsageError naming what is near.
    """
    if not names:
        raise UsageError(f"there are no runs in {runs}/ yet", hint="animerun SPEC.yaml")
    if asked in names:
        return asked
    if not asked or re.fullmatch(r"-\d+", asked):
        place = int(asked or "-1")
        if not -len(names) <= place < 0:
            raise UsageError(f"there are only {counted(len(names), 'run')}", hint="animerun list")
        return names[-place - 1]
    found = [name for name in names if name.startswith(asked)]
    found = found or [name for name in names if name.endswith(f"-{asked}")]
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} runs begin with {asked}: {', '.join(found[:5])}", hint="animerun list"
        )
    if not found:
        raise UsageError(f"there is no run {asked}{did_you_mean(asked, names)}", hint="animerun list")
    return found[0]
