"""From a workflow as it is stored to one that can be sent: prefix, uploaded names, nonce."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from runner.domain import Plain
from runner.text.filename import node_part

PREFIX: Final[Mapping[str, bool]] = {"$prefix": True}
NONCE: Final = "animerun_nonce"


def bind(
    workflow_nodes: Mapping[str, Mapping[str, Plain]],
    *,
    prefix: str,
    uploads: Mapping[str, str],
    nonce: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the graph to send: every placeholder replaced, nothing else changed. Pure; the argument is kept.

    A declared output saves under *prefix*, and where there are several under *prefix* + `_` + its node id.

    Args:
        workflow_nodes: A graph in its stored form (`Workflow.nodes`).
        prefix: Folder and stem under which the server saves.
        uploads: `<sha256>.<ext>` → the name the file has on that server.
        nonce: When given, stands as a further input on every node that takes a link, so that the server's
            cache cannot answer for them; loaders stay cached.

    Raises:
        KeyError: A file of the graph is not among *uploads*.

    """
    declared = [
        name for name, node in workflow_nodes.items() if node["inputs"].get("filename_prefix") == PREFIX
    ]
    sent: dict[str, dict[str, Any]] = {}
    for name, node in workflow_nodes.items():
        inputs = {key: _bound(value, uploads) for key, value in node["inputs"].items()}
        if name in declared:
            inputs["filename_prefix"] = f"{prefix}_{node_part(name)}" if len(declared) > 1 else prefix
        if nonce is not None and any(isinstance(value, list) for value in inputs.values()):
            inputs[NONCE] = nonce
        sent[name] = {**node, "inputs": inputs}
    return sent


def bind_fresh(nonce: str) -> Callable[..., dict[str, dict[str, Any]]]:
    """Return `bind` with *nonce* as a further input on every node, loaders too.

    No answer from before can stand in for a node then, not even a model that is still in memory while its
    file has been replaced; nodes that jobs of one replay share are still computed once.
    """

    def bound(
        nodes: Mapping[str, Mapping[str, Plain]], *, prefix: str, uploads: Mapping[str, str]
    ) -> dict[str, dict[str, Any]]:
        sent = bind(nodes, prefix=prefix, uploads=uploads)
        return {name: {**node, "inputs": {**node["inputs"], NONCE: nonce}} for name, node in sent.items()}

    return bound


def files_of(value: Plain) -> set[str]:
    """Return `<sha256>.<ext>` of every file that stands anywhere in *value*."""
    found: set[str] = set()
    rest = [value]
    while rest:
        each = rest.pop()
        if isinstance(each, dict):
            if _is_file(each):
                found.add(each["$input"])
            else:
                rest.extend(item for item in each.values() if isinstance(item, (dict, list)))
        elif isinstance(each, list):
            rest.extend(item for item in each if isinstance(item, (dict, list)))
    return found


def _bound(value: Plain, uploads: Mapping[str, str]) -> Plain:
    if isinstance(value, dict):
        if _is_file(value):
            return uploads[value["$input"]]
        return {key: _bound(item, uploads) for key, item in value.items()}
    if isinstance(value, list):
        return [_bound(item, uploads) for item in value]
    return value


def _is_file(value: Mapping[str, Plain]) -> bool:
    return len(value) == 1 and isinstance(value.get("$input"), str)
