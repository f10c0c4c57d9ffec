"""The JSON Schema that editors are given: for any spec, and with the names of one project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from runner.domain import Parameter
from runner.spec.schema import project_schema, spec_schema

SPEC = """
animerun: 1
episode: ep01
model: ink
scenes:
  s01: {cast: aki, place: rooftop, light: neon, steps: 28, cfg: 5.5, size: 1216x832, pose: front, takes: 4}
  s02:
    aki.outfit: home
    cuts:
      c001: {vary: {model: [ink, qwen], pose+size: [[front, 1x1]], aki.weight: [0.5, 1]}, seeds: [7, 40..45]}
      c002: {from: c001, end_image: {from: s01}, zsnr: false, sampler: euler, x-mine: {a: 1}}
"""


def project(**changes: Any) -> dict[str, Any]:
    """Return the schema of a small project."""
    names: dict[str, Any] = {
        "models": ["qwen", "ink"],
        "characters": ["aki", "ren"],
        "outfits": {"aki": ["home", "school"]},
        "expressions": {"aki": ["crying"]},
        "entries": {
            "place": ["rooftop", "street"],
            "pose": ["front"],
            "expression": ["smile"],
            "weather": [],
        },
        "parameters": [
            Parameter(name="steps", type="int", default=20, min=1, max=200, description="sampling steps"),
            Parameter(name="steps", type="int", default=4, min=4, max=300),
            Parameter(name="cfg", type="float", default=7.0, min=0, max=30, step="0.01"),
            Parameter(name="size", type="size", default=None),
            Parameter(name="zsnr", type="bool", default=True),
            Parameter(name="sampler", type="choice", default="euler"),
            Parameter(name="prediction", type="choice", choices=("eps", "v"), default="eps"),
            Parameter(name="shift", type="float", default=1.0),
            Parameter(name="shift", type="text", default=""),
            Parameter(name="end_image", type="image", default=None),
            Parameter(name="clips", type="files"),
            Parameter(name="prompt", type="text"),
            Parameter(name="seed", type="seed"),
        ],
        "templates": ["txt2img", "wan22-i2v"],
    }
    return project_schema(**(names | changes))


def refusals(schema: dict[str, Any], text: str) -> list[str]:
    """Return the paths at which an editor would draw a red line in *text*."""
    found = Draft202012Validator(schema).iter_errors(yaml.safe_load(text))
    return sorted("/".join(str(step) for step in error.absolute_path) for error in found)


def properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield every named property anywhere in *schema*."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items() if isinstance(schema.get("properties"), dict) else ()
        for key, part in schema.items():
            yield from () if key == "not" else properties(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from properties(part)


def resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return what *part* refers to, or *part* when it refers to nothing."""
    while "$ref" in part:
        target: Any = schema
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target
    return part


@pytest.mark.parametrize("schema", [spec_schema(), spec_schema("library"), project(), project_schema()])
def test_is_a_schema_of_its_draft(schema: dict[str, Any]) -> None:
    """What is printed is valid, is plain JSON and has no reference into nothing."""
    Draft202012Validator.check_schema(schema)
    text = json.dumps(schema)

    for pointer in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        target: Any = schema
        for step in pointer.split("/"):
            target = target[step]


def test_every_key_is_explained() -> None:
    """An editor has a title and a description to show for every key."""
    schema = spec_schema()

    for name, part in properties(schema):
        explained = part if "title" in part else resolved(schema, part)
        assert (explained.get("title") and explained.get("description")) or name == "cuts", name


def test_yaml_types_of_an_editor_are_admitted() -> None:
    """An editor reads 28 as a number and yes as a word: the schema takes what YAML's types give it."""
    assert refusals(spec_schema(), SPEC) == []
    assert refusals(project(), SPEC) == []


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("takes: 0", "takes"),
        ("seeds: 8", "seeds"),
        ("vary: {camera: wide}", "vary/camera"),
        ("place: {promt: x}", "place"),
        ("deliver: {nam: x}", "deliver"),
        ("cuts: {a: {}}", "cuts"),
        ("sampler: {name: euler}", "sampler"),
    ],
)
def test_any_spec_refuses_the_wrong_shape(words: str, path: str) -> None:
    """The same rules that `check` has draw red lines in an editor."""
    assert refusals(spec_schema(), f"animerun: 1\nscenes: {{s: {{}}}}\n{words}") == [path]


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("model: inc", "model"),
        ("template: txt2imgg", "template"),
        ("stpes: 28", ""),
        ("steps: 0", "steps"),
        ("steps: 301", "steps"),
        ("steps: '28'", None),
        ("steps: many", "steps"),
        ("prediction: x", "prediction"),
        ("size: 1210", "size"),
        ("aki.outfits: x", ""),
        ("ren.outfit: anything else", None),
        ("place: some other place", None),
        ("weather: rain", None),
        ("weather.weight: 0.5", None),
        ("shift: 3", None),
        ("end_image: {form: c1}", "end_image"),
        ("vary: {stpes: [1]}", None),
        ("models: {flux: {steps: 0}}", "models/flux/steps"),
        ("models: {flux: {extends: inc}}", "models/flux/extends"),
        ("characters: {yui: {extends: aki, prompt: {ink: a, else: b}}}", None),
        ("seed: 3", ""),
    ],
)
def test_a_project_knows_its_words(words: str, path: str | None) -> None:
    """Names and parameters are those of the project: any other word is refused, free text is not."""
    text = f"animerun: 1\nscenes: {{s: {{}}}}\n{words}"

    assert refusals(project(), text) == ([] if path is None else [path])


def test_names_are_offered_where_they_can_stand() -> None:
    """Completions: models, members of a cast, entries, a character's own outfits before the common ones."""
    schema = project()
    scope = schema["$defs"]["scope"]["properties"]

    assert scope["model"]["enum"] == ["ink", "qwen", None]
    assert {"enum": ["aki", "ren", "aki.home", "aki.school"]} in scope["cast"]["anyOf"]
    assert {"enum": ["rooftop", "street"]} in scope["place"]["anyOf"]
    assert {"enum": ["crying", "smile"]} in scope["expression"]["anyOf"]
    assert {"enum": ["crying", "smile"]} in schema["properties"]["aki.expression"]["anyOf"]
    assert {"enum": ["smile"]} in schema["properties"]["ren.expression"]["anyOf"]
    assert {"pose+size", "steps"} & set(scope["vary"]["properties"]) == {"steps"}
    assert schema["properties"]["steps"] == schema["$defs"]["cut"]["properties"]["steps"]
    assert schema["properties"]["steps"]["description"] == "sampling steps"
    assert (schema["properties"]["steps"]["minimum"], schema["properties"]["steps"]["maximum"]) == (1, 300)
    assert "seed" not in schema["properties"]


def test_calls_do_not_share_what_they_return() -> None:
    """Changing one schema changes no other."""
    spec_schema()["$defs"].clear()

    assert spec_schema()["$defs"]


examples = sorted(Path(__file__).parents[2].joinpath("specs").glob("*.yaml"))


@pytest.mark.parametrize("path", examples, ids=lambda path: path.name)
def test_shipped_specs_are_valid(path: Path) -> None:
    """An editor draws no red line in what we ship."""
    text = path.read_text(encoding="utf-8")

    assert refusals(spec_schema("spec" if "\nscenes:" in text else "library"), text) == []
