"""A comparison as people read it, in a terminal or in a pull request. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runner.diff.causes import shown
from runner.diff.model import Change, Drift, Group, RunDiff, Side

_GROUPS = 20
_KEYS = 3
_CHANGES = 4
_WIDTH = 160

_TITLES = {
    "removed": "Removed",
    "added": "Added",
    "changed": "Changed workflows",
    "state": "Other states",
    "pixels": "Other pictures",
}


def lines(diff: RunDiff) -> Iterator[str]:
    """Yield *diff* line by line; at most twenty groups of a kind, three keys each."""
    yield f"{side_line(diff.a)}\n{side_line(diff.b)}\n"
    yield verdict(diff)
    for kind, title in _TITLES.items():
        groups = [group for group in diff.groups if group.kind == kind]
        if groups:
            yield f"\n{title}"
            for group in groups[:_GROUPS]:
                yield from _group(group)
            yield from _rest(groups)
    yield from _pictures(diff)
    if diff.environment:
        yield "\nEnvironment"
        yield from (f"  {drift_line(drift)}" for drift in diff.environment)
    yield from _times(diff)
    if diff.remarks:
        yield ""
        yield from (f"note: {remark}" for remark in diff.remarks)


def markdown(diff: RunDiff) -> Iterator[str]:
    """Yield *diff* as Markdown for a pull request; what comes from outside cannot become markup."""
    yield f"### {marked(diff.a.run)} → {marked(diff.b.run)}\n"
    yield f"{verdict(diff)}\n"
    for kind, title in _TITLES.items():
        groups = [group for group in diff.groups if group.kind == kind]
        if groups:
            yield f"| {title} | jobs | first |\n| :-- | --: | :-- |"
            for group in groups[:_GROUPS]:
                first = marked(group.keys[0]) if group.keys else ""
                yield f"| {marked(group.cause)} | {group.jobs:,} | {first} |"
            yield from (f"| {rest.strip()} | | |" for rest in _rest(groups))
            yield ""
    if diff.environment:
        yield "| Environment | before | after |\n| :-- | :-- | :-- |"
        for drift in diff.environment:
            cells = (drift.what, _values(drift.before), _values(drift.after))
            yield "| " + " | ".join(map(marked, cells)) + " |"
        yield ""
    yield from (f"{line.strip()}\n" for line in _times(diff) if line)
    yield from (f"> {marked(remark)}\n" for remark in diff.remarks)


def side_line(side: Side) -> str:
    """Return one line about a side: what it is, when it was made, by what."""
    if side.kind == "plan":
        return f"{side.run}  (plan, {_jobs(side.jobs)})"
    when = side.started.replace("T", " ").replace("Z", " UTC")
    return f"{side.run}  ({side.realm}, {when}, {_jobs(side.jobs)})"


def verdict(diff: RunDiff) -> str:
    """Return the counts as one sentence."""
    c = diff.counts
    if diff.same:
        return f"No difference: {_jobs(c.both)} on both sides."
    parts = [
        f"{number:,} {word}"
        for number, word in (
            (c.removed, "removed"),
            (c.added, "added"),
            (c.changed, "with a changed workflow"),
            (c.state, "in another state"),
            (c.pixels, "with other pictures"),
        )
        if number
    ]
    return f"{', '.join(parts)}; {c.same:,} the same, of {_jobs(c.both)} on both sides."


def drift_line(drift: Drift) -> str:
    """Return `torch 2.4 → 2.5`."""
    return f"{drift.what} {_values(drift.before)} → {_values(drift.after)}"


def _values(values: tuple[str, ...]) -> str:
    brief = [value[:12] + "…" if re.fullmatch(r"[0-9a-f]{64}(\.\w+)?", value) else value for value in values]
    return ", ".join(brief[:4]) + (f" and {len(brief) - 4} more" if len(brief) > 4 else "") or "none"


def _group(group: Group) -> Iterator[str]:
    yield f"  {group.cause}  ({_jobs(group.jobs)})"
    for change in group.changes[:_CHANGES]:
        yield from _change(change, group.cause)
    if group.expected:
        return
    for key in group.keys[:_KEYS]:
        yield f"    {key}"
    if group.keys and group.jobs > _KEYS:
        yield f"    … and {group.jobs - min(_KEYS, len(group.keys)):,} more"


def _pictures(diff: RunDiff) -> Iterator[str]:
    """The first pictures that differ although nothing was changed: how far, and where they are."""
    found = [p for p in diff.pictures if not p.expected and p.kind in ("near", "changed")]
    for picture in found[:_KEYS]:
        told = picture.note or f"dHash {picture.dhash_bits} bits, SSIM {picture.ssim:.3f}"
        yield f"  {picture.key}, node {picture.node}: {picture.kind} ({told})"
        yield from (
            f"    {sign} {side.folder}/{path}"
            for sign, side, path in (("-", diff.a, picture.before), ("+", diff.b, picture.after))
            if path
        )


def _change(change: Change, cause: str) -> Iterator[str]:
    """Before and after, where the cause does not hold them already and a person can read them."""
    before, after = shown(change.before), shown(change.after)
    opaque = change.what.startswith(("source of", "file ", "workflow"))
    if not opaque and f"{before} → {after}" not in cause:
        yield f"    - {_cut(before, after)}"
        yield f"    + {_cut(after, before)}"


def _cut(text: str, other: str) -> str:
    """Return a window of *text* that holds the first place in which it differs from *other*."""
    if len(text) <= _WIDTH:
        return text
    first = next((n for n, (x, y) in enumerate(zip(text, other, strict=False)) if x != y), 0)
    start = max(0, min(first - 40, len(text) - _WIDTH))
    return ("…" if start else "") + text[start : start + _WIDTH] + ("…" if start + _WIDTH < len(text) else "")


def _rest(groups: list[Group]) -> Iterator[str]:
    if len(groups) > _GROUPS:
        jobs = sum(group.jobs for group in groups[_GROUPS:])
        yield f"  … and {len(groups) - _GROUPS:,} more causes ({_jobs(jobs)})"


def _times(diff: RunDiff) -> Iterator[str]:
    t = diff.times
    if t.jobs:
        yield ""
        yield (
            f"Rendering {_jobs(t.jobs)} took {t.before_s:,.1f} s, then {t.after_s:,.1f} s: "
            f"{t.ratio:.2f} times as long (job by job {t.median_ratio:.2f})."
        )


def marked(text: str) -> str:
    """Return *text* as one line that Markdown and HTML leave as it is."""
    flat = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~@])", r"\\\1", flat)


def _jobs(number: int) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}"
