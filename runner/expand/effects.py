"""Nothing is silently without effect: words nobody knows, and words that change nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from runner.domain import Template
from runner.expand.heads import Heads, settable
from runner.expand.points import Points
from runner.faults import Faults
from runner.story import COMMAND, CUT, MEMBER_WORDS, Scope, Spec
from runner.text.nearest import did_you_mean
from runner.text.tree import Mark, Node, Scalar
from runner.values import brought_word

ALWAYS = frozenset(
    {"model", "template", "takes", "seeds", "length", "fps", "from", "pick", "checks", "title", "note"}
)
"""Words that act on the cut itself, whatever wording and template are."""
_OTHERS = ("cast", "negative", "wording", "lora", *MEMBER_WORDS)
_SHORT = 40
_INSTEAD = {
    "seed": "write `seeds: [7]` or `takes: 4`",
    "loras": "write `lora: FILE@0.8`",
    "take": "write `takes: 4`",
}


@dataclass(slots=True)
class Effects:
    """Judges every word of every scope, once all cuts have been walked."""

    spec: Spec
    heads: Heads
    faults: Faults
    _known: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        self._known = frozenset(_words(self.spec))

    def exists(self, word: str) -> bool:
        """Return whether *word* means something: to every cut, to a library's slot or to some template."""
        return word in self._known or (word not in _INSTEAD and self.heads.any_takes(word))

    def judge(self, cuts: Sequence[Points]) -> None:
        """Note unknown words, words without effect on their cut, and (as warnings) on any cut below."""
        self._tell_lost_axes()
        used, idle = self._stand(cuts)
        told = {word for scope in self.spec.scopes if scope.nearness == COMMAND for word, _, _ in _of(scope)}
        templates = _templates(cuts)
        for scope in self.spec.scopes:
            for word, mark, node in _of(scope):
                place = (id(scope), word)
                if not self.exists(word):
                    # A template that cannot be loaded may well have it.
                    names = self._names(templates)
                    if not self.heads.lacks_some or brought_word(word, names) or did_you_mean(word, names):
                        self.faults.at(mark, _unknown(word, names, scope))
                elif place in used or _is_null(node):
                    continue
                elif scope.nearness == CUT:
                    if place in idle:
                        self.faults.at(mark, _idle(word))
                elif word not in told or scope.nearness == COMMAND:
                    self.faults.warn([mark.problem(f"no cut uses `{word}` as it is set here")])

    def _stand(self, cuts: Sequence[Points]) -> tuple[set[tuple[int, str]], set[tuple[int, str]]]:
        """Return the words that some cut uses and those that stand in one that does not, by scope."""
        used: set[tuple[int, str]] = set()
        idle: set[tuple[int, str]] = set()
        for points in cuts:
            for word, scope in _standing(points):
                acts = points.broken or word in ALWAYS or word in points.used
                (used if acts else idle).add((id(scope), word))
        return used, idle

    def _tell_lost_axes(self) -> None:
        """Warn of axes that a word of the command line replaces: that changes keys, `--only` does not."""
        varied = {word for scope in self.spec.scopes for axis in scope.axes for word in axis.words}
        for scope in self.spec.scopes:
            for word, setting in scope.settings.items() if scope.nearness == COMMAND else ():
                if word in varied:
                    self.faults.warn(
                        [
                            setting.mark.problem(
                                f"`{word}` varies in the spec; set here it is no axis, and keys change."
                                f" For fewer jobs with the same keys write --only {word}=…"
                            )
                        ]
                    )

    def _names(self, templates: Iterable[Template]) -> set[str]:
        return {*self._known, *(name for template in templates for name in settable(template))}


def _unknown(word: str, names: Collection[str], scope: Scope) -> str:
    """Return the sentence for *word*, none of *names*: what it is called here, else the nearest."""
    value = _value(scope, word)
    if word in _INSTEAD:
        instead = _INSTEAD[word]
        if word == "seed" and value.isdecimal():
            instead = f"write `seeds: [{value}]`"
        elif word == "seed" and value == "-1":
            instead = "leave it out: each take has a seed derived from the cut's name"
        return f"`{word}` is filled for each job; {instead}"
    meant = brought_word(word, names)
    if not meant:
        return f"unknown word `{word}`{did_you_mean(word, names)}"
    if meant == "size":
        sides = "x".join(_value(scope, side) or side.upper() for side in ("width", "height"))
        return f"unknown word `{word}`: write `size: {sides}`"
    if meant == "length":
        value = f"{value}f" if "frames" in word and value.isdecimal() else "3.5s"
    return f"unknown word `{word}`: it is called `{meant}` here" + (
        f"; write `{meant}: {value}`" if value else ""
    )


def _value(scope: Scope, word: str) -> str:
    """Return the text that *scope* sets *word* to, if it is a short one."""
    node = scope.settings[word].value if word in scope.settings else None
    return (
        node.text if isinstance(node, Scalar) and len(node.text) <= _SHORT and "\n" not in node.text else ""
    )


def _standing(points: Points) -> Iterator[tuple[str, Scope]]:
    """Yield every word that stands in the cut, with the scope that says it."""
    for word, (_, scope) in points.standing.fixed.items():
        yield word, scope
    for standing in points.standing.axes:
        for word in standing.axis.words:
            yield word, standing.scope


def _of(scope: Scope) -> Iterator[tuple[str, Mark, Node | None]]:
    for word, setting in scope.settings.items():
        yield word, setting.mark, setting.value
    for axis in scope.axes:
        for word in axis.words:
            yield word, axis.mark, None


def _words(spec: Spec) -> Iterator[str]:
    """Yield every word that exists whatever the template is."""
    yield from (*ALWAYS, *_OTHERS, *spec.slots)
    for slot in spec.slots:
        yield f"{slot}.weight"
    for name in spec.characters:
        yield from (f"{name}.outfit", f"{name}.expression", f"{name}.weight")


def _templates(cuts: Sequence[Points]) -> list[Template]:
    return list({template.name: template for points in cuts for template in points.templates}.values())


def _idle(word: str) -> str:
    owner, _, part = word.partition(".")
    if part == "weight":
        return f"`{word}` changes nothing here: no LoRA of `{owner}` is used"
    if part or word in MEMBER_WORDS:
        who = f"`{owner}` is not in the cast, or" if part else "nobody in the cast looks at it, or"
        return f"`{word}` changes nothing here: {who} something nearer says it"
    return f"`{word}` changes nothing here: neither the wording nor the template uses it"


def _is_null(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.is_null
