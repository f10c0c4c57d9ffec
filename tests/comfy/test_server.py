"""The rules of looking: what counts as missing, as trouble, and as being told."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import AsyncMock, Mock

import pytest

from runner import door
from runner.comfy.client import Client
from runner.comfy.course import Course
from runner.comfy.protocol import FileRef, Frame, Queue
from runner.comfy.server import Pace, Server, Watch
from runner.errors import Ambiguous, Refused, ServerFault, Unreachable
from runner.events import AttemptFailed, AttemptProgress, AttemptRunning, AttemptSubmitted

from .conftest import make

NOWHERE = Queue(running=frozenset(), pending=frozenset())
RUNNING = Queue(running=frozenset({"a"}), pending=frozenset())


@pytest.fixture
def states() -> list[tuple[str, bool]]:
    """What the server told of itself."""
    return []


@pytest.fixture
def server(states: list[tuple[str, bool]]) -> Server:
    """A server that nobody polls; looks are handed to it."""
    client = Client("http://127.0.0.1:1")
    return Server(client, pace=Pace(), on_state=lambda reason, final: states.append((reason, final)))


@pytest.fixture
def watch(server: Server) -> Watch:
    """A prompt that was sent."""
    it = server.watch("a", lambda _: None)
    server.sent(it)
    return it


def test_an_absence_begins_with_the_first_look(server: Server, watch: Watch) -> None:
    """Further looks that find nothing do not move the beginning; one that finds it ends the absence."""
    server._place(watch, NOWHERE)
    since = watch.missing_since
    server._place(watch, NOWHERE)

    assert since > 0
    assert watch.missing_since == since
    server._place(watch, RUNNING)
    assert watch.missing_since == 0


class Clock(door.World):
    """A monotonic clock that stands still until it is told to move."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0

    def monotonic(self) -> float:
        return self.time


@pytest.mark.parametrize(
    "fault", [Ambiguous("cut short"), Ambiguous("500", status=500), Unreachable("refused")]
)
async def test_one_broken_answer_does_not_restart_the_settle_clock(
    server: Server, watch: Watch, fault: ServerFault
) -> None:
    """On a bad line an absence lasts on through requests that fail, but only a look that works ends it."""
    server._place(watch, NOWHERE)
    since = watch.missing_since
    if fault.status:
        await server._unread(watch, fault)
    else:
        server.trouble(fault)

    assert watch.missing_since == since


@pytest.mark.parametrize(("silent_s", "restarted"), [(1.0, False), (3.9, False), (4.1, True), (50.0, True)])
def test_a_silence_restarts_the_settle_clock(silent_s: float, restarted: bool) -> None:
    """A server that has said nothing for half the settle time may have kept a submission waiting as long."""
    with door.entered(Clock()) as clock:
        assert isinstance(clock, Clock)
        server = Server(Client("http://127.0.0.1:1"), pace=Pace(), on_state=lambda *_: None)
        watch = server.watch("a", lambda _: None)
        server.sent(watch)
        server._answered()
        server._place(watch, NOWHERE)
        clock.time += silent_s
        server.trouble(Ambiguous("no answer"))
        server._answered()

        assert (watch.missing_since == 0) == restarted
        assert not server._lost(watch)


def test_a_frame_ends_an_absence(server: Server, watch: Watch) -> None:
    """What is heard of cannot be lost."""
    server._place(watch, NOWHERE)
    server._hear(Frame(type="execution_start", prompt_id="a"))

    assert watch.missing_since == 0
    assert watch.running_at > 0


async def test_a_queue_that_was_asked_for_before_a_frame_proves_no_absence(
    server: Server, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled prompt that arrives late, and is heard of under a look, is not taken for gone."""

    async def queue() -> Queue:
        server._hear(Frame(type="execution_start", prompt_id="a"))
        return NOWHERE

    server._place(watch, NOWHERE)
    watch.cancelled = watch.accepted = True
    monkeypatch.setattr(server.client, "queue", queue)
    await server._poll()

    assert watch.missing_since == 0
    assert not server._lost(watch)


def test_one_unclear_answer_is_not_an_outage(server: Server, states: list[tuple[str, bool]]) -> None:
    """Three in a row are; a refused connection is at once; either is told once."""
    for _ in range(2):
        server.trouble(Ambiguous("502"))

    assert states == []
    for _ in range(3):
        server.trouble(Ambiguous("502"))
    assert states == [("502", False)]
    server._answered()
    server.trouble(Unreachable("refused"))
    server.trouble(Unreachable("refused"))
    assert states == [("502", False), ("", False), ("refused", False)]


def test_an_answer_between_makes_trouble_harmless(server: Server, states: list[tuple[str, bool]]) -> None:
    """Failures are counted in a row."""
    for _ in range(5):
        server.trouble(Ambiguous("502"))
        server._answered()
        server.trouble(Ambiguous("502"))
        server._answered()

    assert states == []


def test_polls_are_slow_only_where_frames_will_come(server: Server, watch: Watch) -> None:
    """A job submitted on this connection, with frames heard since, needs no haste; any other does."""
    listener = server.listener
    assert listener is not None
    watch.client_id, listener.connected = listener.client_id, True
    listener.heard_at = watch.sent_at + 0.001

    assert server._will_be_told(watch)
    listener.heard_at = watch.sent_at - 60
    assert not server._will_be_told(watch)
    listener.heard_at, watch.client_id = watch.sent_at, "of an earlier connection"
    assert not server._will_be_told(watch)
    listener.connected = False
    assert not server._will_be_told(watch)


@pytest.mark.parametrize(("heard", "silent"), [(True, False), (False, False), (True, True)])
async def test_a_job_of_which_no_frames_can_come_is_given_longer(
    server: Server, watch: Watch, monkeypatch: pytest.MonkeyPatch, heard: bool, silent: bool
) -> None:
    """Where only its end could be seen, a long job is not interrupted after one time without progress."""
    assert server.listener is not None
    watch.client_id, watch.silent = server.listener.client_id, silent
    server.listener.connected, server.listener.heard_at = heard, watch.sent_at
    interrupted: list[str] = []

    async def cancel(prompt_id: str, *, running: bool) -> None:
        interrupted.append(prompt_id)

    monkeypatch.setattr(server.client, "cancel", cancel)
    await server._wait_for(watch, 1.5 * server.pace.no_progress_s)

    assert interrupted == (["a"] if heard else [])
    await server._wait_for(watch, 4.0 * server.pace.no_progress_s)
    assert interrupted[:1] == ["a"]


async def test_only_looks_begun_after_the_answer_count(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue asked before a submission was answered says nothing about it; the next one does."""
    early, late = server.watch("early", lambda _: None), server.watch("late", lambda _: None)
    server.sent(early)

    async def queue() -> Queue:
        if not late.sent_at:
            server.sent(late)
        return NOWHERE

    monkeypatch.setattr(server.client, "queue", queue)
    await server._poll()

    assert (early.missing_since > 0, late.missing_since > 0) == (True, False)
    await server._poll()
    assert late.missing_since > 0


async def test_frames_of_success_only_say_when_to_look(
    server: Server, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a finished prompt made is told by the history, whatever the frames said or left out."""
    entry = {"status": {"status_str": "success", "messages": []}, "outputs": {"out": {"images": []}}}

    async def history(prompt_id: str) -> dict[str, object]:
        return entry

    monkeypatch.setattr(server.client, "history", history)
    server._hear(Frame(type="execution_success", prompt_id="a"))
    server._hear(Frame(type="executing", prompt_id="a", data={"node": None}))

    assert watch.tracker.hint == "success"
    assert await server.entry(watch) is entry


@pytest.mark.parametrize(("ended", "code"), [(False, "SERVER_DIED"), (True, "LOST")])
def test_a_job_that_had_ended_did_not_take_its_server_with_it(
    server: Server, tmp_path: Path, ended: bool, code: str
) -> None:
    """Where frames told the end of a job before its server failed, the job is lost and not to blame."""
    it = make(server.url)
    course = Course(it, tmp_path, server, Mock())
    server.sent(course._watch)
    server._hear(Frame(type="execution_start", prompt_id=it.prompt_id))
    if ended:
        server._hear(Frame(type="executing", prompt_id=it.prompt_id, data={"node": None}))
    silence = Unreachable("refused")
    server.trouble(silence)

    assert course._abandoned(silence).code == code


def test_each_stage_of_an_attempt_is_reported_once(server: Server, tmp_path: Path) -> None:
    """However often frames and looks show that it runs, it is reported as submitted once, as running once."""
    it, means = make(server.url), Mock()
    course = Course(it, tmp_path, server, means)
    server.sent(course._watch)
    for _ in range(3):
        server._hear(Frame(type="execution_start", prompt_id=it.prompt_id))
        server._hear(Frame(type="executing", prompt_id=it.prompt_id, data={"node": "1"}))
        server._hear(Frame(type="executing", prompt_id=it.prompt_id, data={"node": "2"}))
        server._place(course._watch, Queue(running=frozenset({it.prompt_id}), pending=frozenset()))
    reported = [type(call.args[0]) for call in means.emit.call_args_list]

    assert [kind for kind in reported if kind is not AttemptProgress] == [AttemptSubmitted, AttemptRunning]


@pytest.mark.parametrize("fault", [Ambiguous, Refused, Unreachable])
async def test_whatever_ends_the_fetching_by_name_ends_the_attempt(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[ServerFault]
) -> None:
    """Its files are found by name and cannot be fetched: one failed attempt that says why."""

    async def view(ref: FileRef, *_: object, **__: object) -> int:
        if ref.filename != "p_00001_.png":
            raise Refused("no such file", status=404)
        return 1

    monkeypatch.setattr(server.client, "view", view)
    means = Mock(collect=AsyncMock(side_effect=fault("not let in", status=403)))
    course = Course(make(server.url), tmp_path, server, means)
    ended = await course._unreadable(Ambiguous("broke off", status=500))

    assert isinstance(ended, AttemptFailed)
    assert (ended.fault.code, ended.fault.retry) == ("UNREADABLE", "again")
    assert ended.fault.message == "its history cannot be read: not let in"


class Orders:
    """Keeps what a client is told to delete and to interrupt."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[tuple[str, str]] = []
        monkeypatch.setattr(server.client, "delete", self._delete)
        monkeypatch.setattr(server.client, "cancel", self._cancel)

    async def _delete(self, prompt_ids: list[str]) -> None:
        self.given += [("delete", each) for each in prompt_ids]

    async def _cancel(self, prompt_id: str, *, running: bool) -> None:
        self.given.append(("interrupt" if running else "delete", prompt_id))


@pytest.mark.parametrize(
    ("queue", "orders"),
    [
        (Queue(running=frozenset(), pending=frozenset({"a"})), [("delete", "a")]),
        (RUNNING, [("interrupt", "a")]),
        (NOWHERE, []),
    ],
    ids=["waits", "runs", "nowhere"],
)
async def test_a_job_that_was_given_up_is_taken_back_wherever_it_turns_up(
    server: Server, watch: Watch, monkeypatch: pytest.MonkeyPatch, queue: Queue, orders: list[tuple[str, str]]
) -> None:
    """It is made elsewhere by now; it is looked for as long as it may turn up, and then forgotten."""
    given = Orders(server, monkeypatch).given
    server._give_away(watch)
    server.forget(watch)
    await server._take_back(queue)

    assert given == orders
    assert not server.strangers(queue)
    server._orphans.add("a", server.clock() - server.pace.orphan_s - 1)
    await server._take_back(NOWHERE)
    await server._take_back(RUNNING)
    assert given == orders


async def test_what_was_cancelled_is_not_interrupted_for_want_of_progress(
    server: Server, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cancelled a running job interrupts it; that it shows nothing more is no second reason."""
    given = Orders(server, monkeypatch).given
    server._vigil.look(server.clock(), RUNNING, {"a"})
    server._vigil.sign(-1e6)
    watch.cancelled = True
    await server._look_for_progress(RUNNING)
    assert given == []

    watch.cancelled = False
    await server._look_for_progress(RUNNING)
    assert given == [("interrupt", "a")]


async def test_a_job_without_progress_is_named_with_its_last_step(
    server: Server, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason says how long nothing came, and at which node and step it was seen last."""
    Orders(server, monkeypatch)
    server._hear(Frame(type="execution_start", prompt_id="a"))
    server._hear(Frame(type="executing", prompt_id="a", data={"node": "5"}))
    server._hear(Frame(type="progress", prompt_id="a", data={"node": "5", "value": 7, "max": 20}))
    await server._wait_for(watch, 1e5)

    assert watch.stuck == "no progress for 100000 s, last seen at node 5 7/20"


async def test_only_jobs_that_a_server_had_are_counted_as_lost(
    server: Server, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it still has, and what never came to it, was not lost by its restart."""
    told: list[str] = []
    server._tell = told.append
    lost, kept, unsent = (server.watch(name, lambda _: None) for name in ("lost", "kept", "unsent"))
    for each in (lost, kept):
        server.sent(each)
        each.accepted = True
    server._answered()
    lost.missing_since = unsent.missing_since = 1e-9
    lost.look = True
    lost.stir()
    server._shakes += 1

    async def history(prompt_id: str) -> None:
        return None

    monkeypatch.setattr(server.client, "history", history)
    monkeypatch.setattr(server, "_lost", lambda watch: True)

    assert await server.entry(lost) is None
    assert told == [f"{server.url} has restarted and lost 1 job of this run"]


async def test_an_entry_that_cannot_be_read_is_no_outage(
    server: Server, watch: Watch, states: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers, with an error for one job, is up; answers that break off are trouble."""
    server.pace = Pace(look_again_s=0.0)
    watch.missing_since = 1.0
    for _ in range(5):
        await server._unread(watch, Ambiguous("500", status=500))
    assert states == []

    for _ in range(3):
        await server._unread(watch, Ambiguous("broke off"))
    assert [final for _, final in states] == [False]
