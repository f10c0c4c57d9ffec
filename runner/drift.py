"""What changed round a run: versions, devices, node packs, model files. Pure, over what journals say.

Only what both runs know can differ; what one of them was never told is no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runner.text.times import utc

Values = frozenset[str]

LINES: Final = frozenset({"run", "server", "template", "model_file"})
"""The kinds of journal lines that `environment` reads."""

_OF_SERVERS: Final = (
    ("ComfyUI", "version"),
    ("torch", "torch"),
    ("Python", "python"),
    ("device", "device"),
    ("system", "os"),
    ("previz", "previz"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a run was made with, as far as its journal says."""

    facts: Mapping[str, Values] = field(default_factory=dict)
    """What it is → its values, over all servers; unknown ones are left out."""
    packs: Values | None = None
    """Node packs on any of the servers; None when the journal does not tell."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """Name → digest."""
    models: Mapping[str, Values] = field(default_factory=dict)
    """`model file folder/file` → its sizes in bytes, over all servers; `sha256 of …` → what the user gave."""
    changed_at: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """`model file folder/file` → server → time of its last change there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that is not what it was."""

    what: str
    then: str
    now: str


def environment(lines: Iterable[Mapping[str, Any]]) -> Environment:
    """Return what *lines* of one journal say of what a run was made with; other kinds are skipped."""
    facts: dict[str, set[str]] = {}
    urls: set[str] = set()
    packs: set[str] | None = None
    templates: dict[str, str] = {}
    models: dict[str, set[str]] = {}
    changed_at: dict[str, dict[str, str]] = {}
    for line in lines:
        match line["t"]:
            case "run":
                facts["animerun"] = {str(line["animerun"])}
                facts["pictures"] = {"cards" if line["realm"] == "previz" else "real"}
            case "server":
                urls.add(line["url"])
                for what, name in _OF_SERVERS:
                    facts.setdefault(what, set()).add(str(line.get(name) or ""))
                if "packs" in line:
                    packs = (packs or set()) | set(line["packs"])
            case "template":
                templates[line["name"]] = line["digest"]
            case "model_file":
                name = f"{line['folder']}/{line['name']}" if line["folder"] else str(line["name"])
                if "size" in line:
                    models.setdefault(f"model file {name}", set()).add(f"{line['size']:,} bytes")
                if "modified" in line:
                    changed_at.setdefault(f"model file {name}", {})[line["server"]] = utc(line["modified"])
                if "sha256" in line:
                    models.setdefault(f"sha256 of model file {name}", set()).add(line["sha256"][:16])
            case _:
                pass
    facts["servers"] = {str(len(urls))} if urls else set()
    return Environment(
        facts={what: frozenset(known) for what, values in facts.items() if (known := values - {""})},
        packs=None if packs is None else frozenset(packs),
        templates=templates,
        models={name: frozenset(sizes) for name, sizes in models.items()},
        changed_at=changed_at,
    )


def drift(then: Environment, now: Environment) -> tuple[Drift, ...]:
    """Return what differs, in a fixed order; empty when the environment is the same."""
    return tuple(_drift(then, now))


def _drift(then: Environment, now: Environment) -> Iterator[Drift]:
    for what in ("animerun", "pictures", *(what for what, _ in _OF_SERVERS), "servers"):
        yield from _changed(what, then.facts.get(what), now.facts.get(what))
    if then.packs is not None and now.packs is not None:
        yield from (
            Drift(what=f"node pack {name}", then="there", now="gone")
            for name in sorted(then.packs - now.packs)
        )
        yield from (
            Drift(what=f"node pack {name}", then="not there", now="there")
            for name in sorted(now.packs - then.packs)
        )
    for name in sorted(then.templates.keys() & now.templates.keys()):
        digests = (frozenset({each.templates[name][:16]}) for each in (then, now))
        yield from _changed(f"template {name}", *digests)
    for name in sorted(then.models.keys() & now.models.keys()):
        yield from _changed(name, then.models[name], now.models[name])
    for name in sorted(then.changed_at.keys() & now.changed_at.keys()):
        if not (f"sha256 of {name}" in then.models and f"sha256 of {name}" in now.models):
            yield from _changed_at(name, then.changed_at[name], now.changed_at[name])


def _changed_at(name: str, then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Drift]:
    """Yield the drift of a file that was changed on every server both runs used."""
    both = then.keys() & now.keys()
    if both and all(then[server] != now[server] for server in both):
        old, new = (", ".join(sorted({times[server] for server in both})) for times in (then, now))
        yield Drift(what=f"{name}, last changed", then=old, now=new)


def alike(system: str) -> str:
    """Return the name under which two names of one operating system are equal.

    ComfyUI 0.3.64 server.py system_stats says `os.name` (posix, nt), 0.33 says `sys.platform` (linux, win32).
    """
    return "nt" if system in ("nt", "win32") else "posix" if system in ("linux", "darwin") else system


def systems(then: Iterable[str], now: Iterable[str]) -> tuple[Values, Values]:
    """Return both sides in words that can be compared: the older ones where one side says no more."""
    old, new = frozenset(then), frozenset(now)
    if {"posix", "nt"} & (old | new):
        return frozenset(map(alike, old)), frozenset(map(alike, new))
    return old, new


def _changed(what: str, then: Values | None, now: Values | None) -> Iterator[Drift]:
    if then and now and what == "system":
        then, now = systems(then, now)
    if then and now and then != now:
        yield Drift(what=what, then=", ".join(sorted(then)), now=", ".join(sorted(now)))
