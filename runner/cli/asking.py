"""Questions to a person, and what happens when there is none."""

from __future__ import annotations

import sys

import click

from runner.cli.console import counted
from runner.errors import LimitReached

ASK_FROM = 10_000
"""Jobs from which a run is asked about."""


def confirm_size(jobs: int, *, yes: bool) -> None:
    """Ask before a very large run; without a terminal it needs `--yes`. Raises LimitReached, Abort."""
    if jobs <= ASK_FROM or yes:
        return
    if not sys.stdin.isatty():
        raise LimitReached(f"this spec makes {counted(jobs, 'job')}", hint="if that is meant: --yes")
    click.confirm(f"This spec makes {counted(jobs, 'job')}. Render them?", abort=True, err=True)
