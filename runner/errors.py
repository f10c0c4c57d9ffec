"""Every failure animerun names, with the exit code it ends a process with.

    AnimerunError 70
    ├── UsageError 2          flags and arguments
    ├── SpecError 2           a spec or a file it includes; carries all problems at once
    │   └── TemplateError 2   a template, its front matter, or what it renders to
    ├── PreflightRefused 3    the servers cannot run this batch
    ├── NoServer 4            no usable server, with what was tried
    ├── RunLocked 5           another process holds this run or spec
    ├── StorageError 6        local files: full, read-only, not ours
    ├── RecordDamaged 7       a journal or the manifest does not hold what it should
    ├── LimitReached 8        a limit the user set
    ├── Stopped 130, 143      a signal, before the first job
    └── ServerFault           one server misbehaves; never leaves `comfy/` and `submit.py`
        ├── Unreachable       no byte was sent: nothing can have happened
        │   └── Untrusted     its certificate is not to be believed
        ├── Ambiguous         bytes were sent, no trustworthy answer came back
        ├── Refused           the server said no, and repeating will not help
        │   └── NotLetIn      401, 403, 407: somebody before it asks for credentials; it never heard of us
        └── NotComfyUI        something answers there, but it is not a ComfyUI

This module imports nothing of ours.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake with its place: what a person needs to find it and to mend it."""

    message: str
    """What is wrong and what to do, one sentence, without the place."""
    path: str = ""
    """File as the user would write it (relative to the working folder where that is shorter)."""
    line: int = 0
    """1-based; 0 = no line."""
    column: int = 0
    """1-based, in characters; 0 = no column."""
    source: str = ""
    """The source line the caret stands under, without its newline."""
    width: int = 1
    """Characters underlined, at least 1."""

    @property
    def place(self) -> str:
        """`file:line:col`, as far as known."""
        return ":".join(part for part in (self.path, str(self.line or ""), str(self.column or "")) if part)

    def __str__(self) -> str:
        """`place: message`, then the source line and a caret where there is one."""
        head = f"{self.place}: {self.message}" if self.place else self.message
        if not self.source or not self.column:
            return head
        window, offset = _window(self.source, self.column - 1)
        caret = " " * offset + "^" * max(1, min(self.width, len(window) - offset or 1))
        return f"{head}\n    {window}\n    {caret}"


def _window(source: str, offset: int, *, size: int = 110) -> tuple[str, int]:
    """Return at most *size* characters of *source* round *offset*, and the offset inside them."""
    text = "".join(ch if ch.isprintable() else " " for ch in source)
    if len(text) <= size:
        return text, min(offset, len(text))
    start = max(0, min(offset - size // 2, len(text) - size))
    return text[start : start + size], offset - start


class AnimerunError(Exception):
    """Base of everything animerun raises on purpose."""

    exit_code = 70
    code = "BUG"
    hint = ""
    """What to type or change next; may be empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or type(self).hint


class UsageError(AnimerunError):
    """A flag or an argument makes no sense."""

    exit_code = 2
    code = "USAGE"


class SpecError(AnimerunError):
    """The spec cannot be used; *problems* holds every mistake found, in file order."""

    exit_code = 2
    code = "SPEC"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TemplateError(SpecError):
    """A template cannot be loaded or rendered."""

    code = "TEMPLATE"


class PreflightRefused(AnimerunError):
    """The servers cannot run this batch; *findings* holds one sentence each."""

    exit_code = 3
    code = "PREFLIGHT"

    def __init__(self, findings: Sequence[str], *, hint: str = "") -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(self.findings), hint=hint)


class NoServer(AnimerunError):
    """No server could be used."""

    exit_code = 4
    code = "NO_SERVER"
    hint = "is ComfyUI running there? To draw storyboard cards instead: --server previz"


class RunLocked(AnimerunError):
    """Another process is at work here; the message names it."""

    exit_code = 5
    code = "LOCKED"


class StorageError(AnimerunError):
    """Local storage failed; the message names path, operation and reason."""

    exit_code = 6
    code = "STORAGE"

    @classmethod
    def of(cls, operation: str, path: Path, error: OSError, *, need: int = 0) -> StorageError:
        """Return what *error* means: operation, path and reason; on a full disk what is free and needed."""
        told = f"cannot {operation} {path}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            told += f" ({_free(path)}{f'{need:,} bytes needed' if need else 'more needed'})"
        return cls(told, hint=_REMEDIES.get(error.errno or 0, ""))


_AGAIN = "free some space, then the same command again: it goes on where it stopped"
_ELSEWHERE = "another folder: --runs DIR"
_REMEDIES = {
    errno.ENOSPC: _AGAIN,
    errno.EDQUOT: _AGAIN,
    errno.EROFS: _ELSEWHERE,
    errno.ELOOP: "a folder of runs that was linked on purpose is named on the command line: --runs DIR",
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.ENAMETOOLONG: "a folder with a shorter path: --runs DIR",
    errno.EMFILE: "allow this process more open files: ulimit -n 4096",
    errno.ENOLCK: f"this file system keeps no locks; {_ELSEWHERE}",
    errno.EOPNOTSUPP: f"this file system cannot do that; {_ELSEWHERE}",
}


def _free(path: Path) -> str:
    """Return what is free where *path* lies, as part of a sentence; empty when nobody can say."""
    for folder in (path, *path.parents):
        try:
            return f"{shutil.disk_usage(folder).free:,} bytes free, "
        except OSError:
            continue
    return ""


class RecordDamaged(AnimerunError):
    """A record does not hold what it should; the message names file and line."""

    exit_code = 7
    code = "RECORD"
    hint = "animerun repair"


class LimitReached(AnimerunError):
    """A limit the user set was reached."""

    exit_code = 8
    code = "LIMIT"


class Stopped(AnimerunError):
    """A signal asked to stop before anything was submitted; *exit_code* says which."""

    code = "STOPPED"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ServerFault(AnimerunError):
    """One server misbehaves. Mapped to events in `submit.py`; never reaches a person as it is."""

    code = "SERVER"

    def __init__(self, message: str, *, status: int = 0, wait_s: float = 0.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.wait_s = wait_s
        """How long it asked to be left alone; 0 = it did not."""


class Unreachable(ServerFault):
    """The connection failed before a byte was sent: nothing can have happened."""

    code = "SERVER_UNREACHABLE"


class Untrusted(Unreachable):
    """The certificate of the server is not to be believed; nothing was sent."""

    code = "SERVER_UNTRUSTED"


class Ambiguous(ServerFault):
    """Bytes were sent and no trustworthy answer came: anything can have happened."""

    code = "SERVER_AMBIGUOUS"


class Refused(ServerFault):
    """The server answered no; the same request would be answered no again."""

    code = "SERVER_REFUSED"


class NotLetIn(Refused):
    """Credentials were not accepted (401, 403, 407). In the middle of a run this is an outage of the door."""

    code = "SERVER_NOT_LET_IN"


class NotComfyUI(ServerFault):
    """Something answers at this address, but it is not a ComfyUI."""

    code = "SERVER_NOT_COMFYUI"
