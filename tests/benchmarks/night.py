# ruff: noqa: E501, T201 - commands; it prints what it found
"""Four nights of a production on real servers, with what goes wrong in a real night; one JSON line each.

    python tests/benchmarks/night.py --server URL START PID OUTPUT --server … [--jobs 200]

A server is given as in `server_faults.py`: its address, the command that starts it, the file that holds its
process id, the folder it saves into. Each needs the node pack `night_nodes/` and the checkpoint and LoRA named by
--checkpoint and --lora, except the **last** one, which must lack the LoRA: it has to be left out by name.

The nights: `first` (no baseline yet; the gate must say so), `faults` (the first server is killed in the middle and
started again, another process holds the manifest open for writing at random moments), `again` (the spec by its
absolute path, nothing goes wrong), `bad` (another colour: the gate must trip), `after` (a night like the first: the
bad one must not have become the baseline). Exits with 1 when a job was lost, made twice, or an exit code is wrong.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import random
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

from PIL import Image

from tests.benchmarks.server_faults import Machine, until

FLAT = """\
---
title: One flat colour
parameters: {colour: {type: int, default: 3}, seed: {type: seed}}
outputs: {out: image}
---
{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": {{ (colour + seed) % 16777216 }}}},
  "sleep": {"class_type": "TSleep", "inputs": {"image": ["empty", 0], "seconds": 0.2, "coop": true}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["sleep", 0]}}
}
"""
BYTES = """\
---
title: A file of some kind
parameters: {seed: {type: seed}}
outputs: {out: KIND}
---
{"out": {"class_type": "TSaveBytes", "inputs": {"content": "CONTENT", "extension": "EXTENSION", "seed": {{ seed }}}}}
"""
HOLD = """\
import sys, time, duckdb
try:
    held = duckdb.connect(sys.argv[1])
    held.execute("create table if not exists held (x int)")
except Exception as error:
    print("not held", error, flush=True)
else:
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def glb() -> bytes:
    """Return a whole GLB file: one triangle."""
    binary = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    scene = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(binary)}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 1, 0],
            }
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def avif() -> bytes:
    """Return a small AVIF picture."""
    made = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 80, 20)).save(made, "AVIF")
    return made.getvalue()


KINDS = {
    "mesh": ("model3d", "glb", glb()),
    "drawing": ("file", "svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>\n'),
    "photo": ("image", "avif", avif()),
    "letter": ("text", "txt", "Gr\xfc\xdfe aus K\xf6ln, 5 \xb0C\n".encode("latin-1")),
}  # fmt: skip


def project(folder: Path, jobs: int, checkpoint: str, lora: str) -> Path:
    """Write the project of *jobs* jobs; return its spec."""
    (folder / "templates").mkdir(parents=True)
    (folder / "animerun.toml").write_text("")
    (folder / "templates/flat.json.j2").write_text(FLAT)
    for name, (kind, extension, content) in KINDS.items():
        text = BYTES.replace("KIND", kind).replace("EXTENSION", extension)
        encoded = base64.b64encode(content).decode()
        (folder / f"templates/{name}.json.j2").write_text(text.replace("CONTENT", encoded))
    each = max(1, jobs // 20)
    drawn = max(1, jobs // 10)
    flat = jobs - drawn - each * len(KINDS)
    others = "".join(f"  {name}: {{template: {name}, seeds: 1..{each}}}\n" for name in KINDS)
    spec = folder / "specs/night.yaml"
    spec.parent.mkdir()
    spec.write_text(
        "animerun: 1\nepisode: night\n"
        "scenes:\n"
        f"  drawn: {{template: txt2img, checkpoint: {checkpoint}, size: 64x64, steps: 1,"
        f" prompt: a lighthouse, lora: {lora}, seeds: 1..{drawn}}}\n"
        f"  flat: {{template: flat, seeds: 1..{flat}}}\n{others}"
    )
    return spec


class Holder(threading.Thread):
    """Opens the manifest for writing in a process of its own, again and again at random moments, until stopped."""

    def __init__(self, manifest: Path, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.manifest, self.chance, self.over, self.held = manifest, chance, threading.Event(), 0

    def run(self) -> None:
        while not self.over.wait(self.chance.uniform(0.2, 2)):
            if not self.manifest.exists():
                continue
            seconds = self.chance.uniform(0.5, 6)
            child = subprocess.run(
                [sys.executable, "-c", HOLD, str(self.manifest), str(seconds)],
                capture_output=True,
                text=True,
                check=False,
            )
            self.held += child.stdout.startswith("held")


class Night:
    """One run of animerun and what is known of it afterwards."""

    def __init__(self, folder: Path, machines: list[Machine], name: str) -> None:
        self.folder, self.machines, self.name = folder, machines, name
        self.before = set((folder / "runs").glob("*/journal.jsonl"))

    def begin(self, spec: str) -> subprocess.Popen[str]:
        servers = [word for machine in self.machines for word in ("--server", machine.url)]
        gate = ["--baseline", "latest-success", "--fail-on", "missing,failed,changed"]
        reports = ["--junit", f"ci/{self.name}.xml", "--summary", f"ci/{self.name}.md"]
        return subprocess.Popen(
            [sys.executable, "-m", "runner", spec, *servers, "--force", "--yes", "--quiet", *gate, *reports],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def lines(self) -> list[dict[str, object]]:
        found = set((self.folder / "runs").glob("*/journal.jsonl")) - self.before
        return [
            json.loads(raw) for path in found for raw in path.read_text().splitlines() if raw.endswith("}")
        ]

    def done(self) -> int:
        return sum(line["t"] == "done" for line in self.lines())

    def reached(self, jobs: int, process: subprocess.Popen[str]) -> bool:
        return self.done() >= jobs or process.poll() is not None

    def figures(self, process: subprocess.Popen[str], jobs: int, wait_s: float) -> dict[str, object]:
        """Wait for the end and return what happened."""
        began = time.monotonic()
        out, _ = process.communicate(timeout=wait_s)
        lines = self.lines()
        made = Counter(str(line["key"]) for line in lines if line["t"] == "done")
        prefixes = {str(line["prefix"]).rpartition("/")[0] for line in lines if line["t"] == "intent"}
        saved = {
            path.parent.relative_to(machine.output).as_posix()
            for machine in self.machines
            for path in machine.output.rglob("*_00001_*")
        }
        summary = self.folder / f"ci/{self.name}.md"
        return {
            "night": self.name,
            "exit": process.returncode,
            "jobs": len(made),
            "lost": jobs - len(made),
            "twice": sum(count > 1 for count in made.values()),
            "extra_renders": len(saved & prefixes) - len(made),
            "left_out": next(
                (line for line in out.splitlines() if self.machines[-1].url.split("//")[1] in line), ""
            ),
            "gate": [line for line in out.splitlines() if "aseline" in line or "ate " in line][-3:],
            "traceback": "Traceback" in out,
            "summary": summary.read_text().splitlines()[:3] if summary.exists() else [],
            "waited_s": round(time.monotonic() - began, 1),
            "said": out.splitlines()[-12:] if process.returncode else [],
        }


def main() -> int:
    """Play the nights; 0 when each ended as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--server", nargs=4, action="append", required=True, metavar=("URL", "START", "PID", "OUTPUT")
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--checkpoint", default="tiny_sd15.safetensors")
    parser.add_argument("--lora", default="night.safetensors")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    machines = [Machine(u.rstrip("/"), shlex.split(s), Path(p), Path(o)) for u, s, p, o in asked.server]
    for machine in machines:
        machine.start()
    wanted = {"first": 0, "faults": 0, "again": 0, "bad": 9, "after": 0}
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        spec = project(folder, asked.jobs, asked.checkpoint, asked.lora)
        for name, code in wanted.items():
            night = Night(folder, machines, name)
            spelled = str(spec) if name == "again" else "specs/night.yaml"
            colour = "default: 700" if name == "bad" else "default: 3"
            (folder / "templates/flat.json.j2").write_text(FLAT.replace("default: 3", colour))
            process = night.begin(spelled)
            holder = Holder(folder / "runs/manifest.duckdb", random.Random(asked.seed))
            if name == "faults":
                holder.start()
                until(partial(night.reached, asked.jobs // 4, process), "a quarter of the jobs", 300)
                machines[0].signal(signal.SIGKILL)
                machines[0].start()
            figures = night.figures(process, asked.jobs, 900)
            holder.over.set()
            figures["held"] = holder.held
            print(json.dumps(figures), flush=True)
            lost = 4 if name == "faults" else 0
            if (
                figures["exit"] != code
                or figures["lost"]
                or figures["twice"]
                or figures["traceback"]
                or not figures["left_out"]
                or int(str(figures["extra_renders"])) > lost
            ):
                wrong.append(name)
            if name == "first" and "baseline" not in " ".join(map(str, figures["gate"])):  # type: ignore[call-overload]
                wrong.append("first: no word about the baseline")
    print(json.dumps({"wrong": wrong}))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
