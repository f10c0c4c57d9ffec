"""The gate: a comparison and a policy → what must not be let through. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runner.diff.model import RunDiff
from runner.errors import UsageError
from runner.text.nearest import did_you_mean

TRIPPED = 9
"""The exit code of a run that went well and does not pass."""

CONDITIONS = {
    "missing": "the baseline has it, this run does not",
    "failed": "a job failed",
    "changed": "a picture looks different",
    "near": "a picture has other pixels, though it looks the same",
    "slower": "rendering took longer by this factor, as in slower:1.5",
    "waiting": "a job waits for a pick",
}
_OWN = ("failed", "waiting")
"""Conditions that need no baseline."""

States = Mapping[str, tuple[int, tuple[str, ...]]]
"""State → how many jobs are in it, and the first few keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What trips the gate."""

    conditions: frozenset[str] = frozenset()
    slower: float = math.inf
    """Condition `slower`: all seconds after by all seconds before."""

    @property
    def needs_baseline(self) -> bool:
        """Whether it asks for something that only a comparison tells."""
        return bool(self.conditions - set(_OWN))


DEFAULT = Policy(conditions=frozenset({"missing", "failed", "changed"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One condition that is met."""

    condition: str
    message: str
    jobs: int = 0
    keys: tuple[str, ...] = ()
    """The first few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says."""

    findings: tuple[Finding, ...] = ()
    uncompared: str = ""
    """Why nothing was compared although it was asked for; empty when it was, or nobody asked."""

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def exit_code(self, run: int) -> int:
        """Return the exit code: that of the *run* where it is not 0; all others come before a gate."""
        return run or (0 if self.passed else TRIPPED)


def read_policy(text: str) -> Policy:
    """Return the policy written as `missing,changed,slower:1.5`; raises UsageError naming the wrong word."""
    conditions, slower = set(), math.inf
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, colon, value = part.partition(":")
        if name not in CONDITIONS:
            raise UsageError(f"--fail-on: unknown condition `{name}`{did_you_mean(name, list(CONDITIONS))}")
        if bool(colon) != (name == "slower"):
            raise UsageError(f"--fail-on: write {'slower:1.5' if name == 'slower' else f'`{name}` alone'}")
        slower = _factor(value) if colon else slower
        conditions.add(name)
    if not conditions:
        raise UsageError(f"--fail-on names nothing; there are {', '.join(CONDITIONS)}")
    return Policy(conditions=frozenset(conditions), slower=slower)


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor >= 1):
        raise UsageError(f"--fail-on slower:{text}: expected a factor of at least 1, as in slower:1.5")
    return factor


def judge(
    policy: Policy, states: States, diff: RunDiff | None, missing: tuple[int, tuple[str, ...]]
) -> Verdict:
    """Return what *policy* finds: in the *states* of the new run, and in *diff*, None without a baseline.

    *missing*: how many jobs the baseline has made and the new run neither made nor failed, and their first
    keys. A picture that could not be looked at counts as changed.
    """
    found = [*_own(states)]
    if diff is not None:
        found += [*_missing(missing), *_pictures(diff), *_slower(diff, policy)]
    return Verdict(findings=tuple(finding for finding in found if finding.condition in policy.conditions))


def _own(states: States) -> Iterator[Finding]:
    for condition, what in (("failed", "failed"), ("waiting", "for a pick")):
        jobs, keys = states.get(condition, (0, ()))
        if jobs:
            verb = what if condition == "failed" else f"{'waits' if jobs == 1 else 'wait'} {what}"
            yield Finding(condition=condition, message=f"{_jobs(jobs)} {verb}", jobs=jobs, keys=keys)


def _missing(missing: tuple[int, tuple[str, ...]]) -> Iterator[Finding]:
    jobs, keys = missing
    if jobs:
        message = f"{_jobs(jobs)} of the baseline {'is' if jobs == 1 else 'are'} missing"
        yield Finding(condition="missing", message=message, jobs=jobs, keys=keys)


def _pictures(diff: RunDiff) -> Iterator[Finding]:
    for condition, looks, what in (
        ("changed", ("changed", "ungraded"), "with pictures that look different"),
        ("near", ("near",), "with other pixels in pictures that look the same"),
    ):
        groups = [group for group in diff.groups if group.look in looks]
        jobs = sum(group.jobs for group in groups)
        if jobs:
            keys = tuple(key for group in groups for key in group.keys)[:5]
            yield Finding(condition=condition, message=f"{_jobs(jobs)} {what}", jobs=jobs, keys=keys)


def _slower(diff: RunDiff, policy: Policy) -> Iterator[Finding]:
    t = diff.times
    if t.jobs and t.ratio > policy.slower:
        message = (
            f"rendering {_jobs(t.jobs)} took {t.after_s:,.1f} s instead of {t.before_s:,.1f} s, "
            f"{t.ratio:.2f} times as long ({policy.slower:g} allowed)"
        )
        yield Finding(
            condition="slower", message=message, jobs=t.jobs, keys=tuple(slow.key for slow in t.slowest)
        )


def _jobs(number: int) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}"
