"""The Markdown summary of a gated run. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.diff.gate import States, Verdict
from runner.diff.model import RunDiff, Side
from runner.diff.text import markdown, marked


def summary(verdict: Verdict, states: States, diff: RunDiff | None, *, run: Side) -> Iterator[str]:
    """Yield the summary line by line: the verdict, the jobs by state, and what differs from the baseline."""
    passed = "No baseline" if verdict.uncompared else "Passed"
    yield f"## {passed if verdict.passed else 'Not passed'}: {marked(run.spec)}\n\n"
    counted = ", ".join(f"{jobs:,} {state}" for state, (jobs, _) in sorted(states.items()))
    yield f"{marked(run.run)} ({marked(run.realm)}): {counted}\n\n"
    if verdict.findings:
        yield "| tripped by | what | first |\n| :-- | :-- | :-- |\n"
        for finding in verdict.findings:
            first = marked(finding.keys[0]) if finding.keys else ""
            yield f"| {finding.condition} | {marked(finding.message)} | {first} |\n"
        yield "\n"
    if diff is None:
        why = f" ({marked(verdict.uncompared)})" if verdict.uncompared else ""
        yield f"No baseline: nothing was compared{why}.\n"
        return
    yield from (f"{line}\n" for line in markdown(diff))
