"""`animerun import-run FILE`: take in a run that was exported elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from runner.cli.console import counted, emit, say
from runner.cli.opened import tell_index
from runner.cli.options import json_option, make_settings, runs_option
from runner.errors import UsageError


@click.command(name="import-run")
@click.argument("file", type=click.Path(path_type=Path))
@runs_option
@json_option
def command(file: Path, runs: Path | None, as_json: bool) -> int:
    """Take in the run in FILE, which animerun export wrote; its record is checked first."""
    settings = make_settings(runs=runs)
    from runner.manifest.intake import import_run
    from runner.manifest.store import keep_up

    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    taken = import_run(file, settings.runs)
    if taken.new:
        tell_index(keep_up(settings.runs))
    if as_json:
        emit({"event": "imported", **asdict(taken)})
        return 0
    if not taken.new:
        say(f"{taken.run} is there already, with the same journal: nothing to do")
        return 0
    for path in taken.changed[:10]:
        say(f"warning: {path} is not what was recorded")
    if taken.missing:
        say(f"note: {counted(len(taken.missing), 'output')} of the run not in the file")
    say(f"{taken.run}: {counted(taken.files, 'file')}, {taken.size:,} bytes")
    say(f"Look at it: animerun show --run {taken.run}")
    return 0
