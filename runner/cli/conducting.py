"""Running the loop from the command line: signals in, a view beside it, the exit code out."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import Any

import click

from runner import door
from runner.cli.console import SaidByOthers, bug, say
from runner.cli.progress import RunView
from runner.cli.stopping import CODES, heeding, leave_soon
from runner.errors import RunLocked, Stopped
from runner.events import ServerNotice
from runner.ground import ready
from runner.manifest.store import Report
from runner.run import Control
from runner.summary import Summary

Launch = Callable[[Control], Awaitable[tuple[Summary, Report | None]]]

_LOOK_S = 0.25
"""Between two looks at a lock that is waited for."""
_TERM_GRACE_S = 10.0
"""Who sends SIGTERM kills soon afterwards."""


def conducted(view: RunView, launch: Launch) -> int:
    """Run *launch* to its end under *view* and return the exit code. The only `asyncio.run` there is.

    Raises Stopped when a signal came before the first job, and what `ground.ready` raises.
    """
    for doubt in ready(view.settings.runs, servers=len(view.settings.servers)):
        view(ServerNotice(server="", message=doubt))
    logging.lastResort = SaidByOthers(logging.WARNING)
    stops = _Stops(view)
    with heeding(stops):
        try:
            summary, index = asyncio.run(stops.conducted(partial(_when_free, launch)))
        except RunLocked as locked:
            if _asked("if_running") != "skip":
                raise
            say(f"{locked}; nothing to do here (--if-running=skip)")
            return 0
    try:
        view.ended(summary, index)
    except Exception as error:  # noqa: BLE001 - told in full; what a run came to does not depend on its display
        bug(error)
    if summary.unseen is not None:
        bug(summary.unseen)
    return summary.exit_code


async def _when_free(launch: Launch, control: Control) -> tuple[Summary, Report | None]:
    """Do what *launch* does, as soon as nobody else is at it or the time for that is over."""
    until = door.monotonic() + (_asked("wait_lock") or 0.0)
    while True:
        try:
            return await launch(control)
        except RunLocked:
            if door.monotonic() >= until:
                raise
            control.waited = True
            await asyncio.sleep(_LOOK_S)


def _asked(name: str) -> Any:
    """Return what an option of `lock_options` says, None where the command has no such option."""
    context = click.get_current_context(silent=True)
    return context.meta.get(f"animerun.{name}") if context else None


class _Stops:
    """The signals of one run. Called by the system at any moment, also while the loop is busy."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._control = Control()
        self._came: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._launched: asyncio.Future[tuple[Summary, Report | None]] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal; the second one ends the process, soon and whatever happens."""
        self._came.append(number)
        if len(self._came) == 2:
            leave_soon(CODES[signal.Signals(self._came[0])])
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ask, number)

    async def conducted(self, launch: Launch) -> tuple[Summary, Report | None]:
        """Return what *launch* returns; raises Stopped when it was stopped before the first job."""
        self._loop = asyncio.get_running_loop()
        self._launched = asyncio.ensure_future(launch(self._control))
        for number in self._came:
            self._ask(number)
        with self._view:
            try:
                return await self._launched
            except asyncio.CancelledError:
                if not self._came:
                    raise
                told = "; nothing was submitted" if not self._control.conducting else ""
                raise Stopped(
                    f"{_reason(self._came[0])}{told}", CODES[signal.Signals(self._came[0])]
                ) from None

    def _ask(self, number: int) -> None:
        grace_s = None if number == signal.SIGINT else _TERM_GRACE_S
        self._control.stop(_reason(number), CODES[signal.Signals(number)], grace_s=grace_s)
        if self._control.conducting:
            self._view.stopping(again=self._control.asked > 1)
        elif self._launched is not None:
            self._launched.cancel()


def _reason(number: int) -> str:
    if number == signal.SIGINT and sys.stdin.isatty():
        return "stopped by you"
    return f"stopped by {signal.Signals(number).name}"
