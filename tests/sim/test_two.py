"""Two runners on the same servers."""

from __future__ import annotations

import pytest

from tests.sim.two import met, wrong

JOBS = 100


@pytest.mark.parametrize("seed", range(2))
def test_two_runners_do_not_touch_each_others_jobs(seed: int) -> None:
    """One is stopped and resumed, and cancels only what is its own; the other needs one attempt a job."""
    assert wrong(met(JOBS, seed=seed), JOBS) == ""
