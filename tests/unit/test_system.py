"""What operating systems do differently, and locks as Windows has them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner import door, locks, system
from runner.sandbox import talk
from runner.sandbox.client import Client
from runner.sandbox.process import Sandbox
from runner.sandbox.wire import Refused, Source
from tests.render import children


class Busy(door.Disk):
    """A disk of Windows on which another process has every file open for the first *tries*."""

    def __init__(self, tries: int, winerror: int = 32) -> None:
        self.tries, self.winerror = tries, winerror

    def unlink(self, path: Path) -> None:
        self.tries -= 1
        if self.tries >= 0:
            error = PermissionError(13, "in use")
            error.winerror = self.winerror  # type: ignore[attr-defined]
            raise error
        super().unlink(path)


class Still(door.World):
    """A world whose pauses take no time."""

    def __init__(self, disk: door.Disk) -> None:
        super().__init__(disk=disk)
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.mark.parametrize(("tries", "winerror", "pauses"), [(0, 32, 0), (3, 32, 3), (4, 5, 4)])
def test_what_is_open_for_a_moment_is_deleted_a_moment_later(
    tries: int, winerror: int, pauses: int, tmp_path: Path
) -> None:
    """What Windows answers while a virus scanner reads a new file is tried again, up to 0.76 s."""
    (tmp_path / "a").touch()
    with door.entered(Still(Busy(tries, winerror))) as world:
        door.unlink(tmp_path / "a")

    assert isinstance(world, Still)
    assert len(world.pauses) == pauses
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("tries", "winerror", "pauses"), [(5, 32, 4), (1, 0, 0)])
def test_what_stays_open_or_is_forbidden_is_an_error(
    tries: int, winerror: int, pauses: int, tmp_path: Path
) -> None:
    """A file that stays open, and one that is not ours to delete, are reported; the latter at once."""
    with door.entered(Still(Busy(tries, winerror))) as world, pytest.raises(PermissionError):
        door.unlink(tmp_path / "a")

    assert isinstance(world, Still)
    assert len(world.pauses) == pauses


AS_WINDOWS = Path(__file__).parents[1] / "windows" / "as_windows"
CONTEND = """
import os, sys
from runner import locks
def opened(mode=os.O_RDWR):
    return os.open(sys.argv[1], mode | os.O_CREAT)
def got(fd):
    try:
        locks.take(fd)
    except BlockingIOError:
        return False
    return True
def seen():
    looker = opened(os.O_RDONLY)
    try:
        return locks.held(looker), os.read(looker, 9) == b"content"
    finally:
        os.close(looker)
first, second = opened(), opened()
os.lseek(second, 3, os.SEEK_SET)
said = [locks.AVAILABLE, seen(), got(first), got(second), seen(), os.lseek(second, 0, os.SEEK_CUR)]
os.close(first)
said += [seen(), got(second), seen()]
print(said)
"""
SAID = [True, (False, True), True, False, (True, True), 3, (False, True), True, (True, True)]


@pytest.mark.parametrize("path", ["", str(AS_WINDOWS)], ids=["here", "as Windows"])
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the stand-in for msvcrt is made for Linux")
def test_a_lock_has_one_holder_until_it_is_closed(path: str, tmp_path: Path) -> None:
    """Two descriptors contend, a look takes nothing away, the file stays readable and its position stays."""
    (tmp_path / "file").write_bytes(b"content")
    done = subprocess.run(
        [sys.executable, "-c", CONTEND, str(tmp_path / "file")],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.stdout.strip(), done.stderr) == (str(SAID), "")


def test_one_who_waits_for_the_lock_gets_it_from_one_who_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows has it, a look takes the lock for a moment; who wants it tries again and has it."""
    looking = [True, True, False]

    class Msvcrt:
        LK_NBLCK, LK_UNLCK = 2, 0

        def locking(self, fd: int, mode: int, count: int) -> None:
            if looking.pop(0):
                raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(locks, "_fcntl", None)
    monkeypatch.setattr(locks, "_msvcrt", Msvcrt())
    with (tmp_path / "file").open("wb") as file:
        locks.take(file.fileno())

    assert looking == []


def test_a_port_that_somebody_listens_at_is_not_taken() -> None:
    """The option that Windows has for it is used where there is one; either way the second bind fails."""
    with socket.socket() as first, socket.socket() as second:
        system.own_port(first)
        first.bind(("127.0.0.1", 0))
        first.listen()
        system.own_port(second)
        with pytest.raises(OSError):
            second.bind(first.getsockname())


@pytest.fixture
def opened() -> Iterator[Callable[..., Sandbox]]:
    """Return sandboxes; their children are ended."""
    made: list[Sandbox] = []

    def make(program: str, patience_s: float = 30.0) -> Sandbox:
        made.append(Sandbox(program, patience_s))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.close()


def source(body: str) -> Source:
    return Source(body=body, macros=(), first=1, parameters=(), texts=(), seed="")


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time of a child, as `GetProcessTimes` would report it."""
    words = Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


UNTIMED = f"import runner.sandbox.limits as limits; limits.COUNTS_TIME = False\n{children.BARE}"
"""A child whose time the system does not count."""
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize("clock", [processor_seconds, lambda _: None], ids=["processor", "clock"])
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="processor times are read from /proc")
def test_without_a_timer_of_the_system_the_parent_ends_the_child(
    clock: Callable[..., float | None], opened: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing counts the child's time a thread of the parent does, and the next text is rendered."""
    monkeypatch.setattr(talk, "_POLLED", False)
    monkeypatch.setattr(talk, "_BY_THE_CLOCK", 1.0)
    monkeypatch.setattr(system, "processor_seconds", clock)
    sandbox = opened(UNTIMED)
    client = Client(sandbox)
    with pytest.raises(Refused) as fault:
        client.text(source(ENDLESS), {})

    assert [mistake.message for mistake in fault.value.mistakes] == [
        "it takes more than 1.2 s of processor time; use fewer or shorter loops"
    ]
    assert sandbox.pid == 0
    monkeypatch.setattr(talk, "_BY_THE_CLOCK", 8.0)
    assert client.text(source("{{ 7 }}"), {}) == " 7 "


@pytest.mark.parametrize("deed", ["the end", "silence", "half an answer", "text without end"])
def test_a_hostile_child_is_ended_where_pipes_block(
    deed: str, opened: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pipes that cannot be polled, a child that ends, waits or floods is a mistake of the template."""
    monkeypatch.setattr(talk, "_POLLED", False)
    sandbox = opened(children.hostile(deed), patience_s=0.3)
    with pytest.raises(Refused) as fault:
        Client(sandbox).text(source("{{ 7 }}"), {})

    assert fault.value.mistakes[0].message.startswith("the process that renders templates ")
    assert sandbox.pid == 0
