# ruff: noqa: E501, T201 - a graph; a script that prints
"""Whether reading the record disturbs a run: 4 readers make 1,000 reads while a run is being written.

    python tests/benchmarks/readers.py [--reads 1000] [--jobs 60] [--seconds 2.0]

The reads are spread over the run. Two runs of the same length on one previz, whose jobs wait --seconds each (a GPU would render meanwhile): first
alone, then with the readers beside it: `list`, `show`, `diff`, `sql`, each in a process of its own, and plain
DuckDB on the published file. Prints reads, errors and the ratio of the two wall times; exits with 1 when a read
failed or the run became slower by more than 5 %.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

TEMPLATE = """\
---
title: a flat colour that takes its time
parameters: {seed: {type: seed}, seconds: {type: float, default: 1, min: 0, max: 60}, colour: {type: int, default: 0}}
outputs: {out: image}
---
{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": {{ (seed + colour) % 16777216 }}}},
  "wait": {"class_type": "TSleep", "inputs": {"image": ["empty", 0], "seconds": {{ seconds }}, "coop": false}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["wait", 0]}}
}
"""


def reader(project: str, number: int, reads: int, span_s: float, results: multiprocessing.Queue) -> None:
    """Make *reads* reads of the record, evenly over *span_s*; report how many failed, with the first reason."""
    from runner.cli import call

    os.chdir(project)
    ways = itertools.cycle(
        [["list"], ["show"], ["diff", "-1", "-2"], ["sql", "select count(*) from job_state"], []]
    )
    for _ in range(number):
        next(ways)
    failed, reason = 0, ""
    began = time.perf_counter()
    for count, way in enumerate(itertools.islice(ways, reads)):
        time.sleep(max(0.0, began + span_s * count / reads - time.perf_counter()))
        said = io.StringIO()
        try:
            if way:
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    code = call(way)
                ok = code in (0, 1) if way[0] == "diff" else code == 0
            else:
                with duckdb.connect("runs/manifest.duckdb", read_only=True) as db:
                    ok = db.execute("select count(*) from current_outputs").fetchone() is not None
        except duckdb.Error as error:
            ok = False
            said.write(str(error))
        if not ok:
            failed += 1
            reason = reason or f"{way}: {said.getvalue()[-300:]}"
    results.put((reads, failed, reason))


def run(project: Path, url: str, colour: int) -> float:
    """Return the wall seconds of one run."""
    spec = f"animerun: 1\nepisode: slow\ntemplate: slow\nscenes: {{s: {{takes: {JOBS}, seconds: {SECONDS}, colour: {colour}}}}}\n"
    (project / "slow.yaml").write_text(spec)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "runner", "slow.yaml", "--server", url, "-q"],
        cwd=project,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def main() -> int:
    """Measure and print."""
    global JOBS, SECONDS
    parser = argparse.ArgumentParser()
    parser.add_argument("--reads", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=2.0)
    asked = parser.parse_args()
    JOBS, SECONDS = asked.jobs, asked.seconds
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "p"
        (project / "templates").mkdir(parents=True)
        (project / "animerun.toml").write_text("")
        (project / "templates" / "slow.json.j2").write_text(TEMPLATE)
        command = [
            sys.executable,
            "-m",
            "runner.previz",
            "--port",
            "0",
            "--folder",
            f"{folder}/previz",
            "--test-nodes",
        ]
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            url = json.loads(server.stdout.readline())["url"]
            for colour in (1, 2):  # two short runs, so that there is something to compare from the start
                JOBS, SECONDS = 2, 0.01
                run(project, url, colour * 1000)
            JOBS, SECONDS = asked.jobs, asked.seconds
            alone = run(project, url, 100_000)
            results: multiprocessing.Queue = multiprocessing.Queue()
            each = asked.reads // 4
            readers = [
                multiprocessing.Process(target=reader, args=(str(project), n, each, 0.9 * alone, results))
                for n in range(4)
            ]
            for process in readers:
                process.start()
            beside = run(project, url, 200_000)
            still = sum(process.is_alive() for process in readers)
            told = [results.get() for _ in readers]
            for process in readers:
                process.join()
        finally:
            server.stdin.close()
            server.wait(10)
    reads, failed = sum(t[0] for t in told), sum(t[1] for t in told)
    ratio = beside / alone
    print(json.dumps({"jobs": asked.jobs, "alone_s": round(alone, 2), "with_readers_s": round(beside, 2), "ratio": round(ratio, 4),
                      "reads": reads, "errors": failed, "readers_outlasting_the_run": still, "first_error": next((t[2] for t in told if t[2]), "")}))  # fmt: skip
    return 0 if not failed and ratio <= 1.05 else 1


if __name__ == "__main__":
    sys.exit(main())
