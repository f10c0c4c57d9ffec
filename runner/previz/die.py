"""Chance that is the same everywhere: random sources seeded by text."""

from __future__ import annotations

import hashlib
from random import Random

MOST_TEXT = 4000


def die(*parts: object) -> Random:
    """Return a random source that depends on *parts* alone, on every machine."""
    text = "\x1f".join(str(part)[:MOST_TEXT] for part in parts)
    return Random(int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big"))
