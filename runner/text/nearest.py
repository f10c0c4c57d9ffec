"""The nearest of known names: what a person most likely meant.

One answer takes two or three milliseconds at worst: a text with a thousand mistakes asks a thousand times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import compress, count, islice
from operator import mul, ne

_EDITS = 2
_RATIO = 0.75
_LONGEST = 80
"""Longer words are text, not slips of the pen."""
_OFFERED = 10_000
"""Who offers more names has not one in mind that was meant."""
_MOST = 1_000
"""Names looked at letter by letter: who offers more that come near by their lengths has not slipped."""
_TIES = 50
"""Names equally few edits away whose ratios are compared."""
_WORK = 50_000
"""Letters read for one answer, and half of it again for ratios; some thirty nanoseconds each."""
_NAME, _COUNTED, _COMPARED = 40, 4, 500
"""What a name costs, in letters, a letter counted in it or equal to one of its own, and a ratio begun."""


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name most like *word*, upper and lower case being the same; None when none is near.

    Near means: at most two edits away (and no more than half of *word*), or a difflib ratio of 0.75.
    Fewer edits win, then the higher ratio, then the alphabet. Where many long names are as long as *word*,
    none is compared; where many share most of their letters with it, those that share most are.
    """
    if len(word) > _LONGEST:
        return None
    wanted = word.casefold()
    close = _close(wanted, names)
    slips = [name for name in close if abs(len(wanted) - len(name)) <= _EDITS]
    work = _NAME * len(slips) + sum(map(len, slips))
    if work > _WORK:
        return None
    edits = {name: _edits(wanted, name.casefold()) for name in slips}
    least = min(edits.values(), default=_EDITS + 1)
    if least <= min(_EDITS, len(wanted) // 2):
        return _likest(wanted, [name for name in slips if edits[name] == least][:_TIES], at_least=0)
    work += (_NAME + (_COUNTED + len(wanted) // 20) * len(set(wanted))) * len(close)
    return None if work > _WORK else _likest(wanted, close, at_least=_RATIO)


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return ``; did you mean `NAME`?`` for the nearest of *names*, empty when none is near."""
    name = nearest(word, names)
    return f"; did you mean `{name}`?" if name else ""


def _close(wanted: str, names: Iterable[str]) -> list[str]:
    """Return the names that can be near by their lengths, by the alphabet; none where they are too many."""
    offered = set(islice(names, _OFFERED + 1))
    size, stretch = len(wanted), (2 - _RATIO) / _RATIO
    least = min(size - _EDITS, size / stretch)
    most = min(max(size + _EDITS, size * stretch), _LONGEST)
    close = [name for name in offered if least <= len(name) <= most]
    return sorted(close) if len(offered) <= _OFFERED and len(close) <= _MOST else []


def _edits(left: str, right: str) -> int:
    """Return the Levenshtein distance where it is at most two, else three.

    Without what both begin and end with, the first and the last letters differ: each takes an edit, and two
    edits leave what lies between them as it is.
    """
    short, long = (left, right) if len(left) <= len(right) else (right, left)
    gap, size = len(long) - len(short), len(short)
    if gap > _EDITS:
        return _EDITS + 1
    start = next(compress(count(), map(ne, short, long)), size)
    end = min(next(compress(count(), map(ne, reversed(short), reversed(long))), size), size - start)
    short, long = short[start : size - end], long[start : size + gap - end]
    if not short or len(long) == 1:
        return len(long)
    return _EDITS if _two_apart(short, long, gap) else _EDITS + 1


def _two_apart(short: str, long: str, gap: int) -> bool:
    """Tell whether edits of the first and the last letter make *long*, *gap* letters longer, of *short*."""
    if gap == _EDITS:
        return short == long[1:-1]
    if gap:
        return long[1:-1] in (short[1:], short[:-1])
    return short[1:-1] == long[1:-1] or short[1:] == long[:-1] or short[:-1] == long[1:]


def _likest(wanted: str, names: Sequence[str], *, at_least: float) -> str | None:
    """Return the name with the highest ratio, *at_least* that; who shares most letters is tried first."""
    letters = Counter(wanted)
    likest, work = None, 0
    for tried, (bound, name, pairs) in enumerate(sorted(_shared(letters, name) for name in names)):
        work += _COMPARED + len(wanted) * len(name) + _COUNTED * pairs
        if -bound < at_least or (tried and work > _WORK // 2):
            break
        ratio = SequenceMatcher(None, wanted, name.casefold(), autojunk=False).ratio()
        if ratio > at_least or (ratio == at_least and (likest is None or name < likest)):
            at_least, likest = ratio, name
    return likest


def _shared(letters: Mapping[str, int], name: str) -> tuple[float, str, int]:
    """Give the most that *name*'s ratio can be, negative, *name*, and how many pairs of equal letters."""
    folded = name.casefold()
    counts = list(map(folded.count, letters))
    common = sum(map(min, letters.values(), counts))
    size = sum(letters.values()) + len(folded)
    return -2 * common / size, name, sum(map(mul, letters.values(), counts))
