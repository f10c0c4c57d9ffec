"""The nouns that cross a border between two stages. Frozen, without behaviour worth a test, without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from runner.errors import Problem

Plain = Any
"""Plain JSON data: dict with str keys, list, str, int, float, bool, None."""

ParameterType = Literal[
    "text", "int", "float", "bool", "choice", "size", "length", "file", "files", "image", "video", "audio",
    "images", "seed", "loras", "cast",
]  # fmt: skip
OutputKind = Literal["image", "video", "audio", "text", "latent", "model3d", "file"]
Realm = Literal["previz", "comfyui"]


class Required:
    """The default of a parameter that has none (a class used as its own sentinel)."""


NoDefault = type[Required]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a template, as its front matter declares it."""

    name: str
    type: ParameterType
    default: Plain | NoDefault = Required
    """Plain data as the template will see it (a size is {"width", "height"}); None = optional."""
    min: float | str | None = None
    max: float | str | None = None
    step: float | str | None = None
    """Decimals kept as written where they are not integers (`"0.01"`), so that multiples are exact."""
    choices: tuple[str, ...] = ()
    description: str = ""
    folder: str = ""
    """Type `file`: the server's model folder."""
    wording: str | None = None
    """Type `text`: Jinja over the slots that composes it when no preset or word gives a wording."""
    fps: int = 0
    """Type `length`: the model's own rate; 0 = the timeline's."""
    frames: str = ""
    """Type `length`: the rule, like `4n+1`."""
    part: str = ""
    """Type `loras`: takes the LoRAs written with this `PART:`."""

    @property
    def required(self) -> bool:
        """Whether a spec must give it a value."""
        return self.default is Required


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template, loaded and linted."""

    name: str
    path: str
    """Where it was read, for messages."""
    title: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    outputs: Mapping[str, OutputKind] = field(default_factory=dict)
    """Node id → what it saves, in the order declared; at least one."""
    optional: frozenset[str] = frozenset()
    """Outputs that a job may come without, as long as it has one."""
    comfyui: str = ""
    packs: tuple[str, ...] = ()
    body: str = ""
    """Jinja source behind the front matter."""
    body_line: int = 1
    """1-based line of the file on which the body starts."""
    digest: str = ""
    """sha256 (hex) of the source and of the macros it can call."""


class Templates(Protocol):
    """Where templates come from: the project's folder first, then the shipped ones."""

    def names(self) -> tuple[str, ...]:
        """Every name that can be loaded, sorted."""
        ...

    def load(self, name: str) -> Template:
        """Return the template; raises TemplateError when it is broken, KeyError when there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """One LoRA of a chain."""

    file: str
    weight: float = 1.0
    clip: float = 1.0
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One character of a cast as the wording sees it."""

    name: str
    prompt: str = ""
    outfit: str = ""
    expression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One point of a cut with one seed: one workflow, one key."""

    key: str
    seq: int
    """Position in row-major file order, from 0."""
    episode: str
    scene: str
    cut: str = ""
    """Empty when the scene itself is the cut."""
    axes: tuple[tuple[str, str], ...] = ()
    """(word, label), in ASCII order of the word, as in the key."""
    take: str
    """`t03` for the third of `takes`, `t1000` for a seed given in `seeds`."""
    seed: int
    name: str
    """Deliver name: relative path with `/`, without extension."""
    template: str
    model: str = ""
    values: Mapping[str, Plain] = field(default_factory=dict)
    """Every parameter of the template → plain data. Files stand as {"$file": project path}."""
    prompt: str = ""
    negative: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Slot → text that went into the wording, empty ones left out."""
    cast: tuple[Member, ...] = ()
    loras: tuple[Lora, ...] = ()
    title: str = ""
    """The nearest `title` of cut, scene, episode."""
    length: str = ""
    """Storyboard length as written, empty when none."""
    waits: str = ""
    """Not empty: this job cannot start, and this says for what."""
    place: str = ""
    """`file:line` of its cut, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A rendered graph in API format, in its *stored* form.

    Files stand as {"$input": "<sha256>.<ext>"} and the prefix of a declared output as {"$prefix": true};
    user text is always a string, so the two cannot be mistaken for one another.
    """

    nodes: Mapping[str, Mapping[str, Plain]]
    outputs: Mapping[str, OutputKind]
    """Declared nodes that are in the graph."""
    optional: frozenset[str] = frozenset()
    """Those of them that may save nothing."""
    digest: str
    """sha256 (hex) over the declared outputs, see `render.digest`."""
    node_digests: Mapping[str, str] = field(default_factory=dict)
    """Node id → its Merkle hash; equal hashes are one entry in a server's node cache."""
    inputs: tuple[str, ...] = ()
    """`<sha256>.<ext>` of every file used, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of one job to one server: everything an executor needs for it."""

    run: str
    key: str
    number: int
    """1 for the first attempt."""
    prompt_id: str
    """Canonical lower-case UUID, chosen by us."""
    server: str
    workflow: Workflow
    prefix: str
    """Folder and stem under which the server saves, unique to this attempt."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """`<sha256>.<ext>` → local file, for the inputs."""
    name: str = ""
    """Deliver name: relative path without extension."""
    tags: Mapping[str, Plain] = field(default_factory=dict)
    """Written into the outputs' metadata as `extra_pnginfo.animerun`."""
    free: bool = False
    """The server is asked to free its memory first, unless others wait there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One collected, verified file."""

    node: str
    index: int
    """Position among the files of its node, from 0."""
    path: str
    """Relative to the run's folder, with `/`."""
    sha256: str
    size: int
    kind: OutputKind
    pixels: str = ""
    """sha256 over mode, size and samples of the decoded picture; empty for what has none."""
    width: int = 0
    height: int = 0
    frames: int = 1
    server_name: str = ""
    """`subfolder/filename` on the server."""
    media: str = ""
    """Media type that the bytes turned out to be."""
    mtime_ns: int = 0
    """When the file was last written, ns since the epoch: with the size it tells that nobody touched it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server said about itself before the first job."""

    url: str
    realm: Realm
    version: str
    """ComfyUI's version."""
    torch: str = ""
    python: str = ""
    device: str = ""
    os: str = ""
    classes: int = 0
    """Node classes it offers."""
    packs: tuple[str, ...] = ()
    """Node packs it has beside ComfyUI's own, by the name of their folder, sorted."""
    previz: str = ""
    """animerun's version when the server is a previz."""
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an attempt did not succeed."""

    code: str
    """Stable, upper case: VALIDATION, NODE_ERROR, OOM, MISSING_OUTPUT, LOST, INTERRUPTED, …"""
    message: str
    """One sentence for a person: node, class, reason; no traceback, no secrets, ≤ 500 characters."""
    retry: Literal["never", "elsewhere", "again"] = "never"
    """What may help: nothing, another server first, or simply once more."""
    node: str = ""
    node_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a server lacks for this batch; one per distinct server, class, input and value."""

    server: str
    node_class: str
    input: str = ""
    value: str = ""
    message: str
    """Full sentence with the nearest existing name and what to write instead."""
    keys: tuple[str, ...] = ()
    """First few jobs concerned."""
    node: str = ""
    """Id of the first node concerned."""
    place: str = ""
    """`file:line` of that node in its template, as far as known."""


def problems_at(path: str, messages: Sequence[str]) -> tuple[Problem, ...]:
    """Return *messages* as problems of a whole file."""
    return tuple(Problem(message=message, path=path) for message in messages)
