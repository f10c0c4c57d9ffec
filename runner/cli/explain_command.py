"""`animerun explain KEY`: why a job was rendered, or why not."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.console import emit, say, table, tell
from runner.cli.opened import opened
from runner.cli.options import json_option, make_settings, runs_option
from runner.cli.show_command import found_jobs


@click.command(name="explain")
@click.argument("pattern", metavar="KEY")
@click.option("--run", "run", default="", metavar="RUN", help="A run, its beginning, or -1, -2 … (newest).")
@runs_option
@json_option
def command(pattern: str, run: str, runs: Path | None, as_json: bool) -> int:
    """Say why the jobs that match KEY were rendered in a run, or which run their files come from.

    For what would happen now: animerun plan SPEC --jobs --only KEY.
    """
    settings = make_settings(runs=runs)
    with opened(settings.runs) as manifest:
        name, jobs = found_jobs(manifest, run, pattern)
    rows = []
    for job in jobs:
        origin = job["from_run"] or name
        if as_json:
            emit({"event": "why", "run": name, "key": job["key"], "state": job["state"], "made_by": origin,
                  "why": job["reason"]})  # fmt: skip
        rows.append((job["key"], job["state"], job["reason"] or "nothing was recorded before", origin))
    if not as_json:
        tell(table(rows, head=("job", "state", "why", "made by")))
        say(f"\nIn run {name}.")
    return 0
