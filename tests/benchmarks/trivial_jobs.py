"""How much animerun adds to 50 trivial jobs, beside a bare submit-and-poll loop on the same server.

    python tests/benchmarks/trivial_jobs.py --url http://127.0.0.1:8188 [--jobs 50] [--rounds 3]

Both submit EmptyImage → SaveImage with a new colour each time and end with every file downloaded. The bare
loop keeps two jobs outstanding, polls /history every 5 ms and writes what /view gives. They take turns in one
process's lifetime, so that a slow machine slows both. Prints one line per round and the median ratio; exits
with 1 when it is above --limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import httpx

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


def ours(url: str, jobs: int, start: int) -> float:
    """Return the wall seconds of `animerun` for *jobs* trivial jobs, process start and exit included."""
    with tempfile.TemporaryDirectory() as folder:
        spec = project(Path(folder) / "p", jobs, start)
        command = [sys.executable, "-m", "runner", str(spec), "--server", url, "--runs", f"{folder}/runs", "-q"]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took = time.perf_counter() - began
        made = list(Path(folder).glob("runs/*/**/*.png"))
        assert len(made) == jobs, f"{len(made)} files instead of {jobs}"
    return took


def bare(url: str, jobs: int, start: int, depth: int = 2) -> float:
    """Return the wall seconds of a loop that submits, polls and downloads, and does nothing else."""
    run = uuid.uuid4().hex[:8]
    began = time.perf_counter()
    with httpx.Client(base_url=url, trust_env=False) as client, tempfile.TemporaryDirectory() as folder:
        waiting: dict[str, int] = {}
        todo = iter(range(jobs))
        done = 0
        while done < jobs:
            while len(waiting) < depth and (number := next(todo, None)) is not None:
                colour = (start + number) % 16777216
                graph = {
                    "1": {
                        "class_type": "EmptyImage",
                        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": colour},
                    },
                    "2": {
                        "class_type": "SaveImage",
                        "inputs": {"images": ["1", 0], "filename_prefix": f"bare/{run}/{number}/x"},
                    },
                }
                answer = client.post("/prompt", json={"prompt": graph, "client_id": run})
                waiting[answer.json()["prompt_id"]] = number
            time.sleep(0.005)
            for prompt_id, number in list(waiting.items()):
                entry = client.get(f"/history/{prompt_id}").json().get(prompt_id)
                if entry:
                    [ref] = entry["outputs"]["2"]["images"]
                    Path(folder, f"{number}.png").write_bytes(client.get("/view", params=ref).content)
                    del waiting[prompt_id]
                    done += 1
    return time.perf_counter() - began


def main() -> int:
    """Measure in turns and print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=1.5)
    asked = parser.parse_args()
    start = int(time.time()) % 10_000_000
    ratios = []
    for number in range(asked.rounds):
        first = start + number * 2 * asked.jobs
        loop = bare(asked.url, asked.jobs, first)
        run = ours(asked.url, asked.jobs, first + asked.jobs)
        ratios.append(run / loop)
        print(json.dumps({"round": number, "bare_s": round(loop, 3), "animerun_s": round(run, 3),
                          "ratio": round(ratios[-1], 3)}))  # fmt: skip
    median = statistics.median(ratios)
    print(json.dumps({"jobs": asked.jobs, "median_ratio": round(median, 3), "limit": asked.limit}))
    return 0 if median <= asked.limit else 1


if __name__ == "__main__":
    sys.exit(main())
