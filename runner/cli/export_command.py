"""`animerun export`: a run as one file, or the tables of the record as Parquet or CSV."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.console import counted, emit, say, warn
from runner.cli.meant import meant_run, run_names
from runner.cli.options import TakesRuns, json_option, make_settings, runs_option
from runner.errors import UsageError


@click.command(name="export", cls=TakesRuns)
@click.argument("run", required=False, default="")
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="FILE",
              help="The file to write (default: RUN.animerun.tar here).")  # fmt: skip
@click.option("--no-outputs", is_flag=True, help="Leave the pictures and clips out.")
@click.option("--parquet", type=click.Path(path_type=Path), metavar="DIR", help="All tables as Parquet.")
@click.option("--csv", type=click.Path(path_type=Path), metavar="DIR", help="All tables as CSV.")
@runs_option
@json_option
def command(
    run: str,
    target: Path | None,
    no_outputs: bool,
    parquet: Path | None,
    csv: Path | None,
    runs: Path | None,
    as_json: bool,
) -> int:
    """Write RUN into one file that animerun import-run takes: journal, plan, outputs.

    With --parquet or --csv the tables of the record instead, of all runs or of RUN.
    """
    settings = make_settings(runs=runs)
    if not (parquet or csv or run):
        raise UsageError("export which run?", hint="animerun export -1 for the newest; animerun list")
    name = meant_run(run_names(settings.runs), run, settings.runs) if run else ""
    if parquet or csv:
        if target or no_outputs:
            raise UsageError("--to and --no-outputs are for a run; tables go into --parquet or --csv")
        for folder, kind in ((parquet, "parquet"), (csv, "csv")):
            if folder:
                _tables(settings.runs, folder, kind, name, as_json=as_json)
        return 0
    return _run(settings.runs / name, target, outputs=not no_outputs, as_json=as_json)


def _run(folder: Path, target: Path | None, *, outputs: bool, as_json: bool) -> int:
    from runner.manifest.export import SUFFIX, export_run

    done = export_run(folder, target or Path(folder.name + SUFFIX), outputs=outputs)
    if as_json:
        emit({"event": "exported", "run": folder.name, "path": str(done.path), "files": done.files,
              "size": done.size, "missing": list(done.missing)})  # fmt: skip
        return 0
    if done.missing:
        say(f"warning: {counted(len(done.missing), 'output')} no longer on disk: {done.missing[0]} …")
    say(f"{done.path}: {counted(done.files, 'file')}, {done.size:,} bytes")
    say(f"There: animerun import-run {done.path.name}")
    return 0


def _tables(runs: Path, folder: Path, kind: str, run: str, *, as_json: bool) -> None:
    from runner.manifest.export import export_tables

    counts, damaged = export_tables(runs, folder, kind=kind, run=run)
    for damage in damaged:
        warn(damage)
    for table, rows in counts.items():
        if as_json:
            emit({"event": "table", "table": table, "path": str(folder / f"{table}.{kind}"), "rows": rows})
    if not as_json:
        say(f"{folder}/: {counted(len(counts), 'table')} as {kind}, {counted(sum(counts.values()), 'row')}")
