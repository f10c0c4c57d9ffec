"""The outputs that differ, looked at as far as there are files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.diff.model import Group, Look, Picture, Side
from runner.likeness import grade
from runner.manifest.compare_rows import Sides

GRADED = 200
"""Differing pictures that are looked at unless more are asked for."""


def graded(sides: Sides, a: Side, b: Side, most: int | None) -> tuple[Picture, ...]:
    """Look at the outputs that differ, as far as there are files and not more than *most*."""
    sides.run("graded")
    if a.realm != b.realm:
        return ()
    rows = sides.ask("pictures", limit=most)
    found = tuple(_grade(row, Path(a.folder), Path(b.folder)) for row in rows)
    sides.keep("graded", ((p.key, p.node, p.index, p.kind) for p in found if p.kind != "ungraded"))
    sides.run("repaint")
    return found


def _grade(row: Mapping[str, Any], a: Path, b: Path) -> Picture:
    told: dict[str, Any] = {
        "key": row["key"], "node": row["node"], "index": row["index"], "expected": row["rewritten"],
        "before": row["path_a"] or "", "after": row["path_b"] or "",
    }  # fmt: skip
    if not row["path_a"] or not row["path_b"]:
        return Picture(**told, kind="changed", note="only one side has this output")
    paths = a / row["path_a"], b / row["path_b"]
    gone = next((path for path in paths if not path.is_file()), None)
    if gone is not None:
        return Picture(**told, kind="ungraded", note=f"{gone} is not there")
    found = grade(*paths)
    return Picture(**told, kind=found.kind, dhash_bits=found.dhash_bits, ssim=found.ssim, note=found.note)


def looks(sides: Sides) -> Iterator[Group]:
    """Yield the jobs with other pictures, by how far they differ and whether that was to be expected."""
    words: dict[Look, str] = {
        "changed": "look different",
        "near": "look the same",
        "ungraded": "were not looked at",
    }
    for row in sides.ask("looks"):
        why = "after a changed workflow" if row["rewritten"] else "from the same workflow"
        yield Group(
            kind="pixels", cause=f"other pixels {why}; they {words[row['kind']]}", jobs=row["jobs"],
            keys=tuple(row["keys"]), look=row["kind"], expected=row["rewritten"],
        )  # fmt: skip
