"""Many seeds, one again, or every crash point; what `make merge` and `make nightly` call.

    python -m tests.sim --seeds 3000                     # a third each of quiet, net and chaos
    python -m tests.sim --kind chaos --seed 117          # one again, with the story of its jobs
    python -m tests.sim --crash-points --crash-jobs 3    # every crash point of 3 jobs, alone and in pairs

Prints one JSON line with the figures, and for each seed that broke a promise the command that plays it again.
Exits with 1 when there was one, or when more renders were repeated than --duplicates percent.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace

from tests.sim.play import KINDS, Case, Played, again, drawn, play


def tell(case: Case, command: str) -> dict[str, object]:
    """Return the figures of one case; `broken` says what went wrong and how to see it again."""
    try:
        played = play(case)
    except Exception as error:  # noqa: BLE001 - a seed that breaks is what is looked for
        return {"broken": f"{command}\n  {type(error).__name__}: {error}", "jobs": case.jobs}
    verdict = played.verdict
    told: dict[str, object] = {
        "jobs": case.jobs,
        "made": verdict.made,
        "failed": verdict.failed,
        "lost": len(verdict.lost),
        "double": len(verdict.double),
        "stray": len(verdict.stray),
        "duplicates": verdict.duplicates,
        "processes": played.processes,
        "virtual_s": played.virtual_s,
    }
    wasted = verdict.duplicates and not case.nemesis_s
    return told if verdict.sound and not wasted else {**told, "broken": f"{command}\n  {asdict(verdict)}"}


def _spare() -> None:
    """Let this worker look for garbage after so many lives instead of all the time: a sixth faster."""
    gc.freeze()
    gc.disable()


def _seed(asked: tuple[str, int, int]) -> dict[str, object]:
    kind, seed, jobs = asked
    if seed % 10 == 0:
        gc.collect()
    return {**tell(drawn(kind, seed, jobs=jobs), again(kind, seed, jobs)), "kind": kind}


def _crash(case: Case) -> dict[str, object]:
    return {**tell(case, f"play({case})"), "kind": f"{len(case.crashes)} crashes"}


def crash_points(jobs: int) -> Iterator[Case]:
    """Yield every crash point of a run of *jobs*, alone and in pairs."""
    base = Case(jobs=jobs, servers=1, longest_job_s=1.0)
    first = play(base).effects[0]
    for one in range(1, first + 1):
        for torn in (False, True):
            yield replace(base, crashes=(one,), torn=torn)
        after = play(replace(base, crashes=(one,))).effects[-1]
        yield from (replace(base, crashes=(one, two), torn=bool(two % 2)) for two in range(1, after + 1))


def figures(told: Iterator[dict[str, object]]) -> dict[str, dict[str, object]]:
    """Return the sums for each kind; prints what broke as it comes."""
    sums: dict[str, Counter[str]] = {}
    for each in told:
        kind = str(each.pop("kind"))
        broken = each.pop("broken", None)
        if broken is not None:
            print(broken, flush=True)  # noqa: T201
        sums.setdefault(kind, Counter()).update({"runs": 1, "broken": broken is not None, **each})  # type: ignore[dict-item]
    return {kind: _summed(count) for kind, count in sums.items()}


def _summed(count: Counter[str]) -> dict[str, object]:
    percent = round(100 * count["duplicates"] / max(1, count["jobs"]), 3)
    return {**{name: round(value) for name, value in count.items()}, "duplicates_percent": percent}


def main() -> int:
    """Play what is asked for and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, with the story of its jobs")
    parser.add_argument("--kind", choices=KINDS, help="only this kind")
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--crash-points", action="store_true")
    parser.add_argument("--crash-jobs", type=int, default=6)
    parser.add_argument(
        "--duplicates", type=float, default=1.5, help="percent allowed with nemesis; without: 0"
    )
    asked = parser.parse_args()
    if asked.seed is not None:
        story = _story(drawn(asked.kind or "chaos", asked.seed, jobs=asked.jobs))
        print("\n".join(story))  # noqa: T201
        return 0
    began = time.monotonic()
    kinds = [asked.kind] if asked.kind else list(KINDS)
    with ProcessPoolExecutor(asked.workers, initializer=_spare) as pool:
        if asked.crash_points:
            told = pool.map(_crash, crash_points(asked.crash_jobs), chunksize=50)
        else:
            seeds = range(asked.first, asked.first + asked.seeds)
            wanted = [(kinds[seed % len(kinds)], seed, asked.jobs) for seed in seeds]
            told = pool.map(_seed, wanted, chunksize=10)
        sums = figures(told)
    print(json.dumps({"wall_s": round(time.monotonic() - began, 1), **sums}))  # noqa: T201
    broken = any(each["broken"] for each in sums.values())
    repeated = any(
        float(str(each["duplicates_percent"])) > (asked.duplicates if kind == "chaos" else 0.0)
        for kind, each in sums.items()
    )
    return 1 if broken or repeated else 0


def _story(case: Case) -> list[str]:
    lines: list[str] = [str(case)]
    played: Played = play(case, tell=lines.append)
    return [*lines, str(played)]


if __name__ == "__main__":
    sys.exit(main())
