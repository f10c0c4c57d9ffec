"""Which name a misspelt word most likely stood for."""

from __future__ import annotations

import pytest

from runner.text.nearest import did_you_mean, nearest

NAMES = ("steps", "seeds", "rooftop", "prompt", "prompts", "ink", "qwen", "expression")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("stpes", "steps"),
        ("rooftob", "rooftop"),
        ("Rooftop", "rooftop"),
        ("promt", "prompt"),
        ("prompst", "prompt"),
        ("expresion", "expression"),
        ("inc", "ink"),
        ("seed", "seeds"),
        ("expressions_of", "expression"),
        ("lighthouse", None),
        ("xyz", None),
        ("", None),
        ("a", None),
    ],
)
def test_nearest(word: str, name: str | None) -> None:
    """Two edits or a ratio of 0.75 are near, case aside; short words need to be nearer."""
    assert nearest(word, NAMES) == name


def test_ties_are_broken_by_the_alphabet() -> None:
    """The order of the names has no say."""
    assert nearest("cut", ["cur", "cup"]) == nearest("cut", ["cup", "cur"]) == "cup"


def test_short_words_have_fewer_edits() -> None:
    """Half a word may be wrong, not all of it: any two letters are two edits from any other two."""
    assert nearest("ab", ["xy"]) is None
    assert nearest("ab", ["ax"]) == "ax"
    assert nearest("abcd", ["abxy"]) == "abxy"


def test_fewer_edits_win_over_likeness() -> None:
    """One edit is nearer than two, whatever the ratio says."""
    assert nearest("abcd", ["abcdef", "abce"]) == "abce"


def test_long_text_is_not_a_name() -> None:
    """A whole prompt in the wrong place is not compared with every name."""
    assert nearest("a" * 81, ["a" * 80]) is None
    assert nearest("prompt" * 100_000, ["prompt" * 100_000]) is None


def test_did_you_mean() -> None:
    """The clause is ready to stand behind a sentence, and empty when nothing is near."""
    assert did_you_mean("stpes", NAMES) == "; did you mean `steps`?"
    assert did_you_mean("zebra", NAMES) == ""
    assert did_you_mean("steps", []) == ""
