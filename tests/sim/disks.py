# ruff: noqa: T201 - it prints when it is called
"""Disks that fail, and disks that forget what was not synced when the power goes.

    python -m tests.sim.disks [--errors] [--power [--jobs 20] [--tears 8]]

`Failing`: the n-th act on the disk raises, once or from then on. `Forgetful` keeps its own account of what
is durable: the content of a file is what it was at its last sync, a name what it was at the last sync of its
folder. After a power cut every part of the rest is there, gone, or torn at a border of 512 bytes.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tests.sim.play import Case, Played, play
from tests.sim.world import SimDisk

SIX = Case(jobs=6, servers=1, longest_job_s=1.0)
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
ACTS = ("open", "write", "sync", "truncate", "rename", "link", "unlink", "make_folder", "sync_folder")
Way = Literal["drop", "keep", "tear", "zero"]
BLOCK = 512


class Failing(SimDisk):
    """The *nth* act raises *error*, and with *lasting* every act after it; a write does half its work."""

    def __init__(self, nth: int, error: int, *, lasting: bool = False) -> None:
        self.acts = 0
        self._nth, self._error, self._lasting = nth, error, lasting

    def _act(self) -> bool:
        self.acts += 1
        return self.acts == self._nth or (self._lasting and self.acts > self._nth)

    def write(self, fd: int, block: Any) -> int:
        """Write, or write half and fail at the next."""
        if self._act():
            super().write(fd, memoryview(block)[: len(block) // 2])
            raise OSError(self._error, os.strerror(self._error))
        return super().write(fd, block)


def _failing(name: str) -> Any:
    def act(self: Failing, *args: Any) -> Any:
        if self._act():
            raise OSError(self._error, os.strerror(self._error))
        return getattr(SimDisk, name)(self, *args)

    return act


for _name in ACTS:
    if _name != "write":
        setattr(Failing, _name, _failing(_name))


class Forgetful(SimDisk):
    """Knows what of its files and names would be there after a power cut."""

    def __init__(self) -> None:
        self._synced: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, tuple[int, bool]]] = {}

    def sync(self, fd: int) -> None:
        """The content is durable now."""
        self._synced[os.fstat(fd).st_ino] = Path(f"/proc/self/fd/{fd}").read_bytes()

    def sync_folder(self, folder: Path) -> None:
        """The names are durable now."""
        self._names[folder] = self._now(folder)

    def _now(self, folder: Path) -> dict[str, tuple[int, bool]]:
        return {entry.name: (entry.inode(), entry.is_dir()) for entry in os.scandir(folder)}

    def cut(self, runs: Path, way: Way, chance: random.Random) -> None:
        """Leave of *runs* what a power cut leaves."""
        if not runs.exists():
            return
        states = dict(self._after(runs, way, chance))
        shutil.rmtree(runs)
        for path, content in states.items():
            if content is None:
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def _after(self, folder: Path, way: Way, chance: random.Random) -> Iterator[tuple[Path, bytes | None]]:
        yield folder, None
        names = self._now(folder) if folder.is_dir() else {}
        if way == "drop" or (way != "keep" and chance.random() < 0.5):
            names = self._names.get(folder, {})
        for name, (inode, is_folder) in names.items():
            path = folder / name
            if is_folder:
                yield from self._after(path, way, chance)
            else:
                yield path, self._content(path, inode, way, chance)

    def _content(self, path: Path, inode: int, way: Way, chance: random.Random) -> bytes:
        synced = self._synced.get(inode, b"")
        there = path.is_file() and path.stat().st_ino == inode
        now = path.read_bytes() if there else synced
        if way == "keep":
            return now
        if way == "drop" or not now.startswith(synced):
            return synced
        kept = max(len(synced), BLOCK * chance.randint(len(synced) // BLOCK, -(-len(now) // BLOCK)))
        lost = b"\0" * (len(now) - kept) if way == "zero" and chance.random() < 0.5 else b""
        return now[:kept] + lost


def acts_of(case: Case) -> int:
    """Return how many acts on the disk the first process of *case* has."""
    made: list[Failing] = []

    def disk() -> Failing:
        made.append(Failing(0, 0))
        return made[0]

    play(replace(case, disk=disk))
    return made[0].acts


def with_error(nth: int, error: int, *, lasting: bool) -> Played:
    """Play six jobs on a disk whose *nth* act fails, then on a sound one."""
    return play(replace(SIX, disk=partial(Failing, nth, error, lasting=lasting)))


def without_power(case: Case, last: int, way: Way, seed: int) -> Played:
    """Play *case*, pull the plug at the effect *last*, and continue."""
    chance = random.Random(f"{last} {way} {seed}")

    def aftermath(disk: SimDisk, runs: Path) -> None:
        assert isinstance(disk, Forgetful)
        disk.cut(runs, way, chance)

    return play(replace(case, crashes=(last,), disk=Forgetful, aftermath=aftermath))


def borders(case: Case) -> list[int]:
    """Return the effects of *case* behind which the disk is in another state: each act on it."""
    names: list[str] = []
    play(case, effects=names)
    acts = {name.replace("_", " ") for name in ACTS}
    return [number for number, name in enumerate(names, 1) if name in acts]


def wrong(played: Played, jobs: int) -> str:
    """Return what is wrong with the end of *played*, empty when nothing is; exit code 7 is an honest end."""
    if played.codes[-1] == 7:
        return ""
    if not played.verdict.sound or played.verdict.made != jobs:
        return f"codes {played.codes}: {played.verdict}"
    return ""


def main() -> int:
    """Play all of it and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--power", action="store_true")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--tears", type=int, default=8)
    asked = parser.parse_args()
    bad = 0
    if asked.errors:
        began, codes = time.monotonic(), Counter[str]()
        for nth in range(1, acts_of(SIX) + 1):
            for error in ERRORS:
                for lasting in (False, True):
                    played = with_error(nth, error, lasting=lasting)
                    codes[str(played.codes[0])] += 1
                    if why := wrong(played, 6):
                        bad += 1
                        print(f"act {nth}, {errno.errorcode[error]}, lasting {lasting}: {why}")
        print(json.dumps({"errors": codes.total(), "first_code": codes, "wrong": bad,
                          "s": round(time.monotonic() - began, 1)}), flush=True)  # fmt: skip
    if asked.power:
        began, ends = time.monotonic(), Counter[str]()
        case = replace(SIX, jobs=asked.jobs)
        ways: list[tuple[Way, int]] = [("drop", 0), ("keep", 0)]
        ways += [(way, seed) for way in ("tear", "zero") for seed in range(asked.tears)]  # type: ignore[misc]
        for last in borders(case):
            for way, seed in ways:
                played = without_power(case, last, way, seed)
                ends[str(played.codes[-1])] += 1
                if why := wrong(played, asked.jobs):
                    bad += 1
                    print(f"effect {last}, {way} {seed}: {why}")
        print(json.dumps({"states": ends.total(), "last_code": ends, "wrong": bad,
                          "s": round(time.monotonic() - began, 1)}), flush=True)  # fmt: skip
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
