"""The chaos matrix: one toxic in one phase of a whole run against previz behind the proxy, and its end.

    python -m tests.chaos.cells [--only WORDS] [--at-once 3]

A cell is a run of four jobs with an input picture. Its first server stands behind the proxy, which spoils the
requests of one phase: twice and then no more (`twice`), always (`always`), or always while a second server is
well (`beside`). Times are shortened through `Pace` and `Limits`; everything else is what users run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock

import httpx
from PIL import Image

from runner import launch as launching
from runner.batch import Scope, batch_of
from runner.collect import Bounds, collect
from runner.comfy import listener
from runner.comfy.client import Limits
from runner.comfy.watch import Pace
from runner.errors import AnimerunError
from runner.launch import launch
from runner.manifest.journal import Reading
from runner.plan import make_plan
from runner.run import Control
from runner.settings import Settings
from runner.submit import ComfyExecutor
from tests.proxy import TOXICS, Proxy, Rule

PHASES = {
    "stats": "GET /system_stats",
    "object_info": "GET /object_info",
    "submit": "POST /prompt",
    "queue": "GET /queue",
    "history": "GET /history",
    "view": "GET /view",
    "socket": "GET /ws",
    "frames": "SOCKET",
    "upload": "POST /upload",
}
MODES = ("twice", "always", "beside")
JOBS = 4
DEPTH = 2
LONGEST_S = 400.0
"""A limit for what hangs: four jobs whose uploads end by no answer alone try for three minutes."""
PACE = Pace(
    settle_s=0.5,
    refused_s=1.0,
    server_wait_s=20.0,
    probe_s=0.05,
    slowest_s=0.2,
    slowest_with_socket_s=0.5,
    deaf_s=0.5,
)
LIMITS = Limits(connect_s=10.0, read_s=3.0, post_s=3.0, object_info_s=6.0, download_s=3.0)
"""Short for what never comes, long for an answer on a busy machine."""
TEMPLATE = """---
title: a test
parameters: {seed: {type: seed}, image: {type: image}}
outputs: {out: image}
---
{
  "load": {"class_type": "LoadImage", "inputs": {"image": {{ image }}}},
  "plain": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ seed % 16777216 }}}},
  "mixed": {"class_type": "ImageBlend", "inputs": {"image1": ["load", 0], "image2": ["plain", 0], "blend_factor": 0.5, "blend_mode": "normal"}},
  "slow": {"class_type": "TSleep", "inputs": {"image": ["mixed", 0], "seconds": 0.1, "coop": true}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["slow", 0]}}
}
"""  # noqa: E501
SPEC = f"animerun: 1\nepisode: chaos\ntemplate: mixed\nscenes: {{s: {{image: in.png, takes: {JOBS}}}}}\n"


@dataclass(frozen=True, slots=True)
class Cell:
    """One toxic in one phase."""

    toxic: str
    phase: str
    mode: str

    def __str__(self) -> str:
        return f"{self.toxic}, {self.phase}, {self.mode}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a cell came to."""

    cell: Cell
    code: int
    made: int = 0
    """Jobs recorded as made, each with its file on disk."""
    faults: tuple[str, ...] = ()
    """The codes of the attempts that failed, those followed by another included."""
    attempts: int = 0
    most: int = 0
    """Most of our jobs on one server at once, as the server counts."""
    hits: int = 0
    """How often the toxic was met."""
    seconds: float = 0.0
    told: str = ""
    wrong: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"exit {self.code}, {self.made} made, {self.attempts} attempts, {','.join(self.faults) or '-'}"
        row = f"{self.cell!s:34} hit {self.hits:3}  {what:58} most {self.most}  {self.seconds:4.1f} s"
        return row + (f"  WRONG: {'; '.join(self.wrong)}" if self.wrong else "")


CELLS = tuple(Cell(toxic, phase, mode) for phase in PHASES for toxic in TOXICS for mode in MODES)


HARMLESS = {"delay", "delay answer"}
"""Too short to matter."""
LASTING = {"login", "empty", "redirect", "corrupt"}
"""What tells at the first contact that this is no ComfyUI, or not ours to use (V4, V15)."""

HEARD = {"eat answer", "truncate", "oversized header"}
"""The server has got the request; what was submitted is found."""


def codes(cell: Cell) -> set[int]:
    """Return the exit codes that the fault model allows for *cell*.

    0: made after all, here or on the other server. 1: jobs failed. 3: refused before the first job. 4: no
    server was left.
    """
    if cell.mode == "beside" or cell.toxic in HARMLESS or cell.phase in ("socket", "frames"):
        return {0}  # sockets are hints only
    if cell.phase in ("stats", "object_info"):
        if cell.toxic in LASTING and (cell.phase == "stats" or cell.toxic in ("redirect", "corrupt")):
            # Another word is a class or a choice that is not there; another bracket leaves no answer at all.
            unread = {4} if cell.phase == "object_info" else set()
            return {0, 3} | unread if cell.toxic == "corrupt" else {3}
        return {0} if cell.mode == "twice" else {4}
    if cell.mode == "twice" or (cell.phase == "submit" and cell.toxic in HEARD):
        return {0}
    if cell.phase == "upload" and cell.toxic != "drip":
        return {1, 4}  # between two failures the server may count as gone for longer than it is waited for
    if cell.phase == "queue":
        return {0, 4}  # frames may tell all there is to know before the server counts as gone
    if cell.toxic in ("corrupt", "drip"):
        return {0, 1}
    return {0} if cell.phase == "history" else {1}  # the files of a SaveImage are found by their names


# ---------------------------------------------------------------- running one cell


class Servers:
    """Two previz children, as good as new between two cells."""

    def __init__(self, folder: Path) -> None:
        self._children = []
        self.ports = []
        for name in ("a", "b"):
            (folder / name).mkdir()
            command = [sys.executable, "-m", "runner.previz", "--test-nodes", "--folder", str(folder / name)]
            child = subprocess.Popen(
                [*command, "--log", str(folder / name / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert child.stdout is not None
            self._children.append(child)
            self.ports.append(int(json.loads(child.stdout.readline())["url"].rpartition(":")[2]))

    def clean(self) -> None:
        """Forget all jobs."""
        for port in self.ports:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False) as http:
                http.post("/queue", json={"clear": True})
                while http.get("/prompt").json()["exec_info"]["queue_remaining"]:
                    time.sleep(0.02)
                http.post("/history", json={"clear": True})

    def close(self) -> None:
        for child in self._children:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.close()
            child.wait(60)
            child.stdout.close()


@dataclass(slots=True)
class Quiet:
    """Sees nothing."""

    events: list[object] = field(default_factory=list)

    def opened(self, facts: object) -> None:
        """Nothing to see."""

    def settling(self, run: str) -> None:
        """Nothing to see."""

    def began(self, run: str, folder: Path, work: object) -> None:
        """Nothing to see."""

    def __call__(self, event: object) -> None:
        self.events.append(event)


@contextmanager
def brisk() -> Iterator[None]:
    """Everything waits less."""
    executor = partial(ComfyExecutor, pace=PACE, limits=LIMITS)
    quick = partial(collect, bounds=Bounds(pause_s=0.01))
    with (
        mock.patch.object(launching, "ComfyExecutor", executor),
        mock.patch.object(launching, "collect", quick),
        mock.patch.object(listener, "_OPEN_S", 1.0),
        mock.patch.object(listener, "_PING_S", 0.5),
        mock.patch.object(listener, "_PONG_S", 0.5),
        mock.patch.object(listener, "_FIRST_DELAY_S", 0.05),
        mock.patch.object(listener, "_CLOSE_S", 0.2),
    ):
        yield


@asynccontextmanager
async def _proxies(cell: Cell, ports: Sequence[int], most: list[int]) -> AsyncIterator[list[Proxy]]:
    rule = Rule(f"^{PHASES[cell.phase]}", cell.toxic, times=2 if cell.mode == "twice" else 0)
    async with contextlib.AsyncExitStack() as stack:
        proxies = []
        for port, rules in zip(ports, ([rule], []), strict=True):
            before = partial(_count, port, most)
            proxies.append(await stack.enter_async_context(Proxy(port, rules, before=before)))
        yield proxies[: 2 if cell.mode == "beside" else 1]


async def _count(port: int, most: list[int], line: str) -> None:
    """Note how many jobs the server will hold when a submission has reached it."""
    if not line.startswith("POST /prompt"):
        return
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        answer = await http.get(f"http://127.0.0.1:{port}/prompt")
        most.append(answer.json()["exec_info"]["queue_remaining"] + 1)


async def run_cell(cell: Cell, servers: Servers, folder: Path) -> Outcome:
    """Return what *cell* comes to."""
    (folder / "templates").mkdir(parents=True)
    (folder / "animerun.toml").write_text("")
    (folder / "templates/mixed.json.j2").write_text(TEMPLATE)
    (folder / "chaos.yaml").write_text(SPEC)
    Image.new("RGB", (16, 16), (1, 2, 3)).save(folder / "in.png")
    most: list[int] = [0]
    began = time.monotonic()
    code, told = -1, ""
    async with _proxies(cell, servers.ports, most) as proxies:
        settings = Settings(
            runs=folder / "runs",
            servers=tuple(proxy.url for proxy in proxies),
            depth=DEPTH,
            server_wait_s=PACE.server_wait_s,
            grace_s=1.0,
        )
        plan = make_plan(folder / "chaos.yaml")
        batch = batch_of(folder / "chaos.yaml", plan, Scope())
        try:
            async with asyncio.timeout(LONGEST_S):
                summary, _ = await launch(batch, settings=settings, control=Control(), view=Quiet())
            code, told = summary.exit_code, summary.reason
        except AnimerunError as error:
            code, told = error.exit_code, str(error)
        except TimeoutError:
            told = f"not over after {LONGEST_S:.0f} s"
        hits = sum(toxic != "" for _, toxic in proxies[0].log)
        trapped = len(proxies[0].trapped)
    seconds = time.monotonic() - began
    await asyncio.to_thread(servers.clean)
    return _judge(cell, folder, code, told, most=max(most), hits=hits, seconds=seconds, trapped=trapped)


def _judge(
    cell: Cell, folder: Path, code: int, told: str, *, most: int, hits: int, seconds: float, trapped: int
) -> Outcome:
    runs = list((folder / "runs").glob("*/journal.jsonl"))
    lines = [line for path in runs for line in Reading(path)]
    done = [line for line in lines if line["t"] == "done"]
    wrong = []
    for line in done:
        for output in line["outputs"]:
            path = runs[0].parent / output["path"]
            try:
                with Image.open(path) as picture:
                    picture.load()
            except OSError as error:
                wrong.append(f"recorded without a picture: {error}")
    if len({line["key"] for line in done}) != len(done):
        wrong.append("recorded twice")
    if most > DEPTH:
        wrong.append(f"{most} outstanding")
    if code not in codes(cell):
        wrong.append(f"exit {code}, not {codes(cell)}: {told}")
    if code == 0 and len(done) != JOBS:
        wrong.append(f"exit 0 with {len(done)} of {JOBS} jobs")
    if not hits:
        wrong.append("the toxic was never met")
    if trapped:
        wrong.append("a redirect was followed")
    return Outcome(
        cell=cell,
        code=code,
        made=len(done),
        faults=tuple(sorted(line["code"] for line in lines if line["t"] == "failed")),
        attempts=sum(line["t"] == "intent" for line in lines),
        most=most,
        hits=hits,
        seconds=seconds,
        told=told,
        wrong=tuple(wrong),
    )


@contextmanager
def farm_of(count: int, folder: Path) -> Iterator[list[Servers]]:
    """Yield so many pairs of servers; they are gone afterwards."""
    farm: list[Servers] = []
    try:
        for number in range(count):
            (folder / f"servers{number}").mkdir()
            farm.append(Servers(folder / f"servers{number}"))
        yield farm
    finally:
        for servers in farm:
            servers.close()


async def run_all(cells: Sequence[Cell], folder: Path, farm: Sequence[Servers]) -> AsyncIterator[Outcome]:
    """Yield the outcome of each cell as it is known; as many run at once as there are pairs of servers."""
    waiting = list(enumerate(cells))[::-1]
    found: asyncio.Queue[Outcome] = asyncio.Queue()

    async def work(servers: Servers) -> None:
        while waiting:
            number, cell = waiting.pop()
            found.put_nowait(await run_cell(cell, servers, folder / f"{number:03}"))

    tasks = [asyncio.ensure_future(work(servers)) for servers in farm]
    try:
        for _ in cells:
            getting = asyncio.ensure_future(found.get())
            await asyncio.wait({getting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            while not getting.done():
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.wait({getting}, timeout=0.1)
            yield getting.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def main(only: Sequence[str], at_once: int) -> int:
    """Print the table; return 1 when a cell is wrong."""
    cells = [cell for cell in CELLS if not only or any(words in str(cell) for words in only)]
    began, wrong = time.monotonic(), 0
    with (
        tempfile.TemporaryDirectory(prefix="animerun-chaos-") as made,
        brisk(),
        farm_of(at_once, Path(made)) as farm,
    ):
        async for outcome in run_all(cells, Path(made), farm):
            wrong += bool(outcome.wrong)
            sys.stdout.write(f"{outcome}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(cells)} cells, {wrong} wrong, {time.monotonic() - began:.0f} s\n")
    return int(wrong > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="words of a cell, like `view, twice`")
    parser.add_argument("--at-once", type=int, default=3, help="cells at a time")
    wish = parser.parse_args()
    raise SystemExit(asyncio.run(main(wish.only, wish.at_once)))
