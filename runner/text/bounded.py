"""The bounds of the Jinja in a spec: what it may hold, and what one rendering may cost.

Holes, filters, `if` and `for`; no calls, arithmetic, assignments, macros or imports, and nothing that
grows without bounds. What enters a hole is data and is never evaluated. Pure.

Each rendering may take `MAX_STEPS`: a piece of text, a round of a loop with what is in it, each filter, test
and comparison with the texts it reads cost some of them, so that no text keeps the machine for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Any, Final, cast

from jinja2 import (
    StrictUndefined,
    TemplateError,
    TemplateRuntimeError,
    TemplateSyntaxError,
    Undefined,
    meta,
    nodes,
    pass_context,
)
from jinja2.environment import Template
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.text.nearest import did_you_mean

MAX_OUTPUT: Final = 1_048_576
"""Bytes of UTF-8 that one rendering may give."""
MAX_ITEMS: Final = 100
"""Rounds of one `for`."""
MAX_LOOPS: Final = 2
"""Loops inside each other."""
MAX_COMPARISONS: Final = 500
"""Comparisons in one text; compiling more of them takes long."""
MAX_STEPS: Final = 500_000
"""What one rendering may cost; a step takes a microsecond or two."""

_CHUNK: Final = 4
"""Steps of a piece of text, its tidying included."""
_LETTERS: Final = 50
"""Letters that a filter, test or comparison reads in one step."""
_MATCHED: Final = 1_000
"""Pairs of letters that looking for one text in another compares in one step."""
_WORST_SEARCH: Final = 3_000
"""Steps beyond which Python looks for a text in another without trying every place."""
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
_BY_ITEM: Final = frozenset({"title", "join", "map", "select", "reject", "selectattr", "rejectattr"})
"""Filters that look at each letter or item by itself, with all that they are told."""
_RENDERING: Final = (
    TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError,
    MemoryError,
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


class _Rendering(Context):
    """One rendering, and the steps that it may still take."""

    steps = MAX_STEPS

    def take(self, steps: int) -> None:
        """Count *steps*; refuse the rendering where they are too many."""
        self.steps -= steps
        if self.steps < 0:
            raise TemplateRuntimeError("it does too much: write fewer or shorter loops and texts")


@pass_context
def _each(context: _Rendering, items: Any, weight: int) -> Sequence[Any]:
    """Return what a `for` of *weight* nodes may walk; every loop is parsed to pass through here."""
    if isinstance(items, Undefined):
        raise TemplateRuntimeError(str(items))
    if not isinstance(items, list | tuple):
        items = [] if isinstance(items, str) and not items else items
        if isinstance(items, str | Mapping) or not isinstance(items, Iterable):
            raise TemplateRuntimeError("`for` walks lists, such as members")
    walked = list(islice(items, MAX_ITEMS + 1))
    if len(walked) > MAX_ITEMS:
        raise TemplateRuntimeError(f"`for` walks at most {MAX_ITEMS} items")
    context.take(len(walked) * weight)
    return walked


@pass_context
def _compared(context: _Rendering, value: object, searched: bool) -> object:
    """Return *value*, its steps counted; every operand of a comparison is parsed to pass through here."""
    context.take(_steps(value))
    if searched and isinstance(value, str):
        context.take(_search(len(value), len(value) // 4))
    return value


def _steps(value: object) -> int:
    """Return what reading *value* once costs."""
    if isinstance(value, str):
        return 1 + len(value) // _LETTERS
    if isinstance(value, Mapping):
        return 1 + sum(map(_steps, value.values()))
    return 1 + sum(map(_steps, value)) if isinstance(value, list | tuple) else 1


def _search(text: int, word: int) -> int:
    """Return what looking for a word of *word* letters in a text of *text* letters costs at worst."""
    return min(text * word // _MATCHED, _WORST_SEARCH)


def _own_steps(name: str, value: object, told: Sequence[object]) -> int:
    """Return what the filter or test *name* does beyond reading *value* and what it is *told* once."""
    lengths = [len(text) for text in told if isinstance(text, str)]
    size = len(value) if isinstance(value, str | list | tuple) else 0
    if name in _BY_ITEM:
        return size * (1 + sum(lengths))
    if name == "trim":
        return size * sum(lengths) // _MATCHED
    if name == "in":
        return sum(_search(length, size) for length in lengths)
    return _search(size, lengths[0]) if name == "replace" and lengths else 0


def _counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the filter or test *name*, done by *call*, with its steps counted; it gives no iterators."""

    @pass_context
    def counted(context: _Rendering, value: Any, /, *args: Any, **named: Any) -> Any:
        told = (*args, *named.values())
        context.take(2 + _steps(value) + sum(map(_steps, told)) + _own_steps(name, value, told))
        result = call(name, value, args, named, context)
        result = list(result) if isinstance(result, Iterator) else result
        context.take(_steps(result))
        return result

    return counted


def _environment(*, counting: ImmutableSandboxedEnvironment | None = None) -> ImmutableSandboxedEnvironment:
    """Return Jinja without globals, calls, arithmetic and every filter that could grow without bounds.

    With *counting*, the filters and tests are those of that one, counted.
    """
    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_finalize, cache_size=0)
    made.globals.clear()
    made.context_class = _Rendering
    if counting:
        made.filters = {name: _counted(name, counting.call_filter) for name in _FILTERS}
        made.filters.update(each=_each, compared=_compared)
        made.tests = {name: _counted(name, counting.call_test) for name in _TESTS}
        return made
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.filters.update(replace=_replace, join=_join, map=_map)
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made


_ENVIRONMENT: Final = _environment(counting=_environment())


@dataclass(frozen=True, slots=True)
class Compiled:
    """One Jinja text, compiled under the bounds."""

    source: str
    holes: frozenset[str]
    """Names it takes from outside, also those used in conditions only."""
    _template: Template

    @classmethod
    def of(cls, source: str) -> Compiled:
        """Return *source* compiled; raises ValueError, a sentence, where it is no Jinja of this kind."""
        try:
            tree = _ENVIRONMENT.parse(source)
            _refuse(tree, loops=0)
            _bound(tree)
            holes = frozenset(meta.find_undeclared_variables(tree))
            return cls(source, holes, _ENVIRONMENT.from_string(tree))
        except TemplateError as error:
            raise ValueError(_sentence(error, source)) from error
        except (RecursionError, MemoryError, SyntaxError, OverflowError) as error:
            raise ValueError("nested too deeply") from error

    def chunks(self, values: Mapping[str, object]) -> Iterator[tuple[str, bool]]:
        """Yield the rendered text in pieces, each with whether a hole wrote it.

        Raises:
            ValueError: A hole has no value, writes no text, the output passes `MAX_OUTPUT`, or the work
                `MAX_STEPS`.

        """
        size = 0
        try:
            context = cast(_Rendering, self._template.new_context(dict(values)))
            for chunk in self._template.root_render_func(context):
                context.take(_CHUNK)
                if not chunk:
                    continue
                size += len(chunk.encode("utf-8", "surrogatepass"))
                if size > MAX_OUTPUT:
                    raise TemplateRuntimeError(f"it renders to more than {MAX_OUTPUT} bytes")
                yield chunk, isinstance(chunk, _Filled)
        except _RENDERING as error:
            raise ValueError(_sentence(error, self.source)) from error


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


def _bound(tree: nodes.Template) -> None:
    """Send what every `for` walks through `_each`, and what is compared through `_compared`."""
    for loop in list(tree.find_all(nodes.For)):
        weight = sum(1 for _ in loop.find_all(nodes.Node))
        loop.iter = _through("each", cast(nodes.Expr, loop.iter), weight)
    operands = list(tree.find_all(nodes.Operand))
    if len(operands) > MAX_COMPARISONS:
        raise TemplateSyntaxError(f"at most {MAX_COMPARISONS} comparisons in one text", operands[-1].lineno)
    for comparison in list(tree.find_all(nodes.Compare)):
        comparison.expr = _through("compared", comparison.expr, False)
    for operand in operands:
        operand.expr = _through("compared", operand.expr, operand.op in ("in", "notin"))
    tree.set_environment(_ENVIRONMENT)


def _through(name: str, node: nodes.Expr, told: int) -> nodes.Filter:
    """Return *node* with the filter *name*, told *told*, behind it."""
    return nodes.Filter(node, name, [nodes.Const(told)], [], None, None, lineno=node.lineno)


def _sentence(error: BaseException, source: str) -> str:
    """Return one sentence for *error*, with its line where the text has several."""
    if isinstance(error, MemoryError):
        return "it needs too much memory: write fewer or shorter loops and texts"
    text = (getattr(error, "message", None) or str(error) or type(error).__name__).rstrip(".")
    line = getattr(error, "lineno", None)
    return f"line {line}: {text}" if line and "\n" in source.strip() else text
