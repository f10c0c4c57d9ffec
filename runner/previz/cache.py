"""The node cache: a signature per node, and the classic rule for what is kept. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.previz.graph import Prompt, ancestry, is_link
from runner.previz.nodes.definition import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a finished node left: its outputs, and `shown` with `meta` if it shows something."""

    outputs: tuple[Any, ...]
    shown: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] | None = None


class NodeCache:
    """Entries by signature; keeps exactly the signatures of the prompt that started last."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, Entry] = {}

    def keep(self, signatures: Collection[Hashable]) -> None:
        """Drop every entry whose signature is not among *signatures*."""
        self._entries = {key: self._entries[key] for key in signatures if key in self._entries}

    def get(self, signature: Hashable) -> Entry | None:
        """Return the entry, or None."""
        return self._entries.get(signature)

    def put(self, signature: Hashable, entry: Entry) -> None:
        """Store a finished node."""
        self._entries[signature] = entry

    def clear(self) -> None:
        """Forget everything (`POST /free`)."""
        self._entries.clear()


def signatures(prompt: Prompt, catalogue: Catalogue, changed: Mapping[str, object]) -> dict[str, Hashable]:
    """Return a hashable signature per node of *prompt*.

    It holds the class, the change check's value and all inputs of the node and of every ancestor, links by
    the ancestor's position; node ids, `_meta` and titles are not in it.

    Args:
        prompt: Validated nodes.
        catalogue: Tells which classes carry their node id.
        changed: Node id → value of its change check.

    Raises:
        KeyError: A node has no ``inputs``.

    """
    result: dict[str, Hashable] = {}
    for node_id in prompt:
        above = ancestry(prompt, node_id)
        own = [_own(prompt, catalogue, changed, each, above) for each in (node_id, *above)]
        result[node_id] = tuple(own)
    return result


def _own(
    prompt: Prompt,
    catalogue: Catalogue,
    changed: Mapping[str, object],
    node_id: str,
    above: Mapping[str, int],
) -> Hashable:
    node = prompt.get(node_id)
    if node is None:
        return float("nan")
    class_type = node["class_type"]
    node_class = catalogue.get(class_type)
    named = node_id if node_class is not None and node_class.fickle else None
    inputs = node["inputs"]
    parts: list[Hashable] = [class_type, hashable(changed.get(node_id, False)), named]
    for name in sorted(inputs):
        value = inputs[name]
        if is_link(value):
            parts.append((name, ("above", above.get(value[0], -1), value[1])))
        else:
            parts.append((name, hashable(value)))
    return tuple(parts)


def hashable(value: object) -> Hashable:
    """Return *value* as something hashable, equal for equal JSON; any other object equals nothing."""
    if isinstance(value, dict):
        return ("{}", frozenset((key, hashable(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return ("[]", tuple(hashable(item) for item in value))
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return float("nan")
