"""`animerun previz`: the embedded server, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click


@click.command(name="previz")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8189, show_default=True, help="0 = any free port."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where its output, input and temp folders lie (a temporary one).",
)
@click.option(
    "--script",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Faults to play, for testing clients: a YAML list like [{on: POST /prompt, nth: 3, do: reset}].",
)
@click.option(
    "--profile",
    type=click.Choice(["old", "v0364", "v0330"]),
    default="v0330",
    show_default=True,
    help="Which ComfyUI it passes for, for testing clients.",
)
def command(
    port: int, folder: Path | None, script: Path | None, profile: Literal["old", "v0364", "v0330"]
) -> int:
    """Serve storyboard cards on loopback as a stand-in for ComfyUI, until Ctrl-C.

    Anything that speaks to a ComfyUI can be pointed at it; it prints its address as one JSON line.
    """
    import tempfile

    from runner.previz import serve
    from runner.previz.script import read_script

    faults = None if script is None else read_script(script.read_bytes(), path=str(script))
    if folder is not None:
        serve(port=port, folder=folder, profile=profile, script=faults)
        return 0
    with tempfile.TemporaryDirectory(prefix="animerun-previz-") as made:
        serve(port=port, folder=Path(made), profile=profile, script=faults)
    return 0
