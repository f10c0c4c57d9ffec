"""The child as its parent holds it: started early, asked one thing at a time, ended when it misbehaves."""

from __future__ import annotations

import atexit
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Final

from runner.errors import StorageError
from runner.sandbox.wire import (
    ANSWER,
    LARGEST_GRAPH,
    MEMORY,
    OUT_OF_MEMORY,
    REACHED_OUT,
    REQUEST,
    SECONDS,
)

PROGRAM: Final = "from runner.sandbox.child import main; main()"
"""What the child runs, with the places of `runner` and Jinja on its path."""
_PATH: Final = "import sys; sys.path += sys.argv[1:]"
PATIENCE_S: Final = 60.0
"""Real time for one answer: far more than the processor time it may take, for a machine that is busy."""
_SLICE_S: Final = 1.0
"""Most that one wait counts, so that time this process slept does not."""
_PIECE: Final = 2**18
_OWN: Final = 2
"""Answers before the text of the first template: that it is unknown, and its facts."""


class Lost(Exception):
    """The child ended, or had to be ended, before it answered."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final
        """Whether another child would surely end alike."""


class Sandbox:
    """One child at a time, the next when one is gone. Safe for threads, and after a fork.

    Args:
        program: The Python text that the child runs.
        patience_s: Real seconds for one answer.

    """

    def __init__(self, program: str = PROGRAM, patience_s: float = PATIENCE_S) -> None:
        self._program = program
        self._patience_s = patience_s
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = 0
        self._lock = RLock()

    @property
    def pid(self) -> int:
        """The child's process id; 0 = there is none."""
        return self._process.pid if self._process else 0

    def begin(self) -> None:
        """Start the child and do not wait for it: what it imports, it imports beside us.

        Raises:
            StorageError: The operating system starts no process.

        """
        with self._lock:
            if self._process is None:
                self._process = _started(self._program)

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Return kind and content of the child's answer, at most `LARGEST_GRAPH` bytes.

        Raises:
            Lost: The child is gone; another begins with the next request.
            StorageError: The operating system starts no process.

        """
        with self._lock:
            self.begin()
            assert self._process is not None
            try:
                answer = _Talk(self._process, self._patience_s).answer(request)
            except EOFError:
                young = self._answers <= _OWN
                raise _lost(self._ended(), young=young) from None
            except BaseException:  # also a stop in the middle: the answer to come is nobody's
                self._ended()
                raise
            self._answers += 1
            return answer

    def close(self) -> None:
        """End the child; the next request starts another."""
        with self._lock:
            self._ended()

    def forget(self) -> None:
        """Leave the child alone, in a process that was forked off: it belongs to the other one."""
        self._lock = RLock()
        if self._process is not None:
            _close_pipes(self._process)
            self._process.returncode = 0
            self._process = None
            self._answers = 0

    def _ended(self) -> int:
        """End the child at once and return its exit code, negative for a signal."""
        process, self._process = self._process, None
        self._answers = 0
        if process is None:
            return 0
        process.kill()
        code = process.wait()
        _close_pipes(process)
        return code


class _Talk:
    """One request and its answer; `EOFError` when the child is gone."""

    def __init__(self, process: subprocess.Popen[bytes], patience_s: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
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
                rest = rest[os.write(self._input, rest[:_PIECE]) :]
            except BlockingIOError:
                self._wait(self._input, select.POLLOUT)
            except BrokenPipeError:
                raise EOFError from None

    def _read(self, found: bytes, size: int) -> bytes:
        """Return what was *found* and what comes, at least *size* bytes."""
        if len(found) >= size:
            return found
        parts, missing = [found], size - len(found)
        while missing > 0:
            self._wait(self._output, select.POLLIN)
            part = os.read(self._output, _PIECE)
            if not part:
                raise EOFError
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

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


def _started(program: str) -> subprocess.Popen[bytes]:
    interpreter = sys.executable or ""
    quiet = ["-B"] if sys.dont_write_bytecode else []
    try:
        process = subprocess.Popen(
            [interpreter, "-I", "-S", *quiet, "-c", f"{_PATH}\n{program}", *_places()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            bufsize=0, cwd="/", env={}, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise StorageError.of("start", Path(interpreter), error) from error
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    return process


def _places() -> list[str]:
    """Return the folders that hold what the child imports, as this process has it."""
    found: dict[str, None] = {}
    for name in ("runner", "jinja2", "markupsafe"):
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        found[str(Path(spec.origin).resolve().parent.parent)] = None
    return list(found)


def _lost(code: int, *, young: bool) -> Lost:
    """Return what an end with exit *code* means, of a child that was *young*: it had no other templates."""
    if code == -signal.SIGPROF:
        return Lost(
            f"it takes more than {SECONDS} s of processor time; use fewer or shorter loops", final=True
        )
    if code == OUT_OF_MEMORY:
        return Lost(
            f"it needs more than {MEMORY // 2**20} MiB of memory; write and keep less text", final=young
        )
    if code == REACHED_OUT:
        return Lost("it reached for files, the network or other processes", final=True)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Lost(f"the process that renders templates ended over it ({how})", final=False)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


SHARED: Final = Sandbox()
"""The one of this process."""

begin: Final[Callable[[], None]] = SHARED.begin
"""Start the shared child: what every command that will need templates does first."""

atexit.register(SHARED.close)
os.register_at_fork(after_in_child=SHARED.forget)
