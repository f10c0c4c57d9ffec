"""`animerun new DIR`: a project folder to start from."""

from __future__ import annotations

import json
import shlex
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click

import runner
from runner.cli.console import say
from runner.errors import StorageError, UsageError

_PROJECT = """\
# The project folder: paths in specs start here. A flag or an ANIMERUN_… variable wins over what stands here.
# servers = ["127.0.0.1:8188"]      # without it, storyboard cards are drawn; back to them: --server previz
# depth = 2                         # our jobs outstanding per server
# allow_plain_http = true           # send credentials over http to other machines too
# allow_nodes = ["core"]            # refuse nodes of packs, but for the classes and packs named here
# ca_file = "our-ca.pem"            # certificates to trust beside the system's
"""
_LIBRARY = "cast.yaml"
_IGNORE = "/runs/\n"
_SCHEMA = ".animerun.schema.json"
_MODELINE = f"# yaml-language-server: $schema={_SCHEMA}\n"
"""What editors with a YAML language server read to complete the spec."""


@click.command(name="new")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
def command(folder: Path) -> int:
    """Make DIR, with an example episode in it that renders as it stands."""
    from runner.completions import schema_of

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and not empty", hint="another name, or an empty folder")
    files = {"animerun.toml": _PROJECT, ".gitignore": _IGNORE}
    for each in _shipped_specs():
        modeline = "" if each.name == _LIBRARY else _MODELINE
        files[f"specs/{each.name}"] = modeline + each.read_text("utf-8")
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
        (folder / "templates").mkdir(exist_ok=True)
        schema = json.dumps(schema_of(folder / "specs" / "episode1.yaml"), ensure_ascii=False)
        (folder / "specs" / _SCHEMA).write_text(schema, "utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {error.filename}: {error.strerror}") from error
    say(f"Made {folder}/ with {', '.join(sorted(files))}.")
    say(f"Editors complete the specs by specs/{_SCHEMA}; it is made by: animerun schema SPEC")
    say(f"Next:  cd {shlex.quote(str(folder))} && animerun specs/episode1.yaml")
    return 0


def _shipped_specs() -> list[Traversable]:
    """Return the example specs: in the wheel below the package, in a checkout beside it."""
    shipped: Traversable = resources.files(runner).joinpath("shipped/specs")
    if not shipped.is_dir():
        shipped = Path(runner.__file__).parent.parent / "specs"
    return sorted(
        (each for each in shipped.iterdir() if each.name.endswith(".yaml")), key=lambda each: each.name
    )
