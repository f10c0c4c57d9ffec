"""What a digest depends on, and its byte format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain import Workflow
from runner.render import canonical, node_digests, workflow_digest

GRAPH: dict[str, dict[str, Any]] = {
    "load": {"class_type": "LoadImage", "inputs": {"image": {"$input": "b" * 64 + ".png"}}},
    "scale": {
        "class_type": "ImageScaleBy",
        "inputs": {"image": ["load", 0], "scale_by": 1.5, "upscale_method": "area"},
    },
    "out": {
        "class_type": "SaveImage",
        "inputs": {"images": ["scale", 0], "filename_prefix": {"$prefix": True}},
    },
}


def digest(nodes: Mapping[str, Mapping[str, Any]], *outputs: str) -> str:
    """Return the digest of *nodes* with these declared outputs, default `out`."""
    declared = outputs or ("out",)
    return workflow_digest(node_digests(nodes, declared), declared)


def changed(node: str, **inputs: Any) -> dict[str, dict[str, Any]]:
    """Return GRAPH with some inputs of one node replaced."""
    return {**GRAPH, node: {**GRAPH[node], "inputs": {**GRAPH[node]["inputs"], **inputs}}}


def hashed(text: str) -> str:
    """Return the sha256 of *text* in hex."""
    return sha256(text.encode()).hexdigest()


def test_byte_format_is_the_documented_one() -> None:
    """Each hash can be made by hand from the description in the module's docstring."""
    load = hashed('{"class_type":"LoadImage","inputs":{"image":{"$input":"' + "b" * 64 + '"}}}')
    scale = hashed(
        '{"class_type":"ImageScaleBy","inputs":{"image":["'
        + load
        + '",0],"scale_by":1.5,"upscale_method":"area"}}'
    )
    out = hashed('{"class_type":"SaveImage","inputs":{"images":["' + scale + '",0]}}')

    assert node_digests(GRAPH, ["out"]) == {"load": load, "scale": scale, "out": out}
    assert digest(GRAPH) == hashed('["animerun workflow 1","' + out + '"]')


def test_canonical_json_is_the_documented_one() -> None:
    """Keys sorted, no blanks, nothing escaped without need, integral floats as integers."""
    value = {"b": [1.0, -0.0, 0.1, 1e22, None, True], "a": '桜\u2028/\x1f"'}

    assert (
        canonical(value)
        == '{"a":"桜\u2028/\\u001f\\"","b":[1,0,0.1,10000000000000000000000,null,true]}'.encode()
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_has_no_canonical_form(number: float) -> None:
    """NaN and infinity are not JSON."""
    with pytest.raises(ValueError):
        canonical([number])


def test_node_ids_do_not_count() -> None:
    """A renumbered graph is the same graph."""
    names = {"load": "12", "scale": "桜", "out": "z"}
    renamed = {
        names[name]: {
            **node,
            "inputs": {
                key: [names[value[0]], value[1]] if isinstance(value, list) else value
                for key, value in node["inputs"].items()
            },
        }
        for name, node in GRAPH.items()
    }

    assert digest(renamed, "z") == digest(GRAPH)


@given(order=st.permutations(list(GRAPH)))
def test_order_of_nodes_and_inputs_does_not_count(order: list[str]) -> None:
    """JSON maps have no order."""
    shuffled = {
        name: {
            "inputs": dict(reversed(GRAPH[name]["inputs"].items())),
            "class_type": GRAPH[name]["class_type"],
        }
        for name in order
    }

    assert digest(shuffled) == digest(GRAPH)


@pytest.mark.parametrize(
    "same",
    [
        changed("out", filename_prefix="elsewhere/x"),
        {**GRAPH, "load": {**GRAPH["load"], "_meta": {"title": "Reference"}}},
        {**GRAPH, "load": {**GRAPH["load"], "is_changed": ["abc"]}},
        {**GRAPH, "loose": {"class_type": "Note", "inputs": {"text": "to do"}}},
        changed("load", image={"$input": "b" * 64 + ".webp"}),
    ],
    ids=["prefix", "_meta", "is_changed", "unconnected node", "extension of an input"],
)
def test_what_changes_no_pixel_does_not_count(same: dict[str, dict[str, Any]]) -> None:
    """Prefix, titles, server remarks, unconnected nodes and file names leave the digest as it is."""
    assert digest(same) == digest(GRAPH)


@pytest.mark.parametrize(
    "other",
    [
        changed("load", image={"$input": "c" * 64 + ".png"}),
        changed("scale", scale_by=1.25),
        changed("scale", image=["load", 1]),
        changed("scale", extra=0),
        changed("out", filename="x"),
        {**GRAPH, "scale": {**GRAPH["scale"], "class_type": "ImageScale"}},
    ],
    ids=["file", "number", "slot", "further input", "other input of the output", "class"],
)
def test_what_can_change_a_pixel_counts(other: dict[str, dict[str, Any]]) -> None:
    """Files, literals, slots, further inputs and classes are part of the digest, through any ancestor."""
    assert digest(other) != digest(GRAPH)


def test_prefix_of_an_undeclared_node_counts() -> None:
    """Only the declared outputs' prefix is the runner's."""
    both = {**GRAPH, "spare": {**GRAPH["out"], "inputs": {"images": ["scale", 0], "filename_prefix": "a"}}}
    found = node_digests(both, ["out"])

    assert found["spare"] != found["out"]


def test_integral_floats_are_integers() -> None:
    """A template that writes 1.0 where another writes 1 makes the same picture; true is neither."""
    assert digest(changed("scale", scale_by=2.0)) == digest(changed("scale", scale_by=2))
    assert digest(changed("scale", scale_by=1)) != digest(changed("scale", scale_by=True))


def test_order_in_which_outputs_are_declared_does_not_count() -> None:
    """Two outputs are a set."""
    both = {**GRAPH, "raw": {"class_type": "SaveImage", "inputs": {"images": ["load", 0]}}}

    assert digest(both, "out", "raw") == digest(both, "raw", "out")
    assert digest(both, "out", "raw") != digest(both, "out")


def test_a_chain_longer_than_pythons_stack_is_hashed() -> None:
    """Depth is bounded by the size of a graph alone."""
    chain: dict[str, dict[str, Any]] = {"n0": {"class_type": "A", "inputs": {}}}
    for index in range(1, 5000):
        chain[f"n{index}"] = {"class_type": "B", "inputs": {"x": [f"n{index - 1}", 0]}}

    assert len(set(node_digests(dict(reversed(chain.items())), []).values())) == 5000


def test_equal_nodes_of_different_jobs_share_their_hash(rendered: Callable[..., Workflow]) -> None:
    """Jobs that differ in their seed share all nodes above the sampler: the scheduler groups by that."""
    one, two = rendered("txt2img", seed=1).node_digests, rendered("txt2img", seed=2).node_digests
    same = {name for name in one if one[name] == two[name]}

    assert set(one) - same == {"sample", "decode", "out"}
