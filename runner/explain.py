"""Why a job is rendered again: what it was made from then, beside what it is made from now. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.domain import Plain
from runner.text.shown import written

NEW = "new"
_ENDS = {
    "failed": "it failed last time",
    "cancelled": "it was taken back last time",
    "submitted": "it was under way when the last run was stopped",
    "waiting": "it waited for a pick last time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a job was or will be made from, as far as people name it."""

    recipe: str
    template: str
    template_digest: str = ""
    model: str = ""
    prompt: str = ""
    negative: str = ""
    seed: int = 0
    slots: Mapping[str, str]
    loras: Sequence[Mapping[str, Any]]
    params: Mapping[str, Plain]
    members: Sequence[Mapping[str, str]]
    files: Mapping[str, str]
    """Project path → content name."""
    state: str = ""
    """What became of it, for one that was made before."""


def why(before: Told | None, now: Told) -> str:
    """Return why *now* is not up to date with *before*, as one short clause; the first few causes.

    The order of causes is from the general to the particular, so that a changed character is not told as a
    changed prompt.
    """
    if before is None:
        return NEW
    causes = list(_causes(before, now))
    if causes:
        return ", ".join(causes[:3]) + (f" and {len(causes) - 3} more" if len(causes) > 3 else "")
    if before.state not in ("succeeded", "reused"):
        return _ENDS.get(before.state, "it was not made last time")
    if before.recipe != now.recipe:
        return "animerun renders it differently now"
    return ""


def _causes(before: Told, now: Told) -> Iterator[str]:
    yield from _sources(before, now)
    yield from _members(before.members, now.members)
    for slot in _either(before.slots, now.slots):
        if slot != "cast" and before.slots.get(slot, "") != now.slots.get(slot, ""):
            yield f"{slot} changed"
    yield from _loras(before.loras, now.loras)
    if before.negative != now.negative:
        yield "negative changed"
    if before.seed != now.seed:
        yield f"seed {before.seed} → {now.seed}"
    yield from _values(before, now)
    if before.prompt != now.prompt and not _words_differ(before, now):
        yield "wording changed"


def _sources(before: Told, now: Told) -> Iterator[str]:
    if before.template != now.template:
        yield f"template {before.template} → {now.template}"
    elif before.template_digest and before.template_digest != now.template_digest:
        yield f"template {now.template} changed"
    if before.model != now.model:
        yield f"model {before.model or 'none'} → {now.model or 'none'}"


def _values(before: Told, now: Told) -> Iterator[str]:
    for name in _either(before.params, now.params):
        if before.params.get(name) != now.params.get(name):
            yield f"{name} {_short(before.params.get(name))} → {_short(now.params.get(name))}"
    for path, name in now.files.items():
        if path in before.files and before.files[path] != name:
            yield f"file {path} changed"


def _words_differ(before: Told, now: Told) -> bool:
    return dict(before.slots) != dict(now.slots) or list(before.members) != list(now.members)


def _members(before: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]]) -> Iterator[str]:
    old, new = ({member["name"]: member for member in members} for members in (before, now))
    if list(old) != list(new):
        yield f"cast {', '.join(old) or 'none'} → {', '.join(new) or 'none'}"
    for name in new:
        for part in ("prompt", "outfit", "expression"):
            if name in old and old[name].get(part, "") != new[name].get(part, ""):
                yield f"{part} of character {name} changed"


def _loras(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    old, new = ({lora["file"]: lora for lora in loras} for loras in (before, now))
    for file in _either(old, new):
        if file not in old:
            yield f"LoRA {file} added"
        elif file not in new:
            yield f"LoRA {file} removed"
        elif dict(old[file]) != dict(new[file]):
            yield f"LoRA {file} {old[file]['weight']:g} → {new[file]['weight']:g}"
    if list(old) != list(new) and set(old) == set(new):
        yield "order of LoRAs changed"


def _either(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [*old, *(name for name in new if name not in old)]


def _short(value: Plain) -> str:
    text = written(value)
    return text if len(text) <= 40 else text[:39] + "…"
