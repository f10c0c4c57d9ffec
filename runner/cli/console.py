"""What is printed, and how it is made safe: results on stdout, everything else on stderr.

Text that leaves for a terminal or a CI log passes `clean`, which knows the secrets. JSON has them hidden in
its texts before it is written: in JSON as written, a password of digits would take numbers apart.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
import unicodedata
from collections.abc import Sequence
from typing import Any, TextIO

from runner import __version__
from runner.cli.streams import can_show, unfailing
from runner.errors import AnimerunError, PreflightRefused, SpecError
from runner.text.secrets import Secrets
from runner.text.shown import seen

_LIMIT = 2_000
_UNUSUAL = re.compile(r"[^ -~]")
_COMMAND = re.compile(r"##(?=\w*\[)")
"""How Azure Pipelines and TeamCity are commanded, anywhere in a line; GitHub once was too."""
_MOST_TOLD = 200
"""Mistakes of one spec that are printed; whoever has more has made one many times."""
_kept = [Secrets()]


def keep_secret(secrets: Secrets) -> None:
    """Print `***` for *secrets* from now on, in place of those known so far."""
    _kept[0] = secrets


def hide(text: str) -> str:
    """Return *text* without what is secret, else as it is: for what is written into files."""
    return _kept[0].hide(text)


def clean(text: str, *, limit: int = _LIMIT) -> str:
    """Return *text* as one printable line: control, bidirectional and invisible characters are shown escaped.

    What a server or a spec says may hold terminal commands; nothing of it may reach a terminal as it is. Nor
    may it command a CI: GitHub obeys lines that begin with `::`, others `##name[` anywhere in one.
    """
    text = _kept[0].hide(text)
    shown = _UNUSUAL.sub(_escape, text[:limit])
    shown = _COMMAND.sub(r"\\x23#", shown)
    if shown.lstrip().startswith("::"):
        shown = shown.replace("::", "\\x3a:", 1)
    return shown if len(text) <= limit else shown + "…"


def _escape(found: re.Match[str], *, json: bool = False) -> str:
    ch = found[0]
    if seen(ch):
        return ch
    if json:
        units = ch.encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return ch.encode("unicode_escape").decode()


def block(text: str) -> str:
    """Return *text* with its lines kept and each of them clean."""
    return "\n".join(clean(line) for line in text.splitlines())


def say(text: str = "", *, file: TextIO | None = None) -> None:
    """Print *text* on stderr (or *file*), lines kept, each one clean; a reader who has gone is no error."""
    print(block(text), file=unfailing(file or sys.stderr), flush=True)


def warn(text: str) -> None:
    """Print *text* as a warning on stderr."""
    say(f"warning: {text}")


class SaidByOthers(logging.Handler):
    """Prints what a library has to say; for `logging.lastResort`, which would print it as it is."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print *record* on stderr."""
        say(self.format(record))


def tell(text: str = "") -> None:
    """Print *text*, a result, on stdout: lines kept, each one clean."""
    _print(block(text) + "\n")


def rows_as_they_are(text: str) -> None:
    """Print *text*, a table for other programs, on stdout: its lines end where they did and are not cut."""
    _print("\n".join(clean(line, limit=sys.maxsize) for line in text.split("\n")))


def _print(text: str) -> None:
    """Write *text* on stdout at once. click would take a stream that claims to be ASCII for UTF-8."""
    sys.stdout.write(text)
    sys.stdout.flush()


def emit(line: dict[str, Any]) -> None:
    """Print one line of machine output on stdout; a reader who has gone is no error."""
    told = _kept[0].hide_in(line, names=True)
    text = json.dumps(told, ensure_ascii=True, default=lambda other: hide(str(other)))
    print(escaped(text), file=unfailing(sys.stdout), flush=True)


def tell_json(value: Any) -> None:
    """Print *value* on stdout as JSON that people can read."""
    told = _kept[0].hide_in(value, names=True)
    text = json.dumps(told, ensure_ascii=False, indent=2)
    if not can_show(sys.stdout, text):
        text = json.dumps(told, indent=2)
    _print(escaped(text) + "\n")


def escaped(told: str) -> str:
    """Return JSON text that commands no terminal and no CI, and says the same to every reader of JSON."""
    shown = _UNUSUAL.sub(lambda found: found[0] if found[0] == "\n" else _escape(found, json=True), told)
    return _COMMAND.sub(r"\\u0023#", shown)


def bug(error: Exception) -> None:
    """Print a fault of our own with everything needed to mend it; what was recorded is safe."""
    say("".join(traceback.format_exception(error)))
    say(f"animerun {__version__}: this is a bug in animerun. What was recorded is safe.")


def report(error: AnimerunError, *, as_json: bool) -> None:
    """Print what is wrong, with all places, and what to do next."""
    if as_json:
        emit({"event": "error", **_machine(error)})
    if isinstance(error, SpecError):
        say("\n".join(str(problem) for problem in error.problems[:_MOST_TOLD]))
        more = len(error.problems) - _MOST_TOLD
        say(f"\n{counted(len(error.problems), 'mistake')}; nothing was submitted.")
        if more > 0:
            say(f"Not shown: {more:,} further ones; --json lists all.")
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
