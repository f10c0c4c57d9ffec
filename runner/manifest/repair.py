"""Mend a damaged record: what is provably whole goes into a new journal, the damaged one is kept beside it.

`salvage.py` says which lines are whole. What other lines, `run.json` and the frozen plan tell beyond doubt is
written again: the head, the run, an attempt's intent (its end names it), what a job was made from. What all
takes of a variant shared and nothing tells any more is replaced by an empty variant, so that its jobs stay
visible. Nothing is deleted.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import BufferedWriter
from pathlib import Path
from typing import Any

from runner import door, system
from runner.errors import StorageError
from runner.manifest.export import output_paths, run_files
from runner.manifest.journal import FORMAT, Line, body_of, open_alone, seal
from runner.manifest.salvage import is_whole, salvage
from runner.manifest.store import JOURNAL

_ENDS = (b'{"t":"done"', b'{"t":"failed"', b'{"t":"cancelled"')
_OF_JOBS = (*_ENDS, b'{"t":"intent"', b'{"t":"reused"')
_SHARED = ("variant", "shape", "text")
"""Lines that jobs refer to, by the member of the same name."""

Retell = Callable[[Line, dict[str, str]], Iterable[Line]]
"""(the line `run`, template → digest) → what the frozen plan would record of all jobs, in order."""


@dataclass(slots=True)
class Mended:
    """What a repair of one file came to."""

    path: Path
    kept: int = 0
    lost: list[int] = field(default_factory=list)
    """Numbers of the lines that could not be proven."""
    torn: int = 0
    """Bytes of a last line that was never finished."""
    original: str = ""
    """Name under which the damaged file is kept; empty when only a last line was torn."""
    restored: list[str] = field(default_factory=list)
    """What was written again from elsewhere, a sentence each."""
    missing: list[str] = field(default_factory=list)
    """What nothing tells any more, a sentence each."""
    open: dict[str, list[str]] = field(default_factory=dict)
    """Job that has no end now → files on disk under its name that no line records."""


def mend(
    folder: Path, name: str = JOURNAL, *, stamp: str = "", retell: Retell = lambda *_: ()
) -> Mended | None:
    """Mend the file *name* in *folder*; None when nothing was wrong with it.

    *retell* is asked when the lines do not tell what jobs were made from.

    The damaged file becomes `<name>.damaged-<stamp>` whole (default: now, UTC); an unfinished last line goes
    to `<name>.torn`. Raises RunLocked while somebody writes the file, StorageError.
    """
    path = folder / name
    with open_alone(path, hint="wait for it to end") as alone:
        if is_whole(path):
            return None
        found = _survey(path, folder.name, retell)
        mended = found.mended
        part = path.with_name(f".{name}.{os.getpid()}.part")
        try:
            if mended.torn:
                _keep_torn(path, found.torn)
            with door.File(part, "wb") as raw, BufferedWriter(raw) as file:
                for block in _rewritten(path, found):
                    file.write(block)
                file.flush()
                raw.sync()
            if mended.lost or mended.restored:
                mended.original = _keep(path, stamp or f"{door.utc():%Y%m%dT%H%M%SZ}")
            if system.OPEN_FILES_KEEP_NAMES:
                # Who opens it now finds the damage, and has it open when we rename: the repair is refused.
                alone.close()
            door.rename(part, path)
            door.sync_folder(folder)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
        finally:
            door.unlink(part)
    mended.open = _files_of_open(folder, found)
    return mended


@dataclass(slots=True)
class _Survey:
    """What the whole lines of a file tell, and what they lack."""

    mended: Mended
    torn: bytes = b""
    head: bool = False
    run: Line | None = None
    variants: set[str] = field(default_factory=set)
    used_variants: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    used: dict[str, int] = field(default_factory=dict)
    """Shape or text that jobs need → how many."""
    jobs: dict[str, str] = field(default_factory=dict)
    """Key → deliver name."""
    ids: set[str] = field(default_factory=set)
    without_job: set[str] = field(default_factory=set)
    open: dict[str, str] = field(default_factory=dict)
    """Attempt without an end → key."""
    paths: set[str] = field(default_factory=set)
    """Files that lines record."""
    first: list[Line] = field(default_factory=list)
    """Lines to write at the front again."""
    templates: dict[str, str] = field(default_factory=dict)
    """Name → digest."""
    made_of: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Key → (variant, recipe)."""
    declared: set[str] = field(default_factory=set)
    again: dict[str, Line] = field(default_factory=dict)
    """Job → its line, to be written again before its first attempt."""

    def known(self, kind: str) -> set[str]:
        """Return the names of the whole lines of a *kind* that jobs refer to."""
        return {"variant": self.variants, "shape": self.shapes, "text": self.texts}[kind]


def _survey(path: Path, run: str, retell: Retell) -> _Survey:
    found = _Survey(Mended(path))
    for piece in salvage(path):
        if piece.state == "proven":
            found.mended.kept += 1
            _note(found, json.loads(piece.body + b"}"))
        elif piece.state == "torn":
            found.mended.torn, found.torn = len(piece.raw), piece.raw
        else:
            found.mended.lost.append(piece.number)
    if not found.head:
        found.first.append({"t": "journal", "format": FORMAT, "run": run})
        found.mended.restored.append("the head of the file")
    if path.name == JOURNAL:
        _restore_run(found, path.parent)
        _restore_jobs(found, retell)
        _restore_variants(found)
        _tell_missing(found)
    return found


def _note(found: _Survey, line: Line) -> None:
    """Take note of a whole line."""
    kind = line["t"]
    found.paths.update(output_paths(line))
    match kind:
        case "journal":
            found.head = True
        case "run":
            found.run = line
        case "template":
            found.templates[line["name"]] = line["digest"]
        case "declared":
            found.declared.add(line["template"])
        case "variant":
            found.variants.add(line["variant"])
        case "shape" | "text":
            (found.shapes if kind == "shape" else found.texts).add(line[kind])
        case "job":
            found.jobs[line["key"]] = line.get("name", "")
            found.used_variants.add(line["variant"])
            found.made_of[line["key"]] = (line["variant"], line.get("recipe", ""))
            for name in _needs(line.get("workflow")):
                found.used[name] = found.used.get(name, 0) + 1
        case "intent":
            found.without_job.add(line["key"])
            found.ids.add(line["id"])
            found.open[line["id"]] = line["key"]
        case "done" | "failed" | "cancelled" | "reused":
            found.without_job.add(line["key"])
            found.open.pop(line["id"], None)
        case _:
            pass


def _needs(workflow: Any) -> Iterator[str]:
    if workflow:
        yield workflow["shape"]
        for value in workflow["leaves"].values():
            if isinstance(value, dict) and set(value) == {"$text"}:
                yield value["$text"]


def _restore_run(found: _Survey, folder: Path) -> None:
    """`run.json` was written from the same facts, before the journal."""
    if found.run is not None:
        return
    try:
        facts = json.loads((folder / "run.json").read_bytes())
        at = datetime.fromisoformat(facts.pop("started")).timestamp()
        facts = {name: value for name, value in facts.items() if name not in ("run", "python")}
        found.run = {"t": "run", "at": at, **facts}
    except (OSError, ValueError, KeyError, AttributeError):
        found.mended.missing.append("what run this is: its line is lost, and run.json does not tell it")
        return
    found.first.append(found.run)
    found.mended.restored.append("what run this is, from run.json")


def _restore_jobs(found: _Survey, retell: Retell) -> None:
    """Write again what jobs were made from, and what they refer to, as the frozen plan tells it."""
    keys = found.without_job - set(found.jobs)
    lacks = (found.used_variants - found.variants) | (found.used.keys() - found.shapes - found.texts)
    undeclared = found.templates.keys() - found.declared
    if found.run is None or not (keys or lacks or undeclared):
        return
    told: dict[str, Line] = {}
    for line in retell(found.run, found.templates):
        if line["t"] in _SHARED:
            told[line[line["t"]]] = line
        elif line["t"] == "declared" and line["template"] in undeclared:
            found.first.append(line)
        elif line["t"] != "job":
            continue
        elif found.made_of.get(line["key"], ("", ""))[1] == line["recipe"]:
            # Of another name when the spec was read elsewhere; the recipe says that it is the same.
            name = found.made_of[line["key"]][0]
            told.setdefault(name, told[line["variant"]] | {"variant": name})
        elif line["key"] in keys:
            found.again[line["key"]] = line
            found.jobs[line["key"]] = line.get("name", "")
            lacks |= {line["variant"], *_needs(line.get("workflow"))}
    lacks -= found.variants | found.shapes | found.texts
    for name, line in told.items():
        if name in lacks:
            found.first.append(line)
            found.known(line["t"]).add(name)
    if found.again:
        number = len(found.again)
        found.mended.restored.append(f"what {number:,} jobs were made from, from the frozen plan")


def _restore_variants(found: _Survey) -> None:
    episode = found.run["episode"] if found.run else ""
    for name in sorted(found.used_variants - found.variants):
        texts = dict.fromkeys(("scene", "cut", "template", "model", "prompt", "negative", "place"), "")
        facts: Line = {"slots": {}, "loras": [], "params": {}, "members": []}
        title = "what these takes share was lost by damage to the journal"
        found.first.append(
            {"t": "variant", "variant": name, "episode": episode, **texts, "title": title, **facts}
        )
        found.mended.missing.append(f"the words that all takes of variant {name} share")


def _tell_missing(found: _Survey) -> None:
    have = found.shapes | found.texts
    for name, jobs in found.used.items():
        if name not in have:
            found.mended.missing.append(
                f"a part of the workflow of {jobs:,} jobs, which cannot be replayed ({name})"
            )
    lost = found.without_job - set(found.jobs)
    if lost:
        shown = ", ".join(sorted(lost)[:5])
        found.mended.missing.append(f"what {len(lost):,} jobs were made from, among them {shown}")


def _rewritten(path: Path, found: _Survey) -> Iterator[bytes]:
    """Yield the lines of the new file: the bodies as they were, in one chain again."""
    check = 0
    for body in _bodies(path, found):
        raw, check = seal(body, check)
        yield raw


def _bodies(path: Path, found: _Survey) -> Iterator[bytes]:
    whole = (piece.body for piece in salvage(path) if piece.state == "proven")
    if found.head:
        yield next(whole)
    yield from map(body_of, found.first)
    for body in whole:
        if found.again and body.startswith(_OF_JOBS):
            job = found.again.pop(json.loads(body + b"}")["key"], None)
            yield from () if job is None else (body_of(job),)
        if body.startswith(_ENDS):
            yield from map(body_of, _intent_before(json.loads(body + b"}"), found))
        yield body


def _intent_before(end: Line, found: _Survey) -> Iterator[Line]:
    """Yield the intent of an end whose own is lost: an attempt that ended was intended."""
    if end["id"] not in found.ids:
        found.ids.add(end["id"])
        found.mended.restored.append(f"that attempt {end['n']} of {end['key']} was submitted, from its end")
        who = {name: end[name] for name in ("key", "n", "id", "server")}
        yield {"t": "intent", **who, "prefix": "", "at": end["at"]}


def _files_of_open(folder: Path, found: _Survey) -> dict[str, list[str]]:
    """Return job without an end → unrecorded files under its deliver name."""
    extra = [name for name in run_files(folder) if name not in found.paths] if found.open else []
    opened = {}
    for key in found.open.values():
        name = found.jobs.get(key, "")
        opened[key] = [path for path in extra if name and path.startswith((f"{name}.", f"{name}_"))]
    return opened


def _keep(path: Path, stamp: str) -> str:
    """Keep the file as it is under another name as well; return that name."""
    names = (f"{path.name}.damaged-{stamp}{more}" for more in ("", *(f"-{n}" for n in range(2, 1_000))))
    name = next(name for name in names if not path.with_name(name).exists())
    try:
        door.link(path, path.with_name(name))
    except OSError:
        with path.open("rb") as reading, door.File(path.with_name(name), "xb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)
            writing.sync()
    return name


def _keep_torn(path: Path, torn: bytes) -> None:
    with door.File(path.with_name(path.name + ".torn"), "ab") as kept:
        kept.write(torn + b"\n")
