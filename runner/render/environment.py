"""The Jinja that templates are written in: every hole writes one JSON value, and nothing can be reached.

JSON is this environment's "HTML": `finalize` turns each value into JSON text and marks it as safe, and macro
results, which are such text already, pass through. Every value is written with a blank on both sides, so two
holes side by side never melt into one number or one word.

What a template may do is bounded by construction rather than watched: attributes exist on nothing but the
loop, methods cannot be called, filters and tests are listed here, and everything that makes or repeats text
or lists draws on one budget per rendering (`budget`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final, cast

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS, do_round
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace
from markupsafe import Markup

from runner.render.budget import STEP, Budget
from runner.text.nearest import did_you_mean

MAX_RANGE: Final = 10_000
MAX_BITS: Final = 128
MAX_PLACES: Final = 15

FILTER_NAMES: Final = (
    "abs", "count", "d", "default", "first", "float", "int", "join", "last", "length", "list", "lower", "map",
    "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort",
    "string", "sum", "trim", "unique", "upper",
)  # fmt: skip
TEST_NAMES: Final = (
    "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "gt", "greaterthan",
    "in", "integer", "iterable", "le", "lessthan", "lt", "mapping", "ne", "none", "number", "odd", "sameas",
    "sequence", "string", "true", "undefined", "==", "!=", ">", ">=", "<", "<=",
)  # fmt: skip
GLOBAL_NAMES: Final = frozenset({"namespace", "range"})

_LOOP_ATTRIBUTES: Final = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem", "depth"}
)
_NO_TEXT: Final = "what a macro wrote cannot be joined with text; it stands alone in its hole"
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Missing(StrictUndefined):
    """What a name or key without a value evaluates to: any use of it is an error that says what exists."""

    @property
    def _undefined_message(self) -> str:
        name, owner = self._undefined_name, self._undefined_obj
        if self._undefined_hint:
            return self._undefined_hint
        if isinstance(owner, Mapping) or type(owner) is Namespace:
            return f"there is no `{name}` here; there is {_listed(name, _keys(owner))}"
        return f"`{name}` has no value"


def _keys(owner: Any) -> list[str]:
    if isinstance(owner, Mapping):
        return [str(key) for key in owner]
    return list(object.__getattribute__(owner, "_Namespace__attrs"))


def _listed(name: object, known: list[str]) -> str:
    listed = ", ".join(f"`{key}`" for key in known) or "nothing"
    return listed + did_you_mean(str(name), known)


@pass_context
def emit(context: Context, value: Any) -> Markup:
    """Return *value* as JSON text, or a macro's result as it is."""
    kind = type(value)
    if kind is Markup:
        return cast(Markup, value)
    environment = cast(JsonEnvironment, context.environment)
    if kind is str:
        environment.budget.spend(len(value))
        return Markup(f" {_encode(value)} ")
    if kind is int:
        return Markup(f" {value} ")
    if isinstance(value, Undefined):
        str(value)  # raises with the message that fits
    environment.budget.weigh(value)
    return Markup(f" {_encode(value)} ")


class JsonEnvironment(ImmutableSandboxedEnvironment):
    """One environment per catalog; renders one template at a time.

    Raises, from inside a template: SecurityError when it asks for too much, UndefinedError when something
    has no value, and Python's TypeError, ValueError, ArithmeticError or LookupError for what makes no sense.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%", "//", "/"})

    def __init__(self) -> None:
        super().__init__(autoescape=True, finalize=emit, undefined=Missing, optimized=False, cache_size=0)
        self.budget = Budget()
        self._paying = (self.budget.loop, self.budget.weighed, self.budget.spend)
        self.globals = {
            "namespace": Namespace, "range": _bounded_range,
            "__join": self.join, "__loop": self.budget.loop,
            "__weighed": self.budget.weighed, "__spend": self.budget.spend,
        }  # fmt: skip
        self.filters = {
            name: self._measured(cast(Callable[..., Any], FILTERS[name])) for name in FILTER_NAMES
        }
        self.filters |= {"replace": self.replace, "join": self.join_filter, "round": _round}
        self.tests = {name: self._measured(cast(Callable[..., Any], TESTS[name])) for name in TEST_NAMES}

    def add_macros(self, macros: Mapping[str, Macro]) -> None:
        """Make *macros* callable from every template compiled from now on."""
        self.globals.update(macros)

    def join(self, *parts: Any) -> str:
        """Return what `~` makes: plain text, never JSON text."""
        return self._joined("", parts)

    def join_filter(self, parts: Iterable[Any], separator: str = "") -> str:
        """Join texts with *separator* between them."""
        return self._joined(self._plain(separator), parts)

    def replace(self, text: Any, old: str, new: str) -> str:
        """Replace every *old* in *text*."""
        plain, old, new = self._plain(text), self._plain(old), self._plain(new)
        self.budget.spend(len(plain) + plain.count(old) * len(new))
        return plain.replace(old, new)

    def _joined(self, separator: str, parts: Iterable[Any]) -> str:
        texts = [self._plain(part) for part in parts]
        self.budget.spend(sum(map(len, texts)) + len(texts) * (STEP + len(separator)))
        return separator.join(texts)

    def _plain(self, value: Any) -> str:
        if type(value) is Markup:
            raise SecurityError(_NO_TEXT)
        if value is None or isinstance(value, (bool, dict, list)):
            raise TypeError(f"{_encode(value)} is no text")
        return str(value)

    def _measured(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """Return a filter or test that pays for what goes in and what comes out."""

        @wraps(make)
        def measured(*arguments: Any, **options: Any) -> Any:
            for argument in arguments:
                self.budget.weigh(argument)
            return self.budget.weighed(make(*arguments, **options))

        return measured

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return the result of an operator, refused when it would be large before it is made."""
        if isinstance(left, Markup) or isinstance(right, Markup):
            raise SecurityError(_NO_TEXT)
        if operator in ("**", "%", "//", "/") and not (_is_number(left) and _is_number(right)):
            raise TypeError(f"`{operator}` needs two numbers")
        if operator == "**" and abs(right) > MAX_BITS:
            raise SecurityError(f"an exponent of more than {MAX_BITS}")
        self._pay(operator, left, right)
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and result.bit_length() > MAX_BITS:
            raise SecurityError(f"a number of more than {MAX_BITS} bits")
        self.budget.weigh(result)
        return result

    def _pay(self, operator: str, left: Any, right: Any) -> None:
        for many, times in ((left, right), (right, left)):
            if operator == "*" and isinstance(many, (str, list, tuple)) and isinstance(times, int):
                self.budget.spend(len(many) * max(0, times))
            elif operator == "+" and isinstance(many, (str, list, tuple)):
                self.budget.spend(len(many))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a map's or namespace's entry, or what the loop says of itself; no other attribute exists."""
        if isinstance(obj, dict):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if type(obj) is Namespace:
            found = object.__getattribute__(obj, "_Namespace__attrs")
            return found[attribute] if attribute in found else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, LoopContext) and attribute in _LOOP_ATTRIBUTES:
            return getattr(obj, attribute)
        if isinstance(obj, Undefined):
            str(obj)
        return self.undefined(f"there is no `.{attribute}` on {_kind(obj)}", name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of a list, text or map."""
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        if (
            isinstance(obj, (list, tuple, str, range))
            and isinstance(argument, int)
            and not isinstance(obj, Markup)
        ):
            try:
                return obj[argument]
            except IndexError:
                return self.undefined(
                    f"there is no item {argument}; there are {len(obj)}", name=str(argument)
                )
        return self.undefined(f"there is no item {argument!r} on {_kind(obj)}", name=str(argument))

    def is_safe_callable(self, obj: Any) -> bool:
        """Macros, `range` and `namespace` are called; nothing else is."""
        ours = (_bounded_range, Namespace, self.join, *self._paying)
        return isinstance(obj, Macro) or obj in ours


def _bounded_range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_RANGE:
        raise SecurityError(f"a range of more than {MAX_RANGE:,}")
    return numbers


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _round(value: Any, precision: int = 0, method: str = "common") -> float:
    if not _is_number(value) or abs(precision) > MAX_PLACES:
        raise TypeError(f"`round` takes a number and at most {MAX_PLACES} places")
    return do_round(value, precision, method)  # type: ignore[arg-type]


def _kind(value: Any) -> str:
    names = {
        str: "a text",
        int: "a number",
        float: "a number",
        bool: "yes or no",
        list: "a list",
        type(None): "none",
    }
    return "none" if value is None else names.get(type(value), "this")
