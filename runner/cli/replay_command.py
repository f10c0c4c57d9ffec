"""`animerun replay RUN`: make a run again from what it stored, and say what is not the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import door
from runner.cli.console import clean, counted, emit, say, table, tell
from runner.cli.meant import meant_run, run_names
from runner.cli.options import (
    TakesRuns,
    json_option,
    limit_options,
    make_settings,
    preflight_options,
    runs_option,
    server_options,
)
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.batch import Batch
    from runner.cli.progress import RunView
    from runner.manifest.store import Report
    from runner.replay import Compared, Outcome, Replay
    from runner.run import Control
    from runner.settings import Settings
    from runner.stored import Record
    from runner.summary import Summary

_TRIPPED = 9


@click.command(name="replay", cls=TakesRuns)
@click.argument("run", metavar="RUN")
@server_options
@click.option("--except", "without", multiple=True, metavar="PATTERN", help="Leave these jobs out.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Only these jobs, like s01/expression=smile.")
@click.option("--fresh", is_flag=True, help="Let no server answer from its cache, models in memory included.")
@click.option("--across-realms", is_flag=True, help="Allow previz cards beside real pictures.")
@click.option(
    "--fail-on",
    type=click.Choice(("near", "different")),
    help="Exit 9 when an output is no better than that; a missing one is worse than both.",
)
@runs_option
@preflight_options
@limit_options
@click.option("--yes", is_flag=True, help="Do not ask before very many jobs.")
@click.option(
    "--quiet", "-q", is_flag=True, help="Print failures only, and what was asked for (a gate, a comparison)."
)
@json_option
def command(
    run: str,
    servers: tuple[str, ...],
    depth: int | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    fresh: bool,
    across_realms: bool,
    fail_on: str | None,
    runs: Path | None,
    yes: bool,
    quiet: bool,
    as_json: bool,
    **limits: Any,
) -> int:
    """Make RUN again, workflows and inputs byte for byte as stored, into a new run; compare the pictures.

    RUN is a run (a name, its beginning, -1 for the newest) or the folder of one, copied from anywhere; its
    spec and templates are not read, and nothing is reused. Each output is then identical (same pixels), near
    (at most 4 bits of the dHash differ and SSIM ≥ 0.95), different or missing. Differences alone are no
    failure, see --fail-on. Jobs that had failed are tried too, without anything to compare.

    With --json: the lines of a run, before its summary one `compared` (key, node, index, verdict, then, now,
    dhash_bits, ssim, note) per output, one `drift` (what, then, now) per change of the environment, and
    `replayed` (run, replay_of, counts, failed_then, made_now, fail_on, tripped).
    """
    settings = make_settings(servers=servers, depth=depth, runs=runs, **limits)
    from dataclasses import replace

    from runner.cli.asking import confirm_size
    from runner.cli.conducting import conducted
    from runner.cli.progress import make_view
    from runner.replay import Replay
    from runner.stored import read

    record = read(_folder(run, settings.runs))
    if settings.previz:
        _same_realm(record, "previz", across=across_realms)
    work = Replay(record, only=only, without=without)
    confirm_size(work.total, yes=yes)
    settings = replace(settings, nonce=door.token(8) if fresh else "")
    view = make_view(settings, as_json=as_json, quiet=quiet)
    view.replaying = True
    _announce(view, work, as_json=as_json)
    batch = _batch(work, only, without, across=across_realms)
    told: list[Outcome] = []

    async def replayed(control: Control) -> tuple[Summary, Report | None]:
        summary, index, outcome = await _replayed(batch, work, settings, control, view)
        tripped = bool(fail_on) and outcome.trips("near" if fail_on == "near" else "different")
        told.append(outcome)
        if as_json:
            _emit(outcome, summary.run, record.run, fail_on, tripped=tripped)
        code = summary.exit_code or (_TRIPPED if tripped else 0)
        return replace(summary, exit_code=code), index

    code = conducted(view, replayed)
    if not as_json:
        _tell(told[0], record.run)
    return code


def _folder(asked: str, runs: Path) -> Path:
    path = Path(asked)
    if (path / "journal.jsonl").is_file():
        return path.resolve()
    if path.name != asked:
        raise UsageError(f"{asked} is no run folder: there is no journal.jsonl in it", hint="animerun list")
    return runs / meant_run(run_names(runs), asked, runs)


def _same_realm(record: Record, now: str, *, across: bool) -> None:
    """Refuse cards for pictures, and pictures for cards: they would all be different."""
    if across or record.realm == now:
        return
    if record.realm == "comfyui":
        servers = " ".join(f"--server {url}" for url in record.servers) or "--server URL"
        said, hint = "holds real pictures, and previz draws cards", servers
    else:
        said, hint = "holds previz cards, and this server makes real pictures", "--server previz"
    raise UsageError(f"run {record.run} {said}", hint=f"{hint}, or --across-realms to do it all the same")


def _announce(view: RunView, work: Replay, *, as_json: bool) -> None:
    """Say what is made again, and what of the old run cannot be."""
    record = work.record
    notes = []
    jobs = int(record.head["total"])
    if not record.ended:
        notes.append(f"{record.run} has not come to its end; what it has begun so far is made again")
    if len(record.sent) < jobs:
        notes.append(
            f"{counted(jobs - len(record.sent), 'job')} of it never had a workflow (waiting or not begun)"
        )
    if as_json:
        emit({"event": "planned", "replay_of": record.run, "jobs": work.total, "waiting": 0, "warnings": [],
              "notes": notes})  # fmt: skip
        return
    for each in notes:
        say(f"note: {each}")
    if not view.quiet:
        title = record.head["title"] or record.head["episode"]
        say(f"{title}: {counted(work.total, 'job')} of {record.run} again")


def _batch(work: Replay, only: tuple[str, ...], without: tuple[str, ...], *, across: bool) -> Batch:
    """Return the run to be; it refuses servers of the other realm before anything is written."""
    from runner.batch import Batch, Scope

    record = work.record

    def met(realm: str, *_: object) -> Batch:
        _same_realm(record, realm, across=across)
        return batch

    batch = Batch(
        work=work,
        spec=Path(record.head["spec"]),
        episode=record.head["episode"],
        title=record.head["title"],
        scope=Scope(only=only, without=without),
        replay_of=record.run,
        samples=work.samples,
        inputs=work.inputs,
        templates=record.templates,
        frozen=work.frozen,
        model_files=frozenset(record.models),
        met=met,
    )
    return batch


async def _replayed(
    batch: Batch, work: Replay, settings: Settings, control: Control, view: RunView
) -> tuple[Summary, Report | None, Outcome]:
    """Make the run, compare it with the old one and note what came of it."""

    from runner.launch import launch
    from runner.manifest.notes import add_note
    from runner.manifest.store import keep_up
    from runner.replay import judge, note

    summary, _ = await launch(batch, settings=settings, control=control, view=view)
    outcome = await asyncio.to_thread(judge, work, summary.folder)
    facts = note(outcome, replay_of=work.record.run, fresh=bool(settings.nonce))
    await asyncio.to_thread(add_note, summary.folder, "replay", facts, at=door.now())
    return summary, await asyncio.to_thread(keep_up, settings.runs), outcome


def _emit(outcome: Outcome, run: str, replay_of: str, fail_on: str | None, *, tripped: bool) -> None:
    for each in outcome.compared:
        emit({"event": "compared", "key": each.key, "node": each.node, "index": each.index,
              "verdict": each.verdict, "then": str(each.then), "now": str(each.now) if each.now else None,
              "dhash_bits": each.dhash_bits, "ssim": each.ssim, "note": each.note})  # fmt: skip
    for change in outcome.drift:
        emit({"event": "drift", "what": change.what, "then": change.then, "now": change.now})
    emit({"event": "replayed", "run": run, "replay_of": replay_of, "counts": outcome.counts,
          "failed_then": outcome.failed_then, "made_now": outcome.made_now, "fail_on": fail_on,
          "tripped": tripped})  # fmt: skip


def _tell(outcome: Outcome, replay_of: str) -> None:
    """Print the counts, what is not identical, and what drifted."""
    from runner.replay import WORST

    parts = [f"{number:,} {verdict}" for verdict, number in outcome.counts.items() if number]
    tell(f"\nCompared with {clean(replay_of)}: {', '.join(parts) or 'nothing to compare'}")
    for each in outcome.odd[:WORST]:
        tell("\n".join(_shown(each)))
    if len(outcome.odd) > WORST:
        tell(f"  … and {len(outcome.odd) - WORST:,} more; --json lists all")
    if outcome.failed_then:
        again = f"{outcome.made_now} of them made now"
        tell(f"{counted(outcome.failed_then, 'job')} had failed then, {again}")
    if not outcome.drift:
        tell("Environment: the same")
        return
    tell("Environment:")
    rows = [(f"  {each.what}", each.then, each.now) for each in outcome.drift]
    tell(table(rows, head=("", "then", "now")))


def _shown(each: Compared) -> list[str]:
    which = f" {each.node}[{each.index}]"
    why = each.note or f"SSIM {each.ssim:.3f}, {each.dhash_bits} of 64 dHash bits"
    lines = [
        f"  {each.verdict:<10} {clean(each.key)}{clean(which)}  {clean(why)}",
        f"    then {clean(str(each.then))}",
    ]
    return lines + ([f"    now  {clean(str(each.now))}"] if each.now else [])
