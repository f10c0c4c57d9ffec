"""Workflow commands of GitHub Actions. Pure.

Source: GitHub's documentation "Workflow commands": `::error file=…,line=…,title=…::message`; `%`, CR and LF
are percent-encoded in values, `:` and `,` also in properties.
"""

from __future__ import annotations


def error(message: str, *, title: str = "", file: str = "", line: int = 0) -> str:
    """Return one annotation, always one line; *file* as GitHub knows it, *line* from 1."""
    named = {"file": file, "line": str(line) if line and file else "", "title": title}
    properties = ",".join(f"{name}={_property(value)}" for name, value in named.items() if value)
    return f"::error {properties}::{_value(message)}" if properties else f"::error::{_value(message)}"


def _value(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _value(text).replace(":", "%3A").replace(",", "%2C")
