"""Why a job's workflow is another one: its words on both sides, or the nodes where the words are equal. Pure.

What follows from something else is not told twice: a changed character changes the slot it stands in and the
prompt, and is told as the change of that character alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.diff.model import Change, Group
from runner.domain import Plain
from runner.text.shown import written

Facts = Mapping[str, Plain]
Nodes = Mapping[str, Mapping[str, Any]]

_SHORT = 40
_KEYS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What a job says on one side."""

    words: Facts
    """Column of the manifest's `variants` → value, JSON read."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Template → digest, of the whole side."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Project path → content name, of the whole side."""


def read_words(row: Mapping[str, Any]) -> Facts:
    """Return a row of `variants` with its JSON columns read."""
    packed = ("slots", "loras", "params", "members")
    return {name: json.loads(value) if name in packed else value for name, value in row.items()}


def word_changes(before: Variant, after: Variant) -> tuple[Change, ...]:
    """Return what differs in the words of two variants, from the general to the particular."""
    changes = [
        *_sources(before, after),
        *_members(before.words["members"], after.words["members"]),
        *_slots(before.words["slots"], after.words["slots"]),
    ]
    worded = any(not change.what.startswith(("template", "source of")) for change in changes)
    changes += _loras(before.words["loras"], after.words["loras"])
    changes += _one("negative", before.words["negative"], after.words["negative"])
    changes += _entries(before.words["params"], after.words["params"])
    changes += _files(before, after)
    if not worded:
        changes += _one("wording", before.words["prompt"], after.words["prompt"])
    return tuple(changes)


def node_changes(before: Nodes, after: Nodes) -> tuple[Change, ...]:
    """Return the node inputs in which two stored workflows differ, and the nodes only one of them has."""
    changes = []
    for node_id in _either(before, after):
        old, new = before.get(node_id), after.get(node_id)
        if old is None or new is None:
            changes.append(Change(what=f"node {node_id}", before=_class(old), after=_class(new)))
            continue
        changes += _one(f"class of node {node_id}", old["class_type"], new["class_type"])
        changes += [
            Change(what=f"node {node_id}.{name}", before=x, after=y)
            for name, x, y in _differing(old["inputs"], new["inputs"])
        ]
    return tuple(changes)


def cause(changes: Sequence[Change], *, uniform: bool) -> str:
    """Return *changes* as one clause; values stand in it where all jobs share them and they are short."""
    told = [_clause(change, uniform=uniform) for change in changes[:4]]
    more = len(changes) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _clause(change: Change, *, uniform: bool) -> str:
    before, after = shown(change.before), shown(change.after)
    brief = max(len(before), len(after)) <= _SHORT and "\n" not in before + after
    plain = not change.what.startswith(("prompt of", "source of", "file "))
    return f"{change.what} {before} → {after}" if uniform and brief and plain else f"{change.what} changed"


def shown(value: Plain) -> str:
    """Return a value as people write it."""
    return written(value) or "none"


class Grouping:
    """Puts jobs with the same kind of change together; *add* in listing order."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], _Gathered] = {}

    def add(self, changes: Sequence[Change], *, jobs: int, keys: Sequence[str]) -> None:
        """Take *jobs* jobs with these changes, of which *keys* are the first few."""
        name = tuple(change.what for change in changes)
        found = self._groups.setdefault(name, _Gathered(tuple(changes)))
        found.jobs += jobs
        found.keys += keys[: _KEYS - len(found.keys)]
        found.uniform = found.uniform and found.changes == tuple(changes)

    def groups(self) -> Iterator[Group]:
        """Yield one group for each kind of change, in the order of their first jobs."""
        for g in self._groups.values():
            yield Group(
                kind="changed",
                cause=cause(g.changes, uniform=g.uniform),
                jobs=g.jobs,
                keys=tuple(g.keys),
                changes=g.changes,
                uniform=g.uniform,
            )


@dataclass(slots=True)
class _Gathered:
    changes: tuple[Change, ...]
    jobs: int = 0
    keys: list[str] = field(default_factory=list)
    uniform: bool = True


def _sources(before: Variant, after: Variant) -> Iterator[Change]:
    old, new = before.words["template"], after.words["template"]
    yield from _one("template", old, new)
    digests = before.templates.get(old), after.templates.get(new)
    if old == new and None not in digests and digests[0] != digests[1]:
        yield Change(what=f"source of template {new}", before=digests[0], after=digests[1])
    yield from _one("model", before.words["model"], after.words["model"])


def _members(before: Sequence[Facts], after: Sequence[Facts]) -> Iterator[Change]:
    old, new = ({str(member["name"]): member for member in members} for members in (before, after))
    if list(old) != list(new):
        yield Change(what="cast", before=", ".join(old), after=", ".join(new))
    for name in old:
        for part in ("prompt", "outfit", "expression"):
            if name in new:
                yield from _one(f"{part} of character {name}", old[name].get(part), new[name].get(part))


def _slots(before: Facts, after: Facts) -> Iterator[Change]:
    """The slot of the cast follows from its members."""
    yield from (change for change in _entries(before, after) if change.what != "cast")


def _loras(before: Sequence[Facts], after: Sequence[Facts]) -> Iterator[Change]:
    old, new = ({f"LoRA {lora['file']}": _weights(lora) for lora in loras} for loras in (before, after))
    yield from _entries(old, new)
    if list(old) != list(new) and set(old) == set(new):
        yield Change(what="order of LoRAs", before=list(old), after=list(new))


def _weights(lora: Facts) -> Plain:
    return lora["weight"] if lora["weight"] == lora["clip"] else [lora["weight"], lora["clip"]]


def _files(before: Variant, after: Variant) -> Iterator[Change]:
    """A file that was replaced under its name."""
    for path in _paths(after.words["params"]):
        if before.files.get(path) and after.files.get(path):
            yield from _one(f"file {path}", before.files[path], after.files[path])


def _paths(value: Plain) -> Iterator[str]:
    if isinstance(value, dict):
        if value.keys() == {"$file"}:
            yield value["$file"]
            return
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _paths(each)


def _one(what: str, before: Plain, after: Plain) -> Iterator[Change]:
    if before != after and (before or after):
        yield Change(what=what, before=before, after=after)


def _entries(before: Facts, after: Facts) -> Iterator[Change]:
    yield from (Change(what=name, before=x, after=y) for name, x, y in _differing(before, after))


def _differing(before: Facts, after: Facts) -> Iterator[tuple[str, Plain, Plain]]:
    for name in _either(before, after):
        old, new = before.get(name), after.get(name)
        if old != new or type(old) is not type(new):
            yield name, old, new


def _either(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [*before, *(name for name in after if name not in before)]


def _class(node: Mapping[str, Any] | None) -> str | None:
    return None if node is None else str(node["class_type"])
