"""Signals that come between the steps of the command line itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")

BETWEEN = """
import os, signal, sys
from runner import cli

def interrupted(name):
    was = getattr(cli, name)

    def step(*given):
        setattr(cli, name, was)
        os.kill(os.getpid(), signal.SIGHUP)
        return was(*given)

    setattr(cli, name, step)

for name in sys.argv[1:]:
    interrupted(name)
cli.main(["templates"])
"""


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        (["_keep_secrets"], 143),
        (["end_undisturbed"], 0),
        (["_keep_secrets", "end_undisturbed"], 143),
        (["_keep_secrets", "_stopped"], 143),
    ],
)
def test_a_signal_between_two_steps_is_no_bug(tmp_path: Path, steps: list[str], code: int) -> None:
    """Before a command begins a signal stops it; a known exit code stays; nothing is a bug."""
    child = [sys.executable, "-c", BETWEEN, *steps]
    done = subprocess.run(child, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "Traceback" not in done.stderr
    assert done.returncode == code
