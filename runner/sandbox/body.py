"""One template in the child: parsed, checked and compiled; plain values in, text out."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from types import CodeType, TracebackType
from typing import Any, Final

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import Macro

from runner.sandbox.bounds import excess_of_source, excess_of_tree
from runner.sandbox.budget import bound
from runner.sandbox.environment import JsonEnvironment
from runner.sandbox.lint import Slip, lint_body, lint_macros, lint_tokens
from runner.sandbox.wire import BODY, LARGEST_GRAPH, Mistake, Refused, Source

MAX_MISTAKES: Final = 20
"""Most mistakes told of one file at once."""
_SENSELESS = (TemplateRuntimeError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError)
_MARK = re.compile("\0([0-9]+)\0")
_NAME = "<template>"
_DEEP = "it is nested too deeply"


class Macros:
    """The environment in which the macros of some files can be called.

    Raises:
        Refused: One of the files is broken; the first such.

    """

    def __init__(self, files: Sequence[str]) -> None:
        self.environment = JsonEnvironment()
        self.names = [self._add(number, text) for number, text in enumerate(files)]
        """Of each file, what it defines."""

    def _add(self, number: int, text: str) -> list[str]:
        tree = parsed(self.environment, text, number)
        slips = lint_tokens(self.environment, text) + lint_macros(tree, macros=macros_of(self.environment))
        _refuse(slips, number)
        names = [macro.name for macro in tree.find_all(nodes.Macro)]
        module = compiled(self.environment, tree, number).module
        self.environment.add_macros({name: getattr(module, name) for name in names})
        return names


class Body:
    """A template's body, compiled.

    Raises:
        Refused: With all its mistakes.

    """

    def __init__(self, source: Source, macros: Macros) -> None:
        self._environment = macros.environment
        self._source = "\n" * (source.first - 1) + source.body
        tree = parsed(self._environment, self._source, BODY)
        slips = lint_tokens(self._environment, self._source) + lint_body(
            tree, parameters=source.parameters, texts=source.texts, macros=macros_of(self._environment)
        )
        _refuse(slips, BODY)
        calls = tree.find_all(nodes.Call)
        self.facts = {
            "macros": macros.names,
            "called": sorted({call.node.name for call in calls if isinstance(call.node, nodes.Name)}),
            "written": bool(source.seed) and written_only(tree, source.seed),
        }
        self._template = compiled(self._environment, self._environment.parse(self._source), BODY)
        self._marked: JinjaTemplate | None = None

    def text(self, values: Mapping[str, Any]) -> bytes:
        """Return what *values* give, of at most `LARGEST_GRAPH` bytes; raises Refused."""
        text = self._rendered(self._template, values).encode("utf-8", "surrogatepass")
        if len(text) > LARGEST_GRAPH:
            size = f"{len(text) / 2**20:.1f} MiB; a graph has at most {LARGEST_GRAPH // 2**20} MiB"
            raise Refused(Mistake(BODY, 0, f"renders to {size}"))
        return text

    def lines(self, values: Mapping[str, Any], positions: Sequence[int]) -> list[int]:
        """Return the lines of the file that wrote the characters at *positions* of the text.

        A second rendering carries line marks (U+0000, which JSON text never holds) in its fixed parts.
        """
        if self._marked is None:
            tree = _with_marks(self._environment.parse(self._source))
            self._marked = compiled(self._environment, tree, BODY)
        starts, lines, removed = [0], [0], 0
        for mark in _MARK.finditer(self._rendered(self._marked, values)):
            starts.append(mark.start() - removed)
            lines.append(int(mark[1]))
            removed += len(mark[0])
        return [lines[bisect_right(starts, position) - 1] for position in positions]

    def _rendered(self, template: JinjaTemplate, values: Mapping[str, Any]) -> str:
        self._environment.budget.refill()
        try:
            return "".join(template.root_render_func(template.new_context(dict(values))))
        except _SENSELESS as fault:
            line = _line_of(fault.__traceback__, template)
            raise Refused(Mistake(BODY, line, _sentence(fault))) from fault


def written_only(tree: nodes.Template, name: str) -> bool:
    """Whether *tree* only ever writes the parameter *name*: `{{ name }}`, nothing else."""
    written = {id(part) for output in tree.find_all(nodes.Output) for part in output.nodes}
    return all(id(found) in written for found in tree.find_all(nodes.Name) if found.name == name)


def macros_of(environment: JsonEnvironment) -> set[str]:
    """Return the names of the macros that can be called."""
    return {name for name, value in environment.globals.items() if isinstance(value, Macro)}


def parsed(environment: JsonEnvironment, source: str, file: int) -> nodes.Template:
    """Return the syntax tree of *source*, of bounded size; raises Refused."""
    if excess := excess_of_source(source):
        raise Refused(Mistake(file, 0, excess))
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as fault:
        raise Refused(Mistake(file, fault.lineno, fault.message or "broken Jinja")) from fault
    except RecursionError as fault:
        raise Refused(Mistake(file, 0, _DEEP)) from fault
    except ValueError as fault:
        raise Refused(Mistake(file, 0, "it holds a number that is far too long")) from fault
    line, excess = excess_of_tree(tree)
    if excess:
        raise Refused(Mistake(file, line, excess))
    return tree


def compiled(environment: JsonEnvironment, tree: nodes.Template, file: int) -> JinjaTemplate:
    """Return *tree* compiled, so that it pays for what it does (*tree* is changed in place).

    Raises:
        Refused: Python has no room for so much nesting.

    """
    name = _NAME if file == BODY else f"<macros {file}>"
    try:
        code = environment.compile(bound(tree), name=name, filename=name)
    except (SyntaxError, RecursionError, MemoryError) as fault:
        raise Refused(Mistake(file, 0, _DEEP)) from fault
    assert isinstance(code, CodeType)
    return JinjaTemplate.from_code(environment, code, environment.globals)


def _refuse(slips: list[Slip], file: int) -> None:
    if slips:
        ordered = sorted(set(slips))[:MAX_MISTAKES]
        raise Refused(*(Mistake(file, slip.line, slip.message) for slip in ordered))


def _with_marks(tree: nodes.Template) -> nodes.Template:
    for part in tree.find_all(nodes.TemplateData):
        rows = enumerate(part.data.split("\n"), part.lineno)
        part.data = "\n".join(f"\0{line}\0{row}" for line, row in rows)
    return tree


def _line_of(trace: TracebackType | None, template: JinjaTemplate) -> int:
    """Return the line of the template that was at work when *trace* was left."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _NAME:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


def _sentence(fault: BaseException) -> str:
    if isinstance(fault, RecursionError):
        return "calls itself without end"
    return str(fault) or type(fault).__name__
