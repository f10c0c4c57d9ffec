"""`animerun schema [SPEC]`: the JSON Schema of specs for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(name="schema")
@click.argument("spec", required=False, type=click.Path(path_type=Path), metavar="[SPEC]")
def command(spec: Path | None) -> int:
    """Print a JSON Schema of specs. With SPEC it completes this project's models, characters and words."""
    if spec is None:
        from runner.spec.schema import spec_schema

        click.echo(json.dumps(spec_schema(), ensure_ascii=False, indent=2))
        return 0
    from runner.completions import schema_of

    click.echo(json.dumps(schema_of(spec), ensure_ascii=False, indent=2))
    return 0
