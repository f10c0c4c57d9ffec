"""The inputs of a node class as `/object_info` lists them, dynamic ones unfolded for the values given. Pure.

Rules are those of ComfyUI 0.33 comfy_api/latest/_io.py (`get_finalized_class_inputs` and the three
`_expand_schema_for_dynamic`). What a server lists comes from outside: depth and numbers are bounded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

Plain = Any
Listed = Mapping[str, Mapping[str, Plain]]
"""`required` or `optional` → name → [type, options]."""

COMBO: Final = "COMBO"
DYNAMIC_COMBO: Final = "COMFY_DYNAMICCOMBO_V3"
AUTOGROW: Final = "COMFY_AUTOGROW_V3"
DYNAMIC_SLOT: Final = "COMFY_DYNAMICSLOT_V3"
_DYNAMIC: Final = frozenset({DYNAMIC_COMBO, AUTOGROW, DYNAMIC_SLOT})

_DEEPEST = 12
"""Dynamic inputs inside one another; ComfyUI's own go to 3."""
_MOST_GROWN = 100
"""Names of one growing input (ComfyUI 0.33 _io.py Autogrow._MaxNames)."""
_MOST_INPUTS = 5_000
"""Inputs of one node after unfolding; the largest of 0.33.0 has 150."""
_MOST_LISTED = 100_000
"""Inputs of a class behind all choices together; 0.33.0 has 1,500 in one class at most."""
_MOST_KEYS = 10_000
"""Keys of one dynamic choice; the largest of 0.33.0 has 40."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input of a node class."""

    name: str
    """As a graph writes it; inputs behind a chosen option have the path: `format.codec`."""
    kind: Plain
    """What stands for its type: a name, a union like `IMAGE,LATENT`, in the older form a list of choices."""
    required: bool
    options: Sequence[Plain] | None = None
    """The values that a choice takes, or the keys of a dynamic one; None where any value is taken."""
    several: bool = False
    """A choice whose value may be a list of options."""
    minimum: float | None = None
    maximum: float | None = None
    selects: bool = False
    """A dynamic choice: its value decides which inputs there are."""
    unsure: bool = False
    """The server judges its value by rules of the class that `/object_info` does not show."""

    @property
    def type(self) -> str:
        """The name of its type; `COMBO` for both forms of choices."""
        return COMBO if isinstance(self.kind, list) else str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfolded:
    """The inputs of a class for one node: those that `/object_info` names and those its values bring."""

    inputs: Mapping[str, Input]
    unread: tuple[str, ...] = ()
    """Dynamic inputs whose declaration is not understood: nothing of theirs is judged."""
    absent: tuple[str, ...] = ()
    """Required dynamic choices without a value. The server does not ask for them."""
    unchosen: tuple[str, ...] = ()
    """Dynamic choices whose value is none of their keys: what belongs to them is unknown."""
    full: bool = False
    """There are more inputs than are looked at."""


TOO_MANY: Final = Unfolded(inputs={}, full=True)
"""A class that lists more than can be looked at: nothing of it is judged."""


def selectors(listed: Listed) -> frozenset[str] | None:
    """Return the names of all inputs whose value decides which others there are, at any depth.

    None where a class lists more than can be looked at.
    """
    found: set[str] = set()
    rest, seen = [(listed, "", 0)], 0
    while rest:
        part, prefix, depth = rest.pop()
        for _, name, kind, more in _each(part):
            seen += 1
            if seen > _MOST_LISTED:
                return None
            if kind == DYNAMIC_COMBO or isinstance(more.get("formats"), dict):
                found.add(f"{prefix}{name}")
            if depth < _DEEPEST:
                rest += [(inner, f"{prefix}{name}.", depth + 1) for inner in _inner(kind, more)]
    return frozenset(found)


def is_static(listed: Listed) -> bool:
    """Whether the inputs are the same for all values."""
    return not any(_is_dynamic(kind) or "formats" in more for _, _, kind, more in _each(listed))


def unfold(listed: Listed, given: Mapping[str, Plain]) -> Unfolded:
    """Return the inputs that a node with the inputs *given* has."""
    work = _Unfolding(given)
    work.add(listed, "", 0)
    return Unfolded(
        inputs=work.inputs,
        unread=tuple(work.unread),
        absent=tuple(work.absent),
        unchosen=tuple(work.unchosen),
        full=len(work.inputs) >= _MOST_INPUTS,
    )


@dataclass(slots=True)
class _Unfolding:
    given: Mapping[str, Plain]
    inputs: dict[str, Input] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    unchosen: list[str] = field(default_factory=list)

    def add(self, listed: Listed, prefix: str, depth: int) -> None:
        for required, short, kind, more in _each(listed):
            name = f"{prefix}{short}"
            if len(self.inputs) >= _MOST_INPUTS:
                return
            if _is_dynamic(kind) and depth >= _DEEPEST:
                self.unread.append(name)
            elif kind == AUTOGROW:
                self.grow(name, more)
            elif kind == DYNAMIC_COMBO:
                self.choose(name, more, depth, required=required)
            elif kind == DYNAMIC_SLOT:
                self.inputs[name] = Input(name=name, kind="*", required=False)
                for inner in _inner(kind, more) if name in self.given else ():
                    self.add(inner, f"{name}.", depth + 1)
            else:
                self.inputs[name] = read_input(name, kind, more, required=required)
                self.add_formats(more, self.given.get(name))

    def choose(self, name: str, more: Mapping[str, Plain], depth: int, *, required: bool) -> None:
        """Add a dynamic choice and what belongs to the option that the node chose.

        The server adds neither where the value is no key, so it does not refuse that; the node then lacks its
        argument and fails.
        """
        options = _options(more)
        if options is None:
            self.unread.append(name)
            return
        keys = tuple(option.get("key") for option in options)
        self.inputs[name] = Input(name=name, kind=DYNAMIC_COMBO, required=False, options=keys, selects=True)
        if name not in self.given:
            # Inside another one it is often left out: SaveVideo takes the `codec` of older graphs instead.
            self.absent += [name] if required and not depth else []
            return
        chosen = next((each for each in options if each.get("key") == self.given[name]), None)
        if chosen is None:
            self.unchosen.append(name)
        elif isinstance(inner := chosen.get("inputs"), dict):
            self.add(inner, f"{name}.", depth + 1)

    def grow(self, name: str, more: Mapping[str, Plain]) -> None:
        """Add the inputs of a growing one: those that must be there, those given, the first as a pattern."""
        template = more.get("template")
        model = next(_each(template.get("input")), None) if isinstance(template, dict) else None
        names = _names(template)
        if model is None or names is None or not isinstance(template, dict):
            self.unread.append(name)
            return
        required, _, kind, options = model
        least = _number(template.get("min")) or 0
        for index, short in enumerate(names):
            full = f"{name}.{short}"
            if index == 0 or index < least or full in self.given:
                must = required and index < least
                self.inputs[full] = read_input(full, kind, options, required=must)

    def add_formats(self, more: Mapping[str, Plain], value: Plain) -> None:
        """Add the widgets that the chosen format brings (VideoHelperSuite: `formats` beside the choices).

        The server neither asks for them nor checks them; the pack does when it runs.
        """
        formats = more.get("formats")
        widgets = formats.get(value) if isinstance(formats, dict) and isinstance(value, str) else None
        for widget in widgets[:_MOST_GROWN] if isinstance(widgets, list) else ():
            if isinstance(widget, list) and len(widget) > 1 and isinstance(widget[0], str):
                options = widget[2] if len(widget) > 2 and isinstance(widget[2], dict) else {}
                read = read_input(widget[0], widget[1], options, required=False)
                self.inputs.setdefault(widget[0], replace(read, unsure=True))


def _names(template: Plain) -> tuple[str, ...] | None:
    """Return the names of a growing input: a list, or a prefix with numbers from 0; None for neither."""
    if not isinstance(template, dict):
        return None
    names, prefix, most = template.get("names"), template.get("prefix"), template.get("max")
    if isinstance(names, list):
        return tuple(str(each) for each in names[:_MOST_GROWN])
    if not isinstance(prefix, str) or not isinstance(most, int):
        return None
    return tuple(f"{prefix}{number}" for number in range(min(most, _MOST_GROWN)))


def read_input(name: str, kind: Plain, more: Mapping[str, Plain], *, required: bool) -> Input:
    """Return the input called *name* that `/object_info` lists as [*kind*, *more*]."""
    found = Input(
        name=name,
        kind=kind,
        required=required,
        minimum=_number(more.get("min")),
        maximum=_number(more.get("max")),
    )
    if found.type != COMBO:
        return found
    options = kind if isinstance(kind, list) else more.get("options")
    if not isinstance(options, list) or more.get("animerun_any") is True:
        # Choices that the browser fetches elsewhere (`remote`), and those of previz, which has no models.
        return found
    uploads = any(key.endswith("_upload") and value for key, value in more.items())
    several = more.get("multiselect") is True
    return replace(found, options=options, several=several, unsure=uploads)


def _each(listed: Plain) -> Iterator[tuple[bool, str, Plain, Mapping[str, Plain]]]:
    """Yield (required, name, kind, options) of what is listed in a readable way."""
    for section in ("required", "optional"):
        inputs = listed.get(section) if isinstance(listed, dict) else None
        for name, spec in inputs.items() if isinstance(inputs, dict) else ():
            if isinstance(spec, list) and spec:
                more = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
                kind = spec[0] if isinstance(spec[0], list) else str(spec[0])
                yield section == "required", name, kind, more


def _is_dynamic(kind: Plain) -> bool:
    return isinstance(kind, str) and kind in _DYNAMIC


def _inner(kind: Plain, more: Mapping[str, Plain]) -> Iterator[Listed]:
    """Yield the groups of inputs inside a dynamic one."""
    if kind == DYNAMIC_SLOT and isinstance(more.get("inputs"), dict):
        yield more["inputs"]
    for option in (_options(more) or ()) if kind == DYNAMIC_COMBO else ():
        if isinstance(option.get("inputs"), dict):
            yield option["inputs"]


def _options(more: Mapping[str, Plain]) -> list[Mapping[str, Plain]] | None:
    options = more.get("options")
    if not isinstance(options, list) or len(options) > _MOST_KEYS:
        return None
    return [each for each in options if isinstance(each, dict) and "key" in each]


def _number(value: Plain) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
