"""The journal: an append-only file of checksummed JSON lines. It is the truth of a run.

Format 1. Every line is one JSON object whose last member is `"c"`, the CRC-32 of everything before that
member, chained: each line's checksum starts from the one before it, so a changed, missing, doubled or moved
line breaks the chain at its place. The first line is `{"t":"journal","format":1,…}`. A line counts once its
newline is on disk; a torn last line was never promised to anybody and is dropped.

One writer per file. Nothing here knows what the lines mean.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import door, locks
from runner.errors import RecordDamaged, RunLocked, StorageError

FORMAT = 1
MARK = b',"c":"'
_parse = json.JSONDecoder().raw_decode
TAIL = len(MARK) + 8 + 2  # the mark, eight hex digits, `"}`

_LAST = 2**16

Line = dict[str, Any]


def encode(line: Mapping[str, Any], previous: int) -> tuple[bytes, int]:
    """Return *line* as bytes with its newline, and its checksum; *previous* is the one of the line before."""
    return seal(body_of(line), previous)


def body_of(line: Mapping[str, Any]) -> bytes:
    """Return what the checksum of *line* is taken over."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")[:-1]


def seal(body: bytes, previous: int) -> tuple[bytes, int]:
    """Return the line that *body* makes behind *previous*, with its newline, and its checksum."""
    check = zlib.crc32(body, previous)
    return b'%s%s%08x"}\n' % (body, MARK, check), check


def decode(raw: bytes, previous: int) -> tuple[Line, int] | None:
    """Return the line and its checksum, or None when it is not what was written behind *previous*.

    A checksum proves no author: what is no line of ours is not one either, however well it is sealed.
    """
    body = raw[:-TAIL]
    check = zlib.crc32(body, previous)
    if raw[-TAIL:] != b'%s%08x"}' % (MARK, check):
        return None
    # Decoded here: `json.loads` of bytes looks for their encoding first, which takes a third of its time.
    try:
        line = _parse(str(body, "utf-8", "surrogatepass") + "}")[0]
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not isinstance(line.get("t"), str):
        return None
    return (line, check) if isinstance(line.get("format", FORMAT), int) else None


def last_line(path: Path) -> Line:
    """Return the last whole line of the journal at *path*, its checksum not looked at.

    Empty where there is none, it is longer than 64 KiB, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LAST))
            raw = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
        found = json.loads(raw)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a journal was read: the next byte, the next line's number (from 1), the running checksum."""

    offset: int = 0
    line: int = 1
    check: int = 0


@dataclass(slots=True)
class Reading:
    """Iterates the lines from *position* on and moves it; afterwards `torn` holds an unfinished last line."""

    path: Path
    position: Position = Position()
    torn: bytes = b""

    def __iter__(self) -> Iterator[Line]:
        """Yield every whole line in order; raises RecordDamaged naming the line that does not belong.

        `position` is moved when the iteration ends, however it ends.
        """
        offset, number, check = self.position.offset, self.position.line, self.position.check
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                for raw in file:
                    found = decode(raw[:-1], check) if raw.endswith(b"\n") else None
                    if found is None:
                        self._end(raw, number, last=not file.read(1))
                        return
                    line, check = found
                    if number == 1 and line.get("format", FORMAT) > FORMAT:
                        raise RecordDamaged(
                            f"{self.path} was written by a newer animerun (format {line['format']}, "
                            f"this one knows {FORMAT})",
                            hint="a newer animerun",
                        )
                    offset, number = offset + len(raw), number + 1
                    yield line
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error
        finally:
            self.position = Position(offset=offset, line=number, check=check)

    def _end(self, raw: bytes, number: int, *, last: bool) -> None:
        """An unreadable last line was never finished; anywhere else it is damage."""
        if not last:
            raise RecordDamaged(
                f"{self.path}:{number}: this line is not what was written here; "
                "the record cannot be trusted from here on",
                hint=f"{RecordDamaged.hint} {self.path.parent.name}",
            )
        self.torn = raw


class Journal:
    """The one writer of a journal file, and its lock. `append` is cheap; `commit` makes it durable.

    Commits of two threads come one after the other, and no line is written by both.
    """

    def __init__(self, path: Path, position: Position) -> None:
        self.path = path
        self._check = position.check
        self._end = position.offset
        self._trouble: StorageError | None = None
        self._pending: list[bytes] = []
        self._committing = threading.Lock()
        self._file = open_alone(path, hint="--wait-lock waits for it")

    @classmethod
    def create(cls, path: Path, **head: Any) -> Journal:
        """Return the writer of a new journal whose first line carries *head*.

        Raises RunLocked where another process was first: only with the lock can it be seen who is.
        """
        journal = cls(path, Position())
        try:
            if os.fstat(journal._file.fileno()).st_size:
                raise RunLocked(f"{path} exists already; a journal is never written over")
            journal.append({"t": "journal", "format": FORMAT, **head})
            journal.commit()
            door.sync_folder(path.parent)
        except BaseException as error:
            journal._file.close()
            if isinstance(error, OSError):
                raise StorageError.of("write", path, error) from error
            raise
        return journal

    @classmethod
    def resume(cls, path: Path) -> tuple[Journal, list[Line]]:
        """Return the writer and every line so far; a torn last line is moved to `<name>.torn` first."""
        journal = cls(path, Position())
        try:
            reading = Reading(path)
            lines = list(reading)
            if reading.torn:
                with door.File(path.with_name(path.name + ".torn"), "ab") as kept:
                    kept.write(reading.torn.rstrip(b"\n") + b"\n")
                door.truncate(path, reading.position.offset)
        except BaseException as error:
            journal._file.close()
            if isinstance(error, OSError):
                raise StorageError.of("mend the end of", path, error) from error
            raise
        journal._check, journal._end = reading.position.check, reading.position.offset
        return journal, lines

    def append(self, line: Mapping[str, Any]) -> None:
        """Queue *line*; it is durable after the next `commit`."""
        raw, self._check = encode(line, self._check)
        self._pending.append(raw)

    def commit(self) -> None:
        """Write and sync what was appended; raises StorageError.

        On failure nothing of it counts and nothing more is ever written: what is there in part is cut off,
        and after a failed sync nobody can say what the disk holds.
        """
        with self._committing:
            if self._trouble is not None:
                raise self._trouble
            if taken := self._pending[:]:
                del self._pending[: len(taken)]
                self._write(b"".join(taken))

    def _write(self, block: bytes) -> None:
        try:
            self._file.write(block)
            self._file.sync()
        except OSError as error:
            self._trouble = StorageError.of("write", self.path, error, need=len(block))
            with suppress(OSError):
                door.truncate(self.path, self._end)
            raise self._trouble from error
        self._end += len(block)

    def close(self) -> None:
        """Commit what is pending and close the file; nothing is tried again after a failure."""
        try:
            if self._trouble is None:
                self.commit()
        finally:
            self._file.close()


def held(path: Path) -> bool:
    """Return whether a process is writing the journal at *path* at this moment, as far as locks tell."""
    try:
        with path.open("rb") as file:
            return locks.held(file.fileno())
    except OSError:
        return False


def open_alone(path: Path, *, hint: str) -> door.File:
    """Return *path* open at its end, with the lock of its one writer; raises RunLocked, StorageError.

    Who has the lock may put another file in its place, as `repair` does: until we have the lock of the one
    that has the name, it is opened again.
    """
    while True:
        try:
            file = door.File(path, "ab")
        except OSError as error:
            raise StorageError.of("write", path, error) from error
        with ExitStack() as opened:
            opened.enter_context(file)
            try:
                locks.take(file.fileno())
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    opened.pop_all()
                    return file
            except BlockingIOError:
                told = f"{path} is being written by another process ({locks.holder(file.fileno())})"
                raise RunLocked(told, hint=hint) from None
            except OSError as error:
                raise StorageError.of("lock", path, error) from error
