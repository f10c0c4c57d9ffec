"""`animerun templates [NAME]`: which templates there are, and what one takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.console import emit, say, table, tell
from runner.cli.options import json_option, project_folder
from runner.errors import TemplateError, UsageError
from runner.text.nearest import did_you_mean
from runner.text.shown import written


@click.command(name="templates")
@click.argument("name", required=False, default="")
@json_option
def command(name: str, as_json: bool) -> int:
    """List the templates a spec here can use (the project's own first), or the parameters of one."""
    from runner.render import Catalog

    catalog = Catalog(project_folder(Path()) or Path())
    if name:
        if name not in catalog.names():
            raise UsageError(f"no template is called {name}{did_you_mean(name, catalog.names())}")
        _one(catalog.load(name), as_json=as_json)
        return 0
    rows = []
    for found, path, origin in catalog.sources():
        try:
            template = catalog.load(found)
            title, outputs = template.title, ", ".join(sorted(set(template.outputs.values())))
        except TemplateError as error:
            title, outputs = f"broken: {error.problems[0].message}", ""
        if as_json:
            emit({"template": found, "title": title, "path": str(path), "origin": origin, "outputs": outputs})
        rows.append((found, origin, outputs, title))
    if not as_json:
        tell(table(rows, head=("template", "from", "makes", "title")))
        say("\nThe parameters of one: animerun templates NAME")
    return 0


def _one(template: Any, *, as_json: bool) -> None:
    if as_json:
        parameters = {
            p.name: {"type": p.type, "required": p.required, "default": None if p.required else p.default,
                     "choices": list(p.choices), "min": p.min, "max": p.max, "description": p.description}
            for p in template.parameters.values()
        }  # fmt: skip
        emit({"template": template.name, "title": template.title, "parameters": parameters,
              "outputs": dict(template.outputs)})  # fmt: skip
        return
    say(f"{template.name}: {template.title}\n{template.path}\n")
    rows = [(p.name, p.type, _default(p), p.description) for p in template.parameters.values()]
    tell(table(rows, head=("parameter", "type", "default", "meaning")))


def _default(parameter: Any) -> str:
    if parameter.type in ("seed", "loras", "cast") or parameter.name == "prompt":
        return "(filled by the runner)"
    if parameter.required:
        return "(required)"
    return written(parameter.default)
