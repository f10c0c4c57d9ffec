"""FAULTS.md names every fault of the model, and only tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROW = re.compile(r"^\| ([SVC]\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)
ROWS = ROW.findall((HERE / "FAULTS.md").read_text("utf-8"))
WANTED = [
    *(f"S{n}" for n in range(1, 26)),
    *(f"V{n}" for n in range(1, 51)),
    *(f"C{n}" for n in range(1, 27)),
]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((HERE / path).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def test_every_row_is_there_once() -> None:
    """101 rows in their order: S1 to S25, V1 to V50, C1 to C26."""
    assert [row for row, *_ in ROWS] == WANTED


@pytest.mark.parametrize(("row", "proof"), [(row, proof) for row, _, proof, _ in ROWS])
def test_every_row_names_tests_that_exist(row: str, proof: str) -> None:
    """A row is proven by tests of this folder, or says that it is open."""
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", proof)
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(path)]

    assert missing == []
    assert named or proof.strip() == "open"
    assert len(named) == proof.count("`") // 2, f"{row} names something that is no test"
