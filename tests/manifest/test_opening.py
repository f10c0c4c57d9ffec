"""What is said of the process that has the index open."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runner.manifest import opening


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a command line of another process")
def test_a_command_line_is_shown_on_one_line() -> None:
    """Line breaks and terminal codes of somebody's command do not reach the reader's terminal."""
    code = "import sys\nprint(flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-I", "-c", code, "\x1b[31mred"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        shown = opening._command(str(child.pid))
        child.stdin.close()

    assert shown.startswith(sys.executable)
    assert "import sys print(flush=True)" in shown
    assert all(ch.isprintable() for ch in shown)
