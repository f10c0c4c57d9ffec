"""`python -m runner.previz --port 0 --folder DIR`: serve from a shell; `--help` lists the rest."""

from __future__ import annotations

import argparse
import logging
import os
import stat
import sys
import threading
from pathlib import Path

from runner.errors import SpecError
from runner.previz import serve
from runner.previz.profile import NEWEST, PROFILES
from runner.previz.script import read_script

log = logging.getLogger("runner.previz")


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; return the exit code."""
    wish = _parser().parse_args(arguments)
    target = {"filename": wish.log} if wish.log else {"stream": sys.stderr}
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", **target)
    threading.excepthook = _note_dead_thread
    try:
        serve(
            port=wish.port,
            folder=wish.folder,
            test_nodes=wish.test_nodes,
            step_ms=wish.step_ms,
            with_parent=wish.with_parent or _stdin_is_pipe(),
            profile=wish.profile,
            script=None
            if wish.script is None
            else read_script(wish.script.read_bytes(), path=str(wish.script)),
        )
    except SpecError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"previz: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.previz", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--folder", type=Path, required=True, help="gets output, input and temp")
    parser.add_argument("--test-nodes", action="store_true", help="offer nodes that misbehave on purpose")
    parser.add_argument("--step-ms", type=float, default=0.0, help="how long one sampler step takes")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when stdin ends (always so for a pipe)"
    )
    parser.add_argument("--profile", choices=list(PROFILES), default=NEWEST, help="the ComfyUI it passes for")
    parser.add_argument("--script", type=Path, help="faults to play (YAML or JSON), for testing clients")
    parser.add_argument("--log", type=Path, help="write the log there instead of stderr")
    return parser


def _stdin_is_pipe() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    # asyncio gives a child's stdin as a socket on some versions.
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _note_dead_thread(dead: threading.ExceptHookArgs) -> None:
    details = (dead.exc_type, dead.exc_value or dead.exc_type(), dead.exc_traceback)
    log.critical("%s died; no job will run any more", dead.thread and dead.thread.name, exc_info=details)


if __name__ == "__main__":
    raise SystemExit(main())
