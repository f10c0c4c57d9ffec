"""How a piece of somebody's text stands inside a message."""

from __future__ import annotations

import pytest

from runner.text.shown import shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps", "steps"),
        ("夕焼け", "夕焼け"),
        ("a" * 40, "a" * 40),
        ("a" * 41, "a" * 39 + "…"),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u3164b\u2800", r"a\u3164b\u2800"),
        ("葛\U000e0100", r"葛\U000e0100"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("", ""),
    ],
)
def test_shown(text: str, expected: str) -> None:
    """One line, at most 40 characters of the text, nothing that a terminal would act on."""
    assert shown(text) == expected
