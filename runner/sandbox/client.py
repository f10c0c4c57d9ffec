"""What the rest of animerun asks of the sandbox. Answers are checked: a child may have been taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from runner.sandbox.process import SHARED, Sandbox
from runner.sandbox.talk import Lost
from runner.sandbox.wire import (
    BODY,
    FACTS,
    LINES,
    MISTAKES,
    TEXT,
    UNKNOWN,
    Mistake,
    Refused,
    Source,
    lines_request,
    load_request,
    text_request,
    unpacked,
)

_T = TypeVar("_T")
_NONSENSE: Final = "the process that renders templates answers what makes no sense"
_LONGEST: Final = 2_000
"""Characters of a message."""
_MOST: Final = 100
"""Mistakes of one answer."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is to be known of a template that was loaded."""

    macros: tuple[tuple[str, ...], ...]
    """Of each macro file, the names it defines."""
    called: frozenset[str]
    """Names that the body calls."""
    written: bool
    """Whether the seed is written and never used for anything else."""


class Client:
    """Loads and renders by way of a *sandbox*. Raises StorageError where no process can be started."""

    def __init__(self, sandbox: Sandbox = SHARED) -> None:
        self._sandbox = sandbox

    def load(self, source: Source) -> Facts:
        """Return what is to be known of *source*; raises Refused with all mistakes of one of its files."""
        return _twice(lambda: self._loaded(source))

    def text(self, source: Source, values: Mapping[str, Any]) -> str:
        """Return the text that *values* give; raises Refused where they give none."""
        return _twice(lambda: self._asked(source, text_request(source, values), TEXT, _text))

    def lines(self, source: Source, values: Mapping[str, Any], positions: Sequence[int]) -> list[int]:
        """Return the lines of the file that wrote the characters at *positions* of `text`; raises Refused."""
        request = lines_request(source, values, positions)
        return _twice(lambda: self._asked(source, request, LINES, _lines))

    def _loaded(self, source: Source) -> Facts:
        kind, content = self._sandbox.ask(load_request(source))
        return self._read(kind, content, FACTS, lambda content: _facts(content, len(source.macros)))

    def _asked(self, source: Source, request: bytes, wanted: bytes, read: Callable[[bytes], _T]) -> _T:
        kind, content = self._sandbox.ask(request)
        if kind == UNKNOWN:
            self._loaded(source)
            kind, content = self._sandbox.ask(request)
        return self._read(kind, content, wanted, read)

    def _read(self, kind: bytes, content: bytes, wanted: bytes, read: Callable[[bytes], _T]) -> _T:
        """Return what *content* says, or raise what it refuses; a child that answers nonsense is ended."""
        try:
            if kind == wanted:
                return read(content)
            refused = _refused(kind, content)
        except (ValueError, TypeError, LookupError, RecursionError) as fault:
            self._sandbox.close()
            raise Lost(_NONSENSE, final=False) from fault
        raise refused


def _twice(act: Callable[[], _T]) -> _T:
    """Return what *act* gives; where the child was lost and another may do better, that one is asked."""
    try:
        return act()
    except Lost as loss:
        if loss.final:
            raise Refused(Mistake(BODY, 0, str(loss))) from loss
    try:
        return act()
    except Lost as loss:
        raise Refused(Mistake(BODY, 0, str(loss))) from loss


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")


def _lines(content: bytes) -> list[int]:
    return [_line(line) for line in unpacked(content)]


def _line(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("no line")
    return value


def _facts(content: bytes, files: int) -> Facts:
    said = unpacked(content)
    macros = tuple(tuple(_name(name) for name in names) for names in said["macros"])
    if len(macros) != files or type(said["written"]) is not bool:
        raise ValueError("no facts")
    return Facts(macros, frozenset(_name(name) for name in said["called"]), said["written"])


def _name(value: object) -> str:
    if type(value) is not str:
        raise ValueError("no name")
    return value


def _refused(kind: bytes, content: bytes) -> Refused:
    said = unpacked(content)
    if kind != MISTAKES or not 0 < len(said) <= _MOST:
        raise ValueError("no mistakes")
    return Refused(*(Mistake(_file(file), _line(line), _name(told)[:_LONGEST]) for file, line, told in said))


def _file(value: object) -> int:
    return BODY if value == BODY else _line(value)
