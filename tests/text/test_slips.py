"""Slips of the pen that YAML reads as something else."""

from __future__ import annotations

import pytest

from runner.errors import SpecError
from runner.text.compose import compose
from runner.text.slips import glued, unset_problem
from runner.text.tree import Mapping, Scalar


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {cast:aki}", "a blank is missing behind the colon: write `cast: aki`"),
        ("a: {aki.outfit:home, b: c}", "a blank is missing behind the colon: write `aki.outfit: home`"),
        ("a: {red|blue}", "text that begins with { needs quotes"),
        ("a: {b: c, red|blue}", "`red|blue` has no value: inside { } text with commas needs quotes"),
        ("a: {cfg: 5,5}", "`5` has no value: a decimal has a point: write 5.5"),
        ("a: {seeds: 1,2,3}", "`2` has no value: inside { } text with commas needs quotes"),
        ("a: {cfg: 5, 5}", "`5` has no value: inside { } text with commas needs quotes"),
        ("light: #7", "`light` has no value: `#7` is read as a comment; put it into quotes"),
        (
            "light: # dusk",
            '`light` has no value: write a value, `""` for an empty text, or `null` to unset it',
        ),
    ],
)
def test_a_key_without_a_value_is_told_by_its_likeliest_cause(text: str, message: str) -> None:
    """A missing blank, a bracket, a decimal comma and a colour have sentences of their own."""
    root = compose(text.encode(), path="s")
    assert isinstance(root, Mapping)
    inner = root.entries[-1].value
    entries = inner.entries if isinstance(inner, Mapping) else root.entries
    entry = next(entry for entry in entries if isinstance(entry.value, Scalar) and entry.value.is_empty)

    assert unset_problem(entry).message == message


@pytest.mark.parametrize("text", ["http://x/y", "16:9", "a: b", "a:", "x::y", "word", "a b:c", "7:30"])
def test_what_is_no_word_with_a_value_is_not_taken_apart(text: str) -> None:
    """An address, a ratio and a time of day are texts."""
    assert glued(text) == ""


def test_json_may_write_a_character_in_two_halves() -> None:
    r"""JSON writers put 🌸 as \ud83c\udf38; behind an even number of backslashes it is that character."""
    root = compose(rb'{"a": "x \ud83c\udf38\uD83C\uDF41", "b": "\\ud83c\\udf38", "c": 1}', path="s")

    assert isinstance(root, Mapping)
    assert [getattr(entry.value, "text", "") for entry in root] == ["x 🌸🍁", r"\ud83c\udf38", "1"]
    assert root.entries[2].key.mark.column == len('{"a": "x 🌸🍁", "b": "\\\\ud83c\\\\udf38", ') + 1


def test_yaml_with_half_a_character_names_the_whole_one() -> None:
    """Outside JSON the pair is a mistake, and the message holds what to write."""
    with pytest.raises(SpecError) as refused:
        compose(rb'a: "x \ud83c\udf38"', path="s")

    assert refused.value.problems[0].message == r"`\ud83c\udf38` is one character in two halves: write 🌸"
