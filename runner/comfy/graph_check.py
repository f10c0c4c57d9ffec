"""What a server would refuse in a batch of workflows, and what it would silently let pass. Pure.

Three outcomes. A *finding* is what the server refuses, or accepts and fails of for certain: a class it does
not have, a missing input, a value out of range or list, a file it does not have, a link of another type. A
*note* is what is probably a slip, or what cannot be judged from outside. All else is silent: never stricter
than the server. The rules are those of ComfyUI 0.33 execution.py `validate_prompt`, `validate_inputs` and
comfy_execution/validation.py `validate_node_input`; where 0.3.64 differs, it asks for less.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from runner.comfy.node_inputs import COMBO, Input, Unfolded
from runner.comfy.object_info import ObjectInfo
from runner.comfy.protocol import printable
from runner.comfy.replacements import Replacement, as_replaced
from runner.comfy.spelling import spelled
from runner.comfy.verdict import is_model_file, listed, nearest
from runner.domain import Finding
from runner.text.nearest import nearest as near_name

Plain = Any
Nodes = Mapping[str, Mapping[str, Plain]]

_KEYS_KEPT = 3
_MOST_NAMES = 5_000
"""Options among which the nearest is looked for, some 50 ms for each value that is missing."""
_LONGEST_TYPE = 10_000
"""Letters of a union of types that is compared; the longest of 0.33.0 has 150."""
_NAMED = 12
"""Inputs named in one sentence."""
_PLACEHOLDERS = ("$input", "$prefix")
_ANY = "*"
_MATCHES_ALL: Final = frozenset({_ANY, "COMFY_MATCHTYPE_V3"})
"""ComfyUI 0.33 validation.py: any type, and the type that the browser matches."""
_LINKED_ONLY: Final = frozenset(
    {
        *("MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK", "CONTROL_NET", "CLIP_VISION"),
        *("CLIP_VISION_OUTPUT", "STYLE_MODEL", "GLIGEN", "UPSCALE_MODEL", "SAMPLER", "SIGMAS", "NOISE"),
        *("GUIDER", "AUDIO", "VIDEO", "HOOKS", "HOOK_KEYFRAMES", "MODEL_PATCH", "MESH", "VOXEL"),
    }
)
"""Types of ComfyUI that exist in memory only: no value can be one. All other types may be widgets."""
_NO_REPLACEMENTS: Final[Mapping[str, Replacement]] = {}


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about a node."""

    message: str
    input: str = ""
    value: str = ""
    grave: bool = True
    """The server refuses it, or fails of it."""


class Checker:
    """Gathers what a server lacks for many workflows; each distinct (class, input, value) is looked at once.

    Args:
        offers: What the server has.
        parameters: (class, input) → the template parameter that sets it, for advice.
        replaced: Class that the server does not have → the one it puts in its place.
        no_key: Why the server is sent no key of comfy.org; empty when it is.

    """

    def __init__(
        self,
        offers: ObjectInfo,
        parameters: Mapping[tuple[str, str], str] | None = None,
        replaced: Mapping[str, Replacement] = _NO_REPLACEMENTS,
        *,
        no_key: str = "",
    ) -> None:
        self._offers = offers
        self._parameters = parameters or {}
        self._replaced = replaced
        self._no_key = no_key
        self._seen: dict[Hashable, tuple[Remark, ...]] = {}
        """Distinct question → what there is to say of it."""
        self._findings: dict[str, Finding] = {}
        self._notes: dict[str, Finding] = {}

    def add(self, nodes: Nodes, key: str, outputs: Collection[str] | None = None) -> None:
        """Check one workflow, in stored or in sent form; *key* names its job.

        *outputs* are the ids of the declared outputs; None = all nodes that the server counts as outputs.
        What no output needs is validated by no server, classes excepted (execution.py validate_prompt); what
        only an undeclared output needs makes notes.
        """
        ends = [name for name in nodes if self._offers.saves(_class(nodes, name))]
        wanted = self._needed(nodes, ends if outputs is None else outputs)
        beside = _reached(nodes, (*ends, *(outputs or ())))
        for name in nodes:
            node_class = _class(nodes, name)
            if node_class not in self._offers:
                self._ask((node_class,), node_class, None, key, name, grave=True)
                new = self._replaced.get(node_class)
                if new is not None and new.node_class in self._offers and name in wanted:
                    made = {**nodes, name: as_replaced(nodes[name], new)}
                    self._add_node(made, key, name, new.node_class, grave=True)
            elif name in wanted or name in beside:
                self._add_node(nodes, key, name, node_class, grave=name in wanted)
        for name in outputs or ():
            if self._offers.saves(_class(nodes, name)) is False:
                question = (_class(nodes, name), "output", bool(ends))
                self._ask(question, question[0], None, key, name, grave=True)

    def _needed(self, nodes: Nodes, outputs: Collection[str]) -> frozenset[str]:
        """Return the nodes that the server validates for *outputs*: it follows inputs that a class lists."""

        def listed(name: str) -> Iterator[Plain]:
            given, node_class = _inputs(nodes, name), _class(nodes, name)
            known = self._offers.inputs(node_class, given).inputs
            return (value for each, value in given.items() if each in known or node_class not in self._offers)

        return _reached(nodes, outputs, listed)

    def _add_node(self, nodes: Nodes, key: str, name: str, node_class: str, *, grave: bool) -> None:
        given = _inputs(nodes, name)
        known = self._offers.inputs(node_class, given)
        if self._no_key and self._offers.is_api(node_class):
            self._ask((node_class, "key"), node_class, None, key, name, grave=grave)
        # The very same object answers for equal names and choices, and is kept alive by the question.
        shape = _Shape(known, frozenset(given))
        self._ask((node_class, shape), node_class, None, key, name, grave=grave)
        for each, value in given.items():
            question = self._question(nodes, node_class, known, each, value)
            if question is not None:
                self._ask(question, node_class, known.inputs[each], key, name, grave=grave)

    def _question(
        self, nodes: Nodes, node_class: str, known: Unfolded, name: str, value: Plain
    ) -> tuple[Hashable, ...] | None:
        """Return what is to be asked of *value*, None when there is nothing to ask."""
        read = known.inputs.get(name)
        if read is None or _is_placeholder(value):
            return None
        if isinstance(value, list):
            if len(value) != 2 or not isinstance(value[1], int):
                return None
            source = _class(nodes, str(value[0]))
            return (node_class, name, _Kind(read), "link", source, value[1])
        if isinstance(value, dict):
            # ComfyUI 0.33 execution.py: how a list stands as a value.
            if "__value__" not in value:
                return None
            value = value["__value__"]
        # Free text and numbers in range are never wrong, and a million of them are not worth remembering.
        if _fine(read, value):
            return None
        told = json.dumps(value, sort_keys=True) if isinstance(value, (list, dict)) else value
        return (node_class, name, _Kind(read), type(value).__name__, told)

    def _ask(
        self,
        question: tuple[Any, ...],
        node_class: str,
        read: Input | None,
        key: str,
        node: str,
        *,
        grave: bool,
    ) -> None:
        """Answer *question* once, and note *key* for whatever there is to say."""
        if (known := self._seen.get(question)) is None:
            known = self._seen[question] = tuple(self._answer(question, node_class, read))
        for remark in known:
            if remark.grave and not grave:
                said = f"{remark.message}; no declared output needs this node"
                self._keep(self._notes, replace(remark, message=said), node_class, key, node)
            else:
                self._keep(self._findings if remark.grave else self._notes, remark, node_class, key, node)

    def _answer(self, question: tuple[Any, ...], node_class: str, read: Input | None) -> Iterator[Remark]:
        match question:
            case (_,):
                yield self._on_class(node_class)
            case (_, "key"):
                # The server accepts it; the node then fails (comfy_api_nodes/util/client.py).
                yield Remark(f"API nodes need a key of comfy.org on {self._offers.server}: {self._no_key}")
            case (_, "output", bool(others)):
                yield self._on_output(node_class, others=others)
            case (_, _Shape() as shape):
                yield from self._on_shape(node_class, shape)
            case (_, _, _, "link", source, index):
                assert read is not None, "a link has an input"
                yield from self._on_link(node_class, read, source, index)
            case (_, _, _, kind, value):
                assert read is not None, "a value has an input"
                value = json.loads(value) if kind in ("list", "dict") else value
                yield from self._on_value(node_class, read, value)
            case _:
                raise AssertionError("a question that nobody asks")

    def _keep(self, kept: dict[str, Finding], remark: Remark, node_class: str, key: str, node: str) -> None:
        found = kept.get(remark.message)
        if found is None:
            kept[remark.message] = Finding(
                server=self._offers.server,
                node_class=node_class,
                input=remark.input,
                value=remark.value,
                message=remark.message,
                keys=(key,),
                node=node,
            )
        elif len(found.keys) < _KEYS_KEPT and key not in found.keys:
            kept[remark.message] = replace(found, keys=(*found.keys, key))

    def findings(self) -> tuple[Finding, ...]:
        """Return why the server cannot run the batch, in the order found; empty when it can."""
        return tuple(self._findings.values())

    def notes(self) -> tuple[Finding, ...]:
        """Return what is probably a slip or cannot be judged, in the order found."""
        return tuple(each for message, each in self._notes.items() if message not in self._findings)

    # ------------------------------------------------------------ a class, and which inputs are there

    def _on_class(self, node_class: str) -> Remark:
        server, shown = self._offers.server, printable(node_class, limit=80)
        new = self._replaced.get(node_class)
        if new is not None and new.node_class in self._offers:
            said = f"any more and runs `{printable(new.node_class, limit=80)}` in its place"
            return Remark(f"{server} has no node class `{shown}` {said}", grave=False)
        near = near_name(node_class, self._offers.classes)
        advice = f"; the nearest it has is `{near}`" if near else "; a node pack is missing there"
        return Remark(f"{server} has no node class `{shown}`{advice}")

    def _on_output(self, node_class: str, *, others: bool) -> Remark:
        """Return what it means that a declared output is of a class that saves nothing."""
        said = f"{node_class} on {self._offers.server} saves nothing, so it cannot be a declared output"
        more = "" if others else "; the server refuses a graph without any output"
        return Remark(said + more, grave=not others)

    def _on_shape(self, node_class: str, shape: _Shape) -> Iterator[Remark]:
        known, given = shape.known, shape.given
        where = f"{node_class} on {self._offers.server}"
        missing = [name for name, each in known.inputs.items() if each.required and name not in given]
        if missing:
            yield Remark(f"{where} needs {_listed(missing)}")
        if known.absent:
            said = f"{where} is given no {_listed(known.absent)}"
            yield Remark(f"{said}: the server does not ask for it, the node most likely fails", grave=False)
        if known.full:
            yield Remark(f"{where} lists more inputs than are looked at here", grave=False)
        unread = [f"{name}." for name in known.unread]
        used = [name for name in known.unread if any(each.startswith((name, f"{name}.")) for each in given)]
        if used:
            yield Remark(f"{where} has inputs that are not understood here: {_listed(used)}", grave=False)
        open_to = (*known.unread, *unread, *(f"{name}." for name in known.unchosen))
        unlisted = [name for name in given if name not in known.inputs and not name.startswith(open_to)]
        if unlisted and not known.full and not self._offers.takes_all(node_class):
            free = [name for name in known.inputs if name not in given]
            shown = ", ".join(_unlisted(name, free) for name in sorted(unlisted)[:_NAMED])
            shown += f" and {len(unlisted) - _NAMED} more" if len(unlisted) > _NAMED else ""
            if self._offers.pack(node_class):
                yield Remark(f"{where} does not list {shown}", grave=False)
            else:
                yield Remark(f"{where} has no input {shown}: the server ignores it", grave=False)

    # ------------------------------------------------------------ links

    def _on_link(self, node_class: str, read: Input, source: str, index: int) -> Iterator[Remark]:
        if source not in self._offers:
            return
        given, place = self._offers.outputs(source), f"{node_class}.{printable(read.name, limit=80)}"
        if read.selects:
            said = "takes a choice; linked, nobody can say which inputs it brings"
            yield Remark(f"{place} {said}", read.name, grave=False)
        elif not 0 <= index < len(given):
            yield Remark(f"{place} takes output {index} of {source}, which has {len(given)}", read.name)
        elif not fits(given[index], read.kind):
            sure = self._offers.sure_of_links(node_class) and not self._offers.pack(source)
            types = printable(read.type, limit=120), printable(_type(given[index]), limit=120)
            said = f"takes {types[0]}, but output {index} of {source} is {types[1]}"
            yield Remark(f"{place} {said}", read.name, grave=sure)

    # ------------------------------------------------------------ values

    def _on_value(self, node_class: str, read: Input, value: Plain) -> Iterator[Remark]:
        place, server = f"{node_class}.{printable(read.name, limit=80)}", self._offers.server
        said = ""
        if read.options is not None:
            said = self._choice(node_class, read, value)
        elif read.type in ("INT", "FLOAT") or read.minimum is not None or read.maximum is not None:
            number = _as_number(read.type, value)
            if number is None:
                whole = "whole number" if read.type == "INT" else "number"
                said = f"{place} takes a {whole}, not {_shown(value)}"
            elif read.minimum is not None and number < read.minimum:
                least = printable(read.minimum, limit=40)
                said = f"{place} is {printable(number, limit=40)}, the least {server} takes is {least}"
            elif read.maximum is not None and number > read.maximum:
                most = printable(read.maximum, limit=40)
                said = f"{place} is {printable(number, limit=40)}, the most {server} takes is {most}"
        elif _is_linked_only(read.type) and value is not None:
            said = f"{place} takes a link ({printable(read.type, limit=120)}), not the value {_shown(value)}"
            yield Remark(said, read.name, _value(value), grave=not self._offers.pack(node_class))
            return
        if said:
            checked = read.kind != COMBO or self._offers.checks_new_choices or is_model_file(value)
            yield Remark(said, read.name, _value(value), grave=checked and not read.unsure)

    def _choice(self, node_class: str, read: Input, value: Plain) -> str:
        """Return what is wrong with a choice; empty when the server takes it."""
        options = read.options or ()
        asked = value if read.several and isinstance(value, list) else [value]
        wrong = [each for each in asked if not _offered(each, options)]
        if not wrong or (read.unsure and not (options and _plain_name(wrong[0]))):
            return ""
        names = [str(each) for each in options[:_MOST_NAMES] if isinstance(each, (str, int, float))]
        shown = _shown(wrong[0])
        if read.unsure:
            place = f"{node_class}.{read.name}"
            return f"{self._offers.server} does not list {shown} for {place}; it looks for itself"
        parameter = self._parameters.get((node_class, read.name))
        near = nearest(str(wrong[0]), names)
        advice = f"; try --set {parameter}={near or names[0]}" if parameter and names else ""
        there = listed(near, names) if names else "; it has none at all"
        return f"{self._offers.server} has no {shown} for {node_class}.{read.name}{there}{advice}"


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """The names that a node gives, and what its class has for them."""

    known: Unfolded
    given: frozenset[str]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shape) and self.known is other.known and self.given == other.given

    def __hash__(self) -> int:
        return hash((id(self.known), self.given))


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """How an input was read, by identity: behind another option the same name is another input."""

    read: Input

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kind) and self.read is other.read

    def __hash__(self) -> int:
        return id(self.read)


def _reached(
    nodes: Nodes, starts: Collection[str], links: Callable[[str], Iterable[Plain]] | None = None
) -> frozenset[str]:
    """Return the ids of *starts* and of all nodes they depend on; *links* gives the inputs to follow."""
    follow = links or (lambda name: _inputs(nodes, name).values())
    found: set[str] = set()
    rest = [name for name in starts if name in nodes]
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            ids = (str(each[0]) for each in follow(name) if isinstance(each, list) and each)
            rest += [each for each in ids if each in nodes]
    return frozenset(found)


def _class(nodes: Nodes, name: str) -> str:
    return str(nodes.get(name, {}).get("class_type", ""))


def _inputs(nodes: Nodes, name: str) -> Mapping[str, Plain]:
    given = nodes.get(name, {}).get("inputs")
    return given if isinstance(given, dict) else {}


def fits(given: Plain, wanted: Plain) -> bool:
    """Tell whether the server takes a link from an output of type *given* to an input of type *wanted*."""
    if given == wanted:
        return True
    if isinstance(given, list) and wanted == "COMBO":
        return True
    both = (given, wanted)
    if any(isinstance(each, str) and each in _MATCHES_ALL for each in both):
        return True
    if not isinstance(given, str) or not isinstance(wanted, str):
        return False
    if max(map(len, (given, wanted))) > _LONGEST_TYPE:
        return True
    ours, theirs = _union(given), _union(wanted)
    return _ANY in ours | theirs or bool(ours & theirs)


def _type(kind: Plain) -> str:
    return "COMBO" if isinstance(kind, list) else str(kind)


def _union(kind: str) -> set[str]:
    return {part.strip() for part in kind.split(",")}


def _is_linked_only(kind: str) -> bool:
    return _union(kind) <= _LINKED_ONLY


def _is_placeholder(value: Plain) -> bool:
    return isinstance(value, dict) and any(mark in value for mark in _PLACEHOLDERS)


def _fine(read: Input, value: Plain) -> bool:
    """Tell cheaply whether *value* is right beyond doubt."""
    if read.options is not None:
        return False
    if read.type == "STRING" and read.minimum is None and read.maximum is None:
        return True
    if read.type in ("INT", "FLOAT") and isinstance(value, (int, float)) and abs(value) < 2**65:
        low, high = read.minimum, read.maximum
        return (low is None or value >= low) and (high is None or value <= high)
    return False


def _as_number(kind: str, value: Plain) -> float | None:
    """Return the number a server makes of *value* (execution.py: int(), float()), None when it cannot."""
    try:
        if kind == "INT":
            return int(value)
        return float(value) if kind == "FLOAT" else _bare_number(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _bare_number(value: Plain) -> float | None:
    """Return *value* when it is a number: other types are compared with their limits as they are."""
    return value if isinstance(value, (int, float)) else None


def _offered(value: Plain, options: Sequence[Plain]) -> bool:
    """Tell whether *value* is among *options*; `/` and `\\` are the same, for it is sent as it is listed."""
    return value in options or spelled(value, options) is not None


def _plain_name(value: Plain) -> bool:
    """Tell whether the list would show *value*: no file of a sub-folder, and none of `[output]`."""
    return isinstance(value, str) and bool(value) and not any(mark in value for mark in "/\\[:")


def _unlisted(name: str, free: Sequence[str]) -> str:
    near = near_name(name, free)
    return f"`{printable(name, limit=60)}`{f' (did you mean `{near}`?)' if near else ''}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"`{printable(name, limit=80)}`" for name in names[:_NAMED]) + more


def _shown(value: Plain) -> str:
    """Return *value* for a message."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{printable(text, limit=80)}`"


def _value(value: Plain) -> str:
    return printable(value, limit=120) if isinstance(value, (str, int, float)) else ""


def findings(offers: ObjectInfo, workflows: Sequence[tuple[str, Nodes]]) -> tuple[Finding, ...]:
    """Return what *offers* lacks for a few (key, nodes)."""
    checker = Checker(offers)
    for key, nodes in workflows:
        checker.add(nodes, key)
    return checker.findings()
