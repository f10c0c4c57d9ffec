"""The model files that jobs name, and what is known of them: sizes from servers, sha256 from the user."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from runner.domain import Job, Template

ModelFiles = tuple[tuple[str, str], ...]
"""(folder, name) of each."""

ModelFacts = Mapping[tuple[str, str, str], Collection[int | str]]
"""(folder, model file, `size` or `sha256`) → what servers and user tell of it; absent = unknown."""

FoundSizes = dict[tuple[str, str], dict[str, int]]
"""(folder, model file) → server → size."""

_CHANGES: Final = {"size": "on the server changed size", "sha256": "has another sha256 than it had"}


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


def facts_of(
    sizes: FoundSizes, sums: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str, str], set[int | str]]:
    """Return what *sizes* and the user's *sums* (`Settings.model_sums`) tell."""
    found: dict[tuple[str, str, str], set[int | str]] = {
        (*which, "sha256"): {sha256} for which, sha256 in sums.items()
    }
    for which, each in sizes.items():
        found[*which, "size"] = set(each.values())
    return found


def changed(then: ModelFacts, now: ModelFacts) -> frozenset[tuple[str, str, str]]:
    """Return what is known on both sides and has nothing in common."""
    known = then.keys() & now.keys()
    return frozenset(each for each in known if now[each] and not set(then[each]) & set(now[each]))


def told_change(files: Iterable[tuple[str, str]], found: Collection[tuple[str, str, str]]) -> str:
    """Return the sentence on the first of *files* that is among the changes *found*, else nothing."""
    for which in files:
        for what, told in _CHANGES.items():
            if (*which, what) in found:
                return f"model file {which[1]} {told}"
    return ""
