# ruff: noqa: E501 - commands read better on one line
"""Nothing outside the project is read or written, whatever a file is called by whomever (T13, S23, V21, C20)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.paths_tried import CHANNELS, NAMES, SHARES, names_for

ROOT = Path(__file__).parent.parent.parent
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def test_the_corpus_is_not_thinned() -> None:
    """At least 200 names for the main of eleven places."""
    assert len(NAMES) >= 200
    assert len(CHANNELS) == 11


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_no_name_leads_outside(tmp_path: Path, share: int) -> None:
    """Includes, templates, inputs, deliver names, server names, archives: no file outside is opened or changed.

    Nor is a pipe waited for, and a name is refused with a message or is harmless, never a bug.
    """
    command = [sys.executable, "-m", "tests.cli.paths_tried", str(tmp_path), str(share)]
    done = subprocess.run(command, cwd=ROOT, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    *found, last = [json.loads(line) for line in done.stdout.splitlines()] or [None]

    assert found == []
    assert last == {"tried": sum(len(names_for(each)) for each in list(CHANNELS)[share::SHARES])}, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_operating_system_saw_nothing_either(tmp_path: Path) -> None:
    """One run with its server, seen from below: every file opened for writing lies in the project or in /tmp."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/spec.yaml").write_text("animerun: 1\nepisode: demo\nscenes: {s01: {prompt: x}}\n")
    calls = tmp_path / "calls"
    command = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=openat,open,creat,rename,renameat2,link,linkat,mkdir",
        "-o",
        str(calls),
    ]
    command += [sys.executable, "-m", "runner", "spec.yaml", "--quiet"]
    done = subprocess.run(
        command,
        cwd=tmp_path / "project",
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr

    written = [
        line
        for line in calls.read_text("utf-8", "replace").splitlines()
        if "O_WRONLY" in line or "O_RDWR" in line
    ]
    paths = {line.split('"')[1] for line in written if '"' in line and " = -1 " not in line}
    allowed = (str(tmp_path), "/tmp/", "/dev/", "/proc/self/")
    assert written
    assert [path for path in sorted(paths) if path.startswith("/") and not path.startswith(allowed)] == []
