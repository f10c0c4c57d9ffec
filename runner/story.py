"""The nouns of a loaded spec: what `spec/` returns and `expand/` reads. Frozen, without logic.

Values stay nodes of the text tree, because what a scalar means is decided by the word it is written for, and
that may depend on the template. Every noun keeps its mark, so that a mistake found late still has its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import Problem
from runner.text.tree import Mark, Node, Scalar

SLOTS = ("action", "camera", "place", "light", "motion", "prompt", "style")
"""The built-in slots, in the order their LoRAs enter the chain."""

MEMBER_WORDS = ("outfit", "expression")
"""Words of each member of a cast; their vocabulary stands in `prompts` too, but they are no slots."""

EPISODE, SCENE, CUT, COMMAND = range(4)
"""How near a scope is; the nearest that mentions a word wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A word with the value some scope or preset gives it."""

    word: str
    value: Node
    mark: Mark
    """Where the word stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisValue:
    """One value of an axis, or one row of a table."""

    cells: tuple[Node, ...]
    """One per word of the axis."""
    mark: Mark
    name: str = ""
    """The label, where the author gave one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A word under `vary`, or several that vary together."""

    words: tuple[str, ...]
    """The first names the axis; the others ride along."""
    values: tuple[AxisValue, ...]
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The words of one level: the episode, a scene, a cut, the command line."""

    nearness: int
    """`EPISODE` … `COMMAND`."""
    where: str
    """How messages call it: `the episode`, `scene s01`, `cut s01/c001`, `the command line`."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """Word → setting, in file order."""
    axes: tuple[Axis, ...] = ()
    excepts: tuple[Scalar, ...] = ()
    """Patterns of what is left out, as written."""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """An entry of the vocabulary, a character's own texts, or an entry written in place."""

    name: str = ""
    """Empty when written in place."""
    owner: str = ""
    """How messages call it: `character aki`, `outfit home of aki`, `place rooftop`."""
    mark: Mark
    prompt: Node | None = None
    """A text, or a map by model."""
    negative: Node | None = None
    lora: Node | None = None
    """A LORA, a list of them, or a map by model."""
    refs: Node | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A preset, with what it inherits from those it extends."""

    name: str
    lineage: tuple[str, ...]
    """Itself, then what it extends, nearest first: the order in which a map by model is searched."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """`template wording negative lora` and parameters of the template."""
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """Somebody who can stand in a cast."""

    name: str
    fragment: Fragment
    kind: str = ""
    """`girl`, `boy` or `other`; empty when not said: then nobody counts it."""
    outfits: Mapping[str, Fragment] = field(default_factory=dict)
    expressions: Mapping[str, Fragment] = field(default_factory=dict)
    worn: Mapping[str, Node] = field(default_factory=dict)
    """`outfit` and `expression` unless said otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A cut, with the scopes that speak for it."""

    path: str
    """`ep01/s01/c001`; `ep01/s01` when the scene itself is the cut."""
    episode: str
    scene: str
    name: str = ""
    scopes: tuple[Scope, ...]
    """Far to near; the command line is last."""
    mark: Mark
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """`from:`: an earlier cut whose pick is used."""

    cut: str
    """Path of that cut."""
    pattern: str = ""
    """Which of its variants; may be empty."""
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check with what follows from it."""

    name: str
    level: str
    """`off`, `info`, `warn` or `fail`."""
    limit: str = ""
    """As written; empty when none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPlans:
    """What a cut asks for beyond its own pictures; validated, acted upon by later stages."""

    upstream: Mapping[str, Upstream] = field(default_factory=dict)
    """Parameter → the cut it is filled from; the empty name is `from:` itself."""
    pick: str = "person"
    """`person`, `first`, `best:METRIC` or `all`."""
    checks: tuple[Check, ...] = ()
    retake: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """`deliver.video`: the film that the picked takes make."""

    name: Scalar
    cuts: tuple[Scalar, ...] = ()
    """Patterns; empty means every cut that nobody takes `from`."""
    codec: str = ""
    crf: int | None = None
    sound: str = ""
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A contact sheet: two axes against one another."""

    rows: str
    columns: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """How outputs are called and what is made of them together."""

    name: Scalar | None = None
    """Jinja; None means the default name."""
    video: Video | None = None
    sheets: tuple[Sheet, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFile:
    """A file that was read, for the record."""

    path: str
    """Relative to the project folder, with `/`."""
    sha256: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A spec as read, with its libraries merged and the command line laid over it."""

    path: str
    """As the user wrote it."""
    root: Path
    """The project folder, absolute; every path of the spec starts here."""
    episode: str
    title: str = ""
    models: Mapping[str, Model] = field(default_factory=dict)
    characters: Mapping[str, Character] = field(default_factory=dict)
    prompts: Mapping[str, Mapping[str, Fragment]] = field(default_factory=dict)
    """Slot (or `outfit`, `expression`) → name → entry, in the order the libraries define them."""
    slots: tuple[str, ...] = SLOTS
    """The built-in slots, then those that stand in `prompts`."""
    scopes: tuple[Scope, ...] = ()
    """The episode, then every scene and cut in file order, then the command line."""
    cuts: tuple[Cut, ...] = ()
    """In file order."""
    plans: Mapping[str, CutPlans] = field(default_factory=dict)
    """Path of a cut → its sources, pick and checks."""
    deliver: Deliver
    files: tuple[SpecFile, ...] = ()
    """The spec first, then its libraries in the order they were reached."""
    warnings: tuple[Problem, ...] = ()
    later: tuple[str, ...] = ()
    """A sentence for each thing that is understood and checked but not acted upon yet."""
