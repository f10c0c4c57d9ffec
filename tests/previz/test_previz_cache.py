"""Signatures and what the cache keeps."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from runner.previz.cache import Entry, NodeCache, signatures
from runner.previz.nodes import catalogue

from .graphs import Prompt, node, plain, txt2img

CLASSES = catalogue(test_nodes=True)


def signed(prompt: Prompt, **changed: Any) -> dict[str, Any]:
    """Return the signatures of a prompt."""
    return signatures(prompt, CLASSES, changed)


def test_ids_and_titles_are_not_in_a_signature() -> None:
    """A renumbered graph with other titles has the same signatures."""
    named = {"a": node("EmptyImage", width=16, height=8, batch_size=1, color=255)}
    named["b"] = node("SaveImage", images=["a", 0], filename_prefix="t/x") | {"_meta": {"title": "x"}}

    assert list(signed(named).values()) == list(signed(plain()).values())


@pytest.mark.parametrize("more", [{"nonce": 1}, {"nonce": {"deep": [1]}}])
def test_unknown_inputs_are_in_a_signature(more: dict[str, Any]) -> None:
    """An extra input makes a new signature for the node and leaves those above it alone."""
    before, after = signed(plain()), signed(plain(**more))

    assert (before["1"] == after["1"], before["2"] == after["2"]) == (True, False)


def test_a_change_above_changes_everything_below() -> None:
    """A new seed changes the sampler and what follows, and nothing else."""
    before, after = signed(txt2img(seed=1)), signed(txt2img(seed=2))

    assert [node_id for node_id in before if before[node_id] != after[node_id]] == ["6", "7", "9"]


def test_the_value_of_a_change_check_counts() -> None:
    """Another value, or NaN even against itself, is another signature."""
    prompt = plain()

    assert signed(prompt, **{"1": ["a"]})["2"] == signed(prompt, **{"1": ["a"]})["2"]
    assert signed(prompt, **{"1": ["a"]})["2"] != signed(prompt, **{"1": ["b"]})["2"]
    assert signed(prompt, **{"1": float("nan")})["2"] != signed(prompt, **{"1": float("nan")})["2"]


def test_twins_and_one_node_used_twice_differ() -> None:
    """Two equal sources are two positions, one source is one."""
    source = node("EmptyImage", width=16, height=8, batch_size=1, color=1)
    twins = {"1": source, "2": deepcopy(source), "3": node("ImageBatch", image1=["1", 0], image2=["2", 0])}
    single = {"1": source, "3": node("ImageBatch", image1=["1", 0], image2=["1", 0])}

    assert signed(twins)["1"] == signed(twins)["2"]
    assert signed(twins)["3"] != signed(single)["3"]


def test_a_node_that_uses_its_id_is_signed_with_it() -> None:
    """TText takes the hidden unique id, so the id is part of its signature."""
    prompt = {"1": node("TText", text="x"), "2": node("TText", text="x")}

    assert signed(prompt)["1"] != signed(prompt)["2"]


def test_a_node_without_inputs_is_fatal() -> None:
    """The poison prompt raises here, where nothing catches it."""
    with pytest.raises(KeyError):
        signed({**plain(), "3": {"class_type": "ImageInvert"}})


def test_only_the_last_prompt_is_kept() -> None:
    """Classic retention: what the prompt that starts does not contain is gone."""
    cache, entry = NodeCache(), Entry(outputs=(1,))
    cache.put("a", entry)
    cache.put("b", entry)
    cache.keep(["b", "c"])

    assert [cache.get(key) for key in ("a", "b", "c")] == [None, entry, None]
