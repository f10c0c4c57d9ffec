# ruff: noqa: PTH100, PTH109, PTH114, PTH118, PTH206 - names in open folders are texts, and how a path is written is asked of no disk
"""The way to a file below a trusted folder: step by step, and no step is a link.

A folder is trusted because a person works in it or named it (`trust`); what lies below it may come with a
pull request or from a stranger. A link there could lead anywhere, so none is followed: not at the end of a
path, not on the way. A path below no trusted folder was written by a person and is used as it is.

Each step is opened in the folder that was opened before it, so nothing can be swapped on the way. Windows
cannot do that: there each step is looked at first, and a link that is made in between is followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from runner import system

_STEPS: Final = os.open in os.supports_dir_fd
_AT_ONCE: Final = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
"""Flags of every file: for no child, and a pipe that somebody put there is not waited for."""
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_PRIVATE: Final = 0o600
_trusted: tuple[str, ...] = ()


def trust(*folders: Path) -> None:
    """Trust these folders and no others, however they are reached: links above and at them are a person's."""
    global _trusted  # noqa: PLW0603 - one working folder a process
    names = {name for folder in folders for name in (os.path.abspath(folder), os.path.realpath(folder))}
    _trusted = tuple(sorted(names, key=len, reverse=True))


def is_watched(path: Path) -> bool:
    """Return whether *path* lies below a trusted folder, as it is written."""
    return _split(path) is not None


@contextmanager
def reached(path: Path) -> Iterator[tuple[str, int | None]]:
    """Yield the name and the open folder to find *path* by; None: the name is a path of its own.

    Raises OSError: a step is a link (ELOOP, with its path in `filename`), no folder, or not there.
    """
    found = _split(path)
    if found is None or not found[1]:
        yield str(path), None
        return
    root, steps = found
    if not _STEPS:
        _look(root, steps[:-1])
        yield str(path), None
        return
    fd = os.open(root, _FOLDER)
    try:
        for number, step in enumerate(steps[:-1]):
            below = _open_folder(step, fd, os.path.join(root, *steps[: number + 1]))
            os.close(fd)
            fd = below
        yield steps[-1], fd
    finally:
        os.close(fd)


def check(path: Path) -> None:
    """Raise OSError when *path* or a step to it is a link, or it is a pipe or a device.

    For files that a library opens by their name: what is swapped after this look is followed.
    """
    if not is_watched(path):
        return
    with suppress(FileNotFoundError), reached(path) as (name, fd):
        mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise _link(str(path))
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, f"{_near(str(path))} is no regular file")


def open_at(path: Path, flags: int, mode: int) -> int:
    """Do what `os.open` does; a link at the end is an error below a trusted folder. Raises OSError."""
    with reached(path) as (name, fd):
        if fd is None and not is_watched(path):
            return os.open(name, flags, mode)
        try:
            return os.open(name, flags | system.NO_LINKS, mode, dir_fd=fd)
        except OSError as error:
            raise (_link(str(path)) if error.errno == errno.ELOOP else error) from None


def rename(old: Path, new: Path) -> None:
    """Give *old* the name *new*, in place of what has it; raises OSError."""
    with reached(old) as (name, at), reached(new) as (wanted, there):
        os.replace(name, wanted, src_dir_fd=at, dst_dir_fd=there)


def link(old: Path, new: Path) -> None:
    """Give *old* a second name; raises FileExistsError when something has it, OSError."""
    with reached(old) as (name, at), reached(new) as (wanted, there):
        if at is None and there is None:
            os.link(name, wanted)
        else:
            # With an open folder Python would follow a link unless told not to.
            os.link(name, wanted, src_dir_fd=at, dst_dir_fd=there, follow_symlinks=False)


def unlink(path: Path) -> None:
    """Take the name *path* away; raises OSError."""
    with reached(path) as (name, at):
        os.unlink(name, dir_fd=at)


def make_folder(path: Path) -> None:
    """Make one folder; raises FileExistsError when something has the name, OSError."""
    with reached(path) as (name, at):
        os.mkdir(name, dir_fd=at)


def truncate(path: Path, length: int) -> None:
    """Cut *path* to *length* bytes; raises OSError."""
    fd = open_at(path, os.O_WRONLY, 0)
    try:
        os.ftruncate(fd, length)
    finally:
        os.close(fd)


def open_private(path: Path) -> TextIO:
    """Return *path* open for reading and writing at its end, made where it is missing; raises OSError.

    Only its owner may open it: whoever can open a file can keep its lock.
    """
    fd = open_at(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _AT_ONCE, _PRIVATE)
    mode = _regular(fd, path)
    if mode & 0o077 and hasattr(os, "fchmod"):
        with suppress(OSError):  # another's file, or a file system without modes
            os.fchmod(fd, _PRIVATE)
    return os.fdopen(fd, "a+", encoding="utf-8")


def open_regular(path: Path) -> BinaryIO:
    """Return the regular file *path* open for reading; raises OSError for everything else."""
    fd = open_at(path, os.O_RDONLY | _AT_ONCE, 0)
    _regular(fd, path)
    return os.fdopen(fd, "rb")


def _regular(fd: int, path: Path) -> int:
    """Return the mode of the regular file *fd*; closes everything else and raises OSError."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return stat.S_IMODE(mode)
    os.close(fd)
    raise OSError(errno.EINVAL, f"{_near(str(path))} is no regular file")


def open_report(path: Path, *, append: bool) -> BinaryIO:
    """Return *path* open for writing at its end or in place of what it held; raises OSError.

    Below a trusted folder no link is followed; elsewhere a person may name one, such as /dev/stdout.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    return os.fdopen(open_at(path, flags | getattr(os, "O_BINARY", 0), 0o666), "wb")


def is_folder(path: Path) -> bool:
    """Return whether *path* is a folder; raises OSError where it, or a step to it, is a link."""
    try:
        with reached(path) as (name, fd):
            if fd is None:
                return Path(name).is_dir()
            mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISLNK(mode):
        raise _link(str(path))
    return stat.S_ISDIR(mode)


def fresh_name(stem: str) -> str:
    """Return a name that begins with *stem* and that nobody can guess."""
    return f"{stem}{os.urandom(8).hex()}"


def _split(path: Path) -> tuple[str, list[str]] | None:
    """Return the trusted folder that *path* lies in, and the steps from there; None where it lies in none."""
    whole = os.path.abspath(path)
    for root in _trusted:
        if whole == root:
            return root, []
        inside = root if root.endswith(os.sep) else root + os.sep
        if whole.startswith(inside):
            return root, whole[len(inside) :].split(os.sep)
    return None


def _open_folder(step: str, fd: int, whole: str) -> int:
    try:
        return os.open(step, _FOLDER | system.NO_LINKS, dir_fd=fd)
    except OSError as error:
        # Linux answers ENOTDIR to a link that was to be a folder, macOS ELOOP.
        if stat.S_ISLNK(os.stat(step, dir_fd=fd, follow_symlinks=False).st_mode):
            raise _link(whole) from None
        raise error from None


def _look(root: str, steps: list[str]) -> None:
    for number in range(len(steps)):
        place = os.path.join(root, *steps[: number + 1])
        if os.path.islink(place) or (hasattr(os.path, "isjunction") and os.path.isjunction(place)):
            raise _link(place)


def _link(whole: str) -> OSError:
    told = f"{_near(whole)} is a link, and below a project and its runs no link is followed"
    return OSError(errno.ELOOP, told)


def _near(whole: str) -> str:
    """Return *whole* from the working folder where it lies below it."""
    here = os.getcwd() + os.sep
    return whole.removeprefix(here)
