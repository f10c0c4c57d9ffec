"""Attempts against a real server process over HTTP and socket: the embedded previz."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from runner.collect import collect
from runner.comfy.graph_check import Checker
from runner.comfy.server import Pace
from runner.domain import Attempt, Workflow
from runner.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptProgress,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    ExecutorEvent,
    ServerDown,
    ServerUp,
)
from runner.render import bind
from runner.submit import ComfyExecutor
from tests.flow.conftest import WAIT_S

ENDS = (AttemptSucceeded, AttemptFailed, AttemptCancelled)
SLOW_POLL = Pace(settle_s=0.3, fastest_s=1e3, slowest_s=1e3, slowest_with_socket_s=1e3)
"""So slow that only the socket can tell in time."""
BRISK = Pace(settle_s=0.3, probe_s=0.05)


class Previz:
    """A previz in a process of its own, which can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def up(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "runner.previz", "--port", port, "--folder", str(self.folder)]
        self._process = subprocess.Popen(
            [*command, "--test-nodes", "--log", str(self.folder / "log")], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["url"]

    def allow(self) -> None:
        """Let one job pass the gate."""
        (self.folder / "input" / "gate-1").touch()

    def kill(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Previz]:
    """One server for the tests that leave it whole."""
    server = Previz(tmp_path_factory.mktemp("previz"))
    server.up()
    yield server
    server.kill()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Previz]:
    """A server for one test."""
    folder = tmp_path / "previz"
    folder.mkdir()
    server = Previz(folder)
    server.up()
    yield server
    server.kill()


@asynccontextmanager
async def opened(server: Previz, **options: Any) -> AsyncIterator[ComfyExecutor]:
    executor = ComfyExecutor([server.url], bind=bind, collect=collect, **({"pace": BRISK} | options))
    try:
        await executor.open()
        yield executor
    finally:
        await executor.close()


def attempt(executor: ComfyExecutor, *middle: tuple[str, dict[str, Any]], color: int = 0) -> Attempt:
    """Return an attempt: a small picture, sent through the *middle* nodes, saved."""
    prompt_id = str(uuid.uuid4())
    size = {"width": 16, "height": 16, "batch_size": 1, "color": color}
    graph: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": size}}
    for number, (name, inputs) in enumerate(middle, 2):
        graph[str(number)] = {"class_type": name, "inputs": {"image": [str(number - 1), 0], **inputs}}
    save = {"images": [str(len(graph)), 0], "filename_prefix": {"$prefix": True}}
    graph["9"] = {"class_type": "SaveImage", "inputs": save}
    return Attempt(
        run="r",
        key=prompt_id,
        number=1,
        prompt_id=prompt_id,
        server=executor.servers[0],
        workflow=Workflow(nodes=graph, outputs={"9": "image"}, digest="d"),
        prefix=f"animerun/r/0000/{prompt_id}-a1/p",
        name=f"s01/{prompt_id}",
        tags={"key": prompt_id},
    )


async def until_ends(executor: ComfyExecutor, count: int = 1) -> list[ExecutorEvent]:
    """Return all events up to and with the *count*th end of an attempt."""
    events: list[ExecutorEvent] = []
    async with asyncio.timeout(WAIT_S):
        while sum(isinstance(event, ENDS) for event in events) < count:
            events.append(await executor.next_event())
    return events


async def until(executor: ComfyExecutor, kind: type) -> ExecutorEvent:
    async with asyncio.timeout(WAIT_S):
        while not isinstance(event := await executor.next_event(), kind):
            pass
    return event


@pytest.mark.parametrize("options", [{"sockets": False}, {"pace": SLOW_POLL}], ids=["polling", "socket"])
async def test_attempts_end_as_files_by_polling_or_by_socket_alone(
    shared: Previz, tmp_path: Path, options: dict[str, Any]
) -> None:
    """Either way of noticing suffices; each attempt is told as submitted and ends once."""
    async with opened(shared, **options) as executor:
        attempts = [attempt(executor, color=number) for number in range(6)]
        for it in attempts:
            executor.start(it, tmp_path)
        events = await until_ends(executor, 6)

    ended = [event for event in events if isinstance(event, AttemptSucceeded)]
    assert {event.prompt_id for event in ended} == {it.prompt_id for it in attempts}
    assert len({event.outputs[0].pixels for event in ended}) == 6
    for it in attempts:
        mine = [type(event) for event in events if getattr(event, "prompt_id", "") == it.prompt_id]
        assert mine[0] is AttemptSubmitted
        assert (tmp_path / f"{it.name}.png").is_file()


async def test_running_and_progress_are_told_through_the_socket(shared: Previz, tmp_path: Path) -> None:
    """A node that takes its time shows by its class."""
    async with opened(shared) as executor:
        executor.start(attempt(executor, ("TSleep", {"seconds": 0.3, "coop": True})), tmp_path)
        events = await until_ends(executor)

    kinds = [type(event) for event in events]
    assert kinds.index(AttemptSubmitted) < kinds.index(AttemptRunning) < kinds.index(AttemptSucceeded)
    assert "TSleep" in [event.node_class for event in events if isinstance(event, AttemptProgress)]
    assert events[-1].run_s >= 0.25


async def test_a_failing_node_is_told(shared: Previz, tmp_path: Path) -> None:
    """Node, class and reason; never retried."""
    async with opened(shared) as executor:
        executor.start(attempt(executor, ("TRaise", {"kind": "value"})), tmp_path)
        events = await until_ends(executor)

    fault = events[-1].fault
    assert (fault.code, fault.retry, fault.node, fault.node_class) == ("NODE_ERROR", "never", "2", "TRaise")


async def test_out_of_memory_is_told(shared: Previz, tmp_path: Path) -> None:
    """Another server may have more."""
    async with opened(shared) as executor:
        executor.start(attempt(executor, ("TRaise", {"kind": "torchoom"})), tmp_path)
        events = await until_ends(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("OOM", "elsewhere")


async def test_a_refused_graph_is_told(shared: Previz, tmp_path: Path) -> None:
    """The server's own validation reaches a person as a sentence."""
    async with opened(shared) as executor:
        executor.start(attempt(executor, color=-1), tmp_path)
        events = await until_ends(executor)

    assert events[-1].fault.code == "VALIDATION"
    assert "color" in events[-1].fault.message


@pytest.mark.parametrize("sockets", [True, False])
async def test_a_running_and_a_pending_attempt_are_cancelled(
    shared: Previz, tmp_path: Path, sockets: bool
) -> None:
    """Both end as cancelled, and the server is free for the next."""
    async with opened(shared, sockets=sockets) as executor:
        first, second = (
            attempt(executor, ("TSleep", {"seconds": 20.0 + number, "coop": True})) for number in range(2)
        )
        executor.start(first, tmp_path)
        await until(executor, AttemptRunning)
        executor.start(second, tmp_path)
        await until(executor, AttemptSubmitted)
        executor.cancel(second.prompt_id)
        executor.cancel(first.prompt_id)
        cancelled = await until_ends(executor, 2)
        executor.start(attempt(executor, color=7), tmp_path)
        after = await until_ends(executor)

    ends = [event for event in cancelled if isinstance(event, ENDS)]
    assert [type(event) for event in ends] == [AttemptCancelled, AttemptCancelled]
    assert isinstance(after[-1], AttemptSucceeded)


async def test_a_killed_and_restarted_server_loses_its_attempts(own: Previz, tmp_path: Path) -> None:
    """Down, up, lost, and the same executor goes on with the new process, socket included."""
    async with opened(own) as executor:
        executor.start(attempt(executor, ("TSleep", {"seconds": 60.0, "coop": True})), tmp_path)
        await until(executor, AttemptRunning)
        await asyncio.to_thread(own.kill)
        await until(executor, ServerDown)
        await asyncio.to_thread(own.up)
        lost = await until_ends(executor)
        executor.start(attempt(executor, color=3), tmp_path)
        after = await until_ends(executor)

    assert any(isinstance(event, ServerUp) for event in lost)
    assert (lost[-1].fault.code, lost[-1].fault.retry) == ("SERVER_DIED", "elsewhere")
    assert isinstance(after[-1], AttemptSucceeded)


async def test_a_deaf_socket_is_replaced(shared: Previz, tmp_path: Path) -> None:
    """Somebody takes over our client id and leaves: polling finds the end, a new socket the rest."""
    deafening = Pace(settle_s=0.3, deaf_s=0.2, slowest_s=0.1, slowest_with_socket_s=0.2)
    async with opened(shared, pace=deafening) as executor:
        listener = executor._known[executor.servers[0]].server.listener
        deaf = listener.client_id
        async with connect(f"{shared.url.replace('http', 'ws')}/ws?clientId={deaf}"):
            pass
        executor.start(attempt(executor, ("TGate", {}), color=5), tmp_path)
        async with asyncio.timeout(WAIT_S):
            while not listener.connected or listener.client_id == deaf:  # noqa: ASYNC110 - nobody is notified
                await asyncio.sleep(0.02)
        shared.allow()
        first = await until_ends(executor)
        executor.start(attempt(executor, ("TSleep", {"seconds": 0.3, "coop": True}), color=6), tmp_path)
        second = await until_ends(executor)

    assert isinstance(first[-1], AttemptSucceeded)
    assert not any(isinstance(event, AttemptProgress) for event in first)
    assert any(isinstance(event, AttemptProgress) for event in second)


async def test_another_process_adopts_what_the_first_submitted(shared: Previz, tmp_path: Path) -> None:
    """The first executor is gone after its POST; the second collects the file."""
    async with opened(shared) as first:
        it = attempt(first, ("TSleep", {"seconds": 0.2, "coop": True}), color=99)
        first.start(it, tmp_path)
        await until(first, AttemptSubmitted)
    async with opened(shared) as second:
        places = await second.find([it.prompt_id, str(uuid.uuid4())], second.servers[0])
        second.adopt(it, tmp_path)
        events = await until_ends(second)

    assert list(places.values())[1] == "absent"
    assert places[it.prompt_id] in ("queued", "running", "finished")
    assert isinstance(events[-1], AttemptSucceeded)
    assert (tmp_path / events[-1].outputs[0].path).is_file()


async def test_what_a_server_offers_is_known_after_opening(shared: Previz) -> None:
    """Facts and node classes are there for the preflight, and any model file is welcome in a previz."""
    async with opened(shared) as executor:
        up = await until(executor, ServerUp)
        offers = await executor.object_info(executor.servers[0])

    checker = Checker(offers)
    checker.add(
        {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "any.safetensors"}},
            "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        },
        "k",
        ("2",),
    )
    assert (up.facts.realm, up.facts.classes) == ("previz", len(offers))
    assert checker.findings() == ()


async def test_a_job_that_somebody_takes_out_of_the_queue_was_removed(shared: Previz, tmp_path: Path) -> None:
    """Through a socket that never dropped there was no restart: the missing job was taken out by a person."""
    async with opened(shared) as executor:
        executor.start(attempt(executor, ("TGate", {}), color=11), tmp_path)
        await until(executor, AttemptRunning)
        waiting = attempt(executor, color=12)
        executor.start(waiting, tmp_path)
        await until(executor, AttemptSubmitted)
        async with httpx.AsyncClient(trust_env=False, verify=False) as person:
            await person.post(f"{shared.url}/queue", json={"delete": [waiting.prompt_id]})
        events = await until_ends(executor)
        shared.allow()
        await until_ends(executor)

    assert events[-1].prompt_id == waiting.prompt_id
    assert (events[-1].fault.code, events[-1].fault.retry) == ("REMOVED", "again")
