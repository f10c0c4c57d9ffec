"""What we add to a graph and to its submission, and where that would break something. Pure.

Of the graph only `filename_prefix` is ours; a class that does not take it is sent without. Stored workflows
have it on every declared output, whatever the server: there it marks them, and it is no part of a digest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from runner.comfy.object_info import ObjectInfo

Plain = Any
Nodes = Mapping[str, Mapping[str, Plain]]

_PREFIX_INPUT: Final = "filename_prefix"
_NONCE_INPUT: Final = "animerun_nonce"
_PREFIX: Final = {"$prefix": True}
_EMPTY_WORKFLOW: Final[Mapping[str, Plain]] = {
    "last_node_id": 0,
    "last_link_id": 0,
    "nodes": [],
    "links": [],
    "groups": [],
    "config": {},
    "extra": {},
    "version": 0.4,
}
"""A canvas of ComfyUI's front end without anything on it (front end 1.49, schema of workflow 0.4)."""


def unprefixed(nodes: Nodes, outputs: Collection[str], offers: ObjectInfo | None) -> frozenset[str]:
    """Return those of *outputs* whose class is not told where to save: what they list may have any name."""
    if offers is None:
        return frozenset()
    classes = {name: str(nodes[name].get("class_type", "")) for name in outputs if name in nodes}
    return frozenset(name for name, kind in classes.items() if not offers.takes_prefix(kind))


def fitted(nodes: Nodes, offers: ObjectInfo | None, nonce: str = "") -> Nodes:
    """Return a stored graph without our prefix on nodes whose class does not take it.

    The prefix of an attempt keeps the server's cache from answering for a node. Where there is none *nonce*
    does so: for a second attempt, since the cache may name a file that is gone.

    ComfyUI ignores inputs that a class does not list (execution.py get_input_data), but a class of a pack may
    take any input and read it as one of its own.
    """
    marked = [name for name, node in nodes.items() if node["inputs"].get(_PREFIX_INPUT) == _PREFIX]
    without = unprefixed(nodes, marked, offers)
    return {name: _bare(node, nonce) if name in without else node for name, node in nodes.items()}


def _bare(node: Mapping[str, Plain], nonce: str) -> Mapping[str, Plain]:
    inputs = {key: value for key, value in node["inputs"].items() if key != _PREFIX_INPUT}
    return {**node, "inputs": inputs | ({_NONCE_INPUT: nonce} if nonce else {})}


def picture_info(tags: Mapping[str, Plain], nodes: Nodes, offers: ObjectInfo | None) -> dict[str, Plain]:
    """Return `extra_pnginfo`: our *tags*, and where a node may look for it a `workflow` with nothing in it.

    Nodes of packs read `extra_pnginfo["workflow"]["nodes"]`, look for themselves in it and go on without when
    they are not there; without the keys they die. ComfyUI's own classes only copy it into files (nodes.py
    save_images), and there it does harm: the front end opens a picture's `workflow` before its `prompt`
    (front end 1.49 handleFile), which is an empty canvas in place of the graph. So it is sent only where a
    class of a pack asks for it.
    """
    classes = {str(node.get("class_type", "")) for node in nodes.values()}
    asked = offers is not None and any(offers.reads_workflow(each) for each in classes)
    return {"animerun": dict(tags), **({"workflow": dict(_EMPTY_WORKFLOW)} if asked else {})}
