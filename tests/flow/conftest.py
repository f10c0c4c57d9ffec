# ruff: noqa: E501 - graphs read better in long lines
from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

WAIT_S = 60.0
"""How long a test waits for what must come; a limit for what hangs, no measure."""
FRONT = "---\ntitle: a test\nparameters: {seed: {type: seed}, number: {type: int, default: 0}}\noutputs: {out: image}\n---\n"
"""A template without models: `seed` and `number` are there to be used."""


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[str]:
    """A previz child with the nodes that misbehave on purpose."""
    command = [
        sys.executable,
        "-m",
        "runner.previz",
        "--port",
        "0",
        "--folder",
        str(folder),
        "--test-nodes",
        *more,
    ]
    with (folder.parent / "previz.log").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield json.loads(child.stdout.readline())["url"]
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(60)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server named by --comfyui-url, else one previz for all tests of a session."""
    if url := request.config.getoption("--comfyui-url"):
        yield url
        return
    with serving(tmp_path_factory.mktemp("previz") / "files") as url:
        yield url


class Shop:
    """A project folder, and animerun as a process of its own in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "animerun.toml").write_text("")

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def template(self, name: str, body: str, front: str = FRONT) -> None:
        self.write(f"templates/{name}.json.j2", front + body)

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runner", *args],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def animerun(self, *args: str, wait_s: float = 2 * WAIT_S) -> tuple[int, str, str]:
        process = self.start(*args)
        out, err = process.communicate(timeout=wait_s)
        return process.returncode, out, err

    def run(self) -> Path:
        [found] = [
            path
            for path in (self.folder / "runs").iterdir()
            if not path.name.startswith(".") and path.is_dir()
        ]
        return found

    def outputs(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.run()))
            for path in self.run().rglob("*.png")
            if "plan" not in path.parts
        )


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An empty project."""
    for name in ("SERVER", "RUNS", "DEPTH", "TOKEN", "BASIC", "HEADER"):
        monkeypatch.delenv(f"ANIMERUN_{name}", raising=False)
    return Shop(tmp_path)


def queued(url: str) -> dict[str, list[list[object]]]:
    """Return the server's queue."""
    return httpx.get(f"{url}/queue", trust_env=False).json()


def until(what: str, look: Callable[[], object], wait_s: float = WAIT_S) -> None:
    """Return as soon as *look* finds something."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if look():
            return
        time.sleep(0.01)
    raise AssertionError(f"waited {wait_s:g} s for {what}")


GATED = """{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ (seed + number) % 16777216 }}}},
  "gate": {"class_type": "TGate", "inputs": {"image": ["empty", 0]}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["gate", 0]}}
}"""
"""A job of it runs until its server's gate lets it pass."""


class Own:
    """A server of one test: what it saved can be counted, and jobs of GATED run as long as the test wants."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def saved(self) -> Counter[str]:
        """Job (its number in the run) → files saved for it by any attempt of any run."""
        places = [path.parent.name for path in (self.folder / "output").rglob("*.png")]
        return Counter(place.rpartition("-a")[0] for place in places)

    def idle(self) -> bool:
        return not any(queued(self.url).values())

    def running(self) -> list[str]:
        """The ids that run now (none or one)."""
        return [str(item[1]) for item in queued(self.url)["queue_running"]]

    def pending(self) -> list[str]:
        """The ids that wait."""
        return [str(item[1]) for item in queued(self.url)["queue_pending"]]

    def allow(self, jobs: int) -> None:
        """Let so many jobs pass the gate."""
        for _ in range(jobs):
            (self.folder / "input" / f"gate-{uuid.uuid4().hex}").touch()

    def open(self) -> None:
        """Let every job pass the gate from now on."""
        (self.folder / "input" / "gate.open").touch()

    def shut(self) -> None:
        """Let no job pass."""
        (self.folder / "input" / "gate.open").unlink()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    """A server for this test alone; its gate is shut."""
    folder = tmp_path / "own" / "files"
    folder.parent.mkdir()
    with serving(folder) as url:
        yield Own(url, folder)
