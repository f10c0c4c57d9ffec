"""The nearest of known names: what a person most likely meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_EDITS = 2
_RATIO = 0.75
_LONGEST = 80
"""Longer words are text, not slips of the pen."""
_MOST = 1_000
"""Names compared letter by letter: who offers more that come near by their letters has not slipped."""


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name most like *word*, upper and lower case being the same; None when none is near.

    Near means: at most two edits away (and no more than half of *word*), or a difflib ratio of 0.75.
    Fewer edits win, then the higher ratio, then the alphabet.
    """
    if len(word) > _LONGEST:
        return None
    wanted = word.casefold()
    close = [name for name in set(names) if _may_be_near(wanted, name.casefold())]
    if len(close) > _MOST:
        return None
    ranked = sorted((*_rank(wanted, name.casefold()), name) for name in close)
    allowed = min(_EDITS, len(wanted) // 2)
    return next((name for edits, unlike, name in ranked if edits <= allowed or 1 - unlike >= _RATIO), None)


def _may_be_near(wanted: str, name: str) -> bool:
    """Tell by the lengths alone whether *name* can be near."""
    longer, shorter = max(len(wanted), len(name)), min(len(wanted), len(name))
    return longer <= _LONGEST and (longer - shorter <= _EDITS or 2 * shorter >= _RATIO * (longer + shorter))


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return ``; did you mean `NAME`?`` for the nearest of *names*, empty when none is near."""
    name = nearest(word, names)
    return f"; did you mean `{name}`?" if name else ""


def _rank(wanted: str, name: str) -> tuple[int, float]:
    unlike = 1 - SequenceMatcher(None, wanted, name, autojunk=False).ratio()
    return _edits(wanted, name), unlike


def _edits(left: str, right: str) -> int:
    """Return the Levenshtein distance, or more than is ever near when the lengths tell already."""
    if abs(len(left) - len(right)) > _EDITS:
        return _EDITS + 1
    row = list(range(len(right) + 1))
    for count, mine in enumerate(left, 1):
        last = row
        row = [count]
        for index, theirs in enumerate(right):
            row.append(min(last[index + 1] + 1, row[index] + 1, last[index] + (mine != theirs)))
    return row[-1]
