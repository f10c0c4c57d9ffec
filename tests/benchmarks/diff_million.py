# ruff: noqa: E501, T201 - SQL; a script that prints
"""How long `animerun diff` takes over two runs of a million jobs, beside a bare DuckDB join of the same keys.

    python tests/benchmarks/diff_million.py [--jobs 1000000] [--changed 1000] [--rounds 3] [--keep DIR]

Two synthetic runs are filled straight into the tables of the store's own schema: five takes to a variant,
one attempt and one output to a job. In the second run *changed* variants have another prompt and other pixels
(their files do not exist, so none is opened). Three things take turns: the comparison inside one process from
opening the published file to the finished result, the whole command `animerun diff -2 -1` from start to exit,
and a bare DuckDB that joins jobs and outputs of both runs on their keys and counts what differs. Prints one
JSON line per round and the median ratio; exits with 1 when the command takes more than --limit seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from runner.compare import Asked, Comparison
from runner.manifest import store, tables

RUNS = ("ep01-20261122T000000Z-aaaa", "ep01-20261123T000000Z-bbbb")
TAKES = 5

_KEY = """printf('ep01/s%02d/c%03d/camera=%d/expression=%d/take=%d',
                 i // 100000, (i // 1000) % 100, (i // 50) % 20, (i // 5) % 10, i % 5 + 1)"""
_MEMBER = """'[{"name":"aki","prompt":"silver hair' || changed || '","outfit":"","expression":""}]'"""


def fill(runs: Path, jobs: int, changed: int) -> Path:
    """Make the published index of two runs of *jobs* jobs; return it."""
    path = runs / store.PUBLISHED
    variants = max(1, jobs // TAKES)
    with duckdb.connect(str(path)) as db:
        tables.create(db)
        for number, run in enumerate(RUNS):
            # A journal of the length that has been applied is never read.
            (runs / run).mkdir()
            (runs / run / store.JOURNAL).write_text("x")
            _fill_run(db, run, number, jobs, variants // max(1, changed))
        db.execute("checkpoint")
    return path


def _fill_run(db: duckdb.DuckDBPyConnection, run: str, number: int, jobs: int, step: int) -> None:
    at = f"timestamp '2026-11-22' + interval {number} day"
    db.execute(f"""
        insert into applied values ('{run}', 'journal.jsonl', 1, 1, 1);
        insert into runs values ('{run}', 'u', 'specs/ep01.yaml', 'ep01', '', 'previz', '0', {at}, {jobs}, 0,
                                 '{{"only":[],"without":[],"sets":[]}}', '');
        insert into run_ends values ('{run}', {at} + interval 5 hour, 0, '');
        insert into servers (run, url, realm, version) values ('{run}', 'http://a', 'previz', '0.3.{number}');
        insert into templates values ('{run}', 'txt2img', 'd');
        create or replace temp table point as
        select i, {_KEY} as key, ({number} = 1 and (i // {TAKES}) % {step} = 0)::integer as changed,
               substr(md5((i // {TAKES}) || '-' || changed), 1, 16) as variant
        from range({jobs}) t(i);
        insert into variants
        select distinct on (variant) '{run}', variant, 'ep01', 's', 'c', '', 'txt2img', 'ink',
               'prompt ' || (i // {TAKES}) || changed, 'lowres', '{{"camera":"wide"}}', '[]', '{{"cfg":5.5}}',
               {_MEMBER}, 'specs/ep01.yaml:16' from point;
        insert into jobs
        select '{run}', key, i, variant, 't' || (i % 5 + 1), i, 's/' || i, sha256(i || '-' || changed),
               sha256(i || '-' || changed), 'shape', '{{}}', '', '' from point;
        insert into intents
        select '{run}', key, 1, md5('{run}' || i), 'http://a', 'p', {at} from point;
        insert into attempts
        select '{run}', key, 1, md5('{run}' || i), 'http://a', 'succeeded', {at}, 0.1, 1.0 + (i % 7) * 0.1, 0.1,
               3, '', '', '', '', true, '' from point;
        insert into outputs (run, key, prompt_id, node, "index", path, sha256, size, kind, pixels, width, height,
                             frames, media, server_name)
        select '{run}', key, md5('{run}' || i), 'out', 0, 's/' || i || '.png', sha256('{run}' || i), 300000,
               'image', sha256('pixels' || i || '-' || changed), 1216, 832, 1, 'image/png', 'x' from point;
    """)


def inside(runs: Path, expected: int) -> float:
    """Return the seconds of the comparison in this process."""
    began = time.perf_counter()
    sides = [Asked(name=run, kind="run", run=run, path=runs / run) for run in RUNS]
    with Comparison(*sides, runs=runs) as found:
        counts = found.diff.counts
    took = time.perf_counter() - began
    assert (counts.changed, counts.pixels) == (expected, expected), counts
    return took


def command(runs: Path) -> float:
    """Return the seconds of `animerun diff -2 -1` as a process of its own."""
    began = time.perf_counter()
    asked = [sys.executable, "-m", "runner", "diff", *RUNS, "--runs", str(runs)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return time.perf_counter() - began


def bare(path: Path, expected: int) -> float:
    """Return the seconds of joining jobs and outputs on their keys, and of counting what differs."""
    began = time.perf_counter()
    a, b = (f"run = '{run}'" for run in RUNS)
    with duckdb.connect(str(path), read_only=True, config={"threads": "2"}) as db:
        counts = []
        for table, column in (("jobs", "digest"), ("outputs", "pixels")):
            [(count,)] = db.execute(
                f"""select count(*) from (select key, {column} from {table} where {a}) x
                    full join (select key, {column} from {table} where {b}) y using (key)
                    where x.{column} is distinct from y.{column}"""
            ).fetchall()
            counts.append(count)
    assert counts == [expected, expected], counts
    return time.perf_counter() - began


def main() -> int:
    """Measure in turns and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=1_000, help="variants that changed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=5.0)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs = asked.keep or Path(temporary)
        runs.mkdir(parents=True, exist_ok=True)
        path = fill(runs, asked.jobs, asked.changed)
        step = asked.jobs // TAKES // asked.changed
        expected = sum(1 for variant in range(0, asked.jobs // TAKES, step)) * TAKES
        rows = []
        for number in range(asked.rounds):
            row = {
                "bare_s": bare(path, expected),
                "inside_s": inside(runs, expected),
                "command_s": command(runs),
            }
            rows.append(row)
            print(json.dumps({"round": number} | {name: round(value, 3) for name, value in row.items()}))
        middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        told = {name: round(value, 3) for name, value in middle.items()}
        told |= {"ratio": round(middle["inside_s"] / middle["bare_s"], 2), "rss_mib": memory}
        print(
            json.dumps(
                {"jobs": asked.jobs, "different": expected, "index_mib": path.stat().st_size >> 20} | told
            )
        )
    return 0 if middle["command_s"] <= asked.limit else 1


if __name__ == "__main__":
    sys.exit(main())
