"""The list of tests that cannot work on Windows: nothing in it is gone, and nothing is missing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.windows import cannot

TESTS = Path(__file__).parent.parent
NEEDS = {
    "symlink_to", "send_signal", "SIGSTOP", "SIGKILL", "SIGHUP", "fork", "mkfifo", "preexec_fn", "getrusage",
    "setrlimit", "flock", "ioctl", "chmod",
}  # fmt: skip
"""Names of which each makes a test one of POSIX."""
MODULES = {"fcntl", "resource", "termios", "pwd"}


def functions(path: Path) -> dict[str, ast.AST]:
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    }


def test_what_is_listed_exists() -> None:
    """Every name in the list is a test, every module a file."""
    gone = [name for name in cannot.MODULES if not (TESTS / name).is_file()]
    for name in cannot.TESTS:
        module, _, test = name.partition("::")
        if test not in functions(TESTS / module):
            gone.append(name)

    assert gone == []


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.stem)
def test_what_needs_posix_is_listed(path: Path) -> None:
    """A test that names what Windows lacks is in the list or has a mark; no other module imports it."""
    place = path.relative_to(TESTS).as_posix()
    if place in cannot.MODULES or place.startswith("windows/"):
        return
    tree = ast.parse(path.read_text("utf-8"))
    imported = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    missing = []
    for name, test in functions(path).items():
        named = {node.attr for node in ast.walk(test) if isinstance(node, ast.Attribute)}
        named |= {node.arg for node in ast.walk(test) if isinstance(node, ast.keyword) and node.arg}
        marks = getattr(test, "decorator_list", ())
        marked = any(isinstance(mark, ast.Name) or "skipif" in ast.unparse(mark) for mark in marks)
        if named & NEEDS and not marked and not cannot.reason(f"{place}::{name}"):
            missing.append(f"{place}::{name}: {', '.join(sorted(named & NEEDS))}")

    assert missing == []
    assert imported & MODULES == set()
