"""How large and how deep a template's syntax may be, measured before anything else walks over it.

Whatever walks it afterwards (the lint, Jinja's compiler, Python's) calls itself for each level, and some of
it takes time that grows with the square of what stands side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

MAX_TAGS: Final = 5_000
"""Holes, tags and comments of one file."""
MAX_PARTS: Final = 20_000
"""Nodes of its syntax tree."""
MAX_MACROS: Final = 500
MAX_DEPTH: Final = 100
"""Nodes inside one another; of `elif` each is inside the one before."""
_MAX_BITS: Final = 64


def excess_of_source(source: str) -> str:
    """Return what is too much about *source*, as the end of a sentence; empty when nothing is."""
    tags = source.count("{{") + source.count("{%") + source.count("{#")
    return f"it has {tags:,} holes, tags and comments; at most {MAX_TAGS:,}" if tags > MAX_TAGS else ""


def excess_of_tree(tree: nodes.Template) -> tuple[int, str]:
    """Return the line and what is too much about *tree*; an empty text when nothing is."""
    stack: list[tuple[nodes.Node, int]] = [(tree, 0)]
    parts = macros = 0
    while stack:
        node, depth = stack.pop()
        parts += 1
        macros += isinstance(node, nodes.Macro)
        if depth > MAX_DEPTH:
            return node.lineno, "it is nested too deeply"
        if parts > MAX_PARTS or macros > MAX_MACROS:
            return node.lineno, f"it has more than {MAX_PARTS:,} parts or {MAX_MACROS} macros"
        if isinstance(node, nodes.Const) and _is_large(node.value):
            return node.lineno, f"a number of more than {_MAX_BITS} bits"
        stack += _children(node, depth)
    return 0, ""


def _children(node: nodes.Node, depth: int) -> Iterator[tuple[nodes.Node, int]]:
    others = node.elif_ if isinstance(node, nodes.If) else []
    yield from ((child, depth + 1 + number) for number, child in enumerate(others))
    yield from ((child, depth + 1) for child in node.iter_child_nodes(exclude=("elif_",)))


def _is_large(value: object) -> bool:
    if isinstance(value, float):
        return value - value != 0
    return isinstance(value, int) and value.bit_length() > _MAX_BITS
