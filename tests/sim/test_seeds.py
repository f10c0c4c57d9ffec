"""Seeded lives: unkind networks, servers that restart, strangers that clear queues, killed processes."""

from __future__ import annotations

import pytest

from tests.sim.play import again, drawn, plain, play

JOBS = 12
SEEDS = 300
PARTS = 10
KINDS = {"quiet": (0, 60), "net": (60, 180), "chaos": (180, SEEDS)}
"""Kind → its seeds; `make merge` and `make nightly` play thousands, of 30 jobs each."""


@pytest.mark.parametrize(("kind", "part"), [(kind, part) for kind in KINDS for part in range(PARTS)])
def test_nothing_is_lost_and_nothing_recorded_twice(kind: str, part: int) -> None:
    """Every job ends in one recorded outcome, with its bytes; without outages no render is repeated."""
    first, after = KINDS[kind]
    for seed in range(first + part, after, PARTS):
        command = again(kind, seed, JOBS)
        case = drawn(kind, seed, jobs=JOBS)
        try:
            verdict = play(case).verdict
        except Exception as error:
            error.add_note(command)
            raise
        assert verdict.sound, f"{command}\n{verdict}"
        assert verdict.made + verdict.failed == case.jobs, f"{command}\n{verdict}"
        assert kind == "chaos" or verdict.duplicates == 0, f"{command}\n{verdict}"


def test_a_server_that_is_back_while_earlier_runs_are_settled_is_used() -> None:
    """What was told of the servers meanwhile reaches the new run, which else waits for one that is there."""
    played = play(plain("chaos", 887, jobs=JOBS))

    assert played.verdict.sound
    assert played.verdict.made + played.verdict.failed == JOBS
