"""Which job starts where now: a pure state machine over the events so far.

All ordering, all retries and every reason to stop are decided here; nothing here knows a clock, a loop or
a network. The conductor feeds tickets in listing order, starts what `take` gives and hands back each event.

Order is money: a ComfyUI keeps node outputs only from its previous prompt. So a server stays with the jobs
that share its loaded models, and among those with the ones that share its texts; a server that runs out
takes the group nobody works on, and only then shares one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from runner.domain import Fault
from runner.events import (
    AttemptCancelled,
    AttemptCollecting,
    AttemptFailed,
    AttemptProgress,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    ExecutorEvent,
    ServerDown,
    ServerUp,
)

WINDOW = 2_000
"""Most tickets held: enough to find neighbours, little enough for a million jobs."""

IdOf = Callable[[str, int], str]
"""(key, attempt number) → prompt id."""

COLLECTING = 8
"""Most attempts of one server whose files are still on their way: a slow network must hold rendering back."""

_ATTEMPTS_BY_CODE = {"INTERRUPTED": 2, "CACHED_OUTPUT": 2}
"""Faults that are worth one more attempt, never two: a person or a cache will answer the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A job that may start, with what it shares with others."""

    key: str
    seq: int
    models: str = ""
    """Equal for jobs that load the same files the same way."""
    texts: str = ""
    """Equal for jobs that also encode the same texts."""
    number: int = 1
    """Of the next attempt; above 1 for a job that an earlier process tried."""


@dataclass(frozen=True, slots=True)
class Start:
    """Submit this job there, as its *number*-th attempt."""

    ticket: Ticket
    server: str
    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end of an attempt means for its job."""

    key: str
    number: int
    final: bool
    """False: the job will be tried again, by this process or, when it is stopping, by a later one."""


@dataclass(slots=True)
class _Server:
    up: bool = False
    lost: bool = False
    outstanding: dict[str, bool] = field(default_factory=dict)
    """What the server holds: prompt_id → whether it is known to run."""
    collecting: set[str] = field(default_factory=set)
    """What it is done with, while we are not."""
    unproven: set[str] = field(default_factory=set)
    """What an earlier process may have submitted: it takes no room until the server is known to hold it."""
    models: str | None = None
    texts: str | None = None


@dataclass(frozen=True, slots=True)
class _Retry:
    ticket: Ticket
    number: int
    elsewhere: bool


class Schedule:
    """The state of one run's scheduling. Every method is O(groups held), never O(jobs)."""

    def __init__(
        self,
        servers: Sequence[str],
        *,
        depth: int,
        attempts: int,
        max_failures: int = 0,
        window: int = WINDOW,
    ) -> None:
        self._servers = {server: _Server() for server in servers}
        self._depth = depth
        self._attempts = attempts
        self._max_failures = max_failures
        self._window = window
        self._groups: dict[str, dict[str, deque[Ticket]]] = {}
        self._held = 0
        self._retries: deque[_Retry] = deque()
        self._under_way: dict[str, Start] = {}
        self._tried: dict[str, frozenset[str]] = {}
        self._fed = False
        self.stopping = False
        self.failed = 0

    # -- feeding ---------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more tickets are wanted now."""
        return 0 if self._fed or self.stopping else max(0, self._window - self._held)

    def offer(self, ticket: Ticket) -> None:
        """Hold *ticket* until a server is free for it. Tickets come in listing order."""
        self._groups.setdefault(ticket.models, {}).setdefault(ticket.texts, deque()).append(ticket)
        self._held += 1

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
        waiting = not self.stopping and (not self._fed or self._held or self._retries)
        return not waiting and not self._under_way

    @property
    def stranded(self) -> bool:
        """There is work, and every server is out of use for good."""
        return not self.done and all(server.lost for server in self._servers.values())

    @property
    def too_many_failures(self) -> bool:
        """The limit of failed jobs is reached."""
        return bool(self._max_failures) and self.failed >= self._max_failures

    def outstanding(self) -> dict[str, int]:
        """Server → attempts under way there."""
        return {name: len(server.outstanding) for name, server in self._servers.items()}

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

    def job(self, prompt_id: str) -> tuple[str, int]:
        """Return key and attempt number of an id under way; raises KeyError for a stranger."""
        known = self._under_way[prompt_id]
        return known.ticket.key, known.number

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

    def handle(self, event: ExecutorEvent) -> Ended | None:
        """Take note of *event*; returns what it means for the job when an attempt ended."""
        match event:
            case ServerUp(server=name):
                self._servers[name].up = True
            case ServerDown(server=name, final=final):
                self._servers[name].up = False
                self._servers[name].lost |= final
            case AttemptRunning(prompt_id=prompt_id, server=name):
                self._held_there(prompt_id, name)
                if prompt_id in self._servers[name].outstanding:
                    self._servers[name].outstanding[prompt_id] = True
            case AttemptCollecting(prompt_id=prompt_id, server=name):
                self._held_there(prompt_id, name)
                if self._servers[name].outstanding.pop(prompt_id, None) is not None:
                    self._servers[name].collecting.add(prompt_id)
            case AttemptSubmitted(prompt_id=prompt_id, server=name):
                self._held_there(prompt_id, name)
            case AttemptProgress():
                pass
            case AttemptSucceeded(prompt_id=prompt_id) | AttemptCancelled(prompt_id=prompt_id):
                return self._end(prompt_id, None)
            case AttemptFailed(prompt_id=prompt_id, fault=fault):
                return self._end(prompt_id, fault)
        return None

    # -- inside ----------------------------------------------------------------------------------------

    def _held_there(self, prompt_id: str, name: str) -> None:
        """An attempt of an earlier process is proven to be on its server: it takes room from now on."""
        if prompt_id in self._servers[name].unproven:
            self._servers[name].unproven.discard(prompt_id)
            self._servers[name].outstanding[prompt_id] = False

    def _has_room(self, name: str) -> bool:
        server = self._servers[name]
        return server.up and len(server.outstanding) < self._depth and len(server.collecting) < COLLECTING

    def _note(self, prompt_id: str, start: Start) -> Start:
        server = self._servers[start.server]
        server.outstanding[prompt_id] = False
        server.models, server.texts = start.ticket.models, start.ticket.texts
        key = start.ticket.key
        self._tried[key] = self._tried.get(key, frozenset()) | {start.server}
        self._under_way[prompt_id] = start
        return start

    def _end(self, prompt_id: str, fault: Fault | None) -> Ended | None:
        known = self._under_way.pop(prompt_id, None)
        if known is None:
            return None
        self._servers[known.server].outstanding.pop(prompt_id, None)
        self._servers[known.server].collecting.discard(prompt_id)
        self._servers[known.server].unproven.discard(prompt_id)
        again = self._again(known, fault)
        # What might have been tried again had nobody stopped the run is left over, it has not failed.
        left = fault is not None and fault.retry != "never" and self.stopping
        ended = Ended(known.ticket.key, known.number, final=not again and not left)
        if fault is not None and again:
            self._retries.append(_Retry(known.ticket, known.number + 1, fault.retry == "elsewhere"))
        else:
            self._tried.pop(known.ticket.key, None)
            self.failed += fault is not None and not left
        return ended

    def _again(self, known: Start, fault: Fault | None) -> bool:
        if fault is None or fault.retry == "never" or self.stopping:
            return False
        tried = known.number - known.ticket.number + 1
        return tried < min(self._attempts, _ATTEMPTS_BY_CODE.get(fault.code, self._attempts))

    def _start_on(self, server: str) -> Start | None:
        for retry in list(self._retries):
            if self._may_retry(retry, server):
                self._retries.remove(retry)
                return Start(retry.ticket, server, retry.number)
        ticket = self._next_for(server)
        return Start(ticket, server, ticket.number) if ticket else None

    def _may_retry(self, retry: _Retry, server: str) -> bool:
        """`elsewhere` waits for a server that has not tried it, as long as there is such a one."""
        tried = self._tried[retry.ticket.key]
        others = [name for name, s in self._servers.items() if not s.lost and name not in tried]
        return not (retry.elsewhere and others) or server in others

    def _next_for(self, server: str) -> Ticket | None:
        if not self._groups:
            return None
        mine = self._servers[server]
        models = mine.models if mine.models in self._groups else self._new_models(server)
        groups = self._groups[models]
        texts = mine.texts if mine.texts in groups else self._new_texts(models, server)
        ticket = groups[texts].popleft()
        self._held -= 1
        if not groups[texts]:
            del groups[texts]
        if not groups:
            del self._groups[models]
        return ticket

    def _new_models(self, server: str) -> str:
        """The group that comes first among those no other server works on; else the largest."""
        busy = {s.models for name, s in self._servers.items() if name != server and s.up}
        free = [models for models in self._groups if models not in busy]
        if free:
            return min(free, key=lambda m: min(tickets[0].seq for tickets in self._groups[m].values()))
        return max(self._groups, key=lambda m: sum(map(len, self._groups[m].values())))

    def _new_texts(self, models: str, server: str) -> str:
        groups = self._groups[models]
        busy = {s.texts for name, s in self._servers.items() if name != server and s.up}
        free = [texts for texts in groups if texts not in busy]
        return min(free or groups, key=lambda texts: groups[texts][0].seq)
