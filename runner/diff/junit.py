"""JUnit XML of a run: a suite for each scene and cut, a case for each job. Pure.

What a server or a spec says stands in it as text: characters XML does not know are dropped, all others are
escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LIMIT = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a case is not passed."""

    tag: Literal["failure", "error", "skipped"]
    """What the gate or the job is to blame for; what was not rendered; what waits for somebody."""
    kind: str
    message: str
    lines: tuple[str, ...] = ()
    """The cause in full, and the paths of both pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One job."""

    key: str
    suite: str
    """Scene and cut."""
    seconds: float = 0.0
    trouble: Trouble | None = None
    note: str = ""
    """Said of a case that is passed."""


def junit(name: str, cases: Iterable[Case]) -> Iterator[str]:
    """Yield the report *name* piece by piece; *cases* of one suite stand together. Memory: one suite."""
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name={_attribute(name)}>\n'
    for suite, group in groupby(cases, key=lambda case: case.suite):
        yield from _suite(suite, list(group))
    yield "</testsuites>\n"


def _suite(name: str, cases: list[Case]) -> Iterator[str]:
    tags = [case.trouble.tag for case in cases if case.trouble]
    counts: Mapping[str, int] = {
        "tests": len(cases),
        "failures": tags.count("failure"),
        "errors": tags.count("error"),
        "skipped": tags.count("skipped"),
    }
    told = " ".join(f'{word}="{number}"' for word, number in counts.items())
    seconds = sum(case.seconds for case in cases)
    yield f'  <testsuite name={_attribute(name)} {told} time="{seconds:.3f}">\n'
    for case in cases:
        yield from _case(case)
    yield "  </testsuite>\n"


def _case(case: Case) -> Iterator[str]:
    head = f"    <testcase classname={_attribute(case.suite.replace('/', '.'))} name={_attribute(case.key)}"
    head += f' time="{case.seconds:.3f}"'
    if case.trouble is None and not case.note:
        yield f"{head}/>\n"
        return
    yield f"{head}>\n"
    if case.trouble is not None:
        yield _trouble(case.trouble)
    if case.note:
        yield f"      <system-out>{_text(case.note)}</system-out>\n"
    yield "    </testcase>\n"


def _trouble(trouble: Trouble) -> str:
    kind = "" if trouble.tag == "skipped" else f" type={_attribute(trouble.kind)}"
    head = f"      <{trouble.tag}{kind} message={_attribute(trouble.message)}"
    body = "\n".join(trouble.lines)
    return f"{head}>{_text(body)}</{trouble.tag}>\n" if body else f"{head}/>\n"


def _plain(text: str) -> str:
    return _FORBIDDEN.sub("", text[:_LIMIT])


def _text(text: str) -> str:
    return escape(_plain(text))


def _attribute(text: str) -> str:
    return quoteattr(_plain(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
