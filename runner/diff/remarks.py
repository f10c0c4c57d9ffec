"""What a reader must know to trust a comparison. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.diff.model import RunDiff, Side


def remarks(diff: RunDiff) -> Iterator[str]:
    """Yield one sentence for everything that makes *diff* narrower or weaker than it looks."""
    a, b = diff.a, diff.b
    if a.kind == b.kind == "run" and a.run == b.run:
        yield f"Both sides are the run {a.run}."
    yield from _kinds(a, b)
    for side in (a, b):
        yield from _scope(side)
    if diff.counts.outside:
        yield f"{_jobs(diff.counts.outside)} were left out: the narrower side was not asked for them."
    yield from _pictures(diff)


def _kinds(a: Side, b: Side) -> Iterator[str]:
    plans = [side.run for side in (a, b) if side.kind == "plan"]
    if plans:
        yield f"{' and '.join(plans)} is a plan: words and workflows are compared, no pictures and no times."
    elif a.realm != b.realm:
        yield (
            f"{a.run} was drawn by {_realm(a)}, {b.run} by {_realm(b)}: their pictures are counted as "
            "other pixels and not looked at."
        )
    if a.episode != b.episode:
        yield f"{a.run} is of episode {a.episode}, {b.run} of {b.episode}: keys begin with the episode."


def _realm(side: Side) -> str:
    return "previz (storyboard cards)" if side.realm == "previz" else "ComfyUI"


def _scope(side: Side) -> Iterator[str]:
    asked = [("--only", side.only), ("--except", side.without), ("--set", side.sets)]
    flags = " ".join(f"{flag} {text}" for flag, texts in asked for text in texts)
    if flags:
        yield f"{side.run} was run with {flags}."
    if side.kind == "run" and side.recorded < side.jobs:
        yield (
            f"{side.run} has begun {side.recorded:,} of its {_jobs(side.jobs)}"
            + (" and has no end" if side.exit_code is None else "")
            + "; the others count as jobs that it does not have."
        )
    elif side.kind == "run" and side.exit_code is None:
        yield f"{side.run} has no end; it may be under way."


def _pictures(diff: RunDiff) -> Iterator[str]:
    rest = sum(group.jobs for group in diff.groups if group.look == "ungraded")
    gone = [picture for picture in diff.pictures if picture.kind == "ungraded"]
    if gone:
        yield f"{len(gone):,} differing outputs could not be looked at: {gone[0].note}."
    elif rest and diff.a.realm == diff.b.realm:
        yield f"The pictures of {_jobs(rest)} were not looked at; --pixels looks at all of them."


def _jobs(number: int) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}"
