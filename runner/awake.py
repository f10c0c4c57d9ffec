"""Deadlines: a clock that stands still while this process sleeps, and what is due by it.

A laptop that was closed or a stopped process (SIGSTOP) has seen nothing for hours; no deadline may fire for
that. Whoever waits reads the clock at least every `BEAT_S` seconds, so a much longer gap between two readings
means that nobody could.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from runner import door

T = TypeVar("T")

BEAT_S = 15.0
"""The longest anybody should wait between two readings."""

ASLEEP_S = 60.0
"""A gap longer than this is sleep."""


class Awake:
    """The clock; call it for the seconds awake. Its zero means nothing."""

    def __init__(self) -> None:
        self._read_at = door.monotonic()
        self.slept_s = 0.0
        """Seconds left out so far."""

    def __call__(self) -> float:
        """Return the monotonic clock without the time asleep. Seconds."""
        now = door.monotonic()
        gap, self._read_at = now - self._read_at, now
        if gap > ASLEEP_S:
            self.slept_s += gap
        return now - self.slept_s


@dataclass(slots=True)
class Timetable(Generic[T]):
    """What is due when, by *clock*."""

    clock: Awake
    _entries: list[tuple[float, int, T]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, seconds: float, what: T) -> None:
        """Have *what* due in *seconds*."""
        heapq.heappush(self._entries, (self.clock() + seconds, next(self._order), what))

    def due(self) -> T | None:
        """Return what is due first and forget it; None when nothing is due yet."""
        if self._entries and self._entries[0][0] <= self.clock():
            return heapq.heappop(self._entries)[2]
        return None

    def pause_s(self) -> float:
        """Return how long to wait before asking again; never more than a beat."""
        return min([BEAT_S, *(max(0.0, entry[0] - self.clock()) for entry in self._entries[:1])])
