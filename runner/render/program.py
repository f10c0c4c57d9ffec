"""A template's body: plain values in, a checked graph out, faults told by template line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from runner.domain import Plain
from runner.errors import Problem, TemplateError
from runner.render.graph import Flaw, flaws
from runner.sandbox.client import Client
from runner.sandbox.wire import Refused, Source
from runner.text.shown import shown

CLIENT: Final = Client()
MAX_PROBLEMS: Final = 20
"""Most mistakes told of one template at once."""
_MOST_PARTS: Final = 300_000
"""Lists, maps and commas of the rendered text, which is what walking it costs; real ones have thousands."""
_SEARCHED: Final = 2**20
"""Characters of the rendered text in which nodes with flaws are looked for; real ones have 100,000."""
_LAST_COMMA = re.compile(r",\s*}\s*\Z")
_COLON = re.compile(r"\s*:")


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


@dataclass(frozen=True, slots=True)
class _Constant:
    """`NaN` or an infinity, which Python's JSON has and JSON has not."""

    name: str


def _refuse_constants(value: Plain) -> None:
    """Raise _NotOurJson for a constant anywhere in *value*; it is as deep as a decoder can read."""
    rest = [value]
    while rest:
        each = rest.pop()
        if isinstance(each, _Constant):
            raise _NotOurJson(f"`{each.name}` is no JSON number", each.name)
        rest += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise _NotOurJson(f"`{text}` is too large a number", text)
    return number


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_Constant, parse_float=_finite
).decode


def _without_answers(graph: Plain) -> Plain:
    """Return *graph* without `is_changed`, which ComfyUI writes into the nodes of a prompt it has run.

    Pictures hold it. A server that is sent one does not ask the class again whether its file has changed
    (ComfyUI 0.33 execution.py IsChangedCache.get).
    """
    for node in graph.values() if isinstance(graph, dict) else ():
        if isinstance(node, dict):
            node.pop("is_changed", None)
    return graph


class Program(Protocol):
    """What renders a template: a body here; for a graph with bindings, something simpler."""

    def nodes(self, values: Mapping[str, Plain], outputs: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the graph that *values* give, checked for *outputs*; raises TemplateError."""
        ...

    def lines_of(self, values: Mapping[str, Plain], nodes: Collection[str]) -> dict[str, int]:
        """Return node id → the line of the file that wrote it, as far as this can be found out."""
        ...


class TextProgram:
    """One template's body, rendered by the sandbox.

    Args:
        source: The body with its macros; the sandbox has loaded it before.
        lines: The lines of the file.
        path: The file's name for messages.

    """

    def __init__(self, source: Source, *, lines: tuple[str, ...], path: str) -> None:
        self._source = source
        self._lines = lines
        self._path = path

    def nodes(self, values: Mapping[str, Plain], outputs: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the graph that *values* give, checked for *outputs*.

        Raises:
            TemplateError: Something has no value, an expression is senseless or too dear, the text is not
                strict JSON, or the graph is not fit to be sent.

        """
        text = self._text(values)
        graph = self._parsed(text, values)
        found = flaws(graph, outputs)
        if found:
            raise TemplateError(self._flaws(found[:MAX_PROBLEMS], text, values))
        return graph

    def lines_of(self, values: Mapping[str, Plain], nodes: Collection[str]) -> dict[str, int]:
        """Return node id → the line of the file that wrote it, as far as this can be found out."""
        try:
            text = CLIENT.text(self._source, values)
        except Refused:
            return {}
        places = {node: _place_of_key(text, json.dumps(node, ensure_ascii=False)) for node in nodes}
        known = [node for node, place in places.items() if place >= 0]
        lines = self._template_lines([places[node] for node in known], values)
        return {node: line for node, line in zip(known, lines, strict=True) if line}

    def _text(self, values: Mapping[str, Plain]) -> str:
        try:
            return CLIENT.text(self._source, values)
        except Refused as fault:
            raise TemplateError([self._problem(line, told) for _, line, told in fault.mistakes]) from fault

    def _parsed(self, text: str, values: Mapping[str, Plain]) -> dict[str, Any]:
        try:
            text.encode()
        except UnicodeEncodeError as fault:
            raise TemplateError([self._surrogate(values, fault)]) from fault
        parts = sum(text.count(mark) for mark in "[{,")
        if parts > _MOST_PARTS:
            told = f"renders to {parts:,} lists, maps and commas; a graph has at most {_MOST_PARTS:,}"
            raise TemplateError([self._problem(0, f"{told}, so write fewer values")])
        last = _LAST_COMMA.search(text[-200:])
        if last:
            cut = max(0, len(text) - 200) + last.start()
            text = f"{text[:cut]} {text[cut + 1 :]}"
        try:
            graph = _without_answers(_decode(text))
            if "NaN" in text or "Infinity" in text:
                _refuse_constants(graph)
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
        return self._problem(self._template_lines([position], values)[0], message)

    def _flaws(self, found: Sequence[Flaw], text: str, values: Mapping[str, Plain]) -> list[Problem]:
        nodes = {flaw.node for flaw in found}
        known = {node: _place_of_key(text, json.dumps(node, ensure_ascii=False)) for node in nodes}
        places = [known[flaw.node] for flaw in found]
        lines = self._template_lines([max(0, place) for place in places], values)
        return [
            self._problem(line if flaw.node and place >= 0 else 0, flaw.message)
            for flaw, place, line in zip(found, places, lines, strict=True)
        ]

    def _template_lines(self, positions: Sequence[int], values: Mapping[str, Plain]) -> list[int]:
        """Return the lines of the file that wrote the characters at *positions* of the rendered text.

        0 where that cannot be found out: it takes a second rendering, which may be too dear.
        """
        nowhere = [0] * len(positions)
        try:
            lines = CLIENT.lines(self._source, values, positions)
        except Refused:
            return nowhere
        return lines if len(lines) == len(positions) else nowhere

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


def _place_of_key(text: str, key: str) -> int:
    """Return where the JSON text *key* stands before a colon early in *text*; -1 where it does not."""
    place = text.find(key, 0, _SEARCHED)
    while place >= 0 and not _COLON.match(text, place + len(key)):
        place = text.find(key, place + len(key), _SEARCHED)
    return place


def _is_unicode(value: Plain) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
