"""What is done about a failed attempt: nothing, or another one, and where and when. Pure.

    code            another attempt                                   at the end of it
    SERVER_SICK     on another server first
    SERVER_REJECTS  on another server first
    HUNG            on another server first
    UNREACHABLE     on another server first; costs none, nothing was sent
    SERVER_BUSY     when the server wants jobs again; costs none
    SERVER_DIED     on another server first                           the second time QUARANTINED
    OOM             on the same server once its memory is free, then elsewhere
    INTERRUPTED     once, 30 s later                                  INTERRUPTED
    REMOVED         once                                              INTERRUPTED
    CACHED_OUTPUT   once
    SERVER_ERROR    on another server first                           SERVER_REJECTS where others pass
    LOST UNREADABLE DOWNLOAD_CORRUPT  anywhere, the third time on another server first
    everything else  none

All of them within the number of attempts a job has in one process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from runner.domain import Fault

Where = Literal["anywhere", "here", "elsewhere"]

PERSON_S = 30.0
"""Somebody stopped a job in the server's window: how long they are left alone before it is tried again."""

DEATHS = 2
"""Server deaths during one job after which it is not tried any more."""

_PERSON = ("INTERRUPTED", "REMOVED")
_COSTLESS = ("UNREACHABLE", "SERVER_BUSY")
_MOST_COSTLESS = 20
"""Even what costs nothing has an end."""


@dataclass(frozen=True, slots=True)
class Past:
    """What became of a job's attempts in this process, the oldest first."""

    deaths: int = 0
    """Server deaths that earlier processes recorded for this job."""
    ends: tuple[tuple[str, str], ...] = ()
    """(server, code)."""
    made_then: int = 0
    """Jobs that had been made when a server last answered this one with an error."""

    def times(self, *codes: str, server: str = "") -> int:
        """Return how often it ended with one of *codes* (on *server*)."""
        return sum(code in codes and server in ("", where) for where, code in self.ends)

    @property
    def servers(self) -> set[str]:
        """Where it was tried."""
        return {where for where, _ in self.ends}

    @property
    def suspect(self) -> bool:
        """Whether a server has died while it ran."""
        return self.deaths > 0 or self.times("SERVER_DIED") > 0

    @property
    def costly(self) -> int:
        """Attempts that count."""
        return len(self.ends) - self.times(*_COSTLESS)


@dataclass(frozen=True, slots=True)
class Remedy:
    """Another attempt."""

    where: Where = "anywhere"
    wait_s: float = 0.0
    free: bool = False
    """The server is to free its memory first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed attempt means for its job."""

    fault: Fault
    """As it is told and recorded."""
    remedy: Remedy | None
    """None: the job has failed."""
    past: Past


def judge(past: Past, server: str, fault: Fault, *, attempts: int, made: int, others: bool) -> Verdict:
    """Return what follows from *fault* on *server*.

    Args:
        past: Before it.
        server: Where it happened.
        fault: What happened.
        attempts: Most attempts that count.
        made: Jobs of the run that have been made so far.
        others: Whether there is another server that has not tried this job.

    """
    before, past = past, replace(past, ends=(*past.ends, (server, fault.code)))
    if fault.code == "SERVER_ERROR":
        past = replace(past, made_then=made)
    final = _final(before, past, server, fault, others=others)
    if final is not None:
        return Verdict(final, None, past)
    if past.costly >= attempts or past.times(*_COSTLESS) >= _MOST_COSTLESS:
        return Verdict(fault, None, past)
    return Verdict(fault, _remedy(past, server, fault), past)


def _final(before: Past, past: Past, server: str, fault: Fault, *, others: bool) -> Fault | None:
    """Return the fault to end the job with, None when another attempt may help."""
    match fault.code:
        case _ if fault.retry == "never":
            return fault
        case "SERVER_DIED" if (deaths := past.deaths + past.times("SERVER_DIED")) >= DEATHS:
            message = f"was running at {deaths} server crashes, the last on {server}; it is not tried again"
            return replace(fault, code="QUARANTINED", retry="never", message=message)
        case "INTERRUPTED" | "REMOVED" if before.times(*_PERSON):
            return replace(
                fault, code="INTERRUPTED", retry="never", message=f"{fault.message}, for the second time"
            )
        case "CACHED_OUTPUT" if before.times("CACHED_OUTPUT"):
            return fault
        case "SERVER_ERROR" if before.times("SERVER_ERROR") and past.made_then > before.made_then:
            message = f"{fault.message}; other jobs pass, so it is this one"
            return replace(fault, code="SERVER_REJECTS", retry="never", message=message[:500])
        case "OOM" if before.times("OOM", server=server) and not others:
            return fault
        case _:
            return None


def _remedy(past: Past, server: str, fault: Fault) -> Remedy:
    if fault.code == "OOM" and past.times("OOM", server=server) == 1:
        return Remedy("here", free=True)
    if fault.code == "INTERRUPTED":
        return Remedy(wait_s=PERSON_S)
    twice_here = sum(where == server for where, _ in past.ends) > 1
    return Remedy("elsewhere" if fault.retry == "elsewhere" or twice_here else "anywhere")
