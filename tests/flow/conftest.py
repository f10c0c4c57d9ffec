# ruff: noqa: E501 - graphs read better in long lines
from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import httpx
import pytest

from runner.cli import call

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
    """A project folder, and animerun in it: called to its end, or started as a process that a test stops."""

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

    def animerun(self, *args: str) -> tuple[int, str, str]:
        """Return the exit code and what was said, of a call within this process: starting one costs more."""
        out, err = io.StringIO(), io.StringIO()
        with chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
            code = call(list(args))
        return code, out.getvalue(), err.getvalue()

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
    # A client that verifies reads all certificates of the system first: 40 ms, and this is asked often.
    return httpx.get(f"{url}/queue", trust_env=False, verify=False).json()


def until(what: str, look: Callable[[], object], wait_s: float = WAIT_S) -> None:
    """Return soon after *look* finds something: at the latest when a tenth more time has gone by."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < wait_s:
        if look():
            return
        # To look takes processor time, which the processes that are waited for need.
        time.sleep(min(max(waited / 10, 0.01), 0.1))
    raise AssertionError(f"waited {wait_s:g} s for {what}")


GATED = """{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ (seed + number) % 16777216 }}}},
  "gate": {"class_type": "TGate", "inputs": {"image": ["empty", 0]}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["gate", 0]}}
}"""
"""A job of it runs until its server's gate lets it pass."""


class Own:
    """A server that one test has for itself: what it saved can be counted, and jobs of GATED run as long as
    the test wants."""

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

    def forget(self) -> None:
        """Make the server what it was when it started: no job, no history, nothing in its cache, no file."""
        self._post("queue", {"clear": True})
        self.open()
        self._post("interrupt", {})
        # The cache holds what the last job made.
        other = {
            "a": {
                "class_type": "EmptyImage",
                "inputs": {"width": 1, "height": 1, "batch_size": 1, "color": 1},
            },
            "b": {"class_type": "PreviewImage", "inputs": {"images": ["a", 0]}},
        }
        self._post("prompt", {"prompt": other})
        until("the server to be idle", self.idle)
        self._post("history", {"clear": True})
        for name in ("input", "output", "temp"):
            for each in (self.folder / name).iterdir():
                shutil.rmtree(each) if each.is_dir() else each.unlink()

    def _post(self, path: str, body: object) -> None:
        httpx.post(f"{self.url}/{path}", json=body, trust_env=False, verify=False).raise_for_status()


@pytest.fixture(scope="session")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """The server that tests have one after the other, by `own`."""
    folder = tmp_path_factory.mktemp("own") / "files"
    with serving(folder) as url:
        yield Own(url, folder)


@pytest.fixture
def own(lent: Own) -> Iterator[Own]:
    """A server that nobody else uses and that has done nothing yet; its gate is shut."""
    yield lent
    lent.forget()
