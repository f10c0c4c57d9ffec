"""What operating systems do differently. No other module names what only some of them have.

What is missing is looked for, never concluded from the system's name: here it has a stand-in, or the function
says that there is none. Linux and macOS have everything but `fdatasync` (macOS); of Windows each function
says what it does there. It has never run on a real Windows: tests take the modules and names away.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final


def optional(name: str) -> Any:
    """Return the module *name*, None where this system has none."""
    try:
        return import_module(name)
    except ImportError:
        return None


_fcntl: Final = optional("fcntl")
_resource: Final = optional("resource")


def _kernel32() -> Any:
    """Return the library of that name, None where this is no Windows."""
    if _fcntl is not None:
        return None
    import ctypes

    load = getattr(ctypes, "WinDLL", None)
    return None if load is None else load("kernel32")


_kernel: Final = _kernel32()

NO_LINKS: Final[int] = getattr(os, "O_NOFOLLOW", 0)
"""Flag of `os.open`: a link at the end of the path is an error. Windows has none; links need rights there."""
OPEN_FILES_KEEP_NAMES: Final = not hasattr(os, "O_DIRECTORY")
"""Whether an open file can be neither renamed, nor replaced, nor deleted, as on Windows."""
STOP_SIGNALS: Final[Mapping[int, int]] = {
    int(getattr(signal, name)): code
    for name, code in (("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143), ("SIGBREAK", 143))
    if hasattr(signal, name)
}
"""Signals that ask a process to end, and its exit code. SIGBREAK: Ctrl-Break, a closed window (Windows)."""
_FICLONE: Final = 0x40049409
"""ioctl that shares the blocks of a file. Source: Linux include/uapi/linux/fs.h."""
_LONGEST_FOLDER: Final = 1_024
_BUSY: Final = (5, 32)
"""ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION: what Windows answers while somebody has the file open."""


# -- files --------------------------------------------------------------------------------------------------

sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)
"""Make the content of a descriptor durable, with its length."""


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable; raises OSError. On Windows NTFS does so by itself."""
    if OPEN_FILES_KEEP_NAMES:
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def is_file(path: Path) -> bool:
    """Return whether there is a file at *path*; a name that no file can have (too long) is none."""
    return os.path.isfile(path)  # noqa: PTH113 - `Path.is_file` raises for it


def busy(error: OSError) -> bool:
    """Return whether *error* says that a process has the file open at the moment; only Windows minds."""
    return getattr(error, "winerror", None) in _BUSY


def share_blocks(source: int, target: int) -> bool:
    """Make the empty file *target* share the blocks of *source*, both descriptors; return whether it does."""
    if _fcntl is None:
        return False
    try:
        _fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def allow_open_files(needed: int) -> int | None:
    """Allow this process so many open files; return the most that the system allows, None for enough."""
    if _resource is None:
        return None
    soft, hard = _resource.getrlimit(_resource.RLIMIT_NOFILE)
    if soft == _resource.RLIM_INFINITY or soft >= needed:
        return None
    if hard != _resource.RLIM_INFINITY and hard < needed:
        return int(hard)
    _resource.setrlimit(_resource.RLIMIT_NOFILE, (needed, hard))
    return None


# -- processes ----------------------------------------------------------------------------------------------


def die() -> None:
    """End this process at once, as a power cut would."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))  # Windows: TerminateProcess


def own_group() -> Mapping[str, Any]:
    """Return the arguments of `Popen` that keep the terminal's Ctrl-C away from a child."""
    flag = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    return {"creationflags": flag} if flag else {"start_new_session": True}


def bare_environment() -> Mapping[str, str]:
    """Return the environment of a child that is to know nothing: none.

    Windows finds its own libraries by SYSTEMROOT; without it Python does not start.
    """
    if _kernel is None:
        return {}
    import ctypes

    found = ctypes.create_unicode_buffer(_LONGEST_FOLDER)
    _kernel.GetSystemWindowsDirectoryW(found, _LONGEST_FOLDER)
    return {"SYSTEMROOT": found.value}


def interpreter() -> str:
    """Return the Python to start as a child; empty where nobody knows."""
    # In a virtual environment of Windows `python.exe` is another program, which starts the real one.
    return str((_kernel and getattr(sys, "_base_executable", "")) or sys.executable or "")


def processor_seconds(process: subprocess.Popen[bytes]) -> float | None:
    """Return the processor time that *process* has taken so far; None where only the system counts it."""
    if _kernel is None:
        return None
    import ctypes

    times = [
        ctypes.c_uint64() for _ in range(4)
    ]  # created, exited, kernel, user, in 100 ns (processthreadsapi.h)
    _kernel.GetProcessTimes(ctypes.c_void_p(int(process._handle)), *map(ctypes.byref, times))  # type: ignore[attr-defined]
    return (times[2].value + times[3].value) / 1e7


def after_fork(act: Callable[[], None]) -> None:
    """Have *act* called in every child that is forked off this process; Windows forks none."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=act)


# -- the network --------------------------------------------------------------------------------------------


def own_port(listener: socket.socket) -> None:
    """Have *listener* take a port that nobody listens at, and one that somebody left a moment ago."""
    # On Windows SO_REUSEADDR would take a port from a process that listens at it.
    name = "SO_EXCLUSIVEADDRUSE" if hasattr(socket, "SO_EXCLUSIVEADDRUSE") else "SO_REUSEADDR"
    listener.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
