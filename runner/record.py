"""Events → journal: the first observer of everything that happens in a run, and its only writer.

`handle` is cheap and queues lines; nothing counts before `commit`. An `AttemptIntended` must be committed
before its POST, an `AttemptSucceeded` is handed over after its files are durable: so whatever is killed,
every submission is known and every recorded success has its bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from runner.domain import Fault, Job, ServerFacts, Workflow
from runner.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptIntended,
    AttemptSucceeded,
    Event,
    JobReused,
    ServerDown,
    ServerNotice,
    ServerUp,
)
from runner.manifest.shapes import Packer
from runner.text.secrets import Secrets

Clock = Callable[[], float]


class Lines(Protocol):
    """What lines are handed to: a journal, or what stands in for one."""

    def append(self, line: Mapping[str, Any]) -> None:
        """Take one more line."""
        ...

    def commit(self) -> None:
        """Make what was taken durable."""
        ...


_NONE = Secrets()
_OURS = frozenset({
    "t", "key", "id", "from", "variant", "template", "digest", "recipe", "shape", "text", "prefix", "realm",
    "code", "sha256", "pixels", "kind", "media",
})  # fmt: skip
"""What a line says in words and names of our own: a credential that is one of them is no secret there."""


@dataclass(frozen=True, slots=True)
class _Who:
    """Whose attempt an id is."""

    key: str
    number: int
    server: str


class Recorder:
    """Writes one run's journal. *clock* gives seconds since the epoch."""

    def __init__(self, journal: Lines, *, clock: Clock, secrets: Secrets = _NONE) -> None:
        self._journal = journal
        self._secrets = secrets
        self._clock = clock
        self._packer = Packer()
        self._intents: dict[str, _Who] = {}
        self._jobs: set[str] = set()
        """Recorded and not made yet: a second attempt must not record them again."""
        self._servers: set[ServerFacts] = set()
        self._variants: set[str] = set()
        self._declared: dict[str, set[str]] = {}
        """Template → those of its outputs that are recorded."""

    def resume(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take note of what the journal holds already: nothing of it is recorded twice."""
        for line in lines:
            match line["t"]:
                case "shape" | "text":
                    self._packer.learn(line)
                case "variant":
                    self._variants.add(line["variant"])
                case "declared":
                    self._declared.setdefault(line["template"], set()).update(line["outputs"])
                case "job":
                    self._jobs.add(line["key"])
                case "intent":
                    self._intents[line["id"]] = _Who(line["key"], line["n"], line["server"])
                case "done":
                    self._intents.pop(line["id"], None)
                    self._jobs.discard(line["key"])
                case "failed" | "cancelled":
                    self._intents.pop(line["id"], None)
                case _:
                    pass
        self._append({"t": "resumed", "at": self._clock()})

    def head(self, **facts: Any) -> None:
        """Record what is known of the run before its first job."""
        self._append({"t": "run", "at": self._clock(), **facts})

    def input(self, *, name: str, path: str, size: int) -> None:
        """Record a file the run uses, under its content name."""
        self._append({"t": "input", "name": name, "path": path, "size": size})

    def model_file(
        self,
        *,
        server: str,
        folder: str,
        name: str,
        size: int | None = None,
        modified: int | None = None,
        sha256: str = "",
    ) -> None:
        """Record a model file the run uses: *size* and time of change on a server, or the user's *sha256*."""
        line: dict[str, Any] = {"t": "model_file", "server": server, "folder": folder, "name": name}
        known = {"size": size, "modified": modified, "sha256": sha256 or None}
        self._append(line | {what: value for what, value in known.items() if value is not None})

    def template(self, *, name: str, digest: str) -> None:
        """Record a template the run uses."""
        self._append({"t": "template", "name": name, "digest": digest})

    def job(self, job: Job, workflow: Workflow | None, *, recipe: str, reason: str = "") -> None:
        """Record a job once: with its workflow when it is about to start, without when it waits.

        What all takes of a variant share is written once, under its hash.
        """
        if job.key in self._jobs:
            return
        self._jobs.add(job.key)
        variant = _shared(job)
        name = _hash(variant)
        if name not in self._variants:
            self._variants.add(name)
            self._append({"t": "variant", "variant": name, **variant})
        line: dict[str, Any] = {"t": "job", **_own(job), "variant": name, "recipe": recipe}
        line |= {"reason": reason} if reason else {}
        if workflow is not None:
            self._declare(job.template, workflow)
            news, packed = self._packer.pack(workflow.nodes)
            for extra in news:
                self._append(extra)
            line |= {"digest": workflow.digest, "workflow": packed}
        self._append(line)

    def _declare(self, template: str, workflow: Workflow) -> None:
        """Record once what the outputs of a template are: a replay knows no templates."""
        known = self._declared.setdefault(template, set())
        if not workflow.outputs.keys() <= known:
            known.update(workflow.outputs)
            optional = {"optional": sorted(workflow.optional)} if workflow.optional else {}
            self._append(
                {"t": "declared", "template": template, "outputs": dict(workflow.outputs), **optional}
            )

    def handle(self, event: Event, *, final: bool = True) -> None:
        """Record *event*; *final* is False for an attempt that will be followed by another."""
        match event:
            case AttemptIntended(attempt=a, at=at):
                self._intents[a.prompt_id] = _Who(a.key, a.number, a.server)
                self._append(
                    {"t": "intent", "key": a.key, "n": a.number, "id": a.prompt_id, "server": a.server,
                     "prefix": a.prefix, "at": at}
                )  # fmt: skip
            case AttemptSucceeded():
                times = {"queue_s": event.queue_s, "run_s": event.run_s, "collect_s": event.collect_s}
                outputs = [asdict(output) for output in event.outputs]
                rounded = {name: round(value, 4) for name, value in times.items()}
                self._end("done", event.prompt_id, **rounded, cached=event.cached_nodes, outputs=outputs)
            case AttemptFailed(prompt_id=prompt_id, fault=fault):
                self._end("failed", prompt_id, **_fault(fault), final=final)
            case AttemptCancelled(prompt_id=prompt_id):
                self._end("cancelled", prompt_id)
            case JobReused():
                outputs = [asdict(output) for output in event.outputs]
                who = {"key": event.key, "id": event.prompt_id, "from": event.from_run}
                self._append({"t": "reused", "at": self._clock(), **who, "outputs": outputs})
            case ServerUp(facts=facts) if facts not in self._servers:
                self._servers.add(facts)
                self._append({"t": "server", **_facts(facts)})
            case ServerNotice(server=server, message=told):
                self._notice(server, told)
            case ServerDown(server=server, reason=told, final=True):
                self._notice(server, told)
            case _:
                pass

    def _notice(self, server: str, message: str) -> None:
        self._append({"t": "notice", "at": self._clock(), "server": server, "message": message})

    def end(self, *, code: int, reason: str) -> None:
        """Record how the run ended and make it durable."""
        self._append({"t": "end", "at": self._clock(), "code": code, "reason": reason})
        self.commit()

    def _append(self, line: Mapping[str, Any]) -> None:
        """Hand *line* to the journal, without credentials in whatever disguise they got as far as here."""
        self._journal.append(self._hidden(line) if self._secrets else line)

    def _hidden(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Return *line* with its free texts hidden; numbers, names of members and words of ours stay."""
        free = {name: self._secrets.hide_in(value) for name, value in line.items() if name not in _OURS}
        if isinstance(outputs := line.get("outputs"), list):
            free["outputs"] = [self._hidden(output) for output in outputs]
        return {**line, **free}

    def commit(self) -> None:
        """Make everything handed over durable; raises StorageError."""
        self._journal.commit()

    def _end(self, kind: str, prompt_id: str, **facts: Any) -> None:
        """Record the end of an attempt, once: a second end of the same id is not a fact about this run."""
        who = self._intents.pop(prompt_id, None)
        if who is not None:
            if kind == "done":
                self._jobs.discard(who.key)
            told = {"id": prompt_id, "key": who.key, "n": who.number, "server": who.server}
            self._append({"t": kind, "at": self._clock(), **told, **facts})


def _own(job: Job) -> dict[str, Any]:
    """Return what is a job's own among the takes of its variant."""
    names = ("key", "seq", "take", "seed", "name", "waits")
    return {name: value for name in names if (value := getattr(job, name)) != ""}


def _shared(job: Job) -> dict[str, Any]:
    """Return what people and queries ask about a job and what its other takes have too."""
    names = ("episode", "scene", "cut", "title", "template", "model", "prompt", "negative", "place")
    facts: dict[str, Any] = {name: getattr(job, name) for name in names}
    facts["slots"] = dict(job.slots)
    facts["loras"] = [asdict(lora) for lora in job.loras]
    facts["members"] = [asdict(member) for member in job.cast]
    skip = ("prompt", "negative", "seed", "loras", "cast")
    facts["params"] = {name: value for name, value in job.values.items() if name not in skip}
    return facts


def _hash(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _facts(facts: ServerFacts) -> Mapping[str, Any]:
    return {k: v for k, v in asdict(facts).items() if k not in ("latency_s", "classes")}


def _fault(fault: Fault) -> Mapping[str, Any]:
    return {"code": fault.code, "message": fault.message, "node": fault.node, "node_class": fault.node_class}
