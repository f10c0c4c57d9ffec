"""`animerun SPEC`: render a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.gating import gate_options, gated
from runner.cli.options import (
    json_option,
    limit_options,
    lock_options,
    make_settings,
    preflight_options,
    reuse_options,
    runs_option,
    scope_options,
    server_options,
    spec_argument,
)


@click.command(name="run")
@spec_argument
@server_options
@scope_options
@reuse_options
@lock_options
@runs_option
@gate_options
@click.option("--max-jobs", type=click.IntRange(1), help="Refuse a spec with more jobs (1,000,000).")
@limit_options
@click.option(
    "--require-uniform",
    is_flag=True,
    default=None,
    help="Refuse servers that differ in versions or node packs.",
)
@preflight_options
@click.option("--no-socket", is_flag=True, help="Poll only; for proxies that do not pass WebSockets.")
@click.option("--yes", is_flag=True, help="Do not ask before very many jobs.")
@click.option(
    "--quiet", "-q", is_flag=True, help="Print failures only, and what was asked for (a gate, a comparison)."
)
@json_option
def command(
    spec: Path,
    servers: tuple[str, ...],
    depth: int | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    sets: tuple[str, ...],
    force: bool,
    force_only: tuple[str, ...],
    copy: bool | None,
    runs: Path | None,
    max_jobs: int | None,
    require_uniform: bool | None,
    no_socket: bool,
    yes: bool,
    quiet: bool,
    as_json: bool,
    **limits: Any,
) -> int:
    """Render SPEC: every job to a verified file in runs/, everything recorded.

    Without a server it draws storyboard cards (previz). Ctrl-C once lets running jobs end, twice leaves.
    """
    from runner.sandbox.process import begin

    begin()
    settings = make_settings(
        spec=spec,
        servers=servers,
        depth=depth,
        runs=runs,
        max_jobs=max_jobs,
        require_uniform=require_uniform,
        sockets=not no_socket,
        copy=copy,
        **limits,
    )
    from runner.batch import Scope, batch_of
    from runner.cli.asking import confirm_size
    from runner.cli.planning import plan_with_history
    from runner.cli.progress import make_view
    from runner.launch import launch
    from runner.manifest.folder import lock_seen

    seen = lock_seen(settings.runs, spec)
    plan = plan_with_history(
        spec, settings, sets=sets, only=only, without=without, force=force, force_only=force_only
    )
    assert plan.reuse is not None, "it is made with the record of earlier runs"
    plan.reuse.history.refuse_damage(plan.spec.files[0].path, spec)
    confirm_size(plan.to_run, yes=yes)
    view = make_view(settings, as_json=as_json, quiet=quiet)
    view.planned(plan)
    batch = batch_of(spec, plan, Scope(only=only, without=without, sets=sets), seen=seen)
    return gated(
        spec,
        settings,
        view,
        lambda control: launch(batch, settings=settings, control=control, view=view),
        sets=sets,
        as_json=as_json,
    )
