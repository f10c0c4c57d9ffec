"""`animerun list`: the runs there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.console import counted, duration, emit, say, table, tell
from runner.cli.opened import opened
from runner.cli.options import json_option, make_settings, runs_option
from runner.system import is_file

_STATES = ("running", "open", "superseded", "succeeded", "failed", "stopped")


@click.command(name="list")
@runs_option
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Most runs shown.")
@click.option(
    "--spec", default="", metavar="SPEC", help="Only runs of this spec: a path, a name or a pattern."
)
@click.option("--state", type=click.Choice(_STATES), default=None, help="Only runs in this state.")
@click.option(
    "--realm", type=click.Choice(["previz", "comfyui"]), default=None, help="Cards or pictures only."
)
@json_option
def command(
    runs: Path | None, limit: int, spec: str, state: str | None, realm: str | None, as_json: bool
) -> int:
    """List the runs in runs/, newest first. For the jobs of one: animerun show."""
    settings = make_settings(runs=runs)
    if is_file(Path(spec)):
        from runner.spec import name_in_project

        spec = name_in_project(Path(spec))
    filters = {name: value for name, value in (("spec", spec), ("state", state), ("realm", realm)) if value}
    from runner.manifest.listing import Wanted, newest

    wanted = Wanted(**filters)
    with opened(settings.runs) as manifest:
        found = newest(manifest, wanted, limit=limit)
    if as_json:
        for row in found:
            emit(_machine(row))
        return 0
    if not found and filters:
        say("No run is like that: " + ", ".join(f"{name} {value}" for name, value in filters.items()))
        return 0
    if not found:
        say(f"No runs in {settings.runs}/ yet.\n→ animerun SPEC.yaml")
        return 0
    head = ("run", "state", "made", "failed", "realm", "took", "spec", "since")
    rows = [_row(row) for row in found]
    told = [number for number in range(len(head)) if any(row[number] for row in rows)]
    tell(table([tuple(row[n] for n in told) for row in rows], head=tuple(head[n] for n in told)))
    say("\nThe jobs of the newest: animerun show")
    if found[0]["state"] == "open":
        say("It stopped without an end; to go on with it: animerun resume")
    return 0


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    took = duration((row["ended"] - row["started"]).total_seconds()) if row["ended"] else ""
    made = f"{row['succeeded'] + row['reused']}/{row['jobs']}"
    counts = (row["run"], row["state"], made, str(row["failed"] or ""))
    return (*counts, row["realm"], took, row["spec"], _since(row))


def _since(row: dict[str, Any]) -> str:
    """Return what came of a run after its end: verdict, mark, files deleted."""
    parts = [f"gate {row['gate']}"] if row["gate"] else []
    parts += ["baseline"] if row["baseline"] else []
    parts += [f"{counted(row['pruned'], 'file')} pruned"] if row["pruned"] else []
    return ", ".join(parts)


def _machine(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: f"{row[name].isoformat()}Z" if row[name] else None for name in ("started", "ended")}
    return {**row, **times}
