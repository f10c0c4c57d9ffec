"""What follows from failures, as the conductor carries it out and the journal keeps it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner import door
from runner.domain import Attempt, Fault, Output, ServerFacts
from runner.errors import PreflightRefused
from runner.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptRunning,
    AttemptSucceeded,
    ServerBusy,
    ServerDown,
    ServerResting,
)
from runner.launch import agreed
from runner.manifest.journal import Reading
from runner.preflight import differences
from runner.resume import Remainder, standing
from runner.settings import Settings
from tests.flow.test_run import SPEC, Scripted, Stage

ONE = SPEC.replace("takes: 6", "takes: 1")


def fault(code: str, retry: str = "again") -> Fault:
    return Fault(code=code, message="said so", retry=retry)  # type: ignore[arg-type]


async def test_the_result_of_an_outdated_attempt_is_never_applied(tmp_path: Path) -> None:
    """What the first attempt brings after it was given up is neither recorded, counted nor told."""
    stage = Stage(tmp_path, ONE)

    def script(executor: Scripted, attempt: Attempt) -> None:
        if attempt.number == 1:
            executor.fail(attempt, fault("LOST"))
            return
        late = executor.started[0]
        output = Output(node="out", index=0, path="late.png", sha256="1", size=1, kind="image")
        executor.tell(AttemptSucceeded(prompt_id=late.prompt_id, server=late.server, outputs=(output,)))
        executor.tell(AttemptFailed(prompt_id=late.prompt_id, server=late.server, fault=fault("OOM")))
        executor.tell(AttemptCancelled(prompt_id=late.prompt_id, server=late.server))
        executor.succeed(attempt)

    executor = Scripted(script, journal=stage.journal)
    summary = await stage.conduct(executor)
    late = executor.started[0].prompt_id

    assert (summary.succeeded, summary.files, summary.failed, summary.exit_code) == (1, 1, 0, 0)
    assert [line["id"] for line in stage.lines("done")] == [executor.started[1].prompt_id]
    assert len(stage.lines("failed")) == 1
    assert [type(event) for event in stage.seen if getattr(event, "prompt_id", "") == late] == [AttemptFailed]


async def test_quarantine_is_recorded_and_told(tmp_path: Path) -> None:
    """A job that was running at two server deaths ends under its own code, in the journal and for people."""
    stage = Stage(tmp_path, ONE)
    executor = Scripted(
        lambda executor, attempt: executor.fail(attempt, fault("SERVER_DIED", "elsewhere")),
        journal=stage.journal,
    )
    summary = await stage.conduct(executor)

    assert [(line["code"], line["final"]) for line in stage.lines("failed")] == [
        ("SERVER_DIED", False),
        ("QUARANTINED", True),
    ]
    [(_, told)] = summary.failures
    assert "was running at 2 server crashes" in told.message
    assert summary.exit_code == 1


async def test_a_resumed_run_knows_of_the_deaths_before_it(tmp_path: Path) -> None:
    """A server death that a killed process recorded counts in the next one; quarantine is not retried."""
    stage = Stage(tmp_path, ONE)

    def script(executor: Scripted, attempt: Attempt) -> None:
        if len(executor.started) == 1:
            executor.fail(attempt, fault("SERVER_DIED", "elsewhere"))
        else:
            stage.control.stop("killed", 130)
            stage.control.stop("killed", 130)

    await stage.conduct(Scripted(script, journal=stage.journal))
    state = standing(Reading(stage.journal))
    [open_] = Remainder(stage.plan, state).open()

    assert open_.rendered.ticket is not None
    assert (open_.rendered.ticket.number, open_.rendered.ticket.deaths) == (2, 1)


@pytest.mark.parametrize(("jobs", "code"), [(5, 1), (6, 8)])
async def test_a_limit_that_stops_nothing_is_no_reason(tmp_path: Path, jobs: int, code: int) -> None:
    """Five jobs that all fail in the same way are five failed jobs (1); a sixth was not begun (8)."""
    stage = Stage(tmp_path, SPEC.replace("takes: 6", f"takes: {jobs}"), depth=1)
    executor = Scripted(
        lambda executor, attempt: executor.fail(attempt, fault("NODE_ERROR", "never")), journal=stage.journal
    )
    summary = await stage.conduct(executor)

    assert (summary.failed, summary.exit_code) == (5, code)
    assert bool(summary.reason) == (code == 8)


async def test_the_deadline_ends_a_run_with_8(tmp_path: Path) -> None:
    """After the time a person gave, nothing more starts, and it is said why."""
    stage = Stage(tmp_path, deadline_s=0.05)
    summary = await stage.conduct(Scripted(lambda executor, attempt: None, journal=stage.journal))

    assert (summary.exit_code, summary.reason) == (8, "the deadline of 0.05 s is reached")
    assert summary.unfinished == 6


async def test_what_is_decided_about_servers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy server shows as resting; the last one that needs a restart ends the run, by name."""
    stage = Stage(tmp_path, depth=1)

    def script(executor: Scripted, attempt: Attempt) -> None:
        executor.fail(attempt, fault("SERVER_SICK", "elsewhere"))

    executor = Scripted(script, journal=stage.journal)
    executor.tell(ServerBusy(server="a", seconds=0.01))
    monkeypatch.setattr("runner.schedule.health.REST_S", 0.01)
    summary = await stage.conduct(executor)
    told = [event for event in stage.seen if isinstance(event, (ServerResting, ServerDown))]

    assert [type(event) for event in told] == [ServerResting, ServerResting, ServerDown]
    assert told[-1].reason.startswith("it needs a restart")
    assert summary.exit_code == 4
    assert "a: it needs a restart" in summary.reason
    assert [line["message"] for line in stage.lines("notice")] == ["it needs a restart: said so"]


class Leaping(door.World):
    """A world in which this process sleeps for an hour when told."""

    slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.slept


async def test_no_deadline_fires_for_time_asleep(tmp_path: Path) -> None:
    """Servers had ten minutes to come back, and the process slept for an hour: it waits, and goes on."""
    stage = Stage(tmp_path, server_wait_s=600.0, deadline_s=600.0)
    executor = Scripted(Scripted.succeed, journal=stage.journal)
    executor.tell(ServerDown(server="a", reason="refused"))
    world = Leaping()

    async def sleep() -> None:
        await asyncio.sleep(0.05)
        world.slept = 3600.0
        executor.tell(ServerDown(server="a", reason="still refused"))
        await asyncio.sleep(0.05)
        executor.up()

    with door.entered(world):
        sleeper = asyncio.ensure_future(sleep())
        summary = await stage.conduct(executor, up=False)
        await sleeper

    assert (summary.succeeded, summary.exit_code) == (6, 0)


async def test_a_job_that_no_interrupt_ends_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """After a stop, the grace and the interrupt, what still runs is left on its server, its intent open."""
    stage = Stage(tmp_path, depth=1, grace_s=0.05)

    class Stubborn(Scripted):
        def cancel(self, prompt_id: str, *, running: bool = True) -> None:
            self.cancelled.append(prompt_id)

    def script(executor: Scripted, attempt: Attempt) -> None:
        executor.tell(AttemptRunning(prompt_id=attempt.prompt_id, server=attempt.server))
        asyncio.get_running_loop().call_later(0.01, stage.control.stop, "stopped", 130)

    executor = Stubborn(script, journal=stage.journal)
    summary = await stage.conduct(executor)

    assert len(executor.cancelled) == 1
    assert (summary.exit_code, summary.unfinished) == (130, 6)
    assert len(stage.lines("intent")) == 1
    assert stage.lines("cancelled") == []


def test_servers_that_differ_are_named_with_what_they_have() -> None:
    """Versions and node packs of several servers are compared; what all of them have is not listed."""
    one = ServerFacts(
        url="http://a", realm="comfyui", version="0.3.64", packs=("impact", "kj"), device="4090"
    )
    two = ServerFacts(url="http://b", realm="comfyui", version="0.3.60", packs=("kj",), device="3060")

    assert differences([one, one]) == ()
    assert differences([one, two]) == (
        "the servers differ in ComfyUI: http://a has 0.3.64; http://b has 0.3.60",
        "the servers differ in node packs: http://a has impact; http://b has none of its own",
    )


def test_servers_that_differ_are_refused_on_demand() -> None:
    """--require-uniform makes a refusal (exit 3) of what is a warning otherwise."""
    facts = [ServerFacts(url=url, realm="comfyui", version=url) for url in ("http://a", "http://b")]

    assert agreed(facts, Settings()) == "comfyui"
    with pytest.raises(PreflightRefused, match="the servers differ in ComfyUI"):
        agreed(facts, Settings(require_uniform=True))
