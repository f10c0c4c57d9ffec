"""Paths in a spec: they start at the project's folder, use `/` and stay inside."""

from __future__ import annotations

import posixpath
import re
from itertools import groupby
from typing import Final

MAX_ANY_DEPTH: Final = 2
"""`**` in one pattern: each more multiplies what is walked by the depth of the folder."""


def project_path(text: str) -> str:
    """Return *text* as a path below the project's folder, `./` and double slashes taken out.

    A glob passes too, `**` right behind `**` taken out. Whether the file exists is not asked here.

    Raises:
        ValueError: Absolute, with a drive, a `..`, a backslash, a home folder, an address or more `**`
            than `MAX_ANY_DEPTH`; the text names the form to write where there is one.

    """
    if not text.strip():
        raise ValueError("a path is wanted here")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("a path holds no control characters")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):
        raise ValueError("a file of the project is wanted here, not an address")
    if re.match(r"[A-Za-z]:|[/\\]|~", text):
        raise ValueError(
            "paths start at the project's folder; copy the file there and write its path from it"
        )
    if "\\" in text:
        raise ValueError(f"paths use `/`; write {text.replace(chr(92), '/')}")
    return _inside(text)


def _inside(text: str) -> str:
    folded = posixpath.normpath(text)
    if folded == ".." or folded.startswith("../"):
        raise ValueError("the path leaves the project's folder; copy the file into it")
    if ".." in text.split("/"):
        raise ValueError(f"paths hold no `..`; write {folded}")
    if folded == "." or text.endswith("/"):
        raise ValueError("a file is wanted here, not a folder")
    return _walked(folded)


def _walked(pattern: str) -> str:
    parts = [part for part, run in groupby(pattern.split("/")) for part in (run if part != "**" else [part])]
    if parts.count("**") > MAX_ANY_DEPTH:
        raise ValueError(f"a pattern holds at most {MAX_ANY_DEPTH} `**`; write the folders' names instead")
    return "/".join(parts)
