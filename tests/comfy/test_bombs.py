"""Files that cost more than they weigh: each is looked at within 3 s and 512 MiB (4.5)."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.comfy.bombs import BOMBS, HARMLESS


def test_no_file_takes_more_than_its_time_and_memory() -> None:
    """More than thirty end, under limits of the system, as a refusal that says why or as what they are."""
    command = [sys.executable, "-m", "tests.comfy.bombs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    told = {line["name"]: line["told"] for line in map(json.loads, done.stdout.splitlines())}

    assert list(told) == list(BOMBS), f"{done.returncode}: {done.stderr[-2000:]}"
    assert len(BOMBS) > 30
    assert {name for name, what in told.items() if what.startswith("taken: ")} == HARMLESS
