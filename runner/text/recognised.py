"""Files that people hand over where a spec or a template is expected, known by what is in them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_MAGIC: Final = (
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF", "a PDF"),
    (b"RIFF", "a picture or a sound (RIFF)"),
    (b"\x1f\x8b", "a gzip archive"),
)
_PARAMETERS: Final = re.compile(r"^Steps: \d+, .*Sampler: ", re.MULTILINE)
"""How A1111 writes the parameters of a picture."""
_EXPORT: Final = "open it in ComfyUI and take Workflow > Export (API)"
_TEMPLATE: Final = "make a template of it, templates/NAME.json.j2, and write `template: NAME` in a spec"
_HEAD: Final = 4096


def not_a_spec(data: bytes) -> str:
    """Return what *data* is and what to do with it, where it is known and no spec; else an empty text."""
    if kind := next((noun for magic, noun in _MAGIC if data.startswith(magic)), ""):
        return f"this is {kind}, no spec" + (f"; {_EXPORT}" if "picture" in kind else "")
    if _PARAMETERS.search(data[:_HEAD].decode("utf-8", "replace")):
        return "these are a picture's parameters, no spec; `animerun new` writes a spec to begin with"
    tree = _map(data)
    if _is_editors(tree):
        return f"this is a workflow as ComfyUI's editor saves it, no spec; {_EXPORT}, then {_TEMPLATE}"
    if _is_graph(tree):
        return f"this is a workflow in ComfyUI's API format, no spec; {_TEMPLATE}"
    if _is_graph(tree.get("prompt")):
        return f"this is a request to ComfyUI, no spec; take what is under `prompt` and {_TEMPLATE}"
    return ""


def not_a_template(text: str) -> str:
    """Return what *text* is and how to make a template of it, where it is known; else an empty text."""
    tree = _map(text.encode("utf-8", "replace"))
    if _is_editors(tree):
        return f"this is a workflow as ComfyUI's editor saves it; {_EXPORT}, and begin it with {_front({})}"
    if _is_graph(tree):
        return f"this is a bare workflow; begin it with {_front(tree)}"
    if _is_graph(inner := tree.get("prompt")):
        return f"this is a request to ComfyUI; keep what is under `prompt`, and begin it with {_front(inner)}"
    return ""


def not_a_graph(nodes: Mapping[str, Any]) -> str:
    """Return what *nodes*, rendered where a workflow in API format is expected, are; else an empty text."""
    if _is_editors(nodes):
        return f"this is a workflow as ComfyUI's editor saves it; {_EXPORT}"
    if _is_graph(nodes.get("prompt")):
        return "the workflow is what is under `prompt`; take out the map around it"
    return ""


def _front(nodes: Any) -> str:
    saves = [name for name, node in nodes.items() if str(node.get("class_type", "")).startswith("Save")]
    outputs = ", ".join(f'"{name}": image' for name in saves[:3]) or "NODE: image"
    return f"three lines: `---`, `outputs: {{{outputs}}}`, `---`"


def _map(data: bytes) -> Mapping[str, Any]:
    """Return the JSON map that *data* is, else an empty one."""
    if data.lstrip()[:1] != b"{":
        return {}
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _is_editors(tree: Mapping[str, Any]) -> bool:
    return isinstance(tree.get("nodes"), list) and isinstance(tree.get("links"), list)


def _is_graph(tree: object) -> bool:
    """Whether *tree* is a map of nodes, each a map with `class_type`."""
    return (
        isinstance(tree, dict)
        and bool(tree)
        and all(isinstance(node, dict) and isinstance(node.get("class_type"), str) for node in tree.values())
    )
