"""The Jinja that `wording`, `deliver.name` and `deliver.video.name` are written in.

A text that only writes holes as they are (`{{ scene }}_{{ cut }}`) is filled here; Jinja itself, with the
bounds of `runner.text.bounded`, is imported for the others alone: it takes longer to import than a small run
has to spare. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from runner.text.nearest import nearest

if TYPE_CHECKING:
    from runner.text.bounded import Compiled

MAX_SOURCE: Final = 16_384
"""Characters of a Jinja text."""
_MAX_FILLED: Final = 262_144
"""Characters that are filled here; more can be too many bytes for one rendering."""

_HOLE: Final = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")
_JINJAS_OWN: Final = {
    "and", "or", "not", "in", "is", "if", "elif", "else", "for", "true", "false", "none",
    "True", "False", "None", "self", "super", "loop", "caller", "varargs", "kwargs", "context",
    "environment", "block",
}  # fmt: skip
"""Words that are, or may become, something else than a hole."""


@dataclass(frozen=True, slots=True)
class Jinja:
    """One Jinja text, checked against the bounds; knows the holes it uses."""

    source: str
    holes: frozenset[str]
    """Names it takes from outside, also those used in conditions only."""
    _pieces: tuple[tuple[str, bool], ...] | None = field(compare=False, repr=False)
    """(text, False) or (hole, True) where the holes are written as they are and nothing is decided."""

    @classmethod
    def parse(cls, source: str) -> Jinja:
        """Return *source* checked.

        Raises:
            ValueError: It is no Jinja, too long, or uses something that is not offered here (calls,
                arithmetic, `set`, macros, imports, other filters); the text is a sentence.

        """
        if len(source) > MAX_SOURCE:
            raise ValueError(f"{len(source)} characters are too many; at most {MAX_SOURCE}")
        pieces = _plain(source)
        if pieces is None:
            return cls(source, _compiled(source).holes, None)
        return cls(source, frozenset(text for text, is_hole in pieces if is_hole), pieces)

    @property
    def plain(self) -> bool:
        """Whether it only writes holes as they are, and decides nothing."""
        return self._pieces is not None

    def unknown(self, allowed: Iterable[str]) -> list[tuple[str, str]]:
        """Return the holes not among *allowed*, sorted, each with the nearest allowed name or ""."""
        if self.holes <= (known := frozenset(allowed)):
            return []
        return [(name, nearest(name, known) or "") for name in sorted(self.holes - known)]

    def text(self, values: Mapping[str, object]) -> str:
        """Return the rendered text; raises ValueError as `chunks` does."""
        return "".join([chunk for chunk, _ in self.chunks(values)])

    def chunks(self, values: Mapping[str, object]) -> Iterable[tuple[str, bool]]:
        """Return the rendered text in pieces, each with whether a hole wrote it.

        Raises:
            ValueError: A hole has no value, writes no text, or the rendering passes the bounds.

        """
        filled = self._filled(values)
        return _compiled(self.source).chunks(values) if filled is None else filled

    def _filled(self, values: Mapping[str, object]) -> list[tuple[str, bool]] | None:
        """Return the chunks where that takes no Jinja."""
        if self._pieces is None:
            return None
        filled, size = [], 0
        for text, is_hole in self._pieces:
            value = values.get(text) if is_hole else text
            if type(value) is not str:
                return None
            filled.append((value, is_hole))
            size += len(value)
        return filled if size <= _MAX_FILLED else None


def _plain(source: str) -> tuple[tuple[str, bool], ...] | None:
    """Return the pieces of a text that only writes holes, in order; None where it may ask for more.

    As in Jinja, one line end at the very end is no part of the text.
    """
    parts = _HOLE.split(source.removesuffix("\n"))
    if not _JINJAS_OWN.isdisjoint(parts[1::2]) or any(mark in text for text in parts[::2] for mark in "{}\r"):
        return None
    return tuple((part, bool(number % 2)) for number, part in enumerate(parts) if part)


@lru_cache(maxsize=4096)
def _compiled(source: str) -> Compiled:
    """Return *source* compiled by Jinja; raises ValueError."""
    from runner.text.bounded import Compiled

    return Compiled.of(source)


def hole(word: str) -> str:
    """Return the name under which *word* stands in Jinja: `aki.outfit` is `aki_outfit`."""
    return word.replace(".", "_").replace("-", "_")
