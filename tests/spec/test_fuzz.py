# ruff: noqa: E501, SIM905 - a list of words reads better as one text
"""Whatever is in the file, a spec is read or its mistakes are told: 2,000 files in every run of the tests (T9)."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import SpecError

QUICK = settings(max_examples=700, suppress_health_check=list(HealthCheck))
_WORDS = """
animerun episode title include models characters prompts scenes cuts cast place light camera action style prompt
negative lora loras seeds seed takes vary except model template deliver name checks size steps cfg outfit expression
extends else from pick wording tags prose x-a s01 c001 mio ~ null true 1 -1 1..4 0.5 1e400 .nan 512x512 3+12 a/b ../x
/etc/passwd C:\\x {{place}} {{x}} {%for%} *a &a !t <<: high:a.safetensors@0.5 18446744073709551616 é 桜 \u2028 ''
""".split()
_words = st.sampled_from(_WORDS) | st.text(max_size=8)
_values = st.recursive(
    _words | st.integers() | st.floats() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=5),
    max_leaves=25,
)
_tokens = st.lists(
    st.sampled_from(
        [*_WORDS, ": ", "\n", "\n  ", "\n    ", "- ", "[", "]", "{", "}", ",", "|", ">", '"', "'", "#"]
    ),
    max_size=60,
).map("".join)


def read(studio, data: bytes) -> None:
    """Load and expand *data*; nothing but SpecError may come of it, with a sentence for each mistake."""
    path = studio.root / "fuzz.yaml"
    path.write_bytes(data)
    try:
        for number, _ in enumerate(studio.expand_file(path)):
            if number > 50:
                break
    except SpecError as refused:
        assert refused.problems
        assert all(problem.message and str(problem) for problem in refused.problems)


@QUICK
@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode("utf-16")))
def test_any_bytes(studio, data):
    """Bytes of no kind, and texts of another encoding."""
    read(studio, data)


@QUICK
@given(_tokens)
def test_any_words_in_any_order(studio, text):
    """The words and signs of specs, thrown together."""
    read(studio, ("animerun: 1\n" + text).encode("utf-8", "surrogatepass"))


@QUICK
@given(st.dictionaries(_words, _values, max_size=6))
def test_any_tree(studio, tree):
    """Well-formed YAML of any shape, with the words of specs as keys and values."""
    tree = {"animerun": 1, "episode": "ep", **tree}
    read(studio, json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass"))
