"""Protocol section 9: the socket, its frames, their order, and who gets them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image
from websockets.sync.client import connect

from .graphs import Graph, canvas, node, picture, preview, sleeper, through
from .server import PATIENCE_S, Listener, Server, files, is_over, of_type, poll, ran, types

ONE_RUN = ["execution_start", "execution_cached", "executing", "executing", "executed", "execution_success"]


def followed(server: Server, graph: Graph, **body: object) -> tuple[list[dict], dict]:
    """Run a job with a socket of its own; return its frames and its history entry."""
    with server.listen() as socket:
        prompt_id = server.submit(graph, client_id=socket.client_id, **body)
        frames = socket.job(prompt_id)
    return frames, server.entry(prompt_id)


def only_status(frames: list) -> bool:
    """Return whether nothing but status arrived."""
    return all(isinstance(frame, dict) and frame["type"] == "status" for frame in frames)


# ---------------------------------------------------------------- connecting


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


# ---------------------------------------------------------------- frames of a job


def test_s09_6_order_of_a_job(server: Server, prefix: str) -> None:
    """A job's frames: start, cached, one executing per node, executed, success, executing null."""
    frames, _ = followed(server, picture(prefix))

    assert types(frames) == [*ONE_RUN, "executing"]
    assert ran(frames) == ["1", "2"]
    assert frames[-1]["data"]["node"] is None


def test_s09_6_status_around_a_job(server: Server, prefix: str) -> None:
    """Two status frames precede the start; one stands between success and the end, with the lower count."""
    with server.listen() as socket:
        frames = socket.until_over(server.submit(picture(prefix), client_id=socket.client_id))
    kinds = types(frames)
    counts = [data["status"]["exec_info"]["queue_remaining"] for data in of_type(frames, "status")]

    assert kinds[:3] == ["status", "status", "execution_start"]
    assert kinds[-3:] == ["execution_success", "status", "executing"]
    assert counts == [1, 1, 0]
    assert all("sid" not in data for data in of_type(frames, "status"))


def test_s09_6_progress_state_surrounds_each_node(server: Server, prefix: str) -> None:
    """Each node is told running before its executing frame and finished after its executed frame."""
    frames, _ = followed(server, picture(prefix))
    kinds = [frame["type"] for frame in frames]
    states = [{i: n["state"] for i, n in data["nodes"].items()} for data in of_type(frames, "progress_state")]

    assert kinds[2:] == [
        *("progress_state", "executing", "progress_state"),
        *("progress_state", "executing", "executed", "progress_state"),
        *("execution_success", "executing"),
    ]
    assert states == [
        {"1": "running"},
        {"1": "finished"},
        {"1": "finished", "2": "running"},
        {"1": "finished", "2": "finished"},
    ]


def test_s09_2_progress_state_fields(server: Server, prefix: str) -> None:
    """A node in progress_state has value, max, state and all its ids."""
    frames, entry = followed(server, picture(prefix))
    prompt_id = entry["prompt"][1]

    assert of_type(frames, "progress_state")[-1] == {
        "prompt_id": prompt_id,
        "nodes": {
            node_id: {
                "value": 1,
                "max": 1,
                "state": "finished",
                "node_id": node_id,
                "prompt_id": prompt_id,
                "display_node_id": node_id,
                "parent_node_id": None,
                "real_node_id": node_id,
            }
            for node_id in ("1", "2")
        },
    }


def test_s09_2_payloads(server: Server, prefix: str) -> None:
    """Each frame of a job has exactly its documented fields."""
    frames, entry = followed(server, picture(prefix))
    fields = {frame["type"]: set(frame["data"]) for frame in frames[:-1]}

    assert fields == {
        "execution_start": {"prompt_id", "timestamp"},
        "execution_cached": {"prompt_id", "timestamp", "nodes"},
        "progress_state": {"prompt_id", "nodes"},
        "executing": {"prompt_id", "node", "display_node"},
        "executed": {"prompt_id", "node", "display_node", "output"},
        "execution_success": {"prompt_id", "timestamp"},
    }
    assert frames[-1]["data"] == {"node": None, "prompt_id": entry["prompt"][1]}
    assert of_type(frames, "executed")[0]["output"] == entry["outputs"]["2"]


def test_s09_2_messages_are_the_frames(server: Server, prefix: str) -> None:
    """The messages in history are the execution frames, times included."""
    frames, entry = followed(server, picture(prefix))
    told = [[f["type"], f["data"]] for f in frames if f["type"].startswith("execution_")]

    assert told == entry["status"]["messages"]


def test_s09_6_history_exists_at_the_end_frame(server: Server, prefix: str) -> None:
    """When executing null arrives the history entry is there, each time."""
    with server.listen() as socket:
        for _ in range(20):
            prompt_id = server.submit(picture(prefix), client_id=socket.client_id)
            socket.until_over(prompt_id)

            assert server.entry(prompt_id) is not None
            assert prompt_id not in server.running() + server.pending()


def test_s09_6_jobs_do_not_overlap(server: Server, prefix: str) -> None:
    """The next job starts only after the end frame of the one before."""
    with server.listen() as socket:
        ids = [server.submit(picture(prefix), client_id=socket.client_id) for _ in range(3)]
        frames = socket.until_over(ids[-1])
    order = [f["data"]["prompt_id"] for f in frames if "prompt_id" in f["data"]]

    assert list(dict.fromkeys(order)) == ids
    assert order == sorted(order, key=ids.index)


def test_s09_2_progress(server: Server, need: Callable[..., None]) -> None:
    """A node that reports progress sends value, max and its id, each beside a progress_state."""
    need("TSleep")
    frames, entry = followed(server, sleeper(0.3))

    assert of_type(frames, "progress") == [
        {"value": n, "max": 3, "prompt_id": entry["prompt"][1], "node": "2"} for n in (1, 2, 3)
    ]
    assert [
        data["nodes"]["2"]["value"] for data in of_type(frames, "progress_state") if "2" in data["nodes"]
    ][1:4] == [1, 2, 3]


def test_s09_2_failure(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A failing node sends execution_error, the same as in history, and then the end frame."""
    need("TRaise")
    frames, entry = followed(server, through("TRaise", prefix, kind="value"))

    assert types(frames)[-2:] == ["execution_error", "executing"]
    assert "execution_success" not in types(frames)
    assert ["execution_error", of_type(frames, "execution_error")[0]] == entry["status"]["messages"][-1]
    assert frames[-1]["data"]["node"] is None


def test_s09_2_failing_node_stays_running(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """The last progress_state of a failed job still tells the failing node as running."""
    need("TRaise")
    frames, _ = followed(server, through("TRaise", prefix, kind="value"))

    assert of_type(frames, "progress_state")[-1]["nodes"]["2"]["state"] == "running"


def test_s09_2_interrupt(server: Server, need: Callable[..., None]) -> None:
    """An interrupted job sends execution_interrupted with node and class, then the end frame."""
    need("TSleep")
    with server.listen() as socket:
        prompt_id = server.submit(sleeper(), client_id=socket.client_id)
        socket.until(lambda frame: frame["type"] == "progress")
        server.interrupt(prompt_id)
        frames = socket.job(prompt_id)
    interrupted = of_type(frames, "execution_interrupted")[0]

    assert types(frames)[-2:] == ["execution_interrupted", "executing"]
    assert (interrupted["node_id"], interrupted["node_type"]) == ("2", "TSleep")
    assert interrupted["executed"] == ["1"]


def test_s09_2_blocked_output_with_a_message(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A blocked output with a message sends an execution_error that is not the end: success follows."""
    need("TBlock")
    frames, entry = followed(server, through("TBlock", prefix, msg="not today"))
    error = of_type(frames, "execution_error")[0]

    assert error["exception_type"] == "ExecutionBlocked"
    assert "not today" in error["exception_message"]
    assert "timestamp" not in error
    assert types(frames)[-2:] == ["execution_success", "executing"]
    assert entry["status"]["status_str"] == "success"


def test_s09_2_blocked_output_without_a_message(
    server: Server, prefix: str, need: Callable[..., None]
) -> None:
    """A silently blocked output sends neither an error nor executed."""
    need("TBlock")
    frames, _ = followed(server, through("TBlock", prefix, msg=""))

    assert not {"execution_error", "executed"} & set(types(frames))
    assert types(frames)[-2:] == ["execution_success", "executing"]


def test_s09_2_expanded_nodes(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A node of an expanded sub-graph has an id of its own and displays as the node that made it."""
    need("TExpand")
    frames, entry = followed(server, through("TExpand", prefix))
    inner = [d for d in of_type(frames, "executing") if d["node"] not in (None, "1", "2", "3")]

    assert entry["status"]["status_str"] == "success"
    assert inner
    assert all(d["node"].startswith("2.") and d["display_node"] == "2" for d in inner)


def test_s09_2_expanded_nodes_compute(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """The result of an expanded sub-graph takes the place of the node's own, here the inverse."""
    need("TExpand")
    graph = through("TExpand", prefix)
    graph["1"] = canvas(color=0xFF0000)
    saved = server.view(files(server.render(graph), "3")[0])

    assert Image.open(BytesIO(saved.content)).getpixel((0, 0)) == (0, 255, 255)


def test_s09_2_async_nodes(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """An asynchronous node may be announced more than once; the job ends like any other."""
    need("TAsync")
    frames, entry = followed(server, through("TAsync", prefix, seconds=0.05))

    assert set(ran(frames)) == {"1", "2", "3"}
    assert types(frames)[-3:] == ["executed", "execution_success", "executing"]
    assert files(entry, "3")


def test_s09_3_text_frame(server: Server, need: Callable[..., None]) -> None:
    """A progress text is a binary frame of type 3: length, node id, text."""
    need("TText")
    text = f"hello {uuid.uuid4()}"
    with server.listen() as socket:
        prompt_id = server.submit({"17": node("TText", text=text)}, client_id=socket.client_id)
        frames = socket.until(lambda frame: is_over(frame, prompt_id))
    binary = [frame for frame in frames if isinstance(frame, bytes)]

    assert binary == [(3).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"17" + text.encode()]


def test_s09_3_image_frame(server: Server, need: Callable[..., None]) -> None:
    """SaveImageWebsocket sends a binary frame of type 1 and format 2 with a PNG, and reports no file."""
    need("SaveImageWebsocket")
    with server.listen() as socket:
        graph = {"1": canvas(), "2": node("SaveImageWebsocket", images=["1", 0])}
        prompt_id = server.submit(graph, client_id=socket.client_id)
        frames = socket.until(lambda frame: is_over(frame, prompt_id))
    binary = [frame for frame in frames if isinstance(frame, bytes)]

    assert len(binary) == 1
    assert binary[0].startswith(b"\x00\x00\x00\x01\x00\x00\x00\x02\x89PNG")
    assert server.entry(prompt_id)["outputs"] == {}


def test_s09_2_status_after_a_delete(server: Server, prefix: str, blocker: str) -> None:
    """A deleted pending job leaves only a status frame with the lower count."""
    with server.listen() as socket:
        prompt_id = server.submit(picture(prefix), client_id=socket.client_id)
        before = socket.until(lambda frame: frame["type"] == "status")[-1]
        server.delete(prompt_id)
        after = socket.until(lambda frame: frame["type"] == "status")[-1]
        rest = socket.arrived()

    assert after["data"]["status"]["exec_info"]["queue_remaining"] == (
        before["data"]["status"]["exec_info"]["queue_remaining"] - 1
    )
    assert not [f for f in rest if isinstance(f, dict) and f["data"].get("prompt_id") == prompt_id]


# ---------------------------------------------------------------- routing


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


# ---------------------------------------------------------------- registration


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
