from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.manifest.shapes import LONG, Packer, unpack

LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(0, 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20), st.just("x" * LONG), st.just({"$input": "a.png"}), st.just({"$prefix": True}),
)  # fmt: skip


def graph(text: Any, seed: Any) -> dict[str, Any]:
    return {
        "ckpt": {"class_type": "Load", "inputs": {"name": "a.safetensors"}},
        "text": {
            "class_type": "Encode",
            "inputs": {"clip": ["ckpt", 1], "text": text},
            "_meta": {"title": "t"},
        },
        "out": {"class_type": "Save", "inputs": {"images": ["text", 0], "seed": seed}},
    }


def unpacked(lines: list[dict[str, Any]], packed: dict[str, Any]) -> dict[str, Any]:
    lines = json.loads(json.dumps(lines))
    shapes = {line["shape"]: line["nodes"] for line in lines if line["t"] == "shape"}
    texts = {line["text"]: line["value"] for line in lines if line["t"] == "text"}
    return unpack(json.loads(json.dumps(packed)), shapes, texts)


@settings(max_examples=80)
@given(st.lists(st.tuples(LEAF, LEAF), min_size=1, max_size=6))
def test_a_workflow_comes_back_byte_for_byte(leaves: list[tuple[Any, Any]]) -> None:
    """Packing and unpacking gives the same JSON, types and key order included."""
    packer, lines, packs = Packer(), [], []
    for text, seed in leaves:
        news, packed = packer.pack(graph(text, seed))
        lines += news
        packs.append(packed)

    for (text, seed), packed in zip(leaves, packs, strict=True):
        assert json.dumps(unpacked(lines, packed)) == json.dumps(graph(text, seed))


def test_a_shape_and_a_long_text_are_kept_once() -> None:
    """The second workflow of a shape costs its changed leaves only; a long text is written once."""
    packer = Packer()
    first, _ = packer.pack(graph("a", 1))
    second, packed = packer.pack(graph("y" * LONG, 2))
    third, again = packer.pack(graph("y" * LONG, 3))

    assert [line["t"] for line in first] == ["shape"]
    assert [line["t"] for line in second] == ["text"]
    assert third == []
    assert len(json.dumps(again)) < 120
    assert set(packed["leaves"]) == {"1", "2"}


def test_a_text_that_looks_like_a_reference_stays_a_text() -> None:
    """A user's text can never be taken for the name of another text."""
    packer = Packer()
    lines, _ = packer.pack(graph("plain", 1))
    news, packed = packer.pack(graph('{"$text": "x"}', 1))

    assert unpacked(lines + news, packed)["text"]["inputs"]["text"] == '{"$text": "x"}'


def test_links_make_the_shape() -> None:
    """Two workflows wired differently are two shapes."""
    packer = Packer()
    packer.pack(graph("a", 1))
    other = graph("a", 1)
    other["out"]["inputs"]["images"] = ["ckpt", 0]
    news, _ = packer.pack(other)

    assert [line["t"] for line in news] == ["shape"]
