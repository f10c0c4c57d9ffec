"""Nodes that decide what runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.previz.nodes.definition import MATCHED, Call, NodeClass, matched


def chosen(inputs: Mapping[str, Any]) -> str:
    """Return the name of the branch that a switch needs."""
    return "on_true" if inputs["switch"] else "on_false"


def choose(call: Call, **inputs: Any) -> tuple[Any, ...]:
    """Return the value of the chosen branch."""
    return (inputs[chosen(inputs)],)


CLASSES = (
    NodeClass(
        name="ComfySwitchNode",
        run=choose,
        category="utilities/logic",
        display="If/Else Switch",
        module="comfy_extras.nodes_logic",
        newer=True,
        trial=True,
        wants=chosen,
        required={"switch": ["BOOLEAN", {}], "on_false": matched("switch"), "on_true": matched("switch")},
        returns=(MATCHED,),
        return_names=("output",),
    ),
)
