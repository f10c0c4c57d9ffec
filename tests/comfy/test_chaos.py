"""Whole batches against a server on which anything goes wrong anywhere."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from runner.collect import part_of
from runner.events import (
    AttemptCancelled,
    AttemptCollecting,
    AttemptFailed,
    AttemptSubmitted,
    AttemptSucceeded,
)

from .conftest import GUARD_S, make, opened
from .fake import Fake

HTML = (502, "text/html", b"<h1>Bad Gateway</h1>")
JSON = (200, "application/json", b"[]")
WRONG = {
    "POST /prompt": ["drop", "eat", "500 yet queued", HTML, (200, "text/html", b"<p>sign in</p>")],
    "GET /queue": ["drop", "eat", HTML, JSON],
    "GET /history": ["drop", "eat", HTML],
    "GET /view": ["drop", "truncated", "corrupt", "unannounced", "compressed"],
    "POST /queue": ["drop", HTML],
}
ORDER = {AttemptSubmitted: 0, AttemptCollecting: 1}


def mislead(fake: Fake, chance: random.Random) -> None:
    """Let about every third of the next requests to each route go wrong, downloads at most four in all."""
    for route, faults in WRONG.items():
        planned = [chance.choice(faults) if chance.random() < 0.35 else None for _ in range(15)]
        wrong = [index for index, fault in enumerate(planned) if fault is not None]
        for index in wrong[4:] if route == "GET /view" else ():
            planned[index] = None  # five for one job would fail it
        fake.plan(route, *planned)


def names(folder: Path) -> set[str]:
    """Return the names of what was collected; nobody recorded it, so each still has its second one."""
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    found = set(times)
    parts = {part_of(folder / name, times[name]).name for name in found if not name.startswith(".")}
    assert parts <= found
    return found - parts


@pytest.mark.parametrize("seed", range(12))
async def test_every_attempt_ends_once_and_in_the_truth(seed: int, tmp_path: Path) -> None:
    """Whatever fails: one POST and one end each; what was made is collected whole, the rest is lost."""
    chance = random.Random(seed)
    told: dict[str, list[object]] = {}
    async with Fake() as fake, opened(fake) as executor:
        mislead(fake, chance)
        attempts = [make(executor.servers[0], name=f"job{number}") for number in range(6)]
        for it in attempts:
            told[it.prompt_id] = []
            executor.start(it, tmp_path)
        ended = 0
        async with asyncio.timeout(GUARD_S):
            while ended < len(attempts):
                event = await executor.next_event()
                if (prompt_id := getattr(event, "prompt_id", "")) in told:
                    told[prompt_id].append(event)
                ended += isinstance(event, (AttemptSucceeded, AttemptFailed, AttemptCancelled))
        posted = [post["prompt_id"] for post in fake.posts]

    assert len(posted) == len(set(posted))
    for it in attempts:
        *before, end = told[it.prompt_id]
        ranks = [ORDER[type(event)] for event in before if type(event) in ORDER]
        assert ranks == sorted(set(ranks))
        if it.prompt_id in posted:
            assert isinstance(end, AttemptSucceeded), end
            assert (tmp_path / end.outputs[0].path).read_bytes() == fake.picture
        else:
            assert isinstance(end, AttemptFailed)
            assert end.fault.code in ("LOST", "SERVER_ERROR")
    made = {f"{it.name}.png" for it in attempts if it.prompt_id in posted}
    assert names(tmp_path) == made
