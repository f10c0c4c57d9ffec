"""`animerun sql "select …"`: one query against the record."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from runner.cli.console import emit, rows_as_they_are, say, table, tell
from runner.cli.opened import opened
from runner.cli.options import json_option, make_settings, runs_option
from runner.errors import UsageError


@click.command(name="sql")
@click.argument("query", required=False, default="")
@runs_option
@click.option("--limit", type=click.IntRange(1), default=1_000, show_default=True, help="Most rows.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout.")
@json_option
def command(query: str, runs: Path | None, limit: int, as_csv: bool, as_json: bool) -> int:
    """Answer one QUERY about all runs; `-` reads it from stdin, without one the tables are listed.

    It reads a copy: nothing can be changed, no file can be reached. It is stopped after 30 s.
    """
    if as_csv and as_json:
        raise UsageError("--json and --csv are two answers to one question; give one of them")
    settings = make_settings(runs=runs)
    from runner.manifest.query import ask, columns

    with opened(settings.runs) as manifest:
        if query:
            text = sys.stdin.read() if query == "-" else query
            found = ask(manifest, text, limit=limit)
            names, rows, more = found.columns, found.rows, found.more
        else:
            names, rows, more = ("table", "columns"), list(columns(manifest)), False
    if as_json:
        for row in rows:
            emit(dict(zip(names, map(_json, row), strict=True)))
    elif as_csv:
        _csv(names, rows)
    else:
        tell(table([tuple(_cell(value) for value in row) for row in rows], head=names))
    if more:
        say(f"Only the first {limit:,} rows; for more: --limit {limit * 10}")
    return 0


def _json(value: Any) -> Any:
    """Return *value* as JSON can say it: times in ISO form (UTC), durations in seconds, bytes as hex."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime() if value.tzinfo is None:
            return f"{value.isoformat()}Z"
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case dict():
            return {str(name): _json(each) for name, each in value.items()}
        case list() | tuple():
            return [_json(each) for each in value]
        case _:
            return str(value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    plain = _json(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _csv(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from runner.manifest.export import quoted_cell

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([quoted_cell(name) for name in names])
    for row in rows:
        cells = (quoted_cell(value) if isinstance(value, str) else _cell(value) for value in row)
        writer.writerow(list(cells))
    rows_as_they_are(text.getvalue())
