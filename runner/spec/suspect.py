"""Text that is legal but looks like the syntax of something else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runner.errors import Problem
from runner.text.tree import Mapping, Node, Scalar, Sequence

_SYNTAX = frozenset({"wording", "deliver", "include", "except", "from", "title", "note", "pick", "checks"})
_LOOKS = (
    (re.compile(r"\{\{"), "`{{` is only read in wording and deliver.name; here it stays as it is"),
    (
        re.compile(r"\{[^{}|]*\|[^{}]*\}"),
        "{a|b} is not chosen from; to have both write a list under `vary:`",
    ),
    (re.compile(r"<lora:[^>]*>"), "`<lora:…>` in a text loads nothing; write it under `lora:`"),
    (re.compile(r"\bBREAK\b"), "BREAK means nothing to ComfyUI's text encoder; it would be read as a word"),
    (
        re.compile(r"\w \((?![^()]*:\s*[0-9.]+\))[^()\\]+\)"),
        "ComfyUI reads ( ) as emphasis; for a name write \\( and \\)",
    ),
)


def suspicious_texts(root: Mapping) -> Iterator[Problem]:
    """Yield a warning for each text under *root* that holds what no stage will read, in file order."""
    for entry in root:
        if entry.key.text not in _SYNTAX:
            yield from _look(entry.value)


def _look(node: Node) -> Iterator[Problem]:
    if isinstance(node, Mapping):
        yield from suspicious_texts(node)
    elif isinstance(node, Sequence):
        for item in node:
            yield from _look(item)
    else:
        yield from _text(node)


def _text(node: Scalar) -> Iterator[Problem]:
    for look, message in _LOOKS:
        if look.search(node.text):
            yield node.mark.problem(message)
