"""What a server does to the jobs it holds, and how that is told apart: restart, zombie, person, proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.comfy.protocol import Queue
from runner.comfy.verdict import judge
from runner.comfy.vigil import Vigil
from runner.domain import Attempt
from runner.events import (
    AttemptFailed,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    ServerBusy,
    ServerDown,
    ServerNotice,
)
from runner.submit import ComfyExecutor

from .conftest import GRAPH, GUARD_S, PACE, opened
from .conftest import make as attempt_on
from .fake import Fake
from .test_attempts import until, until_end

Make = Callable[..., Attempt]
OOM = {
    "node_id": "1",
    "node_type": "KSampler",
    "exception_type": "torch.OutOfMemoryError",
    "exception_message": "x",
}
NO = (500, "text/plain", b"500 Internal Server Error")


async def running(executor: ComfyExecutor, fake: Fake, tmp_path: Path, *names: str) -> list[Attempt]:
    """Submit attempts; the first of them runs, the others wait behind it."""
    fake.hold = True
    found = [attempt_on(executor.servers[0], name=name) for name in names]
    for it in found:
        executor.start(it, tmp_path)
        await until(executor, AttemptSubmitted)
    fake.pending.remove(found[0].prompt_id)
    fake.running = [found[0].prompt_id]
    await until(executor, AttemptRunning)
    return found


async def ends(executor: ComfyExecutor, count: int) -> dict[str, str]:
    """Return prompt_id → code of the next attempts that fail."""
    found = {}
    while len(found) < count:
        event = (await until_end(executor))[-1]
        assert isinstance(event, AttemptFailed)
        found[event.prompt_id] = event.fault.code
    return found


async def reached(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD_S):
        while not what():  # noqa: ASYNC110 - what is waited for is the state of a server
            await asyncio.sleep(0.01)


# -- what a restart and a person leave behind ---------------------------------------------------------------


async def test_a_job_that_ran_when_its_server_died_is_told_from_one_that_waited(
    executor: ComfyExecutor, fake: Fake, tmp_path: Path
) -> None:
    """After a restart the job that ran was there at a death, the other is lost; how many is said once."""
    first, second = await running(executor, fake, tmp_path, "one", "two")
    await fake.down()
    await until(executor, ServerDown)
    await fake.up()
    notice = await until(executor, ServerNotice)
    codes = await ends(executor, 2)

    assert codes == {first.prompt_id: "SERVER_DIED", second.prompt_id: "LOST"}
    assert notice.message == f"{fake.url} has restarted and lost 2 jobs of this run"


@pytest.mark.parametrize("stranger", [False, True])
async def test_the_first_job_is_suspected_where_none_was_seen_running(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path, stranger: bool
) -> None:
    """A job that kills its server at once does so before a look; a stranger's running job clears it."""
    fake.hold, fake.running = True, ["a-stranger"] * stranger
    first, second = attempt(name="one"), attempt(name="two")
    for it in (first, second):
        executor.start(it, tmp_path)
        await until(executor, AttemptSubmitted)
    looks = fake.count("GET /queue")
    await reached(lambda: fake.count("GET /queue") > looks)
    await fake.down()
    await until(executor, ServerDown)
    await fake.up()
    codes = await ends(executor, 2)

    assert codes == {first.prompt_id: "LOST" if stranger else "SERVER_DIED", second.prompt_id: "LOST"}


async def test_a_job_that_ran_on_a_server_that_is_gone_was_there_at_its_death(
    fake: Fake, tmp_path: Path
) -> None:
    """Refused for long enough with another server up: both jobs may go there, one of them with a death."""
    async with Fake() as other, opened(fake, other, pace=replace(PACE, refused_s=0.1)) as executor:
        first, second = await running(executor, fake, tmp_path, "one", "two")
        await fake.down()
        notice = await until(executor, ServerNotice)
        codes = await ends(executor, 2)

    assert notice.message == f"{fake.url} is gone, and with it 2 jobs of this run"
    assert codes == {first.prompt_id: "SERVER_DIED", second.prompt_id: "LOST"}


async def test_what_was_given_up_and_turns_up_after_all_is_taken_back(fake: Fake, tmp_path: Path) -> None:
    """A server that was only cut off still holds a job that is made elsewhere now: it is cancelled there."""
    async with Fake() as other, opened(fake, other, pace=replace(PACE, refused_s=0.1)) as executor:
        [it] = await running(executor, fake, tmp_path, "one")
        await fake.down()
        await ends(executor, 1)
        fake.pending = [it.prompt_id]
        await fake.up()
        await reached(lambda: not fake.pending)


async def test_a_job_that_vanished_from_the_queue_while_others_stayed_was_removed(
    executor: ComfyExecutor, fake: Fake, tmp_path: Path
) -> None:
    """The server answered throughout and still holds the other one: somebody took this one out."""
    _, second = await running(executor, fake, tmp_path, "one", "two")
    fake.pending = []

    assert await ends(executor, 1) == {second.prompt_id: "REMOVED"}


async def test_an_id_that_stands_in_the_queue_twice_is_deleted_once(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Of equal ids one is left, and it is rendered."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.pending += [it.prompt_id, it.prompt_id]
    await reached(lambda: len(fake.pending) < 3)
    await reached(lambda: len(fake.pending) == 1)
    fake.finish(it.prompt_id)

    assert isinstance((await until_end(executor))[-1], AttemptSucceeded)
    assert fake.count("POST /queue") == 2


# -- no progress --------------------------------------------------------------------------------------------

IMPATIENT = replace(PACE, no_progress_s=0.05, interrupt_s=0.1)


async def test_a_job_without_progress_is_interrupted_by_its_id_and_goes_elsewhere(
    fake: Fake, tmp_path: Path
) -> None:
    """Nothing seen of it for the limit: it is stopped, and its server goes on to be used."""
    async with opened(fake, pace=IMPATIENT) as executor:
        [it] = await running(executor, fake, tmp_path, "one")
        event = (await until_end(executor))[-1]

    assert (event.prompt_id, event.fault.code, event.fault.retry) == (it.prompt_id, "HUNG", "elsewhere")
    assert event.fault.message.startswith("no progress for ")
    assert fake.count("POST /interrupt") == 1


async def test_a_server_whose_worker_is_dead_is_left_out_by_name(fake: Fake, tmp_path: Path) -> None:
    """The interrupt changes nothing: its jobs may go elsewhere, and what waits there is taken back."""
    fake.wedged = True
    async with opened(fake, pace=IMPATIENT) as executor:
        first, second = await running(executor, fake, tmp_path, "one", "two")
        down = await until(executor, ServerDown)
        codes = await ends(executor, 2)
        await reached(lambda: not fake.pending)

    assert down.final
    assert down.reason == f"{fake.url} accepts jobs but runs none, and no interrupt helps: restart it"
    assert codes == {first.prompt_id: "SERVER_DIED", second.prompt_id: "LOST"}


async def test_a_server_that_lets_jobs_wait_and_runs_none_is_left_out(fake: Fake, tmp_path: Path) -> None:
    """Our job waits, nothing runs, and that lasts: the worker is dead."""
    fake.hold = True
    async with opened(fake, pace=replace(PACE, idle_s=0.2)) as executor:
        it = attempt_on(executor.servers[0])
        executor.start(it, tmp_path)
        down = await until(executor, ServerDown)
        codes = await ends(executor, 1)

    assert (down.final, down.reason) == (True, f"{fake.url} accepts jobs but runs none: restart it")
    assert codes == {it.prompt_id: "LOST"}


async def test_jobs_behind_a_stranger_that_never_ends_go_elsewhere(fake: Fake, tmp_path: Path) -> None:
    """The stranger is not touched; with another server up ours are taken back from behind it."""
    fake.hold, fake.running = True, ["a-stranger"]
    async with Fake() as other, opened(fake, other, pace=replace(PACE, no_progress_s=0.2)) as executor:
        it = attempt_on(executor.servers[0])
        executor.start(it, tmp_path)
        down = await until(executor, ServerDown)
        codes = await ends(executor, 1)
        await reached(lambda: not fake.pending)

    assert down.final
    assert "a job of somebody else has been running there" in down.reason
    assert codes == {it.prompt_id: "LOST"}
    assert fake.running == ["a-stranger"]
    assert fake.count("POST /interrupt") == 0


async def test_with_no_other_server_a_stranger_is_waited_for(fake: Fake, tmp_path: Path) -> None:
    """Somebody else's long job is no fault of the only server."""
    fake.hold, fake.running = True, ["a-stranger"]
    async with opened(fake, pace=replace(PACE, no_progress_s=0.05)) as executor:
        it = attempt_on(executor.servers[0])
        executor.start(it, tmp_path)
        await until(executor, AttemptSubmitted)
        looks = fake.count("GET /queue")
        await reached(lambda: fake.count("GET /queue") > looks + 10)
        fake.finish(it.prompt_id)

        assert isinstance((await until_end(executor))[-1], AttemptSucceeded)


def test_only_unbroken_silence_of_the_same_job_counts() -> None:
    """Another job running, a frame, or a look that failed begin the wait anew."""
    a, b, idle = (
        Queue(running=frozenset(r), pending=frozenset(p)) for r, p in (("a", ""), ("b", ""), ("", "c"))
    )
    vigil, ours = Vigil(), {"a", "b", "c"}
    vigil.look(10, a, ours)
    vigil.look(40, a, ours)
    assert vigil.silent_s(50) == 40
    vigil.sign(50)
    assert vigil.silent_s(60) == 10
    vigil.look(60, b, ours)
    assert vigil.silent_s(70) == 10
    vigil.blind(80)
    vigil.look(81, b, ours)
    assert vigil.silent_s(90) == 10
    vigil.look(100, idle, ours)
    vigil.look(120, idle, ours)
    assert vigil.idle_s(130) == 30
    vigil.blind(130)
    vigil.look(131, idle, ours)
    assert vigil.idle_s(140) == 9
    vigil.look(141, a, ours)
    assert vigil.idle_s(150) == 0


def test_a_queue_of_strangers_is_no_business_of_ours() -> None:
    """Jobs of others that wait while nothing runs are no sign."""
    vigil = Vigil()
    for now in (10, 500):
        vigil.look(now, Queue(running=frozenset(), pending=frozenset({"stranger"})), {"a"})

    assert vigil.idle_s(900) == 0


# -- answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ((429, "text/plain", b""), 10.0),
        ((429, "text/plain", b"", "Retry-After: 33"), 33.0),
        ((503, "text/plain", b"", "Retry-After: 7"), 7.0),
        ((429, "text/plain", b"", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"), 10.0),
    ],
    ids=str,
)
async def test_a_server_that_wants_to_be_left_alone_says_for_how_long(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path, answer: object, seconds: float
) -> None:
    """`Retry-After` reaches the schedule; without one, or with a date, ten seconds do."""
    fake.plan("POST /prompt", answer)
    executor.start(attempt(), tmp_path)
    busy = await until(executor, ServerBusy)

    assert busy == ServerBusy(server=fake.url, seconds=seconds)


async def test_an_unreadable_history_is_passed_by_where_the_file_can_be_told(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """After eight looks the file that SaveImage must have written is asked for by its name, and suffices."""
    fake.plan("GET /history", *[NO] * 8)
    it = attempt()
    executor.start(it, tmp_path)
    event = (await until_end(executor))[-1]

    assert isinstance(event, AttemptSucceeded)
    assert [output.server_name for output in event.outputs] == [f"{it.prefix}_00001_.png"]
    assert (tmp_path / "s01/a.png").read_bytes() == fake.picture


async def test_several_files_found_by_name_keep_their_order(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A SaveImage of two pictures counts them: both are kept, with index 0 and 1, each under its own name."""
    fake.plan("GET /history", *[NO] * 8)
    fake.pictures = 2
    it = attempt()
    executor.start(it, tmp_path)
    event = (await until_end(executor))[-1]

    assert isinstance(event, AttemptSucceeded)
    assert [(output.index, output.server_name) for output in event.outputs] == [
        (0, f"{it.prefix}_00001_.png"),
        (1, f"{it.prefix}_00002_.png"),
    ]
    assert len({output.path for output in event.outputs}) == 2


async def test_a_file_that_may_not_be_looked_for_by_name_is_not_there(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A refusal is no file: the attempt stays unreadable, and may be tried again."""
    fake.plan("GET /history", *[NO] * 8)
    fake.plan("GET /view", (404, "text/plain", b""), (400, "text/plain", b""))
    executor.start(attempt(), tmp_path)
    fault = (await until_end(executor))[-1].fault

    assert (fault.code, fault.retry) == ("UNREADABLE", "again")
    assert fault.message.startswith("its history cannot be read: ")


@pytest.mark.parametrize(
    ("graph", "outputs"),
    [
        (GRAPH | {"2": GRAPH["2"] | {"class_type": "SaveAnimatedWEBP"}}, {"2": "image"}),
        (GRAPH | {"3": GRAPH["2"]}, {"2": "image", "3": "image"}),
    ],
    ids=["another node", "two nodes"],
)
async def test_only_the_files_of_one_save_image_are_known_by_name(
    executor: ComfyExecutor,
    fake: Fake,
    attempt: Make,
    tmp_path: Path,
    graph: dict[str, object],
    outputs: dict[str, str],
) -> None:
    """Other nodes name files as they like, and two that share a prefix share its counter: no guess."""
    fake.plan("GET /history", *[NO] * 8)
    executor.start(attempt(graph=graph, outputs=outputs), tmp_path)

    assert (await until_end(executor))[-1].fault.code == "UNREADABLE"
    assert fake.count("GET /view") == 0


@pytest.mark.parametrize(
    ("status", "code", "retry"), [(413, "TOO_LARGE", "never"), (400, "SERVER_REJECTS", "elsewhere")]
)
async def test_an_input_that_is_refused_fails_its_job_by_the_reason(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path, status: int, code: str, retry: str
) -> None:
    """A file too large for one server is tried on no other; one refused for another reason is."""
    (tmp_path / "in.png").write_bytes(b"x")
    fake.plan("POST /upload/image", (status, "text/plain", b"no"))
    executor.start(attempt(files={"ab.png": tmp_path / "in.png"}), tmp_path)
    fault = (await until_end(executor))[-1].fault

    assert (fault.code, fault.retry) == (code, retry)
    assert fault.message.startswith("an input file was not taken: ")
    assert fake.count("POST /prompt") == 0


async def test_a_file_told_by_name_is_asked_for_through_a_bad_line(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """That a look by name breaks off says nothing of the file: it is asked for again, not rendered again."""
    fake.plan("GET /history", *[NO] * 8)
    fake.plan("GET /view", "drop", (404, "text/plain", b""), "drop", "drop")
    executor.start(attempt(), tmp_path)

    assert isinstance((await until_end(executor))[-1], AttemptSucceeded)


async def test_a_server_that_answers_for_any_name_is_not_believed(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """File 0 cannot exist; whoever has it has everything, and the attempt stays unreadable."""
    fake.plan("GET /history", *[NO] * 8)
    fake.plan("GET /view", (200, "image/png", fake.picture))
    executor.start(attempt(), tmp_path)

    assert (await until_end(executor))[-1].fault.code == "UNREADABLE"


async def test_out_of_memory_says_how_much_there_is(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """The message ends with what the server has free and in all."""
    fake.extra = {"status": {"status_str": "error", "messages": [["execution_error", OOM]]}}
    executor.start(attempt(), tmp_path)
    fault = (await until_end(executor))[-1].fault

    assert fault.code == "OOM"
    assert fault.message.endswith("; VRAM there now: 0.5 of 8.0 GiB free")


@pytest.mark.parametrize("stranger", [False, True])
async def test_memory_is_freed_before_the_second_attempt_unless_others_wait(
    fake: Fake, tmp_path: Path, stranger: bool
) -> None:
    """`/free` empties everybody's caches, so nobody else may have a job there."""
    fake.running = ["a-stranger"] * stranger
    async with opened(fake, pace=replace(PACE, free_s=0.01)) as executor:
        executor.start(replace(attempt_on(executor.servers[0]), free=True), tmp_path)
        await until_end(executor)
    posts = [path for method, path in fake.seen if method == "POST"]

    assert posts == (["/prompt"] if stranger else ["/free", "/prompt"])


async def test_a_server_that_replaces_nodes_is_told_once(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """What ran is compared with what was sent; another class is a notice, for the first job only."""
    ran = {"1": {"class_type": "EmptyImageV2", "inputs": {}}, "2": {"class_type": "SaveImage", "inputs": {}}}
    fake.extra = {"prompt": [1, "", ran, {}, ["2"]]}
    notices = []
    for name in ("one", "two"):
        executor.start(attempt(name=name), tmp_path)
        notices += [each for each in await until_end(executor) if isinstance(each, ServerNotice)]

    assert [notice.message for notice in notices] == [
        f"{fake.url} does not run workflows as they are sent: node 1 EmptyImage became EmptyImageV2"
    ]


def test_an_unreadable_end_is_no_success() -> None:
    """A history without an end never counts as one, whatever files it lists."""
    entry = {"outputs": {"2": {"images": [{"filename": "p_00001_.png", "subfolder": "", "type": "output"}]}}}

    assert judge(entry, {"2": "image"}, "p").code == "UNREADABLE"
