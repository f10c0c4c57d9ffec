"""What a node class is: its sockets as data, one function that runs it, and what that function may return.

Nothing here knows a queue, a socket or a picture; files by subject beside this one fill the catalogue.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.previz.files import Folders
    from runner.previz.picture import Story

Socket = list[Any]
"""``[TYPE]`` or ``[TYPE, options]`` as `/object_info` shows it; TYPE is a name or a list of choices."""

LARGEST_SIDE = 16384
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF


def link(kind: str) -> Socket:
    """Return a socket that is meant to be linked (IMAGE, MODEL, ...)."""
    return [kind, {}]


def integer(default: int, least: int, most: int, step: int | None = 1, **more: Any) -> Socket:
    """Return an INT input with its range; *step* None leaves the key out."""
    stepping = {} if step is None else {"step": step}
    return ["INT", {"default": default, "min": least, "max": most, **stepping, **more}]


def number(default: float, least: float, most: float, step: float = 0.01, **more: Any) -> Socket:
    """Return a FLOAT input with its range."""
    return ["FLOAT", {"default": default, "min": least, "max": most, "step": step, **more}]


def string(**options: Any) -> Socket:
    """Return a STRING input."""
    return ["STRING", options]


def switch(default: bool) -> Socket:
    """Return a BOOLEAN input."""
    return ["BOOLEAN", {"default": default}]


def choice(*options: str, **more: Any) -> Socket:
    """Return a combo in the older form (the list is the type); validated when submitted."""
    return [list(options), dict(more)]


def late_choice(*options: str, **more: Any) -> Socket:
    """Return a combo in the newer form (type ``COMBO``); validated since ComfyUI 0.33, not in 0.3.64."""
    return ["COMBO", {"multiselect": False, "options": list(options), **more}]


DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
MATCHED = "COMFY_MATCHTYPE_V3"
Inputs = Mapping[str, Socket]


def option(key: str, required: Inputs | None = None, optional: Inputs | None = None) -> dict[str, Any]:
    """Return one option of a dynamic combo: its key and the inputs that it brings."""
    inputs = {"required": dict(required or {})}
    return {"key": key, "inputs": inputs | ({"optional": dict(optional)} if optional else {})}


def dynamic(*options: dict[str, Any], **more: Any) -> Socket:
    """Return a combo whose choice decides which inputs follow, under ``name.child``."""
    return [DYNAMIC, {"options": list(options), **more}]


def matched(group: str) -> Socket:
    """Return a lazy socket of any type, the same for all of its group."""
    return [MATCHED, {"lazy": True, "template": {"template_id": group, "allowed_types": "*"}}]


def any_file() -> Socket:
    """Return the input of a model file: previz has no models, so every name is accepted."""
    return ["COMBO", {"options": [], "animerun_any": True}]


class Interrupted(Exception):
    """The running job was interrupted; raised where a node reports progress and before a node starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A value that stops everything below it; *message* None stops silently."""

    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ui:
    """What an output node shows: goes into `executed` frames and into history, untouched."""

    shown: Mapping[str, Any] | None
    result: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A node that turned into others: local id → node, whose inputs may hold live values; and its results.

    Links inside use local ids; *results* are ``[local id, slot]`` links.
    """

    nodes: Mapping[str, Mapping[str, Any]]
    results: tuple[list[Any], ...]


@dataclass(slots=True, kw_only=True)
class Letters:
    """The five letters in temp file names, fixed for a node id and class as long as prompts contain them."""

    source: random.Random
    known: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, node_id: str, class_type: str) -> str:
        """Return five lower-case letters."""
        key = (node_id, class_type)
        if key not in self.known:
            self.known[key] = "".join(self.source.choices("abcdefghijklmnopqrstuvwxyz", k=5))
        return self.known[key]

    def keep(self, prompt: Mapping[str, Mapping[str, Any]]) -> None:
        """Forget every node that *prompt* does not contain."""
        alive = {(node_id, node["class_type"]) for node_id, node in prompt.items()}
        self.known = {key: letters for key, letters in self.known.items() if key in alive}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a running node may use besides its inputs."""

    node_id: str
    class_type: str
    folders: Folders
    story: Story
    letters: Letters
    step_s: float
    report: Callable[[int, int], None]
    """``report(value, most)`` emits progress frames; raises Interrupted."""
    send_bytes: Callable[[bytes], None]
    """Sends one binary frame to the submitter."""


Run = Callable[..., tuple[Any, ...] | Ui | Expansion]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClass:
    """One entry of the catalogue; `run(call, **inputs)` returns one value per output."""

    name: str
    run: Run
    category: str
    required: Mapping[str, Socket] = field(default_factory=dict)
    optional: Mapping[str, Socket] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)
    returns: tuple[str, ...] = ()
    return_names: tuple[str, ...] = ()
    display: str = ""
    module: str = "nodes"
    output: bool = False
    trial: bool = False
    """Marked experimental."""
    newer: bool = False
    """Declared in ComfyUI's newer schema: shows the three extra flags in `/object_info`."""
    asynchronous: bool = False
    fickle: bool = False
    """Carries its node id in its cache signature."""
    listing: Callable[[Folders], Mapping[str, Socket]] | None = None
    """Required inputs whose choices depend on the folders, computed on each look."""
    check: Callable[[Folders, Any], str | None] | None = None
    """The class's own check of `checked`: a complaint, or None."""
    checked: str = ""
    changed: Callable[[Folders, Mapping[str, Any]], Any] | None = None
    """The change check; its value enters the cache signature."""
    wants: Callable[[Mapping[str, Any]], str] | None = None
    """Which of its lazy inputs it needs, by the others' values."""

    def sockets(self, inputs: Mapping[str, Any]) -> dict[str, tuple[Socket, bool]]:
        """Return the visible inputs as *inputs* unfold them: name → (declaration, whether it is required).

        A dynamic combo stands there only with a key it knows, and with what that brings
        (ComfyUI 0.33 comfy_api/latest/_io.py get_finalized_class_inputs).
        """
        return dict(_unfold({"required": self.required, "optional": self.optional}, inputs, ""))

    def is_lazy(self, name: str) -> bool:
        """Return whether an input is computed only when the node asks for it."""
        socket = self.required.get(name) or self.optional.get(name) or []
        return len(socket) > 1 and bool(socket[1].get("lazy"))


def _unfold(
    groups: Mapping[str, Inputs], inputs: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, tuple[Socket, bool]]]:
    for group, sockets in groups.items():
        for child, socket in sockets.items():
            name = prefix + child
            if socket[0] != DYNAMIC:
                yield name, (socket, group == "required")
                continue
            key = inputs.get(name)
            for chosen in socket[1]["options"]:
                if chosen["key"] == key:
                    yield name, (socket, group == "required")
                    yield from _unfold(chosen["inputs"], inputs, f"{name}.")


Catalogue = Mapping[str, NodeClass]


def describe(node: NodeClass, folders: Folders) -> dict[str, Any]:
    """Return the `/object_info` entry of one class."""
    required = dict(node.required)
    if node.listing is not None:
        required.update(node.listing(folders))
    hidden: dict[str, Any] = {name: [kind] if node.newer else kind for name, kind in node.hidden.items()}
    groups = {"required": required, "optional": dict(node.optional), "hidden": hidden}
    inputs = {name: group for name, group in groups.items() if group}
    entry = {
        "input": inputs,
        "input_order": {name: list(group) for name, group in inputs.items()},
        "output": list(node.returns),
        "output_is_list": [False] * len(node.returns),
        "output_name": list(node.return_names or node.returns),
        "name": node.name,
        "display_name": node.display or node.name,
        "description": "",
        "python_module": node.module,
        "category": node.category,
        "output_node": node.output,
    }
    if node.newer:
        entry.update(deprecated=False, experimental=node.trial, api_node=False)
    return entry
