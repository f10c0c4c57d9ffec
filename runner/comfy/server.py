"""One ComfyUI as an executor sees it: its client, its socket, and one poll for everything followed there.

Truth is `/queue` first and `/history/{id}` second. Frames and polls only say when to look; an id that is in
neither is lost only when that has lasted for the settle time; a server that does not answer proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from runner import door
from runner.awake import Awake
from runner.comfy.client import Client
from runner.comfy.listener import Listener
from runner.comfy.orphans import Orphans
from runner.comfy.protocol import Frame, Queue, Tracker
from runner.comfy.vigil import Vigil
from runner.comfy.watch import Lost, Pace, Watch
from runner.errors import Ambiguous, NotLetIn, Refused, ServerFault, Unreachable

Plain = Any
Result = TypeVar("Result")

_FOREVER = 1e12
_BLIND = 4
"""How much longer a job may show no progress of which no frames can come."""

_DENIED = 4
"""How often one request may be denied while others are let in."""


class Server:
    """Follows prompts on one ComfyUI; `run` it (and `listener.run`, where there is one) as tasks.

    Args:
        client: HTTP to it.
        pace: Times.
        on_state: Called with "" when it answers again, else with the reason why it counts as down, and
            whether that is final.
        sockets: Whether a socket is to be opened.
        others_up: Tells whether another server could take its jobs.
        unlike: Tells from its stats, after a drop or a silence, why it can no longer be used; "" when it can.
        clock: What all times are taken from.
        tell: Called with what people should know about it.

    """

    def __init__(
        self,
        client: Client,
        *,
        pace: Pace,
        on_state: Callable[[str, bool], None],
        sockets: bool = True,
        others_up: Callable[[], bool] = lambda: False,
        unlike: Callable[[Mapping[str, Plain]], str] = lambda _: "",
        clock: Awake | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.client = client
        self.url = client.url
        self.down = ""
        """Why it counts as down now; empty = it answers."""
        self.final = self._strangers_run = False
        self.alters = False
        """It was seen to run something else than it was sent; said once."""
        self.pace = pace
        self.clock = clock or Awake()
        self._tell = tell
        self._on_state = on_state
        self._others_up, self._unlike = others_up, unlike
        self.refused = False
        """Nothing could be sent to it when it was last tried."""
        self._watches: dict[str, Watch] = {}
        self._orphans = Orphans()
        self._vigil = Vigil()
        self._loss_told = -1
        self._shakes = self._failures = 0
        self._known_at = 0
        """After how many shakes it was last known to be what it was at the start."""
        self._down_at = self._changed_at = self._polled_at = self._answered_at = self._interrupted_at = 0.0
        self._slowest_s = self._answers_since = 0.0
        self._kicked = asyncio.Event()
        self.listener: Listener | None = None
        if sockets:
            url, keys = client.socket_url, client.credentials
            self.listener = Listener(url, credentials=keys, hear=self._hear, clock=self.clock, tls=client.tls)

    @property
    def shakes(self) -> int:
        """How often something happened that looks like a restart: refused, broken off, socket dropped."""
        return self._shakes + (self.listener.drops if self.listener is not None else 0)

    @property
    def settle_s(self) -> float:
        """How long an id must be absent before it counts as lost: longer where answers take long."""
        return max(self.pace.settle_s, 3 * self.client.slowest_post_s, 3 * self._slowest_s)

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
        watch.sent_at, watch.shakes = self.clock(), self.shakes
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
                self._give_away(watch)
                self._tell_loss(
                    "is gone, and with it", [each for each in self._watches.values() if each.accepted]
                )
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
            watch.unread = 0
            if entry is not None:
                watch.over = True
                return entry
            if self._lost(watch):
                self._give_away(watch)
                missing = [each for each in self._watches.values() if each.accepted and each.missing_since]
                self._tell_loss("has restarted and lost", missing)
                return None
            self.kick()

    def _give_away(self, watch: Watch) -> None:
        """Note that *watch* is given up: should it turn up after all, it is taken back."""
        if watch.sent_at and not (watch.cancelled and watch.accepted):
            self._orphans.add(watch.prompt_id, self.clock())

    def how_lost(self, watch: Watch) -> Lost:
        """Return what most likely became of *watch*, which is nowhere."""
        others = any(other.accepted and not other.missing_since for other in self._watches.values())
        seeing = (self.listener is not None and self.listener.connected) or others
        return watch.how_lost(self.shakes, seeing=seeing)

    def _guess_what_ran(self) -> None:
        """Note which job a server may have died of that nobody saw running: the first sent of those it holds.

        A job that ends the process at once does so before any frame or look can tell.
        """
        held = [watch for watch in self._watches.values() if watch.accepted and not watch.over]
        if held and not self._strangers_run and not any(watch.running_at for watch in held):
            min(held, key=lambda watch: watch.sent_at).next_to_run = True

    def _tell_loss(self, what: str, watches: Sequence[Watch]) -> None:
        """Say what became of these at once, and once for each time that something happened to the server."""
        if any(self.shakes > watch.shakes for watch in watches) and self._loss_told != self.shakes:
            self._loss_told = self.shakes
            jobs = "1 job" if len(watches) == 1 else f"{len(watches)} jobs"
            self._tell(f"{self.url} {what} {jobs} of this run")

    async def _unread(self, watch: Watch, fault: ServerFault) -> None:
        """Note that history could not be read; raise *fault* when that is not going to change."""
        if fault.status == 413:
            raise fault
        # What the queue has shown meanwhile is not over: there is no history to read yet.
        watch.look = bool(watch.missing_since) or watch.tracker.phase == "over"
        if not watch.look:
            watch.unread = 0
            self.kick()
        if isinstance(fault, Unreachable):
            self.trouble(fault)
        if isinstance(fault, Unreachable) or not watch.look:
            return
        # Only what fails while the server answers about other things is the fault of this entry.
        # A door that lets nobody in is none of it.
        if (fault.status and not isinstance(fault, NotLetIn)) or watch.unread_at < self._answered_at:
            watch.unread += 1
        watch.unread_at = self.clock()
        if watch.unread >= self.pace.looks:
            self._give_away(watch)
            raise fault
        if not (isinstance(fault, Ambiguous) and fault.status):
            self.trouble(fault)
        await asyncio.sleep(min(0.05 * 2**watch.unread, self.pace.look_again_s))
        watch.stir()

    def _lost(self, watch: Watch) -> bool:
        """Tell whether it has been nowhere long enough; the queue was asked before the history."""
        now = self.clock()
        settled = now - watch.missing_since >= self.settle_s
        settled |= watch.old and now - self._answers_since >= self.pace.settle_old_s
        return bool(watch.missing_since) and (settled or (watch.cancelled and watch.accepted))

    async def insist(self, call: Callable[[], Awaitable[Result]], watch: Watch, *, tries: int = 5) -> Result:
        """Return what *call* returns, through every spell of silence of the server.

        Raises:
            Unreachable: It was cancelled meanwhile, or the server is left out for good.
            Ambiguous: It answered unusably *tries* times.
            Refused: It said no.

        """
        denied_at, denied = 0.0, 0
        while True:
            try:
                result = await call()
            except Unreachable as fault:
                self.trouble(fault)
            except NotLetIn as fault:
                # Where other requests are let in meanwhile, it is this one that is not wanted.
                denied += denied_at < self._answered_at
                if denied >= _DENIED:
                    raise
                denied_at = self.clock()
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
        """Whether to stop waiting: nobody listens, and *watch* was never sent or can be made elsewhere."""
        if not (self.down and self.refused):
            return False
        waited = self.clock() - self._down_at
        patience_s = self.pace.fetch_s if watch.over else self.pace.refused_s
        unsent = watch.cancelled and not watch.sent_at
        return unsent or (waited > patience_s and self._others_up())

    def trouble(self, fault: ServerFault) -> None:
        """Note a failed request; the server counts as down when nothing can be sent, or after three."""
        self._failures += 1
        self.refused = isinstance(fault, Unreachable)
        self._shakes += isinstance(fault, (Unreachable, Ambiguous)) and not fault.status
        if self.refused:
            self._guess_what_ran()
        self._vigil.blind(self.clock())
        hard = isinstance(fault, (Unreachable, Refused)) or self._failures >= 3
        if hard and not self.down:
            self.down, self._down_at = str(fault), self.clock()
            self._on_state(self.down, False)
        self.kick()

    def _answered(self) -> None:
        now = self.clock()
        if now - self._answered_at > self.settle_s / 2:
            # What was sent before a silence may arrive behind it. A single answer that broke off is none:
            # on a bad line no absence would ever last long enough.
            for watch in self._watches.values():
                watch.missing_since = 0.0
            self._answers_since = now
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
        self.down, self.final, self._down_at = reason, final, self.clock()
        self._on_state(reason, final)
        self.kick()

    def leave_out(self, reason: str) -> None:
        """Use it no more in this run; what it held goes elsewhere."""
        self.down, self.final = reason, True
        for watch in self._watches.values():
            self._give_away(watch)
        self._on_state(self.down, True)
        for watch in self._watches.values():
            watch.stir()

    def strangers(self, queue: Queue) -> frozenset[str]:
        """Return the ids in *queue* that are not ours."""
        return (queue.running | queue.pending) - self._watches.keys() - frozenset(self._orphans)

    def kick(self) -> None:
        """Have the next poll soon."""
        self._changed_at = self.clock()
        self._kicked.set()

    def _hear(self, frame: Frame) -> None:
        watch = self._watches.get(frame.prompt_id)
        if watch is None:
            return
        self._vigil.sign(self.clock())
        tracker = watch.tracker.after(frame)
        if tracker is watch.tracker:
            return
        watch.tracker = tracker
        watch.missing_since, watch.heard_at = 0.0, self.clock()
        if tracker.phase == "running":
            self._runs(watch)
        watch.on_news(watch)
        if tracker.phase == "over":
            watch.stir(look=True)

    def _runs(self, watch: Watch) -> None:
        if not watch.running_at:
            watch.running_at, watch.shakes_running = self.clock(), self.shakes

    async def run(self) -> None:
        """Poll the queue for all watches together, and knock while the server is down; until cancelled."""
        probe_s = self.pace.probe_s
        while not self.final or self._orphans:
            await self._rest()
            if self.down:
                await asyncio.sleep(probe_s * door.uniform(0.75, 1.25))
                probe_s = min(2 * probe_s, self.pace.slowest_probe_s)
            await self._poll()
            if not self.down:
                probe_s = self.pace.probe_s
            elif self.final:
                continue
            elif (waited_s := self.clock() - self._down_at) > self.pace.server_wait_s:
                self.leave_out(f"{self.url} has not answered for {waited_s:.0f} s; last: {self.down}")
            elif any(self._gone(watch) for watch in self._watches.values()):
                for watch in self._watches.values():
                    watch.stir()

    async def _rest(self) -> None:
        """Wait until the next poll is due; not at all while the server is down."""
        while not self.down:
            self._kicked.clear()
            due_s = self._due() - self.clock()
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
            return self._polled_at + self.pace.slowest_with_socket_s if self._orphans else _FOREVER * 2
        quiet_s = max(0.0, self._polled_at - self._changed_at)
        if any(watch.missing_since for watch in sent):
            return self._polled_at + min(0.25, self.settle_s / 4)
        if all(self._will_be_told(watch) for watch in sent):
            slowest_s = min(self.pace.slowest_with_socket_s, self.pace.no_progress_s / 4)
            return self._polled_at + min(max(quiet_s / 4, 0.5), slowest_s)
        since = max(self._polled_at, self._changed_at)
        return since + min(max(quiet_s / 10, self.pace.fastest_s), self.pace.slowest_s)

    def _will_be_told(self, watch: Watch) -> bool:
        """Tell whether frames will come for *watch*: submitted on this connection, and that one not deaf."""
        listener = self.listener
        if listener is None or not listener.connected or listener.client_id != watch.client_id:
            return False
        return listener.heard_at >= watch.sent_at - 1.0

    async def _poll(self) -> None:
        began = self.clock()
        self._polled_at = began
        try:
            queue, shakes = await self.client.queue(), self.shakes
            if not self.final and (self.down or shakes > self._known_at):
                if why := self._unlike(await self.client.system_stats()):
                    self.leave_out(why)
                    return
                self._known_at = shakes
        except ServerFault as fault:
            self.trouble(fault)
            return
        self._slowest_s = max(0.9 * self._slowest_s, self.clock() - began)
        self._answered()
        sent = [watch for watch in self._watches.values() if watch.sent_at and watch.sent_at <= began]
        for watch in sent:
            if watch.prompt_id in queue or watch.heard_at <= began:
                self._place(watch, queue)
        self._strangers_run = bool(queue.running - self._watches.keys())
        self._vigil.look(self.clock(), queue, {watch.prompt_id for watch in sent})
        try:
            await self._take_back(queue)
            await self._look_for_progress(queue)
        except ServerFault as fault:
            self.trouble(fault)
        await self._test_hearing(queue)

    async def _take_back(self, queue: Queue) -> None:
        """Cancel what was given up and turned up after all, and what stands in the queue more than once."""
        await self._orphans.take_back(self.client, queue, now=self.clock(), forget_s=self.pace.orphan_s)
        for prompt_id in queue.doubled & self._watches.keys():
            # One at a time: the server deletes one of them, and one must be left.
            await self.client.delete([prompt_id])
            self.kick()

    async def _look_for_progress(self, queue: Queue) -> None:
        """Interrupt a job of ours that shows none; leave the server out when that changes nothing."""
        now = self.clock()
        if not self.final and self._vigil.idle_s(now) >= min(self.pace.idle_s, self.pace.no_progress_s):
            self.leave_out(f"{self.url} accepts jobs but runs none: restart it")
        if self.final:
            return
        silent_s = self._vigil.silent_s(now)
        watch = next((each for each in self._watches.values() if each.prompt_id in queue.running), None)
        if watch is None:
            self._wait_for_strangers(queue, silent_s)
        elif not watch.cancelled:
            await self._wait_for(watch, silent_s)

    def _wait_for_strangers(self, queue: Queue, silent_s: float) -> None:
        """Leave the server to somebody whose job runs on and on before ours, where others can do ours.

        It may be dead, or the job long: from here the two look the same.
        """
        waiting = queue.running and not queue.pending.isdisjoint(self._watches)
        if waiting and silent_s >= self.pace.no_progress_s and self._others_up():
            told = f"a job of somebody else has been running there for {silent_s:.0f} s"
            self.leave_out(f"{self.url} is left out: {told}, or it needs a restart")

    async def _wait_for(self, watch: Watch, silent_s: float) -> None:
        """Interrupt *watch*, which runs, when it shows no progress; leave the server out when it stays."""
        now = self.clock()
        given_s = min(self.pace.interrupt_s, self.pace.no_progress_s)
        if watch.stuck and now - self._interrupted_at >= given_s <= silent_s:
            self.leave_out(f"{self.url} accepts jobs but runs none, and no interrupt helps: restart it")
        elif not watch.stuck and silent_s >= self._patience_s(watch):
            await self.client.cancel(watch.prompt_id, running=True)
            tracker = watch.tracker
            step = f" {tracker.value}/{tracker.maximum}" if tracker.maximum else ""
            last = f", last seen at node {tracker.node}{step}" if tracker.node else ""
            watch.stuck = f"no progress for {silent_s:.0f} s{last}"
            self._interrupted_at = now

    def _patience_s(self, watch: Watch) -> float:
        return self.pace.no_progress_s * (1 if watch.silent or self._will_be_told(watch) else _BLIND)

    def _place(self, watch: Watch, queue: Queue) -> None:
        if watch.prompt_id not in queue:
            watch.missing_since = watch.missing_since or self.clock()
            watch.stir(look=True)
            return
        watch.missing_since = 0.0
        first = not watch.accepted
        watch.accepted = True
        if watch.prompt_id in queue.running and not watch.running_at:
            self._runs(watch)
            self._changed_at = watch.running_at
            first = True
        if first:
            watch.on_news(watch)

    async def _test_hearing(self, queue: Queue) -> None:
        """Renew a socket on which a running job of ours is not heard."""
        listener = self.listener
        if listener is None or not listener.connected:
            return
        ours = [
            watch
            for watch in self._watches.values()
            if watch.prompt_id in queue.running and watch.client_id == listener.client_id
        ]
        if ours and self.clock() - max(listener.heard_at, self._changed_at) > self.pace.deaf_s:
            for watch in ours:
                watch.silent = True
            await listener.renew()
