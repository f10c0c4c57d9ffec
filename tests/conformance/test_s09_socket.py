"""Protocol sections 9.1, 9.4 and 9.5: connecting, routing, registration."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import pytest
from websockets.sync.client import connect

from .graphs import picture, preview, sleeper
from .server import PATIENCE_S, Listener, Server, of_type, poll, types

ONE_RUN = ["execution_start", "execution_cached", "executing", "executing", "executed", "execution_success"]


def only_status(frames: list) -> bool:
    """Return whether nothing but status arrived."""
    return all(isinstance(frame, dict) and frame["type"] == "status" for frame in frames)


def test_s09_1_plain_get(server: Server) -> None:
    """GET /ws without a handshake gives 400."""
    assert server.http.get("/ws").status_code == 400


@pytest.mark.parametrize("path", ["/ws", "/api/ws"])
def test_s09_1_first_frame(server: Server, path: str) -> None:
    """The first frame is status with the queue's length and the client id as sid."""
    client_id = uuid.uuid4().hex
    with server.listen(client_id, path=path, greet=False) as socket:
        first = socket.next()

    assert first["type"] == "status"
    assert set(first["data"]) == {"status", "sid"}
    assert first["data"]["sid"] == client_id
    assert type(first["data"]["status"]["exec_info"]["queue_remaining"]) is int


def test_s09_1_server_invents_an_id(server: Server, prefix: str) -> None:
    """Without clientId the first frame tells an invented one, under which frames arrive."""
    with connect(server.url.replace("http", "ws", 1) + "/ws", proxy=None) as connection:
        socket = Listener(connection, "")
        sid = socket.next()["data"]["sid"]
        frames = socket.job(server.submit(picture(prefix), client_id=sid))

    assert sid
    assert types(frames)[:6] == ONE_RUN


def test_s09_1_feature_flags(server: Server) -> None:
    """feature_flags as the first message is answered with the server's own features."""
    with server.listen() as socket:
        socket.send('{"type": "feature_flags", "data": {"supports_preview_metadata": true}}')
        answer = socket.next()

    assert answer == {"type": "feature_flags", "data": server.http.get("/features").json()}


def test_s09_1_later_feature_flags_are_ignored(server: Server) -> None:
    """Only the first message counts."""
    with server.listen() as socket:
        socket.send('{"type": "hello"}')
        socket.send('{"type": "feature_flags", "data": {}}')

        assert of_type(socket.arrived(), "feature_flags") == []


@pytest.mark.parametrize("rubbish", ["{not json", "[1, 2]", b"\x00\x01", '"text"'])
def test_s09_1_rubbish_is_ignored(server: Server, prefix: str, rubbish: str | bytes) -> None:
    """Messages that mean nothing leave the socket open and working."""
    with server.listen() as socket:
        socket.send(rubbish)
        frames = socket.job(server.submit(picture(prefix), client_id=socket.client_id))

    assert types(frames)[:6] == ONE_RUN


def test_s09_4_frames_go_to_the_submitter(server: Server, prefix: str) -> None:
    """A job's frames go to the socket of its client id; another socket gets only status."""
    with server.listen() as mine, server.listen() as other:
        prompt_id = server.submit(picture(prefix), client_id=mine.client_id)
        mine.until_over(prompt_id)
        seen = other.arrived()

    assert seen
    assert only_status(seen)


def test_s09_4_unregistered_submitter(server: Server, prefix: str) -> None:
    """Frames for a client id that nobody holds are dropped."""
    with server.listen() as socket:
        server.render(picture(prefix), client_id="nobody-" + uuid.uuid4().hex)

        assert only_status(socket.arrived())


def test_s09_4_without_a_client_id(server: Server, prefix: str) -> None:
    """Without a client id progress_state is broadcast, executing, executed and execution_* are not sent."""
    with server.listen() as one, server.listen() as two:
        prompt_id = server.submit(picture(prefix))
        server.finish(prompt_id)
        last = server.submit(preview(), client_id=one.client_id)
        first, second = one.until_over(last), two.arrived()

    for frames in (first, second):
        told = {f["type"] for f in frames if f["data"].get("prompt_id") == prompt_id}
        assert told == {"progress_state"}


def test_s09_4_interrupt_without_a_client_id_is_broadcast(server: Server, blocker: str) -> None:
    """execution_interrupted of a job without a client id goes to everyone, the end frame does not."""
    with server.listen() as socket:
        server.interrupt(blocker)
        frames = socket.until(lambda frame: frame["type"] == "execution_interrupted")
        server.finish(blocker)
        rest = socket.arrived()

    assert frames[-1]["data"]["prompt_id"] == blocker
    assert "executing" not in types([frame for frame in rest if isinstance(frame, dict)])


def test_s09_5_connect_after_submitting(server: Server, prefix: str, blocker: str) -> None:
    """A socket that connects before its job starts gets all of the job's frames."""
    client_id = uuid.uuid4().hex
    prompt_id = server.submit(picture(prefix), client_id=client_id)
    with server.listen(client_id) as socket:
        server.interrupt(blocker)
        frames = socket.job(prompt_id)

    assert types(frames) == [*ONE_RUN, "executing"]


def test_s09_5_connect_after_the_end(server: Server, prefix: str) -> None:
    """A socket that connects when its job is over gets nothing of it."""
    client_id = uuid.uuid4().hex
    server.render(picture(prefix), client_id=client_id)
    with server.listen(client_id) as socket:
        assert only_status(socket.arrived())


def test_s09_5_reconnect_mid_job(server: Server, need: Callable[..., None]) -> None:
    """Who reconnects in the middle of a job is told the running node (no prompt id) and what follows."""
    need("TSleep")
    client_id = uuid.uuid4().hex
    with server.listen(client_id) as first:
        prompt_id = server.submit(sleeper(), client_id=client_id)
        first.until(lambda frame: frame["type"] == "executing" and frame["data"]["node"] == "2")
    with server.listen(client_id) as second:
        told = second.until(lambda frame: frame["type"] == "executing")[-1]
        server.interrupt(prompt_id)
        frames = second.job(prompt_id)

    assert told["data"] == {"node": "2"}
    assert types(frames)[-2:] == ["execution_interrupted", "executing"]


def test_s09_5_second_socket_takes_over(server: Server, prefix: str) -> None:
    """A second socket with the same id gets everything, the first one not even status."""
    with server.listen() as first, server.listen(first.client_id) as second:
        prompt_id = server.submit(picture(prefix), client_id=first.client_id)
        frames = second.job(prompt_id)

        assert types(frames) == [*ONE_RUN, "executing"]
        assert first.arrived() == []


def test_s09_5_the_deaf_socket(server: Server, prefix: str) -> None:
    """When the first of two sockets with one id closes, the second is deaf though it stays open."""
    client_id = uuid.uuid4().hex
    with (
        server.listen() as witness,
        server.listen(client_id) as first,
        server.listen(client_id) as second,
    ):
        first.connection.close()
        poll(lambda: deaf(server, witness, second, prefix), what="the second socket to go deaf")
        server.render(picture(prefix), client_id=client_id)

        assert deaf(server, witness, second, prefix)
        second.send("{}")


def deaf(server: Server, witness: Listener, socket: Listener, prefix: str) -> bool:
    """Run one job and return whether the socket saw nothing of it, not even status."""
    prompt_id = server.submit(picture(prefix), client_id=witness.client_id)
    witness.until_over(prompt_id)
    return socket.arrived() == []


def test_s09_5_a_new_id_hears_again(server: Server, prefix: str) -> None:
    """After a close and a reconnect under a new id all frames arrive."""
    with server.listen() as socket:
        server.render(picture(prefix), client_id=socket.client_id)
    with server.listen() as socket:
        frames = socket.job(server.submit(picture(prefix), client_id=socket.client_id))

    assert types(frames) == [*ONE_RUN, "executing"]


def test_s09_6_different_sockets_see_one_order(server: Server, prefix: str) -> None:
    """Two sockets get the status frames in the same order."""
    with server.listen() as one, server.listen() as two:
        last = [server.submit(picture(prefix), client_id=one.client_id) for _ in range(3)][-1]
        mine = of_type(one.until_over(last), "status")
        deadline = time.monotonic() + PATIENCE_S
        theirs = of_type(two.arrived(), "status")
        while len(theirs) < len(mine) and time.monotonic() < deadline:
            theirs += of_type(two.arrived(), "status")

    assert theirs == mine
