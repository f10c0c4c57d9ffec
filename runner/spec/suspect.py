"""Text that is legal but looks like the syntax of something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from runner.errors import Problem
from runner.text.tree import Mapping, Mark, Node, Scalar, Sequence

_SYNTAX = frozenset(
    {"wording", "deliver", "include", "except", "from", "title", "note", "pick", "checks", "refs"}
)
_FILE = re.compile(r"[^\s.]\.(?:[A-Za-z][A-Za-z0-9]{1,3}|safetensors|latent)(?:@[0-9.:+-]+)?\s*\Z")
"""Text that ends as a file's name does; brackets in it are part of the name."""
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_VARY = "write a list under `vary:`"
_LOOKS = (
    (r"\{\{", "`{{` is only read in wording and deliver.name; here it stays as it is"),
    (r"\{[^{}|]*\|[^{}]*\}", f"{{a|b}} is not chosen from; to have both {_VARY}"),
    (r"(?<!\{)\{[^\W\d]\w+\}(?!\})", "`{word}` is not filled; a hole stands in `wording`: {{ word }}"),
    (r"(?<!\w)__[^\W_][\w/*-]*?__(?!\w)", f"`__word__` is not filled; to have several {_VARY}"),
    (r"<lora:[^>]*>", "`<lora:…>` in a text loads nothing; write it under `lora:`"),
    (r"<(?:hypernet|lyco):[^>]*>", "`<…>` in a text loads nothing"),
    (r"\bBREAK\b", "BREAK means nothing to ComfyUI's text encoder; it would be read as a word"),
    (r"(?<=\s)AND(?=\s)", "AND means nothing to ComfyUI's text encoder; it would be read as a word"),
    (r"\[[^\[\]]*\|[^\[\]]*\]", f"[a|b] does not take turns; to have both {_VARY}"),
    (r"\[[^\[\]]*:[^\[\]]*:\s*[0-9.]+\s*\]", "[a:b:0.5] does not change while sampling; it stays as it is"),
    (
        r"\w \((?![^()]*:\s*[0-9.]+\))[^()\\]+\)",
        "ComfyUI reads ( ) as emphasis; for a name write \\( and \\)",
    ),
)
_COMPILED = tuple((re.compile(look), message) for look, message in _LOOKS)


def suspicious_texts(root: Mapping) -> Iterator[Problem]:
    """Yield a warning for each text under *root* that holds what no stage will read, in file order."""
    for entry in root:
        if entry.key.text == "wording" and isinstance(entry.value, Scalar):
            yield from _text(
                entry.value, _JINJA.sub(lambda jinja: "." * len(jinja.group()), entry.value.text)
            )
        elif entry.key.text not in _SYNTAX:
            yield from _look(entry.value)


def _look(node: Node) -> Iterator[Problem]:
    if isinstance(node, Mapping):
        yield from suspicious_texts(node)
    elif isinstance(node, Sequence):
        for item in node:
            yield from _look(item)
    elif not _FILE.search(node.text):
        yield from _text(node, node.text)


def _text(node: Scalar, text: str) -> Iterator[Problem]:
    for look, message in _COMPILED:
        if found := look.search(text):
            yield _within(node, found).problem(message)


def _within(node: Scalar, found: re.Match[str]) -> Mark:
    """Return the place of *found* in *node*; the whole text where lines or escapes hide it."""
    quotes = node.mark.width - len(node.text)
    if quotes not in (0, 2) or (quotes == 0) != node.plain or "\n" in node.text:
        return node.mark
    start = found.start() + quotes // 2
    return replace(node.mark, column=node.mark.column + start, width=max(1, len(found.group())))
