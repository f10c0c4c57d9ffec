"""The server under test: the one named by --comfyui-url, else a previz child of this session."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from .abilities import ABILITIES
from .graphs import sleeper
from .server import Server

START_S = 60.0
STOP_S = 60.0


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of the server under test."""
    if url := request.config.getoption("--comfyui-url"):
        yield url.rstrip("/")
        return
    yield from _previz(tmp_path_factory.mktemp("previz"))


def _previz(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "runner.previz", "--port", "0", "--folder", str(folder), "--test-nodes"]
    with (folder / "stderr.log").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    too_late = threading.Timer(START_S, child.kill)
    too_late.start()
    try:
        line = child.stdout.readline()
        too_late.cancel()
        if not line:
            pytest.fail(f"previz did not start:\n{(folder / 'stderr.log').read_text()[-4000:]}")
        yield json.loads(line)["url"]
    finally:
        too_late.cancel()
        child.stdin.close()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise
        finally:
            child.stdout.close()


@pytest.fixture(scope="session")
def http(server_url: str) -> Iterator[httpx.Client]:
    """Yield one HTTP client for the whole session."""
    with httpx.Client(base_url=server_url, timeout=60, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture(scope="session")
def classes(http: httpx.Client) -> dict[str, dict]:
    """Return GET /object_info, asked once."""
    return http.get("/object_info").json()


@pytest.fixture
def server(server_url: str, http: httpx.Client) -> Iterator[Server]:
    """Yield the server; afterwards no job of the test is left in its queue."""
    server = Server(server_url, http)
    yield server
    server.stop_all()


@pytest.fixture
def prefix() -> str:
    """Return a filename prefix that nobody else uses, in a folder of its own."""
    return f"conformance/{uuid.uuid4().hex[:12]}/pic"


@pytest.fixture
def need(classes: dict[str, dict]) -> Callable[..., None]:
    """Return a check that skips the test unless the server offers the named node classes."""

    def check(*names: str) -> None:
        if missing := [name for name in names if name not in classes]:
            pytest.skip(f"the server has no {', '.join(missing)}")

    return check


@pytest.fixture(scope="session")
def abilities(http: httpx.Client) -> dict[str, bool]:
    """Return what the server can do of what servers differ in, asked once."""
    return {name: ask(http) for name, ask in ABILITIES.items()}


@pytest.fixture
def keeps_results(abilities: dict[str, bool]) -> None:
    """Skip where the server was started with another cache than the default one."""
    if not abilities["keeps_results"]:
        pytest.skip("the server runs with another cache")


@pytest.fixture
def lists_jobs(abilities: dict[str, bool]) -> None:
    """Skip where the server has no /api/jobs."""
    if not abilities["lists_jobs"]:
        pytest.skip("the server has no /api/jobs")


@pytest.fixture
def blocker(server: Server, need: Callable[..., None]) -> str:
    """Return the id of a job that runs until it is interrupted."""
    need("TSleep")
    prompt_id = server.submit(sleeper())
    server.await_start(prompt_id)
    return prompt_id
