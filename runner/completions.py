"""The JSON Schema of one project: the spec's shape with the project's own names as completions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.domain import Parameter
from runner.errors import TemplateError
from runner.render import Catalog
from runner.spec import load
from runner.spec.schema import project_schema


def schema_of(path: Path) -> dict[str, Any]:
    """Return the schema for the spec at *path*; raises SpecError when it cannot be loaded."""
    spec = load(path)
    catalog = Catalog(spec.root)
    return dict(
        project_schema(
            models=spec.models,
            characters=spec.characters,
            outfits={name: character.outfits for name, character in spec.characters.items()},
            expressions={name: character.expressions for name, character in spec.characters.items()},
            entries=spec.prompts,
            parameters=_parameters(catalog),
            templates=catalog.names(),
        )
    )


def _parameters(catalog: Catalog) -> list[Parameter]:
    """Return the parameters of every template that loads; a broken one has nothing to offer here."""
    found: list[Parameter] = []
    for name in catalog.names():
        try:
            found += catalog.load(name).parameters.values()
        except TemplateError:
            continue
    return found
