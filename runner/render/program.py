"""A template's body, compiled: plain values in, a checked graph out, faults told by template line."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping
from types import CodeType, TracebackType
from typing import Any, Final, Protocol

from jinja2 import Template as JinjaTemplate
from jinja2 import nodes
from jinja2.exceptions import TemplateRuntimeError

from runner.domain import Plain
from runner.errors import Problem, TemplateError
from runner.render.budget import LARGEST_GRAPH, bound
from runner.render.environment import JsonEnvironment
from runner.render.graph import Flaw, flaws
from runner.text.shown import shown

_SENSELESS = (TemplateRuntimeError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError)
MAX_PROBLEMS: Final = 20
"""Most mistakes told of one template at once."""
_LAST_COMMA = re.compile(r",\s*}\s*\Z")
_COLON = re.compile(r"\s*:")
_MARK = re.compile("\0([0-9]+)\0")


class _NotOurJson(ValueError):
    """JSON that Python would read but that is refused here; *key* is what to look for."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _NotOurJson(f"the key `{shown(twice)}` stands twice", json.dumps(twice, ensure_ascii=False))
    return found


def _no_constant(name: str) -> Any:
    raise _NotOurJson(f"`{name}` is no JSON number", name)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise _NotOurJson(f"`{text}` is too large a number", text)
    return number


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_no_constant, parse_float=_finite
).decode


class Program(Protocol):
    """What renders a template: a compiled body here; for a graph with bindings, something simpler."""

    def nodes(self, values: Mapping[str, Plain], outputs: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the graph that *values* give, checked for *outputs*; raises TemplateError."""
        ...


class TextProgram:
    """One compiled body. Renders without touching disk; not meant for several threads at once.

    Args:
        environment: The environment that its macros live in.
        source: The body, linted, with an empty line for each line of the file before it.
        lines: The lines of the file.
        path: The file's name for messages.

    """

    def __init__(
        self, environment: JsonEnvironment, source: str, *, lines: tuple[str, ...], path: str
    ) -> None:
        self._environment = environment
        self._source = source
        self._lines = lines
        self._path = path
        self._template = compiled(environment, environment.parse(source), path)
        self._marked: JinjaTemplate | None = None

    def nodes(self, values: Mapping[str, Plain], outputs: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the graph that *values* give, checked for *outputs*.

        Raises:
            TemplateError: Something has no value, an expression is senseless or too dear, the text is not
                strict JSON, or the graph is not fit to be sent.

        """
        text = self._text(self._template, values)
        graph = self._parsed(text, values)
        found = flaws(graph, outputs)
        if found:
            text = self._text(self._template, values)
            raise TemplateError([self._flaw(flaw, text, values) for flaw in found[:MAX_PROBLEMS]])
        return graph

    def _text(self, template: JinjaTemplate, values: Mapping[str, Plain]) -> str:
        self._environment.budget.refill()
        try:
            return "".join(template.root_render_func(template.new_context(dict(values))))
        except _SENSELESS as fault:
            line = _line_of(fault.__traceback__, template, self._path)
            raise TemplateError([self._problem(line, _sentence(fault))]) from fault

    def _parsed(self, text: str, values: Mapping[str, Plain]) -> dict[str, Any]:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as fault:
            raise TemplateError([self._surrogate(values, fault)]) from fault
        if size > LARGEST_GRAPH:
            message = f"renders to {size / 2**20:.1f} MiB; a graph has at most {LARGEST_GRAPH // 2**20} MiB"
            raise TemplateError([self._problem(0, message)])
        last = _LAST_COMMA.search(text[-200:])
        if last:
            cut = max(0, len(text) - 200) + last.start()
            text = f"{text[:cut]} {text[cut + 1 :]}"
        try:
            graph = _decode(text)
        except json.JSONDecodeError as fault:
            raise TemplateError([self._broken(text, fault.pos, fault.msg, values)]) from fault
        except _NotOurJson as fault:
            place = max(0, text.rfind(fault.key))
            raise TemplateError([self._broken(text, place, str(fault), values)]) from fault
        except (ValueError, RecursionError) as fault:
            raise TemplateError([self._problem(0, f"renders to what is no graph: {fault}")]) from fault
        if not isinstance(graph, dict):
            raise TemplateError([self._problem(0, "renders to JSON that is no map of nodes")])
        return graph

    def _broken(self, text: str, position: int, reason: str, values: Mapping[str, Plain]) -> Problem:
        start = text.rfind("\n", 0, position) + 1
        row = text.count("\n", 0, position) + 1
        begin = max(start, position - 60)
        before, behind = text[begin:position].lstrip(), text[position : position + 30].partition("\n")[0]
        message = f"renders to broken JSON: {reason}; rendered line {row}: {before}⟪here⟫{behind}"
        return self._problem(self._template_line(position, values), message)

    def _flaw(self, flaw: Flaw, text: str, values: Mapping[str, Plain]) -> Problem:
        if not flaw.node:
            return self._problem(0, flaw.message)
        place = _place_of_key(text, json.dumps(flaw.node, ensure_ascii=False))
        return self._problem(0 if place < 0 else self._template_line(place, values), flaw.message)

    def _template_line(self, position: int, values: Mapping[str, Plain]) -> int:
        """Return the line of the file that wrote the character at *position* of the rendered text.

        A second rendering carries line marks (U+0000, which JSON text never holds) in its fixed parts.
        """
        if self._marked is None:
            tree = _with_marks(self._environment.parse(self._source))
            self._marked = compiled(self._environment, tree, self._path)
        starts, lines, removed = [0], [0], 0
        for mark in _MARK.finditer(self._text(self._marked, values)):
            starts.append(mark.start() - removed)
            lines.append(int(mark[1]))
            removed += len(mark[0])
        return lines[bisect_right(starts, position) - 1]

    def _surrogate(self, values: Mapping[str, Plain], fault: UnicodeEncodeError) -> Problem:
        code = f"U+{ord(fault.object[fault.start]):04X}"
        names = [f"`{name}`" for name, value in values.items() if not _is_unicode(value)]
        return self._problem(
            0, f"{', '.join(names) or 'a text'} holds {code}, half a character that no file can hold"
        )

    def _problem(self, line: int, message: str) -> Problem:
        return problem_at(self._path, self._lines, line, message)


def problem_at(path: str, lines: tuple[str, ...], line: int, message: str) -> Problem:
    """Return *message* as a problem of a whole line of a file; line 0: of the file."""
    if not 0 < line <= len(lines):
        return Problem(message=message, path=path)
    text = lines[line - 1]
    column = len(text) - len(text.lstrip()) + 1
    return Problem(
        message=message, path=path, line=line, column=column, source=text, width=len(text.strip()) or 1
    )


def compiled(environment: JsonEnvironment, tree: nodes.Template, path: str) -> JinjaTemplate:
    """Return *tree* compiled, so that it pays for what it does (*tree* is changed in place).

    Raises:
        TemplateError: Python has no room for so much nesting.

    """
    try:
        code = environment.compile(bound(tree), name=path, filename=path)
    except (SyntaxError, RecursionError, MemoryError) as fault:
        raise TemplateError([Problem(message="it is nested too deeply", path=path)]) from fault
    assert isinstance(code, CodeType)
    return JinjaTemplate.from_code(environment, code, environment.globals)


def _place_of_key(text: str, key: str) -> int:
    """Return where the JSON text *key* stands before a colon in *text*; -1 where it does not."""
    place = text.find(key)
    while place >= 0 and not _COLON.match(text, place + len(key)):
        place = text.find(key, place + 1)
    return place


def _with_marks(tree: nodes.Template) -> nodes.Template:
    for part in tree.find_all(nodes.TemplateData):
        rows = enumerate(part.data.split("\n"), part.lineno)
        part.data = "\n".join(f"\0{line}\0{row}" for line, row in rows)
    return tree


def _line_of(trace: TracebackType | None, template: JinjaTemplate, path: str) -> int:
    """Return the line of the template that was at work when *trace* was left."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


def _sentence(fault: BaseException) -> str:
    if isinstance(fault, RecursionError):
        return "calls itself without end"
    return str(fault) or type(fault).__name__


def _is_unicode(value: Plain) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
