"""What parent and child say to each other: a length, then so many bytes of JSON or text.

A request is the length in 4 bytes and a JSON list, an answer its kind in 1 byte, the length in 4, then the
content. Text is UTF-8 in which half characters may stand alone, for they are refused later, with a message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from struct import Struct
from typing import Any, Final, NamedTuple

LARGEST_GRAPH: Final = 8 * 2**20
"""Bytes that one rendering may give, and so of any answer."""
SECONDS: Final = 1.2
"""Processor time of the child for loading, and again for rendering: a template has 3 s with all around it."""
LINE_SECONDS: Final = 0.3
"""The same for finding the lines of mistakes, which are told without when they take longer."""
MEMORY: Final = 300 * 2**20
"""Bytes of address space of the child, all in all; it begins with 30 MiB."""
BODY: Final = -1
"""The file of a mistake: the template itself; macro files count from 0."""

REQUEST: Final = Struct(">I")
ANSWER: Final = Struct(">cI")

FACTS: Final = b"f"
MISTAKES: Final = b"m"
TEXT: Final = b"t"
LINES: Final = b"l"
LINES_BEGIN: Final = b'["lines"'
"""What a request for lines begins with."""
UNKNOWN: Final = b"u"
"""A template that was never loaded here, or long ago."""

OUT_OF_MEMORY: Final = 81
REACHED_OUT: Final = 82
"""Exit codes of a child that ended over a template."""


class Mistake(NamedTuple):
    """What is wrong with a template, with the line of the file; line 0: of the whole file."""

    file: int
    """`BODY`, or the number of a macro file."""
    line: int
    message: str


class Refused(Exception):
    """A text that cannot be loaded or rendered."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes


@dataclass(frozen=True)
class Source:
    """A template as the child is given it."""

    macros: tuple[str, ...]
    """The macro files' texts; those of a later one hide those of an earlier one."""
    body: str
    first: int
    """The line of the file that *body* begins on, 1-based."""
    parameters: tuple[str, ...]
    """What the front matter declares."""
    texts: tuple[str, ...]
    """Those among them that hold text a person wrote."""
    seed: str
    """The one parameter that holds the seed, empty when there is none."""

    @cached_property
    def content(self) -> list[Any]:
        """Everything as plain data; `Source.of` reads it."""
        return [self.macros, self.body, self.first, self.parameters, self.texts, self.seed]

    @cached_property
    def name(self) -> str:
        """What names it in requests: a hash of everything."""
        return sha256(packed(self.content)).hexdigest()

    @classmethod
    def of(cls, content: Sequence[Any]) -> Source:
        """Return what `content` was made of."""
        macros, body, first, parameters, texts, seed = content
        return cls(tuple(macros), body, first, tuple(parameters), tuple(texts), seed)


def packed(value: object) -> bytes:
    """Return plain data as the bytes of a message."""
    return json.dumps(value, ensure_ascii=False, check_circular=False).encode("utf-8", "surrogatepass")


def unpacked(content: bytes) -> Any:
    """Return the plain data of a message; raises ValueError or RecursionError for bytes that are none."""
    return json.loads(content.decode("utf-8", "surrogatepass"))


def seconds_for(request: bytes) -> float:
    """Return how much processor time *request* may take."""
    return LINE_SECONDS if request.startswith(LINES_BEGIN) else SECONDS


def load_request(source: Source) -> bytes:
    """Ask for FACTS {"macros": names of each file, "called": macros the body calls, "written": bool}."""
    return packed(["load", source.name, source.content])


def text_request(source: Source, values: Mapping[str, Any]) -> bytes:
    """Ask for the TEXT that *values* give."""
    return packed(["text", source.name, values])


def lines_request(source: Source, values: Mapping[str, Any], positions: Sequence[int]) -> bytes:
    """Ask for the LINES of the file, a list, that wrote the characters at *positions* of that text."""
    return packed(["lines", source.name, values, positions])
