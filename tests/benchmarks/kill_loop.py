# ruff: noqa: E501, T201 - the path to the checker; graphs; a script that prints
"""Kill a run with SIGKILL at random instants until it is complete, and look at what is left each time.

    python tests/benchmarks/kill_loop.py --kills 300 [--jobs 60] [--seed 7] [--url URL]

Rounds of one spec each: `animerun SPEC` is killed, continued by `animerun resume` or by `animerun SPEC` again, in
turns, killed again, until a process ends by itself. Without --url the server is one previz that outlives all of
them. After every kill the published manifest must open with plain DuckDB and every journal must be whole but for
its last line. At the end of a round every key has exactly one end in the run that completed it, every file named
in any journal is there with its hash, and no key was rendered twice.

The checker (`tests/checker.py`) knows the formats from `runs/README.md` alone and imports nothing of animerun. Prints one JSON line per
round and a summary; exits with 1 at the first promise broken. Duplicate renders are counted and allowed up to
--duplicates (0): only an outage can make one necessary.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from checker import Broken, ends, journals

TEMPLATE = """\
---
title: One flat colour, slowly
parameters:
  colour: {type: int, default: 0, min: 0, max: 16777215}
  seed: {type: seed}
outputs: {out: image}
---
{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ (colour + seed) % 16777216 }}}},
  "sleep": {"class_type": "TSleep", "inputs": {"image": ["empty", 0], "seconds": 0.05, "coop": true}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["sleep", 0]}}
}
"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Yield the address of a previz that lives until the end."""
    command = [sys.executable, "-m", "runner.previz", "--folder", str(folder), "--test-nodes"]
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


# -- the checker: files and formats only ------------------------------------------------------------------


def opens(manifest: Path) -> None:
    """Open the published manifest as anybody would."""
    if not manifest.exists():
        return
    try:
        with duckdb.connect(str(manifest), read_only=True) as db:
            db.sql("select count(*) from job_state").fetchall()
            db.sql("select count(*) from current_outputs").fetchall()
    except duckdb.Error as error:
        raise Broken(f"{manifest} does not open: {error}") from error


def files_hold(runs: Path, found: dict[str, list[dict[str, Any]]]) -> set[Path]:
    """Return every recorded file, all of them there with the content recorded."""
    seen = set()
    for run, lines in found.items():
        for line in lines:
            for output in line.get("outputs", ()) if line["t"] in ("done", "reused") else ():
                path = runs / run / output["path"]
                if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != output["sha256"]:
                    raise Broken(f"{path} is not what {run} recorded")
                seen.add(path)
    return seen


def rendered(url: str, found: dict[str, list[dict[str, Any]]]) -> Counter[str]:
    """Return key → how often the server rendered it, as the server tells."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        history = client.get("/history").json()
    ids = {line["id"]: line["key"] for lines in found.values() for line in lines if line["t"] == "intent"}
    return Counter(ids[each] for each in history if each in ids)


def on_disk(output: Path, found: dict[str, list[dict[str, Any]]]) -> Counter[str]:
    """Return key → how many attempts left files on the server."""
    prefixes = {
        line["prefix"].rpartition("/")[0]: line["key"]
        for lines in found.values()
        for line in lines
        if line["t"] == "intent"
    }
    places = {path.parent.relative_to(output).as_posix() for path in output.rglob("*.png")}
    return Counter(prefixes[place] for place in places if place in prefixes)


# -- the loop ---------------------------------------------------------------------------------------------


@dataclass
class Figures:
    """What came of it all."""

    kills: int = 0
    rounds: int = 0
    jobs: int = 0
    continued: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    strays: int = 0
    torn: int = 0
    first_s: list[float] = field(default_factory=list)
    """Launch of a `resume` → its first intent, where some job had not been tried yet."""


class Round:
    """One spec, killed until it is complete."""

    def __init__(self, folder: Path, *, url: str, jobs: int, colour: int, rng: random.Random) -> None:
        self.folder, self.url, self.jobs, self.rng = folder, url, jobs, rng
        self.runs = folder / "runs"
        (folder / "templates").mkdir(parents=True)
        (folder / "animerun.toml").write_text("")
        (folder / "templates" / "slow.json.j2").write_text(TEMPLATE)
        (folder / "k.yaml").write_text(
            f"animerun: 1\nepisode: k\ntemplate: slow\nscenes: {{s: {{colour: {colour}, takes: {jobs}}}}}\n"
        )
        self.log = folder / "animerun.log"
        self.ended = self.idle = 0

    def go(self, how: str, *, kill: bool, figures: Figures) -> int | None:
        """Start a process; return its exit code, or None when it was killed."""
        before = journals(self.runs)
        command = [sys.executable, "-m", "runner", *([how] if how == "resume" else ["k.yaml"])]
        launched = time.time()
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, "--server", self.url, "-q"], cwd=self.folder, stdout=log, stderr=log
            )
        try:
            process.wait(self._leash_s(before) if kill else 120)
        except subprocess.TimeoutExpired:
            if not kill:
                raise Broken(f"{how} did not end within 120 s") from None
            process.send_signal(signal.SIGKILL)
            process.wait()
            figures.kills += 1
        else:
            kill = False
        self._look(how, figures, before, launched)
        return None if kill else process.returncode

    def _leash_s(self, found: dict[str, list[dict[str, Any]]]) -> float:
        """Return how long the next process may live. Seconds.

        One killed between an intent and its submission leaves an attempt that takes the settle time to be
        believed lost, so where nothing has ended three times in a row the next lives for longer.
        """
        ended = sum(line["t"] in ("done", "reused", "failed") for lines in found.values() for line in lines)
        self.idle = self.idle + 1 if ended == self.ended else 0
        self.ended = ended
        return self.rng.uniform(9.0, 12.0) if self.idle >= 3 else self.rng.uniform(0.2, 2.2)

    def _look(
        self, how: str, figures: Figures, before: dict[str, list[dict[str, Any]]], launched: float
    ) -> None:
        opens(self.runs / "manifest.duckdb")
        for path in self.runs.glob("*/journal.jsonl"):
            figures.torn += not path.read_bytes().endswith(b"\n")
        for run, lines in journals(self.runs).items():
            if twice := [key for key, count in ends(lines).items() if count > 1]:
                raise Broken(f"{run} recorded {twice[0]} twice")
            old = before.get(run, [])
            touched = {line["key"] for line in old if line["t"] in ("intent", "reused")}
            intents = [line["at"] for line in lines[len(old) :] if line["t"] == "intent"]
            if how == "resume" and intents and len(touched) < self.jobs:
                figures.first_s.append(intents[0] - launched)

    def check(self, figures: Figures, server_output: Path | None) -> int:
        """Look at a completed round; return how many renders were not needed."""
        found = journals(self.runs)
        complete = [run for run, lines in found.items() if sum(ends(lines).values()) == self.jobs]
        if not complete:
            raise Broken(f"no run holds all {self.jobs} jobs: {[len(ends(x)) for x in found.values()]}")
        last = max(complete, key=lambda run: max(x["at"] for x in found[run] if x["t"] in ("done", "reused")))
        if set(ends(found[last]).values()) != {1}:
            raise Broken(f"{last} does not hold every key exactly once")
        recorded = files_hold(self.runs, found)
        present = {
            path for path in self.runs.glob("*/**/*") if path.is_file() and path.suffix in (".png", ".part")
        }
        figures.strays += len(present - recorded)
        counts = on_disk(server_output, found) if server_output else rendered(self.url, found)
        if len(counts) != self.jobs:
            raise Broken(f"the server rendered {len(counts)} of {self.jobs} keys")
        if any(line["t"] == "end" for line in found[last]):
            self._manifest_tells(last)
        return sum(counts.values()) - self.jobs

    def _manifest_tells(self, run: str) -> None:
        """The manifest published at the end of *run* counts all of it."""
        asked = "select count(*) from job_state where run = ? and state in ('succeeded', 'reused')"
        with duckdb.connect(str(self.runs / "manifest.duckdb"), read_only=True) as db:
            told = db.execute(asked, [run]).fetchone()
        if told != (self.jobs,):
            raise Broken(f"the manifest counts {told} made in {run}")


def play(round_: Round, figures: Figures, *, most: int) -> None:
    """Start, kill and continue until a process ends by itself; after *most* kills in all, no more."""
    how, code = "spec", None
    while code is None:
        code = round_.go(how, kill=figures.kills < most, figures=figures)
        figures.continued[how] += 1
        if code == 2 and how == "resume":
            # Killed before it began a run: there is nothing to resume.
            code, how = None, "spec"
        elif code is None:
            how = (
                round_.rng.choice(("resume", "spec")) if any(round_.runs.glob("*/journal.jsonl")) else "spec"
            )
    if code != 0:
        raise Broken(f"{how} ended with {code}: {round_.log.read_text()[-2000:]}")


def loop(*, kills: int, jobs: int, seed: int, folder: Path, url: str, server_output: Path | None) -> Figures:
    """Return the figures of as many rounds as it takes; raises Broken."""
    rng, figures = random.Random(seed), Figures()
    while figures.kills < kills:
        colour = rng.randrange(2**24)
        where = folder / f"round{figures.rounds}"
        round_ = Round(where, url=url, jobs=jobs, colour=colour, rng=rng)
        before, began = figures.kills, time.monotonic()
        play(round_, figures, most=kills)
        twice = round_.check(figures, server_output)
        figures.duplicates += twice
        figures.rounds += 1
        figures.jobs += jobs
        row = {"round": figures.rounds, "kills": figures.kills - before, "duplicates": twice, "s": round(time.monotonic() - began, 1)}  # fmt: skip
        print(json.dumps(row), flush=True)
    return figures


def main() -> int:
    """Run the loop and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--url", default="")
    parser.add_argument("--folder", type=Path, help="keep everything there")
    parser.add_argument("--duplicates", type=int, default=0)
    asked = parser.parse_args()
    print(json.dumps({"seed": asked.seed, "kills": asked.kills, "jobs": asked.jobs}), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        wish = {"kills": asked.kills, "jobs": asked.jobs, "seed": asked.seed, "folder": folder}
        try:
            if asked.url:
                figures = loop(**wish, url=asked.url, server_output=None)
            else:
                with serving(folder / "server") as url:
                    figures = loop(**wish, url=url, server_output=folder / "server" / "output")
        except Broken as broken:
            print(json.dumps({"broken": str(broken), "seed": asked.seed}))
            return 1
    first = figures.first_s or [0.0]
    print(json.dumps({
        "kills": figures.kills, "rounds": figures.rounds, "jobs": figures.jobs, "processes": dict(figures.continued),
        "duplicate_renders": figures.duplicates, "stray_files": figures.strays, "torn_lines": figures.torn,
        "first_submission_s": {"median": round(statistics.median(first), 2), "max": round(max(first), 2)},
    }))  # fmt: skip
    return 0 if figures.duplicates <= asked.duplicates and not figures.strays else 1


if __name__ == "__main__":
    sys.exit(main())
