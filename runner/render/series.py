"""Jobs that differ in their seed alone, as takes do: two are rendered, for the others the seed is exchanged.

Takes are the fastest axis, so most jobs of a batch follow one that is like them but for the seed. It works
for templates that write the seed down and do nothing else with it (`Facts.written`): there nothing but the
written number can depend on it, and where it stands shows when two renderings are laid side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from runner.domain import OutputKind, Plain, Workflow
from runner.render.digest import node_digests, workflow_digest

_encode: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


@dataclass(frozen=True, slots=True)
class _Last:
    """The job rendered last, and where its seed stands once a second one has shown it."""

    others: str
    """Every value but the seed, and the outputs, as text: what callers change later does not show here."""
    seed: int
    workflow: Workflow
    places: tuple[tuple[str, str], ...] = ()
    """(node, input)."""
    kept: Mapping[str, str] | None = None
    """Hashes of the nodes that the seed does not reach."""


class Series:
    """Remembers one job of one template.

    Args:
        seed: The parameter that holds the seed and is only written; empty when there is none, and then
            nothing is remembered.

    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._last: _Last | None = None

    def follow(self, values: Mapping[str, Plain], outputs: Mapping[str, OutputKind]) -> Workflow | None:
        """Return the workflow of *values* when it follows from the job before, else None."""
        last = self._last
        if last is None or not last.places or type(values[self._seed]) is not int:
            return None
        if self._others(values, outputs) != last.others:
            return None
        return _with_seed(last, values[self._seed])

    def remember(self, values: Mapping[str, Plain], workflow: Workflow) -> None:
        """Take note of a job that was rendered."""
        if not self._seed or type(values[self._seed]) is not int:
            return
        last, others, seed = self._last, self._others(values, workflow.outputs), values[self._seed]
        found = _Last(others, seed, workflow)
        if last is not None and last.others == others and last.seed != seed:
            found = _located(last, found)
        self._last = found

    def _others(self, values: Mapping[str, Plain], outputs: Mapping[str, OutputKind]) -> str:
        others = {name: value for name, value in values.items() if name != self._seed}
        return _encode([others, dict(outputs)])


def _located(one: _Last, two: _Last) -> _Last:
    """Return *two* with the places of its seed; without any where the two differ in something else."""
    places: list[tuple[str, str]] = []
    for name, node in two.workflow.nodes.items():
        before = one.workflow.nodes[name]
        differ = [key for key, value in node["inputs"].items() if value != before["inputs"][key]]
        if any(node["inputs"][key] != two.seed for key in differ) or _bare(node) != _bare(before):
            return two
        places += [(name, key) for key in differ]
    hashes, earlier = two.workflow.node_digests, one.workflow.node_digests
    kept = {name: found for name, found in hashes.items() if earlier[name] == found}
    return replace(two, places=tuple(places), kept=kept)


def _bare(node: Mapping[str, Plain]) -> dict[str, Plain]:
    return {key: value for key, value in node.items() if key != "inputs"}


def _with_seed(last: _Last, seed: int) -> Workflow:
    before = last.workflow
    graph: dict[str, Any] = dict(before.nodes)
    for name, key in last.places:
        graph[name] = {**graph[name], "inputs": {**graph[name]["inputs"], key: seed}}
    digests = node_digests(graph, before.outputs, known=last.kept)
    return replace(before, nodes=graph, digest=workflow_digest(digests, before.outputs), node_digests=digests)
