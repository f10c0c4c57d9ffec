"""How a piece of somebody's text stands inside a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LONGEST = 40
_FILLERS = (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
_VARIANTS = (*range(0x180B, 0x1810), *range(0xFE00, 0xFE0F), *range(0xE0100, 0xE01F0))
UNSEEN = frozenset(map(chr, (*_FILLERS, *_VARIANTS)))
"""Fillers, blanks and variation selectors: Python calls them printable, but nothing is seen of them.

U+FE0F is not one of them: it makes an emoji of a sign.
"""


def seen(ch: str) -> bool:
    """Whether *ch* can be printed and is seen, or is a blank."""
    return ch.isprintable() and ch not in UNSEEN


def shown(text: str) -> str:
    """Return *text* on one line of at most 40 characters, with escapes for what cannot be seen."""
    part = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return "".join(ch if seen(ch) else ch.encode("unicode_escape").decode() for ch in part)


def written(value: Any) -> str:
    """Return a value of JSON as people write it: `1216x832`, a path, `81 frames at 16 fps`, `none`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _written_map(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(written, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _written_map(value: Mapping[str, Any]) -> str:
    match value:
        case {"width": width, "height": height, **rest} if not rest:
            return f"{written(width)}x{written(height)}"
        case {"frames": frames, "fps": fps, "seconds": _, **rest} if not rest:
            return f"{written(frames)} frames at {written(fps)} fps"
        case {"$from": pick}:
            return f"a pick of {written(pick)}"
        case {"$file": path} | {"$input": path} | {"$glob": path}:
            return written(path)
        case {"file": file, "weight": weight, "clip": clip, **rest} if not rest:
            return f"{written(file)}@{written(weight)}" + (f":{written(clip)}" if clip != weight else "")
    return ", ".join(f"{name}: {written(inner)}" for name, inner in value.items())
