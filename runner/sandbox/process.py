"""The child as its parent holds it: started early, asked one thing at a time, ended when it misbehaves."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Final

from runner import system
from runner.errors import StorageError
from runner.sandbox.limits import TIME_IS_UP
from runner.sandbox.talk import Lost, prepare, talk, too_slow
from runner.sandbox.wire import MEMORY, OUT_OF_MEMORY, REACHED_OUT

PROGRAM: Final = "from runner.sandbox.child import main; main()"
"""What the child runs, with the places of `runner` and Jinja on its path."""
_PATH: Final = "import sys; sys.path += sys.argv[1:]"
PATIENCE_S: Final = 60.0
"""Real time for one answer: far more than the processor time it may take, for a machine that is busy."""
_OWN: Final = 2
"""Answers before the text of the first template: that it is unknown, and its facts."""


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
                answer = talk(self._process, self._patience_s).answer(request)
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


def _started(program: str) -> subprocess.Popen[bytes]:
    interpreter = system.interpreter()
    quiet = ["-B"] if sys.dont_write_bytecode else []
    try:
        process = subprocess.Popen(
            [interpreter, "-I", "-S", *quiet, "-c", f"{_PATH}\n{program}", *_places()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            bufsize=0, cwd="/", env=system.bare_environment(), **system.own_group(),
        )  # fmt: skip
    except OSError as error:
        raise StorageError.of("start", Path(interpreter), error) from error
    prepare(process)
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
    if TIME_IS_UP and code == -TIME_IS_UP:
        return too_slow()
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
system.after_fork(SHARED.forget)
