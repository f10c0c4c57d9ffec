"""Settings: a value made once by the command line and passed down. Nothing here reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PREVIZ = "previz"
"""The server name that stands for the embedded server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a run can be told besides its spec. Times in seconds, sizes in bytes."""

    runs: Path = Path("runs")
    servers: tuple[str, ...] = ()
    """URLs; empty = the embedded previz."""
    depth: int = 2
    """Most of our jobs outstanding on one server."""
    attempts: int = 3
    max_jobs: int = 1_000_000
    max_failures: int = 0
    """Stop after this many failed jobs; 0 = never."""
    max_failure_percent: float = 0.0
    """Stop when so many of 100 ended jobs have failed; 0 = never."""
    max_same_failure: int = 5
    """Stop after this many jobs in a row that failed in the same way; 0 = never."""
    deadline_s: float = 0.0
    """Stop after this long; 0 = never. Time asleep does not count."""
    no_progress_s: float = 1800.0
    """A running job of which nothing is seen for this long is taken back."""
    require_uniform: bool = False
    """Refuse servers that differ in version or node packs."""
    require_all: bool = False
    """Refuse to begin when one of several servers lacks something, in place of leaving it out."""
    strict: bool = False
    """What preflight has doubts about is refused too."""
    server_wait_s: float = 600.0
    """How long to go on without any usable server before giving up."""
    settle_s: float = 8.0
    grace_s: float = 30.0
    """After the first Ctrl-C, how long running jobs may take to finish."""
    copy: bool = False
    """Copy reused files instead of sharing them."""
    max_job_files: int = 10_000
    """Files that are taken of one job."""
    max_job_size: int = 64 * 2**30
    """Bytes that all files of one job may have together."""
    disk_reserve: int = 2**28
    """Bytes that stay free on the disk of the runs, looked at before each download; 0 = not at all."""
    nonce: str = ""
    """Stands on every node that is sent, so that no server answers from its cache; empty = it may."""
    allow_nodes: tuple[str, ...] | None = None
    """Node classes and packs allowed beside ComfyUI's own; None = all are."""
    sockets: bool = True
    allow_plain_http: bool = False
    ca_file: Path | None = None
    """Certificates (PEM) to trust beside the system's."""
    allow_insecure_tls: bool = False
    """Believe any certificate."""
    model_sums: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(folder, model file) → its sha256, as the user gives it."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`ANIMERUN_TOKEN`, `ANIMERUN_COMFY_API_KEY` and their like, as found in the environment."""

    @property
    def previz(self) -> bool:
        """Whether the embedded server is to be used."""
        return not self.servers or self.servers == (PREVIZ,)
