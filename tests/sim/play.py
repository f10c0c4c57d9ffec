"""One seed: production code on simulated servers, killed and continued until it ends; then the checker."""

from __future__ import annotations

import asyncio
import atexit
import gc
import hashlib
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from unittest import mock

from runner import batch as batches
from runner import door, launch
from runner import plan as plans
from runner.batch import Batch, Scope, batch_of
from runner.cli.stopping import LEAVE_S
from runner.domain import ServerFacts, Workflow
from runner.errors import AnimerunError
from runner.events import Event
from runner.plan import Plan, make_plan, plan_of
from runner.render import render
from runner.resume import Standing, frozen_plan
from runner.reuse import Question, Reuse
from runner.run import Control, Work
from runner.settings import Settings
from runner.summary import Summary
from tests import checker
from tests.sim.comfy import Comfy, Job
from tests.sim.loop import VirtualLoop
from tests.sim.past import Past
from tests.sim.world import Fate, Faults, Host, SimDisk, SimWorld, everyone

TEMPLATE = """\
---
title: One dot
parameters:
  colour: {type: int, default: 0, min: 0, max: 16777215}
  seed: {type: seed}
outputs: {out: image}
---
{
  "dot": {"class_type": "EmptyImage", "inputs": {
    "width": 1, "height": 1, "batch_size": 1, "color": {{ (colour + seed) % 16777216 }}}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["dot", 0]}}
}
"""
KINDS = ("quiet", "net", "chaos")
LONGEST_S = 48 * 3600.0
"""Virtual time by which every process must have ended."""
AGAIN_S = 15.0
"""How long a person waits who was told that no server answers."""

KIND, NET = (
    Faults(),
    Faults(
        lose_request=0.05, lose_answer=0.05, late=0.02, silent=0.02, gateway=0.01, cut=0.01, lose_frame=0.2
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is played."""

    seed: int = 0
    jobs: int = 30
    servers: int = 2
    depth: int = 2
    faults: Faults = KIND
    nemesis_s: float = 0.0
    """Mean time between two acts of violence on a server; 0 = none."""
    fail: float = 0.0
    """Chance of a job to fail in a node."""
    crashes: tuple[int, ...] = ()
    """The effects at which the processes die, one process after the other; the last one lives."""
    anew: tuple[bool, ...] = ()
    """Whether the second process and those after it are given the spec again; others resume the last run."""
    stops: tuple[tuple[float, ...], ...] = ()
    """For each process, after how much of its time somebody presses Ctrl-C, once or twice; () = nobody."""
    grace_s: float = 30.0
    torn: bool = False
    """A process that dies in a write has written half of it."""
    forget: bool = False
    """The servers restart when the first process dies: what they held is lost."""
    submissions: tuple[Fate, ...] = ()
    """What becomes of the first POSTs, for certain."""
    longest_job_s: float = 5.0
    linger_s: float = 0.0
    """How long the servers go on after the last process."""
    keep: bool = True
    """Whether servers remember what they made, for the checker."""
    httpx_whole: bool = False
    clock_steps: Mapping[float, float] = field(default_factory=dict)
    """When → by how much somebody sets the wall clock. Seconds."""
    disk: Callable[[], SimDisk] = SimDisk
    """Makes the disk of the first process."""
    aftermath: Callable[[SimDisk, Path], None] | None = None
    """What the end of the first process does to the folder of runs."""


def drawn(kind: str, seed: int, *, jobs: int = 30) -> Case:
    """Return the case of *seed*: `plain`, with other numbers and somebody who presses Ctrl-C at times."""
    return _varied(plain(kind, seed, jobs=jobs), random.Random(f"more {kind} {seed}"))


def plain(kind: str, seed: int, *, jobs: int = 30) -> Case:
    """Return a case of *kind*: `quiet` = kills, `net` = with an unkind network, `chaos` = with nemesis."""
    chance = random.Random(f"{kind} {seed}")
    crashes = tuple(chance.randrange(1, 13 * jobs) for _ in range(chance.randrange(4)))
    torn, anew = chance.random() < 0.5, tuple(chance.random() < 0.4 for _ in crashes)
    case = Case(seed=seed, jobs=jobs, crashes=crashes, torn=torn, anew=anew)
    if kind == "quiet":
        return case
    case = replace(case, faults=NET)
    return replace(case, nemesis_s=120.0, fail=0.05) if kind == "chaos" else case


def _varied(case: Case, chance: random.Random) -> Case:
    """Return *case* with other numbers of jobs, servers and depth; in a third somebody presses Ctrl-C."""
    lot = chance.random()
    jobs = chance.randint(1, 4) if lot < 0.03 else 20 * case.jobs if lot > 0.998 else case.jobs
    case = replace(
        case, jobs=jobs, servers=chance.choice((1, 2, 2, 2, 3)), depth=chance.choice((1, 2, 2, 2, 4))
    )
    if chance.random() < 2 / 3:
        return case
    stops = []
    for _ in range(chance.randint(1, 3)):
        first = chance.choice([0.0, chance.uniform(0.0, 1.0), chance.uniform(0.0, 3.0 * jobs)])
        stops.append((first, *([first + chance.uniform(0.0, 10.0)] if chance.random() < 0.4 else [])))
    anew = tuple(chance.random() < 0.4 for _ in range(len(case.crashes) + len(stops)))
    return replace(case, stops=tuple(stops), anew=anew, grace_s=chance.choice([0.5, 5.0, 30.0]))


def again(kind: str, seed: int, jobs: int) -> str:
    """Return the command that plays this seed again."""
    return f"python -m tests.sim --kind {kind} --seed {seed} --jobs {jobs}"


@dataclass(slots=True, kw_only=True)
class Played:
    """What came of a case."""

    verdict: checker.Verdict
    processes: int
    effects: list[int]
    """Effects of each process."""
    virtual_s: float
    codes: list[int | None]
    """Exit code of each process, None for one that was killed."""


class Nobody:
    """A view that shows nothing."""

    def opened(self, facts: Sequence[ServerFacts]) -> None: ...

    def settling(self, run: str) -> None: ...

    def began(self, run: str, folder: Path, work: Work) -> None: ...

    def unsettled(self, run: str, reason: str) -> None: ...

    def __call__(self, event: Event) -> None: ...


@dataclass(frozen=True, slots=True)
class Project:
    """A spec, as it is planned where nothing was made before."""

    spec: Path
    plan: Plan
    keys: tuple[str, ...]

    def batch(self, runs: Path) -> Batch:
        """Return what is left to do after what lies in *runs*."""
        plan, past = self.plan, Past(runs)
        if past.begun:
            reuse = Reuse(past, "comfyui")  # type: ignore[arg-type]
            plan = plan_of(plan.spec, plan.catalog, plan.expansion, reuse)
        return batch_of(self.spec, plan, Scope())


@cache
def project(jobs: int, *, episode: str = "sim", colour: int = 7) -> Project:
    """Return the project of *jobs* dots, planned once per process."""
    root = Path(tempfile.mkdtemp(prefix="animerun-sim-", dir=fast_folder()))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    (root / "templates").mkdir()
    (root / "animerun.toml").write_text("")
    (root / "templates" / "dot.json.j2").write_text(TEMPLATE)
    spec = root / "sim.yaml"
    spec.write_text(
        f"animerun: 1\nepisode: {episode}\ntemplate: dot\n"
        f"scenes: {{s: {{colour: {colour}, seeds: 1..{jobs}}}}}\n"
    )
    plan = make_plan(spec)
    return Project(spec, plan, tuple(each.job.key for each in plan.rendered()))


def fast_folder() -> str | None:
    """Return a folder in memory where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class Simulation:
    """Servers that outlive the processes of one case, and what is done to them."""

    def __init__(self, case: Case, loop: VirtualLoop) -> None:
        self.case = case
        self._loop = loop
        self._chance = random.Random(f"world {case.seed}")
        self._fates = random.Random(f"jobs {case.seed}")
        self.over = False
        self.disk = case.disk()
        self.hosts: dict[str, Host] = {}
        for number in range(case.servers):
            atomic = (case.seed + number) % 2 == 1
            comfy = Comfy(duration=self._duration, fate=self._fate, keep=case.keep, atomic=atomic)
            url = f"http://127.0.0.1:{8188 + number}"
            self.hosts[url] = Host(url, comfy, loop)
            self.hosts[url].submissions += case.submissions
            self._later(comfy)

    def _duration(self, job: Job) -> float:
        return self._fates.uniform(0.5, self.case.longest_job_s)

    def _fate(self, job: Job) -> str:
        return "ValueError" if self._fates.random() < self.case.fail else ""

    def world(self, last: int | None, number: int) -> SimWorld:
        """Return the world of the process *number*."""
        chance = random.Random(f"process {self.case.seed} {number}")
        disk = SimDisk() if number else self.disk
        return SimWorld(
            self.hosts,
            disk=disk,
            chance=chance,
            faults=self.case.faults,
            last=last,
            torn=self.case.torn,
            httpx_whole=self.case.httpx_whole,
            steps=self.case.clock_steps,
        )

    def restart(self) -> None:
        """Have every server forget what it held."""
        for host in self.hosts.values():
            host.comfy.stop()
            host.comfy.start()

    # -- nemesis --------------------------------------------------------------------------------------------

    def _later(self, comfy: Comfy) -> None:
        if self.case.nemesis_s and not self.over:
            self._loop.call_later(self._chance.expovariate(1 / self.case.nemesis_s), self._strike, comfy)

    def _strike(self, comfy: Comfy) -> None:
        """Restart a server, or clear its queue or history as a stranger would."""
        if self.over:
            return
        lot = self._chance.random()
        if comfy.up and lot < 0.5:
            comfy.stop()
            self._loop.call_later(self._chance.uniform(0.0, 60.0), comfy.start)
        elif comfy.up and lot < 0.75:
            comfy.history.clear()
        elif comfy.up:
            comfy.queue.clear()
        self._later(comfy)


_PLANS: dict[bytes, Plan] = {}
"""Content of a frozen plan → the plan made of it: compiling templates takes longer than a seed."""


_KEPT = 1_000
"""Where memory is measured, with a hundred thousand jobs, next to nothing may be kept."""

_WORKFLOWS: dict[tuple[str, str], Workflow] = {}
"""Recipe and key → workflow: what a template makes of them is always the same, and the child that renders
takes as long as a quarter of a seed."""


def _workflow(question: Question) -> Workflow:
    key = question.recipe, question.job.key
    found = _WORKFLOWS.get(key) or render(question.template, question.job.values, files=question.files)
    if len(_WORKFLOWS) < _KEPT:
        _WORKFLOWS[key] = found
    return found


def _frozen_plan(folder: Path, state: Standing, reuse: Reuse | None = None) -> Plan:
    """Return the plan frozen in *folder*, read once for each content: equal bytes, equal plan."""
    paths = sorted(path for path in (folder / "plan").rglob("*") if path.is_file())
    content = b"".join(b"%s\0%s\0" % (path.name.encode(), path.read_bytes()) for path in paths)
    if content not in _PLANS:
        _PLANS[content] = frozen_plan(folder, state)
    plan = _PLANS[content]
    alone = reuse is None or reuse.history.begun == (folder.name,)  # type: ignore[attr-defined]
    return plan if alone else plan_of(plan.spec, plan.catalog, plan.expansion, reuse)


def _reuse_of(state: Standing, runs: Path) -> Reuse:
    """Return what may be taken over from other runs."""
    return Reuse(Past(runs), "comfyui")  # type: ignore[arg-type]


@contextmanager
def quick() -> Iterator[None]:
    """Do without the index, which is made from the journal by others; compile and render nothing twice."""
    with ExitStack() as stack:
        for module, name, other in (
            (launch, "keep_up", lambda *_, **__: None),
            (launch, "reuse_of", _reuse_of),
            (launch, "frozen_plan", _frozen_plan),
            (plans, "_workflow", _workflow),
            (batches, "History", Past),
        ):
            stack.enter_context(mock.patch.object(module, name, other))
        collecting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()


async def _go(dots: Project, settings: Settings, control: Control, *, anew: bool) -> Summary:
    """Do what a person does: run the spec, and once there is a run, resume it or run the spec *anew*."""
    begun = Past(settings.runs).begun
    if begun and not anew:
        found = await launch.resume(
            begun[0], retry_failed=False, settings=settings, control=control, view=Nobody()
        )
    else:
        batch = dots.batch(settings.runs)
        found = await launch.launch(batch, settings=settings, control=control, view=Nobody())
    return found[0]


async def _process(
    simulation: Simulation,
    settings: Settings,
    last: int | None,
    number: int,
    dots: Project,
    names: list[str] | None,
) -> tuple[int | None, int]:
    """Let one process live; return its exit code, None when it was killed, and how many effects it had."""
    before = asyncio.all_tasks()
    with door.entered(simulation.world(last, number)) as world:
        assert isinstance(world, SimWorld)
        world.names = names
        anew = bool(number) and simulation.case.anew[number - 1 : number] == (True,)
        control = Control()
        life = asyncio.ensure_future(_go(dots, settings, control, anew=anew))
        death = asyncio.ensure_future(world.died.wait())
        stops = [*simulation.case.stops[number : number + 1], ()][0]
        signals = asyncio.ensure_future(_signals(stops, control, life, world))
        await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED, timeout=LONGEST_S)
        signals.cancel()
        rest = [*everyone(before)]
        if not world.died.is_set() and life.done():
            death.cancel()
            try:
                return life.result().exit_code, world.effects
            except AnimerunError as error:
                return error.exit_code, world.effects
            except asyncio.CancelledError:
                return 130, world.effects
        for task in rest:
            task.cancel()
        await asyncio.gather(life, *rest, return_exceptions=True)
        if not world.died.is_set():
            raise AssertionError(f"process {number} did not end within {LONGEST_S:.0f} s")
        return None, world.effects


async def _signals(
    times: Sequence[float], control: Control, life: asyncio.Future[Summary], world: SimWorld
) -> None:
    """Do at *times* what Ctrl-C does, as `runner.cli.conducting` and `stopping` have it."""
    now = 0.0
    for number, at in enumerate(times):
        await asyncio.sleep(at - now)
        now = at
        control.stop("Ctrl-C", 130)
        if not control.conducting:
            life.cancel()
        if number:
            await asyncio.sleep(LEAVE_S)
            world.kill()


async def _live(
    case: Case, loop: VirtualLoop, runs: Path, tell: Callable[[str], None], names: list[str] | None
) -> Played:
    dots = project(case.jobs)
    simulation = Simulation(case, loop)
    settings = Settings(runs=runs, servers=tuple(simulation.hosts), depth=case.depth, grace_s=case.grace_s)
    lasts: list[int | None] = [*case.crashes]
    effects: list[int] = []
    codes: list[int | None] = []
    for number in range(len(lasts) + 20):
        last = lasts[number] if number < len(lasts) else None
        code, count = await _process(simulation, settings, last, number, dots, None if number else names)
        effects.append(count)
        codes.append(code)
        tell(f"process {number}: {count} effects, exit code {code}, at {loop.time():.1f} s")
        if code in (0, 1, 7):
            break
        if code == 4:
            await asyncio.sleep(AGAIN_S)
        if number == 0 and case.forget:
            simulation.restart()
        if number == 0 and case.aftermath is not None:
            case.aftermath(simulation.disk, runs)
    else:
        raise AssertionError(f"no process ended in good order: the last one with {code}")
    simulation.over = True
    await asyncio.sleep(case.linger_s)
    servers = [facts_of(host.comfy) for host in simulation.hosts.values()]
    told = {"processes": len(effects), "effects": effects, "virtual_s": loop.time(), "codes": codes}
    if codes[-1] == 7:
        return Played(verdict=checker.Verdict(lost=["exit code 7"]), **told)
    for line in checker.story(runs):
        tell(line)
    return Played(verdict=checker.judge(runs, dots.keys, servers), **told)


def facts_of(comfy: Comfy) -> checker.Server:
    """Return what the server itself says, for the checker."""
    files = {
        f"{folder}/{name}".lstrip("/"): hashlib.sha256(content).hexdigest()
        for (kind, folder, name), content in comfy.files.items()
        if kind == "output"
    }
    return checker.Server(files=files, posts=list(comfy.posts), rendered=dict(comfy.rendered))


def play(
    case: Case, *, tell: Callable[[str], None] = lambda line: None, effects: list[str] | None = None
) -> Played:
    """Play *case* from its first process to its last, and judge it.

    What happened is told line by line; the names of the first process's effects are put into *effects*.
    """
    loop = VirtualLoop(random.Random(f"threads {case.seed}"))
    runs = Path(tempfile.mkdtemp(prefix="animerun-sim-", dir=fast_folder()))
    try:
        with quick():
            return loop.run_until_complete(_live(case, loop, runs / "runs", tell, effects))
    finally:
        loop.close()
        shutil.rmtree(runs)
