"""A job with its workflow: what it shares with its neighbours, what it demands of a server. A run's jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from runner.domain import Job, Plain, Workflow
from runner.manifest.history import Made
from runner.schedule import Ticket
from runner.summary import Before


@dataclass(frozen=True, slots=True)
class Rendered:
    """A job with its workflow. Both *workflow* and *ticket* are None when the job waits for somebody."""

    job: Job
    workflow: Workflow | None
    recipe: str
    ticket: Ticket | None
    reason: str = ""
    """Why it is rendered, or why not."""
    made: Made | None = None
    """What an earlier run made of it; then it is not rendered."""


def made_anew(rendered: Rendered, reason: str) -> Rendered:
    """Return *rendered*, which was made already, to be rendered again for *reason*."""
    assert rendered.workflow is not None, "what waits is not made"
    ticket = ticket_of(rendered.job, rendered.workflow)
    return replace(rendered, made=None, ticket=ticket, reason=reason)


def ticket_of(job: Job, workflow: Workflow) -> Ticket:
    """Return what the schedule needs to know of *job* to find its neighbours."""
    models, texts = _shared(workflow)
    return Ticket(key=job.key, seq=job.seq, models=models, texts=texts)


def _shared(workflow: Workflow) -> tuple[str, str]:
    """Return hashes of the nodes that load files, and of those and the ones that encode texts.

    A node's class name tells: core loaders are called `…Load…`, encoders `…Encode…`. A name that does not
    fit costs an ill-chosen order, never a wrong picture.
    """
    loads, encodes = [], []
    for node_id, node in workflow.nodes.items():
        name = node["class_type"]
        if "Load" in name and not name.startswith("LoadImage"):
            loads.append(workflow.node_digests[node_id])
        elif "TextEncode" in name:
            encodes.append(workflow.node_digests[node_id])
    return _hash(loads), _hash(loads + encodes)


def _hash(digests: list[str]) -> str:
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:16]


def tags(job: Job, *, run: str, attempt: int, digest: str) -> dict[str, object]:
    """Return what is written into an output's metadata: who made it, and the words people know it by."""
    slots = ("action", "camera", "place", "light", "expression")
    story = {
        "key": job.key,
        "episode": job.episode,
        "title": job.title,
        "scene": job.scene,
        "cut": job.cut,
        "take": job.take,
        "template": job.template,
        "cast": [member.name for member in job.cast],
        "loras": [lora.file for lora in job.loras],
        **{name: job.slots.get(name, "") for name in slots},
    }
    return {"run": run, "key": job.key, "attempt": attempt, "digest": digest, "job": story}


class Demands:
    """Keeps one sample workflow for every distinct demand a batch makes on a server.

    A demand is a node class with the names of its inputs, or one input with its value (texts and seeds count
    once, by kind) or with what it is linked to. Behind a dynamic choice (`format.codec`) the choices above
    belong to it. A workflow that brings nothing new is forgotten at once.
    """

    def __init__(self) -> None:
        self.samples: list[Rendered] = []
        self._known: set[tuple[object, ...]] = set()
        self._parents: dict[tuple[str, ...], Mapping[str, tuple[str, ...]]] = {}
        """Class and names of inputs → input → the inputs whose names begin its own."""

    def see(self, rendered: Rendered) -> None:
        """Take note of what the workflow of *rendered* asks for."""
        size = len(self._known) + len(self._parents)
        nodes = rendered.workflow.nodes if rendered.workflow else {}
        for node in nodes.values():
            node_class, given = node["class_type"], node["inputs"]
            parents = self._parents_of(node_class, given)
            for name, value in given.items():
                if type(value) is list:
                    kind: object = (nodes[value[0]]["class_type"], value[1])
                else:
                    kind = _kind(name, value)
                if name in parents:
                    above = tuple(_kind(each, given[each]) for each in parents[name])
                    self._known.add((node_class, name, kind, above))
                else:
                    self._known.add((node_class, name, kind))
        if len(self._known) + len(self._parents) > size:
            self.samples.append(rendered)

    def _parents_of(self, node_class: str, given: Mapping[str, Plain]) -> Mapping[str, tuple[str, ...]]:
        shape = (node_class, *given)
        if shape not in self._parents:
            found = {name: tuple(each for each in given if name.startswith(f"{each}.")) for name in given}
            self._parents[shape] = {name: above for name, above in found.items() if above}
        return self._parents[shape]


def _kind(name: str, value: Plain) -> object:
    if isinstance(value, str) and (len(value) > 120 or name == "text"):
        return "text"
    if isinstance(value, (dict, list)):
        return type(value).__name__
    return "seed" if name in ("seed", "noise_seed") else (type(value).__name__, value)


@dataclass(frozen=True, slots=True)
class Open:
    """An attempt that an earlier process intended and did not see the end of."""

    rendered: Rendered
    prompt_id: str
    server: str
    prefix: str
    intended: float = 0.0
    """Unix time of its intent."""


class Work(Protocol):
    """The jobs of a run: a plan, or what stands in for one."""

    @property
    def total(self) -> int:
        """Jobs in scope, waiting ones included."""
        ...

    @property
    def waiting(self) -> int:
        """Jobs that cannot start yet."""
        ...

    @property
    def before(self) -> Before:
        """What earlier processes of the same run finished; it is not among what is rendered."""
        ...

    def open(self) -> Sequence[Open]:
        """Return the attempts an earlier process left open."""
        ...

    def rendered(self) -> Iterator[Rendered]:
        """Yield the jobs in listing order, lazily."""
        ...

    def files_of(self, workflow: Workflow) -> dict[str, Path]:
        """Return content name → local file for the inputs of *workflow*."""
        ...
