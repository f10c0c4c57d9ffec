"""The model files that jobs name: sizes and times of change from servers, sha256 from the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runner.domain import Job, Template

ModelFiles = tuple[tuple[str, str], ...]
"""(folder, name) of each."""


CHANGED_SINCE: Final = "on the server was changed since"
_NUMBERS: Final = 2**63
"""No file has as many bytes or is as old, and a BIGINT of the index holds no such number."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What one server lists of a model file."""

    size: int | None = None
    modified: int | None = None
    """Time of the last change, in whole seconds: copying tools keep no more."""

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Listed:
        """Return what *entry* of a server's list says, as far as it can be true."""
        return cls(_whole(entry.get("size")), _whole(entry.get("modified")))


def _whole(told: Any) -> int | None:
    """Return a number of bytes or seconds without its fraction, None where it is none that can be true."""
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < _NUMBERS:
        return None
    return int(told)


FoundFiles = dict[tuple[str, str], dict[str, Listed]]
"""(folder, model file) → server → what it lists."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What is known of a model file, over all servers of a run; empty = unknown."""

    sizes: frozenset[int] = frozenset()
    modified: Mapping[str, int] = field(default_factory=dict)
    """Server → time of the last change there. Two servers with equal files have different times."""
    sha256: frozenset[str] = frozenset()
    """As the user gives it."""


ModelFacts = Mapping[tuple[str, str], ModelFile]
"""(folder, model file) → what is known of it."""


def model_files(template: Template, job: Job) -> ModelFiles:
    """Return (folder, name) of every model file *job* names."""
    found = [
        (parameter.folder, str(job.values[name]))
        for name, parameter in template.parameters.items()
        if parameter.type == "file" and job.values.get(name)
    ]
    for name, parameter in template.parameters.items():
        if parameter.type == "files":
            found += [(parameter.folder, str(each)) for each in job.values.get(name) or ()]
    return (*found, *(("loras", lora.file) for lora in job.loras))


def facts_of(found: FoundFiles, sums: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], ModelFile]:
    """Return what the servers (*found*) and the user (*sums*, `Settings.model_sums`) say."""
    return {
        which: ModelFile(
            sizes=frozenset(each.size for each in found.get(which, {}).values() if each.size is not None),
            modified={
                server: each.modified
                for server, each in found.get(which, {}).items()
                if each.modified is not None
            },
            sha256=frozenset({sums[which]} if which in sums else ()),
        )
        for which in {**found, **sums}
    }


def recorded(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], ModelFile]:
    """Return what *rows* of the table `model_files` say of the files of one run."""
    found: FoundFiles = {}
    sums: dict[tuple[str, str], str] = {}
    for row in rows:
        which = (row["folder"], row["name"])
        if row["sha256"]:
            sums[which] = row["sha256"]
        if row["server"]:
            found.setdefault(which, {})[row["server"]] = Listed(row["size"], row["modified"])
    return facts_of(found, sums)


def changed(then: ModelFacts, now: ModelFacts) -> dict[tuple[str, str], str]:
    """Return model file → how it changed, a clause; only what is known on both sides can have changed."""
    known = {which: _change(then[which], now[which]) for which in then.keys() & now.keys()}
    return {which: how for which, how in known.items() if how}


def _change(then: ModelFile, now: ModelFile) -> str:
    """Return how a file changed, empty where it did not: sha256 first, then size, then time.

    It has changed when nothing that is known is as it was: one server that still has the same size is enough
    for no change. Times are compared server by server, and only where no sha256 is known.
    """
    if _differ(then.sha256, now.sha256):
        return "has another sha256 than it had"
    if _differ(then.sizes, now.sizes):
        return "on the server changed size"
    if then.sha256 and now.sha256:
        return ""
    both = then.modified.keys() & now.modified.keys()
    if both and all(then.modified[server] != now.modified[server] for server in both):
        return CHANGED_SINCE
    return ""


def _differ(then: frozenset[int] | frozenset[str], now: frozenset[int] | frozenset[str]) -> bool:
    return bool(then and now) and then.isdisjoint(now)


def told_change(files: Iterable[tuple[str, str]], found: Mapping[tuple[str, str], str]) -> str:
    """Return the sentence on the first of *files* that is among the changes *found*, else nothing."""
    return next((f"model file {which[1]} {found[which]}" for which in files if which in found), "")
