"""The seeded bugs keep up with the code: running them all is `make seeded-bugs`."""

from __future__ import annotations

import ast

import pytest

from tests.seeded_bugs import BUGS, ROOT, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_has_its_place_and_its_tests(bug: Bug) -> None:
    """Its place is found exactly once, what it makes of it is Python, and the tests named exist."""
    source = (ROOT / bug.path).read_text("utf-8")

    assert source.count(bug.old) == 1
    ast.parse(source.replace(bug.old, bug.new))
    assert [test for test in bug.tests if not (ROOT / test.partition("::")[0]).exists()] == []


def test_none_of_the_list_was_dropped() -> None:
    """The first 24 are mistakes one would most likely make, the others such as tests once let pass."""
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 50
