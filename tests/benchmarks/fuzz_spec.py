# ruff: noqa: E501, T201 - it prints what it found
"""Damaged specs, one after the other, for a while: anything but a mistake told is kept in a file and printed.

    python tests/benchmarks/fuzz_spec.py --seconds 600 [--seed N] [--keep FOLDER]

Bytes, lines and words of real specs are turned, doubled, exchanged and mixed. Each batch runs in a process of its
own with 300 MB more memory than it began with and two seconds of processor time for each file, so that what hangs,
grows or kills the process is found too. Ends with 1 when anything was found.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BATCH = 500
MEMORY = 300 * 2**20
SECONDS = 2.0
_SIGNS = (
    b": ", b"- ", b"[", b"]", b"{", b"}", b"&a ", b"*a", b"!t ", b"|\n", b">-\n", b'"', b"'", b"#", b"\t", b"\n", b"\n  ",
    b"null", b"~", b"1..4", b"{{ place }}", b"{% for a in b %}", b"../x", b"1e400", b"\xff", b"\x00", b"\xe2\x80\xa8",
    b"\xed\xa0\x80", b"18446744073709551616", b"<<: ", b"? ", b"---\n", b"%YAML 9\n", b"...", b"x" * 5_000, b"[" * 70,
)  # fmt: skip


def seeds(folder: Path) -> list[bytes]:
    """Return the specs that there are, and put them where one may include the other."""
    found = sorted([*(ROOT / "specs").glob("*.yaml"), *(ROOT / "tests/golden/spec").glob("*.yaml")])
    (folder / "animerun.toml").touch()
    for place in (folder, folder / "specs", folder / "libraries"):
        place.mkdir(exist_ok=True)
        for path in found:
            (place / path.name).write_bytes(path.read_bytes())
    return [path.read_bytes() for path in found]


def damaged(chance: random.Random, known: list[bytes]) -> bytes:
    """Return one of *known* with up to eight damages."""
    data = chance.choice(known)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        data = chance.choice((_turned, _signed, _cut, _lines, _words, _spliced))(chance, data, known)
    return data[:200_000]


def _turned(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _signed(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(_SIGNS) + data[at + chance.choice((0, 0, 1, 4)) :]


def _cut(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at, length = chance.randrange(len(data) + 1), chance.choice((1, 10, 100))
    return data[:at] + data[at + length :] * chance.choice((1, 1, 2))


def _lines(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    lines = data.split(b"\n")
    one, two = chance.randrange(len(lines)), chance.randrange(len(lines))
    if chance.random() < 0.5:
        lines[one], lines[two] = lines[two], lines[one]
    else:
        lines.insert(one, b" " * chance.choice((0, 2, 4)) + lines[two])
    return b"\n".join(lines)


def _words(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    words = data.split(b" ")
    words[chance.randrange(len(words))] = chance.choice(words)
    return b" ".join(words)


def _spliced(chance: random.Random, data: bytes, known: list[bytes]) -> bytes:
    other = chance.choice(known)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def batch(seed: int, folder: str, told: multiprocessing.connection.Connection) -> None:
    """Read a batch; the file in work lies in *folder*, where it is found should this process die."""
    from runner.errors import SpecError
    from runner.expand import expand
    from runner.render import Catalog
    from runner.spec import load

    chance, known, path = random.Random(seed), seeds(Path(folder)), Path(folder) / "spec.yaml"
    catalog = Catalog(None)
    for name in catalog.names():
        catalog.load(name)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    slowest, right = 0.0, 0
    for _ in range(BATCH):
        path.write_bytes(damaged(chance, known))
        began = time.process_time()
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(began + SECONDS + 2), hard))
        try:
            for number, _job in enumerate(expand(load(path), catalog)):
                if number > 20:
                    break
            right += 1
        except SpecError as refused:
            assert refused.problems
            assert str(refused)
        slowest = max(slowest, time.process_time() - began)
        assert slowest < SECONDS, "too slow"
    told.send((slowest, right, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def main() -> int:
    """Fuzz and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from runner import expand, render, spec

    assert expand and render and spec  # imported once, for all batches
    context = multiprocessing.get_context("fork")
    began, runs, found, slowest, right, memory = time.monotonic(), 0, 0, 0.0, 0, 0
    while time.monotonic() - began < options.seconds:
        seed = options.seed + runs
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=batch, args=(seed, folder, theirs))
            process.start()
            theirs.close()
            process.join()
            if process.exitcode == 0:
                took, good, most = ours.recv()
                slowest, right, memory = max(slowest, took), right + good, max(memory, most)
            else:
                found += 1
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{seed}.yaml").write_bytes((Path(folder) / "spec.yaml").read_bytes())
                print(json.dumps({"seed": seed, "exit": process.exitcode}), flush=True)
            ours.close()
        runs += 1
    print(
        json.dumps(
            {"seed": options.seed, "files": runs * BATCH, "read": right, "seconds": round(time.monotonic() - began),
             "slowest_s": round(slowest, 3), "rss_mb": memory, "found": found}
        )
    )  # fmt: skip
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
