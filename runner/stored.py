"""A run folder as its journal tells it: facts, files, and the workflows to be made again.

Neither spec nor template is read, nor any index. A folder may come from another machine, so nothing in it
becomes a path or a graph without a look.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from sys import intern
from typing import Any, Final, TypeVar

from runner.domain import Job, Lora, Member, Output, OutputKind, Realm, Workflow
from runner.drift import LINES, Environment, environment
from runner.errors import RecordDamaged, UsageError
from runner.manifest.journal import FORMAT, Line, Reading
from runner.manifest.shapes import unpack
from runner.manifest.store import JOURNAL
from runner.naming import is_delivered, is_name
from runner.render import files_of, node_digests, workflow_digest
from runner.render.bind import PREFIX
from runner.render.graph import flaws
from runner.rendered import Rendered, ticket_of
from runner.text.shown import shown

T = TypeVar("T")

_CHANGED: Final = "its checksums are right, so it was written so: take the run folder from where it was made"

_INPUT: Final = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")


@dataclass(slots=True)
class Record:
    """What the journal in a run folder says; workflows are unpacked when asked for."""

    folder: Path
    run: str = ""
    head: Line = field(default_factory=dict)
    ended: bool = False
    made: dict[str, tuple[Output, ...]] = field(default_factory=dict)
    """Key → files of the jobs that were made or reused."""
    failed: set[str] = field(default_factory=set)
    sent: dict[str, int] = field(default_factory=dict)
    """Key → place in the listing of every job that has a workflow."""
    inputs: dict[str, str] = field(default_factory=dict)
    """`<sha256>.<ext>` → path in the project it came from."""
    models: set[tuple[str, str]] = field(default_factory=set)
    """(folder, name) of the model files."""
    _shapes: dict[str, Any] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _variants: dict[str, Line] = field(default_factory=dict)
    _kinds: dict[tuple[str, str], OutputKind] = field(default_factory=dict)
    """(template, node) → what it saves."""
    _optional: set[tuple[str, str]] = field(default_factory=set)
    """(template, node) that a job may come without."""
    _told: list[Line] = field(default_factory=list)

    @property
    def realm(self) -> Realm:
        """Whether it holds cards or pictures."""
        return "previz" if self.head["realm"] == "previz" else "comfyui"

    @property
    def templates(self) -> dict[str, str]:
        """Name → digest of the templates its workflows were rendered from."""
        return {line["name"]: line["digest"] for line in self._told if line["t"] == "template"}

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of its servers."""
        return tuple(dict.fromkeys(line["url"] for line in self._told if line["t"] == "server"))

    @property
    def environment(self) -> Environment:
        """What it was made with."""
        return environment(self._told)

    def jobs(self) -> Iterator[Rendered]:
        """Yield every job that has a workflow, in the order they were first started.

        Raises RecordDamaged, naming the job, for a workflow that is not what its digest says.
        """
        seen: set[str] = set()
        for line, where in _lines(self.folder):
            if line["t"] == "job" and "workflow" in line and line["key"] not in seen:
                seen.add(line["key"])
                yield _understood(where, line, self._rendered)

    def _rendered(self, line: Line) -> Rendered:
        job = _job(line, self._variants[line["variant"]])
        try:
            nodes = unpack(line["workflow"], self._shapes, self._texts)
        except KeyError as error:
            raise ValueError(f"a part of its workflow ({error}) stands nowhere before it") from error
        outputs = self._outputs(job, nodes)
        optional = frozenset(name for name in outputs if (job.template, name) in self._optional)
        workflow = replace(_workflow(nodes, outputs), optional=optional)
        if workflow.digest != line["digest"]:
            told = f"its stored workflow has the digest {workflow.digest[:16]}…"
            raise ValueError(f"{told}, not {line['digest'][:16]}… as recorded")
        return Rendered(job, workflow, line["recipe"], ticket_of(job, workflow), f"replayed from {self.run}")

    def _outputs(self, job: Job, nodes: Mapping[str, Any]) -> dict[str, OutputKind]:
        """Return the declared outputs; journals of before 0.1 tell their kinds by the files alone."""
        marked = [name for name, node in nodes.items() if node["inputs"].get("filename_prefix") == PREFIX]
        files = {output.node: output.kind for output in self.made.get(job.key, ())}
        return {name: self._kinds.get((job.template, name)) or files.get(name) or "image" for name in marked}

    def _take(self, line: Line) -> None:
        match line["t"]:
            case "journal":
                _check_format(line)
                self.run = str(line["run"])
            case "run":
                self.head = line
            case "input":
                self.inputs[line["name"]] = str(line["path"])
            case "model_file":
                self.models.add((line["folder"], line["name"]))
            case "shape" | "text" | "variant" | "declared":
                self._take_part(line)
            case "job" | "done" | "reused" | "failed" | "end" | "resumed":
                self._take_course(line)
            case _:
                pass
        if line["t"] in LINES:
            self._told.append(line)

    def _take_part(self, line: Line) -> None:
        match line["t"]:
            case "shape":
                self._shapes[line["shape"]] = line["nodes"]
            case "text":
                self._texts[line["text"]] = line["value"]
            case "variant":
                self._variants[line["variant"]] = line
            case _:
                self._kinds |= {(line["template"], node): kind for node, kind in line["outputs"].items()}
                self._optional |= {(line["template"], node) for node in line.get("optional", ())}

    def _take_course(self, line: Line) -> None:
        match line["t"]:
            case "job" if "workflow" in line:
                # One text for a key wherever it stands: a million jobs have long ones.
                self.sent.setdefault(intern(line["key"]), int(line["seq"]))
            case "done" | "reused":
                self.made[intern(line["key"])] = tuple(_output(output) for output in line["outputs"])
                self.failed.discard(line["key"])
            case "failed" if line["final"]:
                self.failed.add(line["key"])
            case "end" | "resumed":
                self.ended = line["t"] == "end"
            case _:
                pass


def _check_format(line: Line) -> None:
    if line["format"] != FORMAT:
        raise ValueError(f"this journal has format {line['format']}, and this animerun knows {FORMAT}")


def _output(told: Mapping[str, Any]) -> Output:
    """Return what a comparison needs of an output."""
    names = ("node", "index", "path", "sha256", "size", "kind", "pixels", "mtime_ns")
    return Output(**{name: told[name] for name in names if name in told})


def _only_known(kind: type[T], facts: Mapping[str, Any]) -> T:
    """Return *facts* as a *kind*; a newer animerun may tell more."""
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in facts.items() if name in names})


def read(folder: Path) -> Record:
    """Return what the journal in *folder* says; an unfinished last line is left out.

    Raises UsageError when there is no journal, RecordDamaged naming the line that cannot be trusted.
    """
    if not (folder / JOURNAL).is_file():
        raise UsageError(f"{folder} is no run folder: there is no {JOURNAL} in it", hint="animerun list")
    record = Record(folder)
    for line, where in _lines(folder):
        _understood(where, line, record._take)
    if not record.head:
        raise RecordDamaged(f"{folder / JOURNAL} ends before it says what run this is")
    if not isinstance(record.head["episode"], str) or not is_name(record.head["episode"]):
        episode = shown(str(record.head["episode"]))
        raise RecordDamaged(f"{folder / JOURNAL}: `{episode}` is no name of an episode")
    return record


def _lines(folder: Path) -> Iterator[tuple[Line, str]]:
    """Yield each line of the journal with its place."""
    path = folder / JOURNAL
    for number, line in enumerate(Reading(path), 1):
        yield line, f"{path}:{number}"


def _understood(where: str, line: Line, take: Callable[[Line], T]) -> T:
    """Return *take(line)*; what cannot be understood is damage at *where*."""
    try:
        return take(line)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        whose = f"job {line['key']}: " if line.get("t") == "job" and "key" in line else ""
        raise RecordDamaged(f"{where}: {whose}{_reason(error)}", hint=_CHANGED) from error


def _reason(error: Exception) -> str:
    """Return what *error* says of a line, in words for people."""
    if isinstance(error, KeyError):
        return f"`{shown(str(error.args[0]))}` is missing or unknown"
    return str(error) if isinstance(error, ValueError) else "a value is of another kind than it should be"


def _job(line: Line, variant: Line) -> Job:
    if not is_delivered(line["name"]) or len(line["name"]) > 200:
        raise ValueError(f"`{shown(str(line['name']))}` is no name for its files")
    return Job(
        key=line["key"],
        seq=int(line["seq"]),
        episode=variant["episode"],
        scene=variant["scene"],
        cut=variant["cut"],
        take=line["take"],
        seed=line["seed"],
        name=line["name"],
        template=variant["template"],
        model=variant["model"],
        values=variant["params"],
        prompt=variant["prompt"],
        negative=variant["negative"],
        slots=variant["slots"],
        cast=tuple(_only_known(Member, member) for member in variant["members"]),
        loras=tuple(_only_known(Lora, lora) for lora in variant["loras"]),
        title=variant["title"],
        place=variant["place"],
    )


def _workflow(nodes: Mapping[str, Any], outputs: Mapping[str, OutputKind]) -> Workflow:
    if found := flaws(nodes, outputs):
        raise ValueError(found[0].message)
    digests = node_digests(nodes, outputs)
    used = set().union(*(files_of(node["inputs"]) for node in nodes.values()))
    for name in used:
        if not _INPUT.fullmatch(name):
            raise ValueError(f"`{shown(str(name))}` is no name of an input file")
    return Workflow(
        nodes=nodes,
        outputs=outputs,
        digest=workflow_digest(digests, outputs),
        node_digests=digests,
        inputs=tuple(sorted(used)),
    )
