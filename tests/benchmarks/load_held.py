# ruff: noqa: E501, T201 - graphs; a script that prints
"""Is a server kept busy, and never given too much? Jobs of 200 ms over a line with 20 ms of delay.

    python -m tests.benchmarks.load_held [--jobs 300] [--depth 2] [--servers 1] [--line-ms 20] [--dead]

Each server is a previz child behind a proxy that holds back every request and frame. What it holds is asked of
the server itself every 5 ms and before each submission; the gaps between two jobs are those of its own history.
Prints one JSON line and ends with 1 when more than --depth was ever outstanding, or when --least or --gap-ms is
missed. With --dead the first server is stopped at a third of the jobs, and the rest is measured without it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.proxy import Proxy, Rule

TEMPLATE = """---
title: a test
parameters: {seed: {type: seed}}
outputs: {out: image}
---
{
  "plain": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": {{ seed % 16777216 }}}},
  "slow": {"class_type": "TSleep", "inputs": {"image": ["plain", 0], "seconds": 0.2, "coop": false}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["slow", 0]}}
}
"""


class Measured:
    """One previz and what was seen of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        command = [sys.executable, "-m", "runner.previz", "--test-nodes", "--folder", str(folder)]
        self.child = subprocess.Popen(
            [*command, "--log", str(folder / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.child.stdout is not None
        self.port = int(json.loads(self.child.stdout.readline())["url"].rpartition(":")[2])
        self.most = 0
        self.seen: list[tuple[float, int]] = []
        self.entries: dict[str, Any] = {}

    async def remaining(self, http: httpx.AsyncClient) -> int:
        answer = await http.get(f"http://127.0.0.1:{self.port}/prompt")
        return int(answer.json()["exec_info"]["queue_remaining"])

    async def before(self, http: httpx.AsyncClient, line: str) -> None:
        """Note how much the server will hold when a submission has arrived."""
        if line.startswith("POST /prompt"):
            self.most = max(self.most, await self.remaining(http) + 1)

    async def watch(self, http: httpx.AsyncClient) -> None:
        """Note how much it holds, for ever or until it is dead."""
        with contextlib.suppress(httpx.HTTPError):
            while True:
                self.seen.append((time.monotonic(), await self.remaining(http)))
                await asyncio.sleep(0.005)

    async def close(self, http: httpx.AsyncClient) -> None:
        if self.child.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                self.entries = (await http.get(f"http://127.0.0.1:{self.port}/history")).json()
        self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            assert stream is not None
            stream.close()

    def mean(self, until: float) -> float:
        """Return how much it held on average, by time, from the first job to *until*."""
        busy = [(at, count) for at, count in self.seen if at <= until]
        first = next((index for index, (_, count) in enumerate(busy) if count), len(busy))
        spans = [
            (later[0] - now[0], now[1]) for now, later in zip(busy[first:], busy[first + 1 :], strict=False)
        ]
        whole = sum(span for span, _ in spans)
        return sum(span * count for span, count in spans) / whole if whole else 0.0

    def gaps_ms(self) -> list[int]:
        """Return the time between the end of each job and the start of the next, by the server's own clock."""
        times = []
        for entry in self.entries.values():
            said = {
                name: data["timestamp"] for name, data in entry["status"]["messages"] if "timestamp" in data
            }
            times.append((said["execution_start"], said["execution_success"]))
        times.sort()
        return [start - end for (_, end), (start, _) in itertools.pairwise(times)]


async def measure(folder: Path, wish: argparse.Namespace) -> dict[str, Any]:
    """Run the jobs and return what was seen."""
    (folder / "templates").mkdir()
    (folder / "animerun.toml").write_text("")
    (folder / "templates/slow.json.j2").write_text(TEMPLATE)
    (folder / "load.yaml").write_text(
        f"animerun: 1\nepisode: load\ntemplate: slow\nscenes: {{s: {{takes: {wish.jobs}}}}}\n"
    )
    servers = [Measured(folder / f"previz{number}") for number in range(wish.servers)]
    delay = wish.line_ms / 1000
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=10))
        urls = []
        for server in servers:
            # The handshake of the socket passes as it is: a held request is answered and closed.
            rules = [Rule("^SOCKET", "delay", delay / 2), Rule("^(?!GET /ws)", "delay", delay)]
            proxy = Proxy(server.port, rules, before=partial(server.before, http))
            urls.append((await stack.enter_async_context(proxy)).url)
        watching = [asyncio.ensure_future(server.watch(http)) for server in servers]
        command = [sys.executable, "-m", "runner", "load.yaml", "--quiet", "--depth", str(wish.depth)]
        command += [word for url in urls for word in ("--server", url)]
        began = time.monotonic()
        run = await asyncio.create_subprocess_exec(*command, cwd=folder)
        if wish.dead:
            while sum(1 for _ in (folder / "runs").rglob("*.png")) < wish.jobs / 3:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            servers[0].child.kill()
        code = await run.wait()
        took = time.monotonic() - began
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for server in servers:
            await server.close(http)
    return summed(servers, wish, code=code, took=took)


def summed(servers: list[Measured], wish: argparse.Namespace, *, code: int, took: float) -> dict[str, Any]:
    """Return the figures; the last jobs, when there is no more to hold, are left out of the mean."""
    alive = [server for server in servers if server.entries]
    gaps = sorted(gap for server in alive for gap in server.gaps_ms())
    means = []
    for server in alive:
        last = max((at for at, count in server.seen if count >= wish.depth), default=0.0)
        means.append(server.mean(last) / wish.depth)
    return {
        "exit": code,
        "jobs": wish.jobs,
        "seconds": round(took, 1),
        "most_outstanding": max(server.most for server in servers),
        "held_share": round(statistics.mean(means), 3) if means else 0.0,
        "gap_ms_p50": gaps[len(gaps) // 2] if gaps else 0,
        "gap_ms_p99": gaps[int(len(gaps) * 0.99)] if gaps else 0,
    }


def main() -> int:
    """Print the figures; return 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--line-ms", type=float, default=20.0)
    parser.add_argument("--dead", action="store_true")
    parser.add_argument("--least", type=float, default=0.0, help="least share of the depth held on average")
    parser.add_argument("--gap-ms", type=float, default=1e9, help="most between two jobs, 99 of 100")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="animerun-load-") as made:
        found = asyncio.run(measure(Path(made), wish))
    print(json.dumps(found))
    wrong = found["exit"] or found["most_outstanding"] > wish.depth
    return int(bool(wrong or found["held_share"] < wish.least or found["gap_ms_p99"] > wish.gap_ms))


if __name__ == "__main__":
    raise SystemExit(main())
