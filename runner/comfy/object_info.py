"""What a server offers: its node classes, read from `/object_info`. Pure.

`node_inputs` reads the inputs of one class; `graph_check` judges graphs by what is read here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from runner.comfy.node_inputs import TOO_MANY, Unfolded, is_static, selectors, unfold
from runner.comfy.protocol import printable

Plain = Any

_PACKS = "custom_nodes."
_PICTURE_INFO: Final = "EXTRA_PNGINFO"
_MOST_KEPT = 100_000
"""Inputs of unfolded nodes that are remembered: classes times choices, never values in a range."""
_NOTHING: Final[Mapping[str, Plain]] = {}
_API_KEY: Final = "API_KEY_COMFY_ORG"

_EVERY: Final = frozenset({"*"})
_SELF_CHECKED: Final[Mapping[str, frozenset[str]]] = {
    "CustomCombo": _EVERY,
    "KlingCameraControls": _EVERY,
    "Load3D": _EVERY,
    "Load3DAdvanced": _EVERY,
    "LoadAudio": frozenset({"audio"}),
    "LoadImage": frozenset({"image"}),
    "LoadImageMask": frozenset({"image"}),
    "LoadImageOutput": frozenset({"image"}),
    "LoadImageSetNode": frozenset({"images", "resize_method"}),
    "LoadLatent": frozenset({"latent"}),
    "LoadVideo": frozenset({"file"}),
    "ModelAttentionBackend": frozenset({"attention"}),
    "SelectCLIPDevice": frozenset({"device"}),
    "SelectModelDevice": frozenset({"device"}),
    "SelectVAEDevice": frozenset({"device"}),
    "WebcamCapture": frozenset({"image"}),
}
"""Class → inputs of which not the server but the class checks list and range (`VALIDATE_INPUTS`).

`/object_info` does not show it; read from ComfyUI 0.3.64 and 0.33.0 (execution.py validate_inputs).
"""
_SELF_LINKED: Final = frozenset({"TripoConversionNode"})
"""Classes whose `VALIDATE_INPUTS` takes `input_types`: they compare the types of their links themselves."""
_TAKES_ALL: Final = frozenset({"CustomCombo"})
"""Classes that take inputs they do not list (ComfyUI 0.33 comfy_extras/nodes_logic.py accept_all_inputs)."""


def own_classes() -> tuple[str, frozenset[str]]:
    """Return a version of ComfyUI and the names of all node classes it comes with, API nodes among them.

    They are what its `/object_info` and that of 0.3.64 list under the modules `nodes`, `comfy_extras` and
    `comfy_api_nodes`; a later ComfyUI has more. Where a server can be asked, ask it.
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
        self._static: dict[str, Unfolded | None] = {}
        """Class → its inputs; None where they depend on values."""
        self._selectors: dict[str, frozenset[str] | None] = {}
        self._unfolded: dict[tuple[Plain, ...], Unfolded] = {}
        self._kept = 0
        self.checks_new_choices = any("search_aliases" in said for said in self._data.values())
        """Whether the server compares choices of the newer form (type `COMBO`) with their list.

        0.3.64 does not, ComfyUI 0.8 and later do; three weeks after that `/object_info` got this member.
        """

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
        module = str(self._said(node_class).get("python_module", ""))
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

    def inputs(self, node_class: str, given: Mapping[str, Plain]) -> Unfolded:
        """Return the inputs of a node of *node_class* with the inputs *given*; none for an unknown class.

        Equal choices give the very same object.
        """
        if node_class not in self._static:
            listed = self._listed(node_class)
            self._static[node_class] = self._unfold(node_class, {}) if is_static(listed) else None
        if (known := self._static[node_class]) is not None:
            return known
        if node_class not in self._selectors:
            self._selectors[node_class] = selectors(self._listed(node_class))
        if (deciding := self._selectors[node_class]) is None:
            return TOO_MANY
        key = (node_class, frozenset(given), *_choices(deciding, given))
        if key not in self._unfolded:
            found = self._unfold(node_class, given)
            self._kept += 1 + len(found.inputs)
            if self._kept > _MOST_KEPT:
                self._unfolded.clear()
                self._kept = 1 + len(found.inputs)
            self._unfolded[key] = found
        return self._unfolded[key]

    def _unfold(self, node_class: str, given: Mapping[str, Plain]) -> Unfolded:
        found = unfold(self._listed(node_class), given)
        own = _SELF_CHECKED.get(node_class, frozenset()) if not self.pack(node_class) else frozenset()
        if not own:
            return found
        every = own == _EVERY
        inputs = {
            name: replace(each, unsure=each.unsure or every or name in own)
            for name, each in found.inputs.items()
        }
        return replace(found, inputs=inputs)

    def _listed(self, node_class: str) -> Mapping[str, Plain]:
        listed = self._said(node_class).get("input")
        return listed if isinstance(listed, dict) else _NOTHING

    def _said(self, node_class: str) -> Mapping[str, Plain]:
        return self._data.get(node_class, _NOTHING)

    def outputs(self, node_class: str) -> tuple[Plain, ...]:
        """Return the types of what *node_class* gives, by output index: names, or lists of choices."""
        said = self._said(node_class).get("output")
        return (
            tuple(item if isinstance(item, list) else str(item) for item in said)
            if isinstance(said, list)
            else ()
        )

    def saves(self, node_class: str) -> bool | None:
        """Whether *node_class* can be the end of a graph; None where the server does not say."""
        said = self._said(node_class).get("output_node")
        return said if isinstance(said, bool) else None

    def takes_all(self, node_class: str) -> bool:
        """Whether *node_class* takes inputs that it does not list."""
        return node_class in _TAKES_ALL and not self.pack(node_class)

    def sure_of_links(self, node_class: str) -> bool:
        """Whether the server itself compares the types of links to nodes of *node_class*.

        Packs may have a check of their own, and types that are equal to others (`__ne__`): VideoHelperSuite
        lists IMAGE for an input that takes LATENT too.
        """
        return not self.pack(node_class) and node_class not in _SELF_LINKED

    def is_api(self, node_class: str) -> bool:
        """Whether *node_class* calls a service that asks for a key of comfy.org."""
        return self._said(node_class).get("api_node") is True

    def takes_key(self, node_class: str) -> bool:
        """Whether *node_class* is given the key of comfy.org when it runs."""
        hidden = self._listed(node_class).get("hidden")
        kinds = hidden.values() if isinstance(hidden, dict) else ()
        return self.is_api(node_class) or any(kind in (_API_KEY, [_API_KEY]) for kind in kinds)


def _choices(deciding: Collection[str], given: Mapping[str, Plain]) -> Iterator[tuple[str, str, Plain]]:
    """Yield (name, type, value) of those of *given* that decide which inputs there are."""
    for name, value in sorted(given.items(), key=itemgetter(0)):
        if name in deciding:
            yield name, type(value).__name__, value if isinstance(value, (str, int, float)) else None


def _pack(module: str) -> str:
    return printable(module.removeprefix(_PACKS), limit=100)
