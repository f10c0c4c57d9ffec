"""From the stored form of a graph to the one that is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runner.domain import Workflow
from runner.render import bind, files_of

from .samples import PICTURE

TWO: dict[str, dict[str, Any]] = {
    "load": {"class_type": "LoadImage", "inputs": {"image": {"$input": PICTURE}}, "_meta": {"title": "Ref"}},
    "many": {"class_type": "Batch", "inputs": {"images": {"__value__": [{"$input": PICTURE}, "x"]}}},
    "a": {"class_type": "SaveImage", "inputs": {"images": ["load", 0], "filename_prefix": {"$prefix": True}}},
    "b": {"class_type": "SaveImage", "inputs": {"images": ["many", 0], "filename_prefix": {"$prefix": True}}},
    "own": {"class_type": "SaveImage", "inputs": {"images": ["many", 0], "filename_prefix": "kept"}},
}


def test_files_are_found_at_any_depth() -> None:
    """In lists and maps inside one another, each once; what only looks like a file is none."""
    other = {"$input": PICTURE, "more": {"$input": 1}}

    assert files_of(TWO) == {PICTURE}
    assert files_of([[[]] * 9, {"a": [{"$input": "b.png"}, other]}]) == {"b.png"}
    assert files_of("$input") == set()


def test_one_output_saves_under_the_prefix_itself(rendered: Callable[..., Workflow]) -> None:
    """With a single declared output nothing is appended."""
    sent = bind(rendered("txt2img").nodes, prefix="animerun/r/j-a1/x", uploads={})

    assert sent["out"]["inputs"]["filename_prefix"] == "animerun/r/j-a1/x"


def test_several_outputs_are_told_apart_by_node() -> None:
    """Each declared output has its own stem; a save node that is not declared keeps what its author wrote."""
    sent = bind(TWO, prefix="p/x", uploads={PICTURE: "ref.png"})

    assert [sent[name]["inputs"]["filename_prefix"] for name in ("a", "b", "own")] == [
        "p/x_a",
        "p/x_b",
        "kept",
    ]


def test_files_get_the_name_they_have_on_that_server() -> None:
    """Placeholders are replaced at any depth, and nothing else is."""
    sent = bind(TWO, prefix="p/x", uploads={PICTURE: "animerun/ref (1).png"})

    assert sent["load"]["inputs"] == {"image": "animerun/ref (1).png"}
    assert sent["many"]["inputs"] == {"images": {"__value__": ["animerun/ref (1).png", "x"]}}
    assert sent["load"]["_meta"] == {"title": "Ref"}


def test_the_stored_graph_is_left_as_it_is() -> None:
    """Binding for one attempt must not show in the next."""
    before = json.dumps(TWO)
    bind(TWO, prefix="p/x", uploads={PICTURE: "ref.png"}, nonce="n")["a"]["inputs"]["images"].append("x")

    assert json.dumps(TWO) == before


def test_a_nonce_stands_on_every_node_that_takes_a_link() -> None:
    """All work is done again, while loaders may stay in the server's cache."""
    sent = bind(TWO, prefix="p/x", uploads={PICTURE: "ref.png"}, nonce="again")

    assert {name for name, node in sent.items() if "animerun_nonce" in node["inputs"]} == {"a", "b", "own"}


def test_without_a_nonce_nothing_is_added() -> None:
    """The server's cache stays usable by default."""
    sent = bind(TWO, prefix="p/x", uploads={PICTURE: "ref.png"})

    assert not any("animerun_nonce" in node["inputs"] for node in sent.values())


def test_a_file_that_was_not_uploaded_is_refused_by_name() -> None:
    """A graph is never sent with a placeholder in it."""
    with pytest.raises(KeyError, match=PICTURE):
        bind(TWO, prefix="p/x", uploads={})
