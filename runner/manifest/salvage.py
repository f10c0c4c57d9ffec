"""Which lines of a damaged journal are provably whole. Reads only.

A line ends with its checksum, and that is the value from which the next line's checksum starts. So every line
tells two things: that its own bytes are whole, and that the value it started from was right. The rule:

* A line is *proven* when its checksum comes out from the value stored at the end of the line before it,
  whatever else became of that line. One flipped byte within a line thus costs that line alone.
* When it does not, the checksum is tried from what the line before it *should* have ended with, which its
  body and its own start tell. If that fits, only the end of the line before was damaged; both are proven.
* A line behind a gap (the line before it is missing, or destroyed to its end) cannot be proven, though it may
  be whole; it is lost. The one behind it is proven again.
* A newline that is gone is put back where the end of one line meets the beginning of another; each half must
  then prove itself.
* What does not prove itself at the very end was never finished (torn), not damaged.

A chance fit has a probability of about 1 in 10^9 per damaged line.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.errors import StorageError
from runner.manifest.journal import MARK, TAIL

State = Literal["proven", "lost", "torn"]
_SEAM = re.compile(rb',"c":"[0-9a-f]{8}"}(.?)(?={"t":)', re.DOTALL)
_STORED = re.compile(rb'[0-9a-f]{8}"}')
_STARTS = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """What stood in one line."""

    number: int
    """Line of the file, from 1."""
    body: bytes
    """Everything before the checksum, without the closing brace."""
    raw: bytes
    """The line as it was found, without its newline."""
    state: State


def is_whole(path: Path) -> bool:
    """Return whether every line of *path* is proven from the first on and the last one finished."""
    check = 0
    try:
        with path.open("rb") as file:
            for raw in file:
                check = zlib.crc32(raw[: -TAIL - 1], check)
                if raw[-TAIL - 1 :] != b'%s%08x"}\n' % (MARK, check):
                    return False
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    return True


def salvage(path: Path) -> Iterator[Piece]:
    """Yield every line of *path* in order, with what is known of it."""
    held: tuple[int, bytes, tuple[int, ...]] | None = None
    starts: tuple[int, ...] = (0,)
    for number, raw, finished in _lines(path):
        body, stored = _parts(raw) if finished else (raw, None)
        start = next((s for s in starts if stored is not None and zlib.crc32(body, s) == stored), None)
        if held is not None:
            yield _piece(held[0], held[1], "proven" if start in held[2] else "lost")
            held = None
        if start is not None and stored is not None:
            yield _piece(number, raw, "proven")
            starts = (stored,)
        else:
            computed = tuple(zlib.crc32(body, each) for each in starts)
            held = (number, raw, computed)
            starts = ((() if stored is None else (stored,)) + computed)[:_STARTS]
    if held is not None:
        yield _piece(held[0], held[1], "torn")


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (number, bytes without newline, whether it had one); lines that lost the newline are parted."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                finished = raw.endswith(b"\n")
                parts = deque(_parted(raw.removesuffix(b"\n")))
                while parts:
                    part = parts.popleft()
                    yield number, part, finished or bool(parts)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def _parted(raw: bytes) -> Iterator[bytes]:
    at = 0
    for seam in _SEAM.finditer(raw):
        yield raw[at : seam.start(1)]
        at = seam.end(1)
    yield raw[at:]


def _parts(raw: bytes) -> tuple[bytes, int | None]:
    """Return the body, and the stored checksum where it can be read."""
    body, tail = raw[:-TAIL], raw[-TAIL:]
    digits = tail[len(MARK) :]
    whole = tail.startswith(MARK) and _STORED.fullmatch(digits)
    return body, int(digits[:8], 16) if whole else None


def _piece(number: int, raw: bytes, state: State) -> Piece:
    return Piece(number, raw[:-TAIL], raw, state)
