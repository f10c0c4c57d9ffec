"""`animerun check SPEC`: is the spec right, and can these servers run it?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from runner.cli.console import counted, emit, say
from runner.cli.options import (
    json_option,
    make_settings,
    preflight_options,
    scope_options,
    server_options,
    spec_argument,
)
from runner.settings import PREVIZ, Settings


@click.command(name="check")
@spec_argument
@server_options
@scope_options
@preflight_options
@json_option
def command(
    spec: Path,
    servers: tuple[str, ...],
    depth: int | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    sets: tuple[str, ...],
    as_json: bool,
    **limits: Any,
) -> int:
    """Check SPEC, and with --server whether those servers have every node, model and value it needs."""
    from runner.sandbox.process import begin

    begin()
    settings = make_settings(spec=spec, servers=servers, depth=depth, **limits)
    from runner.cli.planning import refuse_secrets
    from runner.plan import Plan, make_plan

    plan = make_plan(spec, sets=sets, only=only, without=without, max_jobs=settings.max_jobs)
    refuse_secrets(plan, settings, sets)
    for warning in plan.warnings:
        say(f"warning: {warning}")
    for note in plan.later:
        say(f"note: {note}")
    asked = bool(settings.servers) and settings.servers != (PREVIZ,)
    names = asyncio.run(_ask(plan, settings)) if asked else ()
    if as_json:
        emit({"event": "checked", "spec": str(spec), "jobs": plan.total, "waiting": plan.waiting,
              "servers": list(names)})  # fmt: skip
        return 0
    say(f"{spec} is right: {counted(plan.total, 'job')}.")
    say(
        f"{', '.join(names)} can run it."
        if asked
        else "No server was asked; add --server URL to check models and nodes."
    )
    assert isinstance(plan, Plan)
    return 0


async def _ask(plan: object, settings: Settings) -> tuple[str, ...]:
    """Return the servers that can run *plan*; raises what `animerun` itself would."""
    from runner.admission import left_out
    from runner.launch import servers
    from runner.plan import Plan
    from runner.preflight import preflight

    assert isinstance(plan, Plan)
    async with servers(settings) as executor:
        facts = await executor.open()
        found = await preflight(plan.samples, executor, facts, settings=settings, templates=plan.templates)
    for note in found.notes:
        say(f"note: {note}")
    out = left_out(found, settings)
    for server, missing in out.items():
        say(f"{server} cannot run it and would be left out:")
        say("\n".join(f"  {sentence}" for sentence in missing))
    return tuple(each.url for each in facts if each.url not in out)
