"""Deadlines that stand still while the process sleeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runner import door
from runner.awake import BEAT_S, Awake, Timetable


class Hands(door.World):
    """A world whose clock is moved by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def hands() -> Iterator[Hands]:
    world = Hands()
    with door.entered(world):
        yield world


def test_a_long_gap_between_two_readings_is_sleep(hands: Hands) -> None:
    """An hour in which nobody could read the clock does not count; the seconds round it do."""
    clock = Awake()
    began = clock()
    for step in (15, 3600, 15):
        hands.at += step
        now = clock()

    assert now - began == 30
    assert clock.slept_s == 3600


def test_what_is_due_comes_in_order_once(hands: Hands) -> None:
    """The earliest comes first, each once, and never before its time."""
    table: Timetable[str] = Timetable(Awake())
    table.add(20, "late")
    table.add(10, "soon")

    assert (table.due(), table.pause_s()) == (None, 10)
    hands.at += 20
    assert [table.due(), table.due(), table.due()] == ["soon", "late", None]
    assert table.pause_s() == BEAT_S


def test_an_alarm_does_not_ring_for_the_time_asleep(hands: Hands) -> None:
    """Ten seconds before its time the process sleeps for an hour: ten seconds are left."""
    table: Timetable[str] = Timetable(Awake())
    table.add(30, "rest")
    hands.at += 20
    assert table.due() is None
    hands.at += 3600

    assert (table.due(), table.pause_s()) == (None, 10)
