"""What a run keeps in memory does not grow with the number of its jobs."""

from __future__ import annotations

import gc
import random
from collections import Counter
from pathlib import Path

from runner import door, launch
from runner.events import AttemptSucceeded, Event
from runner.run import Control
from runner.settings import Settings
from tests.sim.loop import VirtualLoop
from tests.sim.play import NET, Case, Nobody, Simulation, project, quick

JOBS, EARLY, LATE = 160, 30, 150
"""A few may fail in such a network."""


class Counting(Nobody):
    """A view that counts animerun's objects, once early and once late in a run."""

    def __init__(self) -> None:
        self._made = 0
        self.alive: list[Counter[str]] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptSucceeded):
            self._made += 1
            if self._made in (EARLY, LATE):
                gc.collect()
                kinds = (type(each) for each in gc.get_objects())
                mine = (kind.__qualname__ for kind in kinds if str(kind.__module__).startswith("runner."))
                self.alive.append(Counter(mine))


async def run(loop: VirtualLoop, runs: Path, view: Counting) -> None:
    batch = project(JOBS).batch(runs)
    case = Case(jobs=JOBS, faults=NET, keep=False)
    simulation = Simulation(case, loop)
    settings = Settings(runs=runs, servers=tuple(simulation.hosts), depth=case.depth)
    with door.entered(simulation.world(None, 0)):
        await launch.launch(batch, settings=settings, control=Control(), view=view)


def test_nothing_is_kept_of_an_attempt_that_is_over(tmp_path: Path) -> None:
    """Late in a run there are no more attempts, events, outputs, requests or watches than early in it."""
    loop, view = VirtualLoop(random.Random(0)), Counting()
    try:
        with quick():
            loop.run_until_complete(run(loop, tmp_path, view))
    finally:
        loop.close()
    early, late = view.alive
    grown = {kind: count - early[kind] for kind, count in late.items() if count - early[kind] > 20}

    assert early["Conductor"] == 1, "nothing was counted"
    assert grown == {}
