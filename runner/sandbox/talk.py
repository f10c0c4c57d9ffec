"""One request to the child and its answer, by pipes.

Where the system polls pipes and counts the child's time (POSIX), nothing else is needed. Elsewhere reads and
writes block, and a thread of the parent ends the child when its time is up (`Watched`): by the processor time
that Windows reports, else by the clock.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from threading import Event, Thread
from typing import Final

from runner import system
from runner.sandbox.limits import COUNTS_TIME
from runner.sandbox.wire import ANSWER, LARGEST_GRAPH, REQUEST, SECONDS, seconds_for

_SLICE_S: Final = 1.0
"""Most that one wait counts, so that time this process slept does not."""
_PIECE: Final = 2**18
_LOOK_S: Final = 0.05
"""Between two looks at the child's time."""
_BY_THE_CLOCK: Final = 8.0
"""Seconds by the clock for one of processor time, where the system does not report that: others run too."""
_POLLED: Final = COUNTS_TIME and hasattr(select, "poll")


class Lost(Exception):
    """The child ended, or had to be ended, before it answered."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final
        """Whether another child would surely end alike."""


def too_slow() -> Lost:
    """Return the end of a child that took more processor time than one request may."""
    return Lost(f"it takes more than {SECONDS} s of processor time; use fewer or shorter loops", final=True)


def talk(process: subprocess.Popen[bytes], patience_s: float) -> Talk:
    """Return a talk with the child *process*, which has so many seconds by the clock to answer."""
    return (Polled if _POLLED else Watched)(process, patience_s)


def prepare(process: subprocess.Popen[bytes]) -> None:
    """Have the pipe to a child that was just started fit what `talk` returns."""
    if _POLLED and process.stdin is not None:
        os.set_blocking(process.stdin.fileno(), False)


class Talk:
    """One request and its answer; `EOFError` when the child is gone, `Lost` where it is to be ended."""

    def __init__(self, process: subprocess.Popen[bytes], patience_s: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input, self._output = process.stdin.fileno(), process.stdout.fileno()
        self._left_s = patience_s

    def answer(self, request: bytes) -> tuple[bytes, bytes]:
        """Return kind and content of the answer."""
        self._write(REQUEST.pack(len(request)) + request)
        found = self._read(b"", ANSWER.size)
        kind, size = ANSWER.unpack_from(found)
        if size > LARGEST_GRAPH:
            raise Lost("the process that renders templates answers without end", final=False)
        found = self._read(found, ANSWER.size + size)
        if len(found) > ANSWER.size + size:
            raise Lost("the process that renders templates says more than it was asked", final=False)
        return kind, found[ANSWER.size :]

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[self._written(rest[:_PIECE]) :]
            except BrokenPipeError:
                raise EOFError from None

    def _read(self, found: bytes, size: int) -> bytes:
        """Return what was *found* and what comes, at least *size* bytes."""
        if len(found) >= size:
            return found
        parts, missing = [found], size - len(found)
        while missing > 0:
            part = self._come()
            if not part:
                raise EOFError
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _written(self, piece: memoryview) -> int:
        """Write some of *piece*; return how many bytes."""
        raise NotImplementedError

    def _come(self) -> bytes:
        """Return some bytes of the answer, none when there will be no more."""
        raise NotImplementedError


class Polled(Talk):
    """By pipes that can be polled, with a child whose time the system counts."""

    def _written(self, piece: memoryview) -> int:
        try:
            return os.write(self._input, piece)
        except BlockingIOError:
            self._wait(self._input, select.POLLOUT)
            return 0

    def _come(self) -> bytes:
        self._wait(self._output, select.POLLIN)
        return os.read(self._output, _PIECE)

    def _wait(self, descriptor: int, what: int) -> None:
        """Wait until *descriptor* can be written or read; raises Lost when that took too long altogether."""
        poll = select.poll()
        poll.register(descriptor, what)
        while self._left_s > 0:
            before = time.monotonic()
            ready = poll.poll(min(self._left_s, _SLICE_S) * 1000)
            self._left_s -= min(time.monotonic() - before, _SLICE_S)
            if ready:
                return
        raise Lost("the process that renders templates answers nothing", final=False)


class Watched(Talk):
    """By pipes that block, with a child that a thread ends when its time is up."""

    _loss: Lost | None = None

    def answer(self, request: bytes) -> tuple[bytes, bytes]:
        """Return kind and content of the answer."""
        answered = Event()
        watch = Thread(target=self._watch, args=(seconds_for(request), answered), daemon=True)
        watch.start()
        try:
            return super().answer(request)
        except EOFError:
            watch.join(_LOOK_S)
            if self._loss is not None:
                raise self._loss from None
            raise
        finally:
            answered.set()

    def _watch(self, seconds: float, answered: Event) -> None:
        """End the child when it takes more than so many *seconds*, or when patience is over."""
        begin = system.processor_seconds(self._process)
        left_s = self._left_s if begin is not None else min(self._left_s, seconds * _BY_THE_CLOCK)
        while not answered.is_set() and self._loss is None:
            before = time.monotonic()
            answered.wait(_LOOK_S)
            left_s -= min(time.monotonic() - before, _SLICE_S)
            spent = system.processor_seconds(self._process)
            if (begin is not None and spent is not None and spent - begin > seconds) or (
                left_s <= 0 and begin is None and self._left_s > seconds * _BY_THE_CLOCK
            ):
                self._loss = too_slow()
            elif left_s <= 0:
                self._loss = Lost("the process that renders templates answers nothing", final=False)
        if self._loss is not None:
            self._process.kill()

    def _written(self, piece: memoryview) -> int:
        try:
            return os.write(self._input, piece)
        except OSError as error:  # Windows: EINVAL for a pipe that nobody reads
            raise EOFError from error

    def _come(self) -> bytes:
        return os.read(self._output, _PIECE)
