"""A submission that failed says nothing about the server: each way to fail, and what the truth then is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runner.comfy.client import Limits
from runner.comfy.watch import Pace
from runner.events import AttemptFailed, AttemptSucceeded
from tests.flow.test_submit_previz import attempt, opened, until_ends
from tests.proxy import Proxy, Rule

PACE = Pace(settle_s=0.6, slowest_s=0.1, slowest_with_socket_s=0.1, probe_s=0.05)
LIMITS = Limits(connect_s=10.0, read_s=3.0, post_s=2.0)


class At:
    """Stands for a server at *url*."""

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.fixture(scope="module")
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A previz of this module's own, or the server on this machine that --comfyui-url names."""
    if url := request.config.getoption("--comfyui-url"):
        port = int(url.rpartition(":")[2].rstrip("/"))
        ran(port)
        yield port
        return
    folder = tmp_path_factory.mktemp("previz")
    command = [sys.executable, "-m", "runner.previz", "--folder", str(folder), "--log", str(folder / "log")]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    yield int(json.loads(child.stdout.readline())["url"].rpartition(":")[2])
    child.stdin.close()
    child.wait(60)
    child.stdout.close()


def ran(port: int) -> int:
    """How many jobs the server has run since it was asked last."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False) as http:
        count = len(http.get("/history").json())
        http.post("/history", json={"clear": True})
    return count


@pytest.mark.parametrize(
    ("toxic", "amount", "code"),
    [
        ("eat answer", 0.0, ""),
        ("delay answer", 2.5, ""),
        ("reset", 0.0, "LOST"),
        ("eat request", 0.0, "LOST"),
        ("blackhole", 0.0, "LOST"),
        ("status", 502.0, "SERVER_ERROR"),
    ],
)
async def test_the_truth_about_a_submission_is_found(
    port: int, tmp_path: Path, toxic: str, amount: float, code: str
) -> None:
    """What the server runs is found and collected, what it never got is lost; nothing runs twice."""
    async with Proxy(port, [Rule("POST /prompt", toxic, amount, times=1)]) as proxy:
        async with opened(At(proxy.url), pace=PACE, limits=LIMITS) as executor:
            executor.start(attempt(executor), tmp_path)
            end = (await until_ends(executor))[-1]
        posts = sum(line.startswith("POST /prompt") for line, _ in proxy.log)

    assert posts == 1
    assert ran(port) == (0 if code else 1)
    if code:
        assert isinstance(end, AttemptFailed)
        assert end.fault.code == code
    else:
        assert isinstance(end, AttemptSucceeded)


async def test_a_client_that_dies_behind_its_submission_left_a_job(port: int, tmp_path: Path) -> None:
    """The connection is closed straight after the body; whoever comes next adopts what runs."""
    async with opened(At(f"http://127.0.0.1:{port}"), pace=PACE) as executor:
        it = attempt(executor)
        graph = json.loads(json.dumps(it.workflow.nodes).replace('{"$prefix": true}', json.dumps(it.prefix)))
        body = json.dumps({"prompt": graph, "prompt_id": it.prompt_id}).encode()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /api/prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        await writer.drain()
        writer.close()
        executor.adopt(it, tmp_path)
        end = (await until_ends(executor))[-1]

    assert isinstance(end, AttemptSucceeded)
    assert ran(port) == 1
