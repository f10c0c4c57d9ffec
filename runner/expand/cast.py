"""Who stands in a cast: `aki`, `aki.home`, `aki.home.smile`, or text for extras."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runner.faults import Faults
from runner.naming import is_name
from runner.story import Character, Fragment, Spec
from runner.text.nearest import did_you_mean
from runner.text.shown import shown
from runner.text.tree import Mapping as MapNode
from runner.text.tree import Mark, Node, Scalar
from runner.text.tree import Sequence as ListNode

_NAMED = re.compile(r"([\w-]+)[ :+&/(]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One member as written: a character with what it wears, or an extra."""

    text: str
    mark: Mark
    character: str = ""
    outfit: str = ""
    expression: str = ""
    extra: Fragment | None = None


@dataclass(slots=True)
class Casts:
    """Reads casts, each once."""

    spec: Spec
    faults: Faults
    _read: dict[int, tuple[Part, ...] | None] = field(default_factory=dict)

    def read(self, node: Node) -> tuple[Part, ...] | None:
        """Return the members that *node* names, in order; None after noting a mistake."""
        known = id(node)
        if known not in self._read:
            self._read[known] = self._parts(node)
        return self._read[known]

    def _parts(self, node: Node) -> tuple[Part, ...] | None:
        if isinstance(node, Scalar) and node.is_null:
            return ()
        before = self.faults.noted
        parts = tuple(part for piece in _pieces(node) if (part := self._part(piece)))
        seen: set[str] = set()
        for part in parts:
            if part.character and part.character in seen:
                name = part.character
                self.faults.at(
                    part.mark,
                    f"`{name}` is in the cast twice; to compare outfits write vary: {{{name}.outfit: […]}}",
                )
            seen.add(part.character)
        return parts if self.faults.noted == before else None

    def _part(self, node: Node) -> Part | None:
        if isinstance(node, MapNode):
            extra = Fragment(
                owner="an extra",
                mark=node.mark,
                prompt=node.get("prompt"),
                negative=node.get("negative"),
                lora=node.get("lora"),
                refs=node.get("refs"),
            )
            return Part(text="{…}", mark=node.mark, extra=extra)
        if isinstance(node, ListNode):
            self.faults.at(
                node.mark, "a cast is a list of members; to vary it write vary: {cast: [[…], […]]}"
            )
            return None
        name, *worn = node.name.split(".")
        character = self.spec.characters.get(name)
        if character is None or not _is_dotted(node.name):
            return self._extra(node)
        return self._dressed(node, character, worn)

    def _extra(self, node: Scalar) -> Part | None:
        names = self.spec.characters
        if node.plain and names and _is_dotted(node.name):
            name = node.name.split(".")[0]
            self.faults.at(
                node.mark,
                f"no character is called `{name}`{did_you_mean(name, names)}"
                f' (for plain text write it in quotes: "{node.text}")',
            )
            return None
        self._warn_of_name(node)
        return Part(
            text=node.text, mark=node.mark, extra=Fragment(owner="an extra", mark=node.mark, prompt=node)
        )

    def _warn_of_name(self, node: Scalar) -> None:
        """Warn of a text that begins with a character's name, such as `aki:smile` or `aki and ren`."""
        found = _NAMED.match(node.name)
        if found and found[1] in self.spec.characters:
            what = f"`{shown(node.text)}` is drawn as a text, not as `{found[1]}`"
            hint = f"write {found[1]}.OUTFIT.EXPRESSION, and a comma between members"
            self.faults.warn([node.mark.problem(f"{what}; {hint}")])

    def _dressed(self, node: Scalar, character: Character, worn: list[str]) -> Part | None:
        outfits = {**self.spec.prompts.get("outfit", {}), **character.outfits}
        expressions = {**self.spec.prompts.get("expression", {}), **character.expressions}
        found = _split(worn, outfits, expressions)
        if found is None:
            self._no_such(node, character, worn, outfits, expressions)
            return None
        return Part(
            text=node.text, mark=node.mark, character=character.name, outfit=found[0], expression=found[1]
        )

    def _no_such(
        self,
        node: Scalar,
        character: Character,
        worn: list[str],
        outfits: Mapping[str, Fragment],
        expressions: Mapping[str, Fragment],
    ) -> None:
        if len(worn) > 2:
            self.faults.at(
                node.mark, f"`{node.text}`: a member is NAME, NAME.OUTFIT or NAME.OUTFIT.EXPRESSION"
            )
            return
        if len(worn) == 2 and worn[0] in outfits:
            word, name, known = "expression", worn[1], expressions
        elif len(worn) == 2:
            word, name, known = "outfit", worn[0], outfits
        else:
            word, name, known = "outfit or expression", worn[0], {**outfits, **expressions}
        self.faults.at(node.mark, f"{character.name} has no {word} `{name}`{did_you_mean(name, known)}")


def _is_dotted(text: str) -> bool:
    return all(map(is_name, text.split(".")))


def _split(
    worn: list[str], outfits: Mapping[str, Fragment], expressions: Mapping[str, Fragment]
) -> tuple[str, str] | None:
    """Return the names of outfit and expression in *worn*; None when they are not known."""
    match worn:
        case []:
            return "", ""
        case [name] if name in outfits:
            return name, ""
        case [name] if name in expressions:
            return "", name
        case [outfit, expression] if outfit in outfits and expression in expressions:
            return outfit, expression
    return None


def _pieces(node: Node) -> Iterator[Node]:
    """Yield what stands between the commas of a text, or the items of a list, with their places."""
    if isinstance(node, ListNode):
        yield from node
        return
    if isinstance(node, MapNode):
        yield node
        return
    start = 0
    single = node.mark.width >= len(node.text)
    for piece in node.text.split(","):
        text = piece.strip()
        if text:
            offset = start + len(piece) - len(piece.lstrip()) + (not node.plain) if single else 0
            width = len(text) if single else node.mark.width
            mark = Mark(node.mark.source, node.mark.line, node.mark.column + offset, width)
            yield Scalar(text, mark, node.plain)
        start += len(piece) + 1
