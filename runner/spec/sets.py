"""`--set WORD=VALUE`: paths that change the tree, words of the nearest scope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runner.errors import SpecError
from runner.faults import Faults
from runner.spec.layers import put
from runner.spec.scopes import read_scope
from runner.story import COMMAND, Scope
from runner.text.compose import compose
from runner.text.letters import composed
from runner.text.nearest import did_you_mean
from runner.text.tree import Entry, Mapping, Mark, Node, Scalar, Source

_INTO_TREE = ("models", "characters", "prompts", "scenes", "deliver", "checks")
_SCOPE_MAPS = ("vary", "checks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One `--set`, parsed."""

    word: str
    value: Node
    mark: Mark


def read_sets(sets: tuple[str, ...], faults: Faults) -> tuple[Change, ...]:
    """Return the changes that *sets* (`WORD=VALUE`, the value in YAML) write, in their order."""
    return tuple(change for text in sets if (change := _read(text, faults)))


def change_tree(root: Mapping, changes: tuple[Change, ...], faults: Faults) -> Mapping:
    """Return *root* with every change laid in whose path begins with a section of the tree."""
    for change in changes:
        section, _, rest = change.word.partition(".")
        if section not in _INTO_TREE or not rest:
            continue
        path = _path(root, section, rest, change, faults)
        if path:
            root = put(root, path, change.value, change.mark)
    return root


def check_names(changes: tuple[Change, ...], roots: Iterable[Mapping], faults: Faults) -> None:
    """Note changes of models and characters that none of *roots*, the files as read, defines."""
    trees = tuple(roots)
    for change in changes:
        section, _, rest = change.word.partition(".")
        if section not in ("models", "characters") or not rest:
            continue
        maps = [found for root in trees if isinstance(found := root.get(section), Mapping)]
        names = {entry.key.text for found in maps for entry in found}
        name = rest.split(".")[0]
        if name not in names:
            noun = section.removesuffix("s")
            faults.at(change.mark, f"no {noun} is called `{name}`{did_you_mean(name, names)}")


def command_scope(changes: tuple[Change, ...], faults: Faults) -> Scope:
    """Return the scope that all other changes make; `vary.WORD` becomes an axis."""
    settings: dict[str, Entry] = {}
    axes: dict[str, Entry] = {}
    for change in changes:
        section, _, rest = change.word.partition(".")
        if section in _INTO_TREE and rest:
            continue
        if change.word == "vary" and not isinstance(change.value, Mapping):
            faults.at(change.mark, "`vary` is a map: {WORD: VALUES}; or write --set vary.WORD=[…]")
            continue
        name = rest if section == "vary" and rest else change.word
        entry = Entry(Scalar(name, change.mark), change.value)
        (axes if section == "vary" and rest else settings)[name] = entry
    nowhere = Mark(Source("--set"), 0, 0)
    entries = tuple(settings.values())
    if axes:
        entries += (Entry(Scalar("vary", nowhere), Mapping(tuple(axes.values()), nowhere)),)
    return read_scope(Mapping(entries, nowhere), nearness=COMMAND, where="the command line", faults=faults)


def _read(text: str, faults: Faults) -> Change | None:
    word, equals, value = text.partition("=")
    word = composed(word.strip())
    mark = Mark(Source("--set", (text,)), 1, 1, max(1, len(word)))
    if not equals or not word:
        faults.at(mark, "write --set WORD=VALUE")
        return None
    try:
        return Change(word=word, value=_value(value, word), mark=mark)
    except SpecError as refused:
        faults.add(refused.problems)
        return None


def _value(text: str, word: str) -> Node:
    """Return the node that *text* writes; nothing behind the `=` is an empty text, `{{` begins one."""
    path = f"--set {word}"
    if not text.strip() or text.startswith("{{"):
        return Scalar(text.strip(), Mark(Source(path, (text,)), 1, 1), plain=False)
    return compose(text.encode(), path=path)


def _path(root: Mapping, section: str, rest: str, change: Change, faults: Faults) -> tuple[str, ...]:
    """Return the keys from the top of the tree to what *change* sets; empty after noting a mistake."""
    if section == "scenes":
        return _scene_path(root, rest, change, faults)
    if section == "checks":
        return (section, rest)
    return (section, *rest.split("."))


def _scene_path(root: Mapping, rest: str, change: Change, faults: Faults) -> tuple[str, ...]:
    """Return the path into scenes: SCENE[.cuts.CUT].WORD, where WORD may hold a dot itself."""
    path: list[str] = ["scenes"]
    node = root.get("scenes")
    for noun in ("scene", "cut"):
        name, _, rest = rest.partition(".")
        names = [entry.key.text for entry in node] if isinstance(node, Mapping) else []
        if name not in names or not rest:
            hint = did_you_mean(name, names) if name not in names else ""
            what = f"no {noun} is called `{name}`{hint}" if name not in names else "a word is missing"
            faults.at(change.mark, f"--set {change.word}: {what}")
            return ()
        path.append(name)
        node = node.get(name) if isinstance(node, Mapping) else None
        if noun == "scene" and rest.startswith("cuts."):
            rest = rest.removeprefix("cuts.")
            path.append("cuts")
            node = node.get("cuts") if isinstance(node, Mapping) else None
        else:
            break
    word, _, below = rest.partition(".")
    return (*path, *((word, below) if word in _SCOPE_MAPS and below else (rest,)))
