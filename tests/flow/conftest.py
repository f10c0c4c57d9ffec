# ruff: noqa: E501 - graphs read better in long lines
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

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
        child.wait(10)


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

    def animerun(self, *args: str, wait_s: float = 50) -> tuple[int, str, str]:
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
