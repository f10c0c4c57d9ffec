"""One attempt against a server that misbehaves: every ambiguous answer ends in the truth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest

from runner.collect import part_of
from runner.domain import Attempt
from runner.errors import NoServer, PreflightRefused, StorageError, UsageError
from runner.events import (
    AttemptCancelled,
    AttemptCollecting,
    AttemptFailed,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    ExecutorEvent,
    ServerDown,
    ServerUp,
)
from runner.submit import ComfyExecutor

from .conftest import GRAPH, GUARD_S, opened
from .conftest import make as attempt_on
from .fake import Fake

Make = Callable[..., Attempt]
ENDS = (AttemptSucceeded, AttemptFailed, AttemptCancelled)
HTML = (502, "text/html", b"<html><h1>Bad Gateway</h1></html>")


async def until_end(executor: ComfyExecutor) -> list[ExecutorEvent]:
    """Return the events up to and with the first that ends an attempt."""
    events: list[ExecutorEvent] = []
    async with asyncio.timeout(GUARD_S):
        while not events or not isinstance(events[-1], ENDS):
            events.append(await executor.next_event())
    return events


async def until_posted(fake: Fake) -> None:
    async with asyncio.timeout(GUARD_S):
        while not fake.count("POST /prompt"):  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.005)


async def until(executor: ComfyExecutor, kind: type) -> ExecutorEvent:
    async with asyncio.timeout(GUARD_S):
        while not isinstance(event := await executor.next_event(), kind):
            pass
    return event


async def test_an_attempt_ends_as_a_file(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Submit, poll, download: the output lies verified under its deliver name."""
    it = attempt()
    executor.start(it, tmp_path)
    events = await until_end(executor)

    assert [type(event) for event in events] == [AttemptSubmitted, AttemptCollecting, AttemptSucceeded]
    (output,) = events[-1].outputs
    assert (output.path, output.kind, output.width, output.media) == ("s01/a.png", "image", 8, "image/png")
    assert (tmp_path / output.path).read_bytes() == fake.picture
    path = tmp_path / output.path
    assert {*path.parent.iterdir()} == {path, part_of(path, output.mtime_ns)}


async def test_what_is_sent_names_us_and_the_job(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Our id, a client id and the tags travel with the bound graph."""
    it = attempt()
    executor.start(it, tmp_path)
    await until_end(executor)
    (post,) = fake.posts

    assert post["prompt_id"] == it.prompt_id
    assert post["client_id"]
    assert post["extra_data"]["extra_pnginfo"] == {"animerun": {"key": "ep/x"}}
    assert post["prompt"]["2"]["inputs"]["filename_prefix"] == it.prefix


@pytest.mark.parametrize("fault", ["eat", "500 yet queued", "429 yet queued"])
async def test_an_unclear_answer_to_a_job_that_runs_is_found_out(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path, fault: str
) -> None:
    """The answer is lost but the job is not: it is found by its id and submitted only once."""
    fake.plan("POST /prompt", fault)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert len(fake.posts) == 1


@pytest.mark.parametrize(
    ("fault", "code", "retry"),
    [
        ("drop", "LOST", "again"),
        ("stall", "LOST", "again"),
        (HTML, "SERVER_ERROR", "elsewhere"),
        ((500, "text/plain", b"500 Internal Server Error"), "SERVER_ERROR", "elsewhere"),
        ((429, "text/plain", b"slow down"), "SERVER_BUSY", "again"),
        ((503, "text/plain", b"", "Retry-After: 7"), "SERVER_BUSY", "again"),
        ((503, "text/plain", b""), "SERVER_ERROR", "elsewhere"),
        ((200, "text/html", b"<html>sign in</html>"), "LOST", "again"),
        ((200, "application/json", b"{}"), "LOST", "again"),
        ((400, "text/html", b"<h1>no</h1>"), "SERVER_REJECTS", "elsewhere"),
        ((302, "text/html", b""), "SERVER_REJECTS", "elsewhere"),
        ((404, "text/plain", b""), "SERVER_REJECTS", "elsewhere"),
        ((405, "text/plain", b""), "SERVER_REJECTS", "elsewhere"),
    ],
    ids=str,
)
async def test_an_unclear_answer_to_a_job_that_never_came_is_a_loss(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path, fault: object, code: str, retry: str
) -> None:
    """Nowhere for the settle time, with the server answering: lost, and never posted twice by us."""
    fake.plan("POST /prompt", fault)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptFailed)
    assert (events[-1].fault.code, events[-1].fault.retry) == (code, retry)
    assert fake.count("POST /prompt") == 1
    assert not any(isinstance(event, AttemptSubmitted) for event in events)


async def test_absence_is_believed_only_after_a_look_at_queue_then_history(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Each look at the history that could prove absence comes after one at the queue."""
    fake.plan("POST /prompt", "drop")
    executor.start(attempt(), tmp_path)
    await until_end(executor)
    after = fake.seen[fake.seen.index(("POST", "/prompt")) + 1 :]
    kinds = [path.split("/")[1] for _, path in after]

    assert kinds[0] == "queue"
    assert kinds.count("history") >= 2
    looks = accumulate(1 if kind == "queue" else -1 for kind in kinds if kind in ("queue", "history"))
    assert min(looks) >= 0, "a look at the history without one at the queue before it"


async def test_looks_before_the_answer_count_for_nothing(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A submission that is slow to arrive is not missed while it travels, though the queue is polled."""
    fake.hold = True
    executor.start(attempt(name="first"), tmp_path)
    await until(executor, AttemptSubmitted)
    fake.plan("POST /prompt", "late")
    second = attempt(name="second")
    executor.start(second, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.finish(second.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)


async def test_trouble_while_looking_is_no_evidence(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Looks that fail restart the settle clock; the job is found in the end."""
    fake.plan("POST /prompt", "eat")
    fake.plan("GET /queue", "drop", HTML, "stall", "drop")
    fake.plan("GET /history", "drop", HTML)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)


async def test_a_history_that_stays_unreadable_fails_the_attempt(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A server that answers about everything but this job is not down; the job is worth another attempt."""
    fake.plan("GET /history", *[(500, "text/plain", b"500 Internal Server Error")] * 8)
    fake.plan("GET /view", *[(404, "text/plain", b"")] * 2)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("UNREADABLE", "again")
    assert not any(isinstance(event, ServerDown) for event in events)


async def test_a_history_that_always_breaks_off_is_looked_at_eight_times(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """The queue answers between the looks, so it is the entry that is wrong; its files are told by name."""
    fake.plan("GET /history", *["drop"] * 50)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert fake.count("GET /history") <= 16


async def test_a_damaged_echo_of_our_id_costs_nothing(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """The answer names another id, but ours is what the server runs: it is found and collected."""
    wrong = json.dumps({"prompt_id": "damaged", "number": 1, "node_errors": {}}).encode()
    fake.plan("POST /prompt", (200, "application/json", wrong))
    it = attempt()
    executor.start(it, tmp_path)
    await until_posted(fake)
    fake.posts.append(
        {"prompt_id": it.prompt_id, "prompt": {"2": {"inputs": {"filename_prefix": it.prefix}}}}
    )
    fake.finish(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert fake.count("POST /prompt") == 1


async def test_shown_text_becomes_a_file(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """What a text node shows is kept like what a save node writes."""
    fake.extra = {"outputs": {"2": {"text": ["größer"]}}}
    executor.start(attempt(outputs={"2": "text"}), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert (tmp_path / "s01/a.txt").read_text("utf-8") == "größer"


async def test_an_echoed_foreign_id_is_taken_back(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A server that chooses ids itself cannot be used; what it queued is deleted; it costs no attempt."""
    fake.hold = True
    fake.plan("POST /prompt", "other id")
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert [type(event) for event in events] == [ServerDown, AttemptFailed]
    assert (events[-1].fault.code, events[-1].fault.retry) == ("UNREACHABLE", "elsewhere")
    assert fake.pending == []


async def test_partly_accepted_is_refused_and_taken_back(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """200 with node errors: deleted, confirmed gone, told as a refusal."""
    fake.plan("POST /prompt", "partly")
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("VALIDATION", "never")
    assert "width" in events[-1].fault.message
    assert fake.pending == []


async def test_errors_of_outputs_that_nobody_declared_stop_nothing(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """200 with node errors that keep another output from being made: the declared one is made."""
    fake.plan("POST /prompt", "beside")
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert fake.count("POST /queue") == 0


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, b'{"error": {"type": "x", "message": "nope"}, "node_errors": {}}', "VALIDATION"),
        (413, b"", "TOO_LARGE"),
    ],
)
async def test_a_plain_no_is_believed_at_once(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path, status: int, body: bytes, code: str
) -> None:
    """ComfyUI's own 400 and a 413 need no look."""
    fake.plan("POST /prompt", (status, "application/json", body))
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert events[-1].fault.code == code
    assert events[-1].fault.retry == "never"
    assert ("GET", "/queue") not in fake.seen


@pytest.mark.parametrize(
    "fault",
    [
        "truncated",
        "unannounced",
        "corrupt",
        "drop",
        "compressed",
        "stall",
        HTML,
        (200, "text/html", b"<html>Sign in</html>"),
        (302, "text/html", b""),
        (403, "text/html", b"no"),
    ],
    ids=str,
)
async def test_a_damaged_download_is_repeated(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path, fault: object
) -> None:
    """Cut short, silently or not, a flipped bit, compressed, stalled, somebody's page: the next counts."""
    fake.plan("GET /view", fault)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert fake.count("GET /view") == 2
    assert (tmp_path / "s01/a.png").read_bytes() == fake.picture


async def test_a_download_that_never_comes_whole_fails_the_attempt(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Eight damaged downloads are enough, and nothing is left behind."""
    fake.plan("GET /view", *["corrupt"] * 8)
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("DOWNLOAD_CORRUPT", "again")
    assert list((tmp_path / "s01").iterdir()) == []


async def test_a_restart_during_a_download_costs_nothing(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """The file outlives the server's memory: it is asked for again once somebody is back."""
    fake.plan("GET /view", "stall")
    executor.start(attempt(), tmp_path)
    await until(executor, AttemptCollecting)
    await fake.down()
    await fake.up()
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert fake.history == {}
    assert len(fake.posts) == 1


async def test_a_vanished_history_entry_is_a_loss(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """It ran, and its entry was cleared or pushed out before we looked: worth another attempt."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.pending, fake.running = [], [it.prompt_id]
    await until(executor, AttemptRunning)
    fake.running = []
    events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("LOST", "again")


async def test_what_a_failed_job_made_before_is_not_fetched(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Half a job's pictures beside an error are no result: nothing is downloaded."""
    error = {
        "node_id": "2",
        "node_type": "SaveImage",
        "exception_type": "ValueError",
        "exception_message": "no",
    }
    messages = [["execution_start", {}], ["execution_error", error]]
    fake.extra = {"status": {"status_str": "error", "completed": False, "messages": messages}}
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert events[-1].fault.code == "NODE_ERROR"
    assert fake.count("GET /view") == 0


async def test_proxies_of_the_environment_are_no_way_to_this_machine(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that is set for everything is not asked about loopback."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with opened(fake) as executor:
        executor.start(attempt_on(executor.servers[0]), tmp_path)
        events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)


async def test_a_file_that_is_gone_is_made_again(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """404 on a reported file: the attempt is worth repeating."""
    fake.plan("GET /view", (404, "application/octet-stream", b""))
    executor.start(attempt(), tmp_path)
    events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("CACHED_OUTPUT", "again")


async def test_a_pending_attempt_is_cancelled(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Cancelling deletes it from the queue, and says so only when it is gone."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    executor.cancel(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptCancelled)
    assert fake.pending == []
    assert ("POST", "/interrupt") not in fake.seen


async def test_a_running_attempt_is_interrupted_by_its_id(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """What runs is interrupted, and only because it is ours that runs."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.pending, fake.running = [], [it.prompt_id]
    await until(executor, AttemptRunning)
    executor.cancel(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptCancelled)


async def test_taking_back_spares_a_job_that_runs(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A job that runs, although this side has not learned it yet, is not interrupted and counts."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.pending, fake.running = [], [it.prompt_id]
    executor.cancel(it.prompt_id, running=False)
    async with asyncio.timeout(GUARD_S):
        while not fake.seen_after("POST /queue", "GET /queue", 3):  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.005)
    fake.finish(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert ("POST", "/interrupt") not in fake.seen


async def test_a_spared_job_can_still_be_interrupted(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """When the time that it was given is over, it is interrupted by its id."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.pending, fake.running = [], [it.prompt_id]
    executor.cancel(it.prompt_id, running=False)
    await until(executor, AttemptRunning)
    executor.cancel(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptCancelled)
    assert ("POST", "/interrupt") in fake.seen


async def test_an_interrupt_by_somebody_else_is_no_cancelling(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Stopped in the server's own window: a fault, worth one more attempt."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.pending, fake.running = [], [it.prompt_id]
    await until(executor, AttemptRunning)
    fake._interrupt(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptFailed)
    assert (events[-1].fault.code, events[-1].fault.retry) == ("INTERRUPTED", "again")


async def test_inputs_are_uploaded_again_to_a_server_that_was_away(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Whoever comes back may be another process with an empty input folder."""
    file = tmp_path / "in.png"
    file.write_bytes(b"x")
    executor.start(attempt(name="one", files={"ab.png": file}), tmp_path)
    await until_end(executor)
    await fake.down()
    executor.start(attempt(name="two", files={"ab.png": file}), tmp_path)
    await until(executor, ServerDown)
    fake.inputs.clear()
    await fake.up()
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert fake.inputs == {"ab.png": b"x"}


async def test_what_finished_before_its_cancelling_is_kept(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A cancel that comes too late loses nothing."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.finish(it.prompt_id)
    executor.cancel(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)


async def test_cancelling_leaves_strangers_alone(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Another's running job is not interrupted when ours is pending."""
    fake.hold = True
    fake.running = ["a-stranger"]
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    executor.cancel(it.prompt_id)
    await until_end(executor)

    assert fake.running == ["a-stranger"]


async def test_a_restarted_server_has_lost_the_attempt(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Down, up again with an empty memory: ServerDown, ServerUp, then the loss, worth another attempt."""
    fake.hold = True
    executor.start(attempt(), tmp_path)
    await until(executor, AttemptSubmitted)
    await fake.down()
    down = await until(executor, ServerDown)
    await fake.up()
    events = await until_end(executor)

    assert not down.final
    assert any(isinstance(event, ServerUp) for event in events)
    assert (events[-1].fault.code, events[-1].fault.retry) == ("SERVER_DIED", "elsewhere")


async def test_an_adopted_attempt_ends_when_its_server_is_left_out_from_the_start(tmp_path: Path) -> None:
    """Who follows an attempt on a server that turns out to be something else now does not wait for ever."""
    async with Fake() as good, Fake() as other:
        other.plan("GET /system_stats", (404, "text/html", b"<html>"))
        async with opened(good, other) as executor:
            executor.adopt(attempt_on(other.url), tmp_path)
            events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("LOST", "elsewhere")


async def test_a_gateway_at_the_first_contact_is_no_other_kind_of_server(tmp_path: Path) -> None:
    """A 502 while a ComfyUI starts leaves nobody out: it is up when it answers."""
    async with Fake() as good, Fake() as late:
        late.plan("GET /system_stats", *[(502, "text/html", b"<html>bad gateway")] * 3)
        async with opened(good, late) as executor:
            down = await until(executor, ServerDown)
            while (await until(executor, ServerUp)).server != down.server:
                pass

    assert not down.final


@pytest.mark.parametrize("route", ["GET /system_stats", "GET /object_info"])
async def test_a_hiccup_does_not_keep_out_a_server_that_is_back(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path, route: str
) -> None:
    """Who cannot be asked at once what it is now is asked again; one broken answer is no reason to wait."""
    executor.start(attempt(), tmp_path)
    await until_end(executor)
    await fake.down()
    executor.start(attempt(), tmp_path)
    await until(executor, ServerDown)
    fake.plan(route, "drop")
    await fake.up()
    back = await until(executor, ServerUp)

    assert back.facts.version == "0.3.64"


async def test_a_job_that_outlives_an_outage_is_collected(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A server that was only unreachable still has the job: silence is no evidence."""
    fake.hold = True
    it = attempt()
    executor.start(it, tmp_path)
    await until(executor, AttemptSubmitted)
    await fake.down()
    await until(executor, ServerDown)
    fake.history[it.prompt_id] = fake._entry(it.prompt_id, fake.posts[0]["prompt"])
    await fake.up()
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)


async def test_a_submission_waits_for_its_only_server(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """Nothing could be sent, so nothing happened: it is sent when the server is back."""
    await fake.down()
    executor.start(attempt(), tmp_path)
    await until(executor, ServerDown)
    await fake.up()
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert len(fake.posts) == 1


async def test_with_another_server_up_a_submission_moves_on(fake: Fake, tmp_path: Path) -> None:
    """One of two servers is gone: its attempt is free for the other at once."""
    async with Fake() as other, opened(fake, other) as executor:
        await fake.down()
        executor.start(attempt_on(executor.servers[0]), tmp_path)
        events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("UNREACHABLE", "elsewhere")


async def test_inputs_are_uploaded_once(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A file that two attempts use travels once, under its content's name, byte for byte."""
    file = tmp_path / "in.png"
    file.write_bytes(fake.picture)
    name = "ab" * 32 + ".png"
    graph = GRAPH | {"1": {"class_type": "LoadImage", "inputs": {"image": {"$input": name}}}}
    for number in range(2):
        executor.start(attempt(name=f"n{number}", graph=graph, files={name: file}), tmp_path)
    await until_end(executor)
    await until_end(executor)

    assert fake.count("POST /upload/image") == 1
    assert fake.inputs == {name: fake.picture}
    assert all(post["prompt"]["1"]["inputs"]["image"] == name for post in fake.posts)


async def test_an_upload_under_another_name_is_refused(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """A server that renames what we send would render something else."""
    file = tmp_path / "in.png"
    file.write_bytes(b"x")
    fake.plan("POST /upload/image", "other name")
    executor.start(attempt(files={"ab.png": file}), tmp_path)
    events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("SERVER_REJECTS", "elsewhere")
    assert fake.posts == []


async def test_a_missing_input_file_is_ours_to_tell(
    executor: ComfyExecutor, attempt: Make, tmp_path: Path
) -> None:
    """A local file that cannot be read is no fault of the attempt."""
    executor.start(attempt(files={"ab.png": tmp_path / "absent.png"}), tmp_path)

    with pytest.raises(StorageError, match=r"absent\.png"):
        await until_end(executor)


async def test_an_earlier_process_attempt_is_adopted(
    executor: ComfyExecutor, fake: Fake, attempt: Make, tmp_path: Path
) -> None:
    """What was submitted before a crash is followed and collected without another POST."""
    it = attempt()
    fake.posts.append({"prompt_id": it.prompt_id, "prompt": {}})
    fake.pending.append(it.prompt_id)
    executor.adopt(it, tmp_path)
    await until(executor, AttemptSubmitted)
    fake.posts[0]["prompt"] = {"2": {"inputs": {"filename_prefix": it.prefix}}}
    fake.finish(it.prompt_id)
    events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)
    assert ("POST", "/prompt") not in fake.seen


async def test_an_adopted_attempt_that_is_nowhere_is_lost(
    executor: ComfyExecutor, attempt: Make, tmp_path: Path
) -> None:
    """After the settle time the conductor may try again."""
    executor.adopt(attempt(), tmp_path)
    events = await until_end(executor)

    assert (events[-1].fault.code, events[-1].fault.retry) == ("LOST", "again")


async def test_find_tells_where_each_id_is(executor: ComfyExecutor, fake: Fake) -> None:
    """Queued, running, finished and absent are told apart."""
    fake.pending, fake.running, fake.history = ["q"], ["r"], {"f": {}}

    assert await executor.find(["q", "r", "f", "a"], executor.servers[0]) == {
        "q": "queued",
        "r": "running",
        "f": "finished",
        "a": "absent",
    }


async def test_no_server_says_what_was_tried(fake: Fake) -> None:
    """With nobody there, the error names each address and what came of it."""
    await fake.down()

    with pytest.raises(NoServer, match=f"127.0.0.1:{fake.port} cannot be reached"):
        async with opened(fake):
            pass


async def test_something_else_at_the_address_is_told_as_such(fake: Fake) -> None:
    """A login page is not a ComfyUI, and its first words are shown."""
    fake.plan("GET /system_stats", (200, "text/html", b"<html>Sign in</html>"))

    with pytest.raises(
        PreflightRefused, match="does not answer like a ComfyUI: 200 text/html: <html>Sign in"
    ):
        async with opened(fake):
            pass


async def test_one_of_two_servers_is_enough(fake: Fake) -> None:
    """The other is told as down."""
    async with Fake() as other:
        await fake.down()
        async with opened(fake, other) as executor:
            events = [await executor.next_event(), await executor.next_event()]

    assert {type(event) for event in events} == {ServerUp, ServerDown}


async def test_a_server_silent_for_too_long_is_left_out(fake: Fake, tmp_path: Path) -> None:
    """Its attempts are lost to it and may go elsewhere."""
    from runner.comfy.server import Pace

    fake.hold = True
    async with opened(fake, pace=Pace(settle_s=0.1, server_wait_s=0.2, probe_s=0.02)) as executor:
        executor.start(attempt_on(executor.servers[0]), tmp_path)
        await until(executor, AttemptSubmitted)
        await fake.down()
        events = await until_end(executor)

    assert any(isinstance(event, ServerDown) and event.final for event in events)
    assert (events[-1].fault.code, events[-1].fault.retry) == ("SERVER_DIED", "elsewhere")


async def test_a_base_path_is_kept(tmp_path: Path) -> None:
    """Behind a proxy at /comfy every route lies under /comfy/api."""
    async with Fake(base="/comfy") as fake, opened(fake) as executor:
        executor.start(attempt_on(executor.servers[0]), tmp_path)
        events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)


async def test_credentials_go_with_every_request(fake: Fake, tmp_path: Path) -> None:
    """A token opens the door each time, and compression is declined."""
    async with opened(fake, credentials={"ANIMERUN_TOKEN": "s3cret"}) as executor:
        executor.start(attempt_on(executor.servers[0]), tmp_path)
        await until_end(executor)

    assert {headers.get("authorization") for headers in fake.headers} == {"Bearer s3cret"}
    assert {headers.get("accept-encoding") for headers in fake.headers} == {"identity"}


async def test_a_refused_token_is_not_shown(fake: Fake) -> None:
    """401 names the credential that was used, never its value."""
    fake.plan("GET /system_stats", (401, "text/plain", b"no"))

    with pytest.raises(PreflightRefused, match="ANIMERUN_TOKEN") as caught:
        async with opened(fake, credentials={"ANIMERUN_TOKEN": "s3cret"}):
            pass
    assert "s3cret" not in str(caught.value)


def test_a_password_in_an_address_is_refused_without_showing_it() -> None:
    """`user:pass@` is a usage error."""
    with pytest.raises(UsageError) as caught:
        ComfyExecutor(["http://me:s3cret@host:1"], bind=lambda *_, **__: {}, collect=None)

    assert "s3cret" not in str(caught.value)


async def test_closing_leaves_jobs_where_they_are(fake: Fake, tmp_path: Path) -> None:
    """Only cancel takes things back; close ends at once and deletes nothing."""
    fake.hold = True
    async with opened(fake) as executor:
        it = attempt_on(executor.servers[0])
        executor.start(it, tmp_path)
        await until(executor, AttemptSubmitted)

    assert fake.pending == [it.prompt_id]
