"""What a server offers (`/object_info`), and what a batch of workflows misses there. Pure.

A server's own validation is not enough: it takes unknown input names and, for the newer form of choices, any
value at all, and it tells of missing models only one submission at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.comfy.protocol import printable
from runner.comfy.verdict import choices, nearest
from runner.domain import Finding

Plain = Any
Nodes = Mapping[str, Mapping[str, Plain]]

_KEYS_KEPT = 3
_PACKS = "custom_nodes."
_PICTURE_INFO = "EXTRA_PNGINFO"
_PLACEHOLDERS = ("$input", "$prefix")
_ANY_FILE_CLASSES = ("LoadImage", "LoadImageMask", "LoadImageOutput", "LoadAudio", "LoadVideo", "LoadLatent")
_WIDGETS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """One input of a node class."""

    name: str
    type: str
    """`COMBO` for both forms of choices, else the type's name; `*` and comma-separated unions as they are."""
    required: bool
    options: tuple[str, ...] | None = None
    """What a choice may be; None where any value is taken."""
    minimum: float | None = None
    maximum: float | None = None


def own_classes() -> tuple[str, frozenset[str]]:
    """Return a version of ComfyUI and the names of all node classes it comes with, API nodes among them.

    They are what its `/object_info` lists under the modules `nodes`, `comfy_extras` and `comfy_api_nodes`; a
    later ComfyUI has more. Where a server can be asked, ask it.
    """
    version, *names = Path(__file__).with_name("own_nodes.txt").read_text("utf-8").splitlines()
    return version, frozenset(names)


class ObjectInfo:
    """The node classes of one server.

    Args:
        data: The answer of `/object_info`; entries of another shape are left out.
        server: Its address, for findings.

    """

    def __init__(self, data: Mapping[str, Plain], *, server: str = "") -> None:
        self.server = server
        self._data = {name: said for name, said in data.items() if isinstance(said, dict)}
        self._sockets: dict[str, dict[str, Socket]] = {}

    def __len__(self) -> int:
        """Return the number of node classes."""
        return len(self._data)

    def same(self, other: ObjectInfo) -> bool:
        """Whether *other* offers just the same."""
        return self._data == other._data

    def __contains__(self, node_class: object) -> bool:
        return node_class in self._data

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of all node classes."""
        return tuple(self._data)

    @property
    def packs(self) -> tuple[str, ...]:
        """The node packs beside ComfyUI's own, by the name of their folder, sorted."""
        modules = {str(said.get("python_module", "")) for said in self._data.values()}
        packs = {_pack(module) for module in modules if module.startswith(_PACKS)}
        return tuple(sorted(packs))

    def pack(self, node_class: str) -> str:
        """Return the pack that *node_class* comes from; empty for ComfyUI's own and for an unknown class."""
        module = str(self._data.get(node_class, {}).get("python_module", ""))
        return _pack(module) if module.startswith(_PACKS) else ""

    def takes_prefix(self, node_class: str) -> bool:
        """Whether *node_class* is told where to save (`filename_prefix`); an unknown one is."""
        listed = self._data.get(node_class, {}).get("input")
        sections = listed.items() if isinstance(listed, dict) else ()
        names = {name for section, inputs in sections if section != "hidden" for name in inputs or ()}
        return not names or "filename_prefix" in names

    def reads_workflow(self, node_class: str) -> bool:
        """Whether *node_class* comes from a pack and is given `extra_pnginfo`, to look itself up in."""
        listed = self._data.get(node_class, {}).get("input")
        given = listed.get("hidden") if isinstance(listed, dict) else None
        kinds = given.values() if isinstance(given, dict) else ()
        return bool(self.pack(node_class)) and any(kind in (_PICTURE_INFO, [_PICTURE_INFO]) for kind in kinds)

    def sockets(self, node_class: str) -> Mapping[str, Socket]:
        """Return the inputs of *node_class* by name, hidden ones left out; empty for an unknown class."""
        if node_class not in self._sockets:
            self._sockets[node_class] = dict(_read_sockets(self._data.get(node_class, {})))
        return self._sockets[node_class]

    def outputs(self, node_class: str) -> tuple[str, ...]:
        """Return the types of what *node_class* gives, by output index."""
        said = self._data.get(node_class, {}).get("output")
        return tuple(_type_name(item) for item in said) if isinstance(said, list) else ()

    def checker(self, parameters: Mapping[tuple[str, str], str] | None = None) -> Checker:
        """Return a Checker against it; *parameters* maps (class, input) to a template's parameter."""
        return Checker(self, parameters or {})


def _pack(module: str) -> str:
    return printable(module.removeprefix(_PACKS), limit=100)


def _read_sockets(said: Mapping[str, Plain]) -> Iterator[tuple[str, Socket]]:
    inputs = said.get("input")
    for section in ("required", "optional"):
        listed = inputs.get(section) if isinstance(inputs, dict) else None
        for name, spec in listed.items() if isinstance(listed, dict) else ():
            if isinstance(spec, list) and spec:
                more = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
                yield name, _socket(name, spec[0], more, required=section == "required")


def _socket(name: str, kind: Plain, more: Mapping[str, Plain], *, required: bool) -> Socket:
    socket = Socket(name=name, type=_type_name(kind), required=required)
    if socket.type == "COMBO":
        options = kind if isinstance(kind, list) else more.get("options")
        if (
            not isinstance(options, list)
            or more.get("animerun_any") is True
            or more.get("multiselect") is True
        ):
            return socket
        return replace(socket, options=tuple(str(item) for item in options))
    return replace(socket, minimum=_number(more.get("min")), maximum=_number(more.get("max")))


def _type_name(kind: Plain) -> str:
    return "COMBO" if isinstance(kind, list) else str(kind)


def _number(value: Plain) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


class Checker:
    """Gathers what a server lacks for many workflows; each distinct (class, input, value) is looked at once.

    Args:
        offers: What the server has.
        parameters: (class, input) → the template parameter that sets it, for advice.

    """

    def __init__(self, offers: ObjectInfo, parameters: Mapping[tuple[str, str], str]) -> None:
        self._offers = offers
        self._parameters = parameters
        self._seen: dict[Hashable, str] = {}
        """Distinct question → its finding's message; empty when all is well."""
        self._shapes: dict[str, frozenset[str]] = {}
        self._findings: dict[str, Finding] = {}

    def add(self, nodes: Nodes, key: str) -> None:
        """Check one workflow, in stored or in sent form; *key* names its job in the findings."""
        for node in nodes.values():
            node_class, inputs = str(node.get("class_type", "")), node.get("inputs", {})
            if self._ask((node_class,), key, node_class, "", None):
                continue
            self._ask((node_class, frozenset(inputs)), key, node_class, "", inputs)
            for name, value in inputs.items():
                self._add_value(nodes, key, node_class, name, value)

    def _add_value(self, nodes: Nodes, key: str, node_class: str, name: str, value: Plain) -> None:
        socket = self._offers.sockets(node_class).get(name)
        if socket is None or (isinstance(value, dict) and any(mark in value for mark in _PLACEHOLDERS)):
            return
        if isinstance(value, list):
            if len(value) == 2 and isinstance(value[1], int):
                source = str(nodes.get(str(value[0]), {}).get("class_type", ""))
                self._ask(
                    (node_class, name, "link", source, value[1]), key, node_class, name, (source, value[1])
                )
            return
        # Free text and numbers in range are never wrong, and a million of them are not worth remembering.
        if _fine(socket, value):
            return
        if isinstance(value, (str, int, float, bool, type(None))):
            self._ask((node_class, name, type(value), value), key, node_class, name, value)

    def _ask(self, question: tuple[Any, ...], key: str, node_class: str, name: str, subject: Plain) -> bool:
        """Answer *question* once; note *key* when the answer is a finding. Returns whether it is one."""
        known = self._seen.get(question)
        if known is None:
            known = self._seen[question] = self._answer(question, node_class, name, subject)
        if not known:
            return False
        value = "" if not isinstance(subject, (str, int, float)) else printable(subject, limit=120)
        self._note(known, node_class, name, value, key)
        return True

    def _answer(self, question: tuple[Any, ...], node_class: str, name: str, subject: Plain) -> str:
        match len(question):
            case 1:
                return self._class_message(node_class)
            case 2:
                return self._shape_message(node_class, subject)
            case 5:
                return self._link_message(node_class, name, *subject)
            case _:
                return self._value_message(node_class, self._offers.sockets(node_class)[name], subject)

    def _note(self, message: str, node_class: str, name: str, value: str, key: str) -> None:
        finding = self._findings.get(message)
        if finding is None:
            self._findings[message] = Finding(
                server=self._offers.server,
                node_class=node_class,
                input=name,
                value=value,
                message=message,
                keys=(key,),
            )
        elif len(finding.keys) < _KEYS_KEPT and key not in finding.keys:
            self._findings[message] = replace(finding, keys=(*finding.keys, key))

    def findings(self) -> tuple[Finding, ...]:
        """Return what is missing, in the order found; empty when everything is there."""
        return tuple(self._findings.values())

    def _class_message(self, node_class: str) -> str:
        if node_class in self._offers:
            return ""
        near = nearest(node_class, self._offers.classes)
        advice = f"; the nearest it has is `{near}`" if near else "; a node pack is missing there"
        return f"{self._offers.server} has no node class `{printable(node_class, limit=80)}`{advice}"

    def _shape_message(self, node_class: str, inputs: Mapping[str, Plain]) -> str:
        sockets = self._offers.sockets(node_class)
        missing = [name for name, socket in sockets.items() if socket.required and name not in inputs]
        # Growing inputs of newer nodes are listed under one name and used under `name.part`.
        missing = [name for name in missing if not any(given.startswith(f"{name}.") for given in inputs)]
        unknown = [name for name in inputs if name not in sockets and name.partition(".")[0] not in sockets]
        parts = [f"needs `{name}`" for name in missing]
        for name in unknown:
            near = nearest(name, sockets)
            parts.append(
                f"has no input `{printable(name, limit=60)}`{f'; did you mean `{near}`?' if near else ''}"
            )
        return f"{node_class} on {self._offers.server} {', '.join(parts)}" if parts else ""

    def _link_message(self, node_class: str, name: str, source: str, index: int) -> str:
        given, wanted = self._offers.outputs(source), self._offers.sockets(node_class)[name].type
        if source not in self._offers:
            return ""
        if not 0 <= index < len(given):
            return f"{node_class}.{name} takes output {index} of {source}, which has {len(given)}"
        if _fits(given[index], wanted):
            return ""
        return f"{node_class}.{name} takes {wanted}, but output {index} of {source} is {given[index]}"

    def _value_message(self, node_class: str, socket: Socket, value: Plain) -> str:
        place = f"{node_class}.{socket.name}"
        if socket.options is not None:
            return self._choice_message(node_class, socket, value)
        if socket.type not in _WIDGETS:
            wanted = (
                socket.type not in ("*", "COMBO")
                and not isinstance(value, dict)
                and not _WIDGETS & _union(socket.type)
            )
            return (
                f"{place} takes a link ({socket.type}), not the value {printable(repr(value), limit=60)}"
                if wanted
                else ""
            )
        number = _as_number(value) if socket.type in ("INT", "FLOAT") else 0.0
        if number is None:
            return f"{place} takes a number, not {printable(repr(value), limit=60)}"
        return "" if socket.type in ("STRING", "BOOLEAN") else self._range_message(place, socket, number)

    def _range_message(self, place: str, socket: Socket, number: float) -> str:
        if socket.minimum is not None and number < socket.minimum:
            return f"{place} is {number}, the least {self._offers.server} takes is {socket.minimum}"
        if socket.maximum is not None and number > socket.maximum:
            return f"{place} is {number}, the most {self._offers.server} takes is {socket.maximum}"
        return ""

    def _choice_message(self, node_class: str, socket: Socket, value: Plain) -> str:
        options = socket.options or ()
        if node_class in _ANY_FILE_CLASSES or str(value) in options:
            return ""
        parameter = self._parameters.get((node_class, socket.name))
        near = nearest(str(value), options)
        advice = f"; try --set {parameter}={near or options[0]}" if parameter and options else ""
        there = choices(value, options) if options else "; it has none at all"
        shown = printable(value, limit=80)
        return f"{self._offers.server} has no `{shown}` for {node_class}.{socket.name}{there}{advice}"


def _fine(socket: Socket, value: Plain) -> bool:
    """Tell cheaply whether *value* is right beyond doubt."""
    if socket.type == "STRING":
        return isinstance(value, str)
    if socket.type in ("INT", "FLOAT") and isinstance(value, (int, float)):
        low, high = socket.minimum, socket.maximum
        return (low is None or value >= low) and (high is None or value <= high)
    return False


def _union(kind: str) -> set[str]:
    return {part.strip() for part in kind.split(",")}


def _fits(given: str, wanted: str) -> bool:
    """Tell whether an output of type *given* may be linked to a socket of type *wanted*."""
    if "*" in (given, wanted) or given == wanted:
        return True
    return bool(_union(given) & _union(wanted))


def _as_number(value: Plain) -> float | None:
    """Return the number a server would make of *value*, None when it could not."""
    if isinstance(value, (bool, int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def findings(offers: ObjectInfo, workflows: Sequence[tuple[str, Nodes]]) -> tuple[Finding, ...]:
    """Return what *offers* lacks for a few (key, nodes)."""
    checker = offers.checker()
    for key, nodes in workflows:
        checker.add(nodes, key)
    return checker.findings()
