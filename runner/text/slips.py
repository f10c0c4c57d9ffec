"""Slips of the pen that YAML reads as something else, found in the source round a node."""

from __future__ import annotations

import json
import re

from runner.errors import Problem
from runner.text.shown import shown
from runner.text.tree import Entry, Mark

_GLUED = re.compile(r"([^\W\d][\w.-]*):(?!//)([^\s:].*)", re.DOTALL)
_COMMENT = re.compile(r"\s*:\s+(#\S.*)")
_PAIR = re.compile(r"(?<!\\)(?P<before>(?:\\\\)*)\\u(?P<pair>d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})", re.I)


def glued(text: str) -> str:
    """Return *text* with the blank that is missing behind its first word's colon: `cast:aki`; else ""."""
    found = _GLUED.fullmatch(text.strip())
    return f"{found[1]}: {found[2]}" if found else ""


def unset_problem(entry: Entry) -> Problem:
    """Return the mistake of an *entry* whose value `is_empty`, worded for how it most likely came about."""
    key = entry.key
    line = key.mark.source.lines[key.mark.line - 1] if key.mark.line <= len(key.mark.source.lines) else ""
    before, behind = line[: key.mark.column - 1], line[key.mark.column - 1 + key.mark.width :]
    in_braces = _next_character(key.mark) in (",", "}")
    if written := glued(key.text):
        return key.mark.problem(f"a blank is missing behind the colon: write `{shown(written)}`")
    if in_braces and "|" in key.text and before.endswith("{"):
        return Mark(key.mark.source, key.mark.line, key.mark.column - 1).problem(
            "text that begins with { needs quotes"
        )
    whole = re.search(r"(?<![0-9,])[0-9]+(?=,$)", before)
    if in_braces and whole and re.fullmatch("[0-9]+", key.text) and not re.match(r",[0-9]", behind):
        reason = f"a decimal has a point: write {whole.group()}.{key.text}"
    elif in_braces:
        reason = "inside { } text with commas needs quotes"
    elif comment := _COMMENT.fullmatch(behind):
        reason = f"`{shown(comment[1])}` is read as a comment; put it into quotes"
    else:
        reason = 'write a value, `""` for an empty text, or `null` to unset it'
    return key.mark.problem(f"`{shown(key.text)}` has no value: {reason}")


def paired(text: str) -> str:
    r"""Return *text* with characters for the pairs `\ud83c\udf38` that JSON writes; other YAML as it is."""
    if not _PAIR.search(text) or not _is_json(text):
        return text
    return _PAIR.sub(lambda found: f"{found['before']}{_character(found['pair'])}", text)


def split_character(line: str) -> str:
    r"""Return the sentence for the first pair `\ud83c\udf38` in a *line* of YAML, or an empty text."""
    found = _PAIR.search(line)
    if found is None:
        return ""
    return f"`\\u{found['pair']}` is one character in two halves: write {_character(found['pair'])}"


def _character(pair: str) -> str:
    made: str = json.loads(f'"\\u{pair}"')
    return made


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _next_character(mark: Mark) -> str:
    """Return the first character behind *mark* that is not blank; empty at the end."""
    lines = mark.source.lines[mark.line - 1 :]
    first = lines[0][mark.column - 1 + mark.width :] if lines else ""
    return next((text.lstrip()[0] for text in (first, *lines[1:]) if text.strip()), "")
