"""A job of a gated run → its case in the JUnit report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.diff.gate import Policy, Verdict
from runner.diff.junit import Case, Trouble
from runner.diff.model import Picture, RunDiff

Row = Mapping[str, Any]


def cases(
    rows: Iterable[Row],
    gone: Iterable[Row],
    diff: RunDiff,
    policy: Policy,
    *,
    unbegun: int = 0,
    why: str = "",
    verdict: Verdict | None = None,
) -> Iterator[Case]:
    """Yield a case for each of *rows*, the new run's jobs, then of *gone*, which it does not have.

    The *unbegun* jobs that the run ended before, for the reason *why*, have one case together: nobody has
    written down which they are. A *verdict* without a comparison has a case of its own.
    """
    if verdict is not None and verdict.uncompared:
        yield _uncompared(verdict)
    pictures: dict[str, list[Picture]] = {}
    for picture in diff.pictures:
        pictures.setdefault(picture.key, []).append(picture)
    for row in rows:
        found = _worst(pictures.get(row["key"], ()))
        yield _case(row, found, diff, policy)
    for row in gone:
        yield Case(key=row["key"], suite=f"{_suite(row)} (missing)", trouble=_gone(policy))
    if unbegun:
        told = f"not begun: {unbegun} {'job' if unbegun == 1 else 'jobs'}" + (f"; {why}" if why else "")
        yield Case(
            key="the rest", suite="(not begun)", trouble=Trouble(tag="error", kind="unbegun", message=told)
        )


def _uncompared(verdict: Verdict) -> Case:
    tripped = any(finding.condition == "baseline" for finding in verdict.findings)
    trouble = Trouble(
        tag="failure" if tripped else "skipped", kind="baseline", message=f"no baseline: {verdict.uncompared}"
    )
    return Case(key="comparison with the baseline", suite="(baseline)", trouble=trouble)


def _suite(row: Row) -> str:
    return "/".join(part for part in (row["scene"], row["cut"]) if part)


def _worst(pictures: Sequence[Picture]) -> Picture | None:
    order = {"same": 0, "near": 1, "ungraded": 2, "changed": 3}
    return max(pictures, key=lambda picture: order[picture.kind], default=None)


def _case(row: Row, picture: Picture | None, diff: RunDiff, policy: Policy) -> Case:
    trouble = _trouble(row, policy)
    note = ""
    if trouble is None and picture is not None and picture.kind != "same":
        lines = _paths(picture, diff)
        condition = "near" if picture.kind == "near" else "changed"
        if condition in policy.conditions:
            trouble = Trouble(tag="failure", kind=condition, message=_looks(picture), lines=lines)
        else:
            note = "\n".join((_looks(picture), *lines))
    return Case(key=row["key"], suite=_suite(row), seconds=row["took"] or 0.0, trouble=trouble, note=note)


def _trouble(row: Row, policy: Policy) -> Trouble | None:
    match row["state"]:
        case "succeeded" | None:
            return None
        case "failed":
            place = (f"written for {row['place']}",) if row["place"] else ()
            lines = (row["message"] or "", *place)
            return Trouble(
                tag="failure", kind=row["code"], message=f"{row['code']}: {row['message']}", lines=lines
            )
        case "waiting":
            tripped = "waiting" in policy.conditions
            return Trouble(
                tag="failure" if tripped else "skipped", kind="waiting", message=f"waits for {row['waits']}"
            )
        case state:
            return Trouble(tag="error", kind=state, message=f"not rendered: {state}")


def _gone(policy: Policy) -> Trouble:
    tripped = "missing" in policy.conditions
    return Trouble(
        tag="failure" if tripped else "skipped",
        kind="missing",
        message="the baseline has it, this run does not",
    )


def _looks(picture: Picture) -> str:
    if picture.kind == "ungraded" or picture.note:
        return f"other pixels: {picture.note}"
    what = "looks the same" if picture.kind == "near" else "looks different"
    return f"the picture {what} (dHash {picture.dhash_bits} bits, SSIM {picture.ssim:.3f})"


def _paths(picture: Picture, diff: RunDiff) -> tuple[str, ...]:
    sides = (("baseline", diff.a, picture.before), ("this run", diff.b, picture.after))
    return tuple(f"{name}: {side.folder}/{path}" for name, side, path in sides if path)
