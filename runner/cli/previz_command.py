"""`animerun previz`: the embedded server, by hand."""

from __future__ import annotations

from pathlib import Path

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
def command(port: int, folder: Path | None) -> int:
    """Serve storyboard cards on loopback as a stand-in for ComfyUI, until Ctrl-C.

    Anything that speaks to a ComfyUI can be pointed at it; it prints its address as one JSON line.
    """
    import tempfile

    from runner.previz import serve

    if folder is not None:
        serve(port=port, folder=folder)
        return 0
    with tempfile.TemporaryDirectory(prefix="animerun-previz-") as made:
        serve(port=port, folder=Path(made))
    return 0
