"""`animerun verify`: are the files of a run what was recorded?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner import door
from runner.cli.console import counted, emit, say, tell
from runner.cli.meant import meant_run, run_names
from runner.cli.options import TakesRuns, json_option, make_settings, runs_option
from runner.errors import RecordDamaged, RunLocked, StorageError

_SHOWN = 20


@click.command(name="verify", cls=TakesRuns)
@click.argument("run", required=False, default="")
@click.option("--all", "everything", is_flag=True, help="Every run.")
@click.option("--quick", is_flag=True, help="Compare sizes only, read no picture.")
@runs_option
@json_option
def command(run: str, everything: bool, quick: bool, runs: Path | None, as_json: bool) -> int:
    """Check the journal of RUN (default: the newest) and every file it recorded; 7 when one is wrong.

    What was found is noted in the run's notes. Files that nobody recorded are told, and are no fault.
    """
    settings = make_settings(runs=runs)
    from runner.manifest.verify import facts_of, verify

    names = run_names(settings.runs)
    wrong = 0
    for name in names if everything and not run else [meant_run(names, run, settings.runs)]:
        folder = settings.runs / name
        found = verify(folder, quick=quick)
        wrong += not found.sound
        _note(folder, facts_of(found, quick=quick))
        if as_json:
            emit(_machine(found))
        else:
            _tell(found, settings.runs, quick=quick)
    return RecordDamaged.exit_code if wrong else 0


def _note(folder: Path, facts: dict[str, Any]) -> None:
    """Keep the result; a folder that is read-only, or whose notes are damaged, was verified all the same."""
    from runner.manifest.notes import add_note

    try:
        add_note(folder, "verified", facts, at=door.now())
    except (StorageError, RecordDamaged, RunLocked) as error:
        say(f"warning: the result is not noted: {error}")


def _tell(found: Any, runs: Path, *, quick: bool) -> None:
    for sentence in found.damaged:
        say(f"damaged  {sentence}")
    for each, word in [(e, "missing") for e in found.missing] + [(e, "changed") for e in found.changed]:
        tell(f"{word}  {each.path}" + (f"  ({each.key})" if each.key else ""))
    for name in found.torn:
        say(f"note: the last line of {name} was never finished and counts for nothing")
    for name in found.extra[:_SHOWN]:
        say(f"extra    {name}  (nobody recorded it)")
    if len(found.extra) > _SHOWN:
        say(f"         … and {len(found.extra) - _SHOWN} more")
    state = "sound" if found.sound else "NOT sound"
    how = "by size" if quick else "by sha256"
    gone = f", {found.pruned} pruned" if found.pruned else ""
    say(f"{found.run}: {state}; {counted(found.files, 'file')} ({found.size:,} bytes) compared {how}{gone}")
    if found.damaged:
        say(f"→ animerun repair {found.run}")
    if found.missing or found.changed:
        say("→ run the spec again: jobs whose files are gone or changed are rendered, no others")


def _machine(found: Any) -> dict[str, Any]:
    return {
        "event": "verified",
        "run": found.run,
        "sound": found.sound,
        "files": found.files,
        "size": found.size,
        "pruned": found.pruned,
        "damaged": found.damaged,
        "torn": found.torn,
        "missing": [{"path": each.path, "key": each.key} for each in found.missing],
        "changed": [{"path": each.path, "key": each.key} for each in found.changed],
        "extra": found.extra,
    }
