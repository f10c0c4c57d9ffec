"""Verdicts on submitted prompts; the answers themselves are compared with a real server in conformance/."""

from __future__ import annotations

import pytest

from runner.previz.files import Folders
from runner.previz.nodes import catalogue
from runner.previz.validate import Verdict, matches, validate

from .graphs import Prompt, node, plain, txt2img

CLASSES = catalogue()


@pytest.fixture
def judge(folders: Folders):
    """Return a function that judges a prompt."""

    def judged(prompt: Prompt, targets: list[str] | None = None) -> Verdict:
        return validate(prompt, CLASSES, folders, targets)

    return judged


def kinds(verdict: Verdict, node_id: str) -> list[str]:
    """Return the types of a node's errors."""
    return [error["type"] for error in verdict.node_errors[node_id]["errors"]]


def test_a_good_prompt_runs_all_its_outputs(judge) -> None:
    """No error, no node errors, every output node."""
    assert judge(txt2img()) == Verdict(outputs=["9"])


def test_values_are_converted_in_place(judge) -> None:
    """A number in text becomes a number, a float for an INT is cut."""
    prompt = plain()
    prompt["1"]["inputs"] |= {"width": "64", "height": 8.9, "color": {"__value__": 5}}
    judge(prompt)

    assert prompt["1"]["inputs"] == {"width": 64, "height": 8, "batch_size": 1, "color": 5}


@pytest.mark.parametrize("name", ["nosuch.safetensors", "どこ.ckpt", "a\\b.pt"])
def test_any_model_file_passes(judge, name: str) -> None:
    """previz has no models, so no name is wrong."""
    prompt = txt2img()
    prompt["1"]["inputs"]["ckpt_name"] = name

    assert judge(prompt).error is None


def test_a_long_list_is_not_repeated(judge) -> None:
    """With more than twenty choices only their number is told."""
    prompt = txt2img()
    prompt["6"]["inputs"]["sampler_name"] = "nope"
    error = judge(prompt).node_errors["6"]["errors"][0]

    assert error["details"] == "sampler_name: 'nope' not in (list of length 42)"
    assert error["extra_info"]["input_config"] is None


def test_a_cycle_is_refused_without_a_reason(judge) -> None:
    """Both nodes of a cycle are invalid, nobody is named, and the walk ends."""
    prompt = {
        "a": node("ImageInvert", image=["b", 0]),
        "b": node("ImageInvert", image=["a", 0]),
        "c": node("SaveImage", images=["a", 0], filename_prefix="x"),
    }
    verdict = judge(prompt)

    assert verdict.error["type"] == "prompt_outputs_failed_validation"
    assert verdict.node_errors == {}


def test_one_good_output_is_enough(judge) -> None:
    """The bad output is named, the good one runs."""
    prompt = {**plain(), "3": node("PreviewImage", images=["99", 0])}
    verdict = judge(prompt)

    assert (verdict.error, verdict.outputs) == (None, ["2"])
    assert kinds(verdict, "3") == ["exception_during_validation"]


def test_a_fault_is_charged_to_every_bad_output(judge) -> None:
    """A node at fault lists the outputs it spoils, once each."""
    prompt = {**plain(), "3": node("PreviewImage", images=["1", 0])}
    prompt["1"]["inputs"]["width"] = 0
    verdict = judge(prompt)

    assert kinds(verdict, "1") == ["value_smaller_than_min"]
    assert verdict.node_errors["1"]["dependent_outputs"] == ["2", "3"]


def test_targets_choose_outputs(judge) -> None:
    """Only the outputs asked for are looked at."""
    prompt = {**plain(), "3": node("PreviewImage")}

    assert judge(prompt, ["2"]).outputs == ["2"]
    assert judge(prompt, ["nope"]).error["type"] == "prompt_no_outputs"


@pytest.mark.parametrize("prompt", [None, [1], 7])
def test_what_is_no_object_is_a_surprise(judge, prompt: object) -> None:
    """A malformed prompt raises; the server answers 500."""
    with pytest.raises((TypeError, IndexError)):
        judge(prompt)


@pytest.mark.parametrize(
    ("received", "wanted", "expected"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("IMAGE", "*", True),
        ("*", "MASK", True),
        ("IMAGE", "MASK,IMAGE", True),
        ("INT,FLOAT", "FLOAT", True),
        ("IMAGE", ["a", "b"], False),
    ],
)
def test_types_of_a_link(received: object, wanted: object, expected: bool) -> None:
    """Names must be equal, share a member of a union, or meet a star."""
    assert matches(received, wanted) is expected
