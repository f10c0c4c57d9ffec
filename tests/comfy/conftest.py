"""The scripted server and an executor on it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runner.collect import Bounds, collect
from runner.comfy.client import Limits
from runner.comfy.server import Pace
from runner.domain import Attempt, Workflow
from runner.submit import ComfyExecutor

from .fake import Fake

PACE = Pace(settle_s=0.15, server_wait_s=60.0, probe_s=0.02, slowest_s=0.1, look_again_s=0.05)
LIMITS = Limits(connect_s=10.0, read_s=2.0, post_s=2.0, download_s=10.0)
"""Short for what stalls on purpose, long for an answer on a busy machine."""
GUARD_S = 60.0
"""How long a test waits for what must come; a limit for what hangs, no measure."""
quickly = partial(collect, bounds=Bounds(pause_s=0.01))
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": {"$prefix": True}}},
}


def bind(nodes: Any, /, *, prefix: str, uploads: Mapping[str, str]) -> dict[str, Any]:
    """Return *nodes* with prefix and files in place."""
    sent: dict[str, Any] = {}
    for name, node in nodes.items():
        inputs = dict(node["inputs"])
        for key, value in inputs.items():
            if value == {"$prefix": True}:
                inputs[key] = prefix
            elif isinstance(value, dict) and "$input" in value:
                inputs[key] = uploads[value["$input"]]
        sent[name] = {**node, "inputs": inputs}
    return sent


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    """A scripted server that works until told otherwise."""
    async with Fake() as server:
        yield server


@pytest.fixture
async def executor(fake: Fake) -> AsyncIterator[ComfyExecutor]:
    """An opened executor on the scripted server, its first event read."""
    async with opened(fake) as it:
        await it.next_event()
        yield it


class opened:
    """`async with opened(fake) as executor`."""

    def __init__(self, *fakes: Fake, **options: Any) -> None:
        urls = [fake.url for fake in fakes]
        self._executor = ComfyExecutor(
            urls, bind=bind, collect=quickly, **{"sockets": False, "pace": PACE, "limits": LIMITS} | options
        )

    async def __aenter__(self) -> ComfyExecutor:
        await self._executor.open()
        return self._executor

    async def __aexit__(self, *_: object) -> None:
        await self._executor.close()


@pytest.fixture
def attempt(executor: ComfyExecutor) -> Callable[..., Attempt]:
    """Makes attempts for the executor's first server."""
    return lambda **changes: make(executor.servers[0], **changes)


def make(
    server: str, *, name: str = "s01/a", files: Mapping[str, Path] | None = None, **more: Any
) -> Attempt:
    """Return an attempt at a small graph."""
    prompt_id = str(uuid.uuid4())
    graph = more.pop("graph", GRAPH)
    return Attempt(
        run="run",
        key=f"ep/{prompt_id}",
        number=1,
        prompt_id=prompt_id,
        server=server,
        workflow=Workflow(nodes=graph, outputs=more.pop("outputs", {"2": "image"}), digest="d"),
        prefix=f"animerun/run/0000/{prompt_id}-a1/p",
        files=files or {},
        name=name,
        tags={"key": "ep/x"},
    )
