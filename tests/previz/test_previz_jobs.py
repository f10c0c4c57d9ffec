"""The queue and the history as state."""

from __future__ import annotations

import pytest

from runner.previz.jobs import LARGEST_HISTORY, Item, Jobs


def item(number: float, name: str, node_id: str = "1") -> Item:
    """Return a job."""
    return (number, name, {node_id: {"inputs": {}}}, {"auth_token_comfy_org": "secret"}, ["1"])


def test_the_lowest_number_runs_first_then_the_lowest_id() -> None:
    """The order is number, then id as text."""
    jobs = Jobs()
    for each in (item(2, "b"), item(2, "a"), item(-1, "z")):
        jobs.put(each)

    assert [jobs.take()[1] for _ in range(3)] == ["z", "a", "b"]


@pytest.mark.parametrize(
    ("body", "expected"), [({}, 5), ({"front": True}, -5), ({"number": "2.5", "front": True}, 2.5)]
)
def test_numbers(body: dict, expected: float) -> None:
    """A job gets the counter, minus the counter, or what it asks for."""
    assert Jobs(counter=5).number(body) == expected


def test_an_equal_number_and_id_is_refused_and_queued() -> None:
    """The comparison of two graphs fails after the job is in."""
    jobs = Jobs()
    jobs.put(item(1, "a"))
    with pytest.raises(TypeError):
        jobs.put(item(1, "a", "2"))

    assert jobs.remaining == 2


def test_what_runs_is_not_what_is_shown() -> None:
    """Changes that execution makes to the graph do not reach queue and history."""
    jobs = Jobs()
    jobs.put(item(1, "a"))
    jobs.take()[2]["1"]["is_changed"] = ["x"]
    jobs.finish({"outputs": {}})

    assert jobs.history["a"]["prompt"][2] == {"1": {"inputs": {}}}


def test_secrets_do_not_reach_history() -> None:
    """Credentials are shown in the queue only."""
    jobs = Jobs()
    jobs.put(item(1, "a"))
    jobs.take()
    jobs.finish({})

    assert jobs.history["a"]["prompt"][3] == {}


def test_history_is_bounded() -> None:
    """The oldest entry goes when there are too many."""
    jobs = Jobs(history={str(index): {} for index in range(LARGEST_HISTORY + 1)})
    jobs.put(item(1, "new"))
    jobs.take()
    jobs.finish({})

    assert len(jobs.history) == LARGEST_HISTORY + 1
    assert ("0" in jobs.history, "new" in jobs.history) == (False, True)


@pytest.mark.parametrize(
    ("max_items", "offset", "expected"),
    [
        (None, -1, "abcd"),
        (2, -1, "cd"),
        (2, 0, "ab"),
        (2, 1, "bc"),
        (None, 3, "d"),
        (0, -1, ""),
        (-1, -1, ""),
        (0, 0, "a"),
        (9, -1, "abcd"),
        (None, 9, ""),
    ],
)
def test_pages(max_items: int | None, offset: int, expected: str) -> None:
    """Pages count from the oldest; without an offset the newest are meant."""
    jobs = Jobs(history={name: {} for name in "abcd"})

    assert "".join(jobs.page(max_items, offset)) == expected
