"""Whether a composed spec or library has the shape of one: every mistake at its place, worded for people.

What a name refers to, what a template takes and what a scope inherits is not known here. The rules stand in
`schema.json`; what no JSON Schema can say (names that differ only in case, the width of rows, a key with
nothing behind it) stands below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as Map
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from runner.errors import Problem, SpecError
from runner.spec.schema import Kind, spec_schema
from runner.text.letters import folded, strange
from runner.text.nearest import did_you_mean, nearest
from runner.text.shown import shown
from runner.text.slips import glued, unset_problem
from runner.text.tree import Entry, Mapping, Node, Scalar, Sequence
from runner.values import parse_loras, parse_seeds, parse_storyboard_length, parse_takes, refusal

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema import ValidationError as _Error

_IGNORED = "x-"


def check_shape(root: Mapping, *, kind: Kind) -> tuple[Problem, ...]:
    """Return every mistake in the shape of *root*, in file order; none when the shape is right.

    Keys that begin with `x-` are looked over, with all that they hold. Words that only a template or a
    library can explain pass, as long as their value is one that some word takes.
    """
    astray, root = _cuts_among_scenes(root)
    problems = [*astray, *_nothing_behind(root), *_against_schema(root, kind), *_same_but_for_case(root)]
    problems += _no_letters(root)
    for scope in _scopes(root):
        problems += _rows(scope)
    distinct = dict.fromkeys(problems)
    return tuple(sorted(distinct, key=lambda found: (found.path, found.line, found.column)))


def _cuts_among_scenes(root: Mapping) -> tuple[list[Problem], Mapping]:
    """Return the mistake of `cuts` one level too far left, and *root* with them on a scene of their own."""
    scenes = root.get("scenes")
    cuts = scenes.entry("cuts") if isinstance(scenes, Mapping) else None
    if not isinstance(scenes, Mapping) or cuts is None or not isinstance(cuts.value, Mapping):
        return [], root
    if not len(cuts.value) or not all(isinstance(entry.value, Mapping) for entry in cuts.value):
        return [], root
    before = [entry.key.text for entry in scenes.entries[: scenes.entries.index(cuts)]]
    where = f"one level deeper, under `{shown(before[-1])}`" if before else "on a scene: {s01: {cuts: …}}"
    scene = Entry(cuts.key, Mapping((cuts,), cuts.key.mark))
    moved = Mapping(tuple(scene if entry is cuts else entry for entry in scenes), scenes.mark)
    entries = (Entry(entry.key, moved) if entry.value is scenes else entry for entry in root)
    message = f"`cuts` stands among the scenes; it belongs {where}"
    return [cuts.key.mark.problem(message)], Mapping(tuple(entries), root.mark)


def _against_schema(root: Mapping, kind: Kind) -> Iterator[Problem]:
    for error in _validator(kind).iter_errors(_plain(root)):
        yield from _translate(error, root, kind)


@cache
def _validator(kind: Kind) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # slow to import, and not every command loads a spec

    schema = spec_schema(kind)
    return Draft202012Validator(_inlined(schema, schema["$defs"]))


def _inlined(schema: Any, defs: Any) -> Any:
    """Return *schema* without `$ref`s, which are slow to follow, and with `$` meaning the very end."""
    if isinstance(schema, list):
        return [_inlined(part, defs) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target: Any = {"$defs": defs}
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return _inlined({**target, **{key: part for key, part in schema.items() if key != "$ref"}}, defs)
    inlined = {key: _inlined(part, defs) for key, part in schema.items() if key != "$defs"}
    if isinstance(inlined.get("pattern"), str):
        inlined["pattern"] = re.sub(r"\$\Z", r"\\Z", inlined["pattern"])
    return inlined


def _plain(node: Node) -> Any:
    """Return *node* as JSON data: every scalar its text, or None for null."""
    if isinstance(node, Scalar):
        return None if node.is_null else node.text
    if isinstance(node, Sequence):
        return [_plain(item) for item in node]
    return {entry.key.text: _plain(entry.value) for entry in node if not _ignored(entry.key)}


def _ignored(key: Scalar) -> bool:
    return key.text.startswith(_IGNORED)


def _find(root: Mapping, path: Iterable[str | int]) -> tuple[Node, Scalar | None]:
    """Return the node at *path* and the nearest key above it."""
    node: Node = root
    key: Scalar | None = None
    for step in path:
        if isinstance(node, Mapping):
            entry = node.entry(str(step))
            assert entry is not None  # the data was made from this tree
            key, node = entry.key, entry.value
        elif isinstance(node, Sequence):
            node = node.items[int(step)]
    return node, key


def _translate(error: _Error, root: Mapping, kind: Kind) -> Iterator[Problem]:
    node, key = _find(root, error.absolute_path)
    if isinstance(node, Scalar) and node.is_empty:
        return
    steps = list(error.absolute_schema_path)
    if "propertyNames" in steps[-2:-1]:
        yield from _bad_name(error, node)
    elif error.validator == "anyOf":
        yield from _alternatives(error, root, kind, node, key)
    elif error.validator == "additionalProperties" and isinstance(node, Mapping):
        yield from _unknown(error, root, node, key, kind)
    elif error.validator == "required" and isinstance(node, Mapping):
        yield from _missing(error, node)
    elif error.validator == "not" and isinstance(node, Mapping) and error.validator_value:
        last = [entry.key for entry in node if entry.key.text in _wanted(error)][-1]
        yield last.mark.problem("`takes` and `seeds` both stand here; keep one")
    else:
        yield _misfit(error, node, key)


def _misfit(error: _Error, node: Node, key: Scalar | None) -> Problem:
    name = key.text if key else "the file"
    in_list = bool(error.absolute_path) and isinstance(error.absolute_path[-1], int)
    advice = _rule(error).get("errorMessage", "holds what cannot stand here")
    told = ""
    if isinstance(node, Scalar):
        is_map = _rule(error).get("type") == "object"
        told = _missing_blank(node.text) if is_map else _parsers_advice(name, node, in_list=in_list)
        if name == "model" and _FILE.search(node.text):
            told = f"`model` takes the name of a preset; write `checkpoint: {shown(node.text)}`"
    elif isinstance(node, Mapping) and name == "cast":
        told = _flat_member(node)
    elif isinstance(node, Sequence) and _is_text(node):
        told = "text that begins with [ needs quotes"
    return node.mark.problem(told or f"`{shown(name)}` {advice}")


def _parsers_advice(word: str, node: Scalar, *, in_list: bool) -> str:
    """Return what the parser of *word* says to write instead of *node*; empty where it knows nothing."""
    if word not in _PARSERS:
        return ""
    try:
        _PARSERS[word](Sequence((node,), node.mark) if in_list else node)
    except SpecError as refused:
        message = refused.problems[0].message
        return message if "write" in message else ""
    except ValueError as error:
        return refusal(word, node.text, str(error)) if "write" in str(error) else ""
    return ""


def _length(node: Node) -> None:
    parse_storyboard_length(node.text if isinstance(node, Scalar) else "")


_PARSERS: Map[str, Callable[[Node], object]] = {
    "seeds": parse_seeds,
    "takes": parse_takes,
    "lora": parse_loras,
    "length": _length,
}
"""Words whose parser knows better than the schema what was meant."""


def _missing_blank(text: str) -> str:
    written = glued(text)
    return f"a blank is missing behind the colon: write `{shown(written)}`" if written else ""


def _flat_member(node: Mapping) -> str:
    """Return how a member written as `{aki: home}` is written."""
    if len(node) != 1:
        return ""
    (member,) = node
    if not isinstance(member.value, Scalar) or member.value.is_empty:
        return ""
    who = "" if member.key.text in ("name", "character") else f"{member.key.text}."
    return f"a member is one text: write `{shown(f'{who}{member.value.text}')}`"


def _is_text(node: Sequence) -> bool:
    """Whether *node* is one text in brackets, such as `[cat|dog]`, rather than a list."""
    one = node.items[0] if len(node) == 1 else None
    line = node.mark.source.lines[node.mark.line - 1 : node.mark.line]
    begins = "".join(line)[node.mark.column - 1 : node.mark.column]
    return begins == "[" and isinstance(one, Scalar) and one.plain and bool(re.search("[|:]", one.text))


def _rule(error: _Error) -> dict[str, Any]:
    """Return the part of the schema that *error* broke; keywords only stand in maps."""
    rule = error.schema
    assert isinstance(rule, dict)
    return rule


def _wanted(error: _Error) -> tuple[str, ...]:
    """Return the keys that a `required` names, also inside `not`."""
    value: Any = error.validator_value
    return tuple(value["required"] if isinstance(value, dict) else value)


def _bad_name(error: _Error, node: Node) -> Iterator[Problem]:
    if isinstance(node, Mapping) and (entry := node.entry(str(error.instance))):
        name = shown(entry.key.text)
        yield entry.key.mark.problem(f"`{name}` {_rule(error)['errorMessage']}")


def _alternatives(
    error: _Error, root: Mapping, kind: Kind, node: Node, key: Scalar | None
) -> Iterator[Problem]:
    """Tell what is wrong in the one alternative that takes this kind of value; else what all take."""
    branches: dict[int | str, list[_Error]] = {}
    for cause in error.context or ():
        branches.setdefault(cause.relative_schema_path[0], []).append(cause)
    fitting = [
        causes
        for causes in branches.values()
        if not any(cause.validator == "type" and not cause.relative_path for cause in causes)
    ]
    if not fitting:
        yield _misfit(error, node, key)
        return
    for cause in fitting[0]:
        yield from _translate(cause, root, kind)


_FILE = re.compile(r"\.(?:safetensors|ckpt|sft|gguf|pth?)\Z")
_SIDES = ("width", "height")


def _unknown(
    error: _Error, root: Mapping, node: Mapping, key: Scalar | None, kind: Kind
) -> Iterator[Problem]:
    known = tuple(_rule(error)["properties"])
    extra = [
        entry.key
        for entry in node
        if entry.key.text not in known and not _ignored(entry.key) and not _is_empty(entry.value)
    ]
    if key and "from" in known and not any(_of_entry(entry.key) for entry in node):
        if key not in _misspelt(root).values():
            in_preset = "models" in error.absolute_path
            meant = "" if in_preset else did_you_mean(key.text, _blocks())
            meant = "; it stands at the top of a spec" if key.text in _blocks() else meant
            sides = [shown(side.text) for name in _SIDES if isinstance(side := node.get(name), Scalar)]
            meant = f"; write `{shown(key.text)}: {'x'.join(sides)}`" if len(sides) == 2 else meant
            yield key.mark.problem(f"`{shown(key.text)}` takes no map{meant or '; words are flat'}")
        return
    for name in extra:
        if kind == "library" and key is None and name.text in _words():
            holds = "models, characters, prompts and include"
            yield name.mark.problem(f"`{shown(name.text)}` belongs into a spec; a library holds {holds}")
        else:
            meant = did_you_mean(name.text, known)
            yield name.mark.problem(f"unknown key `{shown(name.text)}`{meant}")


def _of_entry(key: Scalar) -> bool:
    return nearest(key.text, ("prompt", "negative", "lora", "refs", "from")) is not None


def _missing(error: _Error, node: Mapping) -> Iterator[Problem]:
    misspelt = _misspelt(node)
    remedy = {"animerun": "begin the file with `animerun: 1`", "scenes": "write `scenes: {NAME: {words}}`"}
    for name in _wanted(error):
        if name in misspelt:
            found = misspelt[name]
            yield found.mark.problem(f"unknown word `{shown(found.text)}`; did you mean `{name}`?")
        elif not node.entry(name):
            yield node.mark.problem(f"`{name}` is missing; {remedy[name]}")


def _misspelt(root: Mapping) -> dict[str, Scalar]:
    """Return the keys that likely stand for a missing one: what was meant → what was written."""
    strange = {
        key.text: key for entry in root if (key := entry.key).text not in _words() and not _ignored(key)
    }
    missing = [name for name in ("animerun", "scenes") if not root.entry(name)]
    found = {name: nearest(name, strange) for name in missing}
    return {name: strange[written] for name, written in found.items() if written}


@cache
def _words() -> frozenset[str]:
    """Return every word that may stand at the top of a spec, on a scene or on a cut."""
    return frozenset(spec_schema()["properties"])


def _blocks() -> tuple[str, ...]:
    """Return the words that take a map."""
    return ("models", "characters", "prompts", "scenes", "cuts", "deliver", "vary", "checks")


def _nothing_behind(root: Mapping) -> Iterator[Problem]:
    """Tell every key, and every item of a list, with nothing in it."""
    seen: set[int] = set()
    waiting: list[Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Scalar) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Mapping):
            kept = [entry for entry in node if not _ignored(entry.key)]
            yield from (unset_problem(entry) for entry in kept if _is_empty(entry.value))
            waiting += [entry.value for entry in kept]
        else:
            for item in node:
                if isinstance(item, Scalar) and item.is_empty:
                    yield item.mark.problem('this item of the list is empty: write a value, or `""`')
            waiting += node.items


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.is_empty


def _same_but_for_case(root: Mapping) -> Iterator[Problem]:
    for names in _maps_of_names(root):
        first: dict[str, Scalar] = {}
        for entry in names:
            other = first.setdefault(folded(entry.key.text), entry.key)
            if other is not entry.key and not _ignored(entry.key):
                pair = f"`{shown(entry.key.text)}` and `{shown(other.text)}` (line {other.mark.line})"
                yield entry.key.mark.problem(f"{pair} differ only in case; give one another name")


def _no_letters(root: Mapping) -> Iterator[Problem]:
    """Report names with characters that are no letters; the schema knows those of ASCII alone."""
    words = [entry.key for scope in _scopes(root) for entry in scope if not entry.key.text.isascii()]
    names = [entry.key for names in _maps_of_names(root) for entry in names if not entry.key.text.isascii()]
    for key in (*words, *names):
        odd = "" if _ignored(key) else strange(key.text, "_-.+")
        if odd:
            yield key.mark.problem(
                f"`{shown(key.text)}` holds `{shown(odd)}`, which is neither letter nor digit"
            )


def _maps_of_names(root: Mapping) -> Iterator[Mapping]:
    """Yield every map whose keys are names: they become parts of keys and file names."""
    yield from _maps(root.get(key) for key in ("models", "characters", "prompts", "scenes"))
    yield from _maps(scene.get("cuts") for scene in _values(root.get("scenes")))
    for character in _values(root.get("characters")):
        yield from _maps((character.get("outfits"), character.get("expressions")))
    yield from _values(root.get("prompts"))
    for scope in _scopes(root):
        yield from _values(scope.get("vary"))


def _scopes(root: Mapping) -> Iterator[Mapping]:
    """Yield the top, every scene and every cut."""
    yield root
    for scene in _values(root.get("scenes")):
        yield scene
        yield from _values(scene.get("cuts"))


def _values(node: Node | None) -> Iterator[Mapping]:
    """Yield the maps that are values of *node*."""
    if isinstance(node, Mapping):
        yield from _maps(entry.value for entry in node if not _ignored(entry.key))


def _maps(nodes: Iterable[Node | None]) -> Iterator[Mapping]:
    return (node for node in nodes if isinstance(node, Mapping))


def _rows(scope: Mapping) -> Iterator[Problem]:
    """Tell tables whose header names a word twice, and rows that are not as wide as their header."""
    vary = scope.get("vary")
    if not isinstance(vary, Mapping):
        return
    for axis in vary:
        words = axis.key.text.split("+")
        if len(words) < 2 or _ignored(axis.key):
            continue
        for word in {word for word in words if words.count(word) > 1}:
            yield axis.key.mark.problem(f"`{shown(word)}` stands twice in `{shown(axis.key.text)}`")
        for row in _children(axis.value):
            if isinstance(row, Sequence) and len(row) != len(words):
                count = "1 value" if len(row) == 1 else f"{len(row)} values"
                mark = replace(row.mark, width=1)
                yield mark.problem(f"this row has {count}; `{shown(axis.key.text)}` needs {len(words)}")


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, Sequence):
        yield from node
    elif isinstance(node, Mapping):
        yield from (entry.value for entry in node if not _ignored(entry.key))
