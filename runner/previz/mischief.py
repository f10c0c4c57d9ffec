"""Doing what a script of faults says: to requests, sockets, frames, jobs, the server. For testing clients."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket

from runner.previz.cache import NodeCache
from runner.previz.execution import Desk
from runner.previz.nodes.testing import OutOfMemoryError
from runner.previz.script import Script, Step
from runner.previz.sockets import Frame, Sockets
from runner.previz.worker import Worker

log = logging.getLogger(__name__)

FOREVER_S = 1e9
BOMB_BYTES = 64 << 20
HTML = b"<!doctype html><html><title>Sign in</title><h1>Sign in</h1></html>"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Door(Protocol):
    """The listening socket, which can be closed for a while."""

    async def shut(self, seconds: float) -> None:
        """Drop every connection and refuse new ones for so long."""
        ...


@dataclass(slots=True, kw_only=True)
class Mischief:
    """The script of one server, and the parts of it that misbehave. Belongs to the event loop's thread."""

    script: Script
    worker: Worker
    sockets: Sockets
    door: Door
    loop: asyncio.AbstractEventLoop
    _ordinals: dict[str, int] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def clock(self) -> None:
        """Let happen what the script has put at a time; returns when all has."""
        began = asyncio.get_running_loop().time()
        for step in self.script.timed:
            await asyncio.sleep(step.at_s + began - asyncio.get_running_loop().time())
            await self.happen(step)

    def soon(self, step: Step) -> None:
        """Let *step* happen to the server, a moment from now: what it waited for is finished first."""
        task = self.loop.create_task(self._soon(step))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _soon(self, step: Step) -> None:
        await asyncio.sleep(0.02)
        await self.happen(step)

    async def happen(self, step: Step) -> None:
        """Let *step* happen to the server now."""
        log.warning("script: %s", step.do)
        match step.do:
            case "restart":
                self.worker.restart()
                await self.door.shut(step.seconds)
            case "refuse":
                await self.door.shut(step.seconds)
            case "clear queue":
                self.worker.clear()
            case "clear history":
                self.worker.forget_all()
            case "close sockets":
                await self.sockets.close_all()
            case "deafen sockets":
                self.sockets.deafen_all()
            case "die":
                os._exit(1)
            case unknown:
                raise NotImplementedError(unknown)

    def request(self, method: str, path: str) -> Step | None:
        """Return what goes wrong with a request; what happens to the whole server is set off at once."""
        parts = [part for part in path.strip("/").split("/") if part not in ("", "api")]
        if not parts:
            return None
        step = self.script.due(f"{method} /{parts[0]}", job=self._job_of(method, parts))
        return self._passed_on(step)

    def _job_of(self, method: str, parts: list[str]) -> int:
        if (method, parts[0]) == ("POST", "prompt"):
            return len(self._ordinals) + 1
        return self._ordinals.get(parts[1], 0) if parts[0] == "history" and len(parts) > 1 else 0

    def submitted(self, prompt_id: str) -> None:
        """Number a submission: the first is 1."""
        self._ordinals[prompt_id] = len(self._ordinals) + 1

    def socket(self) -> Step | None:
        """Return what goes wrong with a socket that is being opened."""
        return self._passed_on(self.script.due("socket"))

    def _passed_on(self, step: Step | None) -> Step | None:
        if step is not None and step.of_server:
            self.soon(step)
            return None
        return step

    def frame(self, frame: Frame) -> list[Frame]:
        """Return the frames to send in place of *frame*."""
        step = self._passed_on(self.script.due("frame")) if frame.to is not None else None
        match step.do if step else "":
            case "drop":
                return []
            case "double":
                return [frame, frame]
            case "junk":
                return [Frame(to=frame.to, raw="{"), Frame(to=frame.to, payload=b"\0"), frame]
            case "large":
                assert step is not None
                return [Frame(to=frame.to, kind="status", data={"x": "x" * step.bytes}), frame]
            case _:
                return [frame]

    def job(self, desk: Desk, prompt_id: str) -> Desk:
        """Return the desk that a job gets; called by the worker's thread, which may never return from it.

        Raises:
            SystemExit: The worker is to die of it.

        """
        step = self.script.due("job", job=self._ordinals.get(prompt_id, 0))
        if step is None:
            return desk
        match step.do:
            case "kill worker":
                raise SystemExit(3)
            case "never finish":
                threading.Event().wait(FOREVER_S)
            case "hang":
                return _at_first_node(desk, lambda: _until(desk.interrupted))
            case "oom":
                memory = "Allocation on device 0 would exceed allowed memory. (out of memory)"
                return _at_first_node(desk, lambda: _fail(OutOfMemoryError(memory)))
            case "fail":
                error = RuntimeError(step.text or "deliberate failure")
                return _at_first_node(desk, lambda: _fail(error))
            case _:
                self.loop.call_soon_threadsafe(self.soon, step)
        return desk

    async def refuse(self, step: Step, opening: WebSocket) -> None:
        """Let a socket fail to open."""
        if step.do == "silence":
            await asyncio.sleep(step.seconds)
        if step.do == "reset":
            _reset(opening._send.__self__.transport)  # type: ignore[attr-defined]  # uvicorn's, as in `answer`
            return
        await opening.close()

    async def answer(
        self,
        step: Step,
        respond: Callable[[], Awaitable[Response]],
        scope: Message,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a request as *step* says; *respond* handles it, and is not called when it never arrives."""
        transport = send.__self__.transport  # type: ignore[attr-defined]  # uvicorn's; ASGI cannot hang up
        if step.do not in (
            "reset",
            "eat request",
            "silence",
            "garbage",
            "status",
            "redirect",
            "html",
            "text",
        ):
            answer = await _whole(await respond())
        else:
            answer = _instead(step)
        body = bytes(answer.body)
        match step.do:
            case "reset":
                _reset(transport)
            case "eat request" | "eat answer":
                transport.close()
            case "silence":
                await asyncio.sleep(step.seconds)
                transport.close()
            case "garbage":
                transport.write(b"\0\1SSH-2.0-nonsense\r\n\r\n")
                transport.close()
            case "truncate":
                await _begin(answer, send, announced=len(body))
                await send(_part(body[: step.bytes]))
                transport.close()
            case "unannounced":
                head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n\r\n"
                transport.write(head + body[: step.bytes])
                transport.close()
            case "drip":
                await _begin(answer, send, announced=len(body))
                for byte in body:
                    await send(_part(bytes([byte])))
                    await asyncio.sleep(step.seconds)
                await send({"type": "http.response.body", "body": b""})
            case _:
                if step.do == "late":
                    await asyncio.sleep(step.seconds)
                await _changed(step, answer)(scope, receive, send)
                return
        while (await receive())["type"] != "http.disconnect":
            pass


def _reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset in place of a goodbye."""
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


async def _whole(answer: Response) -> Response:
    """Return *answer* with its body in one piece: large files come in many."""
    if not isinstance(answer, StreamingResponse):
        return answer
    pieces = [
        piece.encode() if isinstance(piece, str) else bytes(piece) async for piece in answer.body_iterator
    ]
    return Response(b"".join(pieces), status_code=answer.status_code, media_type=answer.media_type)


def _part(content: bytes) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": True}


async def _begin(answer: Response, send: Send, *, announced: int) -> None:
    headers = [(name, value) for name, value in answer.raw_headers if name != b"content-length"]
    headers.append((b"content-length", b"%d" % announced))
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})


def _instead(step: Step) -> Response:
    """Return the answer that comes without anybody having read the request."""
    match step.do:
        case "status":
            wait = {"Retry-After": f"{step.retry_after:g}"} if step.retry_after else {}
            text = step.text or f"<html><h1>{step.status}</h1></html>"
            return Response(text, status_code=step.status, headers=wait, media_type="text/html")
        case "redirect":
            return Response(status_code=302, headers={"Location": step.text or "http://127.0.0.1:1/login"})
        case "text":
            return Response(step.text, media_type="application/json")
        case _:
            return Response(HTML, media_type="text/html")


def _changed(step: Step, answer: Response) -> Response:
    """Return *answer*, damaged."""
    body = bytes(answer.body)
    match step.do:
        case "corrupt":
            at = min(step.bytes, len(body) - 1)
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        case "empty":
            body = b""
        case "nan":
            body = _inside(body, {"nan": float("nan"), "half": "\ud800"})
        case "no outputs":
            body = _inside(body, {"outputs": {}})
        case "bomb":
            packed = gzip.compress(bytes(BOMB_BYTES))
            return Response(packed, headers={"Content-Encoding": "gzip"}, media_type=answer.media_type)
        case _:
            return answer
    kept = {k.decode(): v.decode() for k, v in answer.raw_headers if k in (b"content-type", b"etag")}
    return Response(body, status_code=answer.status_code, headers=kept)


def _inside(body: bytes, more: dict[str, Any]) -> bytes:
    """Return a JSON object with *more* in each of its inner objects."""
    content = json.loads(body)
    for each in content.values():
        if isinstance(each, dict):
            each.update(more)
    return json.dumps(content).encode("ascii")


def _at_first_node(desk: Desk, trouble: Callable[[], bool]) -> Desk:
    """Return *desk* with *trouble* at the first node; nothing is cached, so that there is a first node."""
    return replace(desk, interrupted=trouble, cache=NodeCache())


def _until(interrupted: Callable[[], bool]) -> bool:
    while not interrupted():
        threading.Event().wait(0.05)
    return True


def _fail(error: Exception) -> bool:
    raise error
