"""Disks that fail at any act, and power cuts behind any act: nothing recorded without bytes, nothing lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.disks import ERRORS, SIX, Way, acts_of, borders, with_error, without_power, wrong

PARTS = 4
CODES = {0, 1, 6}


@pytest.mark.parametrize("part", range(PARTS))
def test_any_act_on_the_disk_may_fail(part: int) -> None:
    """Full, broken, over quota, read-only: exit 6, or it did not matter; the next process ends the run."""
    acts = acts_of(SIX)
    assert acts > 80, "the disk is not behind the door any more"
    for nth in range(part + 1, acts + 1, PARTS):
        played = with_error(nth, ERRORS[nth // PARTS % 4], lasting=bool(nth // PARTS // 4 % 2))
        assert played.codes[0] in CODES, (nth, played)
        assert wrong(played, SIX.jobs) == "", (nth, played)


@pytest.mark.parametrize("way", ["drop", "keep", "tear", "zero"])
def test_power_may_fail_behind_any_act(way: Way) -> None:
    """What was not synced is gone, there or torn: the run is completed, or exit 7 says that it cannot be."""
    case = replace(SIX, jobs=2)
    for seed, last in enumerate(borders(case)[::6]):
        played = without_power(case, last, way, seed)
        assert wrong(played, case.jobs) == "", (last, played)
