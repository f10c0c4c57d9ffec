"""Protocol sections 4 and 5: the queue, cancelling, and /free."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from .graphs import canvas, node, picture, sleeper
from .server import Server, files, message, of_type, poll, ran, sent_extra


def queue_remaining(server: Server) -> int:
    """Return what GET /prompt says."""
    return server.http.get("/prompt").json()["exec_info"]["queue_remaining"]


def test_s04_prompt_counts_running_and_pending(server: Server, prefix: str, blocker: str) -> None:
    """GET /prompt answers exactly the number of running plus pending jobs."""
    before = queue_remaining(server)
    server.submit(picture(prefix))
    queue = server.queue()

    assert server.http.get("/prompt").json() == {"exec_info": {"queue_remaining": before + 1}}
    assert before + 1 == len(queue["queue_running"]) + len(queue["queue_pending"])


def test_s04_queue_items(server: Server, prefix: str, blocker: str) -> None:
    """A queue item is number, id, graph, extra_data and the outputs to run."""
    graph = picture(prefix)
    answer = server.post_prompt(graph, extra_data={"mine": 1}, client_id="c").json()
    queue = server.queue()
    item = next(item for item in queue["queue_pending"] if item[1] == answer["prompt_id"])

    assert set(queue) == {"queue_running", "queue_pending"}
    assert item[:3] == [answer["number"], answer["prompt_id"], graph]
    assert sent_extra(item) == {"mine": 1, "client_id": "c"}
    assert item[4:] == [["2"]]


def test_s04_one_job_runs_at_a_time(server: Server, prefix: str, blocker: str) -> None:
    """While a job runs it is the only one in queue_running, and later ones wait."""
    waiting = server.submit(picture(prefix))

    assert server.running() == [blocker]
    assert waiting in server.pending()


def test_s04_order(server: Server, prefix: str, blocker: str) -> None:
    """Jobs run by ascending number, so a later front overtakes and a client's -1000 overtakes that."""
    later = {"a": {}, "b": {}, "c": {"front": True}, "d": {"number": -100000}, "e": {}}
    ids = {name: server.submit(picture(f"{prefix}-{name}"), **body) for name, body in later.items()}
    server.interrupt(blocker)
    start = {name: message(server.finish(i), "execution_start")["timestamp"] for name, i in ids.items()}
    history = list(server.http.get("/history").json())

    assert [start[name] for name in "dcabe"] == sorted(start.values())
    assert [i for i in history if i in ids.values()] == [ids[name] for name in "dcabe"]


def test_s04_equal_numbers_run_by_id(server: Server, prefix: str, blocker: str) -> None:
    """Of two jobs with the same number the one with the smaller id runs first."""
    low, high = sorted(str(uuid.uuid4()) for _ in range(2))
    for prompt_id in (high, low):
        server.submit(picture(f"{prefix}-{prompt_id}"), prompt_id=prompt_id, number=3)
    server.interrupt(blocker)
    server.finish(low)
    server.finish(high)
    history = list(server.http.get("/history").json())

    assert history.index(low) < history.index(high)


def test_s04_delete_a_pending_job(server: Server, prefix: str, blocker: str) -> None:
    """A deleted job is gone without trace: not in the queue, not in history; the answer is an empty 200."""
    gone, kept = server.submit(picture(prefix)), server.submit(picture(prefix))
    answer = server.delete(gone)

    assert (answer.status_code, answer.content) == (200, b"")
    assert gone not in server.pending()
    assert kept in server.pending()
    server.interrupt(blocker)
    server.finish(kept)
    assert server.entry(gone) is None


def test_s04_delete_several(server: Server, prefix: str, blocker: str) -> None:
    """One request deletes several ids and ignores unknown ones."""
    ids = [server.submit(picture(prefix)) for _ in range(3)]
    answer = server.delete(ids[0], str(uuid.uuid4()), ids[2])

    assert answer.status_code == 200
    assert [i for i in ids if i in server.pending()] == [ids[1]]


def test_s04_delete_takes_the_first_of_a_duplicate(server: Server, prefix: str, blocker: str) -> None:
    """Of two pending jobs with one id a delete removes one."""
    prompt_id = server.submit(picture(prefix))
    server.submit(picture(prefix), prompt_id=prompt_id)
    server.delete(prompt_id)

    assert server.pending().count(prompt_id) == 1


def test_s04_delete_ignores_the_running_job(server: Server, blocker: str) -> None:
    """A running job is not deleted."""
    answer = server.delete(blocker)

    assert answer.status_code == 200
    assert server.running() == [blocker]


def test_s04_delete_given_a_text_deletes_nothing(server: Server, prefix: str, blocker: str) -> None:
    """delete wants a list: a text is taken letter by letter and matches no id."""
    pending = server.submit(picture(prefix))
    answer = server.http.post("/queue", json={"delete": pending})

    assert answer.status_code == 200
    assert pending in server.pending()


def test_s04_an_empty_order_is_fine(server: Server) -> None:
    """POST /queue with an empty object is an empty 200."""
    answer = server.http.post("/queue", json={})

    assert (answer.status_code, answer.content) == (200, b"")


def test_s04_clear(server: Server, prefix: str, blocker: str) -> None:
    """Clear drops every pending job and leaves the running one alone."""
    ids = [server.submit(picture(prefix)) for _ in range(2)]
    answer = server.http.post("/queue", json={"clear": True})

    assert (answer.status_code, answer.content) == (200, b"")
    assert server.pending() == []
    assert server.running() == [blocker]
    assert all(server.entry(i) is None for i in ids)


def test_s04_interrupt_by_id(server: Server, blocker: str) -> None:
    """An interrupt by id ends the running job; the answer is an empty 200."""
    answer = server.interrupt(blocker)
    entry = server.finish(blocker)

    assert (answer.status_code, answer.content) == (200, b"")
    assert entry["status"]["status_str"] == "error"
    assert message(entry, "execution_interrupted")["prompt_id"] == blocker


def test_s04_interrupt_of_another_id_is_ignored(server: Server, prefix: str, blocker: str) -> None:
    """An interrupt by the id of a pending or an unknown job touches neither it nor the running one."""
    pending = server.submit(picture(prefix))
    for prompt_id in (pending, str(uuid.uuid4())):
        assert server.interrupt(prompt_id).status_code == 200

    # The running job looks for an interrupt at each step of its progress: after two steps it has looked.
    with server.listen() as socket:
        for _ in range(2):
            socket.until(lambda frame: frame["type"] == "progress_state")
    assert server.running() == [blocker]
    assert pending in server.pending()


def test_s04_global_interrupt(server: Server, blocker: str) -> None:
    """An interrupt without an id ends whatever runs."""
    answer = server.http.post("/interrupt", json={})

    assert (answer.status_code, answer.content) == (200, b"")
    assert message(server.finish(blocker), "execution_interrupted")


@pytest.mark.parametrize("body", [b"", b"{not json"])
def test_s04_interrupt_with_a_broken_body_is_global(server: Server, blocker: str, body: bytes) -> None:
    """No body, or one that is no JSON, counts as a global interrupt."""
    assert server.http.post("/interrupt", content=body).status_code == 200
    assert message(server.finish(blocker), "execution_interrupted")


def test_s04_interrupt_with_a_list_is_a_500(server: Server) -> None:
    """A JSON list is no order."""
    assert server.http.post("/interrupt", json=[]).status_code == 500


def test_s04_an_idle_interrupt_is_forgotten(server: Server, prefix: str) -> None:
    """A global interrupt while nothing runs does not hit the next job."""
    server.render(picture(prefix))
    server.http.post("/interrupt", json={})

    assert server.render(picture(prefix))["status"]["status_str"] == "success"


def test_s04_a_deaf_node_runs_to_its_end(server: Server, need: Callable[..., None]) -> None:
    """A node that reports no progress is not stopped: the interrupt is charged to the next node."""
    need("TSleep")
    for _ in range(5):
        with server.listen() as socket:
            prompt_id = server.submit(sleeper(0.4, coop=False), client_id=socket.client_id)
            socket.until(lambda f: f["type"] == "executing" and f["data"]["node"] == "2")
            server.interrupt(prompt_id)
            interrupted = of_type(socket.job(prompt_id), "execution_interrupted")[0]
        # The frame comes before the node begins: an interrupt in between still is the node's own.
        if interrupted["node_id"] != "2":
            break

    assert interrupted["node_id"] == "3"
    assert set(interrupted["executed"]) == {"1", "2"}


def test_s05_free_answers_at_once(server: Server, blocker: str) -> None:
    """/free is an empty 200 even while a job runs."""
    answer = server.http.post("/free", json={"unload_models": True})

    assert (answer.status_code, answer.content) == (200, b"")
    assert server.running() == [blocker]


@pytest.mark.usefixtures("keeps_results")
def test_s05_free_memory_throws_the_cache_away(server: Server, prefix: str) -> None:
    """After free_memory an identical job runs every node again and writes a new file."""
    graph = picture(prefix)
    server.render(graph)
    server.http.post("/free", json={"free_memory": True})

    def rerun() -> list[str]:
        # The worker applies the order between prompts and does not tell when; until then a run is cached.
        with server.listen() as socket:
            return ran(socket.job(server.submit(graph, client_id=socket.client_id)))

    assert poll(rerun, what="the cache to be gone") == ["1", "2"]
    assert files(server.render(graph))[0]["filename"] == "pic_00002_.png"


@pytest.mark.usefixtures("keeps_results")
def test_s05_unload_models_keeps_the_cache(server: Server, prefix: str) -> None:
    """unload_models alone leaves the node cache as it is."""
    graph = picture(prefix)
    server.render(graph)
    server.http.post("/free", json={"unload_models": True})
    server.render(graph)

    with server.listen() as socket:
        assert ran(socket.job(server.submit(graph, client_id=socket.client_id))) == []


def test_s04_the_counter_is_shared_by_all_clients(server: Server, prefix: str) -> None:
    """A job of another client takes the next number too."""
    first = server.post_prompt(picture(prefix), client_id="one").json()["number"]
    second = server.post_prompt({"1": canvas(), "2": node("PreviewImage", images=["1", 0])}, client_id="two")

    assert second.json()["number"] == first + 1
    server.finish(second.json()["prompt_id"])


def test_s04_a_server_without_jobs_says_so(server: Server, abilities: dict[str, bool]) -> None:
    """Where there is no /api/jobs, to cancel a job through it is a 404 or a 405, and nothing else happens."""
    if abilities["lists_jobs"]:
        pytest.skip("the server has /api/jobs")
    answer = server.http.post(f"/api/jobs/{uuid.uuid4()}/cancel")

    assert server.http.get("/api/jobs").status_code == 404
    assert answer.status_code in (404, 405)


def test_s04_credentials_in_the_queue(
    server: Server, prefix: str, blocker: str, abilities: dict[str, bool]
) -> None:
    """Credentials in extra_data are not shown in /queue where jobs are listed; an older server shows them."""
    server.submit(picture(prefix), extra_data={"api_key_comfy_org": "secret-a"})

    assert ("secret-a" in server.http.get("/queue").text) is not abilities["lists_jobs"]
