"""`animerun accept RUN`: this is how it should look."""

from __future__ import annotations

from pathlib import Path

import click

from runner import door
from runner.cli.console import emit, say
from runner.cli.meant import meant_run, run_names
from runner.cli.options import TakesRuns, json_option, make_settings, runs_option
from runner.errors import UsageError


@click.command(name="accept", cls=TakesRuns)
@click.argument("run", metavar="RUN")
@click.option("--note", default="", metavar="TEXT", help="Why; kept with the acceptance.")
@runs_option
@json_option
def command(run: str, note: str, runs: Path | None, as_json: bool) -> int:
    """Make RUN the baseline of its spec: what `animerun SPEC --baseline accepted` compares with.

    RUN is a name, its beginning, or -1 for the newest. The last accepted run counts, for cards and for
    real pictures apart; it is also what the gate compares with when no --baseline is named.
    """
    settings = make_settings(runs=runs)
    from runner.compare import Asked, head_of
    from runner.manifest.notes import add_note

    name = meant_run(run_names(settings.runs), run, settings.runs)
    folder = settings.runs / name
    head = head_of(Asked(name=name, kind="run", run=name, path=folder), runs=settings.runs)
    if head.exit_code is None:
        raise UsageError(f"{name} has no end yet", hint=f"animerun resume {name}")
    if head.narrowed:
        raise UsageError(f"{name} was narrowed by --only or --except: it is no baseline of the whole spec")
    facts = {"spec": head.spec, "realm": head.realm, "note": note}
    add_note(folder, "baseline", facts, at=door.now())
    if as_json:
        emit(
            {
                "event": "accepted",
                "run": name,
                "spec": head.spec,
                "realm": head.realm,
                "exit_code": head.exit_code,
            }
        )
    if head.exit_code:
        say(f"note: {name} ended with exit code {head.exit_code}; jobs without pictures are no part of it.")
    say(f"{name} is the baseline of {head.spec} ({head.realm}).")
    return 0
