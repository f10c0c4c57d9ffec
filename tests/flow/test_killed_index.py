# ruff: noqa: E501 - a program in a line
"""An index whose writer was killed while it began."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from runner.manifest.journal import Journal
from runner.manifest.store import PUBLISHED, refresh


@pytest.mark.parametrize(
    "begun", ["", "create table applied (x integer)", "create table meta (schema integer)"], ids=["empty", "other", "no schema"]
)  # fmt: skip
def test_an_index_that_was_only_begun_is_started_afresh(tmp_path: Path, begun: str) -> None:
    """Whatever a killed process had of its tables by then, the next refresh publishes a whole index."""
    run = tmp_path / "runs" / "r1"
    run.mkdir(parents=True)
    Journal.create(run / "journal.jsonl", run="r1").close()
    live = tmp_path / "runs" / ".index" / "live.duckdb"
    live.parent.mkdir()
    code = f"import duckdb, os; db = duckdb.connect({str(live)!r}); db.execute({begun!r}) if {begun!r} else None; os._exit(9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    refresh(tmp_path / "runs")

    with duckdb.connect(str(tmp_path / "runs" / PUBLISHED), read_only=True) as db:
        assert db.sql("select run from applied").fetchall() == [("r1",)]
