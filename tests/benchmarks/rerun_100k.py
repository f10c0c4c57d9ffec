# ruff: noqa: E501, T201 - a script that prints
"""How long `animerun SPEC` takes to find that 100,000 done jobs are all up to date.

    python tests/benchmarks/rerun_100k.py [--jobs 100000] [--rounds 3] [--keep DIR] [--url URL]

A run of so many jobs is recorded as a run would, with one small file each, without rendering; then `animerun SPEC`
is measured as a process of its own, from start to exit, with its peak memory. Beside it a bare process reads every
column of the same tables with DuckDB and looks at the same files, which is the least that anybody could do. They
take turns. With --url the jobs count as made by that server, and it is asked as always. Prints one JSON line per
round and the medians; exits with 1 above --limit-s or --limit-mb.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

BARE = """
import os, sys, duckdb
runs = sys.argv[1]
with duckdb.connect(f"{runs}/manifest.duckdb", read_only=True) as db:
    for table in ("jobs", "outputs", "attempts", "variants"):
        db.sql(f"select sum(hash(t)) from {table} t").fetchall()
    for (run, path) in db.sql("select run, path from outputs").fetchall():
        os.stat(f"{runs}/{run}/{path}")
"""


def project(folder: Path, jobs: int) -> Path:
    """Write a project of *jobs* jobs: scenes of ten cuts, five expressions and a hundred takes each."""
    (folder / "animerun.toml").write_text("")
    cuts = jobs // 500
    lines = [
        "animerun: 1", "episode: big", "title: A long one", "template: txt2img", "size: 512x512",
        "checkpoint: anime.safetensors",
        "characters: {aki: {prompt: 'a girl with short black hair'}, ren: {prompt: 'a boy in a red scarf'}}",
        "scenes:",
    ]  # fmt: skip
    for scene in range((cuts + 9) // 10):
        lines.append(f"  s{scene:02}:\n    place: a street by the sea, number {scene}\n    cuts:")
        for cut in range(scene * 10, min(cuts, scene * 10 + 10)):
            who = ("aki", "ren")[cut % 2]
            lines.append(
                f"      c{cut:03}: {{cast: {who}, action: 'walks past door {cut}', takes: 100,"
                " vary: {expression: [calm, smile, crying, angry, surprised]}}"
            )
    spec = folder / "big.yaml"
    spec.write_text("\n".join(lines) + "\n")
    return spec


def record(folder: Path, spec: Path, realm: str, url: str) -> str:
    """Record a run of *spec* in which every job was made; return its name."""
    from runner.domain import Attempt, Output, ServerFacts
    from runner.events import AttemptIntended, AttemptSucceeded, ServerUp
    from runner.manifest.folder import run_name
    from runner.manifest.journal import Journal
    from runner.manifest.store import refresh
    from runner.plan import make_plan
    from runner.record import Recorder

    plan = make_plan(spec)
    run, run_uuid = run_name("big", datetime.now(UTC), "0000"), uuid.uuid4()
    root = folder / "runs" / run
    root.mkdir(parents=True)
    journal = Journal.create(root / "journal.jsonl", run=run)
    recorder = Recorder(journal, clock=time.time)
    recorder.head(
        uuid=str(run_uuid), spec="big.yaml", episode="big", title="A long one", realm=realm, animerun="0",
        total=plan.total, waiting=0, scope={"only": [], "without": [], "sets": []}, replay_of="",
    )  # fmt: skip
    recorder.handle(ServerUp(server=url, facts=ServerFacts(url=url, realm=realm, version="0")))  # type: ignore[arg-type]
    for name, template in plan.templates.items():
        recorder.template(name=name, digest=template.digest)
    for rendered in plan.rendered():
        job, workflow = rendered.job, rendered.workflow
        assert workflow is not None
        recorder.job(job, workflow, recipe=rendered.recipe)
        prompt_id = str(uuid.uuid5(run_uuid, f"{job.key}/1"))
        attempt = Attempt(
            run=run, key=job.key, number=1, prompt_id=prompt_id, server=url, workflow=workflow,
            prefix=f"animerun/{run}/{job.seq // 500:04}/{job.seq:06}-a1/x", files={}, name=job.name, tags={},
        )  # fmt: skip
        recorder.handle(AttemptIntended(attempt=attempt, seq=job.seq, at=time.time()))
        path = root / f"{job.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = job.key.encode()
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        output = Output(
            node=next(iter(workflow.outputs)), index=0, path=f"{job.name}.png", sha256=digest, size=len(content),
            kind="image", pixels=digest, width=512, height=512, frames=1, media="image/png",
            server_name=f"{attempt.prefix}_00001_.png", mtime_ns=path.stat().st_mtime_ns,
        )  # fmt: skip
        ended = AttemptSucceeded(prompt_id=prompt_id, server=attempt.server, outputs=(output,), run_s=1.0)
        recorder.handle(ended)
        if job.seq % 1000 == 0:
            recorder.commit()
    recorder.end(code=0, reason="")
    journal.close()
    refresh(folder / "runs")
    return run


def measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Return wall seconds, peak memory in MiB and the output of a process."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        _, status, usage = os.wait4(child.pid, 0)
        took = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode()
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}: {said[-2000:]}")
    return took, usage.ru_maxrss / 1024, said


def main() -> int:
    """Measure in turns and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--url", default="")
    parser.add_argument("--realm", default="previz")
    parser.add_argument("--keep", type=Path, help="prepare it there, or use what was prepared there")
    parser.add_argument("--limit-s", type=float, default=5.0)
    parser.add_argument("--limit-mb", type=float, default=300.0)
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.prepare:
        began = time.perf_counter()
        run = record(
            asked.keep, project(asked.keep, asked.jobs), asked.realm, asked.url or "http://127.0.0.1:1"
        )
        print(json.dumps({"prepared": run, "s": round(time.perf_counter() - began, 1)}), flush=True)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "runs").is_dir():
            # Another process: what is forked from a large one counts its memory as its own.
            subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--keep", str(folder), "--prepare"], check=True
            )
        where = ["--server", asked.url] if asked.url else []
        rows = []
        for number in range(asked.rounds):
            bare_s, bare_mb, _ = measured([sys.executable, "-c", BARE, "runs"], folder)
            took_s, peak_mb, said = measured([sys.executable, "-m", "runner", "big.yaml", *where], folder)
            if "Nothing to do" not in said:
                raise SystemExit(f"there was something to do: {said[-2000:]}")
            rows.append({"s": took_s, "mb": peak_mb, "bare_s": bare_s, "bare_mb": bare_mb})
            print(json.dumps({"round": number, **{k: round(v, 2) for k, v in rows[-1].items()}}), flush=True)
        middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    ratio = middle["s"] / middle["bare_s"]
    print(json.dumps({**{k: round(v, 2) for k, v in middle.items()}, "ratio_to_bare": round(ratio, 1)}))
    return 0 if middle["s"] <= asked.limit_s and middle["mb"] <= asked.limit_mb else 1


if __name__ == "__main__":
    sys.exit(main())
