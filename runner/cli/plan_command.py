"""`animerun plan SPEC`: what would be rendered."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runner.cli.console import block, counted, emit, say, table
from runner.cli.options import json_option, make_settings, scope_options, server_options, spec_argument


@click.command(name="plan")
@spec_argument
@server_options
@scope_options
@click.option("--prompts", is_flag=True, help="Print the composed prompt of every job.")
@click.option("--jobs", is_flag=True, help="List every job with its file name.")
@click.option("--max-jobs", type=click.IntRange(1), help="Refuse a spec with more jobs (1,000,000).")
@json_option
def command(
    spec: Path,
    servers: tuple[str, ...],
    depth: int | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    sets: tuple[str, ...],
    prompts: bool,
    jobs: bool,
    max_jobs: int | None,
    as_json: bool,
) -> int:
    """Say what rendering SPEC would make, how many jobs and why. Nothing is submitted.

    Narrow it as you would the run: plan SPEC --prompts --only c001.
    """
    settings = make_settings(spec=spec, servers=servers, depth=depth, max_jobs=max_jobs)
    from runner.plan import make_plan

    plan = make_plan(spec, sets=sets, only=only, without=without, max_jobs=settings.max_jobs)
    if as_json:
        for rendered in plan.rendered():
            emit(_machine(rendered))
        return 0
    for warning in plan.warnings:
        say(f"warning: {warning}")
    for note in plan.later:
        say(f"note: {note}")
    if prompts or jobs:
        for rendered in plan.rendered():
            click.echo(block(_lines(rendered.job, prompts=prompts)))
        say()
    else:
        rows = [
            (f"{cut.scene}/{cut.cut}".rstrip("/"), str(cut.jobs), _state(cut), " ".join(cut.models),
             " ".join(cut.templates), cut.title)
            for cut in plan.cuts
        ]  # fmt: skip
        click.echo(table(rows, head=("cut", "jobs", "answer", "model", "template", "title")))
        say()
    run = plan.total - plan.waiting
    say(f"{counted(plan.total, 'job')}: {run} to run, {plan.waiting} waiting for a pick.")
    say("Every job of a run is rendered; earlier runs are not reused yet.")
    if plan.inputs:
        say("Files used: " + ", ".join(sorted(plan.inputs)))
    where = "previz (storyboard cards)" if settings.previz else ", ".join(settings.servers)
    say(f"On {where}, at most {settings.depth} jobs at a time each.")
    return 0


def _state(cut: Any) -> str:
    if not cut.waiting:
        return "run"
    return "waits" if cut.waiting == cut.jobs else f"run {cut.jobs - cut.waiting}, wait {cut.waiting}"


def _lines(job: Any, *, prompts: bool) -> str:
    lines = [f"{job.key}  → {job.name}" + (f"  (waits for {job.waits})" if job.waits else "")]
    if prompts:
        lines.append(f"  + {job.prompt}")
        lines += [f"  - {job.negative}"] if job.negative else []
        lines += [f"  lora {lora.file} @ {lora.weight:g}" for lora in job.loras]
    return "\n".join(lines)


def _machine(rendered: Any) -> dict[str, Any]:
    job, workflow = rendered.job, rendered.workflow
    told = asdict(job) | {"values": dict(job.values), "slots": dict(job.slots), "axes": dict(job.axes)}
    answer = "wait" if job.waits else "run"
    why = job.waits or "earlier runs are not reused yet"
    return {"event": "job", "answer": answer, "why": why, **told, "recipe": rendered.recipe,
            "digest": workflow.digest if workflow else None}  # fmt: skip
