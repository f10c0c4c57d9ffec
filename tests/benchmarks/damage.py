# ruff: noqa: T201 - a script that prints
"""Damage journals and indexes at random places: what is read afterwards is the truth, or the damage is named.

    python -m tests.benchmarks.damage [--flips 300] [--cuts 300] [--zeros 50] [--seed 7]

Each file gets so many flipped bits, truncations and zeroed tails. A damaged index heals: readers see
everything. A damaged journal is refused by file and line (exit 7) or ends in an unfinished line; repair keeps
lines that were written and nothing else, and says how many it lost. A journal cut exactly behind a line
cannot be told from one that was killed there: it has lost its last line, so the run counts as unfinished.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from runner.errors import RecordDamaged
from runner.manifest import store
from runner.manifest.journal import Line, Reading
from runner.manifest.repair import mend
from tests.manifest.records import run_of
from tests.manifest.test_heal import everything

INDEXES = ("manifest.duckdb", ".index/live.duckdb", ".index/live.duckdb.wal")
JOURNAL = "d/journal.jsonl"


class Broken(Exception):
    """Something was lost in silence."""


def crashed(folder: Path) -> Path:
    """Return runs with a published index, and a live one whose last run is in its write-ahead log only."""
    runs = folder / "runs"
    for name in "abc":
        run_of(runs, name, jobs=20)
    store.refresh(runs)
    run_of(runs, "d", jobs=20)
    db = store._open(runs / ".index" / "live.duckdb")
    store._apply_all(db, runs)
    shutil.copytree(runs, folder / "crashed")
    db.close()
    return folder / "crashed"


def damaged(content: bytes, how: str, chance: random.Random) -> bytes:
    """Return *content* with one damage."""
    if how == "flip":
        at = chance.randrange(len(content))
        return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
    at = chance.randrange(len(content))
    return content[:at] if how == "cut" else content[:at] + bytes(len(content) - at)


def journal_holds(path: Path, truth: list[Line]) -> str:
    """Return how a damaged journal is told; raises Broken."""
    reading, read = Reading(path), []
    try:
        read.extend(reading)
        told = "unfinished line" if reading.torn else "equal" if read == truth else "cut behind a line"
    except RecordDamaged as error:
        told = "refused"
        if str(path) not in str(error):
            raise Broken(f"the damage is not named: {error}") from error
    if read != truth[: len(read)]:
        raise Broken("lines that were never written")
    mended = mend(path.parent)
    after = list(Reading(path))
    written = [json.dumps(line, sort_keys=True) for line in truth]
    kept = [line for line in after if json.dumps(line, sort_keys=True) in written]
    gone = len(truth) - len(kept)
    if gone and told != "cut behind a line" and not (mended and (mended.lost or mended.torn)):
        raise Broken(f"{gone} lines are gone, and repair does not say so")
    return told


def index_holds(runs: Path, truth: dict[str, object]) -> str:
    """Return how a damaged index is told; raises Broken."""
    for _ in range(2):
        found, told = everything(runs)
        if found != truth:
            raise Broken(f"readers see something else; told: {told}")
        store.refresh(runs)
    return "healed, told" if told else "healed"


def main() -> int:
    """Damage everything and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--flips", type=int, default=300)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--zeros", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked = parser.parse_args()
    chance, began, bad, total = random.Random(asked.seed), time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sound = crashed(folder)
        truth, _ = everything(sound)
        lines = list(Reading(sound / JOURNAL))
        for name in (JOURNAL, *INDEXES):
            for how, count in (("flip", asked.flips), ("cut", asked.cuts), ("zero", asked.zeros)):
                ends: Counter[str] = Counter()
                for number in range(count):
                    runs = folder / "damaged"
                    shutil.copytree(sound, runs)
                    content = damaged((runs / name).read_bytes(), how, chance)
                    (runs / name).write_bytes(content)
                    try:
                        ends[
                            journal_holds(runs / name, lines) if name == JOURNAL else index_holds(runs, truth)
                        ] += 1
                    except Broken as broken:
                        bad += 1
                        print(json.dumps({"broken": str(broken), "file": name, "how": how, "number": number}))
                    total += 1
                    shutil.rmtree(runs)
                print(json.dumps({"file": name, "how": how, "ended": dict(ends)}), flush=True)
    took = round(time.monotonic() - began, 1)
    print(json.dumps({"damages": total, "broken": bad, "seed": asked.seed, "s": took}))
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
