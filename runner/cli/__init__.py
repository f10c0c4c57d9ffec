"""The command line: flags → settings → one call → print → exit code.

Commands live one to a file and are imported when called, so that `animerun --help` stays quick.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from runner import __version__
from runner.cli.stopping import Terminated, end_by_signals, end_undisturbed, ended_by
from runner.cli.streams import open_standard_streams, show_any_character
from runner.errors import AnimerunError
from runner.system import is_file

COMMANDS: dict[str, str] = {
    "run": "Render a spec: what `animerun SPEC` does.",
    "resume": "Continue a run that was stopped: what is made stays, the rest is rendered.",
    "replay": "Make a run again from its stored workflows, and say what is not the same picture.",
    "plan": "What would be rendered, how many jobs, from which templates; --prompts shows the texts.",
    "check": "Is the spec right, and can these servers run it? Nothing is rendered.",
    "list": "The runs in runs/, newest first.",
    "show": "The jobs of a run; with one match everything about it: prompt, workflow, times, files.",
    "explain": "Why a job was rendered, or which run its files come from.",
    "diff": "What differs between two runs, a run and a spec, or exported runs.",
    "accept": "Make a run the baseline of its spec, for animerun SPEC --baseline accepted.",
    "sql": "One query against the record of all runs.",
    "verify": "Are a run's journal and files what was recorded?",
    "repair": "Mend damaged journals, build the index again; nothing is deleted.",
    "export": "A run as one file, or the record's tables as Parquet or CSV.",
    "import-run": "Take in a run that animerun export wrote.",
    "prune": "Delete the files of old runs, never their record; dry unless told.",
    "templates": "The workflow templates there are, and the parameters of one.",
    "schema": "A JSON Schema of the spec for editors; with SPEC, with this project's own names.",
    "new": "A project folder to start from.",
    "previz": "Serve storyboard cards as a stand-in for ComfyUI, until stopped.",
    "completion": "Shell completion: what to put into your shell's start-up file.",
}
"""Name → the one line of `animerun --help`, in this order."""

EXIT_CODES = (
    "Exit codes: 0 all made · 1 some jobs failed · 2 spec, template or flags · 3 the servers cannot run it · "
    "4 no usable server · 5 locked by another run · 6 local files · 7 record damaged · 8 a limit "
    "(--max-failures, --deadline, the same failure five times in a row) · 9 a gate tripped · 70 a bug · "
    "130, 143 stopped"
)
"""What every `--help` ends with."""

SHORT = """\
animerun SPEC.yaml       render a spec (storyboard cards, or with --server URL the real thing)
animerun new DIR         a project folder to start from
animerun plan SPEC.yaml  what would be rendered, before it is
animerun check SPEC.yaml is the spec right, and can the servers run it?
animerun show            the jobs of the newest run
animerun --help          everything else"""


class Commands(click.Group):
    """A group that imports a command when it is called, and takes a spec for the command `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"runner.cli.{cmd_name.replace('-', '_')}_command").command
        assert isinstance(command, click.Command)
        command.epilog = command.epilog or EXIT_CODES
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, and the files a spec may be."""
        return [*super().shell_complete(ctx, incomplete), CompletionItem(incomplete, type="file")]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` before a spec: `animerun specs/ep.yaml --server …`."""
        first = next((arg for arg in args if not arg.startswith("-")), None)
        if first is not None and _is_spec(first) and args[0] not in ("--help", "--version"):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command named first; an unknown word is answered with what may have been meant."""
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(_unknown(args[0]), ctx=ctx)
        return super().resolve_command(ctx, args)


def _is_spec(word: str) -> bool:
    """Whether *word* is a spec, or another file that `run` says something about."""
    return word.endswith((".yaml", ".yml")) or (word not in COMMANDS and "." in word and is_file(Path(word)))


def _unknown(word: str) -> str:
    from runner.cli.options import NO_STDIN, STDIN_HINT
    from runner.text.nearest import nearest

    if word == "-":
        return f"{NO_STDIN}\n→ {STDIN_HINT}"
    specs = [str(path) for folder in (Path("specs"), Path()) for path in sorted(folder.glob("*.y*ml"))]
    by_stem = {Path(path).stem: path for path in reversed(specs)}
    meant = nearest(word, COMMANDS) or by_stem.get(nearest(Path(word).stem, by_stem) or "")
    return f'no command or spec "{word}"' + (f"; did you mean {meant}?" if meant else "; see animerun --help")


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="animerun")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """A YAML spec in; verified pictures and a record of how each was made out."""
    if ctx.invoked_subcommand is None:
        click.echo(SHORT)


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    if last := os.environ.get("ANIMERUN_CRASH_AT"):
        from runner import door

        door.enter(door.Doomed(int(last)))
    open_standard_streams()
    show_any_character()
    code = None
    try:
        end_by_signals()
        code = call(sys.argv[1:] if argv is None else argv)
        end_undisturbed()
    except (KeyboardInterrupt, Terminated):
        # It came between two steps of ours: before a command began, or when its code was known.
        end_undisturbed()
        code = _stopped() if code is None else code
    sys.exit(code)


def call(argv: list[str]) -> int:
    """Run one command and return its exit code; every error of ours is printed, none is raised."""
    as_json = "--json" in argv
    _keep_secrets()
    try:
        done: Any = cli.main(args=argv, prog_name="animerun", standalone_mode=False)
    except AnimerunError as error:
        from runner.cli.console import report

        report(error, as_json=as_json)
        return error.exit_code
    except click.ClickException as error:
        _show(error)
        return 2
    except (click.Abort, KeyboardInterrupt, Terminated):
        return _stopped()
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001 - the last border: told in full, never hidden
        if ended_by():
            # Native modules turn what a signal raised while they were imported into an ImportError.
            return _stopped()
        from runner.cli.console import bug

        bug(error)
        return 70
    return done if isinstance(done, int) else 0


def _keep_secrets() -> None:
    """Never print the credentials of this environment, whoever names them."""
    names = [name for name in os.environ if name.startswith("ANIMERUN_")]
    if names:
        from runner.cli.console import keep_secret
        from runner.comfy.credentials import secrets_of

        keep_secret(secrets_of({name: os.environ[name] for name in names}))


def _show(error: click.ClickException) -> None:
    """Print what click has to say, with the arguments in it made safe."""
    from runner.cli.console import say

    told = io.StringIO()
    error.show(told)
    say(told.getvalue().rstrip("\n"))


def _stopped() -> int:
    from runner.cli.console import say

    say("stopped")
    return ended_by() or 130
