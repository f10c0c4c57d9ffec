"""Runs without rendering: journals written line by line, as a run would have left them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from runner.manifest.journal import Journal

WORDS: dict[str, Any] = {
    "episode": "ep", "title": "", "template": "txt2img", "model": "ink", "prompt": "a prompt",
    "negative": "low",
    "slots": {"camera": "wide"}, "loras": [], "params": {"cfg": 5, "size": {"width": 8, "height": 8}},
    "members": [{"name": "aki", "prompt": "silver hair", "outfit": "", "expression": ""}],
    "place": "a.yaml:3",
}  # fmt: skip


@dataclass
class Made:
    """One job as a run left it; `pixels` empty = it has no output."""

    key: str
    seed: int = 1
    words: Mapping[str, Any] = field(default_factory=dict)
    nodes: Mapping[str, Any] = field(default_factory=dict)
    state: str = "succeeded"
    code: str = "OOM"
    message: str = "out of memory"
    pixels: str = "blue"
    run_s: float = 1.0
    reused: bool = False

    @property
    def digest(self) -> str:
        """What the job computes, as far as this record knows."""
        told = (self.seed, {k: v for k, v in self.words.items() if k not in ("title", "place")}, self.nodes)
        return hashlib.sha256(repr(told).encode()).hexdigest()


def write_run(
    runs: Path,
    run: str,
    jobs: Sequence[Made],
    *,
    at: float = 1000.0,
    code: int | None = 0,
    realm: str = "previz",
    scope: Mapping[str, Any] | None = None,
    server: Mapping[str, str] | None = None,
    templates: Mapping[str, str] | None = None,
    total: int | None = None,
    spec: str = "a.yaml",
    pictures: bool = True,
) -> Path:
    """Write a run; a job's picture is 8×8 in the colour its `pixels` name."""
    folder = runs / run
    folder.mkdir(parents=True)
    journal = Journal.create(folder / "journal.jsonl", run=run)
    journal.append(
        {"t": "run", "uuid": "u", "spec": spec, "episode": "ep", "title": "", "realm": realm,
         "animerun": "0.1", "at": at, "total": len(jobs) if total is None else total, "waiting": 0,
         "scope": scope or {}}
    )  # fmt: skip
    journal.append({"t": "server", "url": "http://a", "realm": realm, "version": "0.3", **(server or {})})
    for name, digest in (templates or {"txt2img": "d1"}).items():
        journal.append({"t": "template", "name": name, "digest": digest})
    known: set[str] = set()
    for seq, job in enumerate(jobs):
        _write_job(journal, folder, run, seq, job, pictures, known)
    if code is not None:
        journal.append({"t": "end", "at": at + 60, "code": code, "reason": ""})
    journal.close()
    return folder


def _write_job(
    journal: Journal, folder: Path, run: str, seq: int, job: Made, pictures: bool, known: set[str]
) -> None:
    _, scene, *rest = job.key.split("/")
    words = {**WORDS, "scene": scene, "cut": rest[0] if rest and "=" not in rest[0] else "", **job.words}
    variant = hashlib.sha256(repr(words).encode()).hexdigest()[:16]
    if variant not in known:
        known.add(variant)
        journal.append({"t": "variant", "variant": variant, **words})
    line: dict[str, Any] = {
        "t": "job", "key": job.key, "seq": seq, "seed": job.seed, "take": "t1", "name": f"s/{seq}",
        "variant": variant, "recipe": job.digest,
    }  # fmt: skip
    if job.state == "waiting":
        journal.append(line | {"waits": "a pick"})
        return
    nodes = {"sampler": {"class_type": "KSampler", "inputs": {"seed": job.seed, "steps": 20, **job.nodes}}}
    shape = hashlib.sha256(repr(nodes).encode()).hexdigest()[:16]
    if shape not in known:
        known.add(shape)
        journal.append({"t": "shape", "shape": shape, "nodes": nodes})
    journal.append(line | {"digest": job.digest, "workflow": {"shape": shape, "leaves": {}}})
    if job.state == "pending":
        return
    who = {"key": job.key, "n": 1, "id": f"{run}-{seq}", "server": "http://a", "at": 5.0}
    if not job.reused:
        journal.append({"t": "intent", **who, "prefix": "p"})
    if job.state == "failed":
        journal.append(
            {"t": "failed", **who, "code": job.code, "message": job.message, "node": "", "node_class": "",
             "final": True}
        )  # fmt: skip
    elif job.state == "succeeded":
        outputs = [_output(folder, seq, job, pictures)]
        if job.reused:
            journal.append({"t": "reused", **who, "from": "before", "outputs": outputs})
        else:
            times = {"queue_s": 0.5, "run_s": job.run_s, "collect_s": 0.25, "cached": 0}
            journal.append({"t": "done", **who, **times, "outputs": outputs})


def _output(folder: Path, seq: int, job: Made, pictures: bool) -> dict[str, Any]:
    path = folder / "s" / f"{seq}.png"
    path.parent.mkdir(exist_ok=True)
    if pictures:
        Image.new("RGB", (32, 32), job.pixels).save(path)
    sha = hashlib.sha256(job.pixels.encode()).hexdigest()
    return {
        "node": "out", "index": 0, "path": f"s/{seq}.png", "sha256": sha, "size": 3, "kind": "image",
        "pixels": sha, "width": 32, "height": 32, "frames": 1, "media": "image/png", "server_name": "x",
    }  # fmt: skip


def jobs(count: int, **more: Any) -> list[Made]:
    """Return *count* jobs of one cut."""
    return [Made(f"ep/s1/c1/take={n}", seed=n, **more) for n in range(1, count + 1)]
