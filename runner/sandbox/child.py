"""The child process: gives everything away, then answers requests until its input ends.

What is taken from it before the first request: environment variables (it is started with none), files and
sockets (no descriptor beyond its pipes can be opened, and whoever tries is ended), other processes, memory
beyond `MEMORY`. Each request has `SECONDS` of processor time; after that the kernel ends the process,
whatever it is at. Where the operating system has one of these limits not, the others stand (`limits`).
"""

from __future__ import annotations

import codecs
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

import jinja2.debug  # noqa: F401 - imported by Jinja at its first fault, when nothing can be opened any more

from runner.sandbox.body import Body, Macros
from runner.sandbox.limits import allow_time, keep_within
from runner.sandbox.wire import (
    ANSWER,
    BODY,
    FACTS,
    LINES,
    MEMORY,
    MISTAKES,
    OUT_OF_MEMORY,
    REACHED_OUT,
    REQUEST,
    TEXT,
    UNKNOWN,
    Mistake,
    Refused,
    Source,
    packed,
    seconds_for,
    unpacked,
)

_KEPT: Final = 2 * 2**20
"""Characters of templates kept compiled; a template counts as 4,096 more than it has."""
_HARMLESS: Final = frozenset(
    {"compile", "exec", "code.__new__", "sys._getframe", "object.__getattr__", "builtins.id"}
)
"""Audit events of what Jinja does; at any other the process ends."""
_CODECS: Final = ("ascii", "unicode-escape")
"""What Jinja's lexer decodes with; found when first looked for."""


class Shelf:
    """The templates that were loaded last, compiled."""

    def __init__(self) -> None:
        self._macros: tuple[tuple[str, ...], Macros] | None = None
        self._bodies: dict[str, tuple[int, Body]] = {}

    def load(self, name: str, source: Source) -> Body:
        """Return the template that *source* is, called *name* from now on; raises Refused."""
        if name not in self._bodies:
            if self._macros is None or self._macros[0] != source.macros:
                self._macros = source.macros, Macros(source.macros)
            weight = len(source.body) + sum(map(len, source.macros)) // 8 + 4_096
            self._bodies[name] = weight, Body(source, self._macros[1])
            while sum(weight for weight, _ in self._bodies.values()) > _KEPT and len(self._bodies) > 1:
                del self._bodies[next(iter(self._bodies))]
        return self._bodies[name][1]

    def body(self, name: str) -> Body | None:
        """Return the template called *name*, None when it is not here."""
        found = self._bodies.pop(name, None)
        if found is None:
            return None
        self._bodies[name] = found  # the one asked for last is forgotten last
        return found[1]


def main() -> None:
    """Answer what comes by standard input until it ends."""
    shelf = Shelf()
    confine()
    while (head := _read(REQUEST.size)) is not None:
        request = _read(*REQUEST.unpack(head))
        if request is None:
            break
        allow_time(seconds_for(request))
        try:
            kind, content = answered(shelf, request)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        allow_time(0)
        _write(ANSWER.pack(kind, len(content)) + content)
    os._exit(0)


def confine() -> None:
    """Give away what a template could misuse; there is no way back."""
    for name in _CODECS:
        codecs.lookup(name)
    gc.collect()
    gc.freeze()
    keep_within(MEMORY)
    _end_at_anything_else()


def answered(shelf: Shelf, request: bytes) -> tuple[bytes, bytes]:
    """Return kind and content of the answer to *request*."""
    try:
        what, name, *more = unpacked(request)
        if what == "load":
            return FACTS, packed(shelf.load(name, Source.of(*more)).facts)
        body = shelf.body(name)
        if body is None:
            return UNKNOWN, b""
        if what == "text":
            return TEXT, body.text(*more)
        return LINES, packed(body.lines(*more))
    except Refused as refused:
        return MISTAKES, packed(refused.mistakes)
    except MemoryError:
        raise
    except Exception as fault:  # noqa: BLE001 - the parent shows it, with where it was; nobody reads our stderr
        return MISTAKES, packed([Mistake(BODY, 0, _bug(fault))])


def _bug(fault: Exception) -> str:
    places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)[-3:]]
    return f"cannot be handled ({type(fault).__name__}: {str(fault)[:200]}, in {' > '.join(places)})"


def _end_at_anything_else(*, harmless: frozenset[str] = _HARMLESS) -> None:
    end = os._exit

    def heard(event: str, _: Sequence[Any]) -> None:
        if event not in harmless:
            end(REACHED_OUT)

    sys.addaudithook(heard)


def _read(size: int) -> bytes | None:
    """Return *size* bytes of standard input, None when it ends before."""
    parts = []
    while size:
        part = os.read(0, min(size, 2**20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(1, rest) :]
