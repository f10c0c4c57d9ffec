"""What a server says beside the history of a prompt: the graph it ran, its frames. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.comfy.protocol import Tracker, printable

Plain = Any
Nodes = Mapping[str, Mapping[str, Plain]]


def altered(sent: Nodes, ran: Mapping[str, Plain]) -> Iterator[str]:
    """Yield what a server changed in a graph: nodes added, left out, or of another class."""
    for name in sorted({*sent, *ran}):
        before, after = sent.get(name), ran.get(name)
        if before is None or not isinstance(after, dict):
            yield f"node {printable(name, limit=40)} {'added' if before is None else 'left out'}"
        elif before.get("class_type") != after.get("class_type"):
            kind = printable(after.get("class_type"), limit=60)
            yield f"node {name} {before.get('class_type')} became {kind}"


def from_frames(tracker: Tracker) -> Mapping[str, Plain] | None:
    """Return what frames said of a success whose history entry is gone: its files may still be there."""
    if tracker.hint != "success":
        return None
    status = {"status_str": "success", "messages": [["execution_success", {}]]}
    return {"status": status, "outputs": tracker.outputs, "meta": tracker.meta}
