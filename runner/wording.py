"""The prompt: `wording` filled from slots, then tidied; who stands in the cast and how many they are.

Also the bounded Jinja that `wording`, `deliver.name` and `deliver.video.name` share.
Pure: no files, clock, randomness or environment. Text that enters a hole is data and is never evaluated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
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

from runner.domain import Member
from runner.errors import Problem, SpecError
from runner.text.nearest import did_you_mean, nearest
from runner.text.tree import Mark

MAX_SOURCE: Final = 16_384
"""Characters of a Jinja text."""
MAX_OUTPUT: Final = 1_048_576
"""Bytes of UTF-8 that one rendering may give."""
MAX_ITEMS: Final = 100
"""Rounds of one `for`."""
MAX_LOOPS: Final = 2
"""Loops inside each other."""
KINDS: Final = ("girl", "boy", "other")
"""Kinds of character in the order in which `count` names them."""
_MEMBER: Final = ("name", "prompt", "outfit", "expression")
FIXED_HOLES: Final = frozenset({"cast", "count", "members"})
"""Holes that every wording has besides its slots."""


def hole(word: str) -> str:
    """Return the name under which *word* stands in Jinja: `aki.outfit` is `aki_outfit`."""
    return word.replace(".", "_").replace("-", "_")


# ---------------------------------------------------------------- bounded Jinja

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
        raise TemplateRuntimeError(f"there is no `{attribute}` to take; members have {', '.join(_MEMBER)}")
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
            return cls(source, holes, _ENVIRONMENT.from_string(tree))
        except TemplateError as error:
            raise ValueError(_sentence(error, source)) from error
        except (RecursionError, MemoryError, SyntaxError, OverflowError) as error:
            raise ValueError("nested too deeply") from error

    def unknown(self, allowed: Iterable[str]) -> list[tuple[str, str]]:
        """Return the holes not among *allowed*, sorted, each with the nearest allowed name or ""."""
        if self.holes <= (known := frozenset(allowed)):
            return []
        return [(name, nearest(name, known) or "") for name in sorted(self.holes - known)]

    def chunks(self, values: Mapping[str, object]) -> Iterator[tuple[str, bool]]:
        """Yield the rendered text in pieces, each with whether a hole wrote it.

        Raises:
            ValueError: A hole has no value, writes no text, or the output passes `MAX_OUTPUT`.

        """
        size = 0
        try:
            for chunk in self._template.root_render_func(self._template.new_context(dict(values))):
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


# ---------------------------------------------------------------- wording


@dataclass(frozen=True, slots=True)
class Wording:
    """A `wording`, compiled once and filled for every job."""

    text: str
    mark: Mark | None = field(compare=False)
    _jinja: Jinja = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, *, mark: Mark | None = None) -> Wording:
        """Return *text* compiled; raises SpecError at *mark* when it is no usable Jinja."""
        try:
            return cls(text, mark, Jinja.parse(text))
        except ValueError as error:
            raise _spec_error(mark, f"wording: {error}") from error

    @property
    def holes(self) -> frozenset[str]:
        """Every name it takes from outside: slots and `FIXED_HOLES`."""
        return self._jinja.holes

    def unknown_holes(self, allowed: Iterable[str]) -> list[tuple[str, str]]:
        """Return its holes that are neither in *allowed* nor `FIXED_HOLES`: (name, nearest or "")."""
        return self._jinja.unknown(FIXED_HOLES.union(allowed))

    def render(
        self, slots: Mapping[str, str], *, cast: str = "", count: str = "", members: Sequence[Member] = ()
    ) -> str:
        """Return the prompt: every hole filled, then tidied (see `tidy`).

        Slots are given by their hole's name (`hole`); the ones not set as empty texts. What a hole
        writes reaches the prompt as it is, save blanks and separators at its very end and blanks and
        commas at its beginning, which take part in the tidying. So `smile, ;d`, `...`, `vol. 2., b`
        or double blanks inside a slot stay as the author wrote them.

        Raises:
            SpecError: A hole is missing from *slots*, or the rendering is refused.

        """
        known: dict[str, object] = {**slots, "cast": cast, "count": count}
        known["members"] = [_member_hole(member) for member in members]
        for name, suggestion in self._jinja.unknown(known):
            raise _spec_error(self.mark, unknown_hole(name, suggestion))
        try:
            return _tidied(list(self._jinja.chunks(known)))
        except ValueError as error:
            raise _spec_error(self.mark, f"wording: {error}") from error


def unknown_hole(name: str, suggestion: str = "") -> str:
    """Return the sentence for a hole that no slot fills."""
    advice = (
        f"; did you mean `{suggestion}`?" if suggestion else "; a new slot needs a place under `prompts:`"
    )
    return f"the wording has a hole `{name}`, but there is no such slot{advice}"


def _member_hole(member: Member) -> dict[str, str]:
    return {name: getattr(member, name) for name in _MEMBER}


def _spec_error(mark: Mark | None, message: str) -> SpecError:
    return SpecError([mark.problem(message) if mark else Problem(message=message)])


# ---------------------------------------------------------------- tidying

_WEIGHT: Final = {",": 0, ";": 1, ".": 2}
# Within one line, blanks collapsed; NUL stands for what a hole wrote. A `;` or `.` that opens a word
# of plain text (`;d`, `.5`) and three or more points are text.
_HEAVY: Final = r"(?:;|(?<!\.)\.{1,2}(?!\.))"
_SEPARATOR: Final = rf"(?:,|(?<=[^ ]){_HEAVY}|{_HEAVY}(?=[ ,;.\0]|\Z))"
_RUN: Final = re.compile(rf" *{_SEPARATOR}(?: *{_SEPARATOR})*")
_OPENING: Final = re.compile(rf"(?: *{_SEPARATOR})+ *")
_BLANKS: Final = re.compile(r"[ \t\r\f\v]+")
_SHED: Final = " \t\r\n\f\v,"
_ELLIPSIS: Final = re.compile(r"\.{3,}")


def tidy(text: str) -> str:
    """Return *text* without the separators that empty slots left behind. Idempotent.

    Blanks collapse and stand before no separator. Of neighbouring `,` `;` `.` the heaviest stays, where
    the first stood. Separators that open a line and commas that end one go, and so do lines without
    text. Only these three characters are separators: `、`, `。`, `:`, `|` are text. So are an ellipsis
    (three points or more) and a `;` or `.` that opens a word (`;d`, `.5`).
    """
    return _tidied([(text, False)])


def _tidied(chunks: Iterable[tuple[str, bool]]) -> str:
    """Return the chunks as one tidied text; those that a hole wrote keep all but their edges."""
    kept: list[str] = []
    skeleton = "".join(_outline(text, kept) if filled else _plain(text) for text, filled in chunks)
    lines = (_tidy_line(line) for line in skeleton.split("\n"))
    filling = iter(kept)
    return re.sub("\0", lambda _: next(filling), "\n".join(line for line in lines if line))


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _outline(text: str, kept: list[str]) -> str:
    """Move the core of *text* to *kept* and return its edges with NUL for the core."""
    opened = text.lstrip(_SHED)
    tail = opened[len(opened.rstrip(f"{_SHED};.")) :]
    ellipses = list(_ELLIPSIS.finditer(tail))
    loose = len(tail) - (ellipses[-1].end() if ellipses else 0)
    core = opened[: len(opened) - loose]
    if not core:
        return ""
    kept.append(core)
    before, after = text[: len(text) - len(opened)], opened[len(core) :]
    return f"{before}\0{after}".replace("\n", " ")


def _tidy_line(line: str) -> str:
    line = _BLANKS.sub(" ", line).strip(" ")
    opening = _OPENING.match(line)
    line = line[opening.end() :] if opening else line
    line = _RUN.sub(_heaviest, line)
    return line.removesuffix(",")


def _heaviest(run: re.Match[str]) -> str:
    return max((ch for ch in run.group() if ch in _WEIGHT), key=_WEIGHT.__getitem__)


# ---------------------------------------------------------------- cast


def joined(texts: Iterable[str]) -> str:
    """Return the texts joined by `, `, each without blanks and commas at its ends, empty ones left out."""
    stripped = (text.strip(_SHED) for text in texts)
    return ", ".join(text for text in stripped if text)


def member_text(member: Member) -> str:
    """Return prompt, outfit and expression of one member, joined."""
    return joined((member.prompt, member.outfit, member.expression))


def cast_text(members: Iterable[Member]) -> str:
    """Return what `{{ cast }}` writes: the members in cast order, joined."""
    return joined(member_text(member) for member in members)


def count_of(kinds: Iterable[str]) -> str:
    """Return what `{{ count }}` writes: `2girls, 1boy`; six and more are `6+girls`; empty for none.

    *kinds* has one of `KINDS` per character; anything else (extras given as text) is not counted.
    """
    number = Counter(kinds)
    return ", ".join(_counted(number[kind], kind) for kind in KINDS if number[kind])


def _counted(number: int, kind: str) -> str:
    if number == 1:
        return f"1{kind}"
    return f"{number}{kind}s" if number < 6 else f"6+{kind}s"
