"""How attempts end, judged from what a real server recorded."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.comfy.verdict import Succeeded, choices, judge, nearest, node_fault, rejection, under
from runner.domain import Fault

from . import transcripts

NODES = {"2": {"class_type": "SaveImage", "inputs": {}, "_meta": {"title": "Portrait"}}}


def verdict(name: str, outputs: dict[str, Any] | None = None, prefix: str = "") -> Succeeded | Fault:
    wanted = prefix or f"animerun/t/{name}-a1/p"
    return judge(transcripts.entry(name), outputs or {"2": "image"}, wanted, nodes=NODES)


def fault(name: str, outputs: dict[str, Any] | None = None, prefix: str = "") -> Fault:
    found = verdict(name, outputs, prefix)
    assert isinstance(found, Fault)
    return found


def test_success_gives_the_files() -> None:
    """A finished job gives its declared node's files and the time it ran."""
    found = verdict("success")

    assert isinstance(found, Succeeded)
    assert [ref.server_name for ref in found.refs] == ["animerun/t/success-a1/p_00001_.png"]
    assert 0 <= found.run_s < 60


@pytest.mark.parametrize("years", [-56, 400])
def test_a_wrong_clock_over_there_changes_nothing(years: int) -> None:
    """Times of a server are only compared with each other, whatever year it believes in."""
    entry = transcripts.entry("success")
    for _, data in entry["status"]["messages"]:
        data["timestamp"] += years * 31_557_600_000
    found = judge(entry, {"2": "image"}, "animerun/t/success-a1/p")

    assert isinstance(found, Succeeded)
    assert found.run_s == verdict("success").run_s


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "a\0.png", "x\\..\\y.png", 7])
def test_a_file_name_that_leads_elsewhere_is_a_bad_output(name: object) -> None:
    """A hostile name beside a good one is refused with the entry shown harmlessly; nothing is asked for."""
    entry = transcripts.entry("success")
    entry["outputs"]["2"]["images"].append({"filename": name, "subfolder": "", "type": "output"})
    found = judge(entry, {"2": "image"}, "animerun/t/success-a1/p")

    assert isinstance(found, Fault)
    assert (found.code, found.retry, found.node) == ("BAD_OUTPUT", "never", "2")
    assert found.message.isprintable()


def test_a_cached_answer_is_no_success() -> None:
    """An older file, saved under another attempt's prefix, does not count."""
    found = fault("cached", prefix="animerun/t/cached-a2/p")

    assert (found.code, found.retry, found.node, found.node_class) == (
        "CACHED_OUTPUT",
        "again",
        "2",
        "SaveImage",
    )


def test_cached_nodes_are_counted() -> None:
    """The nodes a server answered from its cache are known."""
    found = verdict("cached")

    assert isinstance(found, Succeeded)
    assert found.cached == 2


def test_a_blocked_branch_is_a_missing_output() -> None:
    """The server says success, but a declared node made nothing."""
    found = fault("blocked", {"3": "image"}, "animerun/t/blk-a1/p")

    assert (found.code, found.retry, found.node) == ("MISSING_OUTPUT", "never", "3")


def test_every_declared_output_counts() -> None:
    """One of two declared nodes without a file fails the job."""
    assert fault("success", {"2": "image", "9": "image"}).code == "MISSING_OUTPUT"


def test_a_node_error_names_node_class_and_reason() -> None:
    """A failure at run time is told without traceback, and not retried."""
    found = fault("node_error", {"4": "image"})

    assert (found.code, found.retry, found.node, found.node_class) == (
        "NODE_ERROR",
        "never",
        "3",
        "ImageBatch",
    )
    assert found.message.startswith("node 3 (ImageBatch) failed: AttributeError: ")


def test_out_of_memory_may_work_elsewhere() -> None:
    """A GPU that is too small is not a fault of the job."""
    found = fault("oom", {"3": "image"})

    assert (found.code, found.retry, found.node) == ("OOM", "elsewhere", "2")


@pytest.mark.parametrize(
    "reason", ["CUDA error: device-side assert triggered", "[Errno 28] No space left on device: 'a.png'"]
)
def test_a_broken_machine_is_no_fault_of_the_job(reason: str) -> None:
    """A lost device or a full disk over there: another server may do it."""
    entry = transcripts.entry("node_error")
    for name, data in entry["status"]["messages"]:
        if name == "execution_error":
            data["exception_message"] = reason
    found = judge(entry, {"2": "image"}, "p")

    assert isinstance(found, Fault)
    assert (found.code, found.retry) == ("SERVER_SICK", "elsewhere")


def test_text_that_a_node_only_shows_is_an_output() -> None:
    """A declared text needs no file; a declared picture does."""
    entry = transcripts.entry("success")
    entry["outputs"]["7"] = {"text": ["a", 5, "b"]}
    found = judge(entry, {"7": "text"}, "p")
    other = judge(entry, {"7": "image"}, "p")

    assert isinstance(found, Succeeded)
    assert [(ref.text, ref.index) for ref in found.refs] == [("a", 0), ("b", 1)]
    assert isinstance(other, Fault)


def test_an_interrupt_is_told_from_an_error() -> None:
    """History calls both `error`; the messages tell them apart."""
    assert (fault("interrupted").code, fault("interrupted").retry) == ("INTERRUPTED", "again")


def test_nan_in_outputs_does_not_matter() -> None:
    """An output that is not JSON by the letter leaves the others readable."""
    assert isinstance(verdict("nan", {"3": "image"}), Succeeded)


def test_success_needs_its_message() -> None:
    """A status word alone, without the message of success, proves nothing."""
    entry = transcripts.entry("success")
    entry["status"]["messages"] = [m for m in entry["status"]["messages"] if m[0] != "execution_success"]
    found = judge(entry, {"2": "image"}, "animerun/t/success-a1/p")

    assert isinstance(found, Fault)
    assert found.code == "UNREADABLE"


def test_an_error_message_outweighs_a_status_of_success() -> None:
    """A server that forgot to reset its flag is not believed."""
    entry = transcripts.entry("node_error")
    entry["status"] |= {"status_str": "success", "completed": True}
    found = judge(entry, {"2": "image"}, "animerun/t/err-a1/p")

    assert isinstance(found, Fault)
    assert found.code == "NODE_ERROR"


def test_messages_of_servers_are_made_harmless() -> None:
    """Controls, bidirectional marks and endless texts of a node do not reach a terminal."""
    entry = transcripts.entry("node_error")
    for name, data in entry["status"]["messages"]:
        if name == "execution_error":
            data["exception_message"] = "\x1b[2J::error\u202e" + "x" * 10_000
    found = judge(entry, {"2": "image"}, "p")

    assert isinstance(found, Fault)
    assert found.message.isprintable()
    assert len(found.message) <= 500


def test_previews_count_only_where_nothing_else_is_saved() -> None:
    """A declared preview node gives its temporary file; beside a saved one previews are left out."""
    temp = {"filename": "ComfyUI_temp_x_00001_.png", "subfolder": "", "type": "temp"}
    entry = transcripts.entry("success")
    entry["outputs"]["2"]["images"].append(temp)
    entry["outputs"]["3"] = {"images": [temp]}
    found = judge(entry, {"2": "image", "3": "image"}, "animerun/t/success-a1/p")

    assert isinstance(found, Succeeded)
    assert [(ref.node, ref.type, ref.index) for ref in found.refs] == [("2", "output", 0), ("3", "temp", 0)]


@given(data=st.data())
def test_mutilated_entries_never_succeed_by_accident(data: st.DataObject) -> None:
    """Whatever part of a real entry is replaced by something else, the verdict is a verdict."""
    entry = copy.deepcopy(transcripts.entry("success"))
    junk = st.sampled_from([None, 7, "x", [], {}, [[]], [{}], float("nan"), 10**400, -(10**400)])
    place: Any = entry
    for _ in range(data.draw(st.integers(1, 4))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or not place[key]:
            break
        if data.draw(st.booleans()):
            break
        place = place[key]
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    place[data.draw(st.sampled_from(keys))] = data.draw(junk)
    found = judge(entry, {"2": "image"}, "animerun/t/success-a1/p")

    assert isinstance(found, Fault) or found.refs


@pytest.mark.parametrize(
    ("name", "prefix", "expected"),
    [
        ("a/b-a1/p_00001_.png", "a/b-a1/p", True),
        ("a/b-a1/p_9_00001_.png", "a/b-a1/p", True),
        ("a/b-a1/x.png", "a/b-a1/", True),
        ("a/b-a10/p_00001_.png", "a/b-a1", False),
        ("b-a1/p_00001_.png", "a/b-a1/p", False),
        ("anything.png", "", False),
    ],
)
def test_only_files_under_the_prefix_are_ours(name: str, prefix: str, expected: bool) -> None:
    """A neighbour whose name merely begins alike is not ours."""
    assert under(name, prefix) is expected


def test_backslashes_of_windows_servers_are_understood() -> None:
    """A folder written with backslashes is the same folder."""
    entry = transcripts.entry("success")
    entry["outputs"]["2"]["images"][0]["subfolder"] = "animerun\\t\\success-a1"

    assert isinstance(judge(entry, {"2": "image"}, "animerun/t/success-a1/p"), Succeeded)


def test_a_refused_value_is_told_with_its_limits() -> None:
    """A 400 names node, input, reason and what was sent."""
    found = rejection(*transcripts.answer("rejected"))

    assert (found.code, found.retry, found.node, found.node_class) == (
        "VALIDATION",
        "never",
        "1",
        "EmptyImage",
    )
    assert (
        found.message
        == "the server refused the workflow: node 1 (EmptyImage): width: Value 0 smaller than min of 1"
    )


def test_a_value_that_is_not_offered_names_the_nearest() -> None:
    """A missing model is told with the name it probably should have had."""
    found = rejection(*transcripts.answer("not_in_list"))

    assert (
        "ckpt_name: `tiny_sd16.safetensors` is not offered; did you mean tiny_sd15.safetensors?"
        in found.message
    )


def test_an_unknown_class_is_told() -> None:
    """A missing node pack shows as the class that is not there."""
    nodes = {"1": {"class_type": "NoSuchNode", "inputs": {}}}
    found = rejection(*transcripts.answer("unknown_class"), nodes)

    assert "refused the workflow: node 1 (NoSuchNode): " in found.message
    assert "node NoSuchNode does not exist" in found.message
    assert (found.node, found.node_class) == ("1", "NoSuchNode")


TITLED = {"7": {"class_type": "NoSuchNode", "inputs": {}, "_meta": {"title": "My face"}}}
OLDER = {
    "type": "invalid_prompt",
    "message": "Cannot execute because node NoSuchNode does not exist.",
    "details": "Node ID '#7'",
    "extra_info": {},
}
NEWER = {
    "type": "missing_node_type",
    "message": "Node 'My face' not found. The custom node may not be installed.",
    "details": "Node ID '#7'",
    "extra_info": {"node_id": "7", "class_type": "NoSuchNode", "node_title": "My face"},
}
"""What ComfyUI 0.3.64 and 0.33.0 said of the same graph."""


@pytest.mark.parametrize("nodes", [{}, TITLED], ids=["graph unknown", "graph known"])
@pytest.mark.parametrize("error", [OLDER, NEWER], ids=["0.3.64", "0.33.0"])
def test_a_missing_class_is_named_whatever_the_title_of_its_node(error: dict, nodes: dict) -> None:
    """The refusal of an unknown class names class and node, also where the server gives only the title."""
    found = rejection(400, {"error": error, "node_errors": {}}, nodes)

    assert "node 7" in found.message
    assert "NoSuchNode" in found.message
    assert (found.code, found.node) == ("VALIDATION", "7")
    assert found.node_class == ("NoSuchNode" if nodes or error is NEWER else "")


def test_a_titled_node_keeps_its_class() -> None:
    """A message of a node with a title of its own tells both; a title that is the class is told once."""
    failed = {"node_id": "2", "node_type": "SaveImage", "exception_message": "disk"}
    plain = {"2": {"class_type": "SaveImage", "_meta": {"title": "SaveImage"}}}

    assert node_fault(failed, NODES).message.startswith("node 2 (Portrait, SaveImage) failed")
    assert node_fault(failed, plain).message.startswith("node 2 (SaveImage) failed")


def test_partly_refused_outputs_are_a_refusal() -> None:
    """200 with node errors is told like a refusal."""
    status, body = transcripts.answer("partly")
    found = rejection(status, body)

    assert status == 200
    assert (found.code, found.node) == ("VALIDATION", "3")


def test_too_large_says_so() -> None:
    """413 is its own kind, and names the option of ComfyUI that sets the limit."""
    assert rejection(413, None).code == "TOO_LARGE"
    assert "--max-upload-size" in rejection(413, None).message


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_any_refusal_is_told_in_one_line(body: object) -> None:
    """Bodies of any shape give one printable line of at most 500 characters."""
    for found in (
        rejection(400, body),
        rejection(400, {"node_errors": {"1": body}}),
        rejection(400, {"error": body}),
    ):
        assert found.message.isprintable()
        assert len(found.message) <= 500


def test_choices_are_shortened() -> None:
    """A long list shows its beginning, its length and the nearest entry."""
    names = [f"model_{number:03}.safetensors" for number in range(300)]
    text = choices("model_17.safetensors", names)

    assert "did you mean model_" in text
    assert text.endswith("(300 in all)")
    assert len(text) < 300


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Anime/AkiV3.SAFETENSORS", "aki_v3.safetensors"),
        ("style_cel.safetensors", ""),
        ("aki_v3.ckpt", "aki_v3.safetensors"),
    ],
)
def test_the_nearest_file_is_near_in_its_stem(name: str, expected: str) -> None:
    """Folders, case and endings do not count, and an ending alone makes no neighbour."""
    assert nearest(name, ["aki_v3.safetensors", "tiny_lora_2.safetensors"]) == expected
