"""Faults on purpose: scripts are read in full or refused, and the server does what they say."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from runner.cli import call
from runner.errors import SpecError
from runner.previz.profile import PROFILES, BadId
from runner.previz.script import Script, Step, read_script

from .conftest import PATIENCE_S, Previz
from .graphs import plain

Start = Callable[..., Previz]


def script(text: str) -> Script:
    return read_script(text.encode(), path="faults.yaml")


@pytest.fixture
def play(start: Start, tmp_path: Path) -> Callable[[str], Previz]:
    """Starts a server that plays a script."""

    def starter(text: str, *options: str) -> Previz:
        path = tmp_path / "faults.yaml"
        path.write_text(text)
        return start("--script", str(path), *options)

    return starter


def test_a_script_may_be_yaml_or_json() -> None:
    """Both notations give the same steps, with defaults for what is not said."""
    asked = [{"on": "POST /prompt", "nth": 3, "do": "eat answer"}, {"at": 2.5, "do": "restart"}]
    written = script("- {on: POST /prompt, nth: 3, do: eat answer}\n- {at: 2.5, do: restart}")

    assert script(json.dumps(asked)).steps == written.steps
    assert written.steps == (Step(on="POST /prompt", nth=3, do="eat answer"), Step(at_s=2.5, do="restart"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{at: 1}", "a list of steps"),
        ("- 7", "a step is a map"),
        ("- {do: reset}", "`on` (what it waits for) or `at`"),
        ("- {on: job, at: 1, do: oom}", "not both"),
        ("- {on: POST /promt, do: reset}", "did you mean `POST /prompt`?"),
        ("- {on: GET /view}", "missing: `do`, one of: reset, eat request"),
        ("- {on: GET /view, do: oom}", "`do: oom` is not known; there are: reset"),
        ("- {at: 1, do: truncate}", "there are: restart, refuse"),
        ("- {on: job, do: ooom}", "did you mean `oom`?"),
        ("- {on: GET /view, do: truncate, seconds: 2}", "`truncate` takes no `seconds`"),
        ("- {on: GET /view, do: truncate, bytes: many}", "`bytes` must be a number, not `many`"),
        ("- {on: GET /view, do: truncate, bites: 2}", "unknown key `bites`; did you mean `bytes`?"),
        ("- {on: [GET /view], do: reset}", "`on` must be a number or a text"),
    ],
)
def test_a_bad_script_is_told_with_what_is_known(text: str, told: str) -> None:
    """Each mistake has its place and what could stand there."""
    with pytest.raises(SpecError) as caught:
        script(text)

    assert told in str(caught.value)
    assert str(caught.value).startswith("faults.yaml:1:")


def test_all_mistakes_of_a_script_are_told_at_once() -> None:
    """A second bad step is not hidden by the first."""
    with pytest.raises(SpecError) as caught:
        script("- {on: x, do: reset}\n- {at: 1, do: y}")

    assert [problem.line for problem in caught.value.problems] == [1, 2]


def test_the_command_refuses_a_bad_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`animerun previz --script` ends with 2 before it listens."""
    path = tmp_path / "faults.yaml"
    path.write_text("- {on: job, do: explode}")

    assert call(["previz", "--port", "0", "--script", str(path)]) == 2
    assert "there are: kill worker" in capsys.readouterr().err


def test_steps_count_what_they_wait_for() -> None:
    """`nth`, `times` and `job` pick occurrences; the first step that is due wins."""
    steps = script(
        "- {on: GET /view, nth: 2, times: 2, do: reset}\n"
        "- {on: GET /view, times: 0, job: 7, do: html}\n"
        "- {on: GET /view, nth: 4, do: empty}"
    )
    seen = [steps.due("GET /view", job=job) for job in (1, 7, 7, 1, 7, 1)]

    assert [step.do if step else "" for step in seen] == ["", "reset", "reset", "empty", "html", ""]
    assert steps.due("GET /queue") is None


WRONG: list[tuple[str, int | type[Exception]]] = [
    ("reset", httpx.ReadError),
    ("eat request", httpx.RemoteProtocolError),
    ("eat answer", httpx.RemoteProtocolError),
    ("garbage", httpx.RemoteProtocolError),
    ("silence, seconds: 0.1", httpx.RemoteProtocolError),
    ("truncate, bytes: 20", httpx.RemoteProtocolError),
    ("status, status: 503, retry_after: 7", 503),
    ("redirect", 302),
    ("html", 200),
    ("empty", 200),
    ("bomb", 200),
    ("late, seconds: 0.1", 200),
    ("drip, seconds: 0.001", 200),
    ("corrupt, bytes: 5", 200),
    ("unannounced, bytes: 20", 200),
]


def test_requests_go_wrong_as_the_script_says(play: Callable[[str], Previz]) -> None:
    """Each odd request gets its fault, each even one the truth."""
    steps = [f"- {{on: GET /queue, nth: {2 * index + 1}, do: {do}}}\n" for index, (do, _) in enumerate(WRONG)]
    previz = play("".join(steps))
    truth = b'{"queue_running": [], "queue_pending": []}'
    same = []
    for do, outcome in WRONG:
        if isinstance(outcome, int):
            answer = previz.http.get("/queue")
            assert (do, answer.status_code) == (do, outcome)
            same += [do.partition(",")[0]] if answer.content == truth else []
            assert answer.headers.get("retry-after", "7") == "7"
        else:
            with pytest.raises(outcome):
                previz.http.get("/queue")
        assert previz.http.get("/queue").content == truth

    assert same == ["late", "drip"]


def test_eaten_answers_are_answers_and_eaten_requests_are_not(play: Callable[[str], Previz]) -> None:
    """A submission whose answer is lost runs, one that is lost itself does not."""
    previz = play(
        "- {on: POST /prompt, nth: 1, do: eat answer}\n- {on: POST /prompt, nth: 2, do: eat request}"
    )
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for prompt_id in ids[:2]:
        # Closing while some of the body is unread resets the connection.
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            previz.submit(plain(), prompt_id=prompt_id)
    previz.render(plain(), prompt_id=ids[2])

    assert list(previz.http.get("/history").json()) == [ids[0], ids[2]]


def test_history_of_one_job_is_damaged(play: Callable[[str], Previz]) -> None:
    """`job: 2` is the second submission, whoever else is asked about."""
    previz = play(
        "- {on: GET /history, job: 2, do: nan}\n- {on: GET /history, job: 2, nth: 2, do: no outputs}"
    )
    ids = [previz.submit(plain()) for _ in range(2)]
    previz.poll(lambda: len(previz.http.get("/history").json()) == 2)

    assert "NaN" not in previz.http.get(f"/history/{ids[0]}").text
    assert "NaN" in previz.http.get(f"/history/{ids[1]}").text
    assert previz.http.get(f"/history/{ids[1]}").json()[ids[1]]["outputs"] == {}
    assert previz.http.get(f"/history/{ids[1]}").json()[ids[1]]["outputs"] != {}


def test_jobs_go_wrong_as_the_script_says(play: Callable[[str], Previz]) -> None:
    """Out of memory, a failure in given words, a hang that can be interrupted, then the worker dies."""
    previz = play(
        "- {on: job, do: oom}\n- {on: job, nth: 2, do: fail, text: CUDA error}\n"
        "- {on: job, nth: 3, do: hang}\n- {on: job, nth: 5, do: kill worker}"
    )
    said = [previz.render(plain())["status"]["messages"][-1][1] for _ in range(2)]
    hung = previz.submit(plain())
    previz.poll(lambda: previz.http.get("/queue").json()["queue_running"])
    previz.http.post("/interrupt", json={"prompt_id": hung})
    interrupted = previz.poll(lambda: previz.http.get(f"/history/{hung}").json().get(hung))
    alive = previz.render(plain())
    for _ in range(2):
        previz.submit(plain())
    previz.poll(lambda: "no job will run any more" in previz.log)
    queue = previz.http.get("/queue").json()

    assert said[0]["exception_type"] == "torch.OutOfMemoryError"
    assert said[1]["exception_message"].startswith("CUDA error")
    assert interrupted["status"]["messages"][-1][0] == "execution_interrupted"
    assert alive["status"]["status_str"] == "success"
    assert [len(queue[name]) for name in ("queue_running", "queue_pending")] == [1, 1]


def test_a_restart_forgets_everything(play: Callable[[str], Previz]) -> None:
    """Refused for a while, then there with an empty memory, numbers from 0, and a worker that works."""
    previz = play("- {on: job, nth: 2, do: never finish}\n- {on: POST /free, do: restart, seconds: 2}")
    previz.render(plain())
    stuck = previz.submit(plain())
    previz.poll(lambda: previz.http.get("/queue").json()["queue_running"])
    with connect(f"{previz.url.replace('http', 'ws')}/ws?clientId=a") as socket:
        previz.http.post("/free", json={})
        with pytest.raises(ConnectionClosed):
            while True:
                socket.recv(PATIENCE_S)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{previz.url}/queue", trust_env=False, verify=False)
    previz.poll(lambda: _there(previz.url))
    queue = previz.http.get("/queue").json()
    answer = previz.http.post("/prompt", json={"prompt": plain()}).json()

    assert queue == {"queue_running": [], "queue_pending": []}
    assert previz.http.get(f"/history/{stuck}").json() == {}
    assert answer["number"] == 0
    assert previz.poll(lambda: previz.http.get(f"/history/{answer['prompt_id']}").json())


def _there(url: str) -> bool:
    try:
        return httpx.get(f"{url}/queue", trust_env=False, verify=False).status_code == 200
    except httpx.ConnectError:
        return False


def test_what_is_timed_happens_by_itself(play: Callable[[str], Previz]) -> None:
    """Queue and history are cleared at their times, the running job stays."""
    previz = play("- {at: 5, do: clear queue}\n- {at: 5, do: clear history}\n- {on: job, nth: 2, do: hang}")
    previz.render(plain())
    for _ in range(2):
        previz.submit(plain())
    previz.poll(lambda: not previz.http.get("/queue").json()["queue_pending"])

    assert previz.http.get("/history").json() == {}
    assert len(previz.http.get("/queue").json()["queue_running"]) == 1


def test_sockets_and_frames_go_wrong(play: Callable[[str], Previz]) -> None:
    """The first socket is refused; on the second a frame is junk, then all frames end, later the socket."""
    previz = play(
        "- {on: socket, do: forbid}\n- {on: frame, nth: 2, do: junk}\n"
        "- {on: POST /free, do: deafen sockets}\n- {on: POST /free, nth: 2, do: close sockets}"
    )
    address = f"{previz.url.replace('http', 'ws')}/ws?clientId=a"
    with pytest.raises(Exception, match="403"), connect(address):
        pass
    with connect(address) as socket:
        previz.render(plain(), client_id="a")
        heard = [socket.recv(PATIENCE_S)]
        while '"executing"' not in str(heard[-1]) or '"node": null' not in str(heard[-1]):
            heard.append(socket.recv(PATIENCE_S))
        previz.http.post("/free", json={})
        previz.poll(lambda: "script: deafen sockets" in previz.log)
        with connect(address.replace("=a", "=b")) as other:
            previz.render(plain(), client_id="a")
            # Frames leave one after the other: what tells everybody of the end comes behind those for `a`.
            while '"queue_remaining": 1' not in str(other.recv(PATIENCE_S)):
                pass
            while '"queue_remaining": 0' not in str(other.recv(PATIENCE_S)):
                pass
        assert socket.ping().wait(PATIENCE_S), "a deaf socket is still open"
        with pytest.raises(TimeoutError):
            socket.recv(0)

    assert [message for message in heard if message in ("{", b"\0")] == ["{", b"\0"]


@pytest.mark.parametrize(
    "given", ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "job-1", 7, "a0eebc999c0b4ef8bb6d6bb9bd380a11"]
)
def test_ids_are_canonical_in_newer_versions(given: object) -> None:
    """The newest profile takes lower-case UUIDs with hyphens and nothing else; null lets it choose."""
    newest = PROFILES["v0330"]
    with pytest.raises(BadId):
        newest.prompt_id({"prompt_id": given})

    assert newest.prompt_id({"prompt_id": str(uuid.UUID(int=7))}) == str(uuid.UUID(int=7))
    assert uuid.UUID(newest.prompt_id({"prompt_id": None}))
    assert PROFILES["v0364"].prompt_id({"prompt_id": given}) == str(given)


def test_old_servers_choose_ids_themselves(start: Start) -> None:
    """What the client asks for is not what is echoed; the version says how old it is."""
    previz = start("--profile", "old")
    wanted = str(uuid.uuid4())
    answer = previz.http.post("/prompt", json={"prompt": plain(), "prompt_id": wanted}).json()

    assert uuid.UUID(answer["prompt_id"]) != uuid.UUID(wanted)
    assert previz.http.get("/system_stats").json()["system"]["comfyui_version"] == "0.3.40"


def test_new_servers_refuse_other_ids(start: Start) -> None:
    """400 with the type of this mistake; a canonical id is kept."""
    previz = start("--profile", "v0330")
    wanted = str(uuid.uuid4())
    refused = previz.http.post("/prompt", json={"prompt": plain(), "prompt_id": wanted.upper()})

    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_prompt_id")
    assert previz.submit(plain(), prompt_id=wanted) == wanted
