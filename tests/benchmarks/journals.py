"""Journals as real runs leave them, written without rendering anything: for the benchmarks of the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.manifest.journal import encode

LINES_PER_JOB = 3.25
"""job, intent and done; a variant for every four takes."""

_WORDS = {
    "title": "",
    "template": "txt2img",
    "model": "ink",
    "prompt": "masterpiece, 1girl, aki, short silver hair, school uniform, leaning on the fence, rooftop, "
    "sunset, smile, wide shot, rim light",
    "negative": "lowres, bad anatomy",
    "slots": {"character": "aki, short silver hair", "action": "leaning on the fence", "place": "rooftop"},
    "loras": [],
    "members": [],
    "params": {"steps": 28, "cfg": 5.5, "sampler": "euler_ancestral", "size": {"width": 832, "height": 1216}},
    "place": "specs/ep01.yaml:12",
}
_OUTPUT = {
    "node": "out", "index": 0, "size": 1234567, "kind": "image", "width": 832, "height": 1216, "frames": 1,
    "media": "image/png",
}  # fmt: skip


def lines(run: str, jobs: int, *, at: float = 1.7e9) -> Iterator[dict[str, Any]]:
    """Yield the lines of a finished run of *jobs* jobs that began *at* (seconds since the epoch)."""
    yield {"t": "journal", "format": 1, "run": run}
    yield {"t": "run", "at": at, "uuid": "3b0c7d2e-0000-4000-8000-1234567890ab", "spec": "specs/ep01.yaml",
           "episode": "ep01", "title": "", "realm": "previz", "animerun": "0", "total": jobs, "waiting": 0,
           "scope": {}}  # fmt: skip
    node = {"class_type": "KSampler", "inputs": {"seed": 1, "text": "x"}}
    yield {"t": "shape", "shape": "5" * 16, "nodes": {"k": node}}
    for number in range(jobs):
        yield from _job(run, number, at + number)
    yield {"t": "end", "at": at + jobs + 5, "code": 0, "reason": ""}


def _job(run: str, number: int, at: float) -> Iterator[dict[str, Any]]:
    scene, cut, variant = f"s{number // 1000:04}", f"c{number // 10 % 100:03}", f"{number // 4:016x}"
    key, name = f"ep01/{scene}/{cut}/expression=smile/seed={number}", f"ep01_{scene}_{cut}_smile_{number}"
    if number % 4 == 0:
        yield {"t": "variant", "variant": variant, "episode": "ep01", "scene": scene, "cut": cut, **_WORDS}
    own = {"key": key, "seq": number, "take": str(number % 4), "seed": number * 7919, "name": name}
    names = {"variant": variant, "recipe": f"{number:064x}", "digest": f"{number * 3:064x}"}
    packed = {"shape": "5" * 16, "leaves": {"0": number * 7919, "1": {"$text": "a" * 24}}}
    yield {"t": "job", **own, **names, "workflow": packed}
    who = {"key": key, "n": 1, "id": f"{number:08x}-0000-4000-8000-{number:012x}"}
    who["server"] = "http://127.0.0.1:8188"
    yield {"t": "intent", **who, "prefix": f"animerun/{run}/{number // 1000}/{number}-a1/x", "at": at}
    file = {"path": f"{scene}/{name}.png", "server_name": f"animerun/{run}/{number}_00001_.png"}
    facts = {"sha256": f"{number:064x}", "pixels": f"{number:064x}", "mtime_ns": int(at * 1e9)}
    times = {"queue_s": 0.1234, "run_s": 1.2345, "collect_s": 0.0123, "cached": 3}
    yield {"t": "done", "at": at + 1.123456, **who, **times, "outputs": [_OUTPUT | file | facts]}


def write(runs: Path, run: str, jobs: int, *, at: float = 1.7e9) -> int:
    """Write the journal of *run* below *runs*; return how many lines it has."""
    path = runs / run / "journal.jsonl"
    path.parent.mkdir(parents=True)
    check, count = 0, 0
    with path.open("wb") as file:
        for line in lines(run, jobs, at=at):
            raw, check = encode(line, check)
            file.write(raw)
            count += 1
    return count
