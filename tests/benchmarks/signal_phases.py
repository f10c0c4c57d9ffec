# ruff: noqa: T201 - a script that prints
"""Stop a run by every signal at every phase, and look at what it does and what is left.

    python -m tests.benchmarks.signal_phases [--phases 40] [--kinds int,hup,stdout] [--seed 7]

A phase is a request: when the n-th one passes a relay in front of the server, the signal is sent; phase 0 is
the time before the first. One SIGINT, SIGTERM or SIGHUP: nothing is submitted later than 250 ms after it, and
the exit code is 130 or 143 unless all was made. A second one: gone within 2 s, also when the server has gone
silent (`deaf`). A closed stdout or stderr, and SIGSTOP with SIGCONT, change nothing: exit 0. Afterwards the
run is continued, and every job must be made exactly once, by exactly one render.

Prints one JSON line per kind; exits with 1 at the first promise broken.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.kill_loop import TEMPLATE, Broken, ends, files_hold, journals, on_disk, serving
from tests.flow.wiretap import Wiretap, wiretap

JOBS = 6
SIGNALS = {
    "int": signal.SIGINT,
    "int2": signal.SIGINT,
    "term": signal.SIGTERM,
    "hup": signal.SIGHUP,
    "deaf": signal.SIGINT,
}
KINDS = (*SIGNALS, "stdout", "stderr", "stop")
CODES = {"int": 130, "int2": 130, "term": 143, "hup": 143, "deaf": 130}
TWICE = ("int2", "deaf")
LAST_POST_S = 0.25
LEAVE_S = 2.0
DEPTH = 2
"""Most submissions under way when a signal comes."""
AGAIN_S = 0.1
"""Between the first Ctrl-C and the second."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run to be stopped: how, and at which request."""

    kind: str
    phase: int
    folder: Path
    colour: int

    def __str__(self) -> str:
        return f"{self.kind} at request {self.phase}"


class Run:
    """One process under a relay."""

    def __init__(self, case: Case, tap: Wiretap) -> None:
        self.case, self.tap = case, tap
        self.first_at = self.last_at = 0.0
        self._reached = threading.Event()
        project(case.folder, case.colour)
        command = [sys.executable, "-m", "runner", "k.yaml", "--server", tap.url]
        self.process = subprocess.Popen(
            [*command, "--json"],
            cwd=case.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        tap.on_request = self._on_request

    def _on_request(self, number: int) -> None:
        if number == self.case.phase:
            self._reached.set()

    def _listens(self) -> bool:
        """Whether animerun has its own handler for SIGTERM yet: until then Python would die of it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

    def disturb(self, stopped_s: float) -> None:
        """Wait for the phase and do what the case says; nothing when the process ends before."""
        if self.case.phase == 0:
            end = time.monotonic() + 30
            while not self._listens() and self.process.poll() is None:
                assert time.monotonic() < end, "animerun never set its own handler"
                time.sleep(0.005)
        else:
            while not self._reached.wait(0.02):
                if self.process.poll() is not None:
                    return
        self.first_at = self.last_at = time.monotonic()
        match self.case.kind:
            case "stdout" | "stderr":
                stream = getattr(self.process, self.case.kind)
                stream.close()
            case "stop":
                self.process.send_signal(signal.SIGSTOP)
                time.sleep(stopped_s)
                self.process.send_signal(signal.SIGCONT)
            case kind:
                self.tap.silent = kind == "deaf"
                self.process.send_signal(SIGNALS[kind])
                if kind in TWICE:
                    time.sleep(AGAIN_S)
                    self.last_at = time.monotonic()
                    self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, float, str]:
        """Return the exit code, the seconds since the last signal, and what was said."""
        said: list[bytes] = []
        readers = [
            threading.Thread(target=lambda stream=stream: said.append(stream.read()))
            for stream in (self.process.stdout, self.process.stderr)
            if stream is not None and not stream.closed
        ]
        for reader in readers:
            reader.start()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Broken(f"{self.case}: still there after 60 s") from None
        took = time.monotonic() - self.last_at
        for reader in readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return self.process.returncode, took, b"\n".join(said).decode("utf-8", "replace")


def project(folder: Path, colour: int) -> None:
    (folder / "templates").mkdir(parents=True)
    (folder / "animerun.toml").write_text("")
    (folder / "templates" / "slow.json.j2").write_text(TEMPLATE)
    (folder / "k.yaml").write_text(
        f"animerun: 1\nepisode: k\ntemplate: slow\nscenes: {{s: {{colour: {colour}, takes: {JOBS}}}}}\n"
    )


def check(case: Case, url: str, output: Path, stopped_s: float, slack_s: float = 0.0) -> str:
    """Play *case* on a machine that may take *slack_s* longer; return how it ended. Raises Broken."""
    with wiretap(url) as tap:
        run = Run(case, tap)
        run.disturb(stopped_s)
        code, took, said = run.end()
        late = tap.posts(run.first_at + LAST_POST_S + slack_s) if run.first_at else []
        after = len(tap.posts(run.first_at)) if run.first_at else 0
        made = max(
            (sum(ends(lines).values()) for lines in journals(case.folder / "runs").values()), default=0
        )
        stopped = case.kind in CODES and bool(run.first_at) and made < JOBS
        codes = {CODES[case.kind]} if stopped else {0, CODES.get(case.kind, 0)}
        if stopped and not case.phase:
            # While Python itself is starting, the signal ends it as any program; a shell tells the same code.
            codes.add(-SIGNALS[case.kind])
        if code not in codes or ("Traceback" in said and case.phase):
            raise Broken(f"{case}: exit code {code} with {made} made\n{said}")
        if late and stopped:
            raise Broken(f"{case}: submitted {late[-1] - run.first_at:.2f} s after the signal")
        if after > DEPTH and stopped:
            raise Broken(f"{case}: submitted {after} times after the signal, not only what was under way")
        if case.kind in TWICE and run.first_at and took > LEAVE_S + slack_s:
            raise Broken(f"{case}: left {took:.1f} s after the second signal\n{said}")
        tap.silent = False
        if stopped:
            carry_on(case, tap.url)
    look(case, output)
    return f"stopped with {made}" if stopped else "complete"


def carry_on(case: Case, url: str) -> None:
    how = "resume" if any((case.folder / "runs").glob("*/journal.jsonl")) else "k.yaml"
    command = [sys.executable, "-m", "runner", how, "--server", url, "-q"]
    done = subprocess.run(command, cwd=case.folder, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Broken(f"{case}: {how} ended with {done.returncode}\n{done.stderr}")


def look(case: Case, output: Path) -> None:
    """Every job is made once, its file is there, and no job was rendered twice."""
    found = journals(case.folder / "runs")
    if len(found) != 1:
        raise Broken(f"{case}: {len(found)} runs")
    [lines] = found.values()
    counts = ends(lines)
    if len(counts) != JOBS or set(counts.values()) != {1}:
        raise Broken(f"{case}: made {dict(counts)}")
    recorded = files_hold(case.folder / "runs", found)
    stray = {
        each for each in (case.folder / "runs").rglob("*") if each.suffix in (".png", ".part")
    } - recorded
    if stray:
        raise Broken(f"{case}: {sorted(stray)[0]} is recorded nowhere")
    renders = on_disk(output, found)
    if len(renders) != JOBS or set(renders.values()) != {1}:
        raise Broken(f"{case}: rendered {dict(renders)}")


@contextmanager
def workplace(asked: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def main() -> int:
    """Play all cases and print what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--phases", type=int, default=40, help="how many of each kind")
    parser.add_argument(
        "--last", type=int, default=44, help="the last phase; about what a run of 6 jobs asks"
    )
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--stopped", type=float, default=3.0, help="seconds of SIGSTOP")
    parser.add_argument("--slack", type=float, default=0.0, help="seconds that a busy machine may add")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--folder", type=Path, help="keep everything there")
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    print(json.dumps({"seed": asked.seed, "phases": asked.phases}), flush=True)
    with workplace(asked.folder) as folder, serving(folder / "server") as url:
        output = folder / "server" / "output"
        for kind in asked.kinds.split(","):
            phases = [round(n * asked.last / max(1, asked.phases - 1)) for n in range(asked.phases)]
            cases = [
                Case(kind, phase, folder / f"{kind}{at}", rng.randrange(2**24))
                for at, phase in enumerate(phases)
            ]
            began = time.monotonic()
            with ThreadPoolExecutor(asked.workers) as workers:
                try:
                    told = Counter(
                        workers.map(lambda case: check(case, url, output, asked.stopped, asked.slack), cases)
                    )
                except Broken as broken:
                    print(json.dumps({"broken": str(broken), "seed": asked.seed}))
                    return 1
            row = {"kind": kind, "cases": len(cases), "s": round(time.monotonic() - began, 1)}
            print(json.dumps(row | {"ended": dict(sorted(told.items()))}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
