"""Whole runs of the conductor against an executor that does what a script says."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from runner.domain import Attempt, Fault, Output, ServerFacts
from runner.errors import StorageError
from runner.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    Event,
    ExecutorEvent,
    ServerDown,
    ServerUp,
)
from runner.manifest.journal import Journal, Reading
from runner.plan import Plan, make_plan
from runner.record import Recorder
from runner.run import Conductor, Control
from runner.settings import Settings
from runner.summary import Summary

SPEC = "animerun: 1\nepisode: demo\nscenes: {s01: {prompt: a lighthouse, takes: 6}}\n"
Script = Callable[["Scripted", Attempt], None]


class Scripted:
    """An executor without servers: `script` says what becomes of each attempt."""

    def __init__(self, script: Script, *, servers: Sequence[str] = ("a",), journal: Path) -> None:
        self.servers = tuple(servers)
        self.script = script
        self.journal = journal
        self.started: list[Attempt] = []
        self.cancelled: list[str] = []
        self.spared: list[str] = []
        """Cancelled only where they wait."""
        self.intents_seen: list[set[str]] = []
        self.told: tuple[ServerUp | ServerDown, ...] = ()
        self.most = 0
        self._under_way: set[str] = set()
        self._events: asyncio.Queue[ExecutorEvent | StorageError] = asyncio.Queue()

    def up(self) -> None:
        for server in self.servers:
            self.tell(ServerUp(server=server, facts=ServerFacts(url=server, realm="comfyui", version="0")))

    def tell(self, event: ExecutorEvent | StorageError) -> None:
        self._events.put_nowait(event)

    def start(self, attempt: Attempt, folder: Path) -> None:
        durable = {line["id"] for line in Reading(self.journal) if line["t"] == "intent"}
        self.intents_seen.append(durable)
        self.started.append(attempt)
        self._under_way.add(attempt.prompt_id)
        self.most = max(self.most, len(self._under_way))
        self.script(self, attempt)

    def succeed(self, attempt: Attempt) -> None:
        self._under_way.discard(attempt.prompt_id)
        output = Output(node="out", index=0, path=f"{attempt.name}.png", sha256="0", size=1, kind="image")
        self.tell(AttemptSubmitted(prompt_id=attempt.prompt_id, server=attempt.server))
        self.tell(AttemptRunning(prompt_id=attempt.prompt_id, server=attempt.server))
        self.tell(AttemptSucceeded(prompt_id=attempt.prompt_id, server=attempt.server, outputs=(output,)))

    def fail(self, attempt: Attempt, fault: Fault) -> None:
        self._under_way.discard(attempt.prompt_id)
        self.tell(AttemptFailed(prompt_id=attempt.prompt_id, server=attempt.server, fault=fault))

    def cancel(self, prompt_id: str, *, running: bool = True) -> None:
        self.cancelled.append(prompt_id)
        self.spared += [] if running else [prompt_id]
        self._under_way.discard(prompt_id)
        [server] = [a.server for a in self.started if a.prompt_id == prompt_id]
        self.tell(AttemptCancelled(prompt_id=prompt_id, server=server))

    async def next_event(self) -> ExecutorEvent:
        event = await self._events.get()
        if isinstance(event, StorageError):
            raise event
        return event

    async def find(self, prompt_ids: Sequence[str], server: str) -> Mapping[str, str]:
        return {}


class Stage:
    """A plan, a journal and a control, ready to be conducted."""

    def __init__(self, folder: Path, spec: str = SPEC, **settings: object) -> None:
        path = folder / "demo.yaml"
        path.write_text(spec)
        self.folder = folder
        self.journal = folder / "journal.jsonl"
        self.plan: Plan = make_plan(path)
        self.control = Control()
        self.seen: list[Event] = []
        self.settings = Settings(**settings)  # type: ignore[arg-type]

    async def conduct(self, executor: Scripted, *, up: bool = True) -> Summary:
        journal = Journal.create(self.journal, run="demo")
        recorder = Recorder(journal, clock=lambda: 0.0)
        if up:
            executor.up()
        conductor = Conductor(
            self.plan,
            executor,  # type: ignore[arg-type]
            recorder,
            run="demo",
            run_uuid=uuid.UUID(int=1),
            folder=self.folder,
            settings=self.settings,
            control=self.control,
            observe=self.seen.append,
            told=executor.told,
        )
        try:
            async with asyncio.timeout(60):
                return await conductor.conduct()
        finally:
            journal.close()

    def lines(self, kind: str) -> list[dict[str, object]]:
        return [line for line in Reading(self.journal) if line["t"] == kind]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_every_job_is_made_once_and_recorded(stage: Stage) -> None:
    """A run without faults makes each job with one attempt and records job, intent and end of each."""
    executor = Scripted(Scripted.succeed, journal=stage.journal)
    summary = await stage.conduct(executor)

    assert (summary.succeeded, summary.failed, summary.exit_code, summary.unfinished) == (6, 0, 0, 0)
    assert [a.number for a in executor.started] == [1] * 6
    keys = [a.key for a in executor.started]
    for kind in ("job", "intent", "done"):
        assert sorted(str(line["key"]) for line in stage.lines(kind)) == sorted(keys)


async def test_who_takes_over_knows_what_was_told_of_the_servers(stage: Stage) -> None:
    """What somebody else heard, one server up and one left out, is not said again and counts all the same."""
    facts = ServerFacts(url="a", realm="comfyui", version="0")
    executor = Scripted(Scripted.succeed, servers=("a", "b"), journal=stage.journal)
    executor.told = ServerUp(server="a", facts=facts), ServerDown(server="b", reason="gone", final=True)
    summary = await stage.conduct(executor, up=False)

    assert summary.succeeded == 6
    assert {attempt.server for attempt in executor.started} == {"a"}
    assert [line["url"] for line in stage.lines("server")] == ["a"]


WAITING = """animerun: 1
episode: demo
scenes:
  s01:
    cuts:
      c001: {prompt: a lighthouse, takes: 2}
      c002: {template: img2img, from: c001, pick: first, prompt: y, checkpoint: a.safetensors, denoise: 0.4}
"""


async def test_a_job_that_waits_is_recorded_without_a_workflow(tmp_path: Path) -> None:
    """It is part of its run: who reads the record finds it there, begun by nobody."""
    stage = Stage(tmp_path, WAITING)
    executor = Scripted(Scripted.succeed, journal=stage.journal)
    summary = await stage.conduct(executor)
    waiting = [line for line in stage.lines("job") if "workflow" not in line]

    assert (summary.succeeded, summary.waiting, summary.unfinished) == (2, 1, 0)
    assert [str(line["key"]) for line in waiting] == ["demo/s01/c002/take=1"]
    assert len(stage.lines("job")) == 3


async def test_an_intent_is_durable_before_its_attempt_starts(stage: Stage) -> None:
    """At the moment an attempt is started its id can be read from the journal."""
    executor = Scripted(Scripted.succeed, journal=stage.journal)
    await stage.conduct(executor)

    assert all(
        a.prompt_id in durable for a, durable in zip(executor.started, executor.intents_seen, strict=True)
    )


async def test_ids_follow_from_run_key_and_attempt(stage: Stage) -> None:
    """The prompt id of an attempt can be worked out again from the run's UUID."""
    executor = Scripted(Scripted.succeed, journal=stage.journal)
    await stage.conduct(executor)

    assert [a.prompt_id for a in executor.started] == [
        str(uuid.uuid5(uuid.UUID(int=1), f"{a.key}/{a.number}")) for a in executor.started
    ]


async def test_never_more_than_depth_under_way(tmp_path: Path) -> None:
    """With slow jobs no more than depth are outstanding on the one server."""
    stage = Stage(tmp_path, depth=3)
    waiting: list[Attempt] = []

    def slow(executor: Scripted, attempt: Attempt) -> None:
        waiting.append(attempt)
        asyncio.get_running_loop().call_later(0.01, lambda: executor.succeed(waiting.pop(0)))

    executor = Scripted(slow, journal=stage.journal)
    summary = await stage.conduct(executor)

    assert summary.succeeded == 6
    assert executor.most == 3


async def test_a_failed_job_does_not_stop_the_others(stage: Stage) -> None:
    """A node error fails its job, with exit code 1, and every other job is made."""
    fault = Fault(code="NODE_ERROR", message="KSampler: no", node="sample", node_class="KSampler")

    def script(executor: Scripted, attempt: Attempt) -> None:
        executor.fail(attempt, fault) if attempt.key.endswith("take=3") else executor.succeed(attempt)

    summary = await stage.conduct(Scripted(script, journal=stage.journal))

    assert (summary.succeeded, summary.failed, summary.exit_code) == (5, 1, 1)
    assert summary.failures == (("demo/s01/take=3", fault),)
    assert [line["final"] for line in stage.lines("failed")] == [True]


async def test_a_lost_job_is_made_by_its_second_attempt(stage: Stage) -> None:
    """A lost attempt is recorded as not final, and the job succeeds with the next number and prefix."""

    def script(executor: Scripted, attempt: Attempt) -> None:
        lost = attempt.number == 1 and attempt.key.endswith("take=2")
        executor.fail(attempt, Fault(code="LOST", message="", retry="again")) if lost else executor.succeed(
            attempt
        )

    executor = Scripted(script, journal=stage.journal)
    summary = await stage.conduct(executor)

    assert (summary.succeeded, summary.failed, summary.exit_code) == (6, 0, 0)
    assert [line["final"] for line in stage.lines("failed")] == [False]
    assert len({a.prefix for a in executor.started}) == 7
    assert len(stage.lines("job")) == 6


async def test_stopping_takes_back_what_is_pending_and_waits_for_what_runs(stage: Stage) -> None:
    """After one request nothing starts, pending ids are cancelled, a running job may end and counts."""

    def script(executor: Scripted, attempt: Attempt) -> None:
        if len(executor.started) == 1:
            executor.tell(AttemptRunning(prompt_id=attempt.prompt_id, server=attempt.server))
        if len(executor.started) == 2:
            loop = asyncio.get_running_loop()
            loop.call_soon(stage.control.stop, "stopped", 130)
            loop.call_later(0.05, executor.succeed, executor.started[0])

    executor = Scripted(script, journal=stage.journal)
    summary = await stage.conduct(executor)

    assert len(executor.started) == 2
    assert executor.cancelled == executor.spared == [executor.started[1].prompt_id]
    assert (summary.succeeded, summary.exit_code, summary.unfinished) == (1, 130, 5)


async def test_asking_twice_leaves_at_once(stage: Stage) -> None:
    """After a second request the run ends although a job is still running, and its intent stays open."""

    def script(executor: Scripted, attempt: Attempt) -> None:
        executor.tell(AttemptRunning(prompt_id=attempt.prompt_id, server=attempt.server))
        if len(executor.started) == 2:
            for delay in (0.01, 0.03):
                asyncio.get_running_loop().call_later(delay, stage.control.stop, "stopped", 130)

    executor = Scripted(script, journal=stage.journal)
    summary = await stage.conduct(executor)

    assert (summary.succeeded, summary.exit_code) == (0, 130)
    assert len(stage.lines("intent")) == 2
    assert stage.lines("done") == []


async def test_running_jobs_are_interrupted_when_the_grace_is_over(tmp_path: Path) -> None:
    """A job that does not end within the grace after a stop is cancelled, and the run ends."""
    stage = Stage(tmp_path, grace_s=0.05)

    def script(executor: Scripted, attempt: Attempt) -> None:
        executor.tell(AttemptRunning(prompt_id=attempt.prompt_id, server=attempt.server))
        if len(executor.started) == 2:
            asyncio.get_running_loop().call_later(0.01, stage.control.stop, "stopped", 130)

    executor = Scripted(script, journal=stage.journal)
    summary = await stage.conduct(executor)

    assert sorted(executor.cancelled) == sorted(a.prompt_id for a in executor.started)
    assert executor.spared == []
    assert summary.exit_code == 130


async def test_the_limit_of_failures_stops_the_run(tmp_path: Path) -> None:
    """With a limit of two failed jobs the third is never started and the exit code is 8."""
    stage = Stage(tmp_path, depth=1, max_failures=2)
    fault = Fault(code="NODE_ERROR", message="no")
    executor = Scripted(lambda executor, attempt: executor.fail(attempt, fault), journal=stage.journal)
    summary = await stage.conduct(executor)

    assert len(executor.started) == 2
    assert (summary.failed, summary.exit_code) == (2, 8)


async def test_no_server_left_ends_the_run(stage: Stage) -> None:
    """When every server is out for good the run ends with 4 and says so."""

    def script(executor: Scripted, attempt: Attempt) -> None:
        if len(executor.started) == 1:
            executor.tell(ServerDown(server="a", reason="zombie", final=True))
        executor.fail(attempt, Fault(code="LOST", message="", retry="again"))

    summary = await stage.conduct(Scripted(script, journal=stage.journal))

    assert (summary.succeeded, summary.exit_code) == (0, 4)
    assert "no server" in summary.reason


async def test_waiting_for_a_server_has_an_end(tmp_path: Path) -> None:
    """Without any usable server for the time set, the run ends with 4."""
    stage = Stage(tmp_path, server_wait_s=0.05)
    executor = Scripted(Scripted.succeed, journal=stage.journal)
    executor.tell(ServerDown(server="a", reason="refused"))
    summary = await stage.conduct(executor, up=False)

    assert (summary.exit_code, executor.started) == (4, [])


async def test_a_full_disk_ends_the_run_with_6(stage: Stage) -> None:
    """An output that cannot be stored stops the run; the attempt stays open for a later one."""

    def script(executor: Scripted, attempt: Attempt) -> None:
        if len(executor.started) == 3:
            executor.tell(StorageError("cannot write x.png: No space left on device"))
        else:
            executor.succeed(attempt)

    summary = await stage.conduct(Scripted(script, journal=stage.journal))

    assert summary.exit_code == 6
    assert "No space left" in summary.reason


async def test_the_recorder_sees_an_event_before_people_do(stage: Stage) -> None:
    """When an end is shown, it can be read from the journal already."""
    durable_when_shown: list[bool] = []

    def observe(event: Event) -> None:
        if isinstance(event, AttemptSucceeded):
            durable_when_shown.append(event.prompt_id in {str(line["id"]) for line in stage.lines("done")})

    stage.seen = type("Seen", (list,), {"append": lambda self, event: observe(event)})()
    await stage.conduct(Scripted(Scripted.succeed, journal=stage.journal))

    assert durable_when_shown == [True] * 6
