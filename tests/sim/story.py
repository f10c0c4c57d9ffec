"""What a thought-out life is told with: servers, processes on them, and somebody who meddles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

from runner import door, launch
from runner.events import Event, ServerDown
from runner.run import Control
from runner.settings import Settings
from runner.summary import Summary
from tests import checker
from tests.sim.comfy import Answer
from tests.sim.loop import VirtualLoop
from tests.sim.play import Case, Nobody, Project, Simulation, _process, facts_of, project

Told = dict[str, str]
Meddle = Callable[[str, str, Told, Answer], Answer]
"""(method, path, query, answer) → what is answered instead."""


class Hearing(Nobody):
    """A view that keeps why servers were not used."""

    def __init__(self) -> None:
        self.down: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, ServerDown):
            self.down.append(event.reason)


class Story:
    """A case on its servers, the first of which somebody meddles with."""

    def __init__(self, case: Case, loop: VirtualLoop, runs: Path, *, control: Control | None = None) -> None:
        self.case, self.loop, self.control = case, loop, control or Control()
        self.simulation = Simulation(case, loop)
        self.comfy = next(iter(self.simulation.hosts.values())).comfy
        self.view = Hearing()
        self._processes = count()
        self.settings = Settings(
            runs=runs, servers=tuple(self.simulation.hosts), depth=case.depth, grace_s=2.0
        )

    def meddle(self, meddle: Meddle) -> None:
        """Have the first server's answers pass *meddle*."""
        request = self.comfy.request

        def asked(method: str, path: str, query: Any, body: bytes) -> Answer:
            return meddle(method, path, query, request(method, path, query, body))

        self.comfy.request = asked  # type: ignore[method-assign]

    async def run(self, dots: Project | None = None) -> Summary:
        """Run the spec in a process of its own."""
        batch = (dots or project(self.case.jobs)).batch(self.settings.runs)
        with door.entered(self.simulation.world(None, next(self._processes))):
            found = await launch.launch(batch, settings=self.settings, control=self.control, view=self.view)
        return found[0]

    async def killed(self, effects: int) -> None:
        """Run the spec in a process that dies at an effect."""
        number, dots = next(self._processes), project(self.case.jobs)
        code, _ = await _process(self.simulation, self.settings, effects, number, dots, None)
        assert code is None

    async def resume(self, run: str) -> Summary:
        """Continue *run* in another process."""
        with door.entered(self.simulation.world(None, next(self._processes))):
            found = await launch.resume(
                run, retry_failed=False, settings=self.settings, control=Control(), view=self.view
            )
        return found[0]

    def verdict(self) -> checker.Verdict:
        """Return what the judge says of it."""
        servers = [facts_of(host.comfy) for host in self.simulation.hosts.values()]
        return checker.judge(self.settings.runs, project(self.case.jobs).keys, servers)

    def codes(self) -> list[str]:
        """Return what ended attempts were recorded as, in order."""
        [lines] = checker.journals(self.settings.runs).values()
        return [line.get("code", line["t"]) for line in lines if line["t"] in ("done", "failed", "cancelled")]


Tell = Callable[[VirtualLoop, Path], Awaitable[None]]
