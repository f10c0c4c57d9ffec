"""One rendering's budget: whatever a template makes, repeats or compares is paid for before it can hurt.

Paid in bytes, and in steps that take about as long as handling so many bytes. `bound` rewrites a syntax tree
so that `~`, lists and maps written down, comparisons, loops and macros pay by calling back; the environment's
filters and operators pay by themselves.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, cast

from jinja2 import Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

from runner.sandbox.wire import LARGEST_GRAPH

BUDGET: Final = 64 * 2**20
"""Of one rendering; a character costs 1, in a text that is not all ASCII 4, which is what Python keeps."""
LARGEST_NUMBER: Final = 2**64
"""Numbers are smaller. It also keeps whole numbers of one hash, which maps and sets are slow with, few."""
STEP: Final = 64
"""What one item, or one expression in one round of a loop, costs: about as much time as memory."""
CALL: Final = 16 * STEP
"""What calling a macro costs beside."""
SEARCH: Final = 8
"""What looking through a character costs; the worst texts to be searched are that much slower than others."""


class Budget:
    """What is left of one rendering's budget."""

    def __init__(self) -> None:
        self.left = BUDGET
        self.room = LARGEST_GRAPH

    def refill(self) -> None:
        """Begin a rendering."""
        self.left = BUDGET
        self.room = LARGEST_GRAPH

    def spend(self, amount: int) -> None:
        """Draw *amount*; raises SecurityError when there is not so much left."""
        self.left -= amount
        if self.left < 0:
            raise SecurityError("it writes, repeats or compares far more than a graph needs")

    def write(self, text: str) -> None:
        """Draw what putting *text* into the graph costs; raises SecurityError when the graph has no room."""
        size = len(text)
        self.left -= size if text.isascii() else 4 * size
        self.room -= size
        if self.left < 0:
            self.spend(0)
        if self.room < 0:
            raise SecurityError(f"it renders to more than {LARGEST_GRAPH // 2**20} MiB, the most of a graph")

    def weigh(self, value: Any) -> None:
        """Draw what *value* would cost written out, so that lists in lists cannot grow unseen."""
        kind = type(value)
        if kind is str:
            self.spend(cost(value))
        elif kind is int:
            if not -LARGEST_NUMBER < value < LARGEST_NUMBER:
                raise SecurityError(f"a number of more than {LARGEST_NUMBER.bit_length() - 1} bits")
        elif kind is list or kind is tuple:
            self.spend(STEP * len(value))
            for item in value:
                self.weigh(item)
        elif kind is dict or kind is Namespace:
            entries = entries_of(value) if kind is Namespace else value
            self.spend(STEP * len(entries))
            for key, item in entries.items():
                self.weigh(key)
                self.weigh(item)
        elif kind is range:
            self.spend(STEP * len(value))

    def weighed(self, value: Any) -> Any:
        """Return *value*, paid for."""
        self.weigh(value)
        return value

    def searched(self, value: Any) -> Any:
        """Return *value*, paid for as what `in` looks through."""
        self.weigh(value)
        if type(value) is str:
            self.spend(SEARCH * len(value))
        return value

    def key(self, value: Any) -> str:
        """Return *value*, the key of a map that is written down; raises TypeError when it is no text."""
        if type(value) is not str:
            raise TypeError("a key of a map is a text")
        return value

    def loop(self, items: Any, cost: int) -> Any:
        """Return what a `for` walks over, paid in advance at *cost* a round."""
        if isinstance(items, Undefined):
            str(items)  # raises with the message that fits
        if not isinstance(items, (list, tuple, range, str, dict)):
            items = list(islice(iter(items), BUDGET // STEP))
        self.spend(len(items) * cost)
        return items


def entries_of(namespace: Namespace) -> dict[str, Any]:
    """Return what *namespace* holds, which no template can see but entry by entry."""
    return cast(dict[str, Any], object.__getattribute__(namespace, "_Namespace__attrs"))


def cost(text: str) -> int:
    """Return what holding *text* costs."""
    return len(text) if text.isascii() else 4 * len(text)


def bound(tree: nodes.Template) -> nodes.Template:
    """Return *tree* with everything that makes, repeats or compares paying for it (changed in place)."""
    loops, macros = list(tree.find_all(nodes.For)), list(tree.find_all(nodes.Macro))
    costs = {id(node): _cost(node) for node in (*loops, *macros)}
    for loop in loops:
        walked, cost = cast(nodes.Expr, loop.iter), nodes.Const(costs[id(loop)])
        loop.iter = _call("__loop", walked, cost, lineno=loop.lineno)
    for macro in macros:
        spend = _call("__spend", nodes.Const(costs[id(macro)]), lineno=macro.lineno)
        macro.body.insert(0, nodes.ExprStmt(spend, lineno=macro.lineno))
    _pay(tree)
    return tree


def _cost(node: nodes.Node) -> int:
    """Return what one round of a loop or one call of a macro costs: its expressions and fixed text."""
    fixed = sum(len(text.data) for text in node.find_all(nodes.TemplateData))
    call = CALL if isinstance(node, nodes.Macro) else 0
    return call + BUDGET // LARGEST_GRAPH * fixed + STEP * sum(1 for _ in node.find_all(nodes.Node))


def _call(name: str, *arguments: nodes.Expr, lineno: int) -> nodes.Call:
    return nodes.Call(nodes.Name(name, "load", lineno=lineno), list(arguments), [], None, None, lineno=lineno)


def _pay(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = [_paying(item) for item in value]
        elif isinstance(value, nodes.Node):
            setattr(node, name, _paying(value))


def _paying(value: Any) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _pay(value)
    match value:
        case nodes.Concat():
            return _call("__join", *value.nodes, lineno=value.lineno)
        case nodes.List() | nodes.Dict() | nodes.Tuple(ctx="load"):
            return _call("__weighed", value, lineno=value.lineno)
        case nodes.Compare(expr=first, ops=operands):
            value.expr = _weighed(first)
            for operand in operands:
                how = "__searched" if operand.op in ("in", "notin") else "__weighed"
                operand.expr = _weighed(operand.expr, how)
            return value
        case nodes.Pair(key=key) if not (isinstance(key, nodes.Const) and isinstance(key.value, str)):
            value.key = _call("__key", key, lineno=key.lineno)
            return value
        case _:
            return value


def _weighed(value: nodes.Expr, how: str = "__weighed") -> nodes.Expr:
    known = how == "__weighed" and isinstance(value, (nodes.Const, nodes.Call))
    return value if known else _call(how, value, lineno=value.lineno)
