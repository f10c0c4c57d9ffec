"""A scripted ComfyUI in a thread of its own, for commands that run their own event loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.comfy.fake import Fake

TEMPLATE = """---
parameters:
  prompt: {type: text}
  seed: {type: seed}
outputs: {out: image}
---
{"out": {"class_type": "SaveImage", "inputs": {"text": {{ prompt }}, "seed": {{ seed }}}}}
"""
SPEC = "animerun: 1\nepisode: demo\ntemplate: one\nscenes: {s01: {cuts: {c001: {prompt: %s}}}}\n"


NODES: dict[str, Any] = {
    "SaveImage": {
        "input": {"required": {"text": ["STRING"], "seed": ["INT"], "filename_prefix": ["STRING"]}},
        "output": [],
        "python_module": "nodes",
    }
}


class Scripted(Fake):
    """The scripted server, with answers that stay until they are changed."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, Any] = {}
        self.clear()

    def clear(self) -> None:
        """Forget every request, and answer as an honest server does."""
        self.said = {"GET /object_info": NODES}
        self.extra, self.history = {}, {}
        for kept in (self.script, self.headers, self.seen, self.posts):
            kept.clear()

    def _route(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes, fault: Any
    ) -> tuple[int, bytes, str]:
        found = self.said.get(f"{method} {path}")
        if found is not None:
            return 200, json.dumps(found).encode(), "application/json"
        return super()._route(method, path, query, body, fault)


@contextmanager
def served() -> Iterator[Scripted]:
    """Yield a server that other threads can reach."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    fake = Scripted()
    try:
        asyncio.run_coroutine_threadsafe(fake.up(), loop).result(60)
        yield fake
    finally:
        asyncio.run_coroutine_threadsafe(_ended(fake), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def _ended(fake: Scripted) -> None:
    await fake.down()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
