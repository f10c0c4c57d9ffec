"""Answers of real servers, broken in every way; `make nightly` reads millions of them."""

from __future__ import annotations

import pytest

from . import mutations


@pytest.mark.parametrize("seed", range(5))
def test_damaged_answers_are_values_or_faults(seed: int) -> None:
    """Whatever a server says, reading it raises nothing, and no success lacks an output."""
    mutations.run(1000, seed)
