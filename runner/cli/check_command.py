"""`animerun check SPEC`: is the spec right, and can these servers run it?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from runner.cli.console import counted, emit, say
from runner.cli.options import (
    json_option,
    make_settings,
    nodes_option,
    scope_options,
    server_options,
    spec_argument,
)
from runner.errors import PreflightRefused
from runner.settings import PREVIZ, Settings


@click.command(name="check")
@spec_argument
@server_options
@scope_options
@nodes_option
@json_option
def command(
    spec: Path,
    servers: tuple[str, ...],
    depth: int | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    sets: tuple[str, ...],
    allow_nodes: list[str] | None,
    as_json: bool,
) -> int:
    """Check SPEC, and with --server whether those servers have every node, model and value it needs."""
    from runner.sandbox.process import begin

    begin()
    settings = make_settings(spec=spec, servers=servers, depth=depth, allow_nodes=allow_nodes)
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
    from runner.launch import servers
    from runner.plan import Plan
    from runner.preflight import preflight, told

    assert isinstance(plan, Plan)
    async with servers(settings) as executor:
        facts = await executor.open()
        findings = await preflight(
            plan.samples,
            executor,
            facts,
            allow_nodes=settings.allow_nodes,
            tell=lambda it: say(f"note: {it.message}"),
        )
    if findings:
        raise PreflightRefused(told(findings))
    return tuple(each.url for each in facts)
