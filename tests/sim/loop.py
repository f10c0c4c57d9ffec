"""An event loop whose clock jumps to the next timer, and which says so when nothing can happen any more."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from typing import Any

_THREAD_S = 0.003
"""What is done in a thread takes up to this long, so that others come in between."""


class Stuck(Exception):
    """Every task waits for something that nobody is going to do."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio with a virtual clock; threads are calls that come a little later.

    It has its own round, and a heap of timers in tuples: to compare those of asyncio takes a call each, and
    there are thousands of them.
    """

    def __init__(self, chance: random.Random) -> None:
        self._now = 0.0
        self._chance = chance
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        super().__init__()

    def time(self) -> float:
        return self._now

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it in the heap until its time has come."""

    def _run_once(self) -> None:
        """Do what is ready now; when nothing is, let time go by until something is due."""
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not ready:
            if not timers:
                raise Stuck("nothing is scheduled")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()

        def call() -> None:
            try:
                result = func(*args)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(result)

        self.call_later(self._chance.uniform(0.0, _THREAD_S), call)
        return future
