"""`animerun prune`: let the files of old runs go."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import click

from runner import door
from runner.cli.console import counted, emit, say, table, tell
from runner.cli.opened import opened, tell_index
from runner.cli.options import json_option, make_settings, runs_option
from runner.errors import RunLocked, UsageError

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@click.command(name="prune")
@click.option(
    "--older-than", "older", metavar="AGE", default="", help="Runs started before, like 30d, 12h, 4w."
)
@click.option("--keep", type=click.IntRange(0), help="Keep the newest N runs of each spec.")
@click.option("--delete", "do_it", is_flag=True, help="Delete; without it is only told what would go.")
@runs_option
@json_option
def command(older: str, keep: int | None, do_it: bool, runs: Path | None, as_json: bool) -> int:
    """Delete the pictures and clips of old runs. Journals, notes and plans stay, and so do baselines.

    Give --older-than, --keep, or both: then a run goes when both say so. Jobs whose files are gone are
    rendered again when they are asked for.
    """
    settings = make_settings(runs=runs)
    from runner.manifest.prune import Rule, candidates
    from runner.manifest.store import keep_up

    if not older and keep is None:
        raise UsageError("prune which runs?", hint="animerun prune --older-than 30d, or --keep 5")
    with opened(settings.runs) as manifest:
        old, kept = candidates(manifest, Rule(before=_before(older) if older else None, keep=keep or 0))
    for run, reason in kept.items():
        say(f"kept: {run} ({reason})")
    gone = [each for each in old if not do_it or _prune(settings.runs, each)]
    if do_it and gone:
        tell_index(keep_up(settings.runs))
    if as_json:
        for each in gone:
            emit({"event": "pruned", "dry": not do_it, **each.facts()})
        return 0
    rows = [(e.run, f"{len(e.paths):,}", f"{e.size:,}", f"{e.freed:,}", e.spec) for e in gone]
    if rows:
        tell(table(rows, head=("run", "files", "bytes", "freed", "spec")))
    edited = sum(len(each.edited) for each in gone)
    if edited:
        say(f"{counted(edited, 'file')} edited since and kept")
    files, freed = sum(len(each.paths) for each in gone), sum(each.freed for each in gone)
    verb = "deleted" if do_it else "would be deleted"
    say(f"{counted(files, 'file')} of {counted(len(gone), 'run')} {verb}; {freed:,} bytes freed on disk")
    if files and not do_it:
        say("Nothing was deleted. To do it: the same with --delete")
    return 0


def _prune(runs: Path, old: object) -> bool:
    """Prune one run; one whose spec is being run now is left alone."""
    from runner.manifest.prune import Candidate, prune

    assert isinstance(old, Candidate)
    try:
        prune(runs, old, at=door.now())
    except RunLocked as error:
        say(f"left alone: {old.run}: {error}")
        return False
    return True


def _before(age: str) -> datetime:
    found = re.fullmatch(r"(\d{1,6})([hdw])", age)
    if not found:
        raise UsageError(f"--older-than {age}: write an age like 12h, 30d or 4w")
    span = timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        return (door.utc() - span).replace(tzinfo=None)
    except OverflowError:
        raise UsageError(f"--older-than {age}: there were no runs then") from None
