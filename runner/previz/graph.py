"""Pure rules about a prompt: what a link is, who is above whom, which node runs next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Node = dict[str, Any]
Prompt = dict[str, Node]


def is_link(value: object) -> bool:
    """Return whether *value* is ``[node id, output index]``."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
    )


def ancestry(prompt: Mapping[str, Node], node_id: str) -> dict[str, int]:
    """Return every node above *node_id*, numbered in the order a walk by sorted input names meets them.

    Raises:
        KeyError: A node on the way has no ``inputs``.

    """
    found: dict[str, int] = {}
    # Iterators instead of recursion: a chain of a thousand nodes is legal.
    trail = [iter(_parents(prompt, node_id))]
    while trail:
        parent = next(trail[-1], None)
        if parent is None:
            trail.pop()
        elif parent not in found:
            found[parent] = len(found)
            trail.append(iter(_parents(prompt, parent)))
    return found


def _parents(prompt: Mapping[str, Node], node_id: str) -> list[str]:
    if node_id not in prompt:
        return []
    inputs = prompt[node_id]["inputs"]
    return [inputs[name][0] for name in sorted(inputs) if is_link(inputs[name])]


class Order:
    """Which node runs next: any order that respects links, with output nodes pulled forward."""

    def __init__(
        self,
        prompt: Prompt,
        *,
        is_output: Callable[[str], bool],
        goes_first: Callable[[str], bool],
        is_lazy: Callable[[str, str], bool],
        is_cached: Callable[[str], bool],
    ) -> None:
        self._prompt = prompt
        self._is_output = is_output
        self._goes_first = goes_first
        self._is_lazy = is_lazy
        self._is_cached = is_cached
        self._waits_for: dict[str, int] = {}
        self._blocks: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._waits_for)

    def add(self, node_id: str) -> None:
        """Add a node and whatever above it is neither cached nor added yet; a lazy input is left out."""
        waiting, links = [node_id], []
        while waiting:
            current = waiting.pop()
            if current in self._waits_for:
                continue
            self._waits_for[current] = 0
            self._blocks[current] = []
            for name, value in self._prompt[current]["inputs"].items():
                if is_link(value) and not self._is_cached(value[0]) and not self._is_lazy(current, name):
                    waiting.append(value[0])
                    links.append((value[0], current))
        for above, below in links:
            self._connect(above, below)

    def require(self, above: str, below: str) -> None:
        """Make *below*, already added, wait for *above*."""
        if not self._is_cached(above):
            self.add(above)
            self._connect(above, below)

    def _connect(self, above: str, below: str) -> None:
        if below not in self._blocks[above]:
            self._blocks[above].append(below)
            self._waits_for[below] += 1

    def pick(self) -> str:
        """Return the next node to run.

        Raises:
            RuntimeError: Every node waits for another (an expansion made a cycle).

        """
        ready = [node_id for node_id, count in self._waits_for.items() if count == 0]
        if not ready:
            raise RuntimeError("dependency cycle")
        for node_id in ready:
            if self._is_output(node_id) or self._goes_first(node_id):
                return node_id
        for node_id in ready:
            if any(self._is_output(below) for below in self._blocks[node_id]):
                return node_id
        for node_id in ready:
            if any(self._is_output(far) for below in self._blocks[node_id] for far in self._blocks[below]):
                return node_id
        return ready[0]

    def complete(self, node_id: str) -> None:
        """Take a node out and release what waited for it."""
        del self._waits_for[node_id]
        for below in self._blocks.pop(node_id):
            self._waits_for[below] -= 1
