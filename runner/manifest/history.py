"""What earlier runs made: the lookups that decide whether a job must be rendered again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from runner.domain import Output, Realm
from runner.manifest.damage import Asked, refuse_damage, stopping
from runner.manifest.folder import head_of, is_of
from runner.manifest.store import PUBLISHED, Manifest, journals
from runner.model_files import ModelFacts, recorded
from runner.relink import Held


@dataclass(frozen=True, slots=True)
class Made:
    """A job that some run finished, with its files."""

    run: str
    key: str
    name: str
    """Deliver name its files were given."""
    digest: str
    prompt_id: str
    outputs: tuple[Output, ...]


class History:
    """Answers from the manifest of *runs*, journals it lags behind on included."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        # A first run has nothing to ask: to open a database for that takes a tenth of its start.
        begun = any(journals(runs)) or (runs / PUBLISHED).is_file()
        self._manifest = Manifest(runs) if begun else None

    def close(self) -> None:
        """Let go of the manifest."""
        if self._manifest is not None:
            self._manifest.__exit__()

    def notices(self, spec: str, path: Path, *, all_runs: bool = False) -> list[str]:
        """Return what a person should hear of the record before *spec*, which is at *path*, is run.

        What `refuse_damage` refuses is among it with *all_runs* only.
        """
        if self._manifest is None:
            return []
        left = self._manifest.left_out
        refused = set(stopping(left, self.runs, Asked(spec, path)))
        stops = "; until then the spec is not run (exit 7)"
        told = [
            f"{each}{stops if each in refused else ''}" for each in left if all_runs or each not in refused
        ]
        return [*self._manifest.index, *told]

    def refuse_damage(self, spec: str, path: Path) -> None:
        """Raise RecordDamaged (or StorageError) where what a run of *spec* has made cannot be told."""
        if self._manifest is not None and self._manifest.left_out:
            refuse_damage(self._manifest.left_out, self.runs, Asked(spec, path))

    def _rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._manifest.rows(name, **values) if self._manifest is not None else []

    def by_recipe(self, realm: Realm, recipes: Iterable[str]) -> dict[str, Made]:
        """Return recipe → the newest job made by it in *realm*."""
        return self._made("made_by_recipe", realm, recipes)

    def made_as(self, run: str, keys: Sequence[str]) -> dict[str, Made]:
        """Return key → what *run* made under it, for those of *keys* that it has files of."""
        rows = self._rows("made_as", run=run, names=list(keys))
        return {key: _read(list(group)) for key, group in groupby(rows, key=lambda row: row[0])}

    def by_digest(self, realm: Realm, digests: Iterable[str]) -> dict[str, Made]:
        """Return digest → the newest job of that digest in *realm*."""
        return self._made("made_by_digest", realm, digests)

    def told(self, realm: Realm, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return key → what its newest job in *realm* was made from, JSON columns read."""
        found: dict[str, dict[str, Any]] = {}
        if not keys or self._manifest is None:
            return found
        files: dict[str, dict[str, str]] = {}
        for row in self._manifest.query("last_told", realm=realm, names=list(keys)):
            for name in ("slots", "loras", "params", "members"):
                row[name] = json.loads(row[name])
            run = row["run"]
            if run not in files:
                files[run] = dict(self._rows("run_inputs", run=run))
            found[row["key"]] = row | {"files": files[run]}
        return found

    def model_facts(self, run: str) -> ModelFacts:
        """Return what *run* recorded of the model files it used."""
        rows = self._manifest.query("model_files", run=run) if self._manifest is not None else ()
        return recorded(rows)

    def jobs_of(self, run: str) -> int:
        """Return how many jobs *run* was about, waiting ones included; 0 for a stranger."""
        found = self._rows("run_total", run=run)
        return int(found[0][0]) if found else 0

    def realm_of(self, urls: Sequence[str]) -> Realm | None:
        """Return what the servers at *urls* were when one of them was last used; None when none was."""
        found = self._rows("realm_of", urls=list(urls)) if urls else []
        return found[0][0] if found else None

    def unfinished(self, spec: str, path: Path | None = None) -> list[tuple[str, str]]:
        """Return (run, server) where a run of *spec* left attempts open, newest run first; see `is_of`."""
        found = [(run, server) for run, server, _ in self._rows("unfinished", file=_file(spec))]
        ours = {run for run in dict(found) if self._is_of(run, spec, path)}
        return [(run, server) for run, server in found if run in ours]

    def newest(self, spec: str, path: Path | None = None) -> str:
        """Return the newest run of *spec* that is no replay, empty where there is none; see `is_of`."""
        runs = (run for (run,) in self._rows("newest", file=_file(spec)))
        return next((run for run in runs if self._is_of(run, spec, path)), "")

    def _is_of(self, run: str, spec: str, path: Path | None) -> bool:
        return is_of(self.runs, head_of(self.runs, run), spec, path)

    def others_hold(self, run: str, sha256s: Iterable[str]) -> list[Held]:
        """Return the files of these contents that runs but *run* recorded."""
        rows = self._rows("others_hold", run=run, sha256s=list(sha256s))
        return [
            Held(self.runs / other / path, path.removeprefix(name), sha256, mtime_ns)
            for other, path, name, sha256, mtime_ns in rows
        ]

    def _made(self, query: str, realm: Realm, names: Iterable[str]) -> dict[str, Made]:
        wanted = list(names)
        rows = self._rows(query, realm=realm, names=wanted) if wanted else []
        return {name: _read(list(group)) for name, group in groupby(rows, key=lambda row: row[0])}


def _file(spec: str) -> str:
    """Return the last part of a spec's name, which stays the same however the rest is spelled."""
    return PurePosixPath(spec).name


def _read(group: Sequence[tuple[Any, ...]]) -> Made:
    _, run, key, name, digest, prompt_id = group[0][:6]
    return Made(run, key, name, digest, prompt_id, tuple(_output(row[6:]) for row in group))


def _output(row: tuple[Any, ...]) -> Output:
    node, index, path, sha256, size, kind, pixels, width, height, frames, media, server_name, mtime_ns = row
    return Output(
        node=node,
        index=index,
        path=path,
        sha256=sha256,
        size=size,
        kind=kind,
        pixels=pixels,
        width=width,
        height=height,
        frames=frames,
        media=media,
        server_name=server_name,
        mtime_ns=mtime_ns or 0,
    )
