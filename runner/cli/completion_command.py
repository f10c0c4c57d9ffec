"""`animerun completion SHELL`: what makes the shell complete commands, flags and files."""

from __future__ import annotations

import click

from runner.errors import UsageError


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script of SHELL.

    bash: animerun completion bash > ~/.animerun-complete.bash; then source that file in ~/.bashrc.
    """
    from click.shell_completion import get_completion_class

    from runner.cli import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}")
    click.echo(kind(cli, {}, "animerun", "_ANIMERUN_COMPLETE").source())
    return 0
