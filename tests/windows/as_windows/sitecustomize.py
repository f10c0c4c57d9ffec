"""Makes this Python look like one on Windows to `runner`, as far as modules, names and open files go.

Python imports it by itself in every process whose PYTHONPATH has this folder; the sandbox's child, which has
no such path, is given it by way of `subprocess`. The standard library keeps what it needs.

- Modules of POSIX are not to be found. `msvcrt` is, with `locking` as the C library of Windows has it;
  ANIMERUN_TEST_NO_MSVCRT=1 leaves it out.
- `os`, `signal`, `select` and `socket` are copies without the names of POSIX, for modules of `runner` only.
- A file that this process has open can be neither renamed, nor replaced, nor deleted.
"""

from __future__ import annotations

import asyncio.unix_events
import builtins
import errno
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import types
from typing import Any

import fcntl

GONE = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "crypt", "nis", "spwd", "syslog")
LACKS = {
    os: (
        "O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_NONBLOCK O_SYNC fork forkpty register_at_fork fdatasync geteuid getuid getgid "
        "getegid getpgid setsid killpg uname statvfs fstatvfs sched_getaffinity sched_yield mkfifo mknod chown "
        "fchown fchmod lchown pipe2 getloadavg wait3 wait4 set_blocking get_blocking nice sync chroot openpty"
    ).split(),
    signal: (
        "SIGHUP SIGQUIT SIGKILL SIGSTOP SIGCONT SIGCHLD SIGPIPE SIGALRM SIGPROF SIGUSR1 SIGUSR2 SIGTSTP SIGWINCH "
        "setitimer getitimer alarm pause pthread_sigmask pthread_kill sigwait ITIMER_PROF SIG_UNBLOCK SIG_BLOCK"
    ).split(),
    select: ["poll", "epoll", "POLLIN", "POLLOUT", "EPOLLIN"],
    socket: ["AF_UNIX"],
}


def _copy(module: types.ModuleType, lacks: list[str]) -> types.ModuleType:
    copy = types.ModuleType(module.__name__, module.__doc__)
    copy.__dict__.update({name: value for name, value in vars(module).items() if name not in lacks})
    return copy


def _open_here(path: Any) -> bool:
    """Whether this process has the file at *path* open."""
    try:
        wanted = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    for number in os.listdir("/proc/self/fd"):
        try:
            found = os.fstat(int(number))
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode) and os.path.samestat(found, wanted):
            return True
    return False


def _guarded(act: Any, *, both: bool) -> Any:
    def guarded(*paths: Any, **more: Any) -> Any:
        if not any(more.values()) and any(_open_here(path) for path in (paths[:2] if both else paths[:1])):
            error = PermissionError(
                errno.EACCES, "The process cannot access the file because it is in use", paths[0]
            )
            error.winerror = 32  # type: ignore[attr-defined]
            raise error
        return act(*paths, **more)

    return guarded


def _as_on_windows() -> None:
    for name in ("replace", "rename"):
        setattr(os, name, _guarded(getattr(os, name), both=True))
    for name in ("unlink", "remove"):
        setattr(os, name, _guarded(getattr(os, name), both=False))
    for name in GONE:
        sys.modules[name] = None  # type: ignore[assignment]
    masked = {module.__name__: _copy(module, lacks) for module, lacks in LACKS.items()}
    masked["os"].open = _open  # type: ignore[attr-defined]
    masked["os"].utime = _utime  # type: ignore[attr-defined]
    given = builtins.__import__

    def imported(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        asking = str((globals or {}).get("__name__"))
        if level == 0 and name in masked and asking.partition(".")[0] == "runner":
            return masked[name]
        return given(name, globals, locals, fromlist, level)

    builtins.__import__ = imported
    loop = asyncio.unix_events._UnixSelectorEventLoop  # type: ignore[attr-defined]
    loop.add_signal_handler = _no_signal_handler
    subprocess.Popen = _Popen  # type: ignore[misc]


def _open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    if dir_fd is not None:
        raise NotImplementedError("dir_fd unavailable on this platform")
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return os.open(path, flags, mode)


def _utime(path: Any, *more: Any, **named: Any) -> None:
    if isinstance(path, int):
        raise TypeError("utime: path should be string, bytes or os.PathLike, not int")
    os.utime(path, *more, **named)


def _no_signal_handler(*_: object) -> None:
    raise NotImplementedError


class _Popen(subprocess.Popen):  # type: ignore[type-arg]
    """Gives a child that is started alone (`-I`) this file first."""

    def __init__(self, args: Any, *more: Any, **named: Any) -> None:
        if not isinstance(args, str) and "-I" in args and "-c" in args:
            at = args.index("-c") + 1
            args = [*args[:at], f"exec(open({__file__!r}).read())\n{args[at]}", *args[at + 1 :]]
        super().__init__(args, *more, **named)


class _Locks:
    """`msvcrt.locking`: exclusive locks of bytes, by handle, from the file's position on.

    https://learn.microsoft.com/en-us/cpp/c-runtime-library/reference/locking. Nobody else can read locked bytes,
    so one that lies in the file is an error here. A descriptor that only reads is locked by a second one.
    """

    LK_UNLCK, LK_LOCK, LK_NBLCK, LK_RLCK, LK_NBRLCK = range(5)

    def __init__(self) -> None:
        self._seconds: dict[int, int] = {}

    def locking(self, fd: int, mode: int, count: int) -> None:
        at = os.lseek(fd, 0, os.SEEK_CUR)
        if at < os.fstat(fd).st_size or at + count > 2**31 - 1:
            raise AssertionError("this byte lies where somebody may read, or out of reach")
        if mode == self.LK_UNLCK:
            self._set(self._seconds.get(fd, fd), fcntl.F_UNLCK, at, count)
            if fd in self._seconds:
                os.close(self._seconds.pop(fd))
            return
        used = fd
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            used = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
        try:
            self._set(used, fcntl.F_WRLCK, at, count)
        except BlockingIOError:
            if used != fd:
                os.close(used)
            raise PermissionError(errno.EACCES, "Permission denied") from None
        if used != fd:
            self._seconds[fd] = used

    def _set(self, fd: int, kind: int, at: int, count: int) -> None:
        import struct

        f_ofd_setlk = 37
        fcntl.fcntl(fd, f_ofd_setlk, struct.pack("hhqqi4x", kind, os.SEEK_SET, at, count, 0))


if os.environ.get("ANIMERUN_TEST_NO_MSVCRT") != "1":
    stand_in = types.ModuleType("msvcrt")
    locks = _Locks()
    for _name in ("LK_UNLCK", "LK_LOCK", "LK_NBLCK", "LK_RLCK", "LK_NBRLCK", "locking"):
        setattr(stand_in, _name, getattr(locks, _name))
    sys.modules["msvcrt"] = stand_in
_as_on_windows()
