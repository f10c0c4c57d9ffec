"""A previz child process per session, and a desk for jobs that run without any server."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.previz.cache import NodeCache
from runner.previz.execution import Desk
from runner.previz.files import Folders
from runner.previz.nodes import catalogue
from runner.previz.nodes.definition import Letters

PATIENCE_S = 60.0


class Previz:
    """A running child and a client for it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "runner.previz", "--folder", str(folder), "--test-nodes", *options]
        self.child = subprocess.Popen(
            [*command, "--log", str(folder / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.first_line = json.loads(self.child.stdout.readline())
        self.url = self.first_line["url"]
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False, verify=False)

    @property
    def log(self) -> str:
        """What the child has logged so far."""
        return (self.folder / "log").read_text()

    def submit(self, prompt: dict[str, Any], **more: Any) -> str:
        """Queue a prompt and return its id."""
        answer = self.http.post("/prompt", json={"prompt": prompt, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["prompt_id"]

    def render(self, prompt: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Run a prompt and return its history entry."""
        prompt_id = self.submit(prompt, **more)
        return self.poll(lambda: self.http.get(f"/history/{prompt_id}").json().get(prompt_id))

    def poll(self, look: Callable[[], Any]) -> Any:
        """Return the first truthy answer of *look*."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.01)
        raise AssertionError(f"waited {PATIENCE_S:g} s in vain")

    def close(self) -> int:
        """Close stdin, which ends the child, and return its exit code."""
        self.http.close()
        self.child.stdin.close()
        try:
            return self.child.wait(PATIENCE_S)
        finally:
            self.child.kill()
            self.child.wait()
            self.child.stdout.close()


@pytest.fixture(scope="session")
def previz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Previz]:
    """Yield a child that the whole session shares."""
    child = Previz(tmp_path_factory.mktemp("previz"))
    yield child
    child.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Previz]]:
    """Return a function that starts a child of the test's own."""
    children: list[Previz] = []

    def starter(*options: str) -> Previz:
        children.append(Previz(tmp_path, *options))
        return children[-1]

    yield starter
    for child in children:
        if child.child.poll() is None:
            child.close()
        child.http.close()
        child.child.stdin.close()
        child.child.stdout.close()


class Listener:
    """A desk whose frames are kept in a list."""

    def __init__(self, folders: Folders) -> None:
        self.frames: list[tuple[str, Any, Any]] = []
        self.payloads: list[bytes] = []
        self.interrupts: list[bool] = []
        self.desk = Desk(
            catalogue=catalogue(test_nodes=True),
            folders=folders,
            cache=NodeCache(),
            letters=Letters(source=random.Random(1)),
            step_s=0.0,
            send=lambda kind, data, to: self.frames.append((kind, data, to)),
            send_bytes=lambda payload, _to: self.payloads.append(payload),
            at_node=lambda _node: None,
            interrupted=lambda: self.interrupts.pop(0) if self.interrupts else False,
            now_ms=lambda: 1000,
        )

    def kinds(self) -> list[str]:
        """Return the types of all frames but progress_state."""
        return [kind for kind, _data, _to in self.frames if kind != "progress_state"]

    def of(self, kind: str) -> list[Any]:
        """Return the data of all frames of one type."""
        return [data for each, data, _to in self.frames if each == kind]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Return three empty folders."""
    made = Folders(root=tmp_path)
    made.prepare()
    return made


@pytest.fixture
def listener(folders: Folders) -> Listener:
    """Return a desk that keeps what is sent."""
    return Listener(folders)
