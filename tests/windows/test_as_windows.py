"""animerun on a Python that has what Windows has, as far as that can be tried here: `as_windows/`.

No real Windows has seen any of this.
"""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import runner
from tests.flow.conftest import FRONT, GATED, Own, serving, until

AS_WINDOWS = Path(__file__).parent / "as_windows"
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the stand-in is made for Linux")


class Shop:
    """A project folder, and animerun in it as on Windows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "animerun.toml").write_text("")
        self.spec(jobs=2)

    def spec(self, *, jobs: int) -> None:
        scenes = f"scenes: {{s01: {{prompt: a lamp, seeds: 1..{jobs}}}}}\n"
        (self.folder / "demo.yaml").write_text(f"animerun: 1\nepisode: demo\nsize: 64x64\n{scenes}")

    @contextmanager
    def start(self, *args: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Start animerun; it has ended afterwards."""
        child = subprocess.Popen(
            [sys.executable, "-m", "runner", *args], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings(**environment),
        )  # fmt: skip
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()
            child.communicate()

    def animerun(self, *args: str, **environment: str) -> tuple[int, str, str]:
        with self.start(*args, **environment) as child:
            out, err = child.communicate(timeout=100)
            return child.returncode, out, err

    def each(self, *commands: str) -> list[tuple[str, int]]:
        """Call one command after the other in one process; return each with its exit code."""
        program = (
            "import json, sys\nfrom runner.cli import call\n"
            "codes = [(each, call(each.split())) for each in json.loads(sys.argv[1])]\n"
            "print('\\n' + json.dumps(codes))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, json.dumps(commands)],
            cwd=self.folder, env=surroundings(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [(command, code) for command, code in json.loads(done.stdout.splitlines()[-1])]

    def runs(self) -> list[Path]:
        found = [path.parent for path in (self.folder / "runs").glob("*/run.json")]
        return sorted(found, key=lambda path: (path / "run.json").stat().st_mtime_ns)

    def gated(self, *, jobs: int) -> None:
        """Have jobs that run until their server's gate lets them pass."""
        (self.folder / "templates").mkdir()
        (self.folder / "templates" / "gated.json.j2").write_text(FRONT + GATED)
        scenes = f"scenes: {{s01: {{seeds: 1..{jobs}}}}}\n"
        (self.folder / "demo.yaml").write_text(f"animerun: 1\nepisode: demo\ntemplate: gated\n{scenes}")

    def pictures(self) -> int:
        return len([path for path in self.runs()[-1].rglob("*.png") if not path.name.startswith(".")])


def surroundings(**more: str) -> dict[str, str]:
    """Return the environment of a process that is to take itself for one on Windows."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANIMERUN_")}
    return kept | {"PYTHONPATH": str(AS_WINDOWS)} | more


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "project").mkdir()
    return Shop(tmp_path / "project")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    """A server with a gate, which animerun uses."""
    with serving(tmp_path / "files") as url:
        yield Own(url, tmp_path / "files")


def test_every_module_can_be_imported() -> None:
    """Nothing that only POSIX has is needed at import, by any module of the package."""
    names = [found.name for found in pkgutil.walk_packages(runner.__path__, "runner.")]
    names = [name for name in names if not name.endswith("__main__")]
    program = (
        "import os, runner.system, sys\nassert sys.modules['fcntl'] is None\n"
        "assert not hasattr(runner.system.os, 'O_NOFOLLOW')\n"
    ) + "\n".join(f"import {name}" for name in names)
    done = subprocess.run(
        [sys.executable, "-c", program], env=surroundings(), capture_output=True, text=True, check=False
    )

    assert len(names) > 200
    assert (done.returncode, done.stderr) == (0, "")


def test_plan_check_and_a_run_and_what_can_be_done_with_it(shop: Shop) -> None:
    """Every step of a project's life works, with files that cannot be renamed while they are open."""
    commands = ["plan demo.yaml", "check demo.yaml", "demo.yaml"]
    assert shop.each(*commands) == [(command, 0) for command in commands]
    assert shop.pictures() == 2
    shop.spec(jobs=3)
    code, out, err = shop.animerun("demo.yaml", "--json")
    lines = [json.loads(line) for line in out.splitlines()]

    assert (code, shop.pictures()) == (0, 3), err
    assert "warning" not in err
    assert [lines[-1][name] for name in ("event", "succeeded", "reused")] == ["summary", 1, 2]
    head = json.loads((shop.runs()[-1] / "run.json").read_text())
    assert head["spec_path"] == "../demo.yaml"
    run = shop.runs()[0].name
    commands = ["verify", "list", "repair", "show", f"export {run}", "prune --keep 1 --delete"]
    assert shop.each(*commands) == [(command, 0) for command in commands]
    assert not list(shop.folder.rglob("*.part"))


def test_a_damaged_journal_is_mended(shop: Shop) -> None:
    """`repair` puts the mended journal in the place of the damaged one although it has that open."""
    shop.animerun("demo.yaml")
    journal = shop.runs()[0] / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:-2], b"x" + lines[-2][1:], lines[-1]]))

    assert shop.each("repair", "verify") == [("repair", 0), ("verify", 0)]
    assert len(list(journal.parent.glob("journal.jsonl.damaged-*"))) == 1


def test_a_killed_run_is_resumed(shop: Shop, own: Own) -> None:
    """The lock of a process that was killed is free, and `resume` makes the rest."""
    shop.gated(jobs=4)
    own.allow(1)
    with shop.start("demo.yaml", "--server", own.url) as child:
        assert child.stderr is not None
        while "[1/4]" not in child.stderr.readline():
            assert child.poll() is None
        child.kill()
    own.open()
    code, _, err = shop.animerun("resume", "--server", own.url)

    assert (code, shop.pictures()) == (0, 4), err
    assert len(shop.runs()) == 1


def test_two_at_once_are_kept_apart(shop: Shop, own: Own) -> None:
    """While one process runs a spec, another is refused with the holder's name, and lists see the run."""
    shop.gated(jobs=2)
    with shop.start("demo.yaml", "--server", own.url) as child:
        until("the first job to run", own.running)
        code, _, err = shop.animerun("demo.yaml", "--server", own.url)
        listed = json.loads(shop.animerun("list", "--json")[1])

        assert child.poll() is None
        assert code == 5
        assert f"pid {child.pid} on " in err
        assert listed["state"] == "running"


def test_ctrl_c_ends_a_run_in_good_order(shop: Shop) -> None:
    """One Ctrl-C: what runs is made, the exit code is 130, no server is left, and `resume` makes the rest."""
    shop.spec(jobs=20)
    with shop.start("demo.yaml") as child:
        assert child.stderr is not None
        while " 1/20]" not in child.stderr.readline():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=100)

    assert child.returncode == 130, err
    assert "stopped by SIGINT" in err
    assert 0 < shop.pictures() < 20
    until("the embedded server is gone", lambda: not servers_of(child.pid))
    code, _, err = shop.animerun("resume")
    assert (code, shop.pictures()) == (0, 20), err


def servers_of(pid: int) -> list[int]:
    """Return the previz processes that *pid* started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if (
            b"runner.previz" in words
            and parent in (pid, 1)
            and str(AS_WINDOWS).encode() in (path / "environ").read_bytes()
        ):
            found.append(int(path.name))
    return found


def test_a_system_without_any_locks_says_so_and_runs(shop: Shop) -> None:
    """Where neither `fcntl` nor `msvcrt` is there, a run is made and warns that nothing keeps two apart."""
    code, _, err = shop.animerun("demo.yaml", ANIMERUN_TEST_NO_MSVCRT="1")

    assert (code, shop.pictures()) == (0, 2), err
    assert "this system has no file locks" in err
