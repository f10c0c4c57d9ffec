"""A wall clock that somebody sets while a run goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.play import Case, drawn, play

DAY_S = 86_400.0


def lived(case: Case) -> tuple[object, ...]:
    """Return all that happened in its order: effects, processes with their codes, and when it was over."""
    effects: list[str] = []
    played = play(case, effects=effects)
    assert played.verdict.sound
    return effects, played.effects, played.codes, played.virtual_s


@pytest.mark.parametrize("seed", [1, 2, 5])
@pytest.mark.parametrize("by", [DAY_S, -DAY_S])
def test_a_clock_set_by_a_day_and_back_changes_nothing(by: float, seed: int) -> None:
    """No limit fires early or late and the order is the same, to the last effect and the same virtual second.

    The lives have faults, settle times, retries, outages and kills in them: whatever waits, waits as long.
    """
    case = drawn("chaos", seed, jobs=8)

    assert lived(replace(case, clock_steps={1.0: by, 6.0: -by, 12.0: by})) == lived(case)
