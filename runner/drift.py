"""What changed round a run: versions, devices, node packs, model files. Pure, over what journals say.

Only what both runs know can differ; what one of them was never told is no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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


def _changed(what: str, then: Values | None, now: Values | None) -> Iterator[Drift]:
    if then and now and then != now:
        yield Drift(what=what, then=", ".join(sorted(then)), now=", ".join(sorted(now)))
