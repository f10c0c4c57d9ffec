"""A proxy on loopback that breaks what passes it: HTTP and WebSockets, by rules, the same for one seed.

    async with Proxy(8188, [Rule("POST /prompt", "eat answer", times=2)]) as proxy:
        ...  # proxy.url instead of the server's

Requests are read whole, passed on over a connection of their own and answered with `Connection: close`. A
rule is an expression searched for in `METHOD /path?query` (`/api` left out), or in `SOCKET` for what comes
over a WebSocket that stands; the first rule that matches and is not used up decides.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

HTML = b"<!doctype html><html><h1>Bad Gateway</h1></html>"
LOGIN = b"<!doctype html><html><title>Sign in</title></html>"
FOR_EVER_S = 3600.0
CHUNK = 16384


@dataclass(slots=True, kw_only=True)
class _Count:
    used: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes wrong with which requests."""

    where: str
    toxic: str
    amount: float = 0.0
    """Seconds, bytes or a status, as the toxic takes it; 0 = its default."""
    times: int = 0
    """0 = always."""
    chance: float = 1.0
    count: _Count = field(default_factory=_Count)

    def applies(self, line: str, chance: float) -> bool:
        """Tell whether it decides about *line*, and count that."""
        if not re.search(self.where, line) or (self.times and self.count.used >= self.times):
            return False
        if chance >= self.chance:
            return False
        self.count.used += 1
        return True


@dataclass(slots=True)
class Exchange:
    """One connection of a client, its request read."""

    proxy: Proxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes
    body: bytes
    amount: float

    async def forward(self) -> tuple[bytes, bytes]:
        """Return head and body of the server's answer."""
        await self.proxy.before(self.line)
        reader, writer = await self.proxy.connect()
        try:
            head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", self.head)
            writer.write(head[:-2] + b"Connection: close\r\n\r\n" + self.body)
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
            body = b"" if self.line.startswith("HEAD") else await reader.read()
        finally:
            writer.close()
        return re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", answer), body

    @property
    def line(self) -> str:
        return line_of(self.head)

    async def send(self, head: bytes, body: bytes = b"") -> None:
        self.writer.write(head[:-2] + b"Connection: close\r\n\r\n" + body)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection with a reset in place of a goodbye."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


def line_of(head: bytes) -> str:
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    return f"{method} {re.sub('^(/[^?]*?)?/api/', '/', target)}"


def answer_head(status: int, length: int, *more: str, media: str = "text/html") -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {media}", f"Content-Length: {length}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# ---------------------------------------------------------------- what can go wrong with a request


async def reset(it: Exchange) -> None:
    """The connection is reset before the server hears of it."""
    it.reset()


async def eat_request(it: Exchange) -> None:
    """The connection is closed before the server hears of it."""


async def eat_answer(it: Exchange) -> None:
    """The server has done the work; the client never hears."""
    await it.forward()
    it.reset()


async def blackhole(it: Exchange) -> None:
    """Accepted, then silence."""
    await asyncio.sleep(it.amount or FOR_EVER_S)


async def status(it: Exchange) -> None:
    """A gateway's page."""
    await it.send(answer_head(int(it.amount or 502), len(HTML)), HTML)


async def login(it: Exchange) -> None:
    """A page of somebody else, with 200."""
    await it.send(answer_head(200, len(LOGIN)), LOGIN)


async def delay(it: Exchange) -> None:
    """The request arrives late."""
    await asyncio.sleep(it.amount or 0.3)
    await it.send(*await it.forward())


async def delay_answer(it: Exchange) -> None:
    """The answer arrives late."""
    head, body = await it.forward()
    await asyncio.sleep(it.amount or 0.3)
    await it.send(head, body)


async def truncate(it: Exchange) -> None:
    """The body ends early."""
    head, body = await it.forward()
    await it.send(head, body[: int(it.amount) or len(body) // 2])


async def corrupt(it: Exchange) -> None:
    """One bit of the body is another."""
    head, body = await it.forward()
    at = min(int(it.amount) or len(body) // 2, len(body) - 1)
    await it.send(head, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body)


async def drip(it: Exchange) -> None:
    """The body comes byte by byte, each in time."""
    head, body = await it.forward()
    await it.send(head)
    for byte in body:
        it.writer.write(bytes([byte]))
        await it.writer.drain()
        await asyncio.sleep(it.amount or 0.05)


async def garbage(it: Exchange) -> None:
    """Something that is not HTTP."""
    it.writer.write(b"\0\1\2SSH-2.0-OpenSSH\r\n\r\n")
    await it.writer.drain()


async def empty(it: Exchange) -> None:
    """A success without a body."""
    await it.send(answer_head(200, 0, media="application/json"))


async def oversized_header(it: Exchange) -> None:
    """A header larger than anybody reads."""
    head, body = await it.forward()
    await it.send(head[:-2] + b"X-Large: " + b"x" * 300_000 + b"\r\n\r\n", body)


async def redirect(it: Exchange) -> None:
    """Go elsewhere."""
    await it.send(answer_head(302, 0, f"Location: http://127.0.0.1:{it.proxy.trap}/"))


async def bomb(it: Exchange) -> None:
    """A small body that becomes a large one."""
    body = gzip.compress(bytes(int(it.amount) or 30_000_000), 9)
    await it.send(answer_head(200, len(body), "Content-Encoding: gzip", media="application/json"), body)


Toxic = Callable[[Exchange], Awaitable[None]]
TOXICS: dict[str, Toxic] = {
    "reset": reset,
    "eat request": eat_request,
    "eat answer": eat_answer,
    "blackhole": blackhole,
    "status": status,
    "login": login,
    "delay": delay,
    "delay answer": delay_answer,
    "truncate": truncate,
    "corrupt": corrupt,
    "drip": drip,
    "garbage": garbage,
    "empty": empty,
    "oversized header": oversized_header,
    "redirect": redirect,
    "bomb": bomb,
}


# ---------------------------------------------------------------- the same for what a WebSocket says


class Cut(Exception):
    """The connection ends here; *hard* = with a reset."""

    def __init__(self, *, hard: bool = False) -> None:
        super().__init__()
        self.hard = hard


async def twist(toxic: str, data: bytes, amount: float) -> bytes:
    """Return what comes in place of *data* from the server; raises Cut when nothing more comes."""
    match toxic:
        case "reset":
            raise Cut(hard=True)
        case "eat request" | "eat answer":
            raise Cut
        case "blackhole":
            await asyncio.sleep(amount or FOR_EVER_S)
        case "delay" | "delay answer" | "drip":
            await asyncio.sleep(amount or 0.3)
        case "truncate":
            return data[: len(data) // 2]
        case "corrupt":
            return data[:-1] + bytes([data[-1] ^ 0x80])  # a text frame that is not UTF-8 any more
        case "garbage" | "login":
            return b"\xff\xff\xff\xff" + data
        case "empty":
            return b"\x81\x00" + data
        case "oversized header" | "bomb":
            return b"\x81\x7f" + (2**40).to_bytes(8, "big") + data
        case "status" | "redirect":
            return b"\x88\x02" + (1011).to_bytes(2, "big")
    return data


class Proxy:
    """Stands before the server at *port*; `log` holds (line, toxic or "") of everything that passed."""

    def __init__(
        self,
        port: int,
        rules: Sequence[Rule] = (),
        *,
        seed: int = 0,
        before: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.upstream = port
        self.rules = list(rules)
        self.log: list[tuple[str, str]] = []
        self.port = 0
        self.trap = 0
        """Where redirects lead; `trapped` holds what came there."""
        self.trapped: list[bytes] = []
        self._before = before
        self._chance = random.Random(seed)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Proxy:
        for serve in (self._serve, self._trap):
            self._servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        self.port, self.trap = (server.sockets[0].getsockname()[1] for server in self._servers)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def before(self, line: str) -> None:
        """Run what the test wants to know before a request reaches the server."""
        if self._before is not None:
            await self._before(line)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.upstream, limit=2**26)

    def pick(self, line: str) -> Rule | None:
        """Return the rule that decides about *line*, and note it."""
        chance = self._chance.random()
        rule = next((rule for rule in self.rules if rule.applies(line, chance)), None)
        self.log.append((line, rule.toxic if rule else ""))
        return rule

    async def _trap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            self.trapped.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._one(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            return
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        rule = self.pick(line_of(head))
        it = Exchange(self, reader, writer, head, body, rule.amount if rule else 0.0)
        if rule is not None:
            await TOXICS[rule.toxic](it)
        elif re.search(rb"(?i)\r\nupgrade: *websocket", head):
            await self._socket(it)
        else:
            await it.send(*await it.forward())

    async def _socket(self, it: Exchange) -> None:
        reader, writer = await self.connect()
        writer.write(it.head)
        it.writer.write(await reader.readuntil(b"\r\n\r\n"))
        towards = asyncio.ensure_future(_pipe(it.reader, writer))
        try:
            while data := await reader.read(CHUNK):
                rule = self.pick("SOCKET")
                it.writer.write(await twist(rule.toxic, data, rule.amount) if rule else data)
                await it.writer.drain()
        except Cut as cut:
            if cut.hard:
                it.reset()
        finally:
            towards.cancel()
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
