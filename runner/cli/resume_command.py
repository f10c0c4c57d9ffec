"""`animerun resume [RUN]`: continue a run that was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.opened import opened
from runner.cli.options import (
    TakesRuns,
    json_option,
    limit_options,
    lock_options,
    make_settings,
    preflight_options,
    runs_option,
    server_options,
)
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.manifest.store import Manifest


@click.command(name="resume", cls=TakesRuns)
@click.argument("run", required=False, default="", metavar="[RUN]")
@server_options
@click.option("--retry-failed", is_flag=True, help="Also try again what failed for good.")
@lock_options
@runs_option
@preflight_options
@limit_options
@click.option("--quiet", "-q", is_flag=True, help="Print failures only.")
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

    with opened(settings.runs) as manifest:
        if not run:
            run = _incomplete(manifest)
        name = meant_run(run_names(settings.runs), run, settings.runs)
        for each in manifest.left_out:
            if each.run == name:
                raise each.error
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


def _incomplete(manifest: Manifest) -> str:
    """Return the newest run with jobs that are neither made, failed nor waiting.

    Raises what makes the record of a newer one unreadable, unless that came to its end.
    """
    from runner.cli.meant import run_names
    from runner.manifest.journal import last_line
    from runner.manifest.store import JOURNAL

    unread = {each.run: each.error for each in manifest.left_out}
    left = {str(row["run"]) for row in manifest.query("runs", limit=1_000_000) if _is_left(row)}
    for name in run_names(manifest.runs):
        if name in left:
            return name
        last = last_line(manifest.runs / name / JOURNAL)
        if name in unread and (last.get("t"), last.get("code")) not in _COMPLETE:
            raise unread[name]
    for error in unread.values():
        # Whether that one is complete cannot be told.
        raise error
    raise UsageError(
        f"every run in {manifest.runs}/ is complete",
        hint="for failed jobs: animerun resume RUN --retry-failed",
    )


_COMPLETE = (("end", 0), ("end", 1), ("end", 9))
"""Last lines of a run that has nothing left to do."""


def _is_left(row: Mapping[str, object]) -> bool:
    settled = sum(int(str(row[name])) for name in ("succeeded", "reused", "failed", "waiting"))
    return settled < int(str(row["jobs"])) and row["state"] != "superseded"
