"""What YAML's parser complains about, said for people: one sentence with a remedy, at the right place."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml
from yaml.error import MarkedYAMLError

from runner.errors import Problem
from runner.text.shown import shown
from runner.text.slips import glued, split_character
from runner.text.tree import Mark, Source

_HOLE = re.compile(r"(?<!\S)\{[{%]")
_ESCAPE = re.compile(
    r'\\(?:[0abtnvfre "/\\N_LP\t]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|$)|(?P<odd>\\)'
)
_COMMENT = re.compile(r"(?<=\s)#\S.*")
_WORD = re.compile(r"[\w.+-]+:(?:\s|$)")
_VALUE = re.compile(r"(?:: |- |[,\[{] *)$")
_Place = tuple[int, int]
"""Line and column, both from 0."""


def syntax_problem(
    fault: yaml.YAMLError, source: Source, *, inside: Mark | None = None, too_deep: str = ""
) -> Problem:
    """Return *fault* of either parser as a problem in *source*; an unknown one keeps the parser's words.

    *inside* is where the innermost list or map that was still open began; *too_deep* the words for a nesting
    that the parser itself refuses, for it reads ahead (PyYAML 6.0.4 with its libyaml, from 1,000 on).
    """
    if not isinstance(fault, MarkedYAMLError) or fault.problem_mark is None:
        return Problem(message=f"this is not YAML: {fault}", path=source.path)
    at = (fault.problem_mark.line, fault.problem_mark.column)
    since = (fault.context_mark.line, fault.context_mark.column) if fault.context_mark else at
    words = " ".join(part for part in (fault.context, fault.problem) if part)
    trouble = _Trouble(words, source, since, at, inside)
    if too_deep and trouble.says("nesting depth"):
        return trouble.problem(at, too_deep)
    rules = (
        _tab, _hole, _quote, _escape, _open_end, _missing, _bracket, _flow, _behind_quote, _colon, _start,
        _indent,
    )  # fmt: skip
    found = next((problem for rule in rules if (problem := rule(trouble))), None)
    return found or trouble.problem(at, f"this is not YAML: {fault.problem or words}")


@dataclass(frozen=True, slots=True)
class _Trouble:
    """The parser's words, where it began to read the thing, and where it gave up."""

    words: str
    source: Source
    since: _Place
    at: _Place
    inside: Mark | None

    def says(self, *phrases: str) -> bool:
        return any(phrase in self.words for phrase in phrases)

    def line(self, row: int) -> str:
        return self.source.lines[row] if 0 <= row < len(self.source.lines) else ""

    @property
    def before(self) -> str:
        """The line up to the place where the parser gave up."""
        return self.line(self.at[0])[: self.at[1]]

    @property
    def character(self) -> str:
        """The character at which the parser gave up; empty behind the end."""
        return self.line(self.at[0])[self.at[1] : self.at[1] + 1]

    def problem(self, at: _Place, message: str, *, width: int = 1) -> Problem:
        row, column = at
        if not self.line(row).strip():  # behind the last text: point at its end
            while row > 0 and not self.line(row).strip():
                row -= 1
            column = len(self.line(row).rstrip())
        return Mark(self.source, row + 1, column + 1, max(1, width)).problem(message)


def _tab(trouble: _Trouble) -> Problem | None:
    for row in dict.fromkeys((trouble.at[0], trouble.since[0])):
        line = trouble.line(row)
        lead = line[: len(line) - len(line.lstrip())]
        if "\t" in lead and not trouble.says("quoted"):
            message = "YAML forbids tabs at the start of a line; use spaces"
            return trouble.problem((row, lead.index("\t")), message)
    if trouble.character == "\t":
        return trouble.problem(trouble.at, "a tab cannot stand here; use a space")
    return None


def _hole(trouble: _Trouble) -> Problem | None:
    for row in dict.fromkeys((trouble.at[0], trouble.since[0])):
        line = trouble.line(row)
        found = _HOLE.search(line)
        if found and (row, found.start()) <= trouble.at and line[: found.start()].count('"') % 2 == 0:
            message = f"a value that begins with {found.group()} needs quotes, or `>-` and a new line"
            return trouble.problem((row, found.start()), message, width=2)
    return None


def _quote(trouble: _Trouble) -> Problem | None:
    if trouble.says("quoted scalar") and trouble.says("end of stream", "document"):
        return trouble.problem(trouble.since, "this quote is never closed")
    return None


def _escape(trouble: _Trouble) -> Problem | None:
    if not trouble.says("escape", "hexdecimal", "hexadecimal", "Unicode"):
        return None
    place = trouble.at
    if halves := split_character(trouble.line(place[0])):
        return trouble.problem(place, halves)
    for row in range(trouble.since[0], len(trouble.source.lines)):
        start = trouble.since[1] if row == trouble.since[0] else 0
        odd = next((hit for hit in _ESCAPE.finditer(trouble.line(row), start) if hit["odd"]), None)
        if odd:
            place = (row, odd.start())
            break
    return trouble.problem(place, r"inside double quotes \ is special: use no quotes, or single ones")


def _open_end(trouble: _Trouble) -> Problem | None:
    mark = trouble.inside
    if mark is None or trouble.at[0] < len(trouble.source.lines) - 1 or trouble.character:
        return None
    opening = trouble.line(mark.line - 1)[mark.column - 1 : mark.column]
    if opening not in ("{", "["):
        return None
    comment = _COMMENT.search(trouble.line(mark.line - 1), mark.column)
    hint = f"; `{shown(comment.group())}` is read as a comment: put it into quotes" if comment else ""
    return mark.problem(f"this `{opening}` is never closed{hint}")


def _missing(trouble: _Trouble) -> Problem | None:
    if trouble.says("node content"):
        sign = trouble.character
        return trouble.problem(
            trouble.at, f"a value is missing before `{sign}`; text that begins so needs quotes"
        )
    if trouble.character == ":" and not trouble.before.strip():
        return trouble.problem(trouble.at, "the name before the colon is missing")
    if trouble.character in ("}", "]") and trouble.says("block", "document start"):
        return trouble.problem(trouble.at, f"this `{trouble.character}` closes nothing")
    return None


def _bracket(trouble: _Trouble) -> Problem | None:
    """Report text that begins with a bracket: `[cat|dog], sitting` is a list with something behind it."""
    row, before = trouble.at[0], trouble.before.rstrip()
    if before[-1:] not in ("]", "}") or _WORD.match(trouble.line(row)[trouble.at[1] :]):
        return None
    depth = 0
    for column in range(len(before) - 1, -1, -1):
        depth += (before[column] in "]}") - (before[column] in "[{")
        if depth == 0:
            break
    opening = before[column]
    if depth or not _VALUE.search(before[:column]):
        return None
    return trouble.problem((row, column), f"text that begins with {opening} needs quotes")


def _flow(trouble: _Trouble) -> Problem | None:
    for kind, (opening, closing) in {"flow mapping": ("{", "}"), "flow sequence": ("[", "]")}.items():
        if not trouble.says(f"parsing a {kind}"):
            continue
        if trouble.character == ":" and re.search(r":\s", trouble.before):
            return trouble.problem(trouble.at, "a second colon: text that holds `: ` needs quotes")
        opened = f"line {trouble.since[0] + 1}, column {trouble.since[1] + 1}"
        message = f"a `,` or `{closing}` is missing before this: the `{opening}` of {opened} is still open"
        return trouble.problem(trouble.at, message)
    return None


def _behind_quote(trouble: _Trouble) -> Problem | None:
    if trouble.says("block", "document start") and trouble.before.rstrip()[-1:] in ('"', "'"):
        message = "text goes on behind the closing quote; put all of it inside the quotes"
        return trouble.problem(trouble.at, message)
    return None


def _colon(trouble: _Trouble) -> Problem | None:
    if trouble.says("mapping values are not allowed"):
        before = trouble.before
        if re.search(r":\s", before):
            message = "a second colon in one line: text that holds `: ` needs quotes"
            return trouble.problem(trouble.at, message)
        place = (trouble.at[0], len(before) - len(before.lstrip()))
        above = next((row for row in range(place[0] - 1, -1, -1) if trouble.line(row).strip()), 0)
        if blank := _glued(trouble, above):
            return blank
        message = "the line above has its value already; put this one in the same column"
        return trouble.problem(place, message)
    if trouble.says("found unexpected ':'"):
        return trouble.problem(trouble.at, "put a blank behind this colon, or quotes around the text")
    if trouble.says("could not find expected ':'"):
        if blank := _glued(trouble, trouble.since[0]):
            return blank
        width = len(trouble.line(trouble.since[0]).strip())
        return trouble.problem(trouble.since, "a colon and a blank are missing behind the name", width=width)
    return None


def _glued(trouble: _Trouble, row: int) -> Problem | None:
    line = trouble.line(row)
    written = glued(line)
    if not written:
        return None
    message = f"a blank is missing behind the colon: write `{shown(written)}`"
    return trouble.problem((row, len(line) - len(line.lstrip())), message, width=len(line.strip()))


def _start(trouble: _Trouble) -> Problem | None:
    if trouble.says("sequence entries are not allowed"):
        message = "a list begins on a line of its own; text that begins with `- ` needs quotes"
        return trouble.problem(trouble.at, message)
    if trouble.says("cannot start any token", "mapping keys are not allowed"):
        return trouble.problem(trouble.at, f"text that begins with {trouble.character} needs quotes")
    kinds = ("an alias", "an anchor", "a tag", "a block scalar", "a directive", "a %")
    if trouble.says(*(f"ing {kind}" for kind in kinds)):
        row, column = min(trouble.since, trouble.at)
        sign = trouble.line(row)[column : column + 1]
        return trouble.problem((row, column), f"text that begins with {sign} needs quotes")
    return None


def _indent(trouble: _Trouble) -> Problem | None:
    if not trouble.says("block mapping", "block collection", "block sequence", "document start"):
        return None
    message = "this does not line up with what stands above; give it the column of its neighbours"
    return trouble.problem(trouble.at, message)
