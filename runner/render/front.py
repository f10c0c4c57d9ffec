"""The front matter of a template: what it is called, which parameters it takes, which nodes it saves.

YAML between the first line, `---`, and the next such line. Every mistake of it is told at once, at its place
in the template file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, cast, get_args

from runner.domain import OutputKind, Parameter, ParameterType
from runner.errors import Problem, SpecError, TemplateError
from runner.text.compose import compose
from runner.text.nearest import did_you_mean
from runner.text.recognised import not_a_template
from runner.text.tree import Entry, Node, Scalar, Sequence
from runner.text.tree import Mapping as Tree
from runner.values import parse_value

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
MAX_NAMES: Final = 500
"""Parameters, and outputs, of one template."""
MAX_ID: Final = 200
"""Characters of a node's id; ComfyUI writes `57:9` and `4.0.0.9` itself."""
MAX_PROBLEMS: Final = 20
TYPES: Final[tuple[str, ...]] = get_args(ParameterType)
KINDS: Final[tuple[str, ...]] = get_args(OutputKind)
FILLED: Final = frozenset({"seed", "loras", "cast"})
"""Types that the runner fills; they have no default."""

_TOP: Final = ("title", "comfyui", "packs", "parameters", "outputs")
_OUTPUT: Final = ("kind", "optional")
_EVERY: Final = ("type", "description")
_NUMBER: Final = ("default", "min", "max", "step")
_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("default", "wording"),
    "int": _NUMBER,
    "float": _NUMBER,
    "bool": ("default",),
    "choice": ("default", "choices"),
    "size": _NUMBER,
    "length": ("default", "min", "max", "fps", "frames"),
    "file": ("default", "folder"),
    "files": ("default", "folder", "min", "max"),
    "image": ("default",),
    "video": ("default",),
    "audio": ("default",),
    "images": ("default", "min", "max"),
    "seed": (),
    "loras": ("part",),
    "cast": (),
}
_KEYS: Final = tuple(dict.fromkeys([*_EVERY, *(key for own in _OWN.values() for key in own)]))
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}\.[0-9]{1,20}")
_FRAMES: Final = re.compile(r"[1-9][0-9]?n(\+[0-9]{1,2})?")
_VERSION: Final = re.compile(
    r"(>=|<=|==|<|>)?\s*[0-9]+(\.[0-9]+)*(\s*,\s*(>=|<=|==|<|>)\s*[0-9]+(\.[0-9]+)*)*"
)
_RESERVED: Final = frozenset(
    {"loop", "namespace", "range", "true", "false", "none", "self", "not", "and", "or"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A front matter, read."""

    title: str = ""
    comfyui: str = ""
    packs: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    outputs: Mapping[str, OutputKind] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    """Outputs that a job may come without."""


def cut(source: str, *, path: str) -> tuple[str, int]:
    """Return the front matter of *source* with its first `---`, and the 1-based line where the body starts.

    Raises:
        TemplateError: There is no front matter, or it does not end.

    """
    lines = source.split("\n")
    if lines[0].rstrip() != "---":
        message = not_a_template(source) or (
            "a template begins with a line `---`, its front matter, and another line `---`"
        )
        raise TemplateError([Problem(message=message, path=path, line=1)])
    end = next((index for index, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        message = "the front matter does not end; write a line `---` behind it"
        raise TemplateError([Problem(message=message, path=path, line=1)])
    return "\n".join(lines[:end]) + "\n", end + 2


def read_front(text: str, *, path: str) -> Front:
    """Return what the front matter *text* (with its first `---`) declares.

    Raises:
        TemplateError: With every mistake found, in file order.

    """
    try:
        root = compose(text.encode(), path=path)
    except SpecError as fault:
        raise TemplateError(fault.problems) from fault
    reader = _Reader()
    front = reader.front(root)
    if reader.problems:
        raise reader.refusal()
    return front


class _Reader:
    """Reads one front matter; mistakes are gathered and a harmless value stands in for what is wrong."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refusal(self) -> TemplateError:
        return TemplateError(sorted(self.problems, key=lambda problem: (problem.line, problem.column)))

    def wrong(self, node: Node, message: str) -> None:
        self.note(node.mark.problem(message))

    def note(self, problem: Problem) -> None:
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            raise self.refusal()

    def front(self, root: Node) -> Front:
        tree = self.tree(root, "the front matter")
        if tree is None:
            return Front()
        self.known(tree, _TOP)
        outputs = tree.get("outputs")
        if outputs is None:
            self.wrong(tree, "which nodes save something? write outputs: {NODE: image}")
        declared = {} if outputs is None else self.outputs(outputs)
        return Front(
            title=self.text(tree.get("title")),
            comfyui=self.matching(tree.get("comfyui"), _VERSION, '`comfyui` is a version like ">=0.3.46"'),
            packs=self.texts(tree.get("packs"), "packs"),
            parameters=self.parameters(tree.get("parameters")),
            outputs={name: kind for name, (kind, _) in declared.items()},
            optional=frozenset(name for name, (_, optional) in declared.items() if optional),
        )

    def tree(self, node: Node, what: str) -> Tree | None:
        if not isinstance(node, Tree):
            self.wrong(node, f"{what} is a map")
            return None
        if len(node.entries) > MAX_NAMES:
            self.wrong(node, f"{what} has {len(node.entries):,} entries; at most {MAX_NAMES}")
            return None
        return node

    def known(self, tree: Tree, names: tuple[str, ...]) -> None:
        for entry in tree:
            if entry.key.text not in names and not entry.key.text.startswith("x-"):
                near = did_you_mean(entry.key.text, names) or f"; there is {', '.join(names)}"
                self.wrong(entry.key, f"unknown key `{entry.key.text}`{near}")

    def text(self, node: Node | None) -> str:
        if node is None:
            return ""
        if isinstance(node, Scalar) and not node.is_null and not node.is_empty:
            return node.text
        self.wrong(node, "a text is wanted here")
        return ""

    def texts(self, node: Node | None, what: str) -> tuple[str, ...]:
        if node is None:
            return ()
        if isinstance(node, Sequence):
            return tuple(self.text(item) for item in node)
        self.wrong(node, f"`{what}` is a list")
        return ()

    def matching(self, node: Node | None, pattern: re.Pattern[str], message: str) -> str:
        text = self.text(node)
        if text and node is not None and not pattern.fullmatch(text):
            self.wrong(node, message)
        return text

    def outputs(self, node: Node) -> dict[str, tuple[OutputKind, bool]]:
        """Return node id → (kind, whether a job may come without)."""
        tree = self.tree(node, "`outputs`")
        if tree is None:
            return {}
        if not tree.entries:
            self.wrong(node, "a template has at least one output: outputs: {NODE: image}")
        return {entry.key.text: self.output(entry) for entry in tree}

    def output(self, entry: Entry) -> tuple[OutputKind, bool]:
        name = entry.key.text
        if not name or len(name) > MAX_ID or not name.isprintable():
            self.wrong(entry.key, f"the id of an output's node is a text of at most {MAX_ID} characters")
        if not isinstance(entry.value, Tree):
            return self.output_kind(entry.value), False
        self.known(entry.value, _OUTPUT)
        kind, optional = entry.value.get("kind"), entry.value.get("optional")
        if kind is None:
            self.wrong(entry.value, "what does the node save? write {kind: image, optional: true}")
        may_lack = self.text(optional)
        if optional is not None and may_lack not in ("true", "false"):
            self.wrong(optional, "`optional` is true or false")
        return "image" if kind is None else self.output_kind(kind), may_lack == "true"

    def output_kind(self, node: Node) -> OutputKind:
        kind = self.text(node)
        if kind not in KINDS:
            self.wrong(node, f"an output is one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}")
            return "image"
        return cast(OutputKind, kind)

    def parameters(self, node: Node | None) -> dict[str, Parameter]:
        tree = None if node is None else self.tree(node, "`parameters`")
        found = {entry.key.text: self.parameter(entry) for entry in tree or ()}
        return {name: parameter for name, parameter in found.items() if parameter is not None}

    def parameter(self, entry: Entry) -> Parameter | None:
        name = entry.key.text
        if not _VARIABLE.fullmatch(name) or name in _RESERVED:
            self.wrong(entry.key, f"`{name}` cannot name a parameter: letters, digits and `_`, at most 40")
        tree = self.tree(entry.value, f"parameter `{name}`")
        if tree is None:
            return None
        kind = tree.get("type")
        if kind is None:
            self.wrong(entry.key, f"parameter `{name}` has no `type`")
            return None
        if not isinstance(kind, Scalar) or kind.text not in TYPES:
            written = kind.text if isinstance(kind, Scalar) else ""
            near = did_you_mean(written, TYPES) or f"; there is {', '.join(TYPES)}"
            self.wrong(kind, f"unknown type `{written}`{near}")
            return None
        self.own_keys(tree, kind.text)
        return self.with_default(self.bare(name, cast(ParameterType, kind.text), tree), tree.get("default"))

    def own_keys(self, tree: Tree, kind: str) -> None:
        own = (*_EVERY, *_OWN[kind])
        for entry in tree:
            key = entry.key.text
            if key == "default" and kind in FILLED:
                self.wrong(entry.key, f"type `{kind}` is filled by the runner and has no default")
            elif key in _KEYS and key not in own:
                self.wrong(entry.key, f"type `{kind}` has no `{key}`; it has {', '.join(own)}")
            elif key not in _KEYS:
                near = did_you_mean(key, own) or f"; type `{kind}` has {', '.join(own)}"
                self.wrong(entry.key, f"unknown key `{key}`{near}")

    def bare(self, name: str, kind: ParameterType, tree: Tree) -> Parameter:
        wording = tree.get("wording")
        return Parameter(
            name=name,
            type=kind,
            min=self.number(tree.get("min"), kind),
            max=self.number(tree.get("max"), kind),
            step=self.number(tree.get("step"), kind),
            choices=self.texts(tree.get("choices"), "choices"),
            description=self.text(tree.get("description")),
            folder=self.matching(tree.get("folder"), NAME, "`folder` is a folder of models, like loras"),
            wording=None if wording is None else self.text(wording),
            fps=self.fps(tree.get("fps")),
            frames=self.matching(tree.get("frames"), _FRAMES, "`frames` is a rule like 4n+1"),
            part=self.matching(tree.get("part"), NAME, "`part` is a name, like high"),
        )

    def number(self, node: Node | None, kind: str) -> float | str | None:
        if node is None:
            return None
        text = node.text if isinstance(node, Scalar) else ""
        if _INTEGER.fullmatch(text):
            return int(text)
        if kind == "float" and _DECIMAL.fullmatch(text):
            return text
        self.wrong(node, "a number is wanted here" if kind == "float" else "a whole number is wanted here")
        return None

    def fps(self, node: Node | None) -> int:
        rate = self.number(node, "int")
        if rate is not None and not 1 <= int(rate) <= 1000 and node is not None:
            self.wrong(node, "`fps` is a whole number from 1 to 1000")
        return int(rate or 0)

    def with_default(self, parameter: Parameter, node: Node | None) -> Parameter:
        if node is None or parameter.type in FILLED:
            return parameter
        if isinstance(node, Scalar) and node.is_null:
            return replace(parameter, default=None)
        try:
            return replace(parameter, default=parse_value(parameter, node, own=True))
        except SpecError as fault:
            for problem in fault.problems:
                self.note(problem)
            return parameter
