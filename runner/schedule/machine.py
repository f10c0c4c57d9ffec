"""Which job starts where now: a pure state machine over the events so far.

All retries and every reason to stop are decided here, with `order` (which job comes next), `remedy` (what a
fault means for its job), `health` (for its server) and `tolerance` (for the run). Nothing here knows a clock,
a loop or a network. The conductor feeds tickets in listing order, starts what `take` gives, hands back each
event, and hands back what it was asked for as an `Alarm` once its time is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from runner.domain import Fault
from runner.events import (
    AttemptCancelled,
    AttemptCollecting,
    AttemptFailed,
    AttemptProgress,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    Elapsed,
    ExecutorEvent,
    ServerBusy,
    ServerDown,
    ServerNotice,
    ServerResting,
    ServerUp,
)
from runner.schedule.health import Health, Out, Rest
from runner.schedule.order import Order, Ticket, Wish
from runner.schedule.remedy import Past, Remedy, Verdict, judge
from runner.schedule.tolerance import Limits, Tolerance

WINDOW = 2_000
"""Most tickets held: enough to find neighbours, little enough for a million jobs."""

IdOf = Callable[[str, int], str]
"""(key, attempt number) → prompt id."""

COLLECTING = 8
"""Most attempts of one server whose files are still on their way: a slow network must hold rendering back."""


@dataclass(frozen=True, slots=True)
class Start:
    """Submit this job there, as its *number*-th attempt."""

    ticket: Ticket
    server: str
    number: int
    free: bool = False
    """The server is to free its memory first."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Hand *event* back in *seconds*."""

    seconds: float
    event: Elapsed


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end of an attempt means for its job."""

    key: str
    number: int
    final: bool
    """False: the job will be tried again, by this process or, when it is stopping, by a later one."""
    fault: Fault | None = field(default=None, compare=False)
    """Why it failed, as it is to be told and recorded; None when it did not."""


@dataclass(slots=True)
class _Server:
    health: Health
    outstanding: dict[str, bool] = field(default_factory=dict)
    """What the server holds: prompt_id → whether it is known to run."""
    collecting: set[str] = field(default_factory=set)
    """What it is done with, while we are not."""
    unproven: set[str] = field(default_factory=set)
    """What an earlier process may have submitted: it takes no room until the server is known to hold it."""
    models: str | None = None
    texts: str | None = None


@dataclass(slots=True, eq=False)
class _Retry:
    ticket: Ticket
    number: int
    server: str
    """Where the last attempt was."""
    remedy: Remedy
    waits: bool
    """Its alarm has not come yet."""


class Schedule:
    """The state of one run's scheduling. Every method is O(groups held), never O(jobs)."""

    def __init__(
        self,
        servers: Sequence[str],
        *,
        depth: int,
        attempts: int,
        limits: Limits | None = None,
        window: int = WINDOW,
    ) -> None:
        self._servers = {server: _Server(Health(depth)) for server in servers}
        self._attempts = attempts
        self._tolerance = Tolerance(limits or Limits())
        self._window = window
        self._order = Order()
        self._retries: deque[_Retry] = deque()
        self._under_way: dict[str, Start] = {}
        self._pasts: dict[str, Past] = {}
        self._alarms: list[Alarm] = []
        self._news: list[ServerDown | ServerResting] = []
        self._fed = False
        self.stopping = False

    # -- feeding ---------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more tickets are wanted now."""
        return 0 if self._fed or self.stopping else max(0, self._window - self._order.held)

    def offer(self, ticket: Ticket) -> None:
        """Hold *ticket* until a server is free for it. Tickets come in listing order."""
        if ticket.deaths:
            self._retries.append(_Retry(ticket, ticket.number, "", Remedy(), waits=False))
        else:
            self._order.add(ticket)

    def close_feed(self) -> None:
        """No more tickets will be offered."""
        self._fed = True

    def follow(self, ticket: Ticket, prompt_id: str, server: str) -> None:
        """Take over an attempt that an earlier process may have submitted; no new one until it has ended."""
        self._note(prompt_id, Start(ticket, server, ticket.number))
        del self._servers[server].outstanding[prompt_id]
        self._servers[server].unproven.add(prompt_id)

    # -- asking ----------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Nothing is under way and nothing more will be."""
        waiting = not self.stopping and (not self._fed or self._order.held or self._retries)
        return not waiting and not self._under_way

    @property
    def stranded(self) -> bool:
        """There is work, and every server is out of use for good; what was under way has ended."""
        idle = not self.done and not self._under_way
        return idle and all(server.health.out for server in self._servers.values())

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why servers are left out, one sentence each."""
        outs = ((name, each.health.out) for name, each in self._servers.items() if each.health.out)
        return tuple(reason if reason.startswith(name) else f"{name}: {reason}" for name, reason in outs)

    @property
    def failed(self) -> int:
        """Jobs that have failed for good."""
        return self._tolerance.failed

    @property
    def limit_reached(self) -> str:
        """Which limit of failures is reached, in words; empty while none is."""
        return self._tolerance.reached

    def pending(self) -> tuple[str, ...]:
        """The ids under way that are not known to run."""
        return tuple(
            prompt_id
            for server in self._servers.values()
            for prompt_id, running in server.outstanding.items()
            if not running
        )

    def under_way(self) -> tuple[str, ...]:
        """Every id under way."""
        return tuple(self._under_way)

    # -- deciding --------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Start nothing more; what is under way may end."""
        self.stopping = True

    def take(self, new_id: IdOf) -> Iterator[tuple[str, Start]]:
        """Yield (prompt_id, start) for everything that starts now; each counts as under way at once."""
        while not self.stopping:
            free = [name for name in self._servers if self._has_room(name)]
            free.sort(key=lambda name: len(self._servers[name].outstanding))
            start = next((s for s in map(self._start_on, free) if s is not None), None)
            if start is None:
                return
            prompt_id = new_id(start.ticket.key, start.number)
            yield prompt_id, self._note(prompt_id, start)

    def alarms(self) -> list[Alarm]:
        """Return the alarms asked for since the last call."""
        asked, self._alarms = self._alarms, []
        return asked

    def news(self) -> list[ServerDown | ServerResting]:
        """Return what has been decided about servers since the last call, for people."""
        told, self._news = self._news, []
        return told

    def handle(self, event: ExecutorEvent | Elapsed) -> Ended | None:
        """Take note of *event*; returns what it means for the job when an attempt ended."""
        match event:
            case AttemptSucceeded() | AttemptFailed() | AttemptCancelled():
                return self._end(event)
            case AttemptSubmitted() | AttemptRunning() | AttemptCollecting():
                self._place(event)
            case ServerUp() | ServerDown() | ServerBusy():
                self._note_server(event)
            case Elapsed():
                self._wake(event)
            case AttemptProgress() | ServerNotice():
                pass
        return None

    # -- inside ----------------------------------------------------------------------------------------

    def _place(self, event: AttemptSubmitted | AttemptRunning | AttemptCollecting) -> None:
        """Note where an attempt is now; one of an earlier process takes room from here on."""
        server, prompt_id = self._servers[event.server], event.prompt_id
        if prompt_id in server.unproven:
            server.unproven.discard(prompt_id)
            server.outstanding[prompt_id] = False
        if prompt_id not in server.outstanding:
            return
        if isinstance(event, AttemptRunning):
            server.outstanding[prompt_id] = True
        elif isinstance(event, AttemptCollecting):
            del server.outstanding[prompt_id]
            server.collecting.add(prompt_id)

    def _note_server(self, event: ServerUp | ServerDown | ServerBusy) -> None:
        health = self._servers[event.server].health
        match event:
            case ServerUp():
                health.came_up()
            case ServerDown(reason=reason, final=final):
                health.up = False
                health.out = health.out or (reason or "it is gone" if final else "")
            case ServerBusy(seconds=seconds):
                self._follow_up(event.server, health.busy(seconds))

    def _has_room(self, name: str) -> bool:
        server = self._servers[name]
        return len(server.outstanding) < server.health.room and len(server.collecting) < COLLECTING

    def _note(self, prompt_id: str, start: Start) -> Start:
        server = self._servers[start.server]
        server.outstanding[prompt_id] = False
        server.models, server.texts = start.ticket.models, start.ticket.texts
        self._under_way[prompt_id] = start
        return start

    def _end(self, event: AttemptSucceeded | AttemptFailed | AttemptCancelled) -> Ended | None:
        known = self._under_way.pop(event.prompt_id, None)
        if known is None:
            return None
        server = self._servers[known.server]
        server.outstanding.pop(event.prompt_id, None)
        server.collecting.discard(event.prompt_id)
        server.unproven.discard(event.prompt_id)
        if isinstance(event, AttemptFailed):
            return self._failed(known, event.fault)
        self._pasts.pop(known.ticket.key, None)
        if isinstance(event, AttemptSucceeded):
            self._succeeded(known.server)
        return Ended(known.ticket.key, known.number, final=True)

    def _failed(self, known: Start, fault: Fault) -> Ended:
        ticket = known.ticket
        verdict = self._judge(known, fault)
        self._blame(known.server, ticket.key, fault)
        ended = Ended(ticket.key, known.number, final=verdict.remedy is None, fault=verdict.fault)
        if verdict.remedy is None:
            self._pasts.pop(ticket.key, None)
            self._tolerance.failed_as(verdict.fault, models=ticket.models, texts=ticket.texts)
        elif not self.stopping:
            # What might have been tried again had nobody stopped the run is left over, it has not failed.
            self._pasts[ticket.key] = verdict.past
            self._retry(ticket, known, verdict.remedy)
        return ended

    def _judge(self, known: Start, fault: Fault) -> Verdict:
        past = self._past(known.ticket)
        others = bool(self._untried(past) - {known.server})
        made = self._tolerance.made
        return judge(past, known.server, fault, attempts=self._attempts, made=made, others=others)

    def _retry(self, ticket: Ticket, known: Start, remedy: Remedy) -> None:
        retry = _Retry(ticket, known.number + 1, known.server, remedy, waits=remedy.wait_s > 0)
        self._retries.append(retry)
        if retry.waits:
            self._alarms.append(Alarm(remedy.wait_s, Elapsed(kind="job", name=ticket.key)))

    def _succeeded(self, where: str) -> None:
        """Take note of a success: for the run, for its server, and as a comparison for the others."""
        self._tolerance.succeeded()
        for name, server in self._servers.items():
            if name == where:
                server.health.succeeded()
            else:
                self._follow_up(name, server.health.succeeded_elsewhere())

    def _blame(self, name: str, key: str, fault: Fault) -> None:
        for other, server in self._servers.items():
            if other != name:
                server.health.failed_elsewhere(key, fault)
        self._follow_up(name, self._servers[name].health.failed(key, fault))

    def _follow_up(self, name: str, decision: Rest | Out | None) -> None:
        match decision:
            case Rest(seconds=seconds, reason=reason):
                self._alarms.append(Alarm(seconds, Elapsed(kind="server", name=name)))
                self._news.append(ServerResting(server=name, reason=reason, seconds=seconds))
            case Out(reason=reason):
                self._news.append(ServerDown(server=name, reason=reason, final=True))
            case None:
                pass

    def _wake(self, elapsed: Elapsed) -> None:
        if elapsed.kind == "server":
            self._servers[elapsed.name].health.wake()
        for retry in self._retries:
            if elapsed.kind == "job" and retry.ticket.key == elapsed.name:
                retry.waits = False

    def _start_on(self, server: str) -> Start | None:
        for retry in tuple(self._retries):
            if self._may_retry(retry, server):
                self._retries.remove(retry)
                free = retry.remedy.free and server == retry.server
                return Start(retry.ticket, server, retry.number, free)
        ticket = self._next_for(server)
        return Start(ticket, server, ticket.number) if ticket else None

    def _may_retry(self, retry: _Retry, server: str) -> bool:
        """Return whether *server* is where it may be tried, as long as there is such a one."""
        if retry.waits:
            return False
        past = self._past(retry.ticket)
        if past.suspect and self._innocents:
            # It may be what kills servers: whatever else can be made is made first.
            return False
        if self._servers[server].health.trying and server in past.servers and self._order.held:
            # What failed here proves nothing about a machine that is on trial.
            return False
        match retry.remedy.where:
            case "here":
                return server == retry.server or not self._servers[retry.server].health.usable
            case "elsewhere":
                others = self._untried(past)
                return not others or server in others
            case "anywhere":
                return True

    def _past(self, ticket: Ticket) -> Past:
        return self._pasts.get(ticket.key) or Past(deaths=ticket.deaths)

    @property
    def _innocents(self) -> bool:
        """Whether there is work that no server has died of."""
        if self._order.held or not self._fed:
            return True
        waiting, running = self._retries, self._under_way.values()
        tickets = chain((each.ticket for each in waiting), (each.ticket for each in running))
        return not all(self._past(ticket).suspect for ticket in tickets)

    def _untried(self, past: Past) -> set[str]:
        """Return the servers, down ones included, where a job with this *past* has not been tried."""
        return {name for name, each in self._servers.items() if not each.health.out} - past.servers

    def _next_for(self, name: str) -> Ticket | None:
        mine, failing = self._servers[name], self._tolerance
        others = [each for other, each in self._servers.items() if other != name and each.health.up]
        wish = Wish(
            models=mine.models,
            texts=mine.texts,
            busy_models={each.models for each in others},
            busy_texts={each.texts for each in others},
            shunned_models=failing.models if failing.repeating else frozenset(),
            shunned_texts=failing.texts if failing.repeating else frozenset(),
        )
        return self._order.take(wish)
