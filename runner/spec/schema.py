"""The JSON Schema of specs and libraries: what editors complete with and what `shape.py` checks with.

`schema.json` beside this file says what every key holds. Here its scopes are put together (the words of
`$defs/scope` may stand at the top, on a scene and on a cut) and, for a project, filled with its own names.
`errorMessage` is read behind the name of the key: "`takes` takes a whole number from 1".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from runner.domain import Parameter

Schema = dict[str, Any]
Kind = Literal["spec", "library"]

_NONE: Mapping[str, Iterable[str]] = {}
_FILLED = ("seed", "loras", "cast")
"""Types of parameters that only the runner writes."""
_SLOTS = ("action", "camera", "place", "light", "motion", "prompt", "style", "outfit", "expression")


def spec_schema(kind: Kind = "spec") -> Schema:
    """Return the schema of any spec or library, Draft 2020-12, as fresh plain data.

    Words that it does not know pass: templates bring parameters and libraries bring slots.
    """
    document = _read()
    _put_together(document, {}, {"$ref": "#/$defs/word"})
    return document if kind == "spec" else _library(document)


def project_schema(
    *,
    models: Iterable[str] = (),
    characters: Iterable[str] = (),
    outfits: Mapping[str, Iterable[str]] = _NONE,
    expressions: Mapping[str, Iterable[str]] = _NONE,
    entries: Mapping[str, Iterable[str]] = _NONE,
    parameters: Iterable[Parameter] = (),
    templates: Iterable[str] = (),
) -> Schema:
    """Return the schema of the specs of one project: its names as completions, every other word refused.

    Args:
        models: Names of the presets.
        characters: Names of the characters.
        outfits: Character → its own outfits.
        expressions: Character → its own expressions.
        entries: Slot → names in the vocabulary; a slot without names is still a word.
        parameters: Those of every template that can be loaded; one name may come several times.
        templates: Names of the templates.

    """
    document = _read()
    scope = document["$defs"]["scope"]["properties"]
    named = {slot: list(names) for slot, names in entries.items()}
    who = list(characters)
    words = _parameter_words(parameters, taken=scope)
    words |= _slot_words(named)
    words |= _character_words(who, outfits, expressions, named)
    scope["cast"] = _cast(scope["cast"], who, outfits)
    _fix(scope["template"], templates)
    _fix(scope["model"], models)
    _complete_library(document, words, list(models), who)
    for word in ("outfit", "expression"):
        own = outfits if word == "outfit" else expressions
        every = [*named.get(word, ()), *(name for names in own.values() for name in names)]
        scope[word] = _suggest(scope[word], every)
    for slot in named.keys() & set(_SLOTS) - {"outfit", "expression"}:
        scope[slot] = _suggest(scope[slot], named[slot])
    known = [*scope, *words]
    scope["vary"]["properties"] = {word: {"$ref": "#/$defs/values"} for word in known}
    _put_together(document, words, False)
    return document


def _read() -> Schema:
    text = files("runner.spec").joinpath("schema.json").read_text(encoding="utf-8")
    document: Schema = json.loads(text)
    return document


def _library(document: Schema) -> Schema:
    return {"$schema": document["$schema"], **document["$defs"]["library"], "$defs": document["$defs"]}


def _put_together(document: Schema, words: Schema, rest: Schema | bool) -> None:
    """Give the top, scenes and cuts the words of a scope, *words*, and *rest* for any other key."""
    scope = document["$defs"]["scope"]
    shared = {word: {"$ref": f"#/$defs/scope/properties/{word}"} for word in scope["properties"]}
    for place in (document, document["$defs"]["scene"], document["$defs"]["cut"]):
        del place["allOf"]
        place["properties"] = {**place["properties"], **shared, **words}
        place["patternProperties"] = {"^x-": True, **scope["patternProperties"]}
        place["additionalProperties"] = rest
        place["not"] = scope["not"]


def _fix(word: Schema, names: Iterable[str]) -> None:
    """Let *word* be one of *names* or null, where there are any."""
    known = sorted(set(names))
    if known:
        del word["allOf"]
        word |= {"enum": [*known, None], "errorMessage": f"takes one of {', '.join(known)}"}


def _suggest(word: Schema, names: Iterable[str]) -> Schema:
    """Return *word* with *names* offered; any other text stays legal."""
    known = sorted(set(names))
    about: Schema = {key: word[key] for key in ("title", "description") if key in word}
    return {**about, "anyOf": [{"enum": known}, {"$ref": "#/$defs/slot"}]} if known else dict(word)


def _cast(word: Schema, characters: list[str], outfits: Mapping[str, Iterable[str]]) -> Schema:
    members = [*characters, *(f"{who}.{outfit}" for who, names in outfits.items() for outfit in names)]
    if not members:
        return word
    listed = {"type": "array", "items": {"anyOf": [{"enum": members}, {"$ref": "#/$defs/listedText"}]}}
    return {**word, "anyOf": [{"enum": members}, {"$ref": "#/$defs/scalar"}, listed]}


def _slot_words(entries: Mapping[str, list[str]]) -> Schema:
    words: Schema = {}
    for slot, names in entries.items():
        words[f"{slot}.weight"] = {"$ref": "#/$defs/weight"}
        if slot not in _SLOTS:
            words[slot] = _suggest({"$ref": "#/$defs/slot", "title": slot}, names)
    return words


def _character_words(
    characters: list[str],
    outfits: Mapping[str, Iterable[str]],
    expressions: Mapping[str, Iterable[str]],
    entries: Mapping[str, list[str]],
) -> Schema:
    slot: Schema = {"$ref": "#/$defs/slot"}
    words: Schema = {}
    for who in characters:
        worn = [*outfits.get(who, ()), *entries.get("outfit", ())]
        shown = [*expressions.get(who, ()), *entries.get("expression", ())]
        words[f"{who}.outfit"] = _suggest({**slot, "title": f"What {who} wears"}, worn)
        words[f"{who}.expression"] = _suggest({**slot, "title": f"The face {who} makes"}, shown)
        words[f"{who}.weight"] = {"$ref": "#/$defs/weight"}
    return words


def _complete_library(document: Schema, words: Schema, models: list[str], characters: list[str]) -> None:
    """Offer the project's names inside models, characters and texts by model."""
    defs = document["$defs"]
    _fix(defs["character"]["properties"]["extends"], characters)
    _fix(defs["model"]["properties"]["extends"], models)
    by_model = (defs["byModelText"], defs["entryLora"]["anyOf"][-1])
    for place in by_model:
        place["properties"] = dict.fromkeys((*models, "else"), place["additionalProperties"])
    own = {word: schema for word, schema in words.items() if "x-type" in schema}
    defs["model"]["properties"] = {**own, **defs["model"]["properties"]}


def _parameter_words(parameters: Iterable[Parameter], *, taken: Schema) -> Schema:
    found: dict[str, list[Parameter]] = {}
    for parameter in parameters:
        if parameter.type not in _FILLED and parameter.name not in taken:
            found.setdefault(parameter.name, []).append(parameter)
    return {name: _parameter(alike) for name, alike in sorted(found.items())}


def _parameter(alike: list[Parameter]) -> Schema:
    """Return the schema of a word that is a parameter of several templates: what any of them takes."""
    first = alike[0]
    about: Schema = {"title": first.name, "x-type": first.type}
    described = next((parameter.description for parameter in alike if parameter.description), "")
    if described:
        about["description"] = described
    if any(parameter.type != first.type for parameter in alike):
        return {**about, "allOf": [{"$ref": "#/$defs/word"}]}
    return {**about, **_TYPES[first.type](alike)}


def _number(alike: list[Parameter], kind: str, pattern: str) -> Schema:
    schema: Schema = {"type": [kind, "string", "null"], "pattern": pattern}
    lows = [parameter.min for parameter in alike]
    highs = [parameter.max for parameter in alike]
    if None not in lows:
        schema["minimum"] = min(float(low) for low in lows if low is not None)
    if None not in highs:
        schema["maximum"] = max(float(high) for high in highs if high is not None)
    return schema


def _choice(alike: list[Parameter]) -> Schema:
    if not all(parameter.choices for parameter in alike):
        return {"$ref": "#/$defs/scalar"}
    return {"enum": [*dict.fromkeys(choice for parameter in alike for choice in parameter.choices), None]}


def _picture(alike: list[Parameter]) -> Schema:
    link = {
        "type": "object",
        "properties": {"from": {"title": "From", "description": "An earlier cut: CUT or SCENE/CUT."}},
        "required": ["from"],
        "additionalProperties": False,
    }
    return {"anyOf": [{"$ref": "#/$defs/scalar"}, link]}


_TYPES: Mapping[str, Any] = {
    "text": lambda alike: {"$ref": "#/$defs/oneText"},
    "int": lambda alike: _number(alike, "integer", r"^[+-]?[0-9]+$"),
    "float": lambda alike: _number(
        alike, "number", r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
    ),
    "bool": lambda alike: {"type": ["boolean", "string", "null"], "pattern": "^(?:true|false)$"},
    "choice": _choice,
    "size": lambda alike: {"type": ["string", "null"], "pattern": "^[0-9]+x[0-9]+$"},
    "length": lambda alike: {"$ref": "#/$defs/scope/properties/length"},
    "file": lambda alike: {"$ref": "#/$defs/scalar"},
    "files": lambda alike: {"anyOf": [{"$ref": "#/$defs/scalar"}, {"$ref": "#/$defs/textList"}]},
    "image": _picture,
    "video": _picture,
    "audio": lambda alike: {"$ref": "#/$defs/scalar"},
    "images": lambda alike: {"anyOf": [{"$ref": "#/$defs/scalar"}, {"$ref": "#/$defs/textList"}]},
}
