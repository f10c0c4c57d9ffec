"""The tree a YAML text is composed to: scalars keep their source text, every node its place.

No type is guessed here: whether `28` is a number is decided by the word it is written for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from runner.errors import Problem
from runner.text.letters import composed


@dataclass(frozen=True, slots=True)
class Source:
    """One text and the name people know it by."""

    path: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source; line and column count from 1."""

    source: Source
    line: int
    column: int
    width: int = 1

    def problem(self, message: str) -> Problem:
        """Return *message* as a problem at this place, with its source line."""
        lines = self.source.lines
        text = lines[self.line - 1] if 0 < self.line <= len(lines) else ""
        return Problem(
            message=message,
            path=self.source.path,
            line=self.line,
            column=self.column,
            source=text,
            width=self.width,
        )


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as written; `plain` = without quotes and not a block."""

    text: str
    mark: Mark
    plain: bool = True

    @property
    def name(self) -> str:
        """The text as names are compared: a letter and its accent are one character."""
        return composed(self.text)

    @property
    def is_null(self) -> bool:
        """Plain `null` or `~`: unsets a word."""
        return self.plain and self.text in ("null", "~")

    @property
    def is_empty(self) -> bool:
        """Nothing stands behind the colon."""
        return self.plain and self.text == ""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list, in the order written."""

    items: tuple[Node, ...]
    mark: Mark

    def __iter__(self) -> Iterator[Node]:
        """The items in order."""
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key with its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map in file order; keys are distinct scalars."""

    entries: tuple[Entry, ...]
    mark: Mark
    # A show has thousands of scenes: looking one up must not walk over all of them.
    _index: dict[str, Entry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {entry.key.text: entry for entry in reversed(self.entries)})

    def get(self, key: str) -> Node | None:
        """Return the value of *key*, or None."""
        entry = self._index.get(key)
        return entry.value if entry else None

    def entry(self, key: str) -> Entry | None:
        """Return the entry of *key*, or None."""
        return self._index.get(key)

    def __iter__(self) -> Iterator[Entry]:
        """The entries in file order."""
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


Node = Scalar | Sequence | Mapping
