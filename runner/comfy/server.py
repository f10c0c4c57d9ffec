"""One ComfyUI as an executor sees it: its client, its socket, and one poll for everything followed there.

Truth is `/queue` first and `/history/{id}` second. Frames and polls only say when to look; an id that is in
neither is lost only when that has lasted for the settle time; a server that does not answer proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runner import door
from runner.comfy.client import Client
from runner.comfy.listener import Listener
from runner.comfy.protocol import Frame, Queue, Tracker
from runner.errors import Ambiguous, Refused, ServerFault, Unreachable

Plain = Any
Result = TypeVar("Result")

_FOREVER = 1e12
_UNREAD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often to look and how long to wait. Seconds."""

    settle_s: float = 8.0
    """An id must be absent at least this long, and three times the slowest recent POST."""
    refused_s: float = 15.0
    """After this long of refused connections, with another server up, what it held counts as lost: nobody
    listens there, and a ComfyUI keeps its queue and history in memory only."""
    server_wait_s: float = 600.0
    """A server silent for this long is left out for good."""
    fastest_s: float = 0.01
    """First interval between two polls where no socket helps."""
    slowest_s: float = 2.0
    slowest_with_socket_s: float = 15.0
    deaf_s: float = 30.0
    """Our job runs and its socket is silent for this long: the socket is deaf."""
    probe_s: float = 0.5
    """First interval between two knocks at a server that is down; doubles up to 30."""


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
    running_at: float = 0.0
    """Monotonic time at which it was first known to run; 0 = not yet."""
    missing_since: float = 0.0
    """Monotonic time since which looks found it nowhere; 0 = not missing."""
    cancelled: bool = False
    unread: int = 0
    """Answers about it that came but could not be read."""
    look: bool = False
    """Something says that history should be asked."""
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def stir(self, *, look: bool = False) -> None:
        """Wake whoever follows it."""
        self.look = self.look or look
        self.stirred.set()

    async def wait(self) -> None:
        """Return at the next stir, at once when there was one since the last wait."""
        await self.stirred.wait()
        self.stirred.clear()


class Server:
    """Follows prompts on one ComfyUI; `run` it (and `listener.run`, where there is one) as tasks.

    Args:
        client: HTTP to it.
        pace: Times.
        on_state: Called with "" when it answers again, else with the reason why it counts as down, and
            whether that is final.
        sockets: Whether a socket is to be opened.

    """

    def __init__(
        self,
        client: Client,
        *,
        pace: Pace,
        on_state: Callable[[str, bool], None],
        sockets: bool = True,
        others_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.client = client
        self.url = client.url
        self.down = ""
        """Why it counts as down now; empty = it answers."""
        self.final = False
        self._pace = pace
        self._on_state = on_state
        self._others_up = others_up
        self._refused = False
        self._watches: dict[str, Watch] = {}
        self._down_at = 0.0
        self._failures = 0
        self._changed_at = 0.0
        self._polled_at = 0.0
        self._answered_at = 0.0
        self._kicked = asyncio.Event()
        self.listener = (
            Listener(client.socket_url, headers=client.headers, hear=self._hear) if sockets else None
        )

    @property
    def settle_s(self) -> float:
        """How long an id must be absent before it counts as lost."""
        return max(self._pace.settle_s, 3 * self.client.slowest_post_s)

    def watch(self, prompt_id: str, on_news: Callable[[Watch], None]) -> Watch:
        """Start to follow *prompt_id*; before it is sent, for frames can overtake the answer."""
        watch = Watch(prompt_id=prompt_id, tracker=Tracker(prompt_id=prompt_id), on_news=on_news)
        self._watches[prompt_id] = watch
        return watch

    def forget(self, watch: Watch) -> None:
        """Follow it no longer."""
        self._watches.pop(watch.prompt_id, None)
        self.kick()

    def sent(self, watch: Watch) -> None:
        """From now on the queue can be expected to know it."""
        watch.sent_at = door.monotonic()
        self.kick()

    async def entry(self, watch: Watch) -> Mapping[str, Plain] | None:
        """Wait until *watch* is over; return its history entry, None when it is lost.

        Also returns None when it was cancelled and is proven gone.

        Raises:
            Unreachable: The server stayed silent for so long that it is left out for good.
            Ambiguous: It answers, but never readably.
            Refused: The entry is too large.

        """
        while True:
            # Nobody polls a server that was left out before this began.
            if not self.final:
                await watch.wait()
            if self.final or self._gone(watch):
                raise Unreachable(self.down)
            if not watch.look:
                continue
            watch.look = False
            try:
                entry = await self.client.history(watch.prompt_id)
            except ServerFault as fault:
                await self._unread(watch, fault)
                continue
            self._answered()
            if entry is not None:
                return entry
            if self._lost(watch):
                return None
            self.kick()

    async def _unread(self, watch: Watch, fault: ServerFault) -> None:
        """Note that history could not be read; raise *fault* when that is not going to change."""
        watch.look = True
        if fault.status == 413:
            raise fault
        if isinstance(fault, Ambiguous) and fault.status:
            watch.unread += 1
            if watch.unread >= _UNREAD:
                raise fault
            await asyncio.sleep(0.05 * 2**watch.unread)
            watch.stir()
            return
        self.trouble(fault)

    def _lost(self, watch: Watch) -> bool:
        """Tell whether it has been nowhere long enough; the queue was asked before the history."""
        if not watch.missing_since:
            return False
        if watch.cancelled and watch.accepted:
            return True
        return door.monotonic() - watch.missing_since >= self.settle_s

    async def insist(self, call: Callable[[], Awaitable[Result]], watch: Watch, *, tries: int = 5) -> Result:
        """Return what *call* returns, through every spell of silence of the server.

        Raises:
            Unreachable: It was cancelled meanwhile, or the server is left out for good.
            Ambiguous: It answered unusably *tries* times.
            Refused: It said no.

        """
        while True:
            try:
                result = await call()
            except Unreachable as fault:
                self.trouble(fault)
            except Ambiguous as fault:
                tries -= 1
                if tries <= 0:
                    raise
                self.trouble(fault)
                await asyncio.sleep(0.2 * self._failures)
            else:
                self._answered()
                return result
            await self.recovered(watch)

    async def recovered(self, watch: Watch) -> None:
        """Return when the server answers (again); raises Unreachable when it never will, or on cancelling."""
        while self.down and not self.final and not watch.cancelled and not self._gone(watch):
            await watch.wait()
        if self.down and (self.final or watch.cancelled or self._gone(watch)):
            raise Unreachable(self.down)

    def _gone(self, watch: Watch) -> bool:
        """Whether to stop waiting: nobody listens, and *watch* is unwanted or can be made elsewhere."""
        if not (self.down and self._refused):
            return False
        waited = door.monotonic() - self._down_at
        return watch.cancelled or (waited > self._pace.refused_s and self._others_up())

    def trouble(self, fault: ServerFault) -> None:
        """Note a failed request; the server counts as down when nothing can be sent, or after three."""
        self._failures += 1
        self._refused = isinstance(fault, Unreachable)
        hard = isinstance(fault, (Unreachable, Refused)) or self._failures >= 3
        if hard and not self.down:
            self.down, self._down_at = str(fault), door.monotonic()
            self._on_state(self.down, False)
        self.kick()

    def _answered(self) -> None:
        now = door.monotonic()
        if now - self._answered_at > self.settle_s / 2:
            # What was sent before a silence may arrive behind it. A single answer that broke off is none:
            # on a bad line no absence would ever last long enough.
            for watch in self._watches.values():
                watch.missing_since = 0.0
        self._answered_at = now
        self._failures = 0
        if not self.down or self.final:
            return
        self.down = ""
        self._on_state("", False)
        for watch in self._watches.values():
            watch.stir()

    def out(self, reason: str, *, final: bool) -> None:
        """Count it as down because the first contact failed; *final* leaves it out for good."""
        self.down, self.final, self._down_at = reason, final, door.monotonic()
        self._on_state(reason, final)

    def _give_up(self) -> None:
        self.final = True
        waited = door.monotonic() - self._down_at
        self.down = f"{self.url} has not answered for {waited:.0f} s; last: {self.down}"
        self._on_state(self.down, True)
        for watch in self._watches.values():
            watch.stir()

    def kick(self) -> None:
        """Have the next poll soon."""
        self._changed_at = door.monotonic()
        self._kicked.set()

    def _hear(self, frame: Frame) -> None:
        watch = self._watches.get(frame.prompt_id)
        if watch is None:
            return
        tracker = watch.tracker.after(frame)
        if tracker is watch.tracker:
            return
        watch.tracker = tracker
        watch.missing_since = 0.0
        if tracker.phase == "running" and not watch.running_at:
            watch.running_at = door.monotonic()
        watch.on_news(watch)
        if tracker.phase == "over":
            watch.stir(look=True)

    async def run(self) -> None:
        """Poll the queue for all watches together, and knock while the server is down; until cancelled."""
        probe_s = self._pace.probe_s
        while not self.final:
            await self._rest()
            if self.down:
                await asyncio.sleep(probe_s * door.uniform(0.75, 1.25))
                probe_s = min(2 * probe_s, 30.0)
            await self._poll()
            if not self.down:
                probe_s = self._pace.probe_s
            elif door.monotonic() - self._down_at > self._pace.server_wait_s:
                self._give_up()
            elif any(self._gone(watch) for watch in self._watches.values()):
                for watch in self._watches.values():
                    watch.stir()

    async def _rest(self) -> None:
        """Wait until the next poll is due; not at all while the server is down."""
        while not self.down:
            self._kicked.clear()
            due_s = self._due() - door.monotonic()
            if due_s <= 0:
                return
            try:
                async with asyncio.timeout(due_s if due_s < _FOREVER else None):
                    await self._kicked.wait()
            except TimeoutError:
                continue

    def _due(self) -> float:
        """Return the time of the next poll: late by a part of how long nothing has happened."""
        sent = [watch for watch in self._watches.values() if watch.sent_at]
        if not sent:
            return _FOREVER * 2
        quiet_s = max(0.0, self._polled_at - self._changed_at)
        if any(watch.missing_since for watch in sent):
            return self._polled_at + min(0.25, self.settle_s / 4)
        if all(self._will_be_told(watch) for watch in sent):
            return self._polled_at + min(max(quiet_s / 4, 0.5), self._pace.slowest_with_socket_s)
        since = max(self._polled_at, self._changed_at)
        return since + min(max(quiet_s / 10, self._pace.fastest_s), self._pace.slowest_s)

    def _will_be_told(self, watch: Watch) -> bool:
        """Tell whether frames will come for *watch*: submitted on this connection, and that one not deaf."""
        listener = self.listener
        if listener is None or not listener.connected or listener.client_id != watch.client_id:
            return False
        return listener.heard_at >= watch.sent_at - 1.0

    async def _poll(self) -> None:
        began = door.monotonic()
        self._polled_at = began
        try:
            queue = await self.client.queue()
        except ServerFault as fault:
            self.trouble(fault)
            return
        self._answered()
        for watch in tuple(self._watches.values()):
            if watch.sent_at and watch.sent_at <= began:
                self._place(watch, queue)
        await self._test_hearing(queue)

    def _place(self, watch: Watch, queue: Queue) -> None:
        if watch.prompt_id not in queue:
            watch.missing_since = watch.missing_since or door.monotonic()
            watch.stir(look=True)
            return
        watch.missing_since = 0.0
        first = not watch.accepted
        watch.accepted = True
        if watch.prompt_id in queue.running and not watch.running_at:
            watch.running_at = door.monotonic()
            self._changed_at = watch.running_at
            first = True
        if first:
            watch.on_news(watch)

    async def _test_hearing(self, queue: Queue) -> None:
        """Renew a socket on which a running job of ours is not heard."""
        listener = self.listener
        if listener is None or not listener.connected:
            return
        ours = any(
            watch.prompt_id in queue.running and watch.client_id == listener.client_id
            for watch in self._watches.values()
        )
        if ours and door.monotonic() - max(listener.heard_at, self._changed_at) > self._pace.deaf_s:
            await listener.renew()
