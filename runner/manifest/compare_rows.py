"""Two runs in one database, beside each other: the statements of diff.sql and what they are asked about.

A side is a run the manifest knows, or a run's folder anywhere, read from its journal. What comes back are
counts, groups and the first few keys; a million equal jobs never leave the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import duckdb

from runner.manifest.journal import Reading
from runner.manifest.opening import literal
from runner.manifest.rows import rows
from runner.manifest.store import JOURNAL, TABLES, Manifest
from runner.manifest.tables import append

Letter = Literal["a", "b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the record of one side is."""

    run: str = ""
    """A run of the manifest; empty: *folder* is read."""
    folder: Path | None = None
    planned: bool = False
    """Nothing of it was rendered: it has no states."""


@cache
def statements() -> dict[str, str]:
    """Return the named statements of diff.sql."""
    text = resources.files("runner.manifest").joinpath("diff.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A run as a possible baseline."""

    run: str
    realm: str
    whole: bool
    """Neither `--only` nor `--except` narrowed it."""
    sets: tuple[str, ...]
    succeeded: bool
    """Its exit code was 0 and no gate has refused it since."""
    accepted: datetime | None
    """When a person made it the baseline (UTC), None = never."""


def candidates(manifest: Manifest, file: str) -> list[Candidate]:
    """Return the runs of specs with the file name *file*, newest first; replays are none."""
    done = manifest.connection.execute(statements()["candidates"], {"file": file})
    found = []
    for run, realm, scope, exit_code, accepted, passed in done.fetchall():
        asked = json.loads(scope)
        found.append(
            Candidate(
                run=run,
                realm=realm,
                whole=not (asked.get("only") or asked.get("without")),
                sets=tuple(asked.get("sets", ())),
                succeeded=exit_code == 0 and passed,
                accepted=accepted,
            )
        )
    return found


class Sides:
    """Side a and side b, opened; `ask` runs a named statement."""

    def __init__(self, manifest: Manifest, a: Source, b: Source) -> None:
        self._db = manifest.connection
        sources: tuple[tuple[Letter, Source], ...] = (("a", a), ("b", b))
        for side, source in sources:
            self._db.execute(f"attach ':memory:' as {side}")
            self._load(side, source)
            # Looking for open attempts is dear; counting tells that there are none.
            [left] = self.ask("open", side=side)
            some = "true" if left["attempts"] else "false"
            self.run("states", side=side, PLANNED="true" if source.planned else "false", OPEN=some)
        self._db.execute("create temp table outside (key text, in_a boolean)")

    def ask(self, name: str, *, side: Letter = "a", **values: Any) -> list[dict[str, Any]]:
        """Return the rows of the statement *name* as dicts, in its order."""
        return list(self.each(name, side=side, **values))

    def each(self, name: str, *, side: Letter = "a", **values: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of the statement *name* one after the other; ask nothing else meanwhile."""
        done = self._db.execute(_told(name, side), values or None)
        names = [column[0] for column in done.description or ()]
        while chunk := done.fetchmany(10_000):
            yield from (dict(zip(names, row, strict=True)) for row in chunk)

    def run(self, name: str, *, side: Letter = "a", **texts: str) -> None:
        """Run the statement *name*; *texts* stand in it in capitals."""
        self._db.execute(_told(name, side, texts))

    def keep(self, table: Literal["outside", "graded"], found: Iterable[tuple[Any, ...]]) -> None:
        """Put *found* into one of the tables that statements look into."""
        append(self._db, ((table, row) for row in found))

    def _load(self, side: Letter, source: Source) -> None:
        [main] = self._db.execute("select current_database()").fetchone() or ()
        for table in TABLES:
            every = f"select * from {main}.main.{table}"
            if source.run:
                self._db.execute(f"create view {side}.{table} as {every} where run = {literal(source.run)}")
            else:
                self._db.execute(f"create table {side}.{table} as {every} limit 0")
        if source.folder is not None and not source.run:
            reading = Reading(source.folder / JOURNAL)
            append(
                self._db,
                (
                    (f"{side}.{table}", row)
                    for line in reading
                    for table, row in rows(source.folder.name, line)
                ),
            )


def _told(name: str, side: str, texts: Mapping[str, str] | None = None) -> str:
    statement = re.sub(r"\bSIDE\b|(?<=_)SIDE\b", side, statements()[name])
    for word, text in (texts or {}).items():
        statement = re.sub(rf"\b{word}\b", text, statement)
    return statement


DuckError = duckdb.Error
"""What a damaged published file raises when it is read; see `Manifest.heal`."""
