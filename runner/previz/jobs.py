"""The queue and the history of one server: pure state, no lock (the worker holds one)."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LARGEST_HISTORY = 10_000
SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")

Item = tuple[float, str, Any, Any, list[str]]
"""(number, prompt_id, prompt, extra_data, outputs to execute), as `/queue` shows it."""


@dataclass(slots=True)
class Jobs:
    """Pending, running and finished jobs; an id lives in exactly one of the three."""

    counter: int = 0
    pending: list[Item] = field(default_factory=list)
    running: list[Item] = field(default_factory=list)
    history: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def remaining(self) -> int:
        """Pending plus running."""
        return len(self.pending) + len(self.running)

    def number(self, body: Any) -> float:
        """Return the priority of a submission and advance the counter unless the client chose one.

        Raises:
            TypeError, ValueError: ``number`` is not a number.

        """
        if "number" in body:
            return float(body["number"])
        number = self.counter
        if "front" in body and body["front"]:  # noqa: RUF019  # a list has no get
            number = -number
        self.counter += 1
        return number

    def put(self, item: Item) -> None:
        """Queue a job.

        Raises:
            TypeError: A pending job has the same number and id; this one is queued all the same.

        """
        heapq.heappush(self.pending, item)

    def take(self) -> Item:
        """Move the first pending job to running and return it; what runs is not what history will show."""
        item = heapq.heappop(self.pending)
        self.running.append(copy.deepcopy(item))
        return item

    def finish(self, result: Mapping[str, Any]) -> None:
        """Move the running job to history together with *result* (outputs, status, meta)."""
        item = self.running.pop(0)
        for secret in SECRETS:
            if isinstance(item[3], dict):
                item[3].pop(secret, None)
        if len(self.history) > LARGEST_HISTORY:
            self.history.pop(next(iter(self.history)))
        self.history[item[1]] = {"prompt": item, **result}

    def clear(self) -> None:
        """Drop every pending job."""
        self.pending = []

    def delete(self, prompt_id: object) -> bool:
        """Drop the first pending job of that id; return whether there was one."""
        for index, item in enumerate(self.pending):
            if item[1] == prompt_id:
                del self.pending[index]
                heapq.heapify(self.pending)
                return True
        return False

    def page(self, max_items: int | None, offset: int) -> dict[str, Any]:
        """Return a page of the history, oldest first: the newest *max_items*, or from *offset* on."""
        if offset < 0 and max_items is not None:
            offset = len(self.history) - max_items
        page: dict[str, Any] = {}
        for index, (prompt_id, entry) in enumerate(self.history.items()):
            if index >= offset:
                page[prompt_id] = entry
                if max_items is not None and len(page) >= max_items:
                    break
        return page
