"""The bounded Jinja that `wording`, `deliver.name` and `deliver.video.name` are written in.

Holes, filters, `if` and `for`; no calls, arithmetic, assignments, macros or imports, and nothing that
grows without bounds. What enters a hole is data and is never evaluated. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite
from typing import Any, Final

from jinja2 import (
    StrictUndefined,
    TemplateError,
    TemplateRuntimeError,
    TemplateSyntaxError,
    Undefined,
    meta,
    nodes,
)
from jinja2.environment import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.text.nearest import did_you_mean, nearest

MAX_SOURCE: Final = 16_384
"""Characters of a Jinja text."""
MAX_OUTPUT: Final = 1_048_576
"""Bytes of UTF-8 that one rendering may give."""
MAX_ITEMS: Final = 100
"""Rounds of one `for`."""
MAX_LOOPS: Final = 2
"""Loops inside each other."""

_NODES: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List, nodes.Tuple,
    nodes.If, nodes.For, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.Neg, nodes.Test, nodes.Filter, nodes.Keyword, nodes.Getattr, nodes.Getitem,
)  # fmt: skip
_FILTERS: Final = (
    "lower", "upper", "capitalize", "title", "trim", "replace", "join", "default", "d", "first", "last",
    "length", "count", "map", "select", "reject", "selectattr", "rejectattr",
)  # fmt: skip
_TESTS: Final = (
    "defined", "undefined", "none", "string", "number", "in", "eq", "ne", "equalto", "lt", "le", "gt", "ge",
    "odd", "even", "divisibleby", "lower", "upper",
)  # fmt: skip
_RENDERING: Final = (
    TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError,
)  # fmt: skip


class _Filled(str):
    """What a hole wrote, told from the text round it until the end of rendering."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


def _finalize(value: object) -> str:
    """Mark what a hole writes; refuse what is no text."""
    if isinstance(value, Undefined):
        return str(value)
    if isinstance(value, str):
        return _Filled(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _Filled(str(value))
    raise TemplateRuntimeError(f"a hole writes text; here it would write a {_noun(value)}")


def _noun(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return "list (use {% for … in … %})" if isinstance(value, list | tuple) else "map or a method"


def _replace(text: str, old: str, new: str) -> str:
    """Return *text* with *old* replaced, bounded like every output."""
    text, old, new = str(text), str(old), str(new)
    if len(text) + text.count(old) * len(new) > MAX_OUTPUT:
        raise TemplateRuntimeError("`replace` makes the text too long")
    return text.replace(old, new)


def _join(items: Iterable[object], glue: str = "", attribute: str | None = None) -> str:
    """Return texts and numbers joined by *glue*; with *attribute*, that field of each item."""
    texts: list[str] = []
    size = 0
    for value in items if attribute is None else _map(items, attribute=attribute):
        if not isinstance(value, str | int | float):
            raise TemplateRuntimeError("`join` joins texts")
        texts.append(str(value))
        size += len(texts[-1]) + len(glue)
        if size > MAX_OUTPUT:
            raise TemplateRuntimeError("`join` makes the text too long")
    return str(glue).join(texts)


def _map(items: Iterable[object], *others: object, attribute: str = "") -> list[object]:
    """Return the field *attribute* of each item; the form with a filter would be without bounds."""
    if others or not attribute:
        raise TemplateRuntimeError("`map` is offered as map(attribute='name') only")
    fields = [item.get(attribute) if isinstance(item, Mapping) else None for item in items]
    if None in fields:
        raise TemplateRuntimeError(f"there is no `{attribute}` to take here")
    return fields


def _each(items: Any) -> Sequence[Any]:
    """Return what a `for` may walk; every loop is parsed to pass through here."""
    if isinstance(items, Undefined):
        raise TemplateRuntimeError(str(items))
    if not isinstance(items, list | tuple):
        items = [] if isinstance(items, str) and not items else items
        if isinstance(items, str | Mapping) or not isinstance(items, Iterable):
            raise TemplateRuntimeError("`for` walks lists, such as members")
    walked = list(islice(items, MAX_ITEMS + 1))
    if len(walked) > MAX_ITEMS:
        raise TemplateRuntimeError(f"`for` walks at most {MAX_ITEMS} items")
    return walked


def _environment() -> ImmutableSandboxedEnvironment:
    """Return Jinja without globals, calls, arithmetic and every filter that could grow without bounds."""
    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_finalize, cache_size=0)
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.filters.update(replace=_replace, join=_join, map=_map, each=_each)
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made


_ENVIRONMENT: Final = _environment()


@dataclass(frozen=True, slots=True)
class Jinja:
    """One Jinja text, compiled under the bounds; knows the holes it uses."""

    source: str
    holes: frozenset[str]
    """Names it takes from outside, also those used in conditions only."""
    _template: Template = field(compare=False, repr=False)
    _plain: tuple[tuple[str, bool], ...] | None = field(default=None, compare=False, repr=False)
    """(text, False) or (hole, True) where the holes are written as they are and nothing is decided."""

    @classmethod
    def parse(cls, source: str) -> Jinja:
        """Return *source* compiled.

        Raises:
            ValueError: It is no Jinja, too long, or uses something that is not offered here (calls,
                arithmetic, `set`, macros, imports, other filters); the text is a sentence.

        """
        if len(source) > MAX_SOURCE:
            raise ValueError(f"{len(source)} characters are too many; at most {MAX_SOURCE}")
        try:
            tree = _ENVIRONMENT.parse(source)
            _refuse(tree, loops=0)
            _bound_loops(tree)
            holes = frozenset(meta.find_undeclared_variables(tree))
            plain = _plain(tree)
            return cls(source, holes, _ENVIRONMENT.from_string(tree), plain)
        except TemplateError as error:
            raise ValueError(_sentence(error, source)) from error
        except (RecursionError, MemoryError, SyntaxError, OverflowError) as error:
            raise ValueError("nested too deeply") from error

    @property
    def plain(self) -> bool:
        """Whether it only writes holes as they are, and decides nothing."""
        return self._plain is not None

    def unknown(self, allowed: Iterable[str]) -> list[tuple[str, str]]:
        """Return the holes not among *allowed*, sorted, each with the nearest allowed name or ""."""
        if self.holes <= (known := frozenset(allowed)):
            return []
        return [(name, nearest(name, known) or "") for name in sorted(self.holes - known)]

    def text(self, values: Mapping[str, object]) -> str:
        """Return the rendered text; raises ValueError as `chunks` does."""
        pieces = self._filled(values)
        return "".join([chunk for chunk, _ in (self.chunks(values) if pieces is None else pieces)])

    def _filled(self, values: Mapping[str, object]) -> list[tuple[str, bool]] | None:
        """Return the chunks where that takes no Jinja."""
        if self._plain is None:
            return None
        pieces, size = [], 0
        for text, hole in self._plain:
            value = values.get(text) if hole else text
            if type(value) is not str:
                return None
            pieces.append((value, hole))
            size += len(value)
        return pieces if size <= MAX_OUTPUT // 4 else None

    def chunks(self, values: Mapping[str, object]) -> Iterator[tuple[str, bool]]:
        """Yield the rendered text in pieces, each with whether a hole wrote it.

        Raises:
            ValueError: A hole has no value, writes no text, or the output passes `MAX_OUTPUT`.

        """
        pieces = self._filled(values)
        if pieces is not None:
            yield from pieces
            return
        size = 0
        try:
            for chunk in self._template.root_render_func(self._template.new_context(dict(values))):
                size += len(chunk.encode("utf-8", "surrogatepass"))
                if size > MAX_OUTPUT:
                    raise TemplateRuntimeError(f"it renders to more than {MAX_OUTPUT} bytes")
                yield chunk, isinstance(chunk, _Filled)
        except _RENDERING as error:
            raise ValueError(_sentence(error, self.source)) from error


def _plain(tree: nodes.Template) -> tuple[tuple[str, bool], ...] | None:
    """Return the pieces of a text that only writes holes, in order; None where more is asked."""
    pieces: list[tuple[str, bool]] = []
    for output in tree.body:
        for part in output.nodes if isinstance(output, nodes.Output) else [output]:
            if isinstance(part, nodes.TemplateData):
                pieces.append((part.data, False))
            elif isinstance(part, nodes.Name):
                pieces.append((part.name, True))
            else:
                return None
    return tuple(pieces)


def _refuse(node: nodes.Node, *, loops: int) -> None:
    """Raise TemplateSyntaxError at the first thing in the tree that is not offered."""
    inside = loops + isinstance(node, nodes.For)
    reason = ""
    if not isinstance(node, _NODES):
        reason = _REFUSED.get(type(node), _OTHERS)
    elif isinstance(node, nodes.Const) and isinstance(node.value, float) and not isfinite(node.value):
        reason = "a number is too large"
    elif isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        reason = f"there is no filter `{node.name}` here{did_you_mean(node.name, _FILTERS)}"
    elif isinstance(node, nodes.Test) and node.name not in _TESTS:
        reason = f"there is no test `{node.name}` here{did_you_mean(node.name, _TESTS)}"
    elif inside > MAX_LOOPS:
        reason = f"at most {MAX_LOOPS} loops inside each other"
    if reason:
        raise TemplateSyntaxError(reason, node.lineno)
    for child in node.iter_child_nodes():
        _refuse(child, loops=inside)


_OTHERS: Final = "only {{ holes }}, filters, {% if %} and {% for %} are offered here"
_REFUSED: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Call: "nothing can be called here; use a filter, as in {{ place | lower }}",
    nodes.Concat: "`~` is not offered; write the holes one behind the other",
    nodes.Sub: "`-` is not part of a hole's name; write `_`",
}


def _bound_loops(tree: nodes.Template) -> None:
    """Send what every `for` walks through `_each`."""
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = nodes.Filter(loop.iter, "each", [], [], None, None, lineno=loop.lineno)
    tree.set_environment(_ENVIRONMENT)


def _sentence(error: BaseException, source: str) -> str:
    """Return one sentence for *error*, with its line where the text has several."""
    text = (getattr(error, "message", None) or str(error) or type(error).__name__).rstrip(".")
    line = getattr(error, "lineno", None)
    return f"line {line}: {text}" if line and "\n" in source.strip() else text


def hole(word: str) -> str:
    """Return the name under which *word* stands in Jinja: `aki.outfit` is `aki_outfit`."""
    return word.replace(".", "_").replace("-", "_")
