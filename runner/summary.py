"""What a run came to, over all processes that worked on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.domain import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What earlier processes of a run finished; none of it is rendered again."""

    succeeded: int = 0
    reused: int = 0
    failed: int = 0
    files: int = 0

    @property
    def jobs(self) -> int:
        """Jobs that are settled."""
        return self.succeeded + self.reused + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run came to; every count includes what earlier processes of it did."""

    run: str
    folder: Path
    total: int
    succeeded: int
    reused: int
    failed: int
    waiting: int
    before: Before = Before()
    """The part that earlier processes of this run did."""
    files: int
    exit_code: int
    reason: str
    seconds: float
    failures: tuple[tuple[str, Fault], ...] = ()
    """The first jobs that failed in this process with their last fault."""
    unseen: Exception | None = None
    """A bug in what shows the run; nothing was shown after it."""

    @property
    def unfinished(self) -> int:
        """Jobs that were neither made nor failed nor wait for somebody."""
        return self.total - self.succeeded - self.reused - self.failed - self.waiting
