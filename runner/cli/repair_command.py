"""`animerun repair`: mend damaged journals and build the index again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from runner import door
from runner.cli.console import counted, emit, say
from runner.cli.meant import meant_run, run_names
from runner.cli.options import TakesRuns, json_option, make_settings, runs_option
from runner.errors import RecordDamaged, RunLocked, StorageError

_SHOWN = 10


@click.command(name="repair", cls=TakesRuns)
@click.argument("run", required=False, default="")
@runs_option
@json_option
def command(run: str, runs: Path | None, as_json: bool) -> int:
    """Mend the journals of RUN (default: of all runs) and build the index again from the journals.

    Lines that are provably whole are kept, the damaged file stays beside the new one; nothing is deleted.
    An index that another program left unusable is put aside under another name.
    """
    settings = make_settings(runs=runs)
    from runner.manifest.store import JOURNAL, NOTES

    names = run_names(settings.runs)
    mended, unread = 0, 0
    for name in [meant_run(names, run, settings.runs)] if run else names:
        for file in (NOTES, JOURNAL):
            try:
                mended += _mend(settings.runs / name, file, asked=bool(run), as_json=as_json)
            except StorageError as error:
                if run:
                    raise
                unread += 1
                say(f"left alone: {error}")
    damaged = _index(settings.runs, len(names), mended=mended, unread=unread, as_json=as_json)
    if unread:
        return StorageError.exit_code
    return RecordDamaged.exit_code if damaged else 0


def _index(runs: Path, number: int, *, mended: int, unread: int, as_json: bool) -> bool:
    """Build the index again and tell of it; return whether a journal is still damaged."""
    from runner.manifest.opening import log_of
    from runner.manifest.store import PUBLISHED, refresh

    published = runs / PUBLISHED
    there = number or published.exists() or log_of(published).exists()
    report = refresh(runs, anew=True, asked=True) if there else None
    damaged = report.damaged if report else ()
    for damage in damaged:
        say(f"still damaged: {damage}")
    for sentence in report.index if report else ():
        say(f"index: {sentence}")
    built_again = bool(report and report.published)
    if as_json:
        notes = list(report.index) if report else []
        facts = {"runs": number, "damaged": list(damaged), "published": built_again, "notes": notes}
        emit({"event": "index", **facts})
    whole = "what is damaged cannot be mended" if damaged or unread else "every journal is whole"
    files = counted(mended, "file") + " mended" if mended else whole
    built = "is built again" if built_again else "is not built now"
    if there and report is None:
        built = "is being written by another animerun, which will publish it"
    say(f"{files}; the index of {counted(number, 'run')} {built if there else 'is not needed'}")
    return bool(damaged)


def _mend(folder: Path, file: str, *, asked: bool, as_json: bool) -> bool:
    """Mend one file and tell of it; one that is being written is left alone, unless asked for by name."""
    from runner.manifest.notes import add_note
    from runner.manifest.repair import mend
    from runner.resume import retold

    if not (folder / file).is_file():
        return False
    try:
        done = mend(folder, file, retell=partial(retold, folder))
    except RunLocked as error:
        if asked:
            raise
        say(f"left alone: {error}")
        return False
    if done is None:
        return False
    facts = _facts(done)
    add_note(folder, "repaired", facts, at=door.now())
    if as_json:
        emit({"event": "repaired", "run": folder.name, **facts})
    else:
        _tell(done, folder.name)
    return True


def _facts(done: Any) -> dict[str, Any]:
    return {
        "file": done.path.name,
        "kept": done.kept,
        "lost": done.lost,
        "torn": done.torn,
        "original": done.original,
        "restored": done.restored,
        "missing": done.missing,
        "open": done.open,
    }


def _tell(done: Any, run: str) -> None:
    say(f"{run}/{done.path.name}: {counted(done.kept, 'line')} saved")
    if done.lost:
        lines = ", ".join(map(str, done.lost[:_SHOWN])) + (" …" if len(done.lost) > _SHOWN else "")
        say(f"  lost      {counted(len(done.lost), 'line')}: {lines}")
    if done.torn:
        say(f"  dropped   1 unfinished record at the end ({done.torn:,} bytes, in {done.path.name}.torn)")
    if done.original:
        say(f"  kept      the damaged file, as {done.original}")
    _list("restored", done.restored)
    _list("missing", done.missing)
    _list("no end", [f"{key}" + (f"; on disk: {', '.join(f)}" if f else "") for key, f in done.open.items()])
    if done.open:
        say(f"→ animerun resume {run}")


def _list(word: str, sentences: list[str]) -> None:
    for sentence in sentences[:_SHOWN]:
        say(f"  {word:<9} {sentence}")
    if len(sentences) > _SHOWN:
        say(f"  {'':<9} … and {len(sentences) - _SHOWN:,} more")
