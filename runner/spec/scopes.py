"""Scenes and cuts of a spec's tree → scopes: which word is set, varied or left out where."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass

from runner.faults import Faults
from runner.story import CUT, EPISODE, SCENE, Axis, AxisValue, Cut, Scope, Setting
from runner.text.tree import Entry, Mapping, Mark, Node, Scalar, Sequence
from runner.values import parse_range_axis

TOP_KEYS = frozenset(
    {"animerun", "scenes", "episode", "include", "models", "characters", "prompts", "deliver"}
)
"""Keys of the top level that are no words."""

_BESIDE = frozenset({"title", "note", "vary", "except"})
_CUTS = frozenset({"cuts"})
_NEVER_VARIED = frozenset(
    {"takes", "seeds", "vary", "except", "checks", "pick", "title", "note", "from", "fps"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """The cuts of a spec with every scope that speaks for them."""

    cuts: tuple[Cut, ...]
    scopes: tuple[Scope, ...]
    """Episode, scenes and cuts in file order, the command line last."""


def read_scenes(root: Mapping, *, episode: str, command: Scope, faults: Faults) -> Scenes:
    """Return the cuts of *root* in file order, *command* being their nearest scope."""
    top = read_scope(root, nearness=EPISODE, where="the episode", faults=faults)
    cuts: list[Cut] = []
    scopes: list[Scope] = []
    for scene in _entries(root.get("scenes")):
        for cut in _scene(scene, episode=episode, top=top, command=command, faults=faults):
            cuts.append(cut)
            scopes += cut.scopes
    return Scenes(cuts=tuple(cuts), scopes=(*_distinct(top, scopes, without=command), command))


def read_scope(root: Mapping, *, nearness: int, where: str, faults: Faults) -> Scope:
    """Return the words that *root* sets, varies and leaves out."""
    skipped = _BESIDE | (TOP_KEYS if nearness == EPISODE else _CUTS if nearness == SCENE else frozenset())
    settings = {
        entry.key.text: Setting(word=entry.key.text, value=entry.value, mark=entry.key.mark)
        for entry in root
        if entry.key.text not in skipped
    }
    axes = tuple(axis for entry in _entries(root.get("vary")) if (axis := read_axis(entry, faults)))
    _refuse_twice(settings, axes, faults)
    return Scope(
        nearness=nearness,
        where=where,
        settings=settings,
        axes=axes,
        excepts=_texts(root.get("except")),
        title=_text(root.get("title")),
    )


def read_axis(entry: Entry, faults: Faults) -> Axis | None:
    """Return the axis that *entry* of a `vary` writes, None after noting why it is none."""
    mark = entry.key.mark
    words = tuple(word.strip() for word in entry.key.text.split("+"))
    for word in words:
        if word in _NEVER_VARIED:
            faults.at(mark, f"`{word}` cannot vary")
            return None
    if len(set(words)) < len(words):
        faults.at(mark, f"`{entry.key.text}` names a word twice")
        return None
    if isinstance(entry.value, Scalar) and entry.value.is_null:
        return Axis(words=words, values=(), mark=mark)
    values = tuple(_values(entry.value, words, faults))
    return Axis(words=words, values=values, mark=mark) if values else None


def _scene(entry: Entry, *, episode: str, top: Scope, command: Scope, faults: Faults) -> Iterator[Cut]:
    name, root = entry.key.text, _map(entry)
    cuts = root.entry("cuts")
    path = f"{episode}/{name}"
    if cuts is None or not isinstance(cuts.value, Mapping):
        scope = read_scope(root, nearness=CUT, where=f"scene {name}", faults=faults)
        yield Cut(
            path=path,
            episode=episode,
            scene=name,
            scopes=(top, scope, command),
            mark=entry.key.mark,
            title=scope.title or top.title,
        )
        return
    around = read_scope(root, nearness=SCENE, where=f"scene {name}", faults=faults)
    for cut in cuts.value:
        scope = read_scope(_map(cut), nearness=CUT, where=f"cut {name}/{cut.key.text}", faults=faults)
        yield Cut(
            path=f"{path}/{cut.key.text}",
            episode=episode,
            scene=name,
            name=cut.key.text,
            scopes=(top, around, scope, command),
            mark=cut.key.mark,
            title=scope.title or around.title or top.title,
        )


def _values(node: Node, words: tuple[str, ...], faults: Faults) -> Iterator[AxisValue]:
    if isinstance(node, Sequence):
        for item in node:
            yield from _row(item, words, "", faults)
    elif isinstance(node, Mapping):
        for entry in node:
            yield from _row(entry.value, words, entry.key.text, faults)
    elif len(words) > 1:
        faults.at(node.mark, f"`{'+'.join(words)}` takes rows: [[…, …], […, …]], or NAME: [ … ]")
    else:
        yield from _range(node, words[0], faults)


def _range(node: Scalar, word: str, faults: Faults) -> Iterator[AxisValue]:
    """Yield the numbers of a range like `4..6..0.5`."""
    try:
        numbers = parse_range_axis(node.text)
    except ValueError as error:
        faults.at(node.mark, str(error))
        return
    if numbers is None:
        faults.at(node.mark, f"`{word}` varies over a list, a map NAME: value, or a range like 4..6..0.5")
    for number in numbers or ():
        yield AxisValue(cells=(Scalar(number, node.mark),), mark=node.mark)


def _row(node: Node, words: tuple[str, ...], name: str, faults: Faults) -> Iterator[AxisValue]:
    if len(words) == 1:
        yield AxisValue(cells=(node,), mark=node.mark, name=name)
        return
    cells = node.items if isinstance(node, Sequence) else (node,)
    if len(cells) == len(words):
        yield AxisValue(cells=tuple(cells), mark=node.mark, name=name)
        return
    count = f"{len(cells)} value{'' if len(cells) == 1 else 's'}"
    faults.at(node.mark, f"this row has {count}; `{'+'.join(words)}` needs {len(words)}")


def _refuse_twice(settings: Map[str, Setting], axes: tuple[Axis, ...], faults: Faults) -> None:
    """Note words that one scope both sets and varies, or varies or counts twice."""
    varied: dict[str, Mark] = {}
    for axis in axes:
        for word in axis.words:
            if word in settings:
                faults.at(axis.mark, f"`{word}` is both fixed and varied here; keep one")
            if word in varied:
                faults.at(axis.mark, f"`{word}` is varied twice here; keep one")
            varied[word] = axis.mark
    if "takes" in settings and "seeds" in settings:
        faults.at(settings["seeds"].mark, "`takes` and `seeds` both stand here; keep one")


def _distinct(top: Scope, scopes: list[Scope], *, without: Scope) -> tuple[Scope, ...]:
    """Return *top* and *scopes* in their order, each once (scopes are told apart by identity)."""
    found = {id(scope): scope for scope in (top, *scopes)}
    found.pop(id(without), None)
    return tuple(found.values())


def _map(entry: Entry) -> Mapping:
    return entry.value if isinstance(entry.value, Mapping) else Mapping((), entry.key.mark)


def _entries(node: Node | None) -> tuple[Entry, ...]:
    return node.entries if isinstance(node, Mapping) else ()


def _texts(node: Node | None) -> tuple[Scalar, ...]:
    items = node.items if isinstance(node, Sequence) else (node,)
    return tuple(item for item in items if isinstance(item, Scalar) and not item.is_null)


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) and not node.is_null else ""
