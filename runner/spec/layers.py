"""Laying trees over one another: libraries under the spec, `--set` paths on top."""

from __future__ import annotations

from collections.abc import Mapping as Map
from typing import Any

from runner.faults import Faults
from runner.spec.files import Library
from runner.text.tree import Entry, Mapping, Mark, Node, Scalar

LIBRARY_KEYS = ("models", "characters", "prompts")

_LEAF: Map[str, Any] = {}
_ENTRIES: Map[str, Any] = {"*": {"*": _LEAF}}
# Which maps add up name by name; whatever is not listed is a value and replaced whole.
_ADDS: Map[str, Map[str, Any]] = {
    "models": {"*": {"*": _LEAF}},
    "characters": {"*": {"*": _LEAF, "outfits": _ENTRIES, "expressions": _ENTRIES}},
    "prompts": {"*": _ENTRIES},
}


def merge_libraries(libraries: list[Library], spec: Mapping, faults: Faults) -> dict[str, Mapping]:
    """Return models, characters and prompts of *spec* and all *libraries*, the including file on top."""
    _refuse_twins(libraries, faults)
    merged: dict[str, Mapping] = {}
    for key in LIBRARY_KEYS:
        under = Mapping((), spec.mark)
        for root in (*(library.root for library in libraries), spec):
            over = root.get(key)
            if isinstance(over, Mapping):
                laid = lay(under, over, _ADDS[key])
                under = laid if isinstance(laid, Mapping) else under
        merged[key] = under
    return merged


def lay(under: Node | None, over: Node, adds: Map[str, Any]) -> Node:
    """Return *over* laid on *under*: key by key as deep as *adds* says, replaced whole below."""
    if not adds or not isinstance(over, Mapping) or under is None:
        return over
    if not isinstance(under, Mapping):
        if not isinstance(under, Scalar) or under.is_null or adds != {"*": _LEAF}:
            return over
        under = _as_entry(under)
    entries = {entry.key.text: entry for entry in under}
    for entry in over:
        name = entry.key.text
        below = entries.get(name)
        value = lay(below.value if below else None, entry.value, adds.get(name, adds["*"]))
        entries[name] = Entry(entry.key, value)
    return Mapping(tuple(entries.values()), over.mark)


def put(root: Mapping, path: tuple[str, ...], value: Node, mark: Mark) -> Mapping:
    """Return *root* with *value* at *path*; missing maps are made, a text on the way becomes an entry."""
    name, *rest = path
    below = root.entry(name)
    if rest:
        inner = below.value if below else Mapping((), mark)
        if isinstance(inner, Scalar) and not inner.is_null:
            inner = _as_entry(inner)
        value = put(inner if isinstance(inner, Mapping) else Mapping((), mark), tuple(rest), value, mark)
    entry = Entry(Scalar(name, mark), value)
    if below is None:
        return Mapping((*root.entries, entry), root.mark)
    return Mapping(tuple(entry if old is below else old for old in root), root.mark)


def _as_entry(text: Scalar) -> Mapping:
    return Mapping((Entry(Scalar("prompt", text.mark), text),), text.mark)


def _refuse_twins(libraries: list[Library], faults: Faults) -> None:
    """Note every name defined in two libraries of which neither includes the other."""
    first: dict[str, list[tuple[Library, Mark]]] = {}
    for library in libraries:
        for path, mark in _names(library.root):
            for other, place in first.setdefault(path, []):
                if other.path not in library.reaches:
                    twin = place.problem("").place
                    faults.at(mark, f"`{path}` is defined in two included files; {twin} is the other")
                    break
            first[path].append((library, mark))


def _names(root: Mapping) -> list[tuple[str, Mark]]:
    """Return every name a library defines, as `characters.aki` or `prompts.place.rooftop`."""
    found: list[tuple[str, Mark]] = []
    for key in LIBRARY_KEYS:
        section = root.get(key)
        for entry in section if isinstance(section, Mapping) else ():
            path = f"{key}.{entry.key.text}"
            if key != "prompts":
                found.append((path, entry.key.mark))
            elif isinstance(entry.value, Mapping):
                found += [(f"{path}.{inner.key.text}", inner.key.mark) for inner in entry.value]
    return found
