"""The socket: a hint that must never block, never trust and never give up."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve

from runner.comfy import listener as module
from runner.comfy.credentials import Credentials
from runner.comfy.listener import Listener
from runner.comfy.protocol import Frame
from runner.text.secrets import Secrets
from tests.proxy import Proxy, Rule

from .conftest import GUARD_S

SECRET = "c4n4ry+S/of=the%mine#7"
KEY = Credentials(headers={"X-Key": SECRET}, secrets=Secrets([SECRET]))
HELLO = json.dumps({"type": "status", "data": {"sid": "x"}})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def quoted(text: str) -> str:
    return quote(text, safe="")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect at once."""
    monkeypatch.setattr(module, "_FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(module, "_LAST_DELAY_S", 0.02)


@asynccontextmanager
async def listening(
    behave: Callable[[ServerConnection], Any], **options: Any
) -> AsyncIterator[tuple[Listener, asyncio.Queue[Frame], list[str]]]:
    """Yield a running listener on a server that does *behave*, the frames heard, the client ids seen."""
    ids: list[str] = []
    frames: asyncio.Queue[Frame] = asyncio.Queue()

    async def answer(socket: ServerConnection) -> None:
        assert socket.request is not None
        ids.extend(parse_qs(urlsplit(socket.request.path).query)["clientId"])
        await behave(socket)

    async with serve(answer, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        it = Listener(f"ws://127.0.0.1:{port}/api/ws", credentials=KEY, hear=frames.put_nowait)
        task = asyncio.ensure_future(it.run())
        try:
            async with asyncio.timeout(GUARD_S):
                yield it, frames, ids
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_frames_are_handed_on_and_junk_is_not() -> None:
    """Text frames arrive in order; previews and junk between them are dropped."""

    async def behave(socket: ServerConnection) -> None:
        for message in (
            HELLO,
            b"\0\0\0\1" + bytes(3_000_000),
            "{",
            "[]",
            json.dumps({"type": "x" * 2_000_000}),
            HELLO,
        ):
            await socket.send(message)
        await socket.wait_closed()

    async with listening(behave) as (it, frames, ids):
        heard = [await frames.get() for _ in range(3)]

        assert [frame.type[:6] for frame in heard] == ["status", "xxxxxx", "status"]
        assert it.connected
        assert ids == [it.client_id]


@pytest.mark.parametrize("form", [str, encoded, quoted], ids=["raw", "base64", "url"])
async def test_frames_that_repeat_the_key_come_in_without_it(form: Callable[[str], str]) -> None:
    """Reasons, node names, outputs and status: nobody behind the socket sees what a frame repeats."""
    told = form(SECRET)
    failure = {
        "prompt_id": "p",
        "node_id": told,
        "exception_message": f"no: {told}!",
        "current_inputs": {"k": [told]},
    }
    said = [
        ("execution_error", failure),
        ("executing", {"prompt_id": "p", "node": told}),
        ("executed", {"prompt_id": "p", "node": "1", "output": {"images": [{"filename": told}], told: []}}),
        ("status", {"sid": told, "status": {"exec_info": {told: told}}}),
        (told, {}),
    ]

    async def behave(socket: ServerConnection) -> None:
        assert socket.request is not None and socket.request.headers["X-Key"] == SECRET
        for kind, data in said:
            await socket.send(json.dumps({"type": kind, "data": data}))
        await socket.wait_closed()

    async with listening(behave) as (_, frames, _):
        heard = [await frames.get() for _ in said]

    assert [frame.type for frame in heard] == ["execution_error", "executing", "executed", "status", "***"]
    assert heard[0].data["exception_message"] == "no: ***!"
    assert told not in repr(heard) and SECRET not in repr(heard)


async def test_a_frame_of_more_than_sixteen_mebibytes_is_not_taken() -> None:
    """It ends the connection; the next one is as good."""

    async def behave(socket: ServerConnection) -> None:
        came.append(socket)
        await socket.send(json.dumps({"type": "x" * 17 * 2**20}) if len(came) == 1 else HELLO)
        await socket.wait_closed()

    came: list[ServerConnection] = []
    async with listening(behave) as (it, frames, _):
        heard = await frames.get()

    assert (heard.type, len(came), it.drops) == ("status", 2, 2)


async def test_each_connection_has_a_client_id_of_its_own() -> None:
    """After a drop the listener comes back under another id, for the old one may be deaf for ever."""

    async def behave(socket: ServerConnection) -> None:
        await socket.send(HELLO)
        socket.transport.abort()

    async with listening(behave) as (_, frames, ids):
        for _ in range(3):
            await frames.get()

        assert len(ids) >= 3
        assert len(set(ids)) == len(ids)


async def test_a_frame_beyond_the_limit_ends_only_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large is not read; the listener goes on with a new connection."""
    monkeypatch.setattr(module, "_FRAME_BYTES", 1000)

    async def behave(socket: ServerConnection) -> None:
        await socket.send(HELLO)
        await socket.send("x" * 2000)
        await socket.wait_closed()

    async with listening(behave) as (_, frames, ids):
        await frames.get()
        await frames.get()

        assert len(ids) >= 2


async def test_renew_makes_a_new_connection() -> None:
    """A socket found to be deaf is closed, and replaced under another id."""

    async def behave(socket: ServerConnection) -> None:
        await socket.send(HELLO)
        await socket.wait_closed()

    async with listening(behave) as (it, frames, ids):
        await frames.get()
        await it.renew()
        await frames.get()

        assert len(set(ids)) == 2
        assert it.connected


async def test_a_half_open_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes and no ping is answered, as behind a lost route: there is soon another connection."""
    monkeypatch.setattr(module, "_PING_S", 0.05)
    monkeypatch.setattr(module, "_PONG_S", 1.0)  # a busy machine may answer the second one's pings late
    monkeypatch.setattr(module, "_CLOSE_S", 0.05)
    ids: list[str] = []
    frames: asyncio.Queue[Frame] = asyncio.Queue()

    async def answer(socket: ServerConnection) -> None:
        assert socket.request is not None
        ids.extend(parse_qs(urlsplit(socket.request.path).query)["clientId"])
        await socket.send(HELLO)
        await socket.wait_closed()

    async with serve(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Proxy(port, [Rule("SOCKET", "blackhole", times=1)]) as proxy, asyncio.timeout(GUARD_S):
            it = Listener(
                f"ws://127.0.0.1:{proxy.port}/api/ws", credentials=Credentials(), hear=frames.put_nowait
            )
            task = asyncio.ensure_future(it.run())
            heard = await frames.get()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    assert heard.type == "status"
    assert len(set(ids)) == 2


async def test_proxies_of_the_environment_are_not_asked_about_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same rule as for HTTP: loopback is reached directly."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def behave(socket: ServerConnection) -> None:
        await socket.send(HELLO)
        await socket.wait_closed()

    async with listening(behave) as (_, frames, _ids):
        assert (await frames.get()).type == "status"


async def test_a_refused_handshake_is_survived() -> None:
    """A server without a socket leaves the listener trying, and says soon that there is none."""

    async def refuse(connection: ServerConnection, _request: Any) -> Any:
        return connection.respond(404, "no socket here\n")

    async with listening(lambda _: None, process_request=refuse) as (it, _, ids):
        await it.tried.wait()

        assert not it.connected
        assert ids == []


async def test_nobody_there_is_survived() -> None:
    """Connection refused is a reason to try later, not an error."""
    it = Listener("ws://127.0.0.1:1/api/ws", credentials=Credentials(), hear=lambda _: None)
    task = asyncio.ensure_future(it.run())
    await it.tried.wait()
    task.cancel()
    (end,) = await asyncio.gather(task, return_exceptions=True)

    assert isinstance(end, asyncio.CancelledError)
    assert not it.connected


async def test_a_redirect_is_not_followed() -> None:
    """What opens one server's door, whatever the header is called, never travels to another."""
    asked: list[str] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.close()

    async with await asyncio.start_server(elsewhere, "127.0.0.1", 0) as other:
        there = f"ws://127.0.0.1:{other.sockets[0].getsockname()[1]}/"
        redirected = asyncio.Event()

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()
            if redirected.is_set():
                second.set()
            redirected.set()

        second = asyncio.Event()
        async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            it = Listener(f"ws://127.0.0.1:{port}/api/ws", credentials=KEY, hear=print)
            task = asyncio.ensure_future(it.run())
            async with asyncio.timeout(GUARD_S):
                await second.wait()  # it came back here instead of going there
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    assert asked == []
