"""Which servers should get jobs, and how many, as the ends of attempts tell. Pure: time comes as a call.

A server gets no job while it rests: it said itself that it is busy, or its machine failed (CUDA, disk full).
After that one job alone tries it again; fails the machine once more, the server is left out.
A server is left out, too, when one job after another fails there while others do well.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.domain import Fault

REST_S = 60.0
"""How long a server gets no job after its machine failed."""

BUSY_S = 120.0
"""The longest that a server is left alone because it asked for it."""

BLAMED = 3
"""Different jobs that failed on a server, one after another, while others do well: it is the server."""

_BLAMES = frozenset(
    {
        "OOM",
        "HUNG",
        "SERVER_SICK",
        "SERVER_DIED",
        "SERVER_REJECTS",
        "SERVER_ERROR",
        "DOWNLOAD_CORRUPT",
        "UNREADABLE",
    }
)
"""Faults that may be the server's. A job that a restart or a person took from it is not held against it."""


@dataclass(frozen=True, slots=True)
class Rest:
    """No job for this server for *seconds*; then call `wake`."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Out:
    """No job for this server any more."""

    reason: str


@dataclass(slots=True)
class Health:
    """What is thought of one server."""

    depth: int
    """Most jobs it may hold when all is well."""
    up: bool = False
    out: str = ""
    """Why it is left out for good; empty = it is not."""
    resting: bool = False
    trying: bool = False
    """Its machine failed; one job at a time until one succeeds."""
    load: int = 0
    """How many it may hold now, where that is less than *depth*; 0 = *depth*."""
    blamed: dict[str, str] = field(default_factory=dict)
    """Jobs that failed here since the last success → code."""
    others_do_well: bool = False
    """A job succeeded elsewhere since the first of these."""

    @property
    def usable(self) -> bool:
        """Whether it may get jobs, now or after its rest."""
        return self.up and not self.out

    @property
    def room(self) -> int:
        """The most jobs it may hold now."""
        if not self.usable or self.resting:
            return 0
        return 1 if self.trying else self.load or self.depth

    def came_up(self) -> None:
        """It answers (again); most likely another process, so what its machine did is forgotten."""
        self.up, self.resting, self.trying = True, False, False

    def wake(self) -> None:
        """The rest is over."""
        self.resting = False

    def busy(self, seconds: float) -> Rest:
        """It asked to be left alone: it is, and then gets half as many jobs until some succeed."""
        if not self.resting:
            self.load = max(1, (self.load or self.depth) // 2)
        self.resting = True
        return Rest(min(max(seconds, 1.0), BUSY_S), "it asked for fewer requests")

    def succeeded(self) -> None:
        """A job succeeded here."""
        self.trying = False
        self.blamed.clear()
        self.others_do_well = False
        if self.load and not self.resting:
            self.load = self.load + 1 if self.load + 1 < self.depth else 0

    def succeeded_elsewhere(self) -> Out | None:
        """A job succeeded on another server."""
        self.others_do_well |= bool(self.blamed)
        return self._blame()

    def failed_elsewhere(self, key: str, fault: Fault) -> None:
        """A job that failed here failed elsewhere: in the same way, it was the job."""
        if self.blamed.get(key) == fault.code:
            del self.blamed[key]

    def failed(self, key: str, fault: Fault) -> Rest | Out | None:
        """A job failed here; return what follows for the server."""
        if fault.code in _BLAMES:
            self.blamed[key] = fault.code
        if fault.code == "SERVER_SICK":
            return None if self.resting else self._sick(fault)
        return self._blame()

    def _sick(self, fault: Fault) -> Rest | Out:
        if self.trying:
            return self._leave_out(f"it needs a restart: {fault.message}")
        self.resting = self.trying = True
        return Rest(REST_S, fault.message)

    def _blame(self) -> Out | None:
        if self.out or not self.others_do_well or len(self.blamed) < BLAMED:
            return None
        codes = ", ".join(dict.fromkeys(self.blamed.values()))
        return self._leave_out(f"{len(self.blamed)} jobs in a row failed there and not elsewhere ({codes})")

    def _leave_out(self, reason: str) -> Out:
        self.out = reason
        return Out(reason)
