"""`animerun schema [SPEC]`: the JSON Schema of specs for editors."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.console import tell_json


@click.command(name="schema")
@click.argument("spec", required=False, type=click.Path(path_type=Path), metavar="[SPEC]")
def command(spec: Path | None) -> int:
    """Print a JSON Schema of specs. With SPEC it completes this project's models, characters and words."""
    if spec is None:
        from runner.spec.schema import spec_schema

        tell_json(spec_schema())
        return 0
    from runner.completions import schema_of

    tell_json(schema_of(spec))
    return 0
