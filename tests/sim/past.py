"""What earlier runs made, read from their journals: in place of the index, which takes longer than a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.domain import Output, Realm
from runner.manifest.folder import is_of
from runner.manifest.history import Made
from runner.model_files import ModelFacts
from runner.relink import Held
from tests import checker


class Past:
    """Answers as `History` does, for what a simulated project asks; the newest run comes first."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        lines = {path.parent.name: checker.journal(path) for path in runs.glob("*/journal.jsonl")}
        begun = {run: told for run, told in lines.items() if head(told)}
        newest = sorted(begun, key=lambda run: (head(begun[run])["at"], run), reverse=True)
        self._runs = {run: begun[run] for run in newest}

    @property
    def begun(self) -> tuple[str, ...]:
        """The runs that began, newest first."""
        return tuple(self._runs)

    def by_recipe(self, realm: Realm, recipes: Iterable[str]) -> dict[str, Made]:
        return self._made("recipe", recipes)

    def by_digest(self, realm: Realm, digests: Iterable[str]) -> dict[str, Made]:
        return self._made("digest", digests)

    def told(self, realm: Realm, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {}

    def model_facts(self, run: str) -> ModelFacts:
        return {}

    def jobs_of(self, run: str) -> int:
        return int(head(self._runs[run])["total"])

    def close(self) -> None:
        """Nothing is held."""

    def notices(self, spec: str, path: Path, *, all_runs: bool = False) -> list[str]:
        return []

    def refuse_damage(self, spec: str, path: Path) -> None:
        """Every journal was read whole when this was made."""

    def unfinished(self, spec: str, path: Path | None = None) -> list[tuple[str, str]]:
        found: dict[tuple[str, str], None] = {}
        for run in self._of(spec, path):
            lines = self._runs[run]
            ended = {line["id"] for line in lines if line["t"] in ("done", "failed", "cancelled")}
            opened = [line for line in lines if line["t"] == "intent" and line["id"] not in ended]
            found |= {(run, line["server"]): None for line in opened}
        return list(found)

    def newest(self, spec: str, path: Path | None = None) -> str:
        return next(self._of(spec, path), "")

    def _of(self, spec: str, path: Path | None) -> Iterator[str]:
        """Yield the runs of *spec*, newest first."""
        for run, lines in self._runs.items():
            if is_of(self.runs, head(lines), spec, path):
                yield run

    def others_hold(self, run: str, sha256s: Iterable[str]) -> list[Held]:
        wanted = set(sha256s)
        names = {other: _names(lines) for other, lines in self._runs.items() if other != run}
        return [
            Held(
                self.runs / other / output["path"],
                output["path"].removeprefix(called[line["key"]]),
                output["sha256"],
                output["mtime_ns"],
            )
            for other, called in names.items()
            for line in self._runs[other]
            for output in (line["outputs"] if line["t"] in ("done", "reused") else ())
            if output["sha256"] in wanted
        ]

    def _made(self, name: str, wanted: Iterable[str]) -> dict[str, Made]:
        asked, found = set(wanted), dict[str, Made]()
        for run, lines in self._runs.items():
            ends = {line["key"]: line for line in lines if line["t"] in ("done", "reused")}
            for job in lines:
                if job["t"] == "job" and job.get(name) in asked and job["key"] in ends:
                    end = ends[job["key"]]
                    outputs = tuple(Output(**output) for output in end["outputs"])
                    made = Made(run, job["key"], job["name"], job["digest"], end["id"], outputs)
                    found.setdefault(job[name], made)
        return found


def _names(lines: Sequence[checker.Line]) -> dict[str, str]:
    """Return key → deliver name."""
    return {line["key"]: line["name"] for line in lines if line["t"] == "job"}


def head(lines: Sequence[checker.Line]) -> checker.Line:
    """Return the line that says what run it is, empty where its process died before it."""
    return next((line for line in lines if line["t"] == "run"), {})
