"""Prompts that were given up on a server that may still hold them: should one turn up, it is taken back."""

from __future__ import annotations

from collections.abc import Iterator

from runner.comfy.client import Client
from runner.comfy.protocol import Queue


class Orphans:
    """The ids given up on one server. Times by one clock, in seconds."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._since)

    def __iter__(self) -> Iterator[str]:
        return iter(self._since)

    def add(self, prompt_id: str, now: float) -> None:
        """Note that *prompt_id* is given up."""
        self._since[prompt_id] = now

    async def take_back(self, client: Client, queue: Queue, *, now: float, forget_s: float) -> None:
        """Cancel those that are in *queue*; forget those that have been nowhere for *forget_s*."""
        for prompt_id, since in tuple(self._since.items()):
            if prompt_id in queue:
                await client.cancel(prompt_id, running=prompt_id in queue.running)
            elif now - since > forget_s:
                del self._since[prompt_id]
