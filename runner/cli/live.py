"""The live display of a run on a terminal: an overall bar, one line per server, failures as they happen."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner import door
from runner.cli.console import clean, duration
from runner.cli.progress import RunView
from runner.cli.streams import unfailing
from runner.settings import Settings


class LiveView(RunView):
    """Redraws itself a few times a second; lines of news scroll by above."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._servers: dict[str, str] = {}
        self._console = Console(file=unfailing(sys.stderr), highlight=False, markup=False, emoji=False)
        self._live = Live(
            get_renderable=self._draw, console=self._console, refresh_per_second=8, transient=True
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def line(self, text: str) -> None:
        """Show one line of news above the display."""
        for each in text.splitlines():
            self._console.print(Text(clean(each)))

    def opened(self, facts: Any) -> None:
        """Give every server its line."""
        for each in facts:
            self._servers[each.url] = "previz" if each.realm == "previz" else each.url

    def succeeded(self, key: str, path: str, seconds: float) -> None:
        """The bar moves; a finished job needs no line of its own."""

    def _draw(self) -> RenderableType:
        tally = self.tally
        if not tally.total:
            return Text("Contacting the servers …" if self._servers == {} else "Checking …")
        goal = max(1, tally.total - tally.waiting)
        eta = tally.eta_s()
        row = Table.grid(padding=(0, 1))
        row.add_row(
            ProgressBar(total=goal, completed=tally.succeeded + tally.reused, width=36),
            Text(f"{tally.succeeded + tally.reused}/{goal}", style="bold"),
            Text(f"{tally.failed} failed", style="red") if tally.failed else Text(""),
            Text(f"{duration(door.monotonic() - tally.began)}", style="dim"),
            Text(f"about {duration(eta)} left" if eta is not None else "", style="dim"),
        )
        return Group(row, self._server_lines())

    def _server_lines(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for url, name in self._servers.items():
            mine = [(key, what) for server, key, what in self.tally.doing.values() if server == url]
            key, what = mine[0] if mine else ("", "")
            table.add_row(
                Text(name, style="cyan"), Text(clean(key, limit=80)), Text(clean(what, limit=40), style="dim")
            )
        return table
