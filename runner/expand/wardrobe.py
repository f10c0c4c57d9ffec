"""What each member of a cast wears: the nearest word, else its own habit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.expand.cast import Part
from runner.expand.fragments import inline
from runner.expand.standing import At, Standing, Told
from runner.faults import Faults
from runner.naming import is_name
from runner.story import Character, Fragment, Spec
from runner.text.nearest import did_you_mean
from runner.text.tree import Mapping as MapNode
from runner.text.tree import Node
from runner.text.tree import Sequence as ListNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Wearing:
    """A member of the cast, dressed."""

    name: str
    """Empty for an extra."""
    kind: str = ""
    own: Fragment
    outfit: Fragment | None = None
    expression: Fragment | None = None
    words: tuple[str, ...] = ()
    """Words that decided what is worn."""


@dataclass(slots=True)
class Wardrobe:
    """Dresses members; keeps every garment, so that its identity lasts."""

    spec: Spec
    faults: Faults
    _garments: dict[tuple[str, str, int], Fragment | None] = field(default_factory=dict)

    def dress(self, part: Part, cast: Told, standing: Standing, at: At) -> Wearing:
        """Return *part* of the cast that *cast* tells, dressed for the point *at*."""
        if part.extra is not None:
            return Wearing(name="", own=part.extra)
        character = self.spec.characters[part.character]
        outfit, by_outfit = self._worn(part, character, "outfit", cast, standing, at)
        expression, by_expression = self._worn(part, character, "expression", cast, standing, at)
        return Wearing(
            name=character.name,
            kind=character.kind,
            own=character.fragment,
            outfit=outfit,
            expression=expression,
            words=tuple(word for word in (by_outfit, by_expression) if word),
        )

    def _worn(
        self, part: Part, character: Character, word: str, cast: Told, standing: Standing, at: At
    ) -> tuple[Fragment | None, str]:
        """Return what is worn and the word that said so: the nearer, in one scope the dotted one."""
        named: str = part.outfit if word == "outfit" else part.expression
        dotted, plain = standing.told(f"{character.name}.{word}", at), standing.told(word, at)
        best: Told | None = plain
        if dotted and (best is None or dotted.nearness >= best.nearness):
            best = dotted
        if named and (best is None or cast.nearness >= best.nearness):
            return self._known(character, word)[named], ""
        if best:
            return self._kept(character, word, best.node), best.word
        habit = character.worn.get(word)
        if habit is None and word == "outfit" and character.outfits:
            self._warn_of_nothing_worn(character)
        return (self._kept(character, word, habit) if habit is not None else None), ""

    def _warn_of_nothing_worn(self, character: Character) -> None:
        one = next(iter(character.outfits))
        message = (
            f"{character.name} wears no outfit here; write `cast: {character.name}.{one}`,"
            f" or `outfit: {one}` on the character"
        )
        self.faults.warn([character.fragment.mark.problem(message)])

    def _kept(self, character: Character, word: str, node: Node) -> Fragment | None:
        known = (character.name, word, id(node))
        if known not in self._garments:
            self._garments[known] = self._garment(character, word, node)
        return self._garments[known]

    def _garment(self, character: Character, word: str, node: Node) -> Fragment | None:
        if isinstance(node, MapNode):
            return inline(node, owner=f"`{word}` written here")
        if isinstance(node, ListNode):
            self.faults.at(node.mark, f"`{word}` takes one text; a list varies only under `vary:`")
            return None
        known = self._known(character, word)
        if node.name in known:
            return known[node.name]
        if node.plain and is_name(node.name) and self._any_named(word):
            self.faults.at(node.mark, self._not_worn(character, word, node.name, known))
            return None
        return Fragment(owner=f"`{word}` written here", mark=node.mark, prompt=node)

    def _known(self, character: Character, word: str) -> dict[str, Fragment]:
        """Return what *character* can wear: its own entries before those of `prompts`."""
        return {**self.spec.prompts.get(word, {}), **_own(character, word)}

    def _any_named(self, word: str) -> bool:
        return bool(self.spec.prompts.get(word)) or any(
            _own(character, word) for character in self.spec.characters.values()
        )

    def _not_worn(self, character: Character, word: str, name: str, known: Mapping[str, Fragment]) -> str:
        others = [other.name for other in self.spec.characters.values() if name in _own(other, word)]
        if others:
            return (
                f"{character.name} has no {word} `{name}`; add it to prompts.{word},"
                f" or set `{others[0]}.{word}`"
            )
        hint = did_you_mean(name, known) or f"; add it to prompts.{word}"
        return f"{character.name} has no {word} `{name}`{hint} (for plain text write {{prompt: {name}}})"


def _own(character: Character, word: str) -> Mapping[str, Fragment]:
    return character.outfits if word == "outfit" else character.expressions
