"""The one door to what no test can repeat: clocks, chance, the network, the disk where safety rests on it.

Production code calls this module and nothing behind it; the functions hand on to the `World` in use. A test
puts another in its place (`entered`): a virtual clock, seeded chance, servers in memory, or a `Disk` that
forgets, fills up or fails.

Every act on the disk, every request sent and every answer received passes `effect` first, so what has not
passed has not happened. With `ANIMERUN_CRASH_AT=n` a process sends itself SIGKILL at the n-th of them.

asyncio's own timers are used freely: their clock is the loop's, which is the monotonic one here, and a world
with another clock brings its loop. Reading files is free too: it changes nothing.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import random
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from runner import beneath, system

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Buffer
    from websockets.asyncio.client import ClientConnection

_WAITS_S: Final = (0.01, 0.05, 0.2, 0.5)
"""Between tries to rename or delete what a process has open. Windows: virus scanners open what is new."""


class Disk:
    """The disk as the operating system has it. Every method is one act and raises OSError.

    Paths and descriptors are all it is told, so that a stand-in can keep its own account of what is written,
    synced and named. Below a trusted folder no link is followed (`beneath`).
    """

    def open(self, path: Path, flags: int, mode: int) -> int:
        """Open for writing, as `os.open` does; return the descriptor."""
        return beneath.open_at(path, flags, mode)

    def write(self, fd: int, block: Buffer) -> int:
        """Write some of *block* at the end or the place of *fd*; return how many bytes."""
        return os.write(fd, block)

    def sync(self, fd: int) -> None:
        """Make the content of *fd* durable, with its length."""
        system.sync(fd)

    def truncate(self, path: Path, length: int) -> None:
        """Cut *path* to *length* bytes."""
        beneath.truncate(path, length)

    def rename(self, old: Path, new: Path) -> None:
        """Give *old* the name *new*, in place of what has it."""
        beneath.rename(old, new)

    def link(self, old: Path, new: Path) -> None:
        """Give *old* a second name; FileExistsError when something has it."""
        beneath.link(old, new)

    def unlink(self, path: Path) -> None:
        """Take the name *path* away."""
        beneath.unlink(path)

    def make_folder(self, path: Path) -> None:
        """Make one folder; FileExistsError when something has the name."""
        beneath.make_folder(path)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in *folder* durable."""
        system.sync_folder(folder)


class World:
    """What lies behind the door: here the real thing."""

    def __init__(self, *, disk: Disk | None = None, chance: random.Random | None = None) -> None:
        self.disk = disk or Disk()
        self.chance = chance or random.SystemRandom()

    def now(self) -> float:
        """Return the wall clock: seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return the clock that durations are measured with, the one of the event loop. Seconds."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Block the calling thread for so long."""
        time.sleep(seconds)

    def free_bytes(self, folder: Path) -> int:
        """Return how many bytes are free where *folder* lies."""
        return shutil.disk_usage(folder).free

    def effect(self, name: str) -> None:
        """Take note that the act *name* comes next; raises nothing here, and may never return elsewhere."""

    def http_pool(self, **settings: Any) -> httpx.AsyncClient:
        """Return a client with *settings* of httpx."""
        import httpx

        return httpx.AsyncClient(**settings)

    def socket(self, url: str, **settings: Any) -> AbstractAsyncContextManager[ClientConnection]:
        """Return a WebSocket to be entered, with *settings* of websockets; redirects are not followed.

        The library would follow them to other servers, with every header but those it knows as credentials.
        """
        from websockets.asyncio.client import connect

        class Straight(connect):
            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        return Straight(url, **settings)


class Doomed(World):
    """The real world, in which the *last* effect of this process is a SIGKILL to itself."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self._last = last
        self._count = itertools.count(1)

    def effect(self, name: str) -> None:
        """Die in place of the last effect."""
        if next(self._count) >= self._last:
            system.die()


_world = World()


def enter(world: World) -> World:
    """Have *world* behind the door from now on; return the one that was there."""
    global _world
    before, _world = _world, world
    return before


@contextmanager
def entered(world: World) -> Iterator[World]:
    """Have *world* behind the door for as long as this."""
    before = enter(world)
    try:
        yield world
    finally:
        enter(before)


# -- clocks and chance --------------------------------------------------------------------------------------


def now() -> float:
    """Return the wall clock: seconds since the epoch. For records, never for durations."""
    return _world.now()


def utc() -> datetime:
    """Return the wall clock as a time in UTC."""
    return datetime.fromtimestamp(_world.now(), UTC)


def monotonic() -> float:
    """Return the clock that durations are measured with. Seconds."""
    return _world.monotonic()


def pause(seconds: float) -> None:
    """Block the calling thread for so long; tasks use `asyncio.sleep`."""
    _world.pause(seconds)


def uniform(low: float, high: float) -> float:
    """Return a number between *low* and *high* by chance."""
    return _world.chance.uniform(low, high)


def token(size: int) -> str:
    """Return *size* random bytes as hex digits."""
    return _world.chance.randbytes(size).hex()


def fresh_id() -> uuid.UUID:
    """Return an id that nobody else has."""
    return uuid.UUID(int=_world.chance.getrandbits(128), version=4)


def effect(name: str) -> None:
    """Say that the act *name* comes next; what has not passed here has not happened."""
    _world.effect(name)


# -- the network --------------------------------------------------------------------------------------------


def http_pool(**settings: Any) -> httpx.AsyncClient:
    """Return a pool of connections; requests go out by `send`."""
    return _world.http_pool(**settings)


async def send(pool: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send *request* and return its answer, of which only the head has been read."""
    effect(request.method)
    response = await pool.send(request, stream=True)
    effect("answer")
    return response


def socket(url: str, **settings: Any) -> AbstractAsyncContextManager[ClientConnection]:
    """Return a WebSocket to be entered. Frames are hints and no effects."""
    return _world.socket(url, **settings)


# -- the disk -----------------------------------------------------------------------------------------------


class File(io.FileIO):
    """A file open for writing, unbuffered: `xb` a new one, `wb` in place of an old one, `ab` at its end.

    No link is followed: at the end of the path, and below a trusted folder on the way. Raises OSError.
    """

    def __init__(self, path: Path, mode: Literal["xb", "wb", "ab"]) -> None:
        effect("open")
        super().__init__(
            path, mode, opener=lambda _, flags: _world.disk.open(path, flags | system.NO_LINKS, 0o666)
        )

    def write(self, block: Buffer, /) -> int:
        """Write all of *block*; return its length in bytes."""
        view = memoryview(block).cast("B")
        size = len(view)
        while view:
            effect("write")
            view = view[_world.disk.write(self.fileno(), view) :]
        return size

    def sync(self) -> None:
        """Make what was written durable; its name needs `sync_folder`."""
        effect("sync")
        _world.disk.sync(self.fileno())


def free_bytes(folder: Path) -> int:
    """Return how many bytes are free where *folder* lies; raises OSError."""
    return _world.free_bytes(folder)


def truncate(path: Path, length: int) -> None:
    """Cut *path* to *length* bytes; raises OSError."""
    effect("truncate")
    _world.disk.truncate(path, length)


def rename(old: Path, new: Path) -> None:
    """Give *old* the name *new*, in place of what has it; raises OSError."""
    effect("rename")
    _when_free(lambda: _world.disk.rename(old, new))


def link(old: Path, new: Path) -> None:
    """Give *old* the second name *new*; raises FileExistsError when something has it, OSError."""
    effect("link")
    _world.disk.link(old, new)


def unlink(path: Path) -> None:
    """Take the name *path* away where it is there; raises OSError."""
    effect("unlink")
    with suppress(FileNotFoundError):
        _when_free(lambda: _world.disk.unlink(path))


def _when_free(act: Callable[[], None]) -> None:
    """Do *act*; where another process has the file open, as only Windows minds, try again for a moment."""
    for wait_s in _WAITS_S:
        try:
            return act()
        except PermissionError as error:
            if not system.busy(error):
                raise
        pause(wait_s)
    return act()


def make_folder_below(root: Path, folder: Path) -> None:
    """Make *folder* as `make_folder` does; raises OSError where a link on the way leads out of *root*."""
    if not folder.resolve().is_relative_to(root.resolve()):
        raise OSError(errno.ELOOP, "a link on the way leads elsewhere")
    make_folder(folder)


def make_folder(path: Path) -> None:
    """Make the folder *path* and those above it that are missing, each durable; raises OSError."""
    if beneath.is_folder(path):
        return
    make_folder(path.parent)
    effect("make folder")
    try:
        _world.disk.make_folder(path)
    except FileExistsError:
        if beneath.is_folder(path):
            return
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable; raises OSError."""
    effect("sync folder")
    _world.disk.sync_folder(folder)
