"""Who gets which frame: the registry of sockets and the one loop that sends, in order.

One socket per client id, the newest; when any socket of an id closes, the id is forgotten, even if a newer
socket took it over (that one is deaf from then on). One queue for all frames: a client that does not read
stalls everyone. Both are what a real server does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

log = logging.getLogger(__name__)

BROKEN_EXIT = 1
"""Exit code when a frame cannot be written as JSON: a real server's process dies of it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame under way to one client id or all: text has *kind* and *data* or is *raw*; else *payload*."""

    to: str | None
    kind: str = ""
    data: Mapping[str, Any] | None = None
    payload: bytes | None = None
    raw: str = ""


class Sockets:
    """The registry; belongs to the event loop's thread, except `post`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._open: dict[str, WebSocket] = {}
        self.twist: Callable[[Frame], list[Frame]] | None = None
        """What becomes of each frame, where a script of faults says so."""

    def post(self, frame: Frame) -> None:
        """Queue a frame; may be called from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._frames.put_nowait, frame)

    def register(self, client_id: str, socket: WebSocket) -> None:
        """Make *socket* the one that gets the frames of *client_id*."""
        self._open[client_id] = socket

    def forget(self, client_id: str) -> None:
        """Drop the id, whichever socket holds it now."""
        self._open.pop(client_id, None)

    def deafen_all(self) -> None:
        """Send nothing more to the sockets open now; they stay open."""
        self._open.clear()

    async def close_all(self) -> None:
        """Close every socket."""
        for socket in list(self._open.values()):
            await _quietly(socket, {"type": "websocket.close", "code": 1001})

    async def publish(self) -> None:
        """Send frames for ever, one after the other."""
        while True:
            frame = await self._frames.get()
            for each in [frame] if self.twist is None else self.twist(frame):
                await self._send(each)

    async def _send(self, frame: Frame) -> None:
        targets = list(self._open.values()) if frame.to is None else self._of(frame.to)
        if frame.payload is None:
            await self._send_text(targets, frame.raw or _written(frame))
            return
        for socket in targets:
            await _quietly(socket, {"type": "websocket.send", "bytes": frame.payload})

    def _of(self, client_id: str) -> list[WebSocket]:
        # Anything may be a client id in a submission; what is not text or not connected gets nothing.
        socket = self._open.get(client_id) if isinstance(client_id, str) else None
        return [] if socket is None else [socket]

    async def _send_text(self, targets: list[WebSocket], text: str) -> None:
        for socket in targets:
            await _quietly(socket, {"type": "websocket.send", "text": text})


def _written(frame: Frame) -> str:
    try:
        return json.dumps({"type": frame.kind, "data": frame.data})
    except TypeError:
        log.critical("a %s frame is not JSON; the server ends, as a real one does", frame.kind)
        os._exit(BROKEN_EXIT)


async def _quietly(socket: WebSocket, message: dict[str, Any]) -> None:
    try:
        await socket.send(message)
    except (WebSocketDisconnect, RuntimeError) as error:
        log.debug("frame lost, socket closed: %s", error)
