"""Frozen facts about one run, in the order they happened. Behaviour lives elsewhere.

Two kinds: what an executor reports (`ExecutorEvent`), and what the conductor itself decides. The recorder
sees every event first; progress lines and machine output are observers of the same stream.
Times are seconds since the epoch, UTC; durations are seconds by the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.domain import Attempt, Fault, Output, ServerFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUp:
    """A server can take jobs."""

    server: str
    facts: ServerFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDown:
    """A server cannot take jobs now; those it holds are not lost by that."""

    server: str
    reason: str
    final: bool = False
    """Left out for the rest of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBusy:
    """A server asked to be left alone for so long (429 or 503 with `Retry-After`)."""

    server: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerNotice:
    """Something about a server that people should know; nothing follows from it."""

    server: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSubmitted:
    """The server has the attempt in its queue."""

    prompt_id: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRunning:
    """The server began to execute the attempt."""

    prompt_id: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptProgress:
    """Where a running attempt is; only for people, never recorded."""

    prompt_id: str
    server: str
    node: str
    node_class: str
    value: int = 0
    maximum: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCollecting:
    """The server is done with the attempt and free for another; its files are being fetched."""

    prompt_id: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSucceeded:
    """Every declared output lies verified and hashed on our disk."""

    prompt_id: str
    server: str
    outputs: tuple[Output, ...]
    queue_s: float = 0.0
    run_s: float = 0.0
    collect_s: float = 0.0
    cached_nodes: int = 0
    """Nodes the server answered from its cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """The attempt ended without its outputs."""

    prompt_id: str
    server: str
    fault: Fault
    again: bool = False
    """Set by the conductor: another attempt follows, or is left to a later process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCancelled:
    """The attempt is proven gone from the server because we asked for it."""

    prompt_id: str
    server: str


ExecutorEvent = (
    ServerUp
    | ServerDown
    | ServerBusy
    | ServerNotice
    | AttemptSubmitted
    | AttemptRunning
    | AttemptProgress
    | AttemptCollecting
    | AttemptSucceeded
    | AttemptFailed
    | AttemptCancelled
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerResting:
    """A server gets no new jobs for so long; what it holds may end."""

    server: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """The time is over for which a server was to rest, or a job to wait; nobody is told."""

    kind: Literal["server", "job"]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptIntended:
    """Durable before the POST: after a crash this id must be looked for."""

    attempt: Attempt
    seq: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAdopted:
    """An attempt of an earlier process is followed; only for people, the record has its intent."""

    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReused:
    """Up to date from an earlier run; its outputs stand in this run's folder too."""

    key: str
    digest: str
    from_run: str
    prompt_id: str
    """The attempt that made the files."""
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """Nothing more is submitted; *reason* is for people."""

    reason: str
    exit_code: int
    grace_s: float | None = None
    """How long running jobs may take to end, when that is less than the settings say."""


Event = ExecutorEvent | ServerResting | AttemptIntended | JobReused | AttemptAdopted | Stopping
