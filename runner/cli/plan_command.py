"""`animerun plan SPEC`: what would be rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.console import counted, emit, say, table, tell, warn
from runner.cli.options import (
    json_option,
    make_settings,
    reuse_options,
    runs_option,
    scope_options,
    server_options,
    spec_argument,
)

if TYPE_CHECKING:
    from runner.foreign import Beyond
    from runner.plan import CutCount, Plan
    from runner.rendered import Rendered
    from runner.settings import Settings

_CAUSES = 12


@click.command(name="plan")
@spec_argument
@server_options
@scope_options
@reuse_options
@runs_option
@click.option("--prompts", is_flag=True, help="Print the composed prompt of every job.")
@click.option("--jobs", is_flag=True, help="List every job with its answer, reason and file name.")
@click.option("--max-jobs", type=click.IntRange(1), help="Refuse a spec with more jobs (1,000,000).")
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
    prompts: bool,
    jobs: bool,
    max_jobs: int | None,
    as_json: bool,
) -> int:
    """Say what rendering SPEC would make, what is reused and why. Nothing is submitted.

    Narrow it as you would the run: plan SPEC --prompts --only c001. Servers are asked one thing only, whether
    model files have changed; nodes of packs are known from a list of ComfyUI's own.

    With --json: one `job` per job, and where nodes are not ComfyUI's own one `beyond` (comfyui, classes).
    """
    from runner.sandbox.process import begin

    begin()
    settings = make_settings(spec=spec, servers=servers, depth=depth, max_jobs=max_jobs, runs=runs, copy=copy)
    from runner.cli.planning import plan_with_history, with_model_files

    plan = plan_with_history(
        spec, settings, sets=sets, only=only, without=without, force=force, force_only=force_only,
        all_runs=True,
    )  # fmt: skip
    plan = with_model_files(plan, settings)
    for warning in plan.warnings:
        warn(str(warning))
    if as_json:
        for rendered in plan.rendered():
            emit(_machine(rendered))
        if found := _beyond(plan):
            emit({"event": "beyond", "comfyui": found[0], "classes": [asdict(each) for each in found[1]]})
        return 0
    for note in plan.later:
        say(f"note: {note}")
    if prompts or jobs:
        for rendered in plan.rendered():
            tell(_lines(rendered, prompts=prompts))
        say()
    else:
        rows = [
            (f"{cut.scene}/{cut.cut}".rstrip("/"), str(cut.jobs), _state(cut), _seeds(cut.seeds),
             " ".join(cut.models), " ".join(cut.templates), cut.title)
            for cut in plan.cuts
        ]  # fmt: skip
        tell(table(rows, head=("cut", "jobs", "answer", "seeds", "model", "template", "title")))
        say()
    _say_totals(plan, settings)
    return 0


def _say_totals(plan: Plan, settings: Settings) -> None:
    from runner.foreign import outward

    parts = [f"{plan.to_run} to run"]
    parts += [f"{plan.reused} up to date"] if plan.reused else []
    parts += [f"{plan.waiting} waiting for a pick"] if plan.waiting else []
    say(f"{counted(plan.total, 'job')}: {', '.join(parts)}.")
    causes = sorted(plan.reasons.items(), key=lambda item: -item[1][0])
    for reason, (number, keys) in causes[:_CAUSES] if plan.reuse else ():
        say(f"  {number} because: {reason}    ({', '.join(keys)}{', …' if number > len(keys) else ''})")
    if len(causes) > _CAUSES and plan.reuse:
        say(f"  … and {len(causes) - _CAUSES} more reasons; --jobs shows each")
    if plan.done_by:
        say(f"All of it is in run {plan.done_by}.")
    for sentence in outward(plan.samples):
        say(f"note: {sentence}")
    if found := _beyond(plan):
        say(f"note: not among the nodes ComfyUI {found[0]} comes with: {', '.join(map(str, found[1]))}")
    if plan.inputs:
        say("Files used: " + ", ".join(sorted(plan.inputs)))
    where = "previz (storyboard cards)" if settings.previz else ", ".join(settings.servers)
    say(f"On {where}, at most {settings.depth} jobs at a time each.")


def _beyond(plan: Plan) -> tuple[str, tuple[Beyond, ...]] | None:
    """Return a version of ComfyUI and the node classes it does not have; None when it has all."""
    from runner.comfy.object_info import own_classes
    from runner.foreign import beyond

    version, own = own_classes()
    found = beyond(plan.samples, plan.templates, own)
    return (version, found) if found else None


def _state(cut: CutCount) -> str:
    run = cut.jobs - cut.waiting - cut.reused
    parts = ((run, "run"), (cut.reused, "reuse"), (cut.waiting, "wait"))
    said = [(number, word) for number, word in parts if number]
    return said[0][1] if len(said) == 1 else ", ".join(f"{word} {number}" for number, word in said)


def _seeds(seeds: Sequence[int]) -> str:
    """Return the seeds of a cut in a few characters: `7`, `1000..1003`, else the first."""
    from runner.plan import SEEDS_TOLD

    first, whole = seeds[0], len(seeds) <= SEEDS_TOLD
    if len(seeds) > 1 and whole and tuple(seeds) == tuple(range(first, first + len(seeds))):
        return f"{first}..{seeds[-1]}"
    return str(first) if len(seeds) == 1 else f"{first}, …"


def _answer(rendered: Rendered) -> str:
    if rendered.job.waits:
        return "wait"
    return "reuse" if rendered.made is not None else "run"


def _lines(rendered: Rendered, *, prompts: bool) -> str:
    job = rendered.job
    why = job.waits or rendered.reason
    seed = "" if f"/seed={job.seed}" in job.key else f"  seed {job.seed}"
    lines = [f"{job.key}{seed}  → {job.name}  {_answer(rendered)}" + (f": {why}" if why else "")]
    if prompts:
        lines.append(f"  + {job.prompt}")
        lines += [f"  - {job.negative}"] if job.negative else []
        lines += [f"  lora {lora.file} @ {lora.weight:g}" for lora in job.loras]
    return "\n".join(lines)


def _machine(rendered: Rendered) -> dict[str, Any]:
    job, workflow = rendered.job, rendered.workflow
    told = asdict(job) | {"values": dict(job.values), "slots": dict(job.slots), "axes": dict(job.axes)}
    why = job.waits or rendered.reason
    return {"event": "job", "answer": _answer(rendered), "why": why, **told, "recipe": rendered.recipe,
            "digest": workflow.digest if workflow else None,
            "made_by": rendered.made.run if rendered.made else None}  # fmt: skip
