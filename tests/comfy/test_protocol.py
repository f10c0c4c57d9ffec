"""Frames, queue and history, read from what a real server said."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import runner.comfy
from runner.comfy.protocol import (
    Absent,
    FileRef,
    Finished,
    Frame,
    Queue,
    Queued,
    Running,
    Tracker,
    files_of,
    locate,
    malformed,
    parse_frame,
    parse_json,
    parse_queue,
    printable,
)
from runner.text.secrets import Secrets

from . import transcripts

COMFY = Path(runner.comfy.__file__).parent
PHASES = ["unknown", "queued", "running", "over"]
RAN = [name for name in transcripts.NAMES if any("history" in line for line in transcripts.lines(name))]


def heard(name: str, count: int | None = None) -> Tracker:
    tracker = Tracker(prompt_id=transcripts.prompt_id(name))
    for message in transcripts.messages(name)[:count]:
        frame = parse_frame(message)
        tracker = tracker if frame is None else tracker.after(frame)
    return tracker


@pytest.mark.parametrize("name", RAN)
def test_any_prefix_of_a_transcript_leaves_the_tracker_valid(name: str) -> None:
    """However much of the frames arrives, phases only move forward and progress stays within its maximum."""
    before = 0
    for count in range(len(transcripts.messages(name)) + 1):
        tracker = heard(name, count)

        assert PHASES.index(tracker.phase) >= before
        assert 0 <= tracker.value <= max(tracker.maximum, 0)
        assert tracker.phase != "unknown" or not tracker.node
        before = PHASES.index(tracker.phase)


@pytest.mark.parametrize("name", RAN)
@given(data=st.data())
def test_frames_in_any_order_or_lost_never_break_the_tracker(name: str, data: st.DataObject) -> None:
    """Frames lost, doubled and out of order give some valid state."""
    frames = [frame for message in transcripts.messages(name) if (frame := parse_frame(message))]
    tracker = Tracker(prompt_id=transcripts.prompt_id(name))
    for frame in data.draw(st.lists(st.sampled_from(frames), max_size=12)):
        tracker = tracker.after(frame)

    assert tracker.phase in PHASES
    assert 0 <= tracker.value <= max(tracker.maximum, 0)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("success", "success"),
        ("node_error", "error"),
        ("interrupted", "interrupted"),
        ("oom", "error"),
        ("blocked", "success"),
    ],
)
def test_the_last_frame_ends_it_and_tells_how(name: str, hint: str) -> None:
    """Only `executing` without a node ends a prompt; a blocked branch's error frame is no end."""
    assert heard(name).phase == "over"
    assert heard(name).hint == hint


def test_a_blocked_branch_is_no_error() -> None:
    """Its error frame leaves the prompt as it was: it goes on to succeed."""
    hints = {heard("blocked", count).hint for count in range(len(transcripts.messages("blocked")) + 1)}

    assert hints == {"", "success"}


def test_progress_is_followed() -> None:
    """A sampler's steps show as value of maximum at its node."""
    states = [heard("interrupted", count) for count in range(len(transcripts.messages("interrupted")))]

    assert any(state.node == "4" and state.maximum == 60 and state.value > 0 for state in states)


def test_frames_of_other_prompts_are_ignored() -> None:
    """A frame with a foreign prompt id, or with none, changes nothing."""
    tracker = Tracker(prompt_id="mine")
    for data in ({"prompt_id": "theirs", "node": None}, {"node": None}, {"prompt_id": 7, "node": None}):
        frame = parse_frame(json.dumps({"type": "executing", "data": data}))

        assert frame is not None
        assert tracker.after(frame) is tracker


def test_nothing_changes_after_the_end() -> None:
    """Late and doubled frames of a prompt that is over are ignored."""
    tracker = Tracker(prompt_id="a", phase="over", hint="success")

    assert tracker.after(Frame(type="execution_error", prompt_id="a")) is tracker


JUNK = [
    b"\x00\x00\x00\x01\x00\x00\x00\x02\x89PNG",
    "",
    "null",
    "[]",
    "{",
    '{"type": 7}',
    '{"data": {}}',
    "[" * 100_000,
    '{"type": 1e999, "data": NaN}',
]


@pytest.mark.parametrize("message", JUNK, ids=range(len(JUNK)))
def test_what_is_no_frame_is_no_frame(message: str | bytes) -> None:
    """Previews, junk and bottomless nesting give None instead of an exception."""
    assert parse_frame(message) is None


def test_nan_and_lone_surrogates_are_read() -> None:
    """The non-standard literals and half characters that servers write do not stop the reader."""
    frame = parse_frame(
        '{"type": "progress", "data": {"prompt_id": "\\ud800", "value": NaN, "max": Infinity}}'
    )

    assert frame is not None
    assert Tracker(prompt_id="\ud800").after(frame).maximum == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TYPES = ["execution_start", "execution_cached", "executing", "progress", "executed", "execution_success"]


@given(
    kind=st.sampled_from(TYPES),
    data=st.fixed_dictionaries(
        {"prompt_id": st.just("a")},
        optional=dict.fromkeys(("node", "display_node", "value", "max", "nodes", "output"), json_values),
    ),
)
def test_any_data_in_a_known_frame_is_survived(kind: str, data: dict[str, object]) -> None:
    """No content of a frame, of whatever type, raises."""
    frame = parse_frame(json.dumps({"type": kind, "data": data}))

    assert frame is not None
    assert Tracker(prompt_id="a").after(frame).phase in PHASES


@given(json_values)
def test_any_queue_answer_is_survived(body: object) -> None:
    """A queue answer of any shape gives ids or None."""
    parse_queue(body)
    parse_queue({"queue_running": [body], "queue_pending": [body, [0, body]]})


def test_queue_tells_running_from_pending() -> None:
    """The ids of a real queue answer are found on their side."""
    body = next(line["queue"] for line in transcripts.lines("interrupted") if "queue" in line)
    queue = parse_queue(body)

    assert queue is not None
    assert queue.running == {transcripts.prompt_id("interrupted")}
    assert transcripts.prompt_id("interrupted") in queue


@pytest.mark.parametrize(
    ("running", "pending", "history", "expected"),
    [
        ([], ["a"], {}, Queued()),
        (["a"], [], {}, Running()),
        (["a"], [], {"a": {"status": 1}}, Finished({"status": 1})),
        ([], [], {"a": {}}, Finished({})),
        (["b"], ["c"], {"b": {}}, Absent()),
        ([], [], None, Absent()),
        ([], [], {"a": "broken"}, Absent()),
    ],
)
def test_a_prompt_is_in_one_place(
    running: list[str], pending: list[str], history: object, expected: object
) -> None:
    """Queue asked first, history second: history wins, and absent is only what is in neither."""
    queue = Queue(running=frozenset(running), pending=frozenset(pending))

    assert locate(queue, history, "a") == expected


def test_files_are_found_under_any_key() -> None:
    """Every object with a file name counts, whatever a node calls its list; positions count on."""
    output = {
        "images": [{"filename": "a.png", "subfolder": "s", "type": "output"}],
        "animated": [True],
        "gifs": [{"filename": "b.mp4", "subfolder": "", "type": "output"}],
        "text": ["filename"],
    }

    assert files_of("7", output) == (
        FileRef(node="7", index=0, filename="a.png", subfolder="s"),
        FileRef(node="7", index=1, filename="b.mp4"),
    )


@pytest.mark.parametrize(
    "entry",
    [
        {"filename": "../../etc/passwd"},
        {"filename": "a.png", "subfolder": "../.."},
        {"filename": "a\0.png"},
        {"filename": ""},
        {"filename": 7},
        {"filename": "a.png", "subfolder": ["x"]},
        {"filename": "a.png", "type": "input"},
        {"filename": "a.png", "type": "/etc"},
        {"filename": "/etc/passwd"},
        {"filename": "x/a.png"},
        {"filename": "..\\a.png"},
        {"filename": ".."},
        {"filename": "a.png", "subfolder": "/etc"},
        {"filename": "a.png", "subfolder": "C:\\Windows"},
        {"filename": "a.png", "subfolder": "x\\..\\.."},
        {"filename": None},
    ],
)
def test_file_entries_that_lead_elsewhere_are_none(entry: object) -> None:
    """Traversal, absolute places, NUL, wrong types and folders that are no outputs are not asked for."""
    output = {
        "images": [entry, {"filename": "fine.png", "subfolder": "a\\b"}],
        "animated": [False],
        "text": ["x"],
    }

    assert [ref.filename for ref in files_of("1", output)] == ["fine.png"]
    assert malformed(output) == (entry,)


@given(st.text(alphabet=st.characters(), max_size=200) | st.just("\x1b[31mred\u202e\u200b\ud800\r\n"))
def test_printable_text_is_one_harmless_line(text: str) -> None:
    """Nothing that moves a cursor, hides or reverses survives, and never more than the limit."""
    shown = printable(text, limit=50)

    assert shown.isprintable()
    assert len(shown) <= 50
    shown.encode("utf-8")


@pytest.mark.parametrize(("frames", "size", "kept"), [(1_500, 1, 1_000), (20, 2**20, 7)])
def test_what_frames_list_is_not_kept_without_bound(frames: int, size: int, kept: int) -> None:
    """A server that makes up nodes, or sends large ones, fills no memory: the first outputs are kept."""
    tracker = Tracker(prompt_id="p")
    for number in range(frames):
        data = {"prompt_id": "p", "node": f"{number}", "output": {"text": ["A" * size]}}
        frame = parse_frame(json.dumps({"type": "executed", "data": data}))
        assert frame is not None
        tracker = tracker.after(frame)

    assert list(tracker.outputs) == [f"{number}" for number in range(kept)]
    assert tracker.phase == "running"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_utf_8(encoding: str) -> None:
    """A mark in front of it is no fault; in any other encoding it is not read at all."""
    content = {"said": "é"}
    read = parse_json(json.dumps(content, ensure_ascii=False).encode(encoding), Secrets(["another"]))

    assert read == (content if encoding.startswith("utf-8") else None)


@pytest.mark.parametrize("kind", [str, str.encode])
def test_more_values_than_any_server_sends_are_not_read(kind: Callable[[str], str | bytes]) -> None:
    """A million may come; what stands in one long text is counted only where there is that much of it."""
    assert parse_json(kind("[" + "0," * 999_998 + "0]")) == [0] * 999_999
    assert parse_json(kind("[" + "[]," * 500_000 + "0]")) is None
    assert parse_frame('{"type": "x", "data": {"a": [' + "[]," * 500_000 + "0]}}") is None


def test_every_word_that_answers_are_read_by_may_be_a_credential() -> None:
    """Whatever member or kind the code asks an answer for stays, though it is what opens the door."""
    readers = (
        *("protocol", "verdict", "facts", "client", "course"),
        *("object_info", "node_inputs", "graph_check", "spelling", "replacements"),
    )
    asked = {
        word.value
        for name in readers
        for call in ast.walk(ast.parse((COMFY / f"{name}.py").read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "get"
        for word in call.args[:1]
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    }
    headers = {word for word in asked if "-" in word}
    words = sorted(asked - headers)

    assert len(words) > 30
    for secret in words:
        told = {word: word for word in words}
        assert parse_json(json.dumps(told), Secrets([secret])) == told


@pytest.mark.parametrize(
    "secret", ["prompt_id", "outputs", "output", "comfyui", "success", "execution", "123456"]
)
def test_a_credential_may_be_a_word_of_the_protocol(secret: str) -> None:
    """Answers and frames are read as ever; only what is said in free text is hidden."""
    picture = {"filename": "a.png", "subfolder": "", "type": "output", "size": 123456}
    told = {
        "system": {"comfyui_version": f"my {secret}"},
        "outputs": {"9": {"images": [picture], "text": [f"it is {secret}!"]}},
        "status": {"status_str": "success", "messages": [["execution_success", {"prompt_id": "p"}]]},
    }
    read = parse_json(json.dumps(told).encode(), Secrets([secret]))
    frame = parse_frame(json.dumps({"type": "executed", "data": {"prompt_id": "p"}}), Secrets(["executed"]))

    assert read["system"] == {"comfyui_version": "my ***"}
    assert read["outputs"]["9"] == {"images": [picture], "text": ["it is ***!"]}
    assert read["status"] == told["status"]
    assert frame == Frame(type="executed", prompt_id="p", data={"prompt_id": "p"})


def test_unreadable_json_is_none() -> None:
    """Numbers of absurd length and cut objects are no exception."""
    assert parse_json("9" * 10_000) is None
    assert parse_json(b"\xff\xfe") is None
