"""Servers that are away for a while, and what is taken over or taken back there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from runner.domain import Attempt
from runner.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    ServerDown,
    ServerUp,
)
from runner.submit import ComfyExecutor

from .conftest import GRAPH, PACE, opened
from .conftest import make as attempt_on
from .fake import Fake
from .test_attempts import Make, until, until_end


def _begin(fake: Fake, executor: ComfyExecutor, folder: Path) -> Attempt:
    """Have the server hold a job of ours."""
    fake.hold = True
    it = attempt_on(executor.servers[0])
    executor.start(it, folder)
    return it


@pytest.mark.parametrize("moment", ["waits", "runs", "has ended"])
async def test_a_door_that_lets_nobody_in_renders_nothing_again(
    executor: ComfyExecutor, fake: Fake, tmp_path: Path, moment: str
) -> None:
    """401 on everything for a while is a server that is away: what it holds is collected, submitted once."""
    it = _begin(fake, executor, tmp_path)
    await until(executor, AttemptSubmitted)
    if moment == "runs":
        fake.pending.remove(it.prompt_id)
        fake.running.append(it.prompt_id)
        await until(executor, AttemptRunning)
    fake.locked = True
    if moment == "has ended":
        fake.finish(it.prompt_id)
    asked = len(fake.seen)
    await until(executor, ServerDown)
    async with asyncio.timeout(20):
        while len(fake.seen) < asked + 12:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.01)
    fake.locked = False
    if moment != "has ended":
        fake.finish(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert fake.count("POST /prompt") == 1


async def test_a_door_that_shuts_before_the_history_is_read_costs_nothing(fake: Fake, tmp_path: Path) -> None:
    """However often its history is asked for meanwhile, the job is not unreadable but its server away."""
    async with opened(fake, pace=replace(PACE, look_again_s=0.01, slowest_probe_s=0.02)) as executor:
        fake.plan("GET /history", "lock")
        # The files of another class cannot be looked for by name.
        it = attempt_on(executor.servers[0], graph=GRAPH | {"2": GRAPH["2"] | {"class_type": "SaveOther"}})
        executor.start(it, tmp_path)
        async with asyncio.timeout(20):
            while len(fake.seen) < 60:  # noqa: ASYNC110 - the fake tells nobody
                await asyncio.sleep(0.01)
        fake.locked = False
        events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert (fake.count("POST /prompt"), fake.count(f"GET /history/{it.prompt_id}") > 1) == (1, True)


async def test_a_submission_that_is_not_let_in_is_sent_again(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Who asks for credentials has handed nothing on: the same attempt is posted again, not failed."""
    fake.plan("POST /prompt", (401, "text/plain", b"who?"))
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert (fake.count("POST /prompt"), len(fake.posts)) == (2, 1)


async def test_a_job_that_alone_is_not_let_in_fails(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Where everything else is let in, a submission that never is has been refused: it ends."""
    fake.plan("POST /prompt", *[(403, "text/plain", b"no")] * 50)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("SERVER_REJECTS", "elsewhere")


async def test_files_that_alone_are_not_let_out_fail(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """The same for a download: a bounded number of times while everything else answers."""
    fake.plan("GET /view", *[(403, "text/plain", b"no")] * 500)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptFailed)


async def test_a_server_with_ids_of_its_own_is_left_out_at_once(fake: Fake, tmp_path: Path) -> None:
    """What it queued is taken back, under its own id; the attempt costs nothing and goes elsewhere."""
    fake.hold = fake.own_ids = True
    async with Fake() as other, opened(fake, other) as executor:
        executor.start(attempt_on(fake.url), tmp_path)
        down = await until(executor, ServerDown)
        events = await until_end(executor)

    assert isinstance(down, ServerDown)
    assert (down.server, down.final) == (fake.url, True)
    assert "gives jobs ids of its own" in down.reason
    assert (events[-1].fault.code, events[-1].fault.retry) == ("UNREACHABLE", "elsewhere")
    assert fake.pending == []
    assert fake.count("POST /prompt") == 1


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("running", [True, False])
async def test_a_job_is_cancelled_in_one_step_where_the_server_can(
    executor: ComfyExecutor, fake: Fake, tmp_path: Path, atomic: bool, running: bool
) -> None:
    """`/jobs/{id}/cancel` where it is, else delete and interrupt; that a server has it not is asked once."""
    fake.atomic = atomic
    for _ in range(2):
        it = _begin(fake, executor, tmp_path)
        await until(executor, AttemptSubmitted)
        if running:
            fake.pending.remove(it.prompt_id)
            fake.running.append(it.prompt_id)
        executor.cancel(it.prompt_id)
        assert isinstance((await until_end(executor))[-1], AttemptCancelled)
    asked = [path for method, path in fake.seen if method == "POST" and path != "/prompt"]

    assert (fake.pending, fake.running) == ([], [])
    assert sum(path.endswith("/cancel") for path in asked) == (len(asked) if atomic else 1)
    assert ("/interrupt" in asked) == (running and not atomic)


async def test_a_door_that_opens_while_cancelling_does_not_hide_the_way(
    executor: ComfyExecutor, fake: Fake, tmp_path: Path
) -> None:
    """A 502 to a cancellation is no sign that the server cannot do it in one step."""
    fake.atomic = True
    it = _begin(fake, executor, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.plan(f"POST /jobs/{it.prompt_id}/cancel", (502, "text/html", b"<html>"))
    executor.cancel(it.prompt_id)

    assert isinstance((await until_end(executor))[-1], AttemptCancelled)
    assert fake.count("POST /queue") == 0


async def test_who_is_back_is_used_within_five_seconds(fake: Fake) -> None:
    """However long a server was away, the pauses between two knocks stay short."""
    pace = replace(PACE, probe_s=0.02, slowest_probe_s=0.05)
    async with opened(fake, pace=pace) as executor:
        await until(executor, ServerUp)
        await fake.down()
        executor.start(attempt_on(executor.servers[0]), Path())
        await until(executor, ServerDown)
        await asyncio.sleep(0.5)
        began = asyncio.get_running_loop().time()
        await fake.up()
        await until(executor, ServerUp)
        took = asyncio.get_running_loop().time() - began

    assert took < 0.4
    assert type(PACE)().slowest_probe_s * 1.25 < 5


async def test_what_was_intended_long_ago_and_never_came_is_lost_at_once(fake: Fake, tmp_path: Path) -> None:
    """No settle time for an intent older than it; one of a moment ago is waited for."""
    pace = replace(PACE, settle_s=3600.0, settle_old_s=0.05)
    async with opened(fake, pace=pace) as executor:
        await until(executor, ServerUp)
        new, old = (attempt_on(executor.servers[0]) for _ in range(2))
        executor.adopt(new, tmp_path, age_s=5.0)
        executor.adopt(old, tmp_path, age_s=3601.0)
        events = await until_end(executor)

    assert (events[-1].prompt_id, events[-1].fault.code) == (old.prompt_id, "LOST")


async def test_what_a_stopped_server_held_back_is_waited_for(fake: Fake, tmp_path: Path) -> None:
    """An old submission that comes in a moment after the server answers again is found, not lost."""
    pace = replace(PACE, settle_s=3600.0, settle_old_s=1.0)
    fake.hold = True
    async with opened(fake, pace=pace) as executor:
        await until(executor, ServerUp)
        it = attempt_on(executor.servers[0])
        executor.adopt(it, tmp_path, age_s=7200.0)
        async with asyncio.timeout(20):
            while not fake.count(f"GET /history/{it.prompt_id}"):  # noqa: ASYNC110 - the fake tells nobody
                await asyncio.sleep(0.005)
        fake.posts.append(
            {"prompt_id": it.prompt_id, "prompt": {"2": {"inputs": {"filename_prefix": it.prefix}}}}
        )
        fake.finish(it.prompt_id)
        events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
