"""Stored workflows made again, and what came out now beside what came out then.

What a journal stores is what is sent, byte for byte; every digest and every input file is proven before the
first submission.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from runner.domain import Output, Workflow
from runner.drift import Drift, drift
from runner.errors import RecordDamaged, UsageError
from runner.inputs import InputFile
from runner.likeness import grade
from runner.naming import Pattern
from runner.relink import intact
from runner.rendered import Demands, Open, Rendered
from runner.stored import Record, read
from runner.summary import Before

Verdict = Literal["identical", "near", "different", "missing"]
VERDICTS: Final[tuple[Verdict, ...]] = ("identical", "near", "different", "missing")
"""From best to worst."""

WORST: Final = 20
"""Outputs named in a note, and shown."""

_GRADES: Final[Mapping[str, Verdict]] = {"same": "identical", "near": "near", "changed": "different"}


class Replay:
    """The jobs of a recorded run, to be made again as they are stored. A `run.Work`.

    Args:
        record: Of the run.
        only: Patterns of keys, one of which must match; none = all.
        without: Patterns of keys that are left out.

    Raises:
        UsageError: A pattern makes no sense, or no job matches.
        RecordDamaged: A workflow or an input file is not what was recorded; names it.

    """

    def __init__(self, record: Record, *, only: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        self.record = record
        self._only = _patterns("--only", only)
        self._without = _patterns("--except", without)
        self.keys: list[str] = sorted(filter(self._wanted, record.sent), key=record.sent.__getitem__)
        if not self.keys:
            narrowed = " that match" if only or without else ""
            raise UsageError(f"run {record.run} has no stored workflows{narrowed}", hint="animerun show")
        demands, used = Demands(), set[str]()
        for each in self.rendered():
            demands.see(each)
            used |= set(each.workflow.inputs if each.workflow else ())
        self.samples = tuple(demands.samples)
        self.inputs = tuple(_input(record, name) for name in sorted(used))
        self._paths = {file.name: file.path for file in self.inputs}

    @property
    def total(self) -> int:
        """Jobs to be made again."""
        return len(self.keys)

    @property
    def waiting(self) -> int:
        """None: what waited then has no workflow."""
        return 0

    @property
    def before(self) -> Before:
        """None: a replay is a new run."""
        return Before()

    def open(self) -> Sequence[Open]:
        """Return nothing: a replay is a new run."""
        return ()

    def rendered(self) -> Iterator[Rendered]:
        """Yield the jobs as they are stored, in the order they were first started."""
        return (each for each in self.record.jobs() if self._wanted(each.job.key))

    def files_of(self, workflow: Workflow) -> dict[str, Path]:
        """Return content name → stored file for the inputs of *workflow*."""
        return {name: self._paths[name] for name in workflow.inputs}

    def frozen(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, content) of all that lies under the run's `plan/`: the new run is complete too."""
        plan = self.record.folder / "plan"
        for path in sorted(plan.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(plan).as_posix(), path.read_bytes()

    def _wanted(self, key: str) -> bool:
        if any(pattern.matches(key) for pattern in self._without):
            return False
        return not self._only or any(pattern.matches(key) for pattern in self._only)


def _patterns(flag: str, texts: Sequence[str]) -> tuple[Pattern, ...]:
    try:
        return tuple(Pattern.parse(text) for text in texts)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error


def _input(record: Record, name: str) -> InputFile:
    """Return the stored input file, its content proven by its name."""
    path = record.folder / "plan" / "inputs" / name
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise RecordDamaged(f"input file {path} cannot be read: {error.strerror}") from error
    if found != name.partition(".")[0]:
        raise RecordDamaged(f"input file {path} is not what it was: its sha256 is {found}")
    return InputFile(name=name, project=record.inputs.get(name, name), path=path, size=size)


# ---------------------------------------------------------------- then and now


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One output of the old run and what became of it."""

    key: str
    node: str
    index: int
    verdict: Verdict
    then: Path
    now: Path | None = None
    dhash_bits: int = 0
    ssim: float = 1.0
    note: str = ""
    """Why it is missing, or why it could not be graded."""


def compare(then: Record, now: Record, keys: Sequence[str]) -> list[Compared]:
    """Return a verdict for every output that the jobs *keys* have in *then*, in listing order.

    *identical*: same samples, by the recorded hashes where there are such; *near* and *different* as
    `likeness` grades the two files; *missing*: the job failed now, or made no such file. Jobs that had
    failed then have nothing to compare.
    """
    pairs = [(key, output) for key in keys for output in then.made.get(key, ())]
    found = [_told(then, now, key, output) for key, output in pairs]
    unclear = [at for at, each in enumerate(found) if each.verdict == "different"]
    with ThreadPoolExecutor() as threads:
        graded = threads.map(lambda at: _graded(then.folder, found[at], pairs[at][1]), unclear)
        for at, each in zip(unclear, graded, strict=True):
            found[at] = each
    return found


def _told(then: Record, now: Record, key: str, old: Output) -> Compared:
    """Return the verdict as far as the two records tell; what is not proven identical is different yet."""
    who: dict[str, Any] = {"key": key, "node": old.node, "index": old.index, "then": then.folder / old.path}
    if key not in now.made:
        reason = "the job failed" if key in now.failed else "the job was not made"
        return Compared(**who, verdict="missing", note=reason)
    same_place = (each for each in now.made[key] if (each.node, each.index) == (old.node, old.index))
    new = next(same_place, None)
    if new is None:
        return Compared(**who, verdict="missing", note="the job made no such file")
    same = old.sha256 == new.sha256 or bool(old.pixels and old.pixels == new.pixels)
    path = now.folder / new.path
    return Compared(**who, now=path, verdict="identical" if same else "different")


def _graded(folder: Path, each: Compared, old: Output) -> Compared:
    """Return *each* with the grade of its two pictures."""
    assert each.now is not None, "what is missing is not graded"
    if reason := _unusable(folder, old):
        return replace(each, dhash_bits=64, ssim=0.0, note=f"not graded: {reason}")
    found = grade(each.then, each.now)
    verdict = _GRADES[found.kind]
    return replace(each, verdict=verdict, dhash_bits=found.dhash_bits, ssim=found.ssim, note=found.note)


def _unusable(folder: Path, output: Output) -> str:
    """Return why the old file cannot be looked at; its recorded hash counts, not what lies there now."""
    if not (folder / output.path).resolve().is_relative_to(folder.resolve()):
        return f"{output.path} leads out of the run folder"
    return intact(folder, (output,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a replay came to."""

    compared: tuple[Compared, ...]
    """In listing order."""
    drift: tuple[Drift, ...]
    failed_then: int
    """Jobs that had failed in the old run; they have nothing to compare."""
    made_now: int
    """Those of them that were made now."""

    @property
    def counts(self) -> dict[Verdict, int]:
        """Verdict → outputs, from best to worst."""
        found = [each.verdict for each in self.compared]
        return {verdict: found.count(verdict) for verdict in VERDICTS}

    @property
    def odd(self) -> tuple[Compared, ...]:
        """The outputs that are not identical, worst first."""
        found = (each for each in self.compared if each.verdict != "identical")
        return tuple(sorted(found, key=lambda each: (-VERDICTS.index(each.verdict), each.ssim)))

    def trips(self, worst: Verdict) -> bool:
        """Whether an output is as bad as *worst*, or worse."""
        return any(VERDICTS.index(each.verdict) >= VERDICTS.index(worst) for each in self.compared)


def judge(replay: Replay, folder: Path) -> Outcome:
    """Return what the run in *folder*, made by *replay*, came to."""
    then, now = replay.record, read(folder)
    failed = [key for key in replay.keys if key not in then.made and key in then.failed]
    return Outcome(
        compared=tuple(compare(then, now, replay.keys)),
        drift=drift(then.environment, now.environment),
        failed_then=len(failed),
        made_now=sum(key in now.made for key in failed),
    )


def note(outcome: Outcome, *, replay_of: str, fresh: bool) -> dict[str, Any]:
    """Return the facts of the note that the new run keeps of *outcome*: plain data."""
    worst = [
        {"key": each.key, "node": each.node, "index": each.index, "verdict": each.verdict,
         "dhash_bits": each.dhash_bits, "ssim": each.ssim, "note": each.note}
        for each in outcome.odd[:WORST]
    ]  # fmt: skip
    return {
        "replay_of": replay_of,
        "fresh": fresh,
        "counts": outcome.counts,
        "worst": worst,
        "drift": [asdict(each) for each in outcome.drift],
    }
