"""`animerun previz`: the embedded server, by hand."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import click

from runner.cli.console import say
from runner.errors import NoServer, StorageError

_USUAL = 8189
_TRIED = 20
"""Ports from the usual one on, before any free one is taken."""


@click.command(name="previz")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="This one and no other (8189, or the next free one); 0 = any.",
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
    port: int | None, folder: Path | None, script: Path | None, profile: Literal["old", "v0364", "v0330"]
) -> int:
    """Serve storyboard cards on loopback as a stand-in for ComfyUI, until Ctrl-C.

    Anything that speaks to a ComfyUI can be pointed at it; it prints its address as one JSON line.
    """
    import tempfile

    from runner.previz import serve
    from runner.previz.script import read_script

    faults = None if script is None else read_script(script.read_bytes(), path=str(script))
    listener = _listener(port)
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="animerun-previz-")))
        try:
            serve(port=listener, folder=folder, profile=profile, script=faults)
        except OSError as error:
            raise StorageError.of("serve from", folder, error) from error
    return 0


def _listener(asked: int | None) -> socket.socket:
    """Return a socket at the port *asked* for, None = the usual or the next free one; raises NoServer."""
    from runner.previz.serving import listening

    for port in (asked,) if asked is not None else (*range(_USUAL, _USUAL + _TRIED), 0):
        try:
            listener = listening(port)
        except OSError as error:
            if asked is not None:
                told = f"cannot listen at port {asked} of this machine: {error.strerror or error}"
                raise NoServer(told, hint="another --port, or none for the next free one") from error
            continue
        if asked is None and port != _USUAL:
            found = listener.getsockname()[1]
            say(f"Port {_USUAL} is taken, by another previz or program; this one listens at {found}.")
        return listener
    raise NoServer("no port of this machine is free")
