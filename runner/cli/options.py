"""Flags that several commands share, and the one place where settings are made.

A setting comes from its flag, else from its `ANIMERUN_…` variable, else from `animerun.toml` in the project
folder, else from the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from runner import beneath
from runner.cli.project_file import PROJECT_FILE, read_project_file, read_sums
from runner.errors import UsageError
from runner.settings import Settings
from runner.system import is_file
from runner.text.nearest import nearest

F = TypeVar("F", bound=Callable[..., Any])
FOREVER_S = 1e9
NO_STDIN = "a spec is not read from standard input: its path is what runs are resumed and compared by"
STDIN_HINT = "the program > specs/NAME.yaml && animerun specs/NAME.yaml"


class TakesRuns(click.Command):
    """A command whose arguments may be `-1`, `-2` …: runs from the end. Any other `-…` is a flag."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # click takes `-1` for a flag unless unknown flags are handed on; those are refused in `parse_args`.
        super().__init__(*args, **{"context_settings": {"ignore_unknown_options": True}} | kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an unknown flag by its name, before it is taken for a run."""
        plain = args[: args.index("--")] if "--" in args else args
        given, rest, _ = self.make_parser(ctx).parse_args(args=list(plain))
        names = [name for param in self.params if isinstance(param, click.Argument) and (name := param.name)]
        values = (given.get(name) for name in names)
        flat = [each for value in values for each in (value if isinstance(value, tuple) else (value,))]
        flags = [opt for param in self.params if isinstance(param, click.Option) for opt in param.opts]
        for each in (*flat, *rest):
            if isinstance(each, str) and re.match(r"-(?!\d+$).", each):
                near = nearest(each, flags)
                raise click.NoSuchOption(each, possibilities=[near] if near else None, ctx=ctx)
        return super().parse_args(ctx, args)


def spec_argument(f: F) -> F:
    """The spec file."""
    return click.argument(
        "spec", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC", callback=_one
    )(f)


def _one(ctx: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]) -> Path:
    """Return the one spec that was given; raises UsageError for several, and for what is no file."""
    if len(paths) > 1:
        name = "" if ctx.info_name == "run" else f"{ctx.info_name} "
        raise UsageError(
            f"one spec at a time, and {len(paths)} were given",
            hint=" && ".join(f"animerun {name}{path}" for path in paths),
        )
    if str(paths[0]) == "-":
        raise UsageError(NO_STDIN, hint=STDIN_HINT)
    return _there(ctx, parameter, paths[0])


def _there(ctx: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """Return *path* when there is such a file; else say which specs there are."""
    if is_file(path):
        return path
    specs = [str(each) for folder in (Path("specs"), Path()) for each in sorted(folder.glob("*.y*ml"))]
    names = {Path(each).name: each for each in reversed(specs)}
    near = names.get(nearest(path.name, names) or "")
    hint = f"there are: {', '.join(specs[:8])}" if specs else "to begin: animerun new DIR"
    raise UsageError(f"there is no spec {path}" + (f"; did you mean {near}?" if near else ""), hint=hint)


def runs_option(f: F) -> F:
    """Where runs lie."""
    return click.option(
        "--runs", type=click.Path(path_type=Path), help="Folder of all runs (default: runs)."
    )(f)


def json_option(f: F) -> F:
    """Machine output."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object per line on stdout.")(f)


def scope_options(f: F) -> F:
    """Which jobs of the spec, and words set for this call."""
    for option in (
        click.option("--except", "without", multiple=True, metavar="PATTERN", help="Leave these jobs out."),
        click.option(
            "--only", multiple=True, metavar="PATTERN",
            help="Only these jobs, like s01/expression=smile; keys stay as they are.",
        ),
        click.option(
            "--set", "sets", multiple=True, metavar="WORD=VALUE",
            help="Set a word for every cut, like model=ink or takes=1; it replaces an axis of that word.",
        ),
    ):  # fmt: skip
        f = option(f)
    return f


def server_options(f: F) -> F:
    """Which servers, and how hard to use them."""
    for option in (
        click.option("--depth", type=click.IntRange(1, 64), help="Our jobs outstanding per server (2)."),
        click.option(
            "--server", "servers", multiple=True, metavar="URL",
            help="A ComfyUI, like 127.0.0.1:8188; repeat for several; `previz` = draw storyboard cards.",
        ),
    ):  # fmt: skip
        f = option(f)
    return f


def limit_options(f: F) -> F:
    """When a run stops by itself; hand all of them to `make_settings`."""
    for option in (
        click.option(
            "--no-progress", "no_progress_s", metavar="DURATION", callback=_seconds,
            help="Take back a running job of which nothing is seen for so long (30m).",
        ),
        click.option(
            "--deadline", "deadline_s", metavar="DURATION", callback=_seconds,
            help="Stop after so long, like 90s, 45m or 6h.",
        ),
        click.option(
            "--max-same-failure", type=click.IntRange(0), metavar="N",
            help="Stop after so many jobs in a row that failed in the same way (5; 0 = never).",
        ),
        click.option(
            "--max-failures", metavar="N|P%", callback=_failures,
            help="Stop after so many failed jobs, or when so many percent of those that ended failed.",
        ),
    ):  # fmt: skip
        f = option(f)
    return f


def _failures(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    """Return a number of jobs, or a share as it was written: `25%`."""
    digits = (value or "").removesuffix("%")
    if value is None or (value == digits and digits.isdecimal()):
        return None if value is None else int(digits)
    if not digits.isdecimal() or not 0 < int(digits) <= 100:
        raise UsageError(f"--max-failures is `{value}`; it must be a number of jobs or a share like 25%")
    return value


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of `90s`, `45m` or `6h`."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*(s|m|min|h)", value.strip())
    if not found or not float(found[1]):
        raise UsageError(f"{parameter.opts[0]} is `{value}`; it must be a duration like 90s, 45m or 6h")
    return float(found[1]) * {"s": 1, "m": 60, "min": 60, "h": 3600}[found[2]]


def preflight_options(f: F) -> F:
    """What servers and workflows must be like before anything begins; hand them to `make_settings`."""
    for option in (
        click.option(
            "--allow-nodes", metavar="NAMES", callback=_names,
            help="Refuse nodes that are not ComfyUI's own, but for these classes, packs (A,B; `core`: none).",
        ),
        click.option(
            "--strict", is_flag=True, default=None,
            help="Refuse what is only noted else: inputs a server does not list, what cannot be judged.",
        ),
        click.option(
            "--require-all", is_flag=True, default=None,
            help="Refuse when one of several servers lacks something, in place of leaving it out.",
        ),
    ):  # fmt: skip
        f = option(f)
    return f


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Return the names of `A, B`; to name none is to allow none."""
    return None if value is None else value.replace(",", " ").split() or ["core"]


def lock_options(f: F) -> F:
    """What to do while another process is at the same work; `conducted` finds them."""
    for option in (
        click.option(
            "--if-running", type=click.Choice(("fail", "skip")), default="fail", expose_value=False,
            callback=_keep, help="skip = exit 0 when another process is at it, for cron (fail = 5).",
        ),
        click.option(
            "--wait-lock", type=click.FloatRange(min=0), metavar="S", is_flag=False, flag_value=FOREVER_S,
            expose_value=False, callback=_keep,
            help="Wait for another process that is at it, at most S seconds where given.",
        ),
    ):  # fmt: skip
        f = option(f)
    return f


def _keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    ctx.meta[f"animerun.{parameter.name}"] = value


def reuse_options(f: F) -> F:
    """What is rendered although it is up to date."""
    for option in (
        click.option("--copy", is_flag=True, default=None, help="Copy reused files instead of linking them."),
        click.option("--force-only", multiple=True, metavar="PATTERN", help="Render these again."),
        click.option("--force", is_flag=True, help="Render again what is up to date."),
    ):
        f = option(f)
    return f


def project_folder(start: Path) -> Path | None:
    """Return the nearest folder at or above *start* that holds an animerun.toml."""
    folder = start.resolve()
    return next((each for each in (folder, *folder.parents) if (each / PROJECT_FILE).is_file()), None)


def make_settings(
    *, spec: Path | None = None, environ: Mapping[str, str] = os.environ, **flags: Any
) -> Settings:
    """Return the settings of one call; flags that are None or empty were not given. Raises UsageError.

    From now on the working folder and the project's are trusted, and the folder of runs where the command
    line or the environment named it: it may be a link. What a project brings names nothing to be trusted.
    """
    folder = project_folder(spec.resolve().parent if spec else Path())
    owned = _from_environment(environ)
    owned |= {name: value for name, value in flags.items() if value not in (None, ())}
    place = folder or (spec.resolve().parent if spec else Path())
    beneath.trust(Path(), place, *([owned["runs"]] if "runs" in owned else ()))
    given = {**(read_project_file(folder) if folder else {}), **owned}
    given["servers"] = tuple(given.get("servers", ()))
    if "allow_nodes" in given:
        given["allow_nodes"] = tuple(given["allow_nodes"])
    if "model_sums" in given:
        given["model_sums"] = read_sums(given["model_sums"])
    if str(given.get("max_failures", "")).endswith("%"):
        given["max_failure_percent"] = float(str(given.pop("max_failures")).removesuffix("%"))
    if folder is not None and folder != Path().resolve():
        given.setdefault("runs", _near(folder / "runs"))
    if "previz" in given["servers"] and len(given["servers"]) > 1:
        raise UsageError("--server previz stands alone: cards and real pictures never mix in one run")
    return Settings(**given, credentials=_credentials(environ))


def _near(path: Path) -> Path:
    """Return *path* relative to the working folder when it lies below it, else as it is."""
    here = Path().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    names = ("ANIMERUN_TOKEN", "ANIMERUN_BASIC", "ANIMERUN_HEADER", "ANIMERUN_COMFY_API_KEY")
    return {name: value for name, value in environ.items() if name.startswith(names)}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if servers := environ.get("ANIMERUN_SERVER", "").replace(",", " ").split():
        found["servers"] = servers
    if runs := environ.get("ANIMERUN_RUNS"):
        found["runs"] = Path(runs)
    if sums := environ.get("ANIMERUN_MODEL_SUMS"):
        found["model_sums"] = Path(sums)
    if depth := environ.get("ANIMERUN_DEPTH"):
        if not depth.isdigit() or not 1 <= int(depth) <= 64:
            raise UsageError(f"ANIMERUN_DEPTH is `{depth}`; it must be a number from 1 to 64")
        found["depth"] = int(depth)
    return found
