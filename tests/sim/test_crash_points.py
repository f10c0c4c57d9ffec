"""A run is killed at every effect it has: at each request, each answer, each act on the disk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.play import Case, play

SIX = Case(jobs=6, servers=1, longest_job_s=1.0)
TWO = replace(SIX, jobs=2)
PARTS = 6


def kept(case: Case) -> None:
    """Play *case*: nothing lost, nothing twice, nothing beside the record, no render repeated."""
    played = play(case)
    assert played.verdict.sound, (case, played)
    assert (played.verdict.made, played.verdict.duplicates) == (case.jobs, 0), (case, played)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_any_effect_loses_nothing(part: int) -> None:
    """Killed there once, continued, and every job is recorded once with its bytes and rendered once."""
    effects = play(SIX).effects[0]
    assert effects > 150, "the effects do not pass the door any more"
    for last in range(part + 1, effects + 1, PARTS):
        kept(replace(SIX, crashes=(last,), torn=bool(last // PARTS % 2)))


def test_what_was_named_and_then_lost_leaves_no_file_behind() -> None:
    """Killed at any effect, and the servers restart: no file that was named stays without a record."""
    case = replace(SIX, jobs=1, forget=True)
    for last in range(1, play(case).effects[0] + 1):
        played = play(replace(case, crashes=(last,)))
        assert played.verdict.sound, (last, played)
        assert played.verdict.made == case.jobs, (last, played)


@pytest.mark.parametrize("part", range(2))
def test_two_kills_lose_nothing(part: int) -> None:
    """The process that continues is killed too, at some of all pairs; `make nightly` takes every pair."""
    for first in range(3 + part, play(TWO).effects[0], 16):
        after = play(replace(TWO, crashes=(first,))).effects[-1]
        for second in range(1 + first % 11, after, 11):
            kept(replace(TWO, crashes=(first, second), torn=bool(second % 2)))
