"""`animerun show`: the jobs of a run, and everything about one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.console import clean, counted, duration, emit, say, table, tell, tell_json
from runner.cli.meant import meant_run, run_names
from runner.cli.opened import opened
from runner.cli.options import json_option, make_settings, runs_option
from runner.errors import UsageError
from runner.text.nearest import did_you_mean
from runner.text.shown import written

if TYPE_CHECKING:
    from runner.manifest.store import Manifest


@click.command(name="show")
@click.argument("pattern", required=False, default="")
@click.option(
    "--run", "run", default="", metavar="RUN", help="A run, its beginning, or -1, -2 … (default: newest)."
)
@click.option("--state", metavar="STATE", default="", help="Only jobs in this state, like failed.")
@click.option("--workflow", is_flag=True, help="Print the stored workflow of the one job, as JSON.")
@runs_option
@json_option
def command(pattern: str, run: str, state: str, workflow: bool, runs: Path | None, as_json: bool) -> int:
    """Show the jobs of a run. PATTERN: parts of keys, like s01/expression=smile,crying.

    Several matches are listed; one match shows its prompt by slot, workflow, times, error and files.
    """
    settings = make_settings(runs=runs)

    with opened(settings.runs) as manifest:
        name, jobs = found_jobs(manifest, run, pattern, state)
        files = _files(manifest.query("outputs", run=name))
        folder = settings.runs / name
        if len(jobs) == 1 or workflow:
            if len(jobs) != 1:
                raise UsageError(f"--workflow shows one job; {counted(len(jobs), 'job')} match")
            return _one(manifest, name, folder, jobs[0], files, as_json=as_json, workflow=workflow)
    if as_json:
        for job in jobs:
            emit(_machine(job) | {"outputs": [str(folder / o["path"]) for o in files.get(job["key"], [])]})
        return 0
    _several(name, folder, jobs, files)
    return 0


def found_jobs(
    manifest: Manifest, asked: str, pattern: str, state: str = ""
) -> tuple[str, list[dict[str, Any]]]:
    """Return the run and its jobs that match: the run *asked* for, else the newest that has any.

    Raises UsageError when none does, in the words of the newest run; what makes it unreadable where it is.
    """
    names = run_names(manifest.runs)
    unread = {each.run: each.error for each in manifest.left_out}
    if not asked and not unread.keys() >= set(names):
        names = [name for name in names if name not in unread]
    first = meant_run(names, asked, manifest.runs)
    if first in unread:
        raise unread[first]
    try:
        return first, matching(manifest.query("jobs", run=first), pattern, state)
    except UsageError:
        if asked or not pattern:
            raise
        for name in names[names.index(first) + 1 :]:
            with suppress(UsageError):
                return name, matching(manifest.query("jobs", run=name), pattern, state)
        raise


def matching(jobs: list[dict[str, Any]], pattern: str, state: str) -> list[dict[str, Any]]:
    """Return the jobs whose key matches *pattern* and that are in *state*; raises UsageError for none."""
    if state:
        states = sorted({job["state"] for job in jobs})
        if state not in states:
            raise UsageError(f"no job is {state}; there are: {', '.join(states)}")
        jobs = [job for job in jobs if job["state"] == state]
    if not pattern:
        return jobs
    from runner.naming import Pattern

    exact = [job for job in jobs if job["key"] == pattern]
    if exact:
        return exact
    wanted = Pattern.parse(pattern)
    found = [job for job in jobs if wanted.matches(job["key"])]
    if not found:
        segments = sorted({part for job in jobs for part in job["key"].split("/")})
        missed = next((part for part in pattern.split("/") if part not in segments), pattern)
        raise UsageError(f"no job matches {pattern}{did_you_mean(missed, segments)}")
    return found


def _files(outputs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for output in outputs:
        found.setdefault(output["key"], []).append(output)
    return found


def _several(
    run: str, folder: Path, jobs: list[dict[str, Any]], files: Mapping[str, list[dict[str, Any]]]
) -> None:
    rows = []
    for job in jobs:
        took = duration(job["run_s"]) if job["run_s"] is not None and job["state"] == "succeeded" else ""
        outputs = files.get(job["key"], [])
        last = outputs[0]["path"] if outputs else clean(job["message"] or "", limit=70)
        rows.append((job["key"], str(job["seed"]), job["state"], took, last))
    tell(table(rows, head=("job", "seed", "state", "took", "file")))
    states = {
        state: sum(job["state"] == state for job in jobs) for state in sorted({j["state"] for j in jobs})
    }
    say(
        f"\n{run}: "
        + ", ".join(f"{number} {state}" for state, number in states.items())
        + f"; files in {folder}/"
    )
    if jobs:
        say(f"One job: animerun show '{jobs[0]['key']}'")


def _one(
    manifest: Any,
    run: str,
    folder: Path,
    job: dict[str, Any],
    files: Mapping[str, list[dict[str, Any]]],
    *,
    as_json: bool,
    workflow: bool,
) -> int:
    told = manifest.query("job", run=run, key=job["key"])[0]
    graph = stored_workflow(manifest, run, told)
    if workflow:
        tell_json(graph)
        return 0
    attempts = manifest.query("attempts", run=run, key=job["key"])
    outputs = files.get(job["key"], [])
    if as_json:
        facts = {name: json.loads(told[name]) for name in ("slots", "loras", "params")}
        emit(
            _machine(job)
            | {name: told[name] for name in ("prompt", "negative", "title", "place", "waits")}
            | facts
            | {"attempts": attempts, "outputs": outputs, "folder": str(folder), "workflow": graph}
        )
        return 0
    tell(_page(run, folder, job, told, attempts, outputs, graph))
    return 0


def stored_workflow(manifest: Any, run: str, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the stored workflow of a job, None when it never got one."""
    if not told["shape"]:
        return None
    from runner.manifest.shapes import unpack

    nodes = json.loads(manifest.query("shape", run=run, shape=told["shape"])[0]["nodes"])
    texts = {row["text"]: row["value"] for row in manifest.query("texts", run=run)}
    packed = {"shape": told["shape"], "leaves": json.loads(told["leaves"])}
    return unpack(packed, {told["shape"]: nodes}, texts)


def _page(
    run: str,
    folder: Path,
    job: Mapping[str, Any],
    told: Mapping[str, Any],
    attempts: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    graph: Mapping[str, Any] | None,
) -> str:
    slots, loras, params = (json.loads(told[name]) for name in ("slots", "loras", "params"))
    lines = [job["key"], f"  {told['title']}" if told["title"] else "", f"  run {run}, {job['state']}"]
    lines += [f"  waits for {told['waits']}"] if told["waits"] else []
    lines += ["", "words"] + [f"  {name:<11} {text}" for name, text in slots.items()]
    lines += ["", "prompt", f"  {told['prompt']}"]
    lines += ["negative", f"  {told['negative']}"] if told["negative"] else []
    lines += ["", f"template {told['template']}" + (f", model {told['model']}" if told["model"] else "")]
    lines += [f"  seed        {told['seed']}"]
    lines += [
        f"  {name:<11} {written(value)}" for name, value in params.items() if value not in (None, "", [])
    ]
    lines += [f"  lora        {lora['file']} @ {lora['weight']:g}" for lora in loras]
    if graph is not None:
        lines += ["", f"workflow {told['digest'][:16]}… ({len(graph)} nodes; --workflow prints it)"]
        lines += [f"  {node_id:<11} {node['class_type']}" for node_id, node in graph.items()]
    for a in attempts:
        lines += ["", f"attempt {a['number']} on {a['server']}, {a['state'] or 'open'}  ({a['prompt_id']})"]
        if a["state"] == "succeeded":
            times = (("queue", a["queue_s"]), ("run", a["run_s"]), ("collect", a["collect_s"]))
            lines.append("  " + ", ".join(f"{name} {duration(value)}" for name, value in times))
        if a["code"]:
            lines.append(f"  {a['code']}: {a['message']}")
    lines += [""] + [
        f"{folder / o['path']}\n  {_shape(o)}, {o['size']:,} bytes, sha256 {o['sha256']}" for o in outputs
    ]
    lines += [f"written for {told['place']}"] if told["place"] else []
    return "\n".join(line for line in lines if line is not None)


def _shape(output: Mapping[str, Any]) -> str:
    """Return the size of a picture or film; of a file that has none, what it is."""
    if output["width"] and output["height"]:
        return f"{output['width']}x{output['height']}"
    return str(output["media"] or output["kind"])


def _machine(job: Mapping[str, Any]) -> dict[str, Any]:
    return {**job, "ended": f"{job['ended'].isoformat()}Z" if job["ended"] else None}
