"""Who is not answered: pages of other sites, and connections that only take up room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect as connect_later
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from runner.previz import serving, web

from .conftest import PATIENCE_S, Previz


def test_a_page_of_another_site_reaches_neither_jobs_nor_frames(previz: Previz) -> None:
    """Under another name, or with another origin, nothing is read, nothing is cleared, no socket opens."""
    port = previz.url.rpartition(":")[2]
    elsewhere = {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
    for headers in (
        elsewhere,
        {"Host": "evil.example"},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
    ):
        assert previz.http.get("/history", headers=headers).status_code == 403
        assert previz.http.post("/queue", json={"clear": True}, headers=headers).status_code == 403
    for origin in ("null", "https://evil.example"):
        address = f"{previz.url.replace('http', 'ws', 1)}/ws"
        with pytest.raises(InvalidStatus) as refused, connect(address, origin=Origin(origin), proxy=None):
            pass
        assert refused.value.response.status_code == 403

    assert "the names of this machine" in previz.http.get("/history", headers=elsewhere).text


async def small(scope: Any, receive: Any, send: Any) -> None:
    """An application with one route that reads a body, and a socket that listens."""
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            return

    async def echo(request: Request, _variable: str) -> Response:
        return web.plain_json(await web.json_of(request) if request.method == "POST" else None)

    answer = await web.Router([web.Route(path="echo", get=echo, post=echo)]).answer(Request(scope, receive))
    await answer(scope, receive, send)


@asynccontextmanager
async def serving_small() -> AsyncIterator[int]:
    """Serve it as previz is served; yield the port."""
    server = uvicorn.Server(serving._config(small))
    with serving.listening(0) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


HEAD = b"GET /echo HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("half", [b"", HEAD + b"X-"], ids=["nothing", "half a head"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
async def test_a_head_that_never_ends_holds_no_connection(
    half: bytes, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is closed when the head of a request does not come to its end, or none begins for long."""
    monkeypatch.setattr(serving, "HEAD_S", 0.1)
    monkeypatch.setattr(serving, "IDLE_S", 1)
    async with serving_small() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if not is_first:
            writer.write(HEAD + b"\r\n")
            await reader.readuntil(b"null")
        writer.write(half)
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()


async def test_what_began_in_time_may_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket, a body and a kept connection outlive the time that a head has."""
    monkeypatch.setattr(serving, "HEAD_S", 0.5)
    async with (
        serving_small() as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False) as http,
        connect_later(f"ws://127.0.0.1:{port}/ws", proxy=None) as socket,
    ):

        async def slow() -> AsyncIterator[bytes]:
            yield b"["
            await asyncio.sleep(1)
            yield b"1]"

        assert (await http.post("/echo", content=slow())).json() == [1]
        await asyncio.sleep(1)
        assert (await http.get("/echo")).status_code == 200
        await (await socket.ping())


async def test_a_body_that_never_ends_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come within its time gets 408, and the connection is closed."""
    monkeypatch.setattr(web, "BODY_S", 0.1)
    async with serving_small() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD.replace(b"GET", b"POST") + b"Content-Length: 9\r\n\r\n{")
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_settings_that_would_fill_the_memory_are_not_kept(previz: Previz) -> None:
    """What is kept until the end is bounded in all, and what was kept before stays."""
    previz.http.post("/settings/small", json="x").raise_for_status()
    answers = [previz.http.post(f"/settings/s{number}", json="x" * 300_000) for number in range(5)]

    assert {answer.status_code for answer in answers} == {200, 413}
    assert previz.http.get("/settings/small").json() == "x"
