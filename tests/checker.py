"""The judge: was anything lost, recorded twice, or recorded without its bytes?

    python tests/checker.py RUNS KEYS.json SERVER.json…

It reads journals, the output tree and what the servers say they made. It imports nothing of animerun: the
formats are those of `runs/README.md`. KEYS.json is a list of job keys; a SERVER.json holds `files` (name →
sha256), `posts` (ids, in order) and `rendered` (id → how often it ended in success).
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Broken(Exception):
    """A promise was not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What one server says of itself."""

    files: dict[str, str]
    posts: list[str]
    rendered: dict[str, int]


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What was found. Everything but the counts must be empty."""

    jobs: int = 0
    made: int = 0
    failed: int = 0
    duplicates: int = 0
    """Successful renders of jobs beyond one each."""
    lost: list[str] = field(default_factory=list)
    """Keys without an end."""
    double: list[str] = field(default_factory=list)
    """Keys with two ends in one run."""
    wrong: list[str] = field(default_factory=list)
    """Recorded files that are not there, or not what the server made."""
    stray: list[str] = field(default_factory=list)
    """Files that nobody recorded."""
    unknown: list[str] = field(default_factory=list)
    """Submissions that no journal announced."""
    twice: list[str] = field(default_factory=list)
    """Ids submitted more than once."""

    @property
    def sound(self) -> bool:
        return not (self.lost or self.double or self.wrong or self.stray or self.unknown or self.twice)


def journal(path: Path) -> list[Line]:
    """Return the lines of a journal whose checksums hold; only an unfinished last line may be left out."""
    lines, check, rest = [], 0, path.read_bytes()
    while b"\n" in rest:
        raw, _, rest = rest.partition(b"\n")
        body, mark, tail = raw.rpartition(b',"c":"')
        check = zlib.crc32(body, check)
        if not mark or tail != b'%08x"}' % check:
            raise Broken(f"{path}: line {len(lines) + 1} is damaged")
        lines.append(json.loads(raw))
    return lines


def journals(runs: Path) -> dict[str, list[Line]]:
    """Return run → lines, for every run."""
    return {path.parent.name: journal(path) for path in sorted(runs.glob("*/journal.jsonl"))}


def ends(lines: Iterable[Line]) -> Counter[str]:
    """Return key → how often a journal says that it was made."""
    return Counter(line["key"] for line in lines if line["t"] in ("done", "reused"))


def failures(lines: Iterable[Line]) -> set[str]:
    """Return the keys whose last attempt failed for good."""
    last = {line["key"]: line for line in lines if line["t"] in ("failed", "done", "reused", "intent")}
    return {key for key, line in last.items() if line["t"] == "failed" and line["final"]}


def story(runs: Path) -> Iterator[str]:
    """Yield what became of each attempt, job by job, for people."""
    for run, lines in journals(runs).items():
        told = [line for line in lines if line["t"] in ("intent", "done", "reused", "failed", "cancelled")]
        for line in sorted(told, key=lambda line: (line["key"], line["at"])):
            told = [run, line["key"], f"{line['at']:.1f}", line["t"]]
            told += [str(line.get(name, "")) for name in ("n", "server", "code", "message")]
            yield " ".join(told).rstrip()


def judge(runs: Path, keys: Sequence[str], servers: Sequence[Server]) -> Verdict:
    """Compare what is recorded under *runs* with what is on disk and with what *servers* made."""
    found = journals(runs)
    verdict = Verdict(jobs=len(keys))
    made: Counter[str] = Counter()
    failed: set[str] = set()
    owner: dict[str, str] = {}
    files = {name: sha256 for server in servers for name, sha256 in server.files.items()}
    for run, lines in found.items():
        count = ends(lines)
        verdict.double += [key for key, times in count.items() if times > 1]
        made.update(count.keys())
        failed |= failures(lines)
        owner |= {line["id"]: line["key"] for line in lines if line["t"] == "intent"}
        recorded = {"journal.jsonl", "journal.jsonl.torn", "run.json"}
        for output in _outputs(lines):
            recorded.add(output["path"])
            verdict.wrong += _wrong(runs / run / output["path"], output, files)
        strays = [runs / run / name for name in _names(runs / run) if name not in recorded]
        verdict.stray += [str(path.relative_to(runs)) for path in strays]
    verdict.made, verdict.failed = len(made), len(failed - made.keys())
    verdict.lost = [key for key in keys if key not in made and key not in failed]
    renders: Counter[str] = Counter()
    for server in servers:
        verdict.twice += [each for each, times in Counter(server.posts).items() if times > 1]
        verdict.unknown += [each for each in server.posts if each not in owner]
        for each, times in server.rendered.items():
            renders[owner.get(each, each)] += times
    verdict.duplicates = sum(times - 1 for times in renders.values())
    return verdict


def _outputs(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield every file that a journal records."""
    for line in lines:
        yield from line["outputs"] if line["t"] in ("done", "reused") else ()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _wrong(path: Path, output: Line, files: dict[str, str]) -> list[str]:
    """Return what is wrong with a recorded file: the bytes here, or where they came from."""
    if not path.is_file():
        return [f"{path}: not there"]
    if _sha256(path) != output["sha256"]:
        return [f"{path}: not what was recorded"]
    if files and files.get(output["server_name"]) != output["sha256"]:
        return [f"{path}: not what the server made as {output['server_name']}"]
    return []


def _names(folder: Path) -> list[str]:
    """Return every file of a run but its frozen plan."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in paths)
    return [name for name in names if not name.startswith("plan/")]


def main(argv: Sequence[str]) -> int:
    """Print the verdict as JSON; 1 when it is not sound."""
    runs, keys, *servers = map(Path, argv)
    told = [Server(**json.loads(path.read_text())) for path in servers]
    verdict = judge(runs, json.loads(keys.read_text()), told)
    print(json.dumps(asdict(verdict)))  # noqa: T201 - a program
    return 0 if verdict.sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
