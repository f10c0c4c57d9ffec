"""The kill loop, short enough for every day."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = Path(__file__).parent.parent / "benchmarks" / "kill_loop.py"


@pytest.mark.slow
def test_six_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Runs killed at random instants end complete: nothing lost, recorded twice or rendered twice."""
    command = [sys.executable, str(LOOP), "--kills", "6", "--jobs", "20", "--seed", "3"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path / "loop")],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == 0, done.stdout + done.stderr
    assert told[-1]["kills"] == 6
    assert (told[-1]["duplicate_renders"], told[-1]["stray_files"]) == (0, 0)
