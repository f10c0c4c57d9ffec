"""Signals that end a process: Ctrl-C, SIGTERM, and SIGHUP or SIGBREAK, which mean the same as SIGTERM.

Outside a run they end the process where it is, and a second one at once. During one the first is a request
and the second leaves, within two seconds and whatever is under way: what is recorded is safe, whoever
continues the run adopts the rest.
One that was ignored when the process began stays ignored, as `nohup` wants it.
"""

from __future__ import annotations

import _thread
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from runner import door
from runner.system import STOP_SIGNALS

CODES = STOP_SIGNALS
LEAVE_S = 1.5
"""After the second signal, how long an orderly end may take."""

Handler = Callable[[int, FrameType | None], None]


class Terminated(BaseException):
    """Another of `CODES` than Ctrl-C came, and nothing is under way that wants to end in order."""


_came: list[int] = []


def end_by_signals() -> None:
    """Have every signal end this process where it is, from here on."""
    for number in CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def ended_by() -> int:
    """Return the exit code for the signal that came outside a run, 0 when none did."""
    return CODES[signal.Signals(_came[0])] if _came else 0


def end_undisturbed() -> None:
    """Have no signal disturb the last steps of a process that is ending anyway."""
    for number in CODES:
        signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    _came.append(number)
    if len(_came) > 1:
        os._exit(CODES[signal.Signals(_came[0])])
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


@contextmanager
def heeding(handler: Handler) -> Iterator[None]:
    """Hand the signals to *handler* meanwhile; it is called in the main thread, between any two steps."""
    before = {number: signal.getsignal(number) for number in CODES}
    heeded = [number for number, old in before.items() if old is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def leave_soon(code: int) -> None:
    """End this process with *code* in `LEAVE_S`, when it has not ended by itself by then.

    Threads that wait for a disk, a resolver or the index cannot be stopped otherwise. `threading` takes locks
    that the code interrupted by a signal may hold; this does not.
    """

    def leave() -> None:
        door.pause(LEAVE_S)
        os._exit(code)

    _thread.start_new_thread(leave, ())
