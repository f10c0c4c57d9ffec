"""The progress entries of one running job, in the shape of `progress_state` frames. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """A node's names in frames: its id, the shown one, its parent, and the submitted node behind it."""

    node: str
    display: str
    parent: str | None
    real: str

    def meta(self) -> dict[str, Any]:
        """Return the names in the shape that history's `meta` uses."""
        return {
            "node_id": self.node,
            "display_node": self.display,
            "parent_node": self.parent,
            "real_node_id": self.real,
        }


@dataclass(slots=True)
class Progress:
    """Entries of the nodes started so far."""

    prompt_id: str
    _entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    def start(self, names: Names) -> None:
        """Enter a node as running."""
        self._set(names, 0.0, 1.0, "running")

    def update(self, names: Names, value: float, most: float) -> None:
        """Note how far a running node is."""
        self._set(names, value, most, "running")

    def finish(self, names: Names) -> None:
        """Note that a node is done; one that never started (cached) is entered as done."""
        most = self._entries[names.node]["max"] if names.node in self._entries else 1
        self._set(names, most, most, "finished")

    def _set(self, names: Names, value: float, most: float, state: str) -> None:
        self._entries[names.node] = {
            "value": value,
            "max": most,
            "state": state,
            "node_id": names.node,
            "prompt_id": self.prompt_id,
            "display_node_id": names.display,
            "parent_node_id": names.parent,
            "real_node_id": names.real,
        }

    def data(self) -> dict[str, Any]:
        """Return the data of a `progress_state` frame; later changes do not touch it."""
        return {"prompt_id": self.prompt_id, "nodes": dict(self._entries)}
