"""What a workflow is, whoever numbered its nodes: Merkle hashes of its nodes and of its declared outputs.

The byte format, frozen by golden tests; sha256 in lower-case hex throughout.

*Canonical JSON* is UTF-8 without blanks, keys sorted by code point, nothing escaped but what JSON demands
(`"`, `\\`, U+0000 to U+001F), floats in Python's shortest form that reads back equal, and a float that is
integral written as an integer (`1.0` → `1`, `-0.0` → `0`); a number that is no number is refused.

A **node** hashes as the canonical JSON of `{"class_type": CLASS, "inputs": INPUTS}` where, in INPUTS,

* a link `[node id, slot]` stands as `[hash of that node, slot]` (a list right in an input is always a link),
* a file `{"$input": "<sha256>.<ext>"}` stands, at any depth, as `{"$input": "<sha256>"}`,
* the `filename_prefix` of a declared output is left out.

`_meta`, `is_changed` and every other key beside `class_type` and `inputs` do not count.

A **workflow** hashes as the canonical JSON of `["animerun workflow 1", HASH, …]`, the hashes being those of
its declared outputs, sorted. What no output needs does not count.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any, Final

from runner.domain import Plain

FORMAT: Final = "animerun workflow 1"

_encode: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode
_SIMPLE: Final = frozenset({str, int, bool, type(None)})


def canonical(value: Plain) -> bytes:
    """Return *value* as canonical JSON. Raises ValueError for NaN, infinity and lone surrogates."""
    return _encode(_settled(value)).encode()


def node_digests(
    nodes: Mapping[str, Mapping[str, Plain]],
    outputs: Collection[str],
    *,
    known: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return node id → hash for every node of an acyclic graph without dangling links, in the graph's order.

    Args:
        nodes: The graph in its stored form, already checked.
        outputs: Ids of the declared outputs, whose prefix is the runner's.
        known: Hashes of nodes that are known to be what they were, ancestors included.

    """
    found = dict(known or {})
    for name in nodes:
        if name not in found:
            _hash_from(name, nodes, outputs, found)
    return {name: found[name] for name in nodes}


def workflow_digest(digests: Mapping[str, str], outputs: Collection[str]) -> str:
    """Return the hash of the workflow whose nodes hash to *digests*."""
    return sha256(_encode([FORMAT, *sorted(digests[name] for name in outputs)]).encode()).hexdigest()


def _hash_from(
    start: str, nodes: Mapping[str, Mapping[str, Plain]], outputs: Collection[str], found: dict[str, str]
) -> None:
    """Hash *start* and what it needs; a stack of our own, for a chain may be longer than Python's."""
    stack = [start]
    while stack:
        name = stack[-1]
        if name in found:
            stack.pop()
            continue
        inputs: Mapping[str, Plain] = nodes[name]["inputs"]
        missing = [value[0] for value in inputs.values() if type(value) is list and value[0] not in found]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        found[name] = _hash(nodes[name]["class_type"], inputs, found, declared=name in outputs)


def _hash(class_type: str, inputs: Mapping[str, Plain], found: Mapping[str, str], *, declared: bool) -> str:
    told: dict[str, Any] = {}
    for key, value in inputs.items():
        if type(value) in _SIMPLE:
            told[key] = value
        elif type(value) is list:
            told[key] = [found[value[0]], value[1]]
        else:
            told[key] = _settled(value)
    if declared:
        told.pop("filename_prefix", None)
    return sha256(_encode({"class_type": class_type, "inputs": told}).encode()).hexdigest()


def _settled(value: Plain) -> Plain:
    """Return *value* with integral floats as integers and files by their content alone."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, (list, tuple)):
        return [_settled(item) for item in value]
    if isinstance(value, dict):
        name = value.get("$input")
        if len(value) == 1 and isinstance(name, str):
            return {"$input": name.partition(".")[0]}
        return {key: _settled(item) for key, item in value.items()}
    return value
