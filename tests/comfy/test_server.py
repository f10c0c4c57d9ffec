"""The rules of looking: what counts as missing, as trouble, and as being told."""

from __future__ import annotations

import pytest

from runner.comfy.client import Client
from runner.comfy.protocol import Frame, Queue
from runner.comfy.server import Pace, Server, Watch
from runner.errors import Ambiguous, Unreachable

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


def test_trouble_restarts_the_settle_clock(server: Server, watch: Watch) -> None:
    """While a server does not answer, absence does not grow."""
    server._place(watch, NOWHERE)
    server.trouble(Ambiguous("no answer"))

    assert watch.missing_since == 0
    assert not server._lost(watch)


async def test_an_unreadable_history_proves_no_absence(server: Server, watch: Watch) -> None:
    """Only a look that could have found it counts."""
    server._place(watch, NOWHERE)
    await server._unread(watch, Ambiguous("500", status=500))

    assert watch.missing_since == 0
    assert watch.look


def test_a_frame_ends_an_absence(server: Server, watch: Watch) -> None:
    """What is heard of cannot be lost."""
    server._place(watch, NOWHERE)
    server._hear(Frame(type="execution_start", prompt_id="a"))

    assert watch.missing_since == 0
    assert watch.running_at > 0


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
