"""The three streams of a process: their other end may be gone, missing, or unable to show a character."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import Any, Final, TextIO, cast


def open_standard_streams() -> None:
    """Point descriptors 0 to 2 at nothing where they are closed: no file of ours may get one of them."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


_PLAIN: Final = str.maketrans(
    {"→": "->", "–": "-", "…": "...", "×": "x", "·": "-", "≥": ">=", "≤": "<=", "′": "'"}
)
"""What our own sentences hold beyond ASCII."""


def show_any_character() -> None:
    """Have no character end a command: what a stream cannot show becomes ASCII, as `->` or `\\u6625`."""
    codecs.register_error("animerun", _shown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="animerun")


def can_show(stream: TextIO, text: str) -> bool:
    """Return whether *stream* can show all of *text* as it is."""
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(_PLAIN)
    return plain.encode("ascii", "backslashreplace").decode(), error.end


def unfailing(stream: TextIO) -> TextIO:
    """Return *stream* as one that goes quiet for good when it cannot be written: hung up, disk full."""
    return cast(TextIO, _Unfailing(stream))


class _Unfailing:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._silence()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._silence()

    def _silence(self) -> None:
        """Have the descriptor lead nowhere; what Python still holds for it goes there too."""
        with suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
