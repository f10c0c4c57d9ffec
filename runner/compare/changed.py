"""The jobs with another workflow, by cause: asked in classes, never job by job."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.diff.causes import Grouping, Variant, node_changes, read_words, word_changes
from runner.diff.model import Change, Group
from runner.manifest.compare_rows import Letter, Sides
from runner.manifest.shapes import unpack

_PAIRS = 20_000
"""Pairs of variants that are looked into; the rest is told by the columns that differ."""
_UNEXPLAINED = 1_000
"""Workflows that are compared node by node."""


def changed(sides: Sides) -> Iterator[Group]:
    """Yield the jobs with another workflow, by cause."""
    sides.run("classed")
    sides.run("pairs")
    pairs = sides.ask("pairs_first", limit=_PAIRS)
    before = _variants(sides, "a", {pair["variant_a"] for pair in pairs})
    after = _variants(sides, "b", {pair["variant_b"] for pair in pairs})
    grouping, silent = Grouping(), []
    for pair in pairs:
        changes = word_changes(before[pair["variant_a"]], after[pair["variant_b"]])
        if pair["reseeded"]:
            changes = (*changes, Change(what="seed", before=pair["seed_a"], after=pair["seed_b"]))
        if changes:
            grouping.add(changes, jobs=pair["jobs"], keys=pair["keys"])
        else:
            silent.append(pair)
    _look_into_nodes(sides, silent, grouping)
    yield from grouping.groups()
    if len(pairs) == _PAIRS:
        yield from _coarse(sides)


def _variants(sides: Sides, side: Letter, names: set[str]) -> dict[str, Variant]:
    files = {row["path"]: row["name"] for row in sides.ask("inputs", side=side)}
    templates = {row["name"]: row["digest"] for row in sides.ask("templates", side=side)}
    return {
        row.pop("variant"): Variant(words=read_words(row), templates=templates, files=files)
        for row in sides.ask("variants", side=side, names=sorted(names))
    }


def _look_into_nodes(sides: Sides, silent: Sequence[Mapping[str, Any]], grouping: Grouping) -> None:
    """Tell from the stored workflows what the words do not tell."""
    if not silent:
        return
    jobs = sum(pair["jobs"] for pair in silent)
    saids, reseeded = [pair["said"] for pair in silent], [pair["reseeded"] for pair in silent]
    rows = sides.ask("unexplained", saids=saids, reseeded=reseeded, limit=_UNEXPLAINED)
    keys = [row["key"] for row in rows]
    before, after = _workflows(sides, "a", keys), _workflows(sides, "b", keys)
    for key in keys:
        unknown = (Change(what="workflow"),)
        changes = node_changes(before[key], after[key]) if key in before and key in after else unknown
        grouping.add(changes or unknown, jobs=1, keys=[key])
    if jobs > len(keys):
        grouping.add((Change(what="workflow (not looked into)"),), jobs=jobs - len(keys), keys=[])


def _workflows(sides: Sides, side: Letter, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    packed = {
        row["key"]: {"shape": row["shape"], "leaves": json.loads(row["leaves"])}
        for row in sides.ask("packed", side=side, names=list(keys))
    }
    wanted = sorted({each["shape"] for each in packed.values()})
    shapes = {row["shape"]: json.loads(row["nodes"]) for row in sides.ask("shapes", side=side, names=wanted)}
    names = {
        value["$text"]
        for each in packed.values()
        for value in each["leaves"].values()
        if isinstance(value, dict) and value.keys() == {"$text"}
    }
    texts = {row["text"]: row["value"] for row in sides.ask("texts", side=side, names=sorted(names))}
    return {key: unpack(each, shapes, texts) for key, each in packed.items()}


def _coarse(sides: Sides) -> Iterator[Group]:
    for row in sides.ask("pairs_rest", limit=_PAIRS):
        what = ", ".join(row["names"]) or "workflow"
        yield Group(
            kind="changed", cause=f"{what} changed (not looked into)", jobs=row["jobs"],
            keys=tuple(row["keys"]), uniform=False,
        )  # fmt: skip
