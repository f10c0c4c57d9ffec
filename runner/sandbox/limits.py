"""What the operating system takes from the child that renders templates, as far as it can.

POSIX has limits of the process and a timer of processor time. Windows counts memory and processes in a job
object; there the parent counts the time (`watched`), and files and sockets are kept away by the audit hook
alone. Never run on a real Windows.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any, Final

_NOTHING: Final = ("RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_NPROC")
_PIPES: Final = 3

_resource: ModuleType | None
try:
    _resource = import_module("resource")
except ImportError:
    _resource = None

COUNTS_TIME: Final = hasattr(signal, "setitimer") and hasattr(signal, "SIGPROF")
"""Whether the system ends a process that took its processor time."""
TIME_IS_UP: Final = int(getattr(signal, "SIGPROF", 0))
"""The signal that it is ended by."""


def keep_within(memory: int) -> None:
    """Let this process have *memory* bytes, no file beyond its pipes, and no further process."""
    if COUNTS_TIME:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    if _resource is None:
        _join_job(memory)
        return
    for name in _NOTHING:
        _limit(_resource, name, 0)
    _limit(_resource, "RLIMIT_AS", memory)
    _limit(_resource, "RLIMIT_NOFILE", _PIPES)


def allow_time(seconds: float) -> None:
    """Have the system end this process after so many seconds of processor time; 0 = no more counting."""
    if COUNTS_TIME:
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit(resource: ModuleType, name: str, most: int) -> None:
    """Set a limit of the operating system where it has that one."""
    with suppress(AttributeError, ValueError, OSError):
        resource.setrlimit(getattr(resource, name), (most, most))


def _join_job(memory: int) -> None:
    """Put this process into a job of Windows with these limits; what the system refuses is not limited.

    Structures and numbers: winnt.h, `JOBOBJECT_EXTENDED_LIMIT_INFORMATION`.
    """
    import ctypes
    from ctypes import wintypes

    load: Any = getattr(ctypes, "WinDLL", None)
    if load is None:
        return
    kernel = load("kernel32")
    numbers = ctypes.c_uint64 * 6
    process_memory, active_processes, quiet = 0x100, 0x8, 0x400

    class Basic(ctypes.Structure):
        _fields_ = (
            ("PerProcessUserTimeLimit", ctypes.c_int64), ("PerJobUserTimeLimit", ctypes.c_int64),
            ("LimitFlags", wintypes.DWORD), ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t), ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t), ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )  # fmt: skip

    class Extended(ctypes.Structure):
        _fields_ = (
            ("BasicLimitInformation", Basic), ("IoInfo", numbers), ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t), ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )  # fmt: skip

    wanted = Extended()
    wanted.BasicLimitInformation.LimitFlags = process_memory | active_processes | quiet
    wanted.BasicLimitInformation.ActiveProcessLimit = 1
    wanted.ProcessMemoryLimit = memory
    kernel.CreateJobObjectW.restype = kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.CreateJobObjectW.argtypes = (ctypes.c_void_p, wintypes.LPCWSTR)
    kernel.SetInformationJobObject.argtypes = (wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD)
    kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    job = kernel.CreateJobObjectW(None, None)
    extended_limits = 9
    if job and kernel.SetInformationJobObject(
        job, extended_limits, ctypes.byref(wanted), ctypes.sizeof(wanted)
    ):
        kernel.AssignProcessToJobObject(job, kernel.GetCurrentProcess())
