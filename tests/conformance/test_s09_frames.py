"""Protocol sections 9.2, 9.3 and 9.6: the frames of a job and their order."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from io import BytesIO

from PIL import Image

from .graphs import canvas, node, picture, sleeper, through
from .server import Server, files, is_over, of_type, ran, types

ONE_RUN = ["execution_start", "execution_cached", "executing", "executing", "executed", "execution_success"]


def test_s09_6_order_of_a_job(server: Server, prefix: str) -> None:
    """A job's frames: start, cached, one executing per node, executed, success, executing null."""
    frames, _ = server.follow(picture(prefix))

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
    frames, _ = server.follow(picture(prefix))
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
    frames, entry = server.follow(picture(prefix))
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
    frames, entry = server.follow(picture(prefix))
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
    frames, entry = server.follow(picture(prefix))
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
    frames, entry = server.follow(sleeper(0.3))

    assert of_type(frames, "progress") == [
        {"value": n, "max": 3, "prompt_id": entry["prompt"][1], "node": "2"} for n in (1, 2, 3)
    ]
    assert [
        data["nodes"]["2"]["value"] for data in of_type(frames, "progress_state") if "2" in data["nodes"]
    ][1:4] == [1, 2, 3]


def test_s09_2_failure(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A failing node sends execution_error, the same as in history, and then the end frame."""
    need("TRaise")
    frames, entry = server.follow(through("TRaise", prefix, kind="value"))

    assert types(frames)[-2:] == ["execution_error", "executing"]
    assert "execution_success" not in types(frames)
    assert ["execution_error", of_type(frames, "execution_error")[0]] == entry["status"]["messages"][-1]
    assert frames[-1]["data"]["node"] is None


def test_s09_2_failing_node_stays_running(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """The last progress_state of a failed job still tells the failing node as running."""
    need("TRaise")
    frames, _ = server.follow(through("TRaise", prefix, kind="value"))

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
    frames, entry = server.follow(through("TBlock", prefix, msg="not today"))
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
    frames, _ = server.follow(through("TBlock", prefix, msg=""))

    assert not {"execution_error", "executed"} & set(types(frames))
    assert types(frames)[-2:] == ["execution_success", "executing"]


def test_s09_2_expanded_nodes(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A node of an expanded sub-graph has an id of its own and displays as the node that made it."""
    need("TExpand")
    frames, entry = server.follow(through("TExpand", prefix))
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
    frames, entry = server.follow(through("TAsync", prefix, seconds=0.05))

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
