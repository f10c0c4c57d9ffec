# ruff: noqa: T201 - a script that prints
"""How long `animerun list` takes with a thousand runs, beside a bare process that asks DuckDB one question.

    python tests/benchmarks/list_thousand.py [--runs 1000] [--jobs 60] [--rounds 9]

Both are processes of their own, measured from start to exit, in turns. The bare one imports duckdb, opens the
published file and reads the newest fifty rows of `runs`. `list` counts the jobs of each run besides, and
makes sure with one `stat` per journal that the file has everything. Prints one JSON line per round and the
medians; ends with 1 above --limit seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

BARE = """
import sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as db:
    print(*db.execute("select run, spec, started from runs order by started desc limit 50").fetchall())
"""


def seconds(command: list[str]) -> tuple[float, str]:
    """Return the wall seconds of a process from start to exit, and what it printed."""
    began = time.perf_counter()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - began, out


def main() -> int:
    """Measure in turns and print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--limit", type=float, default=0.5)
    asked = parser.parse_args()
    from runner.manifest.store import refresh
    from tests.benchmarks.journals import write

    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        for number in range(asked.runs):
            write(runs, f"ep01-20261122T{number:06}Z-4f2a", asked.jobs, at=1.7e9 + number * 3600)
        refresh(runs)
        ours = [sys.executable, "-m", "runner", "list", "--runs", str(runs)]
        bare = [sys.executable, "-c", BARE, str(runs / "manifest.duckdb")]
        rounds = []
        for number in range(asked.rounds):
            (bare_s, _), (list_s, out) = seconds(bare), seconds(ours)
            assert len(out.splitlines()) == 51, out
            rounds.append((list_s, bare_s))
            print(json.dumps({"round": number, "bare_s": round(bare_s, 3), "list_s": round(list_s, 3)}))
    took = statistics.median(row[0] for row in rounds)
    ratio = statistics.median(row[0] / row[1] for row in rounds)
    print(json.dumps({"runs": asked.runs, "jobs_each": asked.jobs, "list_s": round(took, 3),
                      "ratio_to_bare": round(ratio, 2), "limit_s": asked.limit}))  # fmt: skip
    return 0 if took <= asked.limit else 1


if __name__ == "__main__":
    sys.exit(main())
