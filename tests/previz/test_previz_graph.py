"""Links, ancestors and the order of nodes."""

from __future__ import annotations

import pytest

from runner.previz.graph import Order, ancestry, is_link

from .graphs import node, txt2img


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["1", 0], True),
        (["1", 0.0], True),
        (["1"], False),
        (["1", 0, 1], False),
        ([1, 0], False),
        (["1", "0"], False),
        ("10", False),
    ],
)
def test_a_link_is_a_pair_of_id_and_slot(value: object, expected: bool) -> None:
    """Only a list of a string and a number is a link."""
    assert is_link(value) is expected


def test_ancestors_are_numbered_depth_first_by_input_name() -> None:
    """The walk follows sorted input names, each ancestor once."""
    prompt = {
        "a": node("A"),
        "b": node("B", x=["a", 0]),
        "c": node("C", z=["a", 0], y=["b", 0]),
    }

    assert ancestry(prompt, "c") == {"b": 0, "a": 1}


def test_a_chain_of_thousands_has_ancestors() -> None:
    """Depth is not limited by recursion."""
    prompt = {"0": node("A")} | {str(i): node("A", x=[str(i - 1), 0]) for i in range(1, 3000)}

    assert len(ancestry(prompt, "2999")) == 2999


def order(prompt: dict, cached: tuple[str, ...] = ()) -> list[str]:
    """Return the ids in the order they would run."""
    made = Order(
        prompt,
        is_output=lambda node_id: prompt[node_id]["class_type"] == "SaveImage",
        goes_first=lambda _node_id: False,
        is_lazy=lambda _node_id, _name: False,
        is_cached=lambda node_id: node_id in cached,
    )
    for node_id, each in prompt.items():
        if each["class_type"] == "SaveImage":
            made.add(node_id)
    result = []
    while made:
        result.append(made.pick())
        made.complete(result[-1])
    return result


def test_nodes_run_after_what_they_need() -> None:
    """Every node comes after the nodes it links to."""
    prompt = txt2img()
    places = {node_id: index for index, node_id in enumerate(order(prompt))}

    for node_id, each in prompt.items():
        for value in each["inputs"].values():
            assert not is_link(value) or places[value[0]] < places[node_id]


def test_outputs_are_pulled_forward() -> None:
    """An output that is ready runs before other ready nodes."""
    prompt = {
        "a": node("A"),
        "b": node("B", x=["a", 0]),
        "save b": node("SaveImage", x=["b", 0]),
        "save a": node("SaveImage", x=["a", 0]),
    }

    assert order(prompt) == ["a", "save a", "b", "save b"]


def test_cached_nodes_do_not_run() -> None:
    """What is cached, and what only cached nodes need, is left out."""
    assert order(txt2img(), cached=("6", "1")) == ["7", "9"]
