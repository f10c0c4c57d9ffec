"""Which waiting job a server takes next. Pure.

Order is money: a ComfyUI keeps node outputs only from its previous prompt. So a server stays with the jobs
that share its loaded models, and among those with the ones that share its texts; a server that runs out
takes the group nobody works on, and only then shares one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field


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
    deaths: int = 0
    """Server deaths during the job that earlier processes recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What would suit a server. Groups by their `Ticket.models` and `Ticket.texts`."""

    models: str | None = None
    """What it has loaded; None = nothing known."""
    texts: str | None = None
    busy_models: AbstractSet[str | None] = frozenset()
    """What other servers work on."""
    busy_texts: AbstractSet[str | None] = frozenset()
    shunned_models: AbstractSet[str] = frozenset()
    """Groups that all failed lately: others first."""
    shunned_texts: AbstractSet[str] = frozenset()


@dataclass(slots=True)
class Order:
    """The tickets held, by models, by texts, in listing order."""

    held: int = 0
    _groups: dict[str, dict[str, deque[Ticket]]] = field(default_factory=dict)

    def add(self, ticket: Ticket) -> None:
        """Hold *ticket*. Tickets come in listing order."""
        self._groups.setdefault(ticket.models, {}).setdefault(ticket.texts, deque()).append(ticket)
        self.held += 1

    def take(self, wish: Wish) -> Ticket | None:
        """Return the ticket that suits best and hold it no longer; None when there is none."""
        if not self._groups:
            return None
        models = self._models(wish)
        groups = self._groups[models]
        texts = self._texts(groups, wish)
        ticket = groups[texts].popleft()
        self.held -= 1
        if not groups[texts]:
            del groups[texts]
        if not groups:
            del self._groups[models]
        return ticket

    def _models(self, wish: Wish) -> str:
        """Its own; else the group that comes first among those nobody else works on; else the largest."""
        wanted = self._groups.keys() - wish.shunned_models or self._groups.keys()
        if wish.models is not None and wish.models in wanted:
            return wish.models
        free = wanted - wish.busy_models
        if free:
            return min(free, key=lambda m: min(tickets[0].seq for tickets in self._groups[m].values()))
        return max(sorted(wanted), key=lambda m: sum(map(len, self._groups[m].values())))

    @staticmethod
    def _texts(groups: dict[str, deque[Ticket]], wish: Wish) -> str:
        wanted = groups.keys() - wish.shunned_texts or groups.keys()
        if wish.texts is not None and wish.texts in wanted:
            return wish.texts
        return min(wanted - wish.busy_texts or wanted, key=lambda texts: groups[texts][0].seq)
