"""Lives that somebody thought out: one server misbehaves at one moment, and what comes of it is known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim.comfy import BROKEN, Answer
from tests.sim.loop import VirtualLoop
from tests.sim.play import Case, project
from tests.sim.story import Story, Tell, Told
from tests.sim.world import HTML, Fate


def test_what_is_new_is_made_beside_very_much_that_is_not(live: Callable[[Tell], None]) -> None:
    """However many jobs are reused before it, the one job to make is made: nobody tells of those."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=600, longest_job_s=0.6), loop, runs)
        await told.run(project(600))
        again = await told.run(project(601))
        told.simulation.over = True

        assert (again.reused, again.succeeded, again.exit_code) == (600, 1, 0)

    live(story)


def test_a_job_refused_in_part_has_failed_also_where_its_server_goes(live: Callable[[Tell], None]) -> None:
    """200 with `node_errors`, and the server is gone before the prompt is taken back: VALIDATION, exit 1."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=3, servers=1, longest_job_s=3.0), loop, runs)
        posts = 0

        def partly(method: str, path: str, query: Told, answer: Answer) -> Answer:
            nonlocal posts
            posts += (method, path.rpartition("/")[2]) == ("POST", "prompt")
            if posts != 2 or not path.endswith("/prompt"):
                return answer
            wrong = {"class_type": "SaveImage", "errors": [{"type": "x", "message": "bad"}]}
            loop.call_later(0.1, told.comfy.stop)
            loop.call_later(20.0, told.comfy.start)
            body = {**json.loads(answer.body), "node_errors": {"out": wrong}}
            return Answer(200, json.dumps(body).encode(), answer.headers)

        told.meddle(partly)
        summary = await told.run()
        told.simulation.over = True

        assert (summary.exit_code, summary.succeeded, summary.failed, summary.unfinished) == (1, 2, 1, 0)
        assert "VALIDATION" in told.codes()
        assert told.verdict().sound

    live(story)


@pytest.mark.parametrize("restarts", [1, 2])
def test_a_restart_while_a_file_is_fetched_costs_no_render(
    live: Callable[[Tell], None], restarts: int
) -> None:
    """Its files are on the server's disk, so they are waited for though another is up; no death counts."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=2, depth=1, longest_job_s=3.0), loop, runs)
        views = 0

        def away(method: str, path: str, query: Told, answer: Answer) -> Answer:
            nonlocal views
            views += path.endswith("/view")
            if path.endswith("/view") and views <= restarts:
                told.comfy.stop()
                loop.call_later(40.0, told.comfy.start)
            return answer

        told.meddle(away)
        summary = await told.run()
        told.simulation.over = True

        assert summary.exit_code == 0
        assert told.codes() == ["done", "done"]
        assert told.verdict().duplicates == 0

    live(story)


def test_who_leaves_during_a_bad_download_takes_nothing_back(live: Callable[[Tell], None]) -> None:
    """What has ended on its server is not cancelled: its attempt stays open, and `resume` fetches it."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=1, servers=1, depth=1, longest_job_s=3.0), loop, runs)
        seen: list[float] = []

        def bad(method: str, path: str, query: Told, answer: Answer) -> Answer:
            if not path.endswith("/view") or loop.time() > 20:
                return answer
            if not seen:
                told.control.stop("you", 130)
                loop.call_later(2.4, lambda: setattr(told.comfy, "up", False))
                loop.call_later(6.4, lambda: setattr(told.comfy, "up", True))
            seen.append(loop.time())
            return BROKEN

        told.meddle(bad)
        summary = await told.run()
        assert summary.exit_code == 130
        await asyncio.sleep(20)
        await told.resume(summary.run)
        told.simulation.over = True

        assert told.codes() == ["done"]
        assert told.verdict().duplicates == 0

    live(story)


def test_a_job_seen_in_the_queue_is_not_called_unreadable(live: Callable[[Tell], None]) -> None:
    """Its submission came late and the history is broken, but the queue shows it: it is waited for."""

    async def story(loop: VirtualLoop, runs: Path) -> None:
        told = Story(Case(jobs=1, servers=1, submissions=(Fate(1.0, "reset"),)), loop, runs)
        told.comfy.duration = lambda job: 20.0

        def broken(method: str, path: str, query: Told, answer: Answer) -> Answer:
            return HTML if "/history/" in path and loop.time() < 15 else answer

        told.meddle(broken)
        summary = await told.run()
        told.simulation.over = True

        assert summary.exit_code == 0
        assert told.codes() == ["done"]
        assert told.verdict().duplicates == 0

    live(story)
