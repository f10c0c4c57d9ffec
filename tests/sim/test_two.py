"""Two runners on the same servers."""

from __future__ import annotations

import pytest

from tests.sim.two import met, wrong

JOBS = 80


@pytest.mark.parametrize("alike", [False, True])
def test_two_runners_do_not_touch_each_others_jobs(alike: bool) -> None:
    """One is stopped and resumed, and cancels only what is its own; the other needs one attempt a job.

    Where they want the same pictures, what the other has made is no reason to leave an open attempt open.
    """
    assert wrong(met(JOBS, alike=alike), JOBS) == ""
