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
from collections.abc import Callable, Iterable, Mapping, Sequence
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

from runner.sandbox.budget import LARGEST_NUMBER, SEARCH, STEP, Budget, cost, entries_of
from runner.text.nearest import did_you_mean

MAX_RANGE: Final = 10_000
MAX_EXPONENT: Final = 64
MAX_PLACES: Final = 15
MAX_WORD: Final = 100
"""Characters of what a filter is told beside its value: names of keys, characters to trim, digits."""
_SHORT: Final = 1_000
_SHOWN: Final = 20
"""Names that a message lists."""

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
_WALKING: Final = frozenset(
    {"list", "map", "max", "min", "reject", "rejectattr", "select", "selectattr", "sort", "sum", "unique"}
)
"""Filters that take a text for the list of its characters."""
_BY_KEY: Final = frozenset({"max", "min", "sort", "sum", "unique"})
"""Filters whose further texts are names of keys."""

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
            return f"there is no `{str(name)[:MAX_WORD]}` here; there is {_listed(name, _keys(owner))}"
        return f"`{str(name)[:MAX_WORD]}` has no value"


def _keys(owner: Any) -> list[str]:
    if isinstance(owner, Mapping):
        return [str(key) for key in owner]
    return list(entries_of(owner))


def _listed(name: object, known: list[str]) -> str:
    listed = ", ".join(f"`{key}`" for key in known[:_SHOWN]) or "nothing"
    more = f" and {len(known) - _SHOWN:,} more" if len(known) > _SHOWN else ""
    return listed + more + did_you_mean(str(name), known)


@pass_context
def emit(context: Context, value: Any) -> Markup:
    """Return *value* as JSON text, or a macro's result as it is."""
    kind = type(value)
    if kind is Markup:
        return cast(Markup, value)
    if kind is int:
        return Markup(f" {value} ")
    if isinstance(value, Undefined):
        str(value)  # raises with the message that fits
    budget = cast(JsonEnvironment, context.environment).budget
    if kind is not str or len(value) > _SHORT:  # what is short is paid for when it is written
        budget.weigh(value)
    written: str = _encode(value)
    budget.write(written)
    return Markup(f" {written} ")


class JsonEnvironment(ImmutableSandboxedEnvironment):
    """One environment per catalog; renders one template at a time.

    Raises, from inside a template: SecurityError when it asks for too much, UndefinedError when something
    has no value, and Python's TypeError, ValueError, ArithmeticError or LookupError for what makes no sense.
    """

    intercepted_binops = frozenset({"+", "-", "*", "**", "%", "//", "/"})

    def __init__(self) -> None:
        super().__init__(autoescape=True, finalize=emit, undefined=Missing, optimized=False, cache_size=0)
        self.budget = Budget()
        paying: dict[str, Callable[..., Any]] = {
            "__join": self.join, "__loop": self.budget.loop, "__key": self.budget.key,
            "__weighed": self.budget.weighed, "__searched": self.budget.searched,
            "__spend": self.budget.spend,
        }  # fmt: skip
        self._paying = tuple(paying.values())
        self.globals = {"namespace": Namespace, "range": _bounded_range, **paying}
        made = {name: cast(Callable[..., Any], FILTERS[name]) for name in FILTER_NAMES}
        made |= {"int": _int, "sum": _numbers_only(made["sum"]), "trim": _trim, "unique": _unique}
        self.filters = {name: self._measured(name, make) for name, make in made.items()}
        self.filters |= {"replace": self.replace, "join": self.join_filter, "round": _round}
        self.tests = {
            name: self._measured(name, cast(Callable[..., Any], TESTS[name])) for name in TEST_NAMES
        }

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
        self.budget.spend(SEARCH * len(plain) + cost(plain))
        self.budget.spend(plain.count(old) * len(new) * (1 if plain.isascii() and new.isascii() else 4))
        replaced = plain.replace(old, new)
        self.budget.weigh(replaced)
        return replaced

    def _joined(self, separator: str, parts: Iterable[Any]) -> str:
        if type(parts) is str:
            self.budget.spend(STEP * len(parts))
        texts = [self._plain(part) for part in parts]
        letters = sum(map(len, texts)) + len(texts) * len(separator)
        wide = not (separator.isascii() and all(map(str.isascii, texts)))
        self.budget.spend((4 if wide else 1) * letters + len(texts) * STEP)
        return separator.join(texts)

    def _plain(self, value: Any) -> str:
        if type(value) is Markup:
            raise SecurityError(_NO_TEXT)
        if value is None or isinstance(value, (bool, dict, list)):
            raise TypeError(f"{_encode(value)} is no text")
        if type(value) is Namespace:
            raise TypeError("a namespace is no text")
        if type(value) is tuple:
            self.budget.weigh(value)
        return str(value)

    def _measured(self, name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        """Return a filter or test that pays for what goes in and what comes out."""
        first = 1 if hasattr(make, "jinja_pass_arg") else 0

        @wraps(make)
        def measured(*arguments: Any, **options: Any) -> Any:
            self.budget.spend(STEP)
            for argument in (*arguments, *options.values()):
                self.budget.weigh(argument)
            if name in _WALKING:
                self._check_walk(name, arguments[first:], options)
            return self.budget.weighed(make(*arguments, **options))

        return measured

    def _check_walk(self, name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Let a text that is walked pay for each character, and refuse a name of a key that goes on and on.

        Such a name, like `a,a,a,a…`, is followed anew for each item.
        """
        for value in arguments[:1]:
            if type(value) is str:
                self.budget.spend(STEP * len(value))
        names = [options.get("attribute")]
        names += arguments[1:] if name in _BY_KEY else arguments[1:2] if name.endswith("attr") else ()
        if any(type(key) is str and len(key) > MAX_WORD for key in names):
            raise SecurityError(f"`{name}` takes a name of at most {MAX_WORD} characters")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return the result of an operator, refused when it would be large before it is made."""
        if isinstance(left, Markup) or isinstance(right, Markup):
            raise SecurityError(_NO_TEXT)
        if operator in ("**", "%", "//", "/") and not (_is_number(left) and _is_number(right)):
            raise TypeError(f"`{operator}` needs two numbers")
        if operator == "**" and abs(right) > MAX_EXPONENT:
            raise SecurityError(f"an exponent of more than {MAX_EXPONENT}")
        self._pay(operator, left, right)
        result = super().call_binop(context, operator, left, right)
        self.budget.weigh(result)
        return result

    def _pay(self, operator: str, left: Any, right: Any) -> None:
        for many, times in ((left, right), (right, left)):
            each = 1 if isinstance(many, str) and many.isascii() else 4
            if operator == "*" and isinstance(many, (str, list, tuple)) and isinstance(times, int):
                self.budget.spend(each * len(many) * max(0, times))
            elif operator == "+" and isinstance(many, (str, list, tuple)):
                self.budget.spend(each * len(many))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a map's or namespace's entry, or what the loop says of itself; no other attribute exists."""
        if isinstance(obj, dict):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if type(obj) is Namespace:
            found = entries_of(obj)
            return found[attribute] if attribute in found else self.undefined(obj=obj, name=attribute)
        if isinstance(obj, LoopContext) and attribute in _LOOP_ATTRIBUTES:
            return getattr(obj, attribute)
        if isinstance(obj, Undefined):
            str(obj)
        return self.undefined(f"there is no `.{attribute[:MAX_WORD]}` on {_kind(obj)}", name=attribute)

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
        key = repr(argument) if isinstance(argument, (int, float)) else "of that kind"
        return self.undefined(f"there is no item {key} on {_kind(obj)}", name=key)

    def is_safe_callable(self, obj: Any) -> bool:
        """Macros, `range` and `namespace` are called; nothing else is."""
        ours = (_bounded_range, Namespace, self.join, *self._paying)
        return isinstance(obj, Macro) or obj in ours


def _bounded_range(*bounds: int) -> range:
    if any(abs(bound) >= LARGEST_NUMBER for bound in bounds):
        raise SecurityError("a range of numbers that are too large")
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


def _int(value: Any, default: int = 0, base: int = 10) -> Any:
    if isinstance(value, str) and len(value) > MAX_WORD:
        raise SecurityError(f"`int` reads at most {MAX_WORD} characters")
    return FILTERS["int"](value, default, base)


def _trim(value: Any, chars: str | None = None) -> Any:
    if chars is not None and len(chars) > MAX_WORD:
        raise SecurityError(f"`trim` takes off at most {MAX_WORD} different characters")
    return FILTERS["trim"](value, chars)


def _unique(values: Iterable[Any]) -> list[Any]:
    """Return each text or number once, upper and lower case of a text being the same."""
    found: dict[Any, Any] = {}
    for value in values:
        if not isinstance(value, (str, int, float)):
            raise TypeError("`unique` takes a list of texts or numbers")
        found.setdefault(value.lower() if isinstance(value, str) else value, value)
    return list(found.values())


def _numbers_only(add: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(add)
    def total(environment: Any, values: Any, attribute: Any = None, start: Any = 0) -> Any:
        if not _is_number(start):
            raise TypeError("`sum` adds numbers")
        return add(environment, values, attribute, start)

    return total


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
