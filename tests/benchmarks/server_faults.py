# ruff: noqa: E501, T201 - commands; it prints what it found
"""Two servers, one of them killed, stopped or wedged in the middle of a run; what it cost, one JSON line each.

    python tests/benchmarks/server_faults.py                          two previz processes of its own
    python tests/benchmarks/server_faults.py --server URL START PID OUTPUT --server … real ones: the command that
                             starts each, the file that holds its process id, the folder it saves into

Cases: `kill:SECONDS` (SIGKILL of the first server while it runs a job, started again after so long),
`stop:SECONDS` (SIGSTOP for so long), `worker` (a job of somebody else kills its worker thread),
`sleep:SECONDS` (SIGSTOP of animerun itself). The servers need the test nodes (TSleep, TRaise).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

FRONT = (
    "---\ntitle: slow\nparameters: {seed: {type: seed}, colour: {type: int}}\noutputs: {out: image}\n---\n"
)
TEMPLATE = FRONT + json.dumps(
    {
        "empty": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": "COLOUR"},
        },
        "sleep": {
            "class_type": "TSleep",
            "inputs": {"image": ["empty", 0], "seconds": "SECONDS", "coop": True},
        },
        "out": {"class_type": "SaveImage", "inputs": {"images": ["sleep", 0]}},
    }
).replace('"COLOUR"', "{{ (colour + seed) % 16777216 }}")


@dataclass
class Machine:
    """One server that can be started, killed and stopped."""

    url: str
    start_command: list[str]
    pid_file: Path
    output: Path
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text().strip())

    def up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/queue", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def start(self) -> None:
        if self.up():
            return
        command = [each.replace("{pid}", str(self.pid_file)) for each in self.start_command]
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self.up, f"{self.url} to answer", 120)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)
        if number == signal.SIGKILL and self.child is not None:
            self.child.wait()

    def queue(self) -> dict[str, list[list[object]]]:
        return httpx.get(f"{self.url}/queue", timeout=10, trust_env=False).json()

    def wedge(self) -> None:
        """Kill its worker thread by a job of somebody else."""
        inputs = {"width": 8, "height": 8, "batch_size": 1, "color": random.randrange(2**24)}
        graph = {
            "1": {"class_type": "EmptyImage", "inputs": inputs},
            "2": {"class_type": "TRaise", "inputs": {"image": ["1", 0], "kind": "systemexit"}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "stranger"}},
        }
        httpx.post(f"{self.url}/prompt", json={"prompt": graph}, timeout=10, trust_env=False)


def until(look: object, what: str, wait_s: float) -> None:
    """Wait until *look* returns something true."""
    end = time.monotonic() + wait_s
    while not look():  # type: ignore[operator]
        if time.monotonic() > end:
            raise SystemExit(f"waited {wait_s} s for {what}")
        time.sleep(0.05)


def previz(folder: Path, port: int) -> Machine:
    """Return a previz that can be killed; its process id is that of the shell it replaces."""
    folder.mkdir(parents=True)
    run = f"{shlex.quote(sys.executable)} -m runner.previz --port {port} --folder {shlex.quote(str(folder))} --test-nodes"
    command = ["bash", "-c", f"echo $$ > {{pid}}; exec {run}"]
    return Machine(f"http://127.0.0.1:{port}", command, folder.parent / f"pid-{port}", folder / "output")


class Case:
    """One run with one fault."""

    def __init__(
        self, folder: Path, machines: list[Machine], *, jobs: int, seconds: float, depth: int
    ) -> None:
        self.folder, self.machines, self.jobs, self.depth = folder, machines, jobs, depth
        (folder / "templates").mkdir(parents=True)
        (folder / "animerun.toml").write_text("")
        (folder / "templates/slow.json.j2").write_text(TEMPLATE.replace('"SECONDS"', str(seconds)))
        (folder / "k.yaml").write_text(
            "animerun: 1\nepisode: k\ntemplate: slow\n"
            f"scenes: {{s: {{colour: {random.randrange(2**24)}, takes: {jobs}}}}}\n"
        )

    def begin(self, *more: str) -> subprocess.Popen[str]:
        servers = [word for machine in self.machines for word in ("--server", machine.url)]
        return subprocess.Popen(
            [sys.executable, "-m", "runner", "k.yaml", *servers, "--depth", str(self.depth), "--json", *more],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def lines(self) -> list[dict[str, object]]:
        found = list((self.folder / "runs").glob("*/journal.jsonl"))
        return [json.loads(raw) for raw in found[0].read_text().splitlines()] if found else []

    def done(self) -> int:
        return sum(line["t"] == "done" for line in self.lines())

    def mid_job(self) -> bool:
        """Some jobs are done, and the first server runs one of ours."""
        return self.done() >= 4 and bool(self.machines[0].queue()["queue_running"])

    def told(self, process: subprocess.Popen[str], wait_s: float) -> dict[str, object]:
        """Return the figures once the run has ended."""
        out, err = process.communicate(timeout=wait_s)
        events = [json.loads(line) for line in out.splitlines()]
        lines = self.lines()
        made = Counter(str(line["key"]) for line in lines if line["t"] == "done")
        prefixes = {str(line["prefix"]).rpartition("/")[0] for line in lines if line["t"] == "intent"}
        saved = {
            path.parent.relative_to(machine.output).as_posix()
            for machine in self.machines
            for path in machine.output.rglob("*.png")
        }
        renders = len(saved & prefixes)
        failed = Counter(str(line["code"]) for line in lines if line["t"] == "failed")
        return {
            "exit": process.returncode,
            "lost": self.jobs - len(made),
            "twice": sum(count > 1 for count in made.values()),
            "extra_renders": renders - len(made),
            "failed_attempts": failed,
            "seconds": events[-1].get("seconds") if events else err[-300:],
            "left_out": [each["reason"] for each in events if each.get("final")],
            "notices": [each["message"] for each in events if each["event"] == "server_notice"],
        }


def play(case: Case, name: str) -> dict[str, object]:
    """Play one case: *name* is `kind` or `kind:seconds`."""
    kind, _, number = name.partition(":")
    seconds, first = float(number or 0), case.machines[0]
    for machine in case.machines:
        machine.start()
    process = case.begin(*(("--no-progress", "20s") if kind == "worker" else ()))
    until(case.mid_job, "the run to be in the middle", 120)
    match kind:
        case "kill":
            first.signal(signal.SIGKILL)
            time.sleep(seconds)
            first.start()
        case "stop":
            first.signal(signal.SIGSTOP)
            time.sleep(seconds)
            first.signal(signal.SIGCONT)
        case "sleep":
            process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)
        case "worker":
            first.wedge()
        case _:
            raise SystemExit(f"no such case: {name}")
    figures = case.told(process, 400)
    if kind == "worker":
        first.signal(signal.SIGKILL)
    return figures


def main() -> int:
    """Play the cases asked for; 0 when nothing was lost or made twice in any of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "cases", nargs="*", default=["kill:0", "kill:5", "kill:40", "stop:120", "worker", "sleep:90"]
    )
    parser.add_argument("--server", nargs=4, action="append", metavar=("URL", "START", "PID", "OUTPUT"))
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a job takes")
    parser.add_argument("--depth", type=int, default=2)
    asked = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if asked.server:
            machines = [
                Machine(u.rstrip("/"), shlex.split(s), Path(p), Path(o)) for u, s, p, o in asked.server
            ]
        else:
            machines = [
                previz(folder / f"previz{n}", 47_100 + os.getpid() % 800 + n * 1000) for n in range(2)
            ]
        for number, name in enumerate(asked.cases):
            case = Case(
                folder / str(number), machines, jobs=asked.jobs, seconds=asked.seconds, depth=asked.depth
            )
            figures = play(case, name)
            print(json.dumps({"case": name, **figures}), flush=True)
            bad = (
                figures["exit"]
                or figures["lost"]
                or figures["twice"]
                or figures["extra_renders"] > asked.depth
            )  # type: ignore[operator]
            worst = worst or int(bool(bad))
        for machine in machines:
            if not asked.server:
                machine.signal(signal.SIGKILL)
    return worst


if __name__ == "__main__":
    sys.exit(main())
