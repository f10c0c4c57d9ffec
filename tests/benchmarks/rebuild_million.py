# ruff: noqa: T201 - a script that prints
"""How long building the index from a journal of a million lines takes, beside reading and adding alone.

    python tests/benchmarks/rebuild_million.py [--lines 1000000] [--rounds 3]

Each round measures three processes of their own, one after the other, so that a slow machine slows all:

* `read`: the same file line by line through `json.loads`, nothing kept;
* `add`: the same rows, made beforehand, into a new DuckDB file through its appenders, nothing read;
* `rebuild`: what `animerun repair` does to the index: read, check every checksum, make rows, add, publish.

Prints one JSON line per round and the medians; ends with 1 above --limit seconds or --memory MiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

RUN = "ep01-20261122T135500Z-4f2a"


def read(runs: Path) -> None:
    """Read every line with the standard library."""
    with (runs / RUN / "journal.jsonl").open("rb") as file:
        for raw in file:
            json.loads(raw)


def add(runs: Path) -> float:
    """Add the rows of the journal to a new file; return the seconds that took, making the rows left out."""
    import itertools

    import duckdb

    from runner.manifest import tables
    from runner.manifest.journal import Reading
    from runner.manifest.rows import rows

    took = 0.0
    target = runs / "bare.duckdb"
    target.unlink(missing_ok=True)
    with duckdb.connect(str(target), config={"memory_limit": "256MB", "threads": "2"}) as db:
        tables.create(db)
        db.execute("begin")
        reading = iter(Reading(runs / RUN / "journal.jsonl"))
        while batch := list(itertools.islice(reading, 50_000)):
            groups: dict[str, list[tuple[object, ...]]] = {}
            for line in batch:
                for table, row in rows(RUN, line):
                    groups.setdefault(table, []).append(row)
            began = time.perf_counter()
            for table, group in groups.items():
                with db.appender(table) as appender:
                    appender.append_rows(group)
            took += time.perf_counter() - began
        began = time.perf_counter()
        db.execute("commit")
        db.execute("checkpoint")
        took += time.perf_counter() - began
    target.unlink()
    return took


def rebuild(runs: Path) -> None:
    """Build the index again from nothing."""
    from runner.manifest.store import refresh

    report = refresh(runs, anew=True)
    assert report is not None
    assert report.applied == (RUN,), report


def measured(what: str, runs: Path) -> dict[str, float]:
    """Return seconds and MiB of one step as a process of its own."""
    command = [sys.executable, __file__, "--step", what, "--runs", str(runs)]
    began = time.perf_counter()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    told = json.loads(out)
    return {"s": told["s"] or time.perf_counter() - began, "mib": told["mib"]}


def step(what: str, runs: Path) -> None:
    """Do one step and print what it took."""
    took = {"read": read, "add": add, "rebuild": rebuild}[what](runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": took, "mib": peak}))


def main() -> int:
    """Measure in turns and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=15.0)
    parser.add_argument("--memory", type=float, default=400.0)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        step(asked.step, asked.runs)
        return 0
    from tests.benchmarks.journals import LINES_PER_JOB, write

    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        lines = write(runs, RUN, round(asked.lines / LINES_PER_JOB))
        size = (runs / RUN / "journal.jsonl").stat().st_size
        rounds = []
        for number in range(asked.rounds):
            row = {what: measured(what, runs) for what in ("read", "add", "rebuild")}
            rounds.append(row)
            seconds = {f"{what}_s": round(row[what]["s"], 2) for what in row}
            print(json.dumps({"round": number, **seconds, "mib": round(row["rebuild"]["mib"])}), flush=True)
        index = (runs / "manifest.duckdb").stat().st_size
    took = statistics.median(row["rebuild"]["s"] for row in rounds)
    bare = statistics.median(row["rebuild"]["s"] / (row["read"]["s"] + row["add"]["s"]) for row in rounds)
    peak = max(row["rebuild"]["mib"] for row in rounds)
    jobs = lines / LINES_PER_JOB
    told = {
        "lines": lines,
        "rebuild_s": round(took, 2),
        "ratio_to_bare_read_and_add": round(bare, 2),
        "peak_mib": round(peak),
        "index_bytes_per_job": round(index / jobs),
        "journal_bytes_per_job": round(size / jobs),
        "limit_s": asked.limit,
    }
    print(json.dumps(told))
    return 0 if took <= asked.limit and peak <= asked.memory else 1


if __name__ == "__main__":
    sys.exit(main())
