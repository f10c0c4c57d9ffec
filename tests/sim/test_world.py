"""The simulation itself: one seed is one life, time is virtual, and what it leaves out changes nothing."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from typing import Any

import pytest

from runner.durable import Durable
from runner.run import Conductor
from tests.sim.loop import Stuck, VirtualLoop
from tests.sim.play import Case, drawn, play


def lived(case: Case) -> list[str]:
    lines: list[str] = []
    play(case, tell=lines.append)
    return lines


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_the_same_seed_is_the_same_life(seed: int) -> None:
    """To the last attempt, at the same virtual times; another seed is another one."""
    case = drawn("chaos", seed, jobs=6)

    assert lived(case) == lived(case)
    assert lived(case) != lived(replace(case, seed=seed + 100))


@pytest.mark.parametrize("seed", [3, 4])
def test_leaving_httpx_out_changes_nothing(seed: int) -> None:
    """The same life with httpx whole between client and network, attempt for attempt."""
    case = drawn("net", seed, jobs=4)

    assert lived(replace(case, httpx_whole=True)) == lived(case)


def test_time_is_virtual() -> None:
    """An hour goes by at once, and what runs in a thread comes a little later."""
    loop = VirtualLoop(random.Random(1))
    began = time.monotonic()
    try:
        loop.run_until_complete(asyncio.sleep(3600))
        assert loop.time() >= 3600
        assert loop.run_until_complete(asyncio.to_thread(lambda: 7)) == 7
        assert 3600 < loop.time() < 3601
    finally:
        loop.close()
    assert time.monotonic() - began < 60


def test_a_deadlock_is_told() -> None:
    """When everybody waits for nobody, the loop says so instead of hanging."""
    loop = VirtualLoop(random.Random(1))

    async def forever() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(forever())
    with pytest.raises(Stuck):
        loop.run_until_complete(task)
    task.cancel()
    loop.call_soon(lambda: None)
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_an_intent_that_is_not_durable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts that start before they are on disk are submitted twice when the process dies in between."""
    intend, tell, commit = Conductor._intend_all, Conductor._tell, Durable.commit

    def start_at_once(self: Conductor) -> list[Any]:
        starting = intend(self)
        tell(self, [], starting)
        return []

    async def commit_late(self: Durable) -> None:
        await asyncio.sleep(0.1)
        await commit(self)

    monkeypatch.setattr(Conductor, "_intend_all", start_at_once)
    monkeypatch.setattr(Durable, "commit", commit_late)
    case, effects = Case(jobs=1, servers=1, longest_job_s=1.0), []
    play(case, effects=effects)
    posted = 1 + effects.index("POST")
    verdicts = [play(replace(case, crashes=(last,))).verdict for last in (posted + 1, posted + 2)]

    assert any(verdict.twice for verdict in verdicts), verdicts
