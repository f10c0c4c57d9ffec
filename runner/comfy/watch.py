"""One prompt as it is followed on one server, and the times by which that is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from runner.comfy.protocol import Tracker

Lost = Literal["died", "removed", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often to look and how long to wait. Seconds."""

    settle_s: float = 8.0
    """An id must be absent at least this long, and three times the slowest recent POST."""
    refused_s: float = 15.0
    """After this long of refused connections, with another server up, what it held counts as lost: nobody
    listens there, and a ComfyUI keeps its queue and history in memory only."""
    fetch_s: float = 180.0
    """And after this long what it has made and we have not fetched: its files outlive a restart."""
    looks: int = 8
    """At one history entry, until one is readable: to render it again costs more than any of them."""
    look_again_s: float = 3.2
    """The longest pause between two of them."""
    server_wait_s: float = 600.0
    """A server silent for this long is left out for good."""
    fastest_s: float = 0.01
    """First interval between two polls where no socket helps."""
    slowest_s: float = 2.0
    slowest_with_socket_s: float = 15.0
    deaf_s: float = 30.0
    """Our job runs and its socket is silent for this long: the socket is deaf."""
    probe_s: float = 0.5
    """First interval between two knocks at a server that is down; doubles."""
    slowest_probe_s: float = 3.0
    """The longest: who is back is to be used within five seconds."""
    no_progress_s: float = 1800.0
    """Our job runs and nothing is seen of it for this long: it is interrupted. Four times as long where no
    frames of it can come: then only its end could be seen."""
    interrupt_s: float = 60.0
    """An interrupt that changes nothing for this long: the server's worker is dead."""
    idle_s: float = 120.0
    """Our jobs wait and nothing runs for this long: so is it. Between two jobs it takes moments, or as long
    as the last one's models take to be put away."""
    orphan_s: float = 600.0
    """How long an id that was given up is looked for, to be taken back when it turns up."""
    settle_old_s: float = 1.0
    """A server must have answered for so long before what an earlier process intended long ago counts as
    lost: what waits in the socket of a server that was stopped is taken in within moments."""
    free_s: float = 1.0
    """How long a server gets to free its memory; it does so between two prompts."""


@dataclass(slots=True, kw_only=True, eq=False)
class Watch:
    """One prompt that is followed on one server."""

    prompt_id: str
    tracker: Tracker
    on_news: Callable[[Watch], None]
    """Called when the tracker or `seen` has changed; must not block."""
    client_id: str = ""
    sent_at: float = 0.0
    """Monotonic time from which the queue can be expected to know it; 0 = not sent yet."""
    accepted: bool = False
    """The server confirmed it (or somebody saw it there)."""
    heard_at: float = 0.0
    """Monotonic time of its last frame: a queue that was asked for before says nothing of where it is."""
    running_at: float = 0.0
    """Monotonic time at which it was first known to run; 0 = not yet."""
    missing_since: float = 0.0
    """Monotonic time since which looks found it nowhere; 0 = not missing."""
    old: bool = False
    """Intended longer ago than the settle time, by a process that is gone: nothing of it is on its way."""
    cancelled: bool = False
    unread: int = 0
    """Looks at its history that brought nothing readable, though the server answered about other things."""
    unread_at: float = 0.0
    """Monotonic time of the last of them."""
    shakes: int = 0
    """What `Server.shakes` was when it was sent."""
    shakes_running: int = 0
    """And when it was first known to run."""
    next_to_run: bool = False
    """The first of ours, with nothing known to run, when the server was gone: it ran, most likely."""
    over: bool = False
    """Its end was read from the history."""
    silent: bool = False
    """Frames of it could come, and did not: the socket was taken for deaf and renewed."""
    stuck: str = ""
    """Why it was interrupted: it showed no progress."""
    look: bool = False
    """Something says that history should be asked."""
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def how_lost(self, shakes: int, *, seeing: bool) -> Lost:
        """Return what most likely became of it, when it is nowhere and the server has had so many *shakes*.

        "died": the server went while it ran. "removed": nothing happened to the server, so somebody took it
        out of the queue. Without a socket a quick restart can pass unseen; then only another job of ours that
        is still there proves that there was none (*seeing*).
        """
        if self.running_at or self.next_to_run:
            return "died" if shakes > self.shakes_running else "lost"
        return "removed" if self.accepted and seeing and shakes == self.shakes else "lost"

    def stir(self, *, look: bool = False) -> None:
        """Wake whoever follows it."""
        self.look = self.look or look
        self.stirred.set()

    async def wait(self) -> None:
        """Return at the next stir, at once when there was one since the last wait."""
        await self.stirred.wait()
        self.stirred.clear()
