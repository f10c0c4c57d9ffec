"""The WebSocket of one ComfyUI: frames as they come, a new client id for each connection.

It only ever wakes somebody up. Whatever is lost here (a dropped connection, a deaf one, frames of an earlier
client id) is found by polling.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from runner import door
from runner.comfy.credentials import Credentials, is_loopback
from runner.comfy.protocol import Frame, parse_frame, printable

log = logging.getLogger(__name__)

_OPEN_S = 10.0
_PING_S = 20.0
_PONG_S = 60.0
_CLOSE_S = 2.0
_FRAME_BYTES = 16 * 2**20
_FRAMES = 8
"""Held at most until they are read: previews are pictures of a few hundred KiB, texts far less."""
_FIRST_DELAY_S = 0.5
_LAST_DELAY_S = 30.0


class Listener:
    """Keeps one socket open and hands on its frames; `run` it as a task.

    Args:
        url: The socket's address without a query.
        credentials: What opens the door, and is taken out of what comes back.
        hear: Called with each text frame that has the shape of one. Must not block.
        clock: What `heard_at` is taken from.
        tls: What the server's certificate is checked with.

    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials,
        hear: Callable[[Frame], None],
        clock: Callable[[], float] = door.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.client_id = door.fresh_id().hex
        """The id to submit under; a new one with each connection."""
        self.connected = False
        self.heard_at = 0.0
        """Time of the last frame on this connection."""
        self.tried = asyncio.Event()
        """Set once the first connection stands or has failed."""
        self._url = url
        self._credentials = credentials
        self._hear = hear
        self.drops = 0
        """Connections that ended though we did not end them."""
        self._clock = clock
        self._tls = tls
        self._socket: ClientConnection | None = None

    async def run(self) -> None:
        """Connect, listen, connect again, until cancelled."""
        delay = _FIRST_DELAY_S
        while True:
            began = door.monotonic()
            try:
                await self._listen()
            except (OSError, EOFError, WebSocketException) as error:
                told = printable(self._credentials.secrets.hide(str(error)), limit=200)
                log.debug("socket of %s: %s", self._url, told)
            finally:
                self.drops += self.connected
                self.connected = False
                self._socket = None
                self.tried.set()
            if door.monotonic() - began > 2 * _LAST_DELAY_S:
                delay = _FIRST_DELAY_S
            await asyncio.sleep(delay * door.uniform(0.75, 1.0))
            delay = min(2 * delay, _LAST_DELAY_S)

    async def _listen(self) -> None:
        self.client_id = door.fresh_id().hex
        async with door.socket(
            f"{self._url}?clientId={self.client_id}",
            additional_headers=self._credentials.headers,
            user_agent_header="animerun",
            ssl=self._tls if self._url.startswith("wss:") else None,
            compression=None,
            proxy=None if is_loopback(self._url) else True,
            open_timeout=_OPEN_S,
            ping_interval=_PING_S,
            ping_timeout=_PONG_S,
            close_timeout=_CLOSE_S,
            max_size=_FRAME_BYTES,
            max_queue=_FRAMES,
        ) as socket:
            self._socket, self.connected, self.heard_at = socket, True, self._clock()
            self.tried.set()
            async for message in socket:
                self.heard_at = self._clock()
                frame = parse_frame(message, self._credentials.secrets)
                if frame is not None:
                    self._hear(frame)

    async def renew(self) -> None:
        """Close the connection, so that `run` makes a new one: for a socket that is alive but deaf."""
        if self._socket is not None:
            self.connected = False
            try:
                await self._socket.close()
            except ConnectionClosed:
                log.debug("socket of %s was closed already", self._url)
