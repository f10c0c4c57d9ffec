"""An earlier run that was killed, and what it is to the next process at its spec."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import door, launch
from runner.durable import Durable
from runner.errors import RunLocked, StorageError
from runner.events import AttemptSucceeded, Event
from runner.manifest.journal import Reading
from runner.run import Control
from runner.settings import Settings
from runner.summary import Summary
from tests.sim.loop import VirtualLoop
from tests.sim.play import Case, Nobody, Simulation, _process, fast_folder, project, quick
from tests.sim.world import SimDisk

JOBS = 6
DOTS = project(JOBS)
CASE = Case(jobs=JOBS, servers=1, longest_job_s=3.0)


@pytest.fixture
def runs() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="animerun-settling-", dir=fast_folder()))
    yield folder / "runs"
    shutil.rmtree(folder)


def played(live: Callable[[Simulation], Coroutine[Any, Any, None]]) -> None:
    loop = VirtualLoop(random.Random(0))
    try:
        with quick():
            loop.run_until_complete(live(Simulation(CASE, loop)))
    finally:
        loop.close()


def journals(runs: Path) -> list[Path]:
    return list(runs.glob("*/journal.jsonl"))


def settings_of(simulation: Simulation, runs: Path) -> Settings:
    return Settings(runs=runs, servers=tuple(simulation.hosts), depth=2)


async def killed(simulation: Simulation, runs: Path) -> Path:
    """Let a first process be killed with attempts open on its server; return its journal."""
    assert (await _process(simulation, settings_of(simulation, runs), 60, 0, DOTS, None))[0] is None
    return journals(runs)[0]


class Telling(Nobody):
    """A view that keeps which runs were not settled, and stops after so many jobs."""

    def __init__(self, stop_after: int = -1) -> None:
        self.control, self.left = Control(), stop_after
        self.unsettled_runs: list[str] = []

    def unsettled(self, run: str, reason: str) -> None:
        self.unsettled_runs.append(run)

    def edited(self, names: object) -> None: ...

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptSucceeded):
            self.left -= 1
            if self.left == 0:
                self.control.stop("stopped", 130)


async def run_spec(simulation: Simulation, runs: Path, view: Telling) -> Summary:
    batch, settings = DOTS.batch(runs), settings_of(simulation, runs)
    return (await launch.launch(batch, settings=settings, control=view.control, view=view))[0]


def test_a_run_that_may_not_be_written_is_left_as_it_is(runs: Path) -> None:
    """Where an earlier run's journal is closed to us, that is told, and the spec is run all the same."""

    async def live(simulation: Simulation) -> None:
        theirs = await killed(simulation, runs)
        before = theirs.read_bytes()

        class Closed(SimDisk):
            def open(self, path: Path, flags: int, mode: int) -> int:
                if path == theirs:
                    raise PermissionError(13, "Permission denied")
                return super().open(path, flags, mode)

        world = simulation.world(None, 1)
        world.disk = Closed()
        view = Telling()
        with door.entered(world):
            summary = await run_spec(simulation, runs, view)

        assert (summary.exit_code, summary.succeeded + summary.reused) == (0, JOBS)
        assert view.unsettled_runs == [theirs.parent.name]
        assert theirs.read_bytes() == before

    played(live)


def test_what_is_collected_in_settling_must_be_kept(runs: Path) -> None:
    """When the disk refuses a picture of an earlier run, the spec is not run: storage has failed."""

    async def live(simulation: Simulation) -> None:
        theirs = (await killed(simulation, runs)).parent

        class Full(SimDisk):
            def open(self, path: Path, flags: int, mode: int) -> int:
                if path.is_relative_to(theirs) and path.name.endswith(".part"):
                    raise OSError(28, "No space left on device")
                return super().open(path, flags, mode)

        world = simulation.world(None, 1)
        world.disk = Full()
        with door.entered(world), pytest.raises(StorageError, match="No space left"):
            await run_spec(simulation, runs, Telling())

        assert len(journals(runs)) == 1

    played(live)


def test_a_run_is_not_resumed_while_its_spec_is_run(runs: Path) -> None:
    """Both want the same jobs: `resume` is refused, and no job is rendered twice."""

    async def live(simulation: Simulation) -> None:
        with door.entered(simulation.world(None, 0)):
            first = await run_spec(simulation, runs, Telling(stop_after=2))
            assert first.exit_code == 130
            second = asyncio.ensure_future(run_spec(simulation, runs, Telling()))
            await asyncio.sleep(2)
            settings = settings_of(simulation, runs)
            asked: dict[str, Any] = {"retry_failed": False, "settings": settings, "control": Control()}
            with pytest.raises(RunLocked, match="is being run by another process"):
                await launch.resume(first.run, view=Telling(), **asked)
            assert not second.done()
            assert (await second).exit_code == 0
            summary, _ = await launch.resume(first.run, view=Telling(), **asked)

        assert summary.unfinished == 0
        assert [sum(host.comfy.rendered.values()) for host in simulation.hosts.values()] == [JOBS]

    played(live)


class _Silent:
    """An executor on whose server nothing ever happens."""

    def __init__(self, url: str) -> None:
        self.servers, self.told = (url,), ()

    def adopt(self, *_: object, **__: object) -> None: ...

    async def next_event(self) -> Any:
        await asyncio.Event().wait()


def test_who_is_cancelled_leaves_when_the_disk_is_done(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled in the middle of a commit, settling ends after it: nobody writes the journal any more."""

    async def live(simulation: Simulation) -> None:
        await killed(simulation, runs)

    played(live)
    [theirs] = journals(runs)
    go_on, ended = threading.Event(), threading.Event()
    write = Durable._write

    def slowly(self: Durable) -> None:
        loop.call_soon_threadsafe(cancel)
        go_on.wait(20)
        write(self)
        ended.set()

    def cancel() -> None:
        settling.cancel()
        loop.call_later(0.1, go_on.set)

    async def settle() -> bool:
        nonlocal loop, settling
        loop = asyncio.get_running_loop()
        url = next(line["server"] for line in Reading(theirs) if line["t"] == "intent")
        settings, executor = Settings(runs=runs, servers=(url,)), _Silent(url)
        run = theirs.parent.name
        settling = asyncio.ensure_future(launch._settle(run, executor, settings, Control()))  # type: ignore[arg-type]
        with pytest.raises(asyncio.CancelledError):
            await settling
        in_order = ended.is_set()
        go_on.set()
        return in_order

    loop: asyncio.AbstractEventLoop
    settling: asyncio.Future[Summary]
    monkeypatch.setattr(Durable, "_write", slowly)

    assert asyncio.run(settle())
    assert [line["t"] for line in Reading(theirs)][-1] == "resumed"
