"""An event loop whose clock jumps to the next timer, and which says so when nothing can happen any more."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

_THREAD_S = 0.003
"""What is done in a thread takes up to this long, so that others come in between."""


class Stuck(Exception):
    """Every task waits for something that nobody is going to do."""


class _Jumping(selectors.SelectSelector):
    """Nobody calls from outside: instead of waiting, time goes by."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is scheduled")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio with a virtual clock; threads are calls that come a little later."""

    def __init__(self, chance: random.Random) -> None:
        self._jumping = _Jumping()
        self._chance = chance
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

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
