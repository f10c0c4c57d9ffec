"""Protocol section 6: history, and what a finished job looks like there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from .graphs import canvas, node, picture, through
from .server import Entry, Server, files, message, outputs, sent_extra


def kinds(entry: Entry) -> list[str]:
    """Return the types of the messages in a history entry."""
    return [kind for kind, _ in entry["status"]["messages"]]


def test_s06_unknown_id(server: Server) -> None:
    """An unknown id gives 200 and an empty object."""
    answer = server.http.get(f"/history/{uuid.uuid4()}")

    assert (answer.status_code, answer.json()) == (200, {})


def test_s06_pending_and_running_ids_are_not_in_history(server: Server, prefix: str, blocker: str) -> None:
    """A pending and a running id give an empty object too, and are absent from the whole history."""
    pending = server.submit(picture(prefix))
    whole = server.http.get("/history").json()

    assert server.http.get(f"/history/{pending}").json() == {}
    assert server.http.get(f"/history/{blocker}").json() == {}
    assert not {pending, blocker} & set(whole)


def test_s06_entry_of_a_success(server: Server, prefix: str) -> None:
    """A success holds the queue tuple, the files, the status and the meta of each output node."""
    graph = picture(prefix)
    answer = server.post_prompt(graph, extra_data={"extra_pnginfo": {"a": 1}}, client_id="c").json()
    entry = server.finish(answer["prompt_id"])
    folder = prefix.rsplit("/", 1)[0]

    assert set(entry) == {"prompt", "outputs", "status", "meta"}
    assert entry["prompt"][:3] == [answer["number"], answer["prompt_id"], graph]
    assert sent_extra(entry["prompt"]) == {"extra_pnginfo": {"a": 1}, "client_id": "c"}
    assert entry["prompt"][4:] == [["2"]]
    assert outputs(entry) == {
        "2": {"images": [{"filename": "pic_00001_.png", "subfolder": folder, "type": "output"}]}
    }
    assert entry["meta"] == {
        "2": {"node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2"}
    }


def test_s06_status_of_a_success(server: Server, prefix: str) -> None:
    """status says success and completed, and lists start, cached and success with ascending times in ms."""
    entry = server.render(picture(prefix))
    times = [payload["timestamp"] for _, payload in entry["status"]["messages"]]

    assert set(entry["status"]) == {"status_str", "completed", "messages"}
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    assert kinds(entry) == ["execution_start", "execution_cached", "execution_success"]
    assert times == sorted(times)
    assert all(type(t) is int and t > 1_600_000_000_000 for t in times)
    assert {payload["prompt_id"] for _, payload in entry["status"]["messages"]} == {entry["prompt"][1]}


def test_s06_whole_history_is_oldest_first(server: Server, prefix: str) -> None:
    """GET /history lists the entries in the order in which they finished, the newest last."""
    ids = [server.submit(picture(prefix)) for _ in range(3)]
    server.finish(ids[-1])

    assert list(server.http.get("/history").json())[-3:] == ids


def test_s06_max_items_gives_the_newest(server: Server, prefix: str) -> None:
    """max_items=2 gives the two newest entries, the older of them first."""
    ids = [server.submit(picture(prefix)) for _ in range(3)]
    server.finish(ids[-1])

    assert list(server.http.get("/history", params={"max_items": 2}).json()) == ids[-2:]


def test_s06_offset_skips_the_oldest(server: Server, prefix: str) -> None:
    """offset=K skips the K oldest; together with max_items it is a page from there."""
    ids = [server.submit(picture(prefix)) for _ in range(3)]
    server.finish(ids[-1])
    everything = list(server.http.get("/history").json())
    start = len(everything) - 3

    assert list(server.http.get("/history", params={"offset": start}).json()) == ids
    page = server.http.get("/history", params={"offset": start, "max_items": 2}).json()
    assert list(page) == ids[:2]


def test_s06_negative_offset_counts_as_none(server: Server, prefix: str) -> None:
    """A negative offset is as if it were not given."""
    prompt_id = server.submit(picture(prefix))
    server.finish(prompt_id)
    page = server.http.get("/history", params={"offset": -1, "max_items": 1}).json()

    assert list(page) == [prompt_id]


@pytest.mark.parametrize("query", [{"max_items": 0}, {"max_items": -1}, {"offset": 1_000_000}])
def test_s06_empty_pages(server: Server, prefix: str, query: dict[str, int]) -> None:
    """max_items of zero or less and an offset past the end give an empty object."""
    server.render(picture(prefix))
    answer = server.http.get("/history", params=query)

    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("query", [{"max_items": "many"}, {"offset": "1.5"}])
def test_s06_bad_integers_are_a_500(server: Server, query: dict[str, str]) -> None:
    """A query value that is no integer gives 500."""
    assert server.http.get("/history", params=query).status_code == 500


def test_s06_delete_entries(server: Server, prefix: str) -> None:
    """POST /history delete drops the named entries, ignores unknown ids and leaves the file alone."""
    gone, kept = server.submit(picture(prefix)), server.submit(picture(prefix))
    server.finish(kept)
    ref = files(server.finish(gone))[0]
    answer = server.http.post("/history", json={"delete": [gone, str(uuid.uuid4())]})

    assert (answer.status_code, answer.content) == (200, b"")
    assert server.entry(gone) is None
    assert server.entry(kept) is not None
    assert server.view(ref).status_code == 200


def test_s06_clear(server: Server, prefix: str) -> None:
    """POST /history clear empties the history."""
    server.render(picture(prefix))
    answer = server.http.post("/history", json={"clear": True})

    assert (answer.status_code, answer.content) == (200, b"")
    assert server.http.get("/history").json() == {}


def test_s06_credentials_are_removed(server: Server, prefix: str) -> None:
    """Credentials in extra_data are not kept in history; everything else is."""
    extra = {"api_key_comfy_org": "secret-a", "auth_token_comfy_org": "secret-b", "mine": 1}
    entry = server.render(picture(prefix), extra_data=extra)

    assert sent_extra(entry["prompt"]) == {"mine": 1}
    assert "secret" not in json.dumps(entry)


def test_s06_a_node_that_raises(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A failed job has status error and an execution_error that names node, type, text and traceback."""
    need("TRaise")
    entry = server.render(through("TRaise", prefix, kind="value"))
    error = message(entry, "execution_error")

    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False
    assert kinds(entry) == ["execution_start", "execution_cached", "execution_error"]
    assert (error["node_id"], error["node_type"]) == ("2", "TRaise")
    assert error["exception_type"] == "ValueError"
    assert error["exception_message"] == "deliberate failure\n"
    assert error["executed"] == ["1"]
    assert error["current_inputs"]["kind"] == ["value"]
    assert isinstance(error["traceback"], list)
    assert isinstance(error["traceback"][0], str)
    assert error["prompt_id"] == entry["prompt"][1]
    assert type(error["timestamp"]) is int


@pytest.mark.usefixtures("keeps_results")
def test_s06_a_failure_lists_all_nodes(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """current_outputs of a failure names every node of the prompt, run or not."""
    need("TRaise")
    error = message(server.render(through("TRaise", prefix, kind="value")), "execution_error")

    assert set(error["current_outputs"]) == {"1", "2", "3"}


def test_s06_a_failed_job_may_have_outputs(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """What was saved before the failure is reported, though the job failed."""
    need("TRaise")
    # An output node runs as soon as its needs are met, so the save is done before the longer branch fails.
    graph = picture(prefix) | {
        "3": node("ImageInvert", image=["1", 0]),
        "4": node("ImageInvert", image=["3", 0]),
        "5": node("TRaise", image=["4", 0], kind="value"),
        "6": node("PreviewImage", images=["5", 0]),
    }
    entry = server.render(graph)

    assert entry["status"]["status_str"] == "error"
    assert files(entry, "2")[0]["filename"] == "pic_00001_.png"
    assert server.view(files(entry, "2")[0]).status_code == 200


def test_s06_out_of_memory(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """Out of memory is an execution_error of its own type, and the server carries on."""
    need("TRaise")
    error = message(server.render(through("TRaise", prefix, kind="oom")), "execution_error")

    assert error["exception_type"].rsplit(".", 1)[-1] == "OutOfMemoryError"
    assert error["exception_message"].startswith("Allocation on device")
    assert server.render(picture(prefix))["status"]["status_str"] == "success"


def test_s06_an_interrupt_looks_like_an_error(server: Server, blocker: str) -> None:
    """An interrupted job has status error; only the message tells it from a failure."""
    server.interrupt(blocker)
    entry = server.finish(blocker)
    interrupted = message(entry, "execution_interrupted")

    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False
    assert kinds(entry) == ["execution_start", "execution_cached", "execution_interrupted"]
    assert set(interrupted) == {"prompt_id", "node_id", "node_type", "executed", "timestamp"}
    assert (interrupted["node_id"], interrupted["node_type"]) == ("2", "TSleep")
    assert entry["outputs"] == {}


@pytest.mark.parametrize("text", ["", "not today"])
def test_s06_a_blocked_branch_is_a_success_without_outputs(
    server: Server, prefix: str, need: Callable[..., None], text: str
) -> None:
    """A branch that a node blocked leaves no output; the job succeeds and history does not mention it."""
    need("TBlock")
    entry = server.render(through("TBlock", prefix, msg=text))

    assert entry["status"]["status_str"] == "success"
    assert kinds(entry) == ["execution_start", "execution_cached", "execution_success"]
    assert entry["outputs"] == {}


def test_s06_outputs_are_passed_through(server: Server, need: Callable[..., None]) -> None:
    """A node's own output keys reach history as they are."""
    need("TText")
    entry = server.render({"1": node("TText", text=f"hello {uuid.uuid4()}")})

    assert entry["outputs"]["1"] == {"text": [entry["prompt"][2]["1"]["inputs"]["text"]]}


def test_s06_nan_is_written_as_a_bare_word(server: Server, need: Callable[..., None]) -> None:
    """A NaN in an output is the non-standard literal NaN in the answer."""
    need("TBadUI")
    prompt_id = server.submit({"1": canvas(), "2": node("TBadUI", image=["1", 0], kind="nan")})
    server.finish(prompt_id)

    assert '"x": [NaN]' in server.http.get(f"/history/{prompt_id}").text


def test_s06_nodes_without_ui_do_not_appear(server: Server, prefix: str) -> None:
    """Only output nodes with a result of their own appear under outputs and meta."""
    graph: dict[str, Any] = picture(prefix) | {"3": node("ImageInvert", image=["1", 0])}
    graph["2"]["inputs"]["images"] = ["3", 0]
    entry = server.render(graph)

    assert set(entry["outputs"]) == set(entry["meta"]) == {"2"}
