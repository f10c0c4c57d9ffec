"""The door: what passes it, and how a process dies there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner import door

THREE_ACTS = """\
import sys
from pathlib import Path
from runner import door
door.enter(door.Doomed(int(sys.argv[2])))
path = Path(sys.argv[1])
with door.File(path / "a", "xb") as file:
    file.write(b"whole")
    file.sync()
door.rename(path / "a", path / "b")
"""


class Told(door.World):
    """The real world, and what was done in it."""

    def __init__(self) -> None:
        super().__init__()
        self.effects: list[str] = []

    def effect(self, name: str) -> None:
        self.effects.append(name)


@pytest.mark.parametrize(
    ("last", "left"),
    [(1, {}), (2, {"a": b""}), (3, {"a": b"whole"}), (4, {"a": b"whole"}), (5, {"b": b"whole"})],
)
def test_a_doomed_process_dies_before_the_effect_of_that_number(
    tmp_path: Path, last: int, left: dict[str, bytes]
) -> None:
    """What comes before the n-th effect has happened, the n-th has not, and the process was killed."""
    command = [sys.executable, "-c", THREE_ACTS, str(tmp_path), str(last)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)

    assert ended.returncode == (0 if last == 5 else -signal.SIGKILL)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == left


def test_the_command_line_reads_the_number_from_the_environment(tmp_path: Path) -> None:
    """With `ANIMERUN_CRASH_AT=1` a run is killed at its first act; a command without one is not touched."""
    here = str(Path(__file__).parents[2])
    environment = {**os.environ, "ANIMERUN_CRASH_AT": "1", "PYTHONPATH": here}

    def ended(*words: str, cwd: Path) -> int:
        command = [sys.executable, "-m", "runner", *words]
        return subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True).returncode

    assert ended("new", "demo", cwd=tmp_path) == 0
    assert ended("plan", "specs/episode1.yaml", cwd=tmp_path / "demo") == 0
    assert ended("specs/episode1.yaml", cwd=tmp_path / "demo") == -signal.SIGKILL
    assert not list((tmp_path / "demo").glob("runs/*"))


def test_every_act_on_the_disk_passes_and_folders_are_durable(tmp_path: Path) -> None:
    """Each act is told by its name, in order; missing folders are made from the top, each synced."""
    with door.entered(Told()) as told:
        door.make_folder(tmp_path / "x" / "y")
        door.make_folder(tmp_path / "x" / "y")
        with door.File(tmp_path / "x" / "y" / "a", "xb") as file:
            file.write(b"1234")
        door.truncate(tmp_path / "x" / "y" / "a", 2)
        door.link(tmp_path / "x" / "y" / "a", tmp_path / "b")
        door.unlink(tmp_path / "x" / "y" / "a")
        door.unlink(tmp_path / "x" / "y" / "a")

    assert isinstance(told, Told)
    assert told.effects[:4] == ["make folder", "sync folder", "make folder", "sync folder"]
    assert told.effects[4:] == ["open", "write", "truncate", "link", "unlink", "unlink"]
    assert (tmp_path / "b").read_bytes() == b"12"


def test_a_file_is_written_whole_however_little_the_disk_takes(tmp_path: Path) -> None:
    """`write` goes on until all bytes are taken, and appending continues behind them."""

    class Slow(door.Disk):
        def write(self, fd: int, block: memoryview) -> int:
            return os.write(fd, block[:3])

    with door.entered(door.World(disk=Slow())):
        for block in (b"0123456789", b"abcd"):
            with door.File(tmp_path / "a", "ab") as file:
                assert file.write(block) == len(block)

    assert (tmp_path / "a").read_bytes() == b"0123456789abcd"


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A file that is a link cannot be opened for writing, and what it leads to stays as it is."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "a").symlink_to(tmp_path / "theirs")
    for mode in ("xb", "wb", "ab"):
        with pytest.raises(OSError):
            door.File(tmp_path / "a", mode)

    assert (tmp_path / "theirs").read_bytes() == b"theirs"
