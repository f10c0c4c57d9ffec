"""What a template may not contain, found when it is loaded and told with its line.

Two looks: at the tokens (every hole and tag stands outside JSON's quotes, so that each hole writes one whole
value), and at the syntax tree (an allow-list of what there is, names that exist, parameters that are used).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from jinja2 import Environment, nodes
from jinja2.meta import find_undeclared_variables

from runner.sandbox.environment import FILTER_NAMES, GLOBAL_NAMES, TEST_NAMES
from runner.text.nearest import did_you_mean

_REFUSED: dict[type[nodes.Node], str] = {
    nodes.AssignBlock: "block `set` makes text that is no JSON value; use {% set name = … %}",
    nodes.FilterBlock: "{% filter %} makes text that is no JSON value",
    nodes.Slice: "slices are not used in templates; take single items",
    nodes.CallBlock: "{% call %} is not used in templates",
    nodes.Include: "{% include %} is not used; shared parts are macros in templates/nodes.j2",
    nodes.Import: "{% import %} is not used; the macros of templates/nodes.j2 are there already",
    nodes.FromImport: "{% from %} is not used; the macros of templates/nodes.j2 are there already",
    nodes.Extends: "{% extends %} is not used; shared parts are macros in templates/nodes.j2",
    nodes.Block: "{% block %} is not used; shared parts are macros in templates/nodes.j2",
    nodes.ScopedEvalContextModifier: "{% autoescape %} is not used: every hole writes JSON",
    nodes.EvalContextModifier: "{% autoescape %} is not used: every hole writes JSON",
}
_ALLOWED: frozenset[type[nodes.Node]] = frozenset(
    {
        nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Macro, nodes.With,
        nodes.Scope, nodes.Assign, nodes.Name, nodes.NSRef, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict,
        nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call, nodes.Getitem,
        nodes.Getattr, nodes.Concat, nodes.Compare, nodes.Operand, nodes.Mul, nodes.Div, nodes.FloorDiv,
        nodes.Add, nodes.Sub, nodes.Mod, nodes.Pow, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos,
    }
)  # fmt: skip
_MOST = 50
"""Slips that each look stops at: naming the nearest name for each of thousands takes minutes."""
_TAGS_BEGIN = ("variable_begin", "block_begin", "raw_begin")
_BEHIND_CLASS = re.compile(r'"class_type"\s*:\s*\Z')
_BEFORE_COLON = re.compile(r"\A\s*:")


@dataclass(frozen=True, slots=True, order=True)
class Slip:
    """One mistake in a template, with its line in the source that was parsed."""

    line: int
    message: str


def lint_tokens(environment: Environment, source: str) -> list[Slip]:
    """Return a slip for every hole or tag that stands inside JSON's quotes."""
    found: list[Slip] = []
    quoted = False
    for line, kind, text in environment.lex(source):
        if len(found) >= _MOST:
            break
        if kind == "data":
            quoted = _quoted_after(text, quoted)
        elif kind in _TAGS_BEGIN and quoted:
            message = (
                "a hole stands without quotes: it writes its own"
                if kind == "variable_begin"
                else "a tag stands inside quotes; choose between whole values instead"
            )
            found.append(Slip(line, message))
    return found


def _quoted_after(text: str, quoted: bool) -> bool:
    """Return whether JSON stands inside a text behind *text*."""
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
    return quoted


def lint_body(
    tree: nodes.Template, *, parameters: Collection[str], texts: Collection[str], macros: Collection[str]
) -> list[Slip]:
    """Return the slips of a template's body.

    Args:
        tree: The body as parsed.
        parameters: Names that the front matter declares; each must be used.
        texts: Those among them that hold text a person wrote.
        macros: Names of the macros from `nodes.j2`.

    """
    own = {macro.name for macro in tree.find_all(nodes.Macro)}
    known = {*macros, *own}
    found = _tree_slips(tree, macros=known)
    found += islice(_unknown_names(tree, known={*parameters, *known}), _MOST)
    found += _text_in_structure(tree, frozenset(texts))
    used = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "load"}
    return found + [
        Slip(0, f"parameter `{name}` is declared but never used") for name in parameters if name not in used
    ]


def lint_macros(tree: nodes.Template, *, macros: Collection[str]) -> list[Slip]:
    """Return the slips of a `nodes.j2`: it holds macros and nothing else, and may call *macros*."""
    own = [macro.name for macro in tree.find_all(nodes.Macro)]
    found = [
        Slip(_first_line(node), "nodes.j2 holds macros and nothing else")
        for node in tree.body
        if not isinstance(node, nodes.Macro) and not _is_blank(node)
    ]
    found += _tree_slips(tree, macros={*macros, *own})
    found += islice(_unknown_names(tree, known={*macros, *own}), _MOST)
    return found + _called_too_early(tree, macros)


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes
    )


def _first_line(node: nodes.Node) -> int:
    """Return the line on which a node's own text begins, blank lines before it skipped."""
    first = node.nodes[0] if isinstance(node, nodes.Output) else node
    text = first.data if isinstance(first, nodes.TemplateData) else ""
    return node.lineno + text[: len(text) - len(text.lstrip())].count("\n")


def _called_too_early(tree: nodes.Template, macros: Collection[str]) -> list[Slip]:
    """A macro calls only those above it: so none can call itself, in circles or for ever."""
    ready = set(macros)
    found = []
    for macro in tree.find_all(nodes.Macro):
        ready -= {macro.name}
        found += [
            Slip(
                call.lineno, f"macro `{call.node.name}` must be defined above `{macro.name}`, which calls it"
            )
            for call in macro.find_all(nodes.Call)
            if isinstance(call.node, nodes.Name) and call.node.name not in ready | GLOBAL_NAMES
        ]
        ready.add(macro.name)
    return found


def _tree_slips(tree: nodes.Template, *, macros: Collection[str]) -> list[Slip]:
    alone = {
        id(part)
        for output in tree.find_all(nodes.Output)
        for part in output.nodes
        if isinstance(part, nodes.Call)
    }
    slips = (slip for node in _walk(tree) for slip in _node_slips(node, macros=macros, alone=alone))
    return list(islice(slips, _MOST))


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _node_slips(node: nodes.Node, *, macros: Collection[str], alone: Collection[int]) -> Iterator[Slip]:
    line = node.lineno
    if type(node) not in _ALLOWED:
        yield Slip(
            line, _REFUSED.get(type(node), f"`{type(node).__name__.lower()}` is not used in templates")
        )
    match node:
        case nodes.Call():
            yield from _call_slips(node, macros=macros, alone=id(node) in alone)
        case nodes.Filter(name=name) if name not in FILTER_NAMES:
            yield Slip(line, _no_filter(name))
        case nodes.Test(name=name) if name not in TEST_NAMES:
            yield Slip(line, f"there is no test `{name}`{did_you_mean(name, TEST_NAMES)}")
        case nodes.Getattr(attr=str(name)) if name.startswith("_"):
            yield Slip(line, f"`.{name}` cannot be reached")
        case nodes.For(recursive=True):
            yield Slip(line, "a recursive loop is not used in templates")
        case nodes.Name(name=name, ctx=("store" | "param")) if name in macros or name in GLOBAL_NAMES:
            yield Slip(line, f"`{name}` is a macro; give the variable another name")
        case nodes.Name(name=name) if name.startswith("__"):
            yield Slip(line, f"no name begins with two underscores: `{name}`")
        case nodes.Name(name=("caller" | "varargs" | "kwargs" | "self") as name):
            yield Slip(line, f"`{name}` is not used in templates")
        case _:
            pass


def _no_filter(name: str) -> str:
    if name in ("safe", "tojson", "escape", "e", "forceescape", "xmlattr", "urlize"):
        return f"`{name}` is absent: a hole writes JSON by itself"
    return f"there is no filter `{name}`{did_you_mean(name, FILTER_NAMES)}"


def _call_slips(call: nodes.Call, *, macros: Collection[str], alone: bool) -> Iterator[Slip]:
    if call.dyn_args is not None or call.dyn_kwargs is not None:
        yield Slip(call.lineno, "`*` and `**` arguments are not used in templates")
    if not isinstance(call.node, nodes.Name):
        yield Slip(call.lineno, "methods are not called in templates; there are filters")
    elif call.node.name in macros:
        if not alone:
            yield Slip(call.lineno, f"a macro call stands alone in its hole: {{{{ {call.node.name}(…) }}}}")
    elif call.node.name not in GLOBAL_NAMES:
        name = call.node.name
        yield Slip(call.lineno, f"there is no macro `{name}`{did_you_mean(name, {*macros, *GLOBAL_NAMES})}")


def _unknown_names(tree: nodes.Template, *, known: Collection[str]) -> Iterator[Slip]:
    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    _name_what_exists(tree)
    stored = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    unknown = find_undeclared_variables(tree) - {*known, *GLOBAL_NAMES}
    told: set[str] = set()
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name in unknown and name.name not in told and id(name) not in called:
            told.add(name.name)
            reason = "not set on every way that leads here" if name.name in stored else "set nowhere"
            near = did_you_mean(name.name, known)
            yield Slip(name.lineno, f"`{name.name}` is no parameter and {reason}{near}")


def _name_what_exists(tree: nodes.Template) -> None:
    """Rename filters and tests that are told already: Jinja looks at no tree that has unknown ones."""
    for filter_ in tree.find_all(nodes.Filter):
        filter_.name = filter_.name if filter_.name in FILTER_NAMES else "trim"
    for test in tree.find_all(nodes.Test):
        test.name = test.name if test.name in TEST_NAMES else "defined"


def _text_in_structure(tree: nodes.Template, texts: frozenset[str]) -> Iterator[Slip]:
    for output in tree.find_all(nodes.Output):
        for index, part in enumerate(output.nodes):
            if not isinstance(part, nodes.TemplateData) and _names(part) & texts:
                yield from _structure_slips(output, index)


def _structure_slips(output: nodes.Output, index: int) -> Iterator[Slip]:
    line = output.nodes[index].lineno
    before = output.nodes[index - 1] if index else None
    behind = output.nodes[index + 1] if index + 1 < len(output.nodes) else None
    if isinstance(before, nodes.TemplateData) and _BEHIND_CLASS.search(before.data):
        yield Slip(line, "a text parameter cannot name a node class; use type `choice`")
    if isinstance(behind, nodes.TemplateData) and _BEFORE_COLON.match(behind.data):
        yield Slip(line, "a text parameter cannot name a node or an input")


def _names(node: nodes.Node) -> set[str]:
    own: Iterable[nodes.Name] = [node] if isinstance(node, nodes.Name) else ()
    return {name.name for name in (*own, *node.find_all(nodes.Name))}
