"""What is looked at before a run: where the record lies, and how many files may be open."""

from __future__ import annotations

import fcntl
import resource
from pathlib import Path

import pytest

from runner import ground
from runner.cli.conducting import conducted
from runner.cli.progress import RunView
from runner.errors import StorageError
from runner.ground import file_system, ready
from runner.manifest.store import Report
from runner.run import Control
from runner.settings import Settings
from runner.summary import Summary


@pytest.fixture
def nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of which the system says that it lies on a network."""
    mounts = tmp_path / "mounts"
    folder = tmp_path / "a share"
    written = str(folder).replace(" ", "\\040")
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nnas:/x {written} nfs4 rw 0 0\n")
    monkeypatch.setattr(ground, "MOUNTS", mounts)
    return folder


def test_the_deepest_mount_tells(nfs: Path) -> None:
    """A folder lies on what is mounted nearest above it, whether it exists or not."""
    assert file_system(nfs / "runs") == "nfs4"
    assert file_system(nfs.parent / "a share too") == "ext4"


def test_a_network_file_system_is_told_before_the_run(nfs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where another process sees our locks it is a word of warning, and the run goes on."""
    (nfs / "runs").mkdir(parents=True)
    summary = Summary(
        run="r", folder=nfs, total=0, succeeded=0, reused=0, failed=0, waiting=0, files=0, exit_code=0,
        reason="", seconds=0.0,
    )  # fmt: skip

    async def launch(_: Control) -> tuple[Summary, Report | None]:
        return summary, None

    assert conducted(RunView(Settings(runs=nfs / "runs")), launch) == 0
    assert "lies on a network file system (nfs4): locks hold there now" in capsys.readouterr().err
    assert list((nfs / "runs").iterdir()) == []


def test_locks_that_do_not_hold_are_refused(nfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 6 when another process can take what this one holds, as on a share mounted without locks."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)

    with pytest.raises(StorageError, match="without locks") as caught:
        ready(nfs / "runs", servers=1)
    assert caught.value.exit_code == 6
    assert "--runs DIR" in caught.value.hint


def test_a_disk_of_this_machine_is_no_matter(tmp_path: Path) -> None:
    """Nothing is said and nothing is written."""
    assert ready(tmp_path / "runs", servers=1) == ()
    assert list(tmp_path.iterdir()) == []


def test_too_few_open_files_are_found_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shell allows is raised as far as the system lets us; beyond that it is exit 6."""
    limits = {"now": (64, 100)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limits.update(now=both))
    ready(tmp_path, servers=1)
    with pytest.raises(StorageError, match=r"may have 100 files open, .* needs up to 192") as caught:
        ready(tmp_path, servers=4)

    assert limits["now"] == (96, 100)
    assert caught.value.exit_code == 6
    assert "ulimit -n 192" in caught.value.hint
