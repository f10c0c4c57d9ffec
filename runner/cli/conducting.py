"""Running the loop from the command line: signals in, a view beside it, the exit code out."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

from runner.cli.console import SaidByOthers
from runner.cli.progress import RunView
from runner.manifest.store import Report
from runner.run import Control, Summary

Launch = Callable[[Control], Awaitable[tuple[Summary, Report | None]]]


def conducted(view: RunView, launch: Launch) -> int:
    """Run *launch* to its end under *view* and return the exit code. The only `asyncio.run` there is."""
    logging.lastResort = SaidByOthers(logging.WARNING)
    return asyncio.run(_conducted(view, launch))


async def _conducted(view: RunView, launch: Launch) -> int:
    control = Control()
    loop = asyncio.get_running_loop()
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        loop.add_signal_handler(number, _asked, control, view, code)
    with view:
        summary, index = await launch(control)
    view.ended(summary, index)
    return summary.exit_code


def _asked(control: Control, view: RunView, code: int) -> None:
    control.stop("stopped by you" if sys.stdin.isatty() else "stopped by a signal", code)
    view.stopping(again=control.asked > 1)
