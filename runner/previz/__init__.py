"""previz: the embedded ComfyUI-compatible server that draws storyboard cards instead of sampling.

`serve` runs it; `python -m runner.previz` is the same from a shell. See README.md beside this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from runner.previz.profile import ProfileName
    from runner.previz.script import Script


def serve(
    *,
    port: int | socket.socket = 0,
    folder: Path,
    test_nodes: bool = False,
    step_ms: float = 0.0,
    with_parent: bool = False,
    profile: ProfileName = "v0330",
    script: Script | None = None,
) -> None:
    """Serve on 127.0.0.1 until stopped; prints one JSON line with the address once it listens.

    Args:
        port: TCP port, 0 picks a free one; or a socket of `serving.listening`.
        folder: Gets the sub-folders ``output``, ``input`` and ``temp``; created if missing.
        test_nodes: Also offer the nodes that misbehave on purpose.
        step_ms: How long one sampler step takes.
        with_parent: End when stdin reaches end of file.
        profile: Which ComfyUI it passes for.
        script: What goes wrong, when and how often; for testing.

    Raises:
        OSError: The port is taken or the folder cannot be made.

    """
    from runner.previz.serving import run

    run(
        port=port,
        folder=folder,
        test_nodes=test_nodes,
        step_ms=step_ms,
        with_parent=with_parent,
        profile=profile,
        script=script,
    )
