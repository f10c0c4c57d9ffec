"""What is printed, and how it is made safe: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, TextIO

from runner.errors import AnimerunError, PreflightRefused, SpecError

_LIMIT = 2_000


def clean(text: str, *, limit: int = _LIMIT) -> str:
    """Return *text* as one printable line: control, bidirectional and invisible characters are shown escaped.

    What a server or a spec says may hold terminal commands; nothing of it may reach a terminal as it is. Nor
    may it command a CI: GitHub obeys lines that begin with `::`, and `##[` anywhere in one.
    """
    shown = "".join(ch if _harmless(ch) else ch.encode("unicode_escape").decode() for ch in text[:limit])
    shown = shown.replace("##[", "\\x23#[")
    if shown.lstrip().startswith("::"):
        shown = shown.replace("::", "\\x3a:", 1)
    return shown if len(text) <= limit else shown + "…"


def _harmless(ch: str) -> bool:
    return ch == " " or (ch.isprintable() and unicodedata.category(ch) not in ("Cf", "Cc", "Cs", "Co"))


def block(text: str) -> str:
    """Return *text* with its lines kept and each of them clean."""
    return "\n".join(clean(line) for line in text.splitlines())


def say(text: str = "", *, file: TextIO | None = None) -> None:
    """Print *text* on stderr (or *file*), lines kept, each one clean; a closed pipe is no error."""
    try:
        print(block(text), file=file or sys.stderr, flush=True)
    except BrokenPipeError:
        sys.stderr = sys.stdout = _Nowhere()


class _Nowhere:
    """Takes the place of a stream whose reader has gone."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None

    def isatty(self) -> bool:
        return False


def emit(line: dict[str, Any]) -> None:
    """Print one line of machine output on stdout."""
    told = json.dumps(line, ensure_ascii=True, default=str)
    print(told.replace("##[", "\\u0023#["), flush=True)  # see `clean`; the same text to every reader of JSON


def report(error: AnimerunError, *, as_json: bool) -> None:
    """Print what is wrong, with all places, and what to do next."""
    if as_json:
        emit({"event": "error", **_machine(error)})
    if isinstance(error, SpecError):
        say("\n".join(str(problem) for problem in error.problems))
        count = len(error.problems)
        say(f"\n{count} {'mistake' if count == 1 else 'mistakes'}; nothing was submitted.")
    elif isinstance(error, PreflightRefused):
        say("The servers cannot run this:\n" + "\n".join(f"  {finding}" for finding in error.findings))
        say("Nothing was submitted.")
    else:
        say(f"animerun: {error}")
    if error.hint:
        say(f"→ {error.hint}")


def _machine(error: AnimerunError) -> dict[str, Any]:
    problems = [
        {"message": p.message, "file": p.path, "line": p.line, "column": p.column}
        for p in getattr(error, "problems", ())
    ]
    findings = list(getattr(error, "findings", ()))
    extra: dict[str, Any] = {"problems": problems} if problems else {}
    if findings:
        extra["findings"] = findings
    return {
        "code": error.code,
        "exit_code": error.exit_code,
        "message": str(error),
        "hint": error.hint,
        **extra,
    }


def table(rows: Sequence[tuple[str, ...]], *, head: tuple[str, ...] = ()) -> str:
    """Return *rows* as left-aligned columns two blanks apart, wide characters counted as two."""
    everything = [head, *rows] if head else rows
    if not everything:
        return ""
    shown = [tuple(clean(cell) for cell in row) for row in everything]
    widths = [max(_width(row[i]) for row in shown) for i in range(len(shown[0]))]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in shown
    )


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(ch) in "WF" else 1 for ch in text)


def counted(number: int, word: str, plural: str = "") -> str:
    """Return `1 job`, `2 jobs`, `12,000 jobs`."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def duration(seconds: float) -> str:
    """Return seconds as people say them: `0.8 s`, `42 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02} min"
