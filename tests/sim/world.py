"""The world of a simulated process: a virtual clock, seeded chance, servers in memory, an unkind network.

asyncio's timers run on the loop's clock, and so does `SimWorld.monotonic`: nothing here waits in earnest. A
process is killed by an effect that does not come back: it raises, and so does every one after it, so that
whatever clean-up code still runs reaches neither the disk nor a server.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosedError

from runner import door
from tests.sim.comfy import BROKEN, Answer, Comfy, Socket

EPOCH = 1_800_000_000.0
HTML = Answer(502, b"<html>bad gateway</html>", {"content-type": "text/html"})


class Killed(BaseException):
    """The process is no more."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request."""

    arrives_s: float | None = 0.0
    """How late it reaches the server; None = never."""
    heard: str = "answer"
    """`answer`, `half` of it, `html` of a gateway, `500`, `reset`, `closed`, or `silence` for as long as the
    sender listens. What comes late is never answered."""


FINE = Fate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How unkind the network is: chances for each request or frame. Seconds."""

    lose_request: float = 0.0
    lose_answer: float = 0.0
    late: float = 0.0
    """A POST arrives after its sender has given up."""
    late_s: float = 5.0
    lose_frame: float = 0.0
    silent: float = 0.0
    """The part of the losses that nobody is told of: no error, no answer."""
    gateway: float = 0.0
    """A proxy answers 502, half of the times after passing the request on."""
    cut: float = 0.0
    """An answer breaks off in the middle."""

    def draw(self, chance: random.Random, method: str) -> Fate:
        """Return what happens to one request."""
        lot, half = chance.random(), chance.random()
        heard = "silence" if half < self.silent else "reset"
        if (lot := lot - self.lose_request) < 0:
            return Fate(None, heard)
        if (lot := lot - self.lose_answer) < 0:
            return Fate(0.0, heard)
        if (lot := lot - self.gateway) < 0:
            return Fate(None if half < 0.5 else 0.0, "html")
        if (lot := lot - self.cut) < 0:
            return Fate(0.0, "half")
        if (lot := lot - self.late) < 0 and method == "POST":
            return Fate(half * self.late_s, "reset")
        return FINE


class Host:
    """A Comfy on the network of a loop: it moves on by itself."""

    def __init__(self, url: str, comfy: Comfy, loop: asyncio.AbstractEventLoop) -> None:
        self.url, self.comfy, self._loop = url, comfy, loop
        self._timer: asyncio.TimerHandle | None = None
        self.submissions: list[Fate] = []
        """What becomes of the next POSTs of prompts, for certain."""

    def take(self, request: Request) -> Answer:
        """Return the server's answer now."""
        self.comfy.advance(self._loop.time())
        answer = self.comfy.request(request.method, request.path, request.query, request.body)
        self.wind()
        return answer

    def wind(self) -> None:
        """See to it that the server moves on when something is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.comfy.due is not None:
            self._timer = self._loop.call_at(self.comfy.due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.comfy.advance(self._loop.time())
        self.wind()


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks of a host."""

    method: str
    base: str
    path: str
    query: Mapping[str, str]
    body: bytes
    read_s: float
    """How long its sender listens for an answer."""


class Network:
    """What lies between a client and the hosts."""

    def __init__(self, hosts: Mapping[str, Host], chance: random.Random, faults: Faults) -> None:
        self._hosts, self._chance, self._faults = hosts, chance, faults

    async def carry(self, request: Request) -> tuple[Answer, bool]:
        """Take *request* to its host and return the answer, and whether only half of it comes back."""
        chance, host = self._chance, self._hosts[request.base]
        await asyncio.sleep(chance.uniform(0.001, 0.02))
        if not host.comfy.up:
            raise httpx.ConnectError("refused")
        submits = request.method == "POST" and request.path.endswith("/prompt")
        fate = host.submissions.pop(0) if submits and host.submissions else None
        fate = fate or self._faults.draw(chance, request.method)
        answer = self._arrive(host, request, fate)
        await asyncio.sleep(chance.uniform(0.001, 0.02))
        if not host.comfy.up:
            raise httpx.ReadError("")
        return await self._heard(fate, answer, request), fate.heard == "half" and bool(answer.body)

    def _arrive(self, host: Host, request: Request, fate: Fate) -> Answer:
        """Hand the request over, now or late; what is late is meant for this process of the server only."""
        if not fate.arrives_s:
            return BROKEN if fate.arrives_s is None else host.take(request)
        memory = host.comfy.history

        def late() -> None:
            if host.comfy.up and host.comfy.history is memory:
                host.take(request)

        asyncio.get_running_loop().call_later(fate.arrives_s, late)
        return BROKEN

    async def _heard(self, fate: Fate, answer: Answer, request: Request) -> Answer:
        match fate.heard:
            case "reset":
                raise httpx.ReadError("")
            case "closed":
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            case "silence":
                await asyncio.sleep(request.read_s)
                raise httpx.ReadTimeout("")
            case "html":
                return HTML
            case "500":
                return BROKEN
        return answer


class Pool:
    """What `Client` uses of httpx, without what httpx does for it: that takes two thirds of a seed's time.

    `Through` is the other way, with httpx whole; a test holds the two against each other.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def build_request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> Request:
        """Return the request as the network takes it."""
        base, _, path = url.partition("/api")
        read_s = 30.0 if timeout is None or timeout.read is None else timeout.read
        return Request(method, base, f"/api{path}", params or {}, content, read_s)

    async def send(self, request: Request, *, stream: bool) -> Response:
        """Return the answer, or raise as httpx does."""
        return Response(*await self._network.carry(request))

    async def aclose(self) -> None:
        """There is nothing to close."""


class Response:
    """What `Client` reads of an answer."""

    def __init__(self, answer: Answer, cut: bool) -> None:
        self.status_code, self._body, self._cut = answer.status, answer.body, cut
        self.headers = _headers(answer)

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        if self._cut:
            yield self._body[: len(self._body) // 2]
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        if self._body:
            yield self._body

    async def aclose(self) -> None:
        """There is nothing to close."""


class Through(httpx.AsyncBaseTransport):
    """The network as a transport of httpx."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, or raise."""
        url, body = request.url, b"".join([part async for part in request.stream])  # type: ignore[union-attr]
        read_s = request.extensions["timeout"]["read"]
        asked = Request(
            request.method, f"{url.scheme}://{url.netloc.decode()}", url.path, dict(url.params), body, read_s
        )
        answer, cut = await self._network.carry(asked)
        stream = _Body(Response(answer, cut))
        return httpx.Response(answer.status, headers=_headers(answer), stream=stream)


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: Response) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.aiter_raw()


def _headers(answer: Answer) -> dict[str, str]:
    return {**answer.headers, "content-length": str(len(answer.body))}


class _Ear:
    """The client's end of a socket."""

    def __init__(self, host: Host, socket: Socket, chance: random.Random, faults: Faults) -> None:
        self._host, self._socket, self._chance, self._faults = host, socket, chance, faults
        self._woken = asyncio.Event()
        socket.wake = self._woken.set

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            frames, self._socket.frames = self._socket.frames, []
            for text in frames:
                if not self._faults.lose_frame or self._chance.random() >= self._faults.lose_frame:
                    yield text
            if self._socket.gone:
                raise ConnectionClosedError(None, None)
            if not self._socket.frames:
                self._woken.clear()
                await self._woken.wait()
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        self._host.comfy.disconnect(self._socket)
        self._socket.gone = True
        self._woken.set()


class SimDisk(door.Disk):
    """The real disk, whose syncs cost nothing: nobody pulls the plug here."""

    torn = False
    """The next write is the last act, and only half of it is done."""

    def write(self, fd: int, block: Any) -> int:
        if self.torn:
            super().write(fd, memoryview(block)[: len(block) // 2])
            raise Killed("write")
        return super().write(fd, block)

    def sync(self, fd: int) -> None:
        """Trust the operating system."""

    def sync_folder(self, folder: Path) -> None:
        """Trust the operating system."""


class SimWorld(door.World):
    """One process. *last* is the number of the effect at which it dies; None = it lives."""

    def __init__(
        self,
        hosts: Mapping[str, Host],
        *,
        disk: SimDisk | None = None,
        chance: random.Random,
        faults: Faults,
        last: int | None = None,
        torn: bool = False,
        httpx_whole: bool = False,
        steps: Mapping[float, float] | None = None,
    ) -> None:
        super().__init__(disk=disk or SimDisk(), chance=chance)
        self._hosts, self._faults, self._last = hosts, faults, last
        self._torn, self._httpx_whole, self._steps = torn, httpx_whole, steps or {}
        self._loop = asyncio.get_running_loop()
        self.effects = 0
        self.names: list[str] | None = None
        self.died = asyncio.Event()

    def now(self) -> float:
        """Return the wall clock, set by somebody at each of the steps (when → by)."""
        at = self._loop.time()
        return EPOCH + at + sum(by for when, by in self._steps.items() if at >= when)

    def monotonic(self) -> float:
        return 1000.0 + self._loop.time()

    def pause(self, seconds: float) -> None:
        raise AssertionError("nobody blocks the loop")

    def effect(self, name: str) -> None:
        self.effects += 1
        if self.names is not None:
            self.names.append(name)
        if self._last is not None and self.effects >= self._last:
            if name == "write" and self._torn and not self.died.is_set():
                self.died.set()
                assert isinstance(self.disk, SimDisk)
                self.disk.torn = True
                return
            self.died.set()
            raise Killed(name)

    def kill(self) -> None:
        """Let the process die now, whatever it is at; it has no further effect."""
        self._last = self.effects
        self.died.set()

    def http_pool(self, **settings: Any) -> Any:
        network = Network(self._hosts, self.chance, self._faults)
        return (
            httpx.AsyncClient(**settings, transport=Through(network)) if self._httpx_whole else Pool(network)
        )

    @asynccontextmanager
    async def socket(self, url: str, **settings: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        base, _, client_id = url.replace("ws", "http", 1).partition("/api/ws?clientId=")
        host = self._hosts[base]
        await asyncio.sleep(self.chance.uniform(0.001, 0.02))
        if not host.comfy.up:
            raise ConnectionRefusedError
        socket = host.comfy.connect(client_id)
        ear = _Ear(host, socket, self.chance, self._faults)
        try:
            yield ear
        finally:
            # The system closes the connections of a dead process too.
            await ear.close()


def everyone(tasks: set[asyncio.Task[Any]]) -> Iterator[asyncio.Task[Any]]:
    """Yield the tasks that have begun since *tasks* was taken, but for the one asking."""
    yield from asyncio.all_tasks() - tasks - {asyncio.current_task()}
