"""Lives that a second pair of eyes thought out: each one lost, repeated or blamed something once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.run import Conductor
from runner.schedule import Schedule
from tests import checker
from tests.sim.comfy import HEADERS, Answer
from tests.sim.loop import VirtualLoop
from tests.sim.play import Case, project
from tests.sim.story import Story, Tell, Told
from tests.sim.world import Network, SimDisk

Live = Callable[[Tell], None]


def delay(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[Any], float]) -> None:
    """Have each request wait *seconds* of it before it is carried."""
    carry = Network.carry

    async def slowly(self: Network, request: Any) -> tuple[Answer, bool]:
        await asyncio.sleep(seconds(request))
        return await carry(self, request)

    monkeypatch.setattr(Network, "carry", slowly)


@pytest.mark.parametrize("edited", [True, False])
def test_an_old_picture_that_changes_before_its_turn_is_rendered(
    live: Live, monkeypatch: pytest.MonkeyPatch, edited: bool
) -> None:
    """One edited or deleted after the plan looked is made anew: what is recorded as reused lies on disk."""
    monkeypatch.setitem(Schedule.__init__.__kwdefaults__, "window", 10)

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=60, servers=1, longest_job_s=0.6), loop, runs)
        old = runs / (await told.run()).run
        done = checker.journal(old / "journal.jsonl")
        made = {line["key"]: old / line["outputs"][0]["path"] for line in done if line["t"] == "done"}
        *first, victim = [made[key] for key in project(60).keys[:45]]
        for path in first[:40]:
            path.unlink()

        def change() -> None:
            victim.unlink()
            if edited:
                Image.new("RGB", (1, 1), (1, 2, 3)).save(victim)

        loop.call_later(5.0, change)
        again = await told.run()
        told.simulation.over = True
        lines = checker.journal(runs / again.run / "journal.jsonl")
        outputs = [each for line in lines if line["t"] in ("done", "reused") for each in line["outputs"]]

        assert (again.exit_code, again.succeeded, again.reused) == (0, 41, 19)
        for each in outputs:
            content = (runs / again.run / each["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == each["sha256"]

    live(story)


@pytest.mark.parametrize("answer_s", [4.5, 6.0])
def test_slow_answers_keep_no_lost_job_for_ever(
    live: Live, monkeypatch: pytest.MonkeyPatch, answer_s: float
) -> None:
    """However long a server takes to answer, that a job is nowhere is believed within minutes."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=1, servers=1, depth=1), loop, runs)
        told.comfy.duration = lambda job: 20.0
        delay(monkeypatch, lambda request: answer_s if request.method == "GET" and loop.time() > 5 else 0.0)
        loop.call_later(5.0, told.simulation.restart)
        async with asyncio.timeout(300):
            summary = await told.run()
        told.simulation.over = True

        assert summary.exit_code == 0
        assert told.codes() == ["SERVER_DIED", "done"]

    live(story)


@pytest.mark.parametrize("late", [True, False])
def test_who_joins_later_is_asked_what_it_offers(
    live: Live, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """A server that joins or comes back without a node class is left out by name; the other makes all."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=12), loop, runs)
        for host in told.simulation.hosts.values():
            host.comfy.duration = lambda job: 8.0
        [url, _] = told.simulation.hosts

        def poorer(method: str, path: str, query: Told, answer: Answer) -> Answer:
            if path.endswith("/object_info") and (late or loop.time() > 5):
                info = json.loads(answer.body)
                del info["EmptyImage"]
                return Answer(200, json.dumps(info).encode(), HEADERS)
            if (method, path.rpartition("/")[2]) == ("POST", "prompt") and (late or loop.time() > 5):
                wrong = {"type": "missing_node_type", "message": "Node 'EmptyImage' not found."}
                return Answer(400, json.dumps({"error": wrong, "node_errors": {}}).encode(), HEADERS)
            return answer

        told.meddle(poorer)
        if late:
            delay(
                monkeypatch,
                lambda it: 20.0 * (it.base == url and "object_info" in it.path and loop.time() < 15),
            )
        else:
            loop.call_later(5.0, told.comfy.stop)
            loop.call_later(15.0, told.comfy.start)
        summary = await told.run()
        told.simulation.over = True

        assert (summary.exit_code, summary.succeeded) == (0, 12)
        assert told.view.down[-1].startswith(f"{url} is left out: ")
        assert f"{url} has no node class `EmptyImage`" in told.view.down[-1]

    live(story)


def test_ctrl_c_while_the_cable_is_out_takes_nothing_back(live: Live) -> None:
    """What a silent server may hold stays open, so that `resume` finds it there and renders nothing twice."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=4, servers=1), loop, runs)
        told.settings = replace(told.settings, grace_s=60.0)
        told.comfy.duration = lambda job: 20.0

        def cut() -> None:
            told.comfy.up = False
            for socket in list(told.comfy.open):
                socket.gone = True
                socket.wake()

        loop.call_later(5.0, cut)
        loop.call_later(7.0, told.control.stop, "Ctrl-C", 130)
        loop.call_later(9.0, setattr, told.comfy, "up", True)
        first = await told.run()
        await asyncio.sleep(60)
        second = await told.resume(first.run)
        told.simulation.over = True

        assert (first.exit_code, second.exit_code) == (130, 0)
        assert told.verdict().sound
        assert told.verdict().duplicates == 0

    live(story)


@pytest.mark.parametrize("ticks", [1, 2])
def test_ctrl_c_in_the_last_moment_of_settling_is_heard(
    live: Live, monkeypatch: pytest.MonkeyPatch, ticks: int
) -> None:
    """Whoever cancels while settling ends is never told that all is made."""
    drain = Conductor._drain

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=6, servers=1, longest_job_s=3.0), loop, runs)
        await told.killed(60)

        def press(later: int) -> None:
            if later:
                loop.call_soon(press, later - 1)
                return
            told.control.stop("Ctrl-C", 130)
            if not told.control.conducting:
                second.cancel()

        async def drained(self: Conductor) -> None:
            await drain(self)
            press(ticks)

        monkeypatch.setattr(Conductor, "_drain", drained)
        second = asyncio.ensure_future(told.run())
        [end] = await asyncio.gather(second, return_exceptions=True)
        told.simulation.over = True

        assert isinstance(end, asyncio.CancelledError) or end.exit_code == 130

    live(story)


def test_a_full_disk_is_told_also_after_ctrl_c(live: Live) -> None:
    """What nobody asked for is told before what somebody did: exit 6, and why."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        class Full(SimDisk):
            def open(self, path: Path, flags: int, mode: int) -> int:
                if loop.time() > 6 and path.name.endswith(".part"):
                    raise OSError(28, "No space left on device")
                return super().open(path, flags, mode)

        told = Story(Case(jobs=4, servers=1, disk=Full), loop, runs)
        told.settings = replace(told.settings, grace_s=60.0)
        told.comfy.duration = lambda job: 10.0
        loop.call_later(7.0, told.control.stop, "Ctrl-C", 130)
        summary = await told.run()
        told.simulation.over = True

        assert (summary.exit_code, summary.unfinished) == (6, 4)
        assert "No space left on device" in summary.reason

    live(story)


def test_an_older_run_waits_for_what_a_newer_one_left_open(live: Live) -> None:
    """Its spec was run again and killed meanwhile: what that run has on the server is fetched."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=12, servers=1, anew=(True,)), loop, runs)
        told.comfy.duration = lambda job: 20.0
        await told.killed(60)
        [older] = checker.journals(runs)
        await told.killed(400)
        assert len(checker.journals(runs)) == 2
        summary = await told.resume(older)
        told.simulation.over = True

        assert summary.exit_code == 0
        assert told.verdict().sound
        assert told.verdict().duplicates == 0

    live(story)
