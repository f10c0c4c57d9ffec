"""Names of model files as a server lists them: Windows writes `anime\\ink`, everyone else `anime/ink`. Pure.

What is stored and hashed never changes: only what one server is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.comfy.object_info import ObjectInfo

Plain = Any
Nodes = Mapping[str, Mapping[str, Plain]]


def spelled(value: Plain, options: Sequence[Plain]) -> str | None:
    """Return the option that differs from *value* in `/` and `\\` alone, None where there is none."""
    if not isinstance(value, str) or not ("/" in value or "\\" in value):
        return None
    wanted = value.replace("\\", "/")
    found = (each for each in options if isinstance(each, str) and each.replace("\\", "/") == wanted)
    return next(found, None)


def spelled_as_listed(nodes: Nodes, offers: ObjectInfo) -> Nodes:
    """Return *nodes* with every file name spelled as *offers* lists it; the very same where nothing differs.

    A node whose class the server replaces gets a `_meta`: without it ComfyUI 0.33 answers 500
    (app/node_replace_manager.py copy_node_struct).
    """
    changed = {name: new for name, node in nodes.items() if (new := _listed(node, offers)) is not node}
    return {**nodes, **changed} if changed else nodes


def _listed(node: Mapping[str, Plain], offers: ObjectInfo) -> Mapping[str, Plain]:
    node_class, given = str(node.get("class_type", "")), node.get("inputs")
    if node_class not in offers:
        return node if "_meta" in node else {**node, "_meta": {"title": node_class}}
    if not isinstance(given, dict):
        return node
    paths = [name for name, value in given.items() if _has_path(value)]
    if not paths:
        return node
    known = offers.inputs(node_class, given).inputs
    new = {name: _value(given[name], known[name].options or ()) for name in paths if name in known}
    return {**node, "inputs": {**given, **new}} if any(new[name] != given[name] for name in new) else node


def _has_path(value: Plain) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("__value__"), list)
    return isinstance(value, str) and ("/" in value or "\\" in value)


def _value(value: Plain, options: Sequence[Plain]) -> Plain:
    if isinstance(value, dict):
        return {**value, "__value__": [_value(each, options) for each in value["__value__"]]}
    return value if value in options else spelled(value, options) or value
