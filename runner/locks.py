"""Locks on open files: one holder, freed by the system when its process ends.

POSIX: `flock`. Windows: one byte is locked (`msvcrt.locking`) that lies where no file of ours has bytes, for
nobody else can read what is locked there. Two descriptors of one process contend as well.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from runner import door
from runner.system import optional

_fcntl: Final = optional("fcntl")
_msvcrt: Final[Any] = None if _fcntl else optional("msvcrt")
AVAILABLE: Final = bool(_fcntl or _msvcrt)
"""Whether this system has locks. Without any, each is granted."""

_TRIES: Final = 50
_TRY_S: Final = 0.001
_BYTE: Final = 2**31 - 2
"""The byte that is locked on Windows: the last that `_locking` of every C library there can reach."""


def take(fd: int) -> None:
    """Take the lock of *fd* until it is closed; raises BlockingIOError where another holds it, OSError.

    A process that only looks (`held`) has the lock for a moment and is no holder: it is waited for.
    """
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            take_at_once(fd)
            return
        if _fcntl is not None:
            # A look shares it; our own share is given back at once: two who wait would shut each other out.
            _fcntl.flock(fd, _fcntl.LOCK_SH | _fcntl.LOCK_NB)
            _fcntl.flock(fd, _fcntl.LOCK_UN)
        door.pause(_TRY_S)
    take_at_once(fd)


def take_at_once(fd: int) -> None:
    """Do what `take` does without waiting for one that only looks."""
    if _fcntl is not None:
        _fcntl.flock(fd, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    elif _msvcrt is not None:
        _on_byte(fd, _msvcrt.LK_NBLCK)


def held(fd: int) -> bool:
    """Return whether another process holds the lock of *fd*; raises OSError where nobody can say.

    On POSIX the lock is shared until *fd* is closed: nobody takes it meanwhile.
    """
    if _fcntl is not None:
        try:
            _fcntl.flock(fd, _fcntl.LOCK_SH | _fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
    try:
        take(fd)
    except BlockingIOError:
        return True
    if _msvcrt is not None:
        _on_byte(fd, _msvcrt.LK_UNLCK)
    return False


def _on_byte(fd: int, mode: int) -> None:
    """Lock or unlock the byte; the position of *fd* stays."""
    position = os.lseek(fd, 0, os.SEEK_CUR)
    try:
        os.lseek(fd, _BYTE, os.SEEK_SET)
        _msvcrt.locking(fd, mode, 1)
    except PermissionError as error:  # EACCES: https://docs.python.org/3/library/msvcrt.html
        raise BlockingIOError(error.errno, "locked by another process") from error
    finally:
        os.lseek(fd, position, os.SEEK_SET)


def holder(fd: int) -> str:
    """Return who holds the lock of *fd*, as Linux reports it; elsewhere that it is unknown.

    Format of /proc/locks: `1: FLOCK ADVISORY WRITE pid major:minor:inode start end` (proc_locks(5)).
    """
    inode = str(os.fstat(fd).st_ino)
    try:
        rows = [row.split() for row in Path("/proc/locks").read_text("ascii").splitlines()]
        pid = next(row[4] for row in rows if row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode)
        since = datetime.fromtimestamp(Path(f"/proc/{pid}").stat().st_mtime, UTC)
    except (OSError, StopIteration, IndexError):
        return "its holder is unknown"
    return f"pid {pid} on {socket.gethostname()}, since {since:%Y-%m-%d %H:%M:%S} UTC"
