"""Whole runs through a proxy that breaks them: some cells of the chaos matrix; `make merge` runs them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cells import CELLS, Servers, brisk, farm_of, run_all

SOME = [
    "reset, stats, twice",
    "login, stats, always",
    "status, stats, always",
    "redirect, stats, beside",
    "truncate, object_info, twice",
    "bomb, object_info, beside",
    "eat request, submit, twice",
    "eat answer, submit, twice",
    "corrupt, submit, twice",
    "reset, submit, beside",
    "delay answer, queue, twice",
    "empty, queue, twice",
    "garbage, queue, beside",
    "eat answer, history, beside",
    "oversized header, history, twice",
    "login, view, twice",
    "redirect, view, twice",
    "corrupt, view, beside",
    "truncate, view, twice",
    "status, socket, twice",
    "garbage, frames, twice",
    "blackhole, frames, twice",
    "reset, upload, twice",
    "eat answer, upload, twice",
]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Servers]]:
    """Three pairs of servers for all cells: they wait more than they work."""
    with farm_of(3, tmp_path_factory.mktemp("farm")) as pairs:
        yield pairs


@pytest.mark.parametrize("part", range(4))
async def test_runs_end_as_they_must(part: int, tmp_path: Path, farm: list[Servers]) -> None:
    """The exit codes of the fault model, every record with its picture, never more jobs than the depth."""
    wanted = [cell for cell in CELLS if str(cell) in SOME[part::4]]
    with brisk():
        found = [it async for it in run_all(wanted, tmp_path, farm)]

    assert len(found) == 6
    assert [str(it) for it in found if it.wrong] == []


def test_the_matrix_is_whole() -> None:
    """Sixteen toxics, nine phases, and each name of the sample is one of them."""
    assert len(CELLS) == 16 * 9 * 3
    assert set(SOME) <= {str(cell) for cell in CELLS}
