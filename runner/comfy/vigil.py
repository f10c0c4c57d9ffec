"""Whether a server still runs what it takes. Pure: the time comes with every call.

A ComfyUI whose only worker thread has died answers every request as before; its job stays "running" for ever.
Nothing but the lack of progress tells. A server that does not answer proves nothing, so each look that failed
begins the wait anew.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from runner.comfy.protocol import Queue


@dataclass(slots=True)
class Vigil:
    """Told of every look and of every sign of life. Times by one clock, in seconds."""

    _running: frozenset[str] = frozenset()
    _since: float = 0.0
    """Last sign of life of what runs."""
    _idle_since: float = 0.0
    """Since when each look found our jobs waiting and nothing running; 0 = not so."""

    def sign(self, now: float) -> None:
        """Something was heard of a job of ours."""
        self._since = now

    def blind(self, now: float) -> None:
        """The server did not answer."""
        self._since, self._idle_since = now, 0.0

    def look(self, now: float, queue: Queue, ours: AbstractSet[str]) -> None:
        """The server answered with *queue*; *ours* are the ids it should know."""
        if queue.running != self._running:
            self._running, self._since = queue.running, now
        idle = not queue.running and bool(queue.pending & ours)
        self._idle_since = (self._idle_since or now) if idle else 0.0

    def silent_s(self, now: float) -> float:
        """Return for how long nothing was seen of what runs."""
        return now - self._since

    def idle_s(self, now: float) -> float:
        """Return for how long our jobs have waited while nothing ran."""
        return now - self._idle_since if self._idle_since else 0.0
