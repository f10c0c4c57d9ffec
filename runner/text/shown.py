"""How a piece of somebody's text stands inside a message."""

from __future__ import annotations

_LONGEST = 40


def shown(text: str) -> str:
    """Return *text* on one line of at most 40 characters, with escapes for what cannot be printed."""
    part = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    if part.isprintable():
        return part
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in part)
