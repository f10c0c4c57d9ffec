"""What makes a graph fit to be sent to any server, checked without one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from runner.domain import Plain
from runner.text.nearest import did_you_mean
from runner.text.recognised import not_a_graph
from runner.text.shown import shown

_NODE_KEYS = frozenset({"class_type", "inputs", "_meta"})
_MOST = 20
"""Flaws looked for, which is as many as are told: each message costs a look at all names."""
_DEEPEST = 64
"""Lists and maps inside one another in a value."""
_RING_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a graph, and the node concerned (empty: the whole graph)."""

    node: str
    message: str


def flaws(nodes: Mapping[str, Plain], outputs: Collection[str]) -> list[Flaw]:
    """Return everything that makes *nodes* unfit, in node order; empty when it is fit.

    Looked for: a node that is no map, lacks `class_type` or `inputs` (that stops a server's worker for good)
    or has other keys; a list that is no link; links to nothing or to themselves in the end; declared outputs
    that are absent.
    """
    if known := not_a_graph(nodes):
        return [Flaw("", known)]
    found = _some(flaw for name, node in nodes.items() for flaw in _node_flaws(name, node))
    found += _some(
        Flaw("", f"the declared output `{name}` is not in the graph{did_you_mean(name, nodes)}")
        for name in outputs
        if name not in nodes
    )
    if found:
        return found
    found = _some(flaw for name, node in nodes.items() for flaw in _dangling(name, node, nodes))
    return found or _cycle(nodes)


def _some(flaws: Iterator[Flaw]) -> list[Flaw]:
    return list(islice(flaws, _MOST))


def _node_flaws(name: str, node: Plain) -> Iterator[Flaw]:
    if not isinstance(node, dict):
        yield Flaw(name, f"node `{shown(name)}` is no map with `class_type` and `inputs`")
        return
    kind, inputs = node.get("class_type"), node.get("inputs")
    if not isinstance(kind, str) or not kind:
        yield Flaw(name, f"node `{shown(name)}` has no `class_type`")
    if not isinstance(inputs, dict):
        yield Flaw(name, f"node `{shown(name)}` has no `inputs`; write `{{}}` when it takes none")
    else:
        yield from _list_flaws(name, inputs)
    if not node.keys() <= _NODE_KEYS:
        for key in node.keys() - _NODE_KEYS:
            yield Flaw(
                name, f"node `{shown(name)}` has the key `{shown(key)}`{did_you_mean(key, _NODE_KEYS)}"
            )


def _list_flaws(name: str, inputs: Mapping[str, Plain]) -> Iterator[Flaw]:
    for key, value in inputs.items():
        if type(value) is list and not is_link(value):
            advice = 'a list that is no link is written {"__value__": [...]}'
            yield Flaw(
                name,
                f"`{shown(key)}` of node `{shown(name)}` is a list but no link [node id, output]; {advice}",
            )
        elif type(value) is dict and _is_deep(value):
            depth = f"more than {_DEEPEST} lists and maps in each other"
            yield Flaw(name, f"`{shown(key)}` of node `{shown(name)}` holds {depth}")


def _is_deep(value: Plain) -> bool:
    level: list[Plain] = [value]
    for _ in range(_DEEPEST):
        level = [
            item
            for each in level
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True


def is_link(value: Plain) -> bool:
    """Whether *value* is `[node id, output index]`."""
    return (
        type(value) is list
        and len(value) == 2
        and type(value[0]) is str
        and type(value[1]) is int
        and value[1] >= 0
    )


def _dangling(name: str, node: Mapping[str, Plain], nodes: Mapping[str, Plain]) -> Iterator[Flaw]:
    for key, value in node["inputs"].items():
        if type(value) is list and value[0] not in nodes:
            near = did_you_mean(value[0], nodes)
            link = f"`{shown(key)}` of node `{shown(name)}` links to `{shown(value[0])}`"
            yield Flaw(name, f"{link}, which is not in the graph{near}")


def _cycle(nodes: Mapping[str, Plain]) -> list[Flaw]:
    """Return a cycle as one flaw: nodes are taken away until those that wait for each other are left."""
    waits = {
        name: {value[0] for value in node["inputs"].values() if type(value) is list}
        for name, node in nodes.items()
    }
    ready = [name for name, needs in waits.items() if not needs]
    users: dict[str, list[str]] = {}
    for name, needs in waits.items():
        for need in needs:
            users.setdefault(need, []).append(name)
    while ready:
        done = ready.pop()
        del waits[done]
        for name in users.get(done, ()):
            waits[name].discard(done)
            if not waits[name]:
                ready.append(name)
    if not waits:
        return []
    path: dict[str, None] = {}
    name = next(iter(waits))
    while name not in path:
        path[name] = None
        name = min(waits[name])
    ring = [*list(path)[list(path).index(name) :], name]
    told = [*ring[: _RING_SHOWN - 1], "…", ring[-1]] if len(ring) > _RING_SHOWN else ring
    return [Flaw(ring[0], f"these nodes need each other: {' ← '.join(map(shown, told))}")]
