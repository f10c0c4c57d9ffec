"""The previz child process: started when no server is named, gone when its parent is gone.

It runs in its own process group (a Ctrl-C is ours to handle) and holds the other end of a pipe: however
this process ends, the child reads end of file and leaves. It says its address in one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runner import system
from runner.errors import NoServer

START_S = 30.0
STOP_S = 5.0


@asynccontextmanager
async def previz() -> AsyncIterator[str]:
    """Yield the URL of an embedded previz server on loopback; it and its files are gone afterwards.

    Raises NoServer when it does not start, with the end of its log.
    """
    folder = Path(tempfile.mkdtemp(prefix="animerun-previz-"))
    try:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runner.previz", "--port", "0", "--folder", str(folder / "files")),
            *("--log", str(folder / "log")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **system.own_group(),
        )
        try:
            yield await _address(child, folder / "log")
        finally:
            await _stop(child)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _address(child: asyncio.subprocess.Process, log: Path) -> str:
    assert child.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = await child.stdout.readline()
        return str(json.loads(line)["url"])
    except (TimeoutError, ValueError, KeyError) as error:
        raise NoServer(f"the embedded previz server did not start. {_tail(log)}".strip()) from error


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-500:] if log.is_file() else ""


async def _stop(child: asyncio.subprocess.Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        async with asyncio.timeout(STOP_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
