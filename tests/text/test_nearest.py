"""Which name a misspelt word most likely stood for."""

from __future__ import annotations

from itertools import product

import pytest

from runner.text.nearest import _edits, did_you_mean, nearest

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
    assert nearest("a" * 80, ["a" * 79 + "b", "b" * 80]) == "a" * 79 + "b"
    assert nearest("prompt" * 100_000, ["prompt" * 100_000]) is None


def test_long_and_many_names_are_not_compared() -> None:
    """A thousand mistakes among a thousand long names get their answer, none, without comparing letters."""
    names = [("abcdefghijklmnopqrstuvwxyz" * 4)[start : start + 76] + f"{start:04}" for start in range(26)]
    names = [name[:shift] + "-" + name[shift:-1] for name in names for shift in range(38)]

    assert [nearest(f"{count:04}{'zyx' * 25}", names) for count in range(1_000)] == [None] * 1_000


def test_many_short_names_are_compared() -> None:
    """Among all cuts that a scene may number, the one that was meant is found."""
    names = [f"c{number:03}" for number in range(999)]

    assert nearest("c0l2", names) == "c002"
    assert nearest("C0412", names) == "c012"
    assert nearest("tent", names) is None


def test_of_many_that_share_their_letters_those_that_share_most_are_compared() -> None:
    """A hundred names of one family leave the answer to the ratio of the likest."""
    names = [f"harbour_style_{number:02}_of_the_old_town" for number in range(100)]

    assert nearest("harbour_style_of_the_old_town", names) == "harbour_style_00_of_the_old_town"


def test_edits_are_counted_exactly_up_to_two() -> None:
    """Whatever two short words are, their distance is Levenshtein's, or three where that is more."""
    words = ["".join(letters) for size in range(5) for letters in product("abc", repeat=size)]

    assert all(_edits(one, other) == min(plain(one, other), 3) for one in words for other in words[::3])


def plain(left: str, right: str) -> int:
    """Return the Levenshtein distance, row by row."""
    row = list(range(len(right) + 1))
    for count, mine in enumerate(left, 1):
        last, row = row, [count]
        for index, theirs in enumerate(right):
            row.append(min(last[index + 1] + 1, row[index] + 1, last[index] + (mine != theirs)))
    return row[-1]


def test_did_you_mean() -> None:
    """The clause is ready to stand behind a sentence, and empty when nothing is near."""
    assert did_you_mean("stpes", NAMES) == "; did you mean `steps`?"
    assert did_you_mean("zebra", NAMES) == ""
    assert did_you_mean("steps", []) == ""
