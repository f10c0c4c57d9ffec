"""One rendering's budget: whatever a template makes, repeats or compares is paid for before it can hurt.

`bound` rewrites a syntax tree so that `~`, lists and maps written down, comparisons, loops and macros pay by
calling back; the environment's filters and operators pay by themselves.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, cast

from jinja2 import Undefined, nodes
from jinja2.exceptions import SecurityError

BUDGET: Final = 64 * 2**20
"""Of one rendering; a character costs 1."""
STEP: Final = 64
"""What one item, or one expression in one round of a loop, costs: about as much time as memory."""
CALL: Final = 16 * STEP
"""What calling a macro costs beside."""


class Budget:
    """What is left of one rendering's budget."""

    def __init__(self) -> None:
        self.left = BUDGET

    def refill(self) -> None:
        """Begin a rendering."""
        self.left = BUDGET

    def spend(self, amount: int) -> None:
        """Draw *amount*; raises SecurityError when there is not so much left."""
        self.left -= amount
        if self.left < 0:
            raise SecurityError("it writes, repeats or compares far more than a graph needs")

    def weigh(self, value: Any) -> None:
        """Draw what *value* would cost written out, so that lists in lists cannot grow unseen."""
        kind = type(value)
        if kind is str:
            self.spend(len(value))
        elif kind is list or kind is tuple:
            self.spend(STEP * len(value))
            for item in value:
                self.weigh(item)
        elif kind is dict:
            self.spend(STEP * len(value))
            for key, item in value.items():
                self.weigh(key)
                self.weigh(item)
        elif kind is range:
            self.spend(STEP * len(value))

    def weighed(self, value: Any) -> Any:
        """Return *value*, paid for."""
        self.weigh(value)
        return value

    def loop(self, items: Any, cost: int) -> Any:
        """Return what a `for` walks over, paid in advance at *cost* a round."""
        if isinstance(items, Undefined):
            str(items)  # raises with the message that fits
        if not isinstance(items, (list, tuple, range, str, dict)):
            items = list(islice(iter(items), BUDGET // STEP))
        self.spend(len(items) * cost)
        return items


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
    return call + fixed + STEP * sum(1 for _ in node.find_all(nodes.Node))


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
                operand.expr = _weighed(operand.expr)
            return value
        case _:
            return value


def _weighed(value: nodes.Expr) -> nodes.Expr:
    return (
        value
        if isinstance(value, (nodes.Const, nodes.Call))
        else _call("__weighed", value, lineno=value.lineno)
    )
