"""Which scope's word stands in a cut: the nearest that mentions it wins, fixed or varied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from runner.expand.cast import Casts
from runner.faults import Faults
from runner.story import Axis, Cut, Scope
from runner.text.tree import Mark, Node, Scalar

At = tuple[int, ...]
"""A point: the index of its value on each axis."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a word is at one point, and how near the scope is that says so."""

    word: str
    node: Node
    mark: Mark
    nearness: int


@dataclass(frozen=True, slots=True)
class StandingAxis:
    """An axis that no nearer scope replaced."""

    axis: Axis
    scope: Scope

    def __len__(self) -> int:
        return len(self.axis.values)


@dataclass(slots=True)
class Standing:
    """The words and axes of one cut; axes in their order, outer scopes first."""

    cut: Cut
    fixed: dict[str, tuple[Told, Scope]] = field(default_factory=dict)
    axes: tuple[StandingAxis, ...] = ()
    columns: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Varied word → index of its axis, column in it."""

    def told(self, word: str, at: At) -> Told | None:
        """Return what *word* is at the point *at*; None when nobody says, or it is unset."""
        place = self.columns.get(word)
        if place is None:
            found = self.fixed.get(word)
            return found[0] if found else None
        index, column = place
        standing = self.axes[index]
        value = standing.axis.values[at[index]]
        node = value.cells[column]
        if isinstance(node, Scalar) and node.is_null:
            return None
        return Told(word, node, node.mark, standing.scope.nearness)

    def nearness(self, word: str) -> int | None:
        """Return how near the scope is that says *word*; None when nobody does."""
        if word in self.columns:
            return self.axes[self.columns[word][0]].scope.nearness
        return self.fixed[word][0].nearness if word in self.fixed else None

    def nodes(self, word: str) -> Iterator[Node]:
        """Yield every value that *word* has in this cut."""
        place = self.columns.get(word)
        if place is not None:
            for value in self.axes[place[0]].axis.values:
                yield value.cells[place[1]]
        elif word in self.fixed:
            yield self.fixed[word][0].node

    def axes_of(self, words: Iterable[str]) -> tuple[int, ...]:
        """Return the indices of the axes on which any of *words* varies."""
        return tuple(sorted({self.columns[word][0] for word in words if word in self.columns}))


def resolve(cut: Cut, casts: Casts, faults: Faults) -> Standing:
    """Return the words that stand in *cut*; notes words set twice and tables set in part."""
    fixed: dict[str, tuple[Told, Scope]] = {}
    axes: list[StandingAxis] = []
    for scope in cut.scopes:
        mentions = _mentions(scope, casts, faults)
        axes = list(_left(axes, mentions, faults))
        for word in mentions:
            fixed.pop(word, None)
        _settle_counting(scope, fixed)
        for word, setting in scope.settings.items():
            if not (isinstance(setting.value, Scalar) and setting.value.is_null):
                fixed[word] = (Told(word, setting.value, setting.mark, scope.nearness), scope)
        axes += [StandingAxis(axis, scope) for axis in scope.axes if axis.values]
    columns = {
        word: (index, column)
        for index, standing in enumerate(axes)
        for column, word in enumerate(standing.axis.words)
    }
    return Standing(cut=cut, fixed=fixed, axes=tuple(axes), columns=columns)


def _mentions(scope: Scope, casts: Casts, faults: Faults) -> dict[str, Mark]:
    """Return every word that *scope* sets, varies, or names inside a cast."""
    mentions = {word: setting.mark for word, setting in scope.settings.items()}
    for axis in scope.axes:
        mentions |= dict.fromkeys(axis.words, axis.mark)
    for word, (mark, text) in _inside_cast(scope, casts).items():
        if word in mentions:
            faults.at(mentions[word], f"`{word}` is set twice here: by `cast: {text}` and by `{word}`")
        mentions.setdefault(word, mark)
    return mentions


def _inside_cast(scope: Scope, casts: Casts) -> dict[str, tuple[Mark, str]]:
    """Return the words that a cast written in *scope* sets by `aki.home.smile`."""
    nodes = [setting.value for word, setting in scope.settings.items() if word == "cast"]
    for axis in scope.axes:
        if "cast" in axis.words:
            column = axis.words.index("cast")
            nodes += [value.cells[column] for value in axis.values]
    return {
        f"{part.character}.{word}": (part.mark, part.text)
        for node in nodes
        for part in casts.read(node) or ()
        for word, name in (("outfit", part.outfit), ("expression", part.expression))
        if name
    }


def _left(axes: list[StandingAxis], mentions: Mapping[str, Mark], faults: Faults) -> Iterator[StandingAxis]:
    """Yield the axes that *mentions* of a nearer scope do not replace."""
    for standing in axes:
        words = standing.axis.words
        again = [word for word in words if word in mentions]
        if not again:
            yield standing
        elif len(again) < len(words):
            other = next(word for word in words if word not in mentions)
            faults.at(
                mentions[again[0]],
                f"`{again[0]}` varies together with `{other}` in an outer scope; set all of them here",
            )


def _settle_counting(scope: Scope, fixed: dict[str, tuple[Told, Scope]]) -> None:
    """Let a nearer `takes` replace an outer `seeds`, and the other way round."""
    for word, other in (("takes", "seeds"), ("seeds", "takes")):
        if word in scope.settings:
            fixed.pop(other, None)
