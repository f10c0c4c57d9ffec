"""How much failing a run bears before it stops by itself. Pure; counts jobs, never attempts.

Two limits that a person sets (a number of failed jobs, a share of those that have ended), and one that is
there by default: jobs that fail one after another, all in the same way, will go on doing so. One success says
otherwise, so it begins that count anew; and before it is believed, jobs that share little with the failing
ones are tried (`repeating`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from runner.domain import Fault

ENOUGH = 10
"""Ended jobs from which on a share of them says something."""

FIRST = 3
"""Refused jobs that stop a run in which nothing has succeeded yet: a refusal costs the server nothing."""

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a person allows. 0 = no limit."""

    failures: int = 0
    """Failed jobs."""
    percent: float = 0.0
    """Failed jobs in 100 that have ended."""
    same: int = 5
    """Jobs in a row that failed in the same way."""


@dataclass(slots=True)
class Tolerance:
    """Counts how jobs end."""

    limits: Limits = field(default_factory=Limits)
    made: int = 0
    failed: int = 0
    fault: Fault | None = None
    """How the last job failed; None when it did not."""
    in_a_row: int = 0
    """Jobs that failed that way, one after another."""
    models: set[str] = field(default_factory=set)
    """The groups they belonged to (see `schedule.Ticket`)."""
    texts: set[str] = field(default_factory=set)

    @property
    def repeating(self) -> bool:
        """The last jobs failed in the same way: others than those of their groups would tell more."""
        return self.limits.same > 0 and self.in_a_row > 1

    def succeeded(self) -> None:
        """Count a job that was made."""
        self.made += 1
        self._begin(None)

    def failed_as(self, fault: Fault, *, models: str, texts: str) -> None:
        """Count a job of these groups that has failed for good."""
        self.failed += 1
        if self.fault is None or signature(self.fault) != signature(fault):
            self._begin(fault)
        self.in_a_row += 1
        self.models.add(models)
        self.texts.add(texts)

    def _begin(self, fault: Fault | None) -> None:
        self.fault, self.in_a_row = fault, 0
        self.models, self.texts = set(), set()

    @property
    def reached(self) -> str:
        """Which limit is reached, as a sentence without its full stop; empty while none is."""
        limits, ended = self.limits, self.made + self.failed
        if limits.failures and self.failed >= limits.failures:
            return f"the limit of failed jobs is reached ({limits.failures})"
        if limits.percent and ended >= ENOUGH and 100 * self.failed >= limits.percent * ended:
            return f"{self.failed} of {ended} jobs failed, and the limit is {limits.percent:g} %"
        if self.fault is None or not limits.same:
            return ""
        refused = self.fault.code == "VALIDATION" and not self.made
        if self.in_a_row < (min(FIRST, limits.same) if refused else limits.same):
            return ""
        which = (
            f"the first {self.in_a_row} jobs were refused"
            if refused
            else f"{self.in_a_row} jobs in a row failed"
        )
        return f"{which} in the same way ({self.fault.code}; --max-same-failure 0 goes on all the same)"


def signature(fault: Fault) -> tuple[str, str, str, str]:
    """Return what two faults have in common when they are the same one: numbers in the text do not count."""
    return fault.code, fault.node, fault.node_class, _DIGITS.sub("0", fault.message)
