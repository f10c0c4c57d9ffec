"""`animerun diff A B`: what differs between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.console import counted, emit, report, tell
from runner.cli.meant import meant_run, run_names
from runner.cli.options import TakesRuns, json_option, make_settings, runs_option
from runner.errors import AnimerunError, UsageError

if TYPE_CHECKING:
    from runner.compare import Asked, Comparison
    from runner.diff.model import RunDiff

SAME, DIFFERENT, TROUBLE = 0, 1, 2


@click.command(
    name="diff",
    cls=TakesRuns,
    epilog="Exit codes: 0 no job differs · 1 some do · 2 trouble, or no job in common",
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--pixels", is_flag=True, help="Look at every picture that differs, not only the first 200.")
@click.option("--markdown", "as_markdown", is_flag=True, help="For a pull request.")
@runs_option
@json_option
def command(a: str, b: str, pixels: bool, as_markdown: bool, runs: Path | None, as_json: bool) -> int:
    """Say what differs between A and B, by cause: jobs, words, node inputs, pictures, servers, times.

    A and B are runs (a name, its beginning, -1 for the newest), folders of runs, exported files, or a
    spec.yaml (its plan). Exit code 0: no job differs, 1: some do, 2: trouble, or no job in common. Another
    environment or other times alone are no difference. Near = at most 4 bits of the dHash differ, and
    SSIM ≥ 0.95.
    """
    try:
        if as_json and as_markdown:
            raise UsageError("--json and --markdown are two answers to one question; give one of them")
        # The runs of a spec lie in its own project, whatever the working folder is.
        spec = next((Path(each) for each in (a, b) if Path(each).suffix in (".yaml", ".yml")), None)
        settings = make_settings(spec=spec, runs=runs)
        from runner.compare import GRADED, Comparison

        names = run_names(settings.runs)
        sides = [asked(text, names, settings.runs) for text in (a, b)]
        with Comparison(*sides, runs=settings.runs, pictures=None if pixels else GRADED) as found:
            _need_a_common_job(found.diff)
            _print(found, as_json=as_json, as_markdown=as_markdown)
            return SAME if found.diff.same else DIFFERENT
    except AnimerunError as error:
        report(error, as_json=as_json)
        return TROUBLE


def _need_a_common_job(diff: RunDiff) -> None:
    """Raise UsageError where nothing can be compared: every job is on one side only."""
    counts = diff.counts
    if counts.both or not (counts.removed and counts.added):
        return
    raise UsageError(
        f"{diff.a.run} and {diff.b.run} have no job in common: {counted(counts.removed, 'job')} only in the "
        f"first, {counted(counts.added, 'job')} only in the second",
        hint="two runs of one spec have the same keys: animerun list --spec SPEC",
    )


def asked(text: str, names: Sequence[str], runs: Path) -> Asked:
    """Return the side meant by *text*: a run, its folder, an exported file, or a spec. Raises UsageError."""
    from runner.compare import Asked

    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        return Asked(name=text, kind="plan", path=path)
    if ".tar" in path.suffixes:
        if not path.is_file():
            raise UsageError(f"there is no file {text}")
        return Asked(name=text, kind="file", path=path)
    if (path / "journal.jsonl").is_file():
        if path.resolve().parent == runs.resolve():
            return Asked(name=text, kind="run", run=path.resolve().name, path=runs / path.resolve().name)
        return Asked(name=text, kind="folder", path=path.resolve())
    run = meant_run(names, text, runs)
    return Asked(name=text, kind="run", run=run, path=runs / run)


def _print(found: Comparison, *, as_json: bool, as_markdown: bool) -> None:
    from runner.diff.text import lines, markdown

    if as_json:
        _emit(found)
    elif as_markdown:
        for line in markdown(found.diff):
            tell(line)
    else:
        for text in lines(found.diff):
            tell(text)


def _emit(found: Comparison) -> None:
    """One line about everything, then one for each cause, each graded picture and each job that differs."""
    from dataclasses import asdict

    diff = found.diff
    emit(diff.head())
    for group in diff.groups:
        emit({"event": "cause", **asdict(group)})
    for picture in diff.pictures:
        emit({"event": "picture", **asdict(picture)})
    for job in found.jobs():
        emit({"event": "job", **job})
