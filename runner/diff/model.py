"""The result of a comparison, and its machine form (`animerun diff --json`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from runner.domain import Plain

GroupKind = Literal["removed", "added", "changed", "state", "pixels"]
Look = Literal["", "near", "changed", "ungraded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two that are compared."""

    name: str
    """As it was asked for."""
    run: str
    """Id of the run; of a plan the path of its spec."""
    kind: Literal["run", "plan"]
    folder: str = ""
    """Where the outputs are; empty for a plan."""
    spec: str = ""
    episode: str = ""
    realm: str = ""
    started: str = ""
    """ISO 8601, UTC; empty for a plan."""
    exit_code: int | None = None
    """None: it has no end."""
    jobs: int = 0
    """Jobs it was asked for."""
    recorded: int = 0
    """Jobs it has begun or reused, or that wait."""
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()

    @property
    def narrowed(self) -> bool:
        """Whether it was asked for some of its spec's jobs only."""
        return bool(self.only or self.without)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is another on the two sides."""

    what: str
    """`cfg`, `prompt of character aki`, `node sampler.steps`."""
    before: Plain = None
    after: Plain = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Jobs that differ for one cause."""

    kind: GroupKind
    cause: str
    jobs: int
    keys: tuple[str, ...]
    """The first few, in listing order."""
    changes: tuple[Change, ...] = ()
    """Before and after, as the first job has them."""
    uniform: bool = True
    """Whether every job has these very values."""
    look: Look = ""
    """Kind `pixels`: how far the pictures differ."""
    expected: bool = False
    """Kind `pixels`: the workflow is another one, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One output that differs."""

    key: str
    node: str
    index: int
    before: str
    """Path below the side's folder; empty: it has no such output."""
    after: str
    kind: Literal["same", "near", "changed", "ungraded"]
    dhash_bits: int = 64
    ssim: float = 0.0
    note: str = ""
    expected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Something of the environment that is another."""

    what: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slower:
    """A job and its seconds of rendering."""

    key: str
    before_s: float
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of rendering, of the jobs that both sides rendered with as many nodes from the cache."""

    jobs: int = 0
    before_s: float = 0.0
    after_s: float = 0.0
    median_ratio: float = 1.0
    """The middle of after / before, job by job."""
    slowest: tuple[Slower, ...] = ()
    """The jobs that lost most."""

    @property
    def ratio(self) -> float:
        """All seconds after by all seconds before; 1 where nothing can be compared."""
        return self.after_s / self.before_s if self.before_s else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs there are of what. A job may be in several of the last four."""

    before: int = 0
    after: int = 0
    outside: int = 0
    """Left out: the narrower side was not asked for them."""
    both: int = 0
    removed: int = 0
    added: int = 0
    different: int = 0
    """On both sides, and different in workflow, state or pixels."""
    changed: int = 0
    """Another workflow."""
    state: int = 0
    pixels: int = 0
    """Other pictures."""

    @property
    def same(self) -> int:
        """Jobs on both sides without a difference."""
        return self.both - self.different


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDiff:
    """Everything that differs between two sides."""

    a: Side
    b: Side
    counts: Counts
    groups: tuple[Group, ...] = ()
    """By kind (removed, added, changed, state, pixels), then in listing order."""
    environment: tuple[Drift, ...] = ()
    times: Times = field(default_factory=Times)
    pictures: tuple[Picture, ...] = ()
    """The outputs that were graded; those without a reason first."""
    remarks: tuple[str, ...] = ()
    """What a reader must know to trust the rest."""

    @property
    def same(self) -> bool:
        """Whether no job differs; another environment or other times alone are no difference."""
        return not (self.counts.removed or self.counts.added or self.counts.different)

    def head(self) -> dict[str, Any]:
        """Return the first line of the machine form: everything but groups and pictures."""
        told = asdict(self)
        for name in ("groups", "pictures"):
            del told[name]
        told["counts"]["same"] = self.counts.same
        told["times"]["ratio"] = round(self.times.ratio, 4)
        return {"event": "diff", "same": self.same, **told}
