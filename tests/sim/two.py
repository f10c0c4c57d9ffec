# ruff: noqa: T201 - a script that prints
"""Two runners on the same servers: each makes its own jobs, and neither touches what the other has there.

    python -m tests.sim.two [--jobs 2000]

Both live on one virtual clock, as two processes do that share nothing but servers and the folder of runs. The
first is told to stop again and again: it takes back what it has pending, interrupts what it has running,
and is resumed each time. A job of the other that was cancelled by it could only be made by a second attempt.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import door, launch
from runner.batch import Batch
from runner.events import AttemptSucceeded, Event
from runner.run import Control
from runner.settings import Settings
from tests import checker
from tests.sim.comfy import Answer, Comfy
from tests.sim.loop import VirtualLoop
from tests.sim.play import Case, Nobody, Simulation, facts_of, fast_folder, project, quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What came of two runners."""

    verdict: checker.Verdict
    codes: list[int]
    """Exit codes: of the processes of the first runner, then of the other."""
    taken_back: int
    """Attempts that the first one cancelled."""
    foreign: set[str | None]
    """Ids in its orders to cancel that are none of its own; None = an order for everything there is."""
    troubled: list[str]
    """Jobs of the other that needed anything but one attempt."""
    most: list[int]
    """Most jobs each server held at once."""


class _Stopping(Nobody):
    """A view that asks for the end when so many jobs are made."""

    def __init__(self, control: Control, after: int) -> None:
        self._control, self._left = control, after

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptSucceeded):
            self._left -= 1
            if self._left == 0:
                self._control.stop("stopped", 130)


def _overheard(comfy: Comfy) -> list[dict[str, Any]]:
    """Return a list into which every order to cancel goes that *comfy* is given from now on."""
    orders: list[dict[str, Any]] = []
    answer = comfy.request

    def request(method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        if method == "POST" and path.endswith(("/queue", "/interrupt")):
            orders.append(json.loads(body))
        return answer(method, path, query, body)

    comfy.request = request  # type: ignore[method-assign]
    return orders


async def _first(batch: Batch, settings: Settings, jobs: int) -> list[int]:
    """Run, stop, resume, stop …; return the exit codes."""
    codes, after = [], max(10, jobs // 50)
    control = Control()
    view = _Stopping(control, after)
    summary, _ = await launch.launch(batch, settings=settings, control=control, view=view)
    while summary.exit_code == 130:
        codes.append(summary.exit_code)
        control = Control()
        view = _Stopping(control, after)
        summary, _ = await launch.resume(
            summary.run, retry_failed=False, settings=settings, control=control, view=view
        )
    return [*codes, summary.exit_code]


async def _live(case: Case, loop: VirtualLoop, runs: Path, *, alike: bool) -> Met:
    one, two = project(case.jobs), project(case.jobs, episode="other", colour=7 if alike else 1_000_000)
    simulation = Simulation(case, loop)
    # The grace is shorter than a job, so that the stop interrupts as well.
    settings = Settings(runs=runs, servers=tuple(simulation.hosts), depth=case.depth, grace_s=0.2)
    heard = [_overheard(host.comfy) for host in simulation.hosts.values()]
    with door.entered(simulation.world(None, 0)):
        first = asyncio.ensure_future(_first(one.batch(runs), settings, case.jobs))
        second, _ = await launch.launch(two.batch(runs), settings=settings, control=Control(), view=Nobody())
        codes = [*await first, second.exit_code]
    servers = [facts_of(host.comfy) for host in simulation.hosts.values()]
    lines = checker.journals(runs)
    cancelled = [line for run in lines.values() for line in run if line["t"] == "cancelled"]
    attempts = Counter(line["key"] for line in lines[second.run] if line["t"] == "intent")
    own = {line["id"] for run in lines.keys() - {second.run} for line in lines[run] if line["t"] == "intent"}
    named = {
        each for orders in heard for order in orders for each in order.get("delete", [order.get("prompt_id")])
    }
    return Met(
        verdict=checker.judge(runs, (*one.keys, *two.keys), servers),
        codes=codes,
        taken_back=len(cancelled),
        foreign=named - own,
        troubled=[key for key in two.keys if attempts[key] != 1],
        most=[host.comfy.most for host in simulation.hosts.values()],
    )


def met(jobs: int, *, seed: int = 0, alike: bool = False) -> Met:
    """Let two runners of so many *jobs* each meet on two servers; *alike* = they want the same pictures."""
    loop = VirtualLoop(random.Random(f"two {seed}"))
    folder = Path(tempfile.mkdtemp(prefix="animerun-two-", dir=fast_folder()))
    case = Case(seed=seed, jobs=jobs, servers=2, depth=3, longest_job_s=1.0)
    try:
        with quick():
            return loop.run_until_complete(_live(case, loop, folder / "runs", alike=alike))
    finally:
        loop.close()
        shutil.rmtree(folder)


def wrong(found: Met, jobs: int) -> str:
    """Return what must not be, empty when all is well."""
    verdict = found.verdict
    if not verdict.sound or verdict.made != 2 * jobs or verdict.duplicates:
        return str(verdict)
    if {*found.codes[:-2]} != {130} or found.codes[-2:] != [0, 0]:
        return f"exit codes {found.codes}"
    if found.foreign:
        return f"orders to cancel what is another's: {found.foreign}"
    if found.troubled:
        return f"cancelled by the other runner: {found.troubled[:5]}"
    if not found.taken_back:
        return "the first runner took nothing back: nothing was tried"
    return "" if max(found.most) <= 6 else f"{found.most} jobs at once on servers for 3 of each"


def main() -> int:
    """Let two runners meet and tell what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2000, help="of each runner")
    jobs = parser.parse_args().jobs
    found = met(jobs)
    told = {"jobs": 2 * jobs, "taken_back": found.taken_back, "most": found.most, "wrong": wrong(found, jobs)}
    print(json.dumps(told))
    return 1 if told["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
