"""The prompt: `wording` filled from slots, then tidied; who stands in the cast and how many they are.

Pure: no files, clock, randomness or environment. Text that enters a hole is data and is never evaluated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from runner.domain import Member
from runner.errors import Problem, SpecError
from runner.text.jinja import Jinja, hole
from runner.text.tree import Mark

__all__ = [
    "FIXED_HOLES", "KINDS", "Wording", "cast_text", "count_of", "hole", "joined", "member_text", "tidy",
    "unknown_hole",
]  # fmt: skip

KINDS: Final = ("girl", "boy", "other")
"""Kinds of character in the order in which `count` names them."""
FIXED_HOLES: Final = frozenset({"cast", "count", "members"})
"""Holes that every wording has besides its slots."""
_MEMBER: Final = ("name", "prompt", "outfit", "expression")


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
