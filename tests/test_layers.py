"""The structure of the code and of the tests, read from their sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUNNER = ROOT / "runner"

LAYERS = [
    {"errors"},
    {"domain"},
    {"events", "settings", "text"},
    {"faults", "story", "naming", "values", "wording", "explain", "relink", "likeness", "diff", "drift"},
    {"comfy", "manifest", "previz"},
    {"spec", "expand", "render", "schedule", "submit", "collect", "record"},
    {"inputs", "rendered", "reuse", "embedded", "completions"},
    {"variants"},
    {"plan"},
    {"preflight", "stored"},
    {"run"},
    {"resume", "replay"},
    {"launch", "compare"},
    {"cli"},
    {"__main__"},
]
"""Lowest first. A module imports lower rows, or its own folder; neighbours do not know each other."""

BESIDE = {
    ("values", "naming"),
    ("wording", "naming"),
    ("story", "faults"),
    ("faults", "story"),
    ("domain", "errors"),
}
PURE = [
    "spec",
    "expand",
    "render",
    "schedule",
    "comfy/protocol",
    "comfy/verdict",
    "naming",
    "values",
    "wording",
    "drift",
]
IMPURE = {
    "asyncio",
    "datetime",
    "duckdb",
    "httpx",
    "random",
    "secrets",
    "socket",
    "time",
    "uuid",
    "websockets",
}


def row(name: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if name in names]
    assert found, f"runner/{name} has no row in LAYERS"
    return found[0]


def modules() -> list[Path]:
    return sorted(path for path in RUNNER.rglob("*.py") if "shipped" not in path.parts)


def imported(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name if node.module == "runner" else node.module, node.lineno) for name in names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(RUNNER)))
def test_imports_point_one_way(path: Path) -> None:
    """A module imports only what stands in a lower row, or in its own folder."""
    mine = path.relative_to(RUNNER).parts[0].removesuffix(".py")
    wrong = []
    for name, line in imported(path):
        if not name.startswith("runner.") or mine == "__init__":
            continue
        theirs = name.split(".")[1]
        if theirs in (mine, "__version__") or (mine, theirs) in BESIDE:
            continue
        if row(theirs) >= row(mine):
            wrong.append(f"{path.name}:{line} imports {name}")

    assert wrong == []


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_know_no_outside(name: str) -> None:
    """Decisions are made without clock, loop, network, database or randomness."""
    place = RUNNER / name
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    wrong = [
        f"{path.relative_to(RUNNER)}:{line} imports {found}"
        for path in paths
        for found, line in imported(path)
        if found.split(".")[0] in IMPURE
    ]

    assert paths
    assert wrong == []


def test_only_the_command_line_reads_the_environment() -> None:
    """Settings are a value passed down: os.environ is read in cli/ and nowhere else."""
    wrong = [
        f"{path.relative_to(RUNNER)}:{node.lineno}"
        for path in modules()
        if path.relative_to(RUNNER).parts[0] != "cli"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]

    assert wrong == []


def test_every_test_states_its_behaviour() -> None:
    """Each test function begins with one sentence that says what holds."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_modules_have_one_subject() -> None:
    """No module grows beyond 500 lines."""
    long = {
        str(path.relative_to(RUNNER)): lines
        for path in modules()
        if (lines := len(path.read_text("utf-8").splitlines())) > 500
    }

    assert long == {}
