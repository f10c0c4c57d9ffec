"""`animerun list`: the runs there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.console import duration, emit, say, table
from runner.cli.options import json_option, make_settings, runs_option


@click.command(name="list")
@runs_option
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Most runs shown.")
@json_option
def command(runs: Path | None, limit: int, as_json: bool) -> int:
    """List the runs in runs/, newest first. For the jobs of one: animerun show."""
    settings = make_settings(runs=runs)
    from runner.manifest.store import Manifest

    with Manifest(settings.runs) as manifest:
        found = manifest.query("runs", limit=limit)
        damaged = manifest.damaged
    for damage in damaged:
        say(f"warning: {damage}")
    if as_json:
        for row in found:
            emit(_machine(row))
        return 0
    if not found:
        say(f"No runs in {settings.runs}/ yet.\n→ animerun SPEC.yaml")
        return 0
    head = ("run", "state", "made", "failed", "realm", "took", "spec")
    click.echo(table([_row(row) for row in found], head=head))
    say("\nThe jobs of the newest: animerun show")
    return 0


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    took = duration((row["ended"] - row["started"]).total_seconds()) if row["ended"] else ""
    made = f"{row['succeeded'] + row['reused']}/{row['jobs']}"
    return (row["run"], row["state"], made, str(row["failed"] or ""), row["realm"], took, row["spec"])


def _machine(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: f"{row[name].isoformat()}Z" if row[name] else None for name in ("started", "ended")}
    return {**row, **times}
