"""Letters of every script: what a name may hold, and which names a file system takes for one.

A letter is what Unicode calls a letter or a number, together with the marks that belong to it (Devanagari
vowel signs, Thai tones, Hebrew points). Characters that nobody sees are no letters, whatever their class:
bidi controls, joiners, fillers, variation selectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from unicodedata import category, normalize

from runner.text.shown import UNSEEN

_MARKS = ("Mn", "Mc")
_EMOJI = "\N{VARIATION SELECTOR-16}"


def composed(text: str) -> str:
    """Return *text* in the form NFC, in which a letter and its accent are one character."""
    return text if text.isascii() else normalize("NFC", text)


def folded(text: str) -> str:
    """Return *text* without case and normal form: equal for names that some file system takes for one."""
    if text.isascii():
        return text.casefold()
    return normalize("NFC", normalize("NFD", text).casefold())


def is_letter(ch: str) -> bool:
    """Return whether *ch* is a letter or a number that can be seen."""
    return ch.isalnum() and ch not in UNSEEN


def is_mark(ch: str) -> bool:
    """Return whether *ch* is a mark that belongs to the letter before it."""
    return ch > "\u02ff" and category(ch) in _MARKS and ch not in UNSEEN and ch != _EMOJI


def strange(text: str, beside: str = "") -> str:
    """Return the first character of *text* that is no letter, no mark of one, and not in *beside*; or ""."""
    return next((ch for ch, kept in _judged(text, beside) if not kept), "")


def squeezed(text: str, beside: str = "", filler: str = "-") -> str:
    """Return *text* in NFC with one *filler* for each run of characters that `strange` would find."""
    made: list[str | None] = []
    for ch, kept in _judged(composed(text), beside):
        if kept:
            made.append(ch)
        elif category(ch) != "Cf" and made[-1:] != [None]:  # Cf: joiners and bidi controls
            made.append(None)
    return "".join(filler if ch is None else ch for ch in made)


def shortened(text: str, *, characters: int, size: int) -> str:
    """Return the beginning of *text* in so many characters and bytes; no letter is cut from its marks."""
    if len(text) <= characters and len(text.encode()) <= size:
        return text
    end = characters
    while len(text[:end].encode()) > size or is_mark(text[end : end + 1] or "-"):
        end -= 1
    return text[:end]


def _judged(text: str, beside: str) -> Iterator[tuple[str, bool]]:
    """Yield each character with whether it is a letter, the mark of one, or in *beside*."""
    lettered = False
    for ch in text:
        lettered = is_letter(ch) or (lettered and is_mark(ch))
        yield ch, lettered or ch in beside
