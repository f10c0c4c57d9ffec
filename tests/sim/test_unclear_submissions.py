"""What a failed POST may mean, row by row, and a kill at each effect behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.play import Case, play
from tests.sim.world import Fate

ROWS = {
    "the answer is eaten": Fate(0.0, "reset"),
    "reset before the server": Fate(None, "reset"),
    "the answer comes too late": Fate(0.0, "silence"),
    "a proxy takes it and is silent": Fate(None, "silence"),
    "the request is eaten, clean close": Fate(None, "closed"),
    "a proxy answers 502": Fate(None, "html"),
    "a proxy answers 502 after passing it on": Fate(0.0, "html"),
    "the client hangs up behind the body": Fate(2.0, "reset"),
    "500, yet queued": Fate(0.0, "500"),
    "half of the answer": Fate(0.0, "half"),
}
"""Row → what becomes of the first submission."""

ONE = Case(jobs=1, servers=1, longest_job_s=1.0)
BEHIND = 40
"""Effects from the first submission on that are tried: the last one is behind the end of the run."""


def submission(case: Case) -> int:
    """Return the number of the effect that is the first POST."""
    effects: list[str] = []
    play(case, effects=effects)
    return 1 + effects.index("POST")


@pytest.mark.parametrize("row", ROWS)
def test_an_unclear_submission_is_looked_up(row: str) -> None:
    """Whatever the server did and whenever the client dies: rendered once, recorded once."""
    case = replace(ONE, submissions=(ROWS[row],))
    at = submission(case)
    for last in (None, *range(at + 1, at + BEHIND, 1)):
        played = play(replace(case, crashes=() if last is None else (last,)))
        verdict = played.verdict
        assert verdict.sound, (row, last, played)
        assert (verdict.made, verdict.duplicates) == (1, 0), (row, last, played)


def test_what_shows_up_behind_the_settle_time_is_told_as_a_second_render() -> None:
    """A submission that arrives after it was given up is rendered twice, and the record says so."""
    lines: list[str] = []
    played = play(replace(ONE, submissions=(Fate(30.0, "reset"),), linger_s=60.0), tell=lines.append)

    assert played.verdict.sound
    assert (played.verdict.made, played.verdict.duplicates) == (1, 1)
    assert any(" failed 1 " in line and "LOST" in line for line in lines), lines
