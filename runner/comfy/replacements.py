"""Node classes that a server runs in the place of others it does not have (`GET /node_replacements`). Pure.

The rules are those of ComfyUI 0.33 app/node_replace_manager.py `apply_replacements`: of several the first
counts, and the new node gets only the inputs that the replacement maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Plain = Any
Node = Mapping[str, Plain]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What stands in for one class."""

    node_class: str
    inputs: tuple[Mapping[str, Plain], ...] = ()
    """{`new_id`, `old_id`} takes over an input, {`new_id`, `set_value`} sets one."""


def read_replacements(listed: Mapping[str, Plain]) -> dict[str, Replacement]:
    """Return old class → what stands in for it; entries of another shape are left out."""
    first = {old: new[0] for old, new in listed.items() if isinstance(new, list) and new}
    return {
        old: Replacement(node_class=str(new.get("new_node_id")), inputs=tuple(_maps(new)))
        for old, new in first.items()
        if isinstance(new, dict)
    }


def _maps(new: Mapping[str, Plain]) -> Iterator[Mapping[str, Plain]]:
    maps = new.get("input_mapping")
    for each in maps if isinstance(maps, list) else ():
        if isinstance(each, dict) and isinstance(each.get("new_id"), str):
            yield each


def as_replaced(node: Node, replacement: Replacement) -> Node:
    """Return *node* as the server makes it of the one it was sent."""
    given = node.get("inputs")
    old = given if isinstance(given, dict) else {}
    inputs = {
        each["new_id"]: each["set_value"] if "set_value" in each else old[str(each["old_id"])]
        for each in replacement.inputs
        if "set_value" in each or str(each.get("old_id")) in old
    }
    return {**node, "class_type": replacement.node_class, "inputs": inputs}
