# ruff: noqa: E501, T201 - graphs and tables; a script that prints
"""How much animerun adds to 50 trivial jobs, beside a bare submit-and-poll loop on the same server.

    python tests/benchmarks/trivial_jobs.py --url http://127.0.0.1:8188 [--jobs 50] [--rounds 5] [--against DIR]

Both submit EmptyImage → SaveImage with a new colour each time and end with every file downloaded; both are
processes of their own, measured from start to exit. The bare loop is what people write: one job at a time,
POST, ask /history every 10 ms, GET /view, write the file; no checks, no record. For comparison a third row is
the tightest loop we could write, two jobs outstanding and /history asked every 5 ms. They take turns, so that a
slow machine slows all; one run of each before them is not counted. Prints one JSON line per round and the median ratios; exits with 1 when animerun takes more
than --limit times the bare loop. With --against, a checkout of another version takes its turn too and the ratio to it
is printed; then --limit-against decides as well.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATE = """\
---
title: One flat colour
parameters:
  colour: {type: int, default: 0, min: 0, max: 16777215}
  seed: {type: seed}
outputs: {out: image}
---
{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": {{ (colour + seed) % 16777216 }}}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["empty", 0]}}
}
"""


def project(folder: Path, jobs: int, start: int) -> Path:
    """Write a project of *jobs* jobs with colours from *start* on; return its spec."""
    (folder / "templates").mkdir(parents=True)
    (folder / "animerun.toml").write_text("")
    (folder / "templates" / "flat.json.j2").write_text(TEMPLATE)
    spec = folder / "flat.yaml"
    spec.write_text(
        f"animerun: 1\nepisode: flat\ntemplate: flat\nscenes: {{s: {{seeds: {start}..{start + jobs - 1}}}}}\n"
    )
    return spec


# As installed: an environment that keeps no bytecode compiles each version's modules at every start.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def ours(url: str, jobs: int, start: int, tree: Path = ROOT) -> float:
    """Return the wall seconds of the animerun in *tree* for *jobs* trivial jobs, start and exit included."""
    with tempfile.TemporaryDirectory() as folder:
        spec = project(Path(folder) / "p", jobs, start)
        command = [
            sys.executable,
            "-m",
            "runner",
            str(spec),
            "--server",
            url,
            "--runs",
            f"{folder}/runs",
            "-q",
        ]
        began = time.perf_counter()
        subprocess.run(
            command, check=True, capture_output=True, cwd=tree, env=_ENVIRONMENT | {"PYTHONPATH": str(tree)}
        )
        took = time.perf_counter() - began
        made = list(Path(folder).glob("runs/*/**/*.png"))
        assert len(made) == jobs, f"{len(made)} files instead of {jobs}"
    return took


def loop(url: str, jobs: int, start: int, *, depth: int, pause_s: float) -> None:
    """Submit, poll and download, and do nothing else."""
    run = uuid.uuid4().hex[:8]
    with httpx.Client(base_url=url, trust_env=False) as client, tempfile.TemporaryDirectory() as folder:
        waiting: dict[str, int] = {}
        todo = iter(range(jobs))
        done = 0
        while done < jobs:
            while len(waiting) < depth and (number := next(todo, None)) is not None:
                body = {"prompt": graph(start + number, f"bare/{run}/{number}/x"), "client_id": run}
                waiting[client.post("/prompt", json=body).json()["prompt_id"]] = number
            time.sleep(pause_s)
            for prompt_id, number in list(waiting.items()):
                entry = client.get(f"/history/{prompt_id}").json().get(prompt_id)
                if entry:
                    [ref] = entry["outputs"]["2"]["images"]
                    Path(folder, f"{number}.png").write_bytes(client.get("/view", params=ref).content)
                    del waiting[prompt_id]
                    done += 1


def graph(colour: int, prefix: str) -> dict[str, object]:
    """Return the trivial job."""
    size = {"width": 64, "height": 64, "batch_size": 1}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {**size, "color": colour % 16777216}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def bare(url: str, jobs: int, start: int, *, depth: int, pause_s: float) -> float:
    """Return the wall seconds of the loop as a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--url",
        url,
        "--jobs",
        str(jobs),
        "--loop",
        str(depth),
        str(pause_s),
        str(start),
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def main() -> int:
    """Measure in turns and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=1.5)
    parser.add_argument("--against", type=Path, help="a checkout of another version")
    parser.add_argument("--limit-against", type=float, default=1.05)
    parser.add_argument("--loop", nargs=3, metavar=("DEPTH", "PAUSE", "START"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.loop:
        depth, pause, start = asked.loop
        loop(asked.url, asked.jobs, int(start), depth=int(depth), pause_s=float(pause))
        return 0
    colours = itertools.count(int(time.time() * 10) % 10_000_000, asked.jobs)
    url, jobs = asked.url, asked.jobs
    trees = {"animerun_s": ROOT} | ({"before_s": asked.against.resolve()} if asked.against else {})
    for tree in trees.values():
        ours(url, jobs, next(colours), tree)
    rows = []
    for number in range(asked.rounds):
        row = {"bare_s": bare(url, jobs, next(colours), depth=1, pause_s=0.01)}
        row["tight_s"] = bare(url, jobs, next(colours), depth=2, pause_s=0.005)
        for name in sorted(trees, reverse=bool(number % 2)):
            row[name] = ours(url, jobs, next(colours), trees[name])
        rows.append(row)
        print(json.dumps({"round": number} | {name: round(value, 3) for name, value in row.items()}))
    ratio = statistics.median(row["animerun_s"] / row["bare_s"] for row in rows)
    tight = statistics.median(row["animerun_s"] / row["tight_s"] for row in rows)
    told = {
        "jobs": asked.jobs,
        "ratio_to_bare": round(ratio, 3),
        "ratio_to_tight": round(tight, 3),
        "limit": asked.limit,
    }
    slower = False
    if asked.against:
        before = statistics.median(row["animerun_s"] / row["before_s"] for row in rows)
        told |= {"ratio_to_before": round(before, 3), "limit_against": asked.limit_against}
        slower = before > asked.limit_against
    print(json.dumps(told))
    return 0 if ratio <= asked.limit and not slower else 1


if __name__ == "__main__":
    sys.exit(main())
