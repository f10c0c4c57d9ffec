"""One job without a server: which frames, in which order, and what history gets."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from PIL import Image

from runner.previz.execution import Execution
from runner.previz.validate import validate

from .conftest import Listener
from .graphs import Prompt, node, plain, txt2img


def run(listener: Listener, prompt: Prompt, client_id: str | None = "c", **extra: Any) -> dict[str, Any]:
    """Validate and run a prompt; return the history entry's own part."""
    prompt = deepcopy(prompt)
    verdict = validate(prompt, listener.desk.catalogue, listener.desk.folders)
    assert verdict.error is None, verdict
    listener.frames.clear()
    extra_data = extra if client_id is None else {**extra, "client_id": client_id}
    return Execution(listener.desk, prompt_id="p", prompt=prompt, extra_data=extra_data).run(verdict.outputs)


def sources(inner: dict[str, Any]) -> Prompt:
    """Return a plain picture that goes through *inner* (node 2) into a save (node 3)."""
    return {
        "1": plain()["1"],
        "2": inner,
        "3": node("SaveImage", images=["2", 0], filename_prefix="t/x"),
    }


def test_the_frames_of_a_simple_job(listener: Listener) -> None:
    """Start, cached, each node, its output, success; each node between running and finished."""
    run(listener, plain())

    assert listener.kinds() == [
        "execution_start",
        "execution_cached",
        "executing",
        "executing",
        "executed",
        "execution_success",
    ]
    states = [
        {key: entry["state"] for key, entry in data["nodes"].items()}
        for data in listener.of("progress_state")
    ]
    assert states == [
        {"1": "running"},
        {"1": "finished"},
        {"1": "finished", "2": "running"},
        {"1": "finished", "2": "finished"},
    ]


def test_an_identical_job_runs_nothing_and_writes_nothing(listener: Listener) -> None:
    """The old file is reported again."""
    first = run(listener, plain())
    second = run(listener, plain())

    assert second["outputs"] == first["outputs"]
    assert listener.of("execution_cached")[0]["nodes"] == ["1", "2"]
    assert listener.of("executing") == []
    assert len(list((listener.desk.folders.root / "output/t").iterdir())) == 1


def test_history_names_the_node_that_made_an_output(listener: Listener) -> None:
    """A cached output keeps the names it was made under."""
    run(listener, plain())
    renamed = {"a": plain()["1"], "b": node("SaveImage", images=["a", 0], filename_prefix="t/x")}

    assert run(listener, renamed)["meta"]["b"]["node_id"] == "2"


def test_without_a_client_only_progress_is_sent(listener: Listener) -> None:
    """Frames about nodes need somebody to go to; progress goes to everyone."""
    run(listener, plain(), client_id=None)

    assert listener.kinds() == []
    assert {to for _kind, _data, to in listener.frames} == {None}


def test_a_failure_tells_what_it_was(listener: Listener) -> None:
    """The job is in error, with the node, the inputs as text and the nodes that ran."""
    result = run(listener, sources(node("TRaise", image=["1", 0], kind="value")))
    error = result["status"]["messages"][-1][1]

    assert result["status"]["status_str"] == "error"
    assert (error["node_id"], error["node_type"], error["executed"]) == ("2", "TRaise", ["1"])
    assert (error["exception_type"], error["exception_message"]) == ("ValueError", "deliberate failure\n")
    assert error["current_inputs"] == {"image": ["images(count=1, width=16, height=8)"], "kind": ["value"]}
    assert listener.of("execution_error") == [error]


def test_running_out_of_memory_is_reported_under_the_real_name(listener: Listener) -> None:
    """Clients look for torch's exception."""
    result = run(listener, sources(node("TRaise", image=["1", 0], kind="oom")))
    error = result["status"]["messages"][-1][1]

    assert error["exception_type"] == "torch.OutOfMemoryError"
    assert error["exception_message"].startswith("Allocation on device")


@pytest.mark.parametrize("kind", ["keyboard", "systemexit", "baseexc"])
def test_some_failures_are_not_caught(listener: Listener, kind: str) -> None:
    """What kills a real worker leaves the execution."""
    with pytest.raises(BaseException) as caught:
        run(listener, sources(node("TRaise", image=["1", 0], kind=kind)))

    assert not isinstance(caught.value, Exception)


def test_an_interrupt_is_an_error_with_its_own_message(listener: Listener) -> None:
    """It is taken before the next node starts, and told to everyone when the job has no client."""
    listener.interrupts = [False, True]
    result = run(listener, plain(), client_id=None)

    assert result["status"]["status_str"] == "error"
    assert result["status"]["messages"][-1][0] == "execution_interrupted"
    assert [to for kind, _data, to in listener.frames if kind == "execution_interrupted"] == [None]


def test_a_blocked_output_is_a_success_without_outputs(listener: Listener) -> None:
    """Nothing is saved; a message becomes an error frame that history does not know."""
    result = run(listener, sources(node("TBlock", image=["1", 0], msg="stop here")))

    assert (result["status"]["status_str"], result["outputs"]) == ("success", {})
    assert listener.of("execution_error")[0]["exception_message"] == "Execution Blocked: stop here"


@pytest.mark.parametrize(("name", "left"), [("gate-1", []), ("gate.open", ["gate.open"])])
def test_a_gate_lets_pass_whom_a_file_permits(listener: Listener, name: str, left: list[str]) -> None:
    """A permit is used up by one job; an open gate stays open."""
    folder = listener.desk.folders.root / "input"
    (folder / name).touch()
    result = run(listener, sources(node("TGate", image=["1", 0])))

    assert result["status"]["status_str"] == "success"
    assert [path.name for path in folder.iterdir()] == left


def test_a_job_at_a_closed_gate_can_be_interrupted(listener: Listener) -> None:
    """Without a permit a job waits, and looks at the interrupt flag while it does."""
    listener.interrupts = [False, False, False, True]
    result = run(listener, sources(node("TGate", image=["1", 0])))

    assert result["status"]["messages"][-1][0] == "execution_interrupted"


def test_a_node_may_turn_into_others(listener: Listener) -> None:
    """The child runs under an id below its parent, and the parent ends after it."""
    run(listener, sources(node("TExpand", image=["1", 0])))

    assert [(each["node"], each["display_node"]) for each in listener.of("executing")] == [
        ("1", "1"),
        ("2", "2"),
        ("2.0.0.1", "2"),
        ("3", "3"),
    ]
    saved = next((listener.desk.folders.root / "output/t").iterdir())
    assert Image.open(saved).getpixel((0, 0)) == (255, 255, 0)


def test_the_twin_of_a_node_is_served_from_it(listener: Listener) -> None:
    """Two equal saves write one file and both report it."""
    prompt = {**plain(), "3": plain()["2"]}
    result = run(listener, prompt)

    assert result["outputs"]["2"] == result["outputs"]["3"]
    assert len(listener.of("executing")) == 2


def test_a_change_check_is_written_into_the_executed_prompt(listener: Listener) -> None:
    """The file's hash is part of the prompt inside the PNG, and a new content runs again."""
    Image.new("RGB", (4, 4), (1, 2, 3)).save(listener.desk.folders.root / "input/a.png")
    prompt = {
        "1": node("LoadImage", image="a.png"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="t/x"),
    }
    run(listener, prompt)
    saved = listener.desk.folders.root / "output/t/x_00001_.png"
    assert '"is_changed": ["' in Image.open(saved).text["prompt"]

    Image.new("RGB", (4, 4), (9, 9, 9)).save(listener.desk.folders.root / "input/a.png")
    run(listener, prompt)
    assert listener.of("execution_cached")[0]["nodes"] == []


def test_a_key_fails_when_the_node_runs(listener: Listener) -> None:
    """The key of a dynamic combo is not checked when a prompt is submitted."""
    film = node("CreateVideo", images=["1", 0], fps=8)
    saver = node("SaveVideo", video=["5", 0], filename_prefix="x", format="no")
    prompt = {"1": node("EmptyImage", width=8, height=8, batch_size=1, color=0), "5": film, "2": saver}
    error = run(listener, prompt)["status"]["messages"][-1][1]

    assert (error["exception_type"], error["node_id"]) == ("TypeError", "2")


def test_text_goes_out_as_a_binary_frame(listener: Listener) -> None:
    """Type 3, the length of the id, the id, the text."""
    run(listener, {"7": node("TText", text="héllo")})

    assert listener.payloads == [b"\0\0\0\x03\0\0\0\x017" + "héllo".encode()]


def test_a_sampler_reports_honest_steps(listener: Listener) -> None:
    """Values rise to the number of steps that was asked for."""
    prompt = txt2img()
    prompt["6"]["inputs"]["steps"] = 30
    run(listener, prompt)
    values = [each["value"] for each in listener.of("progress")]

    assert values == sorted(set(values))
    assert values[-1] == 30
    assert {each["max"] for each in listener.of("progress")} == {30}
