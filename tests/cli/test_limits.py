"""Limits of a run, as they are typed."""

from __future__ import annotations

from typing import Any

import pytest

from runner.cli.options import make_settings
from tests.cli.conftest import Project


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--max-failures", "many"), "--max-failures is `many`; it must be a number of jobs or a share"),
        (("--max-failures", "120%"), "--max-failures is `120%`"),
        (("--deadline", "soon"), "--deadline is `soon`; it must be a duration like 90s, 45m or 6h"),
        (("--no-progress", "0s"), "--no-progress is `0s`"),
    ],
)
def test_limits_that_make_no_sense_are_refused(project: Project, flags: tuple[str, str], told: str) -> None:
    """A limit is a number, a share or a duration; anything else is refused with how to write it."""
    project.write("e.yaml", "animerun: 1\nepisode: e\nscenes: {s: {prompt: x}}\n")
    said = project.animerun("e.yaml", *flags)

    assert said.code == 2
    assert told in said.err


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        ({"max_failures": 3}, "max_failures", 3),
        ({"max_failures": "25%"}, "max_failure_percent", 25.0),
        ({"deadline_s": 90.0}, "deadline_s", 90.0),
    ],
)
def test_limits_become_settings(flags: dict[str, Any], field: str, value: float) -> None:
    """A number of jobs and a share of them are two settings."""
    assert getattr(make_settings(environ={}, **flags), field) == value
