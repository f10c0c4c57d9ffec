"""Whether a submitted prompt may be queued, and the exact complaint when not.

`validate` follows the checks and the error bodies of ComfyUI 0.33, including what they let through.
Accepted values are converted in place, as there. Pure but for the classes' own checks of files.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.previz.files import Folders
from runner.previz.graph import Prompt
from runner.previz.nodes.definition import MATCHED, Catalogue, NodeClass, Socket

Complaint = dict[str, Any]

LONG_LIST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What validation found; *error* None: queue it with *outputs*, even if *node_errors* is not empty."""

    error: Complaint | None = None
    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, Any] = field(default_factory=dict)


def complaint(kind: str, message: str, details: str = "", **extra: Any) -> Complaint:
    """Return one error in the shape that both the whole answer and the node lists use."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def validate(
    prompt: Any,
    catalogue: Catalogue,
    folders: Folders,
    targets: Collection[str] | None = None,
    *,
    newer: bool = True,
) -> Verdict:
    """Return the verdict on one prompt.

    Args:
        prompt: What the client sent; malformed values raise, as in the real server, and are answered by 500.
        catalogue: Known classes.
        folders: For checks that look at files.
        targets: When given, only these output nodes count.
        newer: Whether a node without a class we know is told as `missing_node_type`, not as `invalid_prompt`,
            and the newer form of a choice is looked at (ComfyUI 0.33, not 0.3.64).

    Raises:
        TypeError, IndexError, AttributeError: *prompt* is not an object of objects.

    """
    outputs: list[str] = []
    for node_id in prompt:
        error = (_missing_type if newer else _unknown)(prompt[node_id], node_id, catalogue)
        if error is not None:
            return Verdict(error=error)
        is_output = catalogue[prompt[node_id]["class_type"]].output
        if is_output and (targets is None or node_id in targets):
            outputs.append(node_id)
    if not outputs:
        return Verdict(error=complaint("prompt_no_outputs", "Prompt has no outputs"))
    return _Check(prompt, catalogue, folders, newer=newer).all(outputs)


def _missing_type(node: Any, node_id: str, catalogue: Catalogue) -> Complaint | None:
    """Return the complaint of ComfyUI 0.33 (execution.py validate_prompt), where a title hides the class."""
    title = node.get("_meta", {}).get("title")
    class_type = node.get("class_type")
    if "class_type" not in node:
        text = f"Node '{title or f'ID #{node_id}'}' has no class_type."
    elif catalogue.get(class_type) is None:
        title = title or class_type
        text = f"Node '{title}' not found."
    else:
        return None
    told = {"node_id": node_id, "class_type": class_type, "node_title": title}
    return complaint("missing_node_type", text, f"Node ID '#{node_id}'", **told)


def _unknown(node: Any, node_id: str, catalogue: Catalogue) -> Complaint | None:
    where = f"Node ID '#{node_id}'"
    if "class_type" not in node:
        text = "Cannot execute because a node is missing the class_type property."
        return complaint("invalid_prompt", text, where)
    if catalogue.get(node["class_type"]) is None:
        text = f"Cannot execute because node {node['class_type']} does not exist."
        return complaint("invalid_prompt", text, where)
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    valid: bool
    reasons: list[Complaint]


class _Check:
    """The walk over one prompt; each node is judged once."""

    def __init__(self, prompt: Prompt, catalogue: Catalogue, folders: Folders, *, newer: bool) -> None:
        self._newer = newer
        self._prompt = prompt
        self._catalogue = catalogue
        self._folders = folders
        self._found: dict[Any, _Found] = {}
        self._walking: set[str] = set()

    def all(self, outputs: list[str]) -> Verdict:
        good, bad = [], []
        node_errors: dict[str, Any] = {}
        for output in outputs:
            found = self._output(output)
            if found.valid:
                good.append(output)
            else:
                bad += [f"{reason['message']}: {reason['details']}" for reason in found.reasons]
                self._blame(node_errors, output)
        if good:
            return Verdict(outputs=good, node_errors=node_errors)
        text = "Prompt outputs failed validation"
        error = complaint("prompt_outputs_failed_validation", text, "\n".join(bad))
        return Verdict(error=error, node_errors=node_errors)

    def _output(self, output: str) -> _Found:
        try:
            return self._node(output)
        except Exception as error:  # noqa: BLE001  # any surprise is part of the answer, as in the real server
            self._walking.clear()
            reason = complaint(
                "exception_during_validation",
                "Exception when validating node",
                str(error),
                exception_type=type_name(error),
                traceback=traceback.format_tb(error.__traceback__),
            )
            self._found[output] = _Found(False, [reason])
            return self._found[output]

    def _blame(self, node_errors: dict[str, Any], output: str) -> None:
        # Every fault known so far counts for this output, related or not: so does the real server.
        for node_id, found in self._found.items():
            if found.valid or not found.reasons:
                continue
            entry = node_errors.setdefault(
                node_id,
                {
                    "errors": found.reasons,
                    "dependent_outputs": [],
                    "class_type": self._prompt[node_id]["class_type"],
                },
            )
            entry["dependent_outputs"].append(output)

    def _node(self, node_id: str) -> _Found:
        if node_id in self._found:
            return self._found[node_id]
        if node_id in self._walking:  # a cycle: invalid, and nobody is told why
            return _Found(False, [])
        self._walking.add(node_id)
        inputs = self._prompt[node_id]["inputs"]
        node_class = self._catalogue[self._prompt[node_id]["class_type"]]
        reasons: list[Complaint] = []
        valid = True
        for name, (socket, is_required) in node_class.sockets(inputs).items():
            if name not in inputs:
                if is_required:
                    reasons.append(_missing(name))
            elif isinstance(inputs[name], list):
                reason, sound = self._link(inputs[name], name, socket)
                reasons += reason
                valid = valid and sound
            else:
                reasons += _constant(inputs, name, socket, node_class.checked, newer=self._newer)
        reasons += self._own_check(node_class, inputs)
        self._walking.discard(node_id)
        self._found[node_id] = _Found(valid and not reasons, reasons)
        return self._found[node_id]

    def _link(self, value: list[Any], name: str, socket: Socket) -> tuple[list[Complaint], bool]:
        if len(value) != 2:
            text = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            extra = {"input_name": name, "input_config": socket, "received_value": value}
            return [complaint("bad_linked_input", text, name, **extra)], True
        above = value[0]
        received = self._catalogue[self._prompt[above]["class_type"]].returns[value[1]]
        if not matches(received, socket[0]):
            return [_mismatch(name, socket, received, value)], True
        try:
            return [], self._node(above).valid
        except Exception as error:  # noqa: BLE001  # reported under the linked node, as in the real server
            self._walking.discard(above)
            reason = complaint(
                "exception_during_inner_validation",
                "Exception when validating inner node",
                str(error),
                input_name=name,
                input_config=socket,
                exception_message=str(error),
                exception_type=type_name(error),
                traceback=traceback.format_tb(error.__traceback__),
                linked_node=value,
            )
            self._found[above] = _Found(False, [reason])
            return [], False

    def _own_check(self, node_class: NodeClass, inputs: Mapping[str, Any]) -> list[Complaint]:
        name = node_class.checked
        if node_class.check is None:
            return []
        if name not in inputs:
            missing = f"VALIDATE_INPUTS() missing 1 required positional argument: '{name}'"
            raise TypeError(f"{node_class.name}.{missing}")
        if isinstance(inputs[name], list):
            return []
        text = node_class.check(self._folders, inputs[name])
        if text is None:
            return []
        message = "Custom validation failed for node"
        return [complaint("custom_validation_failed", message, f"{name} - {text}", input_name=name)]


def _missing(name: str) -> Complaint:
    last = name.rpartition(".")[2]
    return complaint("required_input_missing", "Required input is missing", last, input_name=name)


def _mismatch(name: str, socket: Socket, received: str, value: list[Any]) -> Complaint:
    details = f"{name}, received_type({received}) mismatch input_type({socket[0]})"
    return complaint(
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        details,
        input_name=name,
        input_config=socket,
        received_type=received,
        linked_node=value,
    )


def matches(received: Any, wanted: Any) -> bool:
    """Return whether *received* may feed a socket of type *wanted*; of unions one common type is enough."""
    if isinstance(received, str) and isinstance(wanted, str):
        if {"*", MATCHED} & {received, wanted}:  # ComfyUI 0.33 comfy_execution/validation.py
            return True
        offered, accepted = ({part.strip() for part in kind.split(",")} for kind in (received, wanted))
        return bool(offered & accepted)
    return bool(received == wanted)


CONVERSIONS = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


def _constant(
    inputs: dict[str, Any], name: str, socket: Socket, checked: str, *, newer: bool
) -> list[Complaint]:
    kind = socket[0]
    options = socket[1] if len(socket) > 1 else {}
    value = inputs[name]
    try:
        if isinstance(value, dict) and "__value__" in value:
            value = inputs[name] = value["__value__"]
        if isinstance(kind, str) and kind in CONVERSIONS:
            value = inputs[name] = CONVERSIONS[kind](value)
    except (TypeError, ValueError, OverflowError) as error:
        return [_unconvertible(name, socket, value, error)]
    if name == checked:
        return []
    extra = {"input_name": name, "input_config": socket, "received_value": value}
    if "min" in options and value < options["min"]:
        text = f"Value {value} smaller than min of {options['min']}"
        return [complaint("value_smaller_than_min", text, name, **extra)]
    if "max" in options and value > options["max"]:
        text = f"Value {value} bigger than max of {options['max']}"
        return [complaint("value_bigger_than_max", text, name, **extra)]
    choices = _choices(socket, newer=newer)
    if choices is not None and value not in choices:
        return [_not_in_list(name, socket, choices, value)]
    return []


def _choices(socket: Socket, *, newer: bool) -> list[Any] | None:
    """Return what a choice may be; None where anything may be, as a model file here."""
    if isinstance(socket[0], list):
        return socket[0]
    if socket[0] != "COMBO" or not newer or socket[1].get("animerun_any"):
        return None
    return list(socket[1]["options"])


def _unconvertible(name: str, socket: Socket, value: Any, error: Exception) -> Complaint:
    return complaint(
        "invalid_input_type",
        f"Failed to convert an input value to a {socket[0]} value",
        f"{name}, {value}, {error}",
        input_name=name,
        input_config=socket,
        received_value=value,
        exception_message=str(error),
    )


def _not_in_list(name: str, socket: Socket, options: list[Any], value: Any) -> Complaint:
    long = len(options) > LONG_LIST
    choices = f"(list of length {len(options)})" if long else str(options)
    return complaint(
        "value_not_in_list",
        "Value not in list",
        f"{name}: '{value}' not in {choices}",
        input_name=name,
        input_config=None if long else socket,
        received_value=value,
    )


def type_name(error: BaseException) -> str:
    """Return the exception's type as the real server writes it: bare for built-ins, else with its module."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
