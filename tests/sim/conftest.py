"""Fixtures of the simulations."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim.loop import VirtualLoop
from tests.sim.play import quick
from tests.sim.story import Tell


@pytest.fixture
def live(tmp_path: Path) -> Callable[[Tell], None]:
    """Plays a story to its end, in virtual time; one that takes two days never ends."""

    def play(story: Tell) -> None:
        loop = VirtualLoop(random.Random(0))
        try:
            with quick():
                loop.run_until_complete(asyncio.wait_for(story(loop, tmp_path / "runs"), 48 * 3600))
        finally:
            loop.close()

    return play
