# ruff: noqa: T201 - a script that prints
"""One long run: does memory grow, does anything pile up?

    python -m tests.sim.soak [--jobs 100000] [--servers 4] [--depth 4]

The network is unkind and servers restart; no process is killed. Prints a JSON line every tenth of the jobs
and one with the growth from the first tenth to the end. Exits with 1 when memory grew by more than --growth
MB, or files or tasks pile up.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from runner import door, launch
from runner.events import AttemptSucceeded, Event
from runner.run import Control
from runner.settings import Settings
from runner.summary import Summary
from tests.sim.loop import VirtualLoop
from tests.sim.play import NET, Case, Nobody, Simulation, fast_folder, project, quick


class Watching(Nobody):
    """A view that looks at its own process every so many jobs."""

    def __init__(self, every: int) -> None:
        self._every, self._made, self._began = every, 0, time.monotonic()
        self.looks: list[dict[str, float]] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptSucceeded):
            self._made += 1
            if self._made % self._every == 0:
                self._look()

    def _look(self) -> None:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        look = {
            "made": self._made,
            "rss_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
            "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - the folder of the looker
            "tasks": len(asyncio.all_tasks()),
            "objects": len(gc.get_objects()),
            "jobs_per_s": round(self._made / (time.monotonic() - self._began)),
            "virtual_h": round(asyncio.get_running_loop().time() / 3600, 1),
        }
        self.looks.append(look)
        print(json.dumps(look), flush=True)


async def _run(case: Case, loop: VirtualLoop, runs: Path, view: Watching) -> Summary:
    batch = project(case.jobs).batch(runs)
    simulation = Simulation(case, loop)
    settings = Settings(runs=runs, servers=tuple(simulation.hosts), depth=case.depth)
    with door.entered(simulation.world(None, 0)):
        summary, _ = await launch.launch(batch, settings=settings, control=Control(), view=view)
    simulation.over = True
    return summary


def main() -> int:
    """Make one long run and tell what grew."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--growth", type=float, default=15.0)
    asked = parser.parse_args()
    case = Case(jobs=asked.jobs, servers=asked.servers, depth=asked.depth, keep=False)
    case = replace(case, faults=NET, nemesis_s=3600.0)
    view, loop = Watching(asked.jobs // 10), VirtualLoop(random.Random(0))
    runs = Path(tempfile.mkdtemp(prefix="animerun-soak-", dir=fast_folder()))
    try:
        with quick():
            gc.enable()
            summary = loop.run_until_complete(_run(case, loop, runs / "runs", view))
    finally:
        loop.close()
        shutil.rmtree(runs)
    first, last = view.looks[0], view.looks[-1]
    grown = {name: round(last[name] - first[name], 1) for name in ("rss_mb", "files", "tasks", "objects")}
    print(json.dumps({"succeeded": summary.succeeded, "failed": summary.failed, "grown": grown}))
    steady = abs(grown["files"]) <= 3 and abs(grown["tasks"]) <= 3 * asked.servers * asked.depth
    return 0 if grown["rss_mb"] <= asked.growth and steady else 1


if __name__ == "__main__":
    sys.exit(main())
