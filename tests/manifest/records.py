"""Small finished runs with real files, for the tests of what is done with a record afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.manifest.journal import Journal

SHARED = {
    "episode": "ep", "scene": "s", "cut": "", "title": "", "template": "txt2img", "model": "", "prompt": "x",
    "negative": "", "slots": {}, "loras": [], "members": [], "params": {}, "place": "a.yaml:3",
}  # fmt: skip


def output(folder: Path, path: str, content: bytes) -> dict[str, Any]:
    """Write a file into a run's folder; return what the journal says of it."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return {
        "node": "out", "index": 0, "path": path, "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content), "kind": "image", "pixels": "cd", "width": 8, "height": 8, "frames": 1,
        "media": "image/png", "server_name": "x/a_00001_.png", "mtime_ns": file.stat().st_mtime_ns,
    }  # fmt: skip


def run_of(
    runs: Path,
    run: str,
    *,
    jobs: int = 3,
    at: float = 1.7e9,
    ended: bool = True,
    spec: str = "a.yaml",
    more: Mapping[str, Any] = {},
) -> Path:
    """Write a run of *jobs* finished jobs with a file each; return its folder. *more* goes into its head."""
    folder = runs / run
    (folder / "plan").mkdir(parents=True)
    (folder / "plan" / "index.json").write_text("{}")
    facts = {"uuid": "u", "spec": spec, "episode": "ep", "title": "", "realm": "previz", "animerun": "0",
             "total": jobs, "waiting": 0, "scope": {}, "replay_of": ""}  # fmt: skip
    journal = Journal.create(folder / "journal.jsonl", run=run)
    journal.append({"t": "run", "at": at, **facts, **more})
    journal.append({"t": "shape", "shape": "S", "nodes": {}})
    for number in range(jobs):
        key, who = f"ep/s/take={number}", {"n": 1, "id": f"{run}-{number}", "server": "a"}
        if number % 2 == 0:
            journal.append({"t": "variant", "variant": f"v{number // 2}", **SHARED})
        own = {"key": key, "seq": number, "seed": 1, "take": "", "name": f"s/{number:02}"}
        workflow = {"shape": "S", "leaves": {}}
        journal.append({"t": "job", **own, "variant": f"v{number // 2}", "workflow": workflow})
        journal.append({"t": "intent", "key": key, **who, "prefix": "p", "at": at})
        made = output(folder, f"s/{number:02}.png", f"{run} {number}".encode() * 20)
        journal.append({"t": "done", "at": at + 1, "key": key, **who, "queue_s": 0.0, "run_s": 0.5,
                        "collect_s": 0.0, "cached": 0, "outputs": [made]})  # fmt: skip
    if ended:
        journal.append({"t": "end", "at": at + 2, "code": 0, "reason": ""})
    journal.close()
    return folder


def damage(path: Path, line: int, *, byte: int = 20) -> None:
    """Flip one bit of *byte* (negative: from its end) in *line* (from 1)."""
    lines = path.read_bytes().splitlines(keepends=True)
    content = bytearray(lines[line - 1])
    content[byte] ^= 1
    lines[line - 1] = bytes(content)
    path.write_bytes(b"".join(lines))
