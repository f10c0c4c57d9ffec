"""`animerun resume [RUN]`: continue a run that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.options import (
    TakesRuns,
    json_option,
    limit_options,
    lock_options,
    make_settings,
    nodes_option,
    runs_option,
    server_options,
)
from runner.errors import UsageError


@click.command(name="resume", cls=TakesRuns)
@click.argument("run", required=False, default="", metavar="[RUN]")
@server_options
@click.option("--retry-failed", is_flag=True, help="Also try again what failed for good.")
@lock_options
@runs_option
@nodes_option
@limit_options
@click.option("--quiet", "-q", is_flag=True, help="Only failures and the last lines.")
@json_option
def command(
    run: str,
    servers: tuple[str, ...],
    depth: int | None,
    retry_failed: bool,
    runs: Path | None,
    quiet: bool,
    as_json: bool,
    **limits: Any,
) -> int:
    """Continue RUN (default: the newest that is not complete): what is made stays, the rest is rendered.

    It uses the spec, templates and files as they were when the run began, and the run's own servers unless
    others are named. For the spec as it is now, run the spec again.
    """
    from runner.sandbox.process import begin

    begin()
    settings = make_settings(servers=servers, depth=depth, runs=runs, **limits)
    from dataclasses import replace

    from runner.cli.conducting import conducted
    from runner.cli.meant import meant_run, run_names
    from runner.cli.progress import make_view
    from runner.launch import resume
    from runner.manifest.store import Manifest

    with Manifest(settings.runs) as manifest:
        if not run:
            run = _incomplete(manifest.query("runs", limit=1_000_000), settings.runs)
        name = meant_run(run_names(settings.runs), run, settings.runs)
        if not settings.servers:
            urls = tuple(
                row["url"] for row in manifest.query("servers", run=name) if row["realm"] != "previz"
            )
            settings = replace(settings, servers=urls)
    view = make_view(settings, as_json=as_json, quiet=quiet)
    return conducted(
        view,
        lambda control: resume(
            name, retry_failed=retry_failed, settings=settings, control=control, view=view
        ),
    )


def _incomplete(rows: list[dict[str, object]], runs: Path) -> str:
    """Return the newest run with jobs that are neither made, failed nor waiting."""
    for row in rows:
        settled = sum(int(str(row[name])) for name in ("succeeded", "reused", "failed", "waiting"))
        if settled < int(str(row["jobs"])):
            return str(row["run"])
    raise UsageError(
        f"every run in {runs}/ is complete", hint="for failed jobs: animerun resume RUN --retry-failed"
    )
