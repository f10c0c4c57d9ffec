"""Starting and stopping: the socket, the loop, the worker thread, and the end of the parent process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner.previz.cache import NodeCache
from runner.previz.execution import Desk
from runner.previz.files import Folders
from runner.previz.mischief import Mischief
from runner.previz.nodes import catalogue
from runner.previz.nodes.definition import Letters
from runner.previz.profile import NEWEST, PROFILES, Profile, ProfileName
from runner.previz.script import Script
from runner.previz.server import App, status
from runner.previz.sockets import Frame, Sockets
from runner.previz.worker import Worker
from runner.system import own_port

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LARGEST_FRAME = 64 << 20
_WAITING = 2_048
"""Connections that wait to be accepted; what uvicorn has too."""
HEAD_S = 60
"""The longest that the head of a request may take to come, and a new connection to begin one."""
IDLE_S = 75
"""How long a connection is kept between two requests."""
PATIENCE_S = 1
"""How long an ending server waits for open connections."""


def run(
    *,
    port: int | socket.socket,
    folder: Path,
    test_nodes: bool,
    step_ms: float,
    with_parent: bool,
    profile: ProfileName = NEWEST,
    script: Script | None = None,
) -> None:
    """See `runner.previz.serve`."""
    folders = Folders(root=folder.resolve())
    folders.prepare()
    # Without the explicit protocol asyncio leaves Nagle's algorithm on, which costs 40 ms for each answer.
    with port if isinstance(port, socket.socket) else listening(port) as listener:
        try:
            asyncio.run(
                _serve(
                    listener,
                    folders,
                    test_nodes=test_nodes,
                    step_ms=step_ms,
                    with_parent=with_parent,
                    profile=PROFILES[profile],
                    script=script,
                )
            )
        finally:
            folders.wipe_temp()


def listening(port: int) -> socket.socket:
    """Return a socket that listens at *port* of loopback, 0 for any; raises OSError when it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    own_port(listener)
    try:
        listener.bind((HOST, port))
        # Two who bind one port that nobody listens at yet both may; only one can listen.
        listener.listen(_WAITING)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(
    listener: socket.socket,
    folders: Folders,
    *,
    test_nodes: bool,
    step_ms: float,
    with_parent: bool,
    profile: Profile,
    script: Script | None,
) -> None:
    sockets = Sockets(asyncio.get_running_loop())
    worker = Worker(
        announce=lambda remaining: sockets.post(Frame(to=None, kind="status", data=status(remaining))),
        over=lambda prompt_id, client_id: sockets.post(
            Frame(to=client_id, kind="executing", data={"node": None, "prompt_id": prompt_id})
        ),
    )
    classes = catalogue(test_nodes=test_nodes)
    desk = Desk(
        catalogue=classes,
        folders=folders,
        cache=NodeCache(),
        letters=Letters(source=random.Random()),
        step_s=step_ms / 1000,
        send=lambda kind, data, to: sockets.post(Frame(to=to, kind=kind, data=data)),
        send_bytes=lambda payload, to: sockets.post(Frame(to=to, payload=payload)),
        at_node=worker.at_node,
        interrupted=worker.interrupted,
        now_ms=lambda: int(time.time() * 1000),
    )
    worker.start(desk)
    app = App(catalogue=classes, folders=folders, worker=worker, sockets=sockets, profile=profile)
    server = _Announcing(_config(app))
    acting = []
    if script is not None:
        app.mischief = Mischief(
            script=script, worker=worker, sockets=sockets, door=server, loop=asyncio.get_running_loop()
        )
        worker.spoil, sockets.twist = app.mischief.job, app.mischief.frame
        acting.append(asyncio.ensure_future(app.mischief.clock()))
    if with_parent:
        _end_with(sys.stdin, server)
    acting.append(asyncio.ensure_future(sockets.publish()))
    await server.serve(sockets=[listener])
    for task in acting:
        task.cancel()


class _Announcing(uvicorn.Server):
    """Says where it listens, once it does; can shut its door for a while."""

    _port = 0

    async def shut(self, seconds: float) -> None:
        """Drop every connection and refuse new ones for so long."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(seconds)
        await super().startup([listening(self._port)])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        port = self._port = sockets[0].getsockname()[1]
        line = {"event": "listening", "url": f"http://{HOST}:{port}", "pid": os.getpid()}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class _Prompt(H11Protocol):
    """Closes a connection on which the head of a request does not come to its end."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_S, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._in_time()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def _config(app: Callable[..., Any]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Prompt,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=PATIENCE_S,
        ws_max_size=LARGEST_FRAME,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
    )


def _end_with(stream: IO[str], server: uvicorn.Server) -> None:
    def watch() -> None:
        while os.read(stream.fileno(), 1024):
            pass
        log.info("the parent process is gone")
        server.should_exit = True
        time.sleep(PATIENCE_S + 2)
        os._exit(0)  # something hangs; nobody is left who could care

    threading.Thread(target=watch, name="previz-parent", daemon=True).start()
