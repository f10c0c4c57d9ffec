"""How workflows are kept small: a shape once, then only the leaves in which a workflow differs from it.

A *shape* is the first workflow seen with a given set of nodes, classes and links. Another workflow of the
same shape is stored as `{leaf number: value}` against it. Long texts are kept once, by hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LONG = 200
"""Characters from which a text is kept by hash."""

Nodes = Mapping[str, Mapping[str, Any]]
Packed = dict[str, Any]


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _leaves(nodes: Nodes) -> Iterator[tuple[str, str, Any]]:
    for node_id, node in nodes.items():
        for name, value in node["inputs"].items():
            if not _is_link(value):
                yield node_id, name, value


def _skeleton(nodes: Nodes) -> str:
    """Return what two workflows of one shape share: everything but the values of the leaves, in order."""
    rows = [
        [node_id, node["class_type"], [[k, v if _is_link(v) else None] for k, v in node["inputs"].items()]]
        for node_id, node in nodes.items()
    ]
    extra = [{k: v for k, v in node.items() if k not in ("class_type", "inputs")} for node in nodes.values()]
    return hashlib.sha256(json.dumps([rows, extra]).encode()).hexdigest()[:16]


def text_name(text: str) -> str:
    """Return the name under which a long text is kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


@dataclass(slots=True)
class Packer:
    """Packs workflows; `news` holds the lines a reader needs before the packed workflow."""

    _shapes: dict[str, list[Any]] = field(default_factory=dict)
    _texts: set[str] = field(default_factory=set)

    def pack(self, nodes: Nodes) -> tuple[list[Packed], Packed]:
        """Return the journal lines to write first (new shape, new texts) and the packed workflow."""
        shape = _skeleton(nodes)
        values = [value for _, _, value in _leaves(nodes)]
        news: list[Packed] = []
        if shape not in self._shapes:
            self._shapes[shape] = values
            news.append({"t": "shape", "shape": shape, "nodes": {k: dict(v) for k, v in nodes.items()}})
        base = self._shapes[shape]
        changed: dict[str, Any] = {}
        for number, value in enumerate(values):
            if value == base[number] and type(value) is type(base[number]):
                continue
            changed[str(number)] = self._intern(value, news)
        return news, {"shape": shape, "leaves": changed}

    def learn(self, line: Mapping[str, Any]) -> None:
        """Take note of a shape or text line that is in the journal already."""
        if line["t"] == "shape":
            self._shapes[line["shape"]] = [value for _, _, value in _leaves(line["nodes"])]
        elif line["t"] == "text":
            self._texts.add(line["text"])

    def _intern(self, value: Any, news: list[Packed]) -> Any:
        if not isinstance(value, str) or len(value) < LONG:
            return value
        name = text_name(value)
        if name not in self._texts:
            self._texts.add(name)
            news.append({"t": "text", "text": name, "value": value})
        return {"$text": name}


def unpack(
    packed: Mapping[str, Any], shapes: Mapping[str, Nodes], texts: Mapping[str, str]
) -> dict[str, Any]:
    """Return the workflow as it was packed, byte for byte in JSON; raises KeyError for an unknown shape."""
    nodes = {k: {**v, "inputs": dict(v["inputs"])} for k, v in shapes[packed["shape"]].items()}
    changed = packed["leaves"]
    for number, (node_id, name, _) in enumerate(list(_leaves(nodes))):
        if str(number) in changed:
            value = changed[str(number)]
            if isinstance(value, dict) and set(value) == {"$text"}:
                value = texts[value["$text"]]
            nodes[node_id]["inputs"][name] = value
    return nodes
