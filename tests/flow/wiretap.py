"""A relay in front of a server that tells of every request as it passes, and changes nothing."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_HEAD = re.compile(rb"^(GET|POST) (\S+) HTTP/1\.1\r$", re.MULTILINE)


class Wiretap:
    """`seen` holds (monotonic time, method and path) of each request; `on_request` gets its number."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: list[tuple[float, str]] = []
        self.silent = False
        """Nothing is passed on any more, in either direction; connections stay."""
        self.on_request: Callable[[int], None] = lambda number: None

    def posts(self, since: float = 0.0) -> list[float]:
        """Return the times of the submissions that passed at or after *since*."""
        return [at for at, what in self.seen if at >= since and what.endswith("/prompt")]

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._upstream)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(client, server, self._note), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, None), daemon=True).start()

    def _note(self, block: bytes) -> None:
        for method, path in _HEAD.findall(block):
            self.seen.append((time.monotonic(), f"{method.decode()} {path.decode()}"))
            self.on_request(len(self.seen))

    def _pass(
        self, source: socket.socket, target: socket.socket, note: Callable[[bytes], None] | None
    ) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                if note is not None:
                    note(block)
                if not self.silent:
                    target.sendall(block)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def wiretap(upstream: str) -> Iterator[Wiretap]:
    """Yield a relay to *upstream*, an address like http://127.0.0.1:8188."""
    tap = Wiretap(upstream)
    threading.Thread(target=tap.serve, daemon=True).start()
    try:
        yield tap
    finally:
        tap.close()
