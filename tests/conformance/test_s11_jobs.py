"""Protocol section 11: jobs as one list, and cancelling them by id; only where the server has /api/jobs."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from .graphs import node, picture, preview, sleeper, through
from .server import Server, files, message

pytestmark = pytest.mark.usefixtures("lists_jobs")


def job(server: Server, prompt_id: str) -> dict[str, Any]:
    """Return GET /api/jobs/ID of a job that is there."""
    answer = server.http.get(f"/api/jobs/{prompt_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(server: Server, **query: Any) -> list[dict[str, Any]]:
    """Return the jobs of one page."""
    return server.http.get("/api/jobs", params=query).json()["jobs"]


def cancel(server: Server, prompt_id: str) -> httpx.Response:
    """Cancel one job by id."""
    return server.http.post(f"/api/jobs/{prompt_id}/cancel")


def test_s11_only_under_api(server: Server) -> None:
    """The list is at /api/jobs and nowhere else."""
    assert server.http.get("/jobs").status_code == 404


def test_s11_a_job_through_its_life(server: Server, prefix: str, blocker: str) -> None:
    """A job is pending, in_progress, then completed; its id, number and create_time stay."""
    answer = server.post_prompt(picture(prefix)).json()
    waiting = job(server, answer["prompt_id"])
    running = job(server, blocker)
    server.interrupt(blocker)
    server.finish(answer["prompt_id"])
    done = job(server, answer["prompt_id"])

    assert (waiting["status"], running["status"], done["status"]) == ("pending", "in_progress", "completed")
    assert waiting["id"] == done["id"] == answer["prompt_id"]
    assert waiting["priority"] == done["priority"] == answer["number"]
    assert waiting["create_time"] == done["create_time"]
    assert (waiting["outputs_count"], done["outputs_count"]) == (0, 1)


def test_s11_a_finished_job_tells_all(server: Server, prefix: str) -> None:
    """A finished job holds outputs, status and graph as its history entry does, and its times in ms."""
    entry = server.render(picture(prefix))
    done = job(server, entry["prompt"][1])

    assert done["outputs"] == entry["outputs"]
    assert done["execution_status"] == entry["status"]
    assert done["workflow"] == {"prompt": entry["prompt"][2], "extra_data": entry["prompt"][3]}
    assert done["execution_start_time"] == message(entry, "execution_start")["timestamp"]
    assert done["execution_end_time"] == message(entry, "execution_success")["timestamp"]
    assert done["create_time"] == entry["prompt"][3]["create_time"] <= done["execution_start_time"]


def test_s11_a_failed_job(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A failed job is failed and holds the message of its failure."""
    need("TRaise")
    entry = server.render(through("TRaise", prefix, kind="value"))
    failed = job(server, entry["prompt"][1])

    assert failed["status"] == "failed"
    assert failed["execution_error"] == message(entry, "execution_error")


def test_s11_the_preview_of_a_job(server: Server, prefix: str) -> None:
    """preview_output is a saved file before a temporary one, with its node and the key it stood under."""
    graph = picture(prefix) | {"5": node("PreviewImage", images=["1", 0])}
    entry = server.render(graph)
    done = job(server, entry["prompt"][1])
    only = server.render(preview())

    assert done["outputs_count"] == 2
    assert files(entry)[0].items() <= done["preview_output"].items()
    assert (done["preview_output"]["nodeId"], done["preview_output"]["mediaType"]) == ("2", "images")
    assert job(server, only["prompt"][1])["preview_output"]["type"] == "temp"


def test_s11_an_unknown_job(server: Server) -> None:
    """An unknown id is a 404."""
    assert server.http.get(f"/api/jobs/{uuid.uuid4()}").status_code == 404


def test_s11_newest_first(server: Server, prefix: str) -> None:
    """The list is newest first, the other way round with sort_order=asc, and paged by limit and offset."""
    ids = [server.render(picture(prefix))["prompt"][1] for _ in range(3)]
    total = server.http.get("/api/jobs", params={"limit": 1}).json()["pagination"]["total"]

    assert [each["id"] for each in listed(server, limit=3)] == ids[::-1]
    assert [each["id"] for each in listed(server, limit=1, offset=1)] == [ids[1]]
    assert [each["id"] for each in listed(server, sort_order="asc", offset=total - 3)] == ids


def test_s11_page_tells_what_follows(server: Server, prefix: str) -> None:
    """A page tells its offset, its limit, how many jobs there are and whether more follow."""
    server.render(picture(prefix))
    server.render(picture(prefix))
    page = server.http.get("/api/jobs", params={"limit": 1, "offset": 0}).json()["pagination"]

    assert set(page) == {"offset", "limit", "total", "has_more"}
    assert (page["offset"], page["limit"], page["has_more"]) == (0, 1, True)
    assert page["total"] >= 2


def test_s11_filter_by_status(server: Server, prefix: str, blocker: str) -> None:
    """status takes a comma list; an entry of the list carries neither outputs nor graph."""
    pending = server.submit(picture(prefix))
    both = listed(server, status="pending,in_progress")

    assert [each["id"] for each in listed(server, status="pending")] == [pending]
    assert {each["id"] for each in both} == {pending, blocker}
    assert all("workflow" not in each and "outputs" not in each for each in listed(server, limit=5))


@pytest.mark.parametrize(
    "query",
    [
        {"status": "odd"},
        {"sort_by": "odd"},
        {"sort_order": "odd"},
        {"limit": "0"},
        {"limit": "x"},
        {"offset": "x"},
    ],
)
def test_s11_queries_that_mean_nothing(server: Server, query: dict[str, str]) -> None:
    """An unknown word or a limit that is no positive number is a 400 with the reason under error."""
    answer = server.http.get("/api/jobs", params=query)

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_s11_cancel_a_running_job(server: Server, blocker: str) -> None:
    """Cancelling the running job interrupts it, answers true, and the job ends as cancelled."""
    answer = cancel(server, blocker)
    entry = server.finish(blocker)

    assert (answer.status_code, answer.json()) == (200, {"cancelled": True})
    assert message(entry, "execution_interrupted")["prompt_id"] == blocker
    assert job(server, blocker)["status"] == "cancelled"


def test_s11_cancel_a_pending_job(server: Server, prefix: str, blocker: str) -> None:
    """Cancelling a pending job takes it out without trace, and leaves the running one alone."""
    pending = server.submit(picture(prefix))
    answer = cancel(server, pending)

    assert answer.json() == {"cancelled": True}
    assert server.pending() == []
    assert server.running() == [blocker]
    assert server.http.get(f"/api/jobs/{pending}").status_code == 404


def test_s11_cancel_twice(server: Server, blocker: str) -> None:
    """An ended and an unknown job are answered with 200 and false: to cancel again does nothing."""
    cancel(server, blocker)
    server.finish(blocker)

    for prompt_id in (blocker, str(uuid.uuid4()), "no-id"):
        answer = cancel(server, prompt_id)
        assert (answer.status_code, answer.json()) == (200, {"cancelled": False})


def test_s11_cancel_of_an_ended_job_spares_the_next(
    server: Server, prefix: str, need: Callable[..., None]
) -> None:
    """A cancel that comes after its job has ended leaves the job alone that runs now."""
    need("TSleep")
    ended = server.render(picture(prefix))["prompt"][1]
    running = server.submit(sleeper())
    server.await_start(running)

    assert cancel(server, ended).json() == {"cancelled": False}
    # It looks for an interrupt at each step of its progress: after two steps it has looked.
    with server.listen() as socket:
        for _ in range(2):
            socket.until(lambda frame: frame["type"] == "progress_state")
    assert server.running() == [running]


def test_s11_cancel_several(server: Server, prefix: str, blocker: str) -> None:
    """A batch cancels what runs or waits and passes over the rest; true when it hit at least one."""
    pending, kept = server.submit(picture(prefix)), server.submit(picture(prefix))
    body = {"job_ids": [pending, blocker, str(uuid.uuid4())]}
    answer = server.http.post("/api/jobs/cancel", json=body)

    assert (answer.status_code, answer.json()) == (200, {"cancelled": True})
    assert message(server.finish(blocker), "execution_interrupted")
    assert server.finish(kept)["status"]["status_str"] == "success"
    assert server.entry(pending) is None
    assert server.http.post("/api/jobs/cancel", json=body).json() == {"cancelled": False}


@pytest.mark.parametrize("body", [{}, {"job_ids": "x"}, {"job_ids": ["no-id"]}, {"job_ids": [7]}, []])
def test_s11_batches_that_mean_nothing(server: Server, blocker: str, body: object) -> None:
    """A batch without a list, or with an id that is no UUID, is a 400 and cancels nothing."""
    if isinstance(body, dict) and isinstance(body.get("job_ids"), list):
        body["job_ids"].append(blocker)
    answer = server.http.post("/api/jobs/cancel", json=body)

    assert answer.status_code == 400
    assert server.running() == [blocker]


def test_s11_a_broken_batch_is_a_400(server: Server) -> None:
    """A batch that is no JSON is a 400."""
    assert server.http.post("/api/jobs/cancel", content=b"{not").status_code == 400
