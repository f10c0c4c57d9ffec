# ruff: noqa: E501 - a table
"""Why a job is rendered again, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runner.explain import NEW, Told, why

TOLD = Told(
    recipe="r",
    template="t",
    template_digest="d",
    model="ink",
    prompt="a girl, runs",
    negative="blurry",
    seed=7,
    slots={"cast": "a girl", "action": "runs"},
    loras=[{"file": "a.safetensors", "weight": 0.8, "clip": 0.8, "part": ""}],
    params={"steps": 20, "size": {"width": 512, "height": 768}},
    members=[{"name": "aki", "prompt": "a girl", "outfit": "", "expression": "smile"}],
    files={"in.png": "1.png"},
    state="succeeded",
)


def member(**changes: str) -> list[dict[str, str]]:
    return [{**TOLD.members[0], **changes}]


def lora(**changes: Any) -> list[dict[str, Any]]:
    return [{**TOLD.loras[0], **changes}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"template": "u"}, "template t → u"),
        ({"template_digest": "e"}, "template t changed"),
        ({"model": ""}, "model ink → none"),
        ({"members": member(prompt="a tall girl")}, "prompt of character aki changed"),
        ({"members": member(outfit="kimono")}, "outfit of character aki changed"),
        ({"members": member(expression="cry")}, "expression of character aki changed"),
        ({"members": []}, "cast aki → none"),
        ({"slots": {"cast": "a girl", "action": "sits"}}, "action changed"),
        ({"slots": {"cast": "other words", "action": "runs"}, "members": member(prompt="x")}, "prompt of character aki changed"),
        ({"loras": lora(weight=0.5)}, "LoRA a.safetensors 0.8 → 0.5"),
        ({"loras": []}, "LoRA a.safetensors removed"),
        ({"loras": [*TOLD.loras, {"file": "b", "weight": 1.0, "clip": 1.0, "part": ""}]}, "LoRA b added"),
        ({"negative": ""}, "negative changed"),
        ({"seed": 8}, "seed 7 → 8"),
        ({"params": {"steps": 30, "size": TOLD.params["size"]}}, "steps 20 → 30"),
        ({"params": {"steps": 20, "size": {"width": 1, "height": 2}}}, "size 512x768 → 1x2"),
        ({"files": {"in.png": "2.png"}}, "file in.png changed"),
        ({"prompt": "other words"}, "wording changed"),
        ({"recipe": "q"}, "animerun renders it differently now"),
        ({}, ""),
    ],
)  # fmt: skip
def test_one_change_is_told_by_its_name(changes: dict[str, Any], said: str) -> None:
    """The cause a person would name, and nothing beside it."""
    assert why(TOLD, replace(TOLD, **changes)) == said


def test_what_was_not_there_is_new() -> None:
    """A key no run has had."""
    assert why(None, TOLD) == NEW


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("failed", "it failed last time"),
        ("cancelled", "it was taken back last time"),
        ("submitted", "it was under way when the last run was stopped"),
        ("pending", "it was not made last time"),
    ],
)
def test_without_a_change_its_end_is_the_reason(state: str, said: str) -> None:
    """A job that came to nothing is rendered again for that."""
    assert why(replace(TOLD, state=state), TOLD) == said


def test_many_changes_are_cut_short() -> None:
    """Three causes, then how many more."""
    changed = replace(TOLD, template="u", model="x", negative="", seed=8, params={"steps": 1})

    assert why(TOLD, changed) == "template t → u, model ink → x, negative changed and 3 more"


def test_the_order_of_loras_counts() -> None:
    """The same LoRAs in another order are another chain."""
    two = [*TOLD.loras, {"file": "b", "weight": 1.0, "clip": 1.0, "part": ""}]

    assert why(replace(TOLD, loras=two), replace(TOLD, loras=two[::-1])) == "order of LoRAs changed"
