"""What the documents promise is so: commands, flags, exit codes, links, and every spec they show."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from runner import errors
from runner.cli import COMMANDS, cli
from runner.diff.gate import TRIPPED
from runner.naming import derived_seeds
from runner.plan import Plan, make_plan
from runner.text.compose import compose

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(path for name in ("runner", "runs", "specs", "templates", "tests")
                           for path in (ROOT / name).rglob("*.md"))]
)  # fmt: skip
FOR_USERS = [README, *(ROOT / folder / "README.md" for folder in ("specs", "templates", "runs"))]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
HEADER = {"animerun": "1", "episode": "ep01", "include": "[specs/cast.yaml]", "model": "ink"}
"""What is put before a fragment of a spec, unless it says so itself."""
MEANT = {
    errors.UsageError: "flags",
    errors.SpecError: "spec",
    errors.TemplateError: "template",
    errors.PreflightRefused: "cannot run",
    errors.NoServer: "server",
    errors.RunLocked: "locked",
    errors.StorageError: "local files",
    errors.RecordDamaged: "damaged",
    errors.LimitReached: "limit",
    errors.AnimerunError: "bug",
}
"""Error → what README.md calls its exit code."""


@dataclass(frozen=True)
class Block:
    """A fenced block, with the `text` block that follows it at once."""

    path: Path
    line: int
    language: str
    text: str
    told: str = ""

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of *path* in order."""
    text = path.read_text("utf-8")
    found: list[Block] = []
    fence = re.compile(r"^```(\w*)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
    for match in fence.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(path, line, match[1], match[2], match[3] or ""))
    return found


def spec_of(block: Block) -> str:
    """Return the spec that *block* shows, a fragment with what is needed around it."""
    keys = set(re.findall(r"^(\w+):", block.text, re.MULTILINE))
    if "animerun" in keys:
        return block.text
    head = "".join(f"{key}: {value}\n" for key, value in HEADER.items() if key not in keys)
    if "cuts" in keys:
        return f"{head}scenes:\n  s01:\n{textwrap.indent(block.text, '    ')}"
    return head + block.text + ("" if "scenes" in keys else "scenes: {s01: {prompt: a lighthouse}}\n")


YAML_BLOCKS = [block for path in FOR_USERS for block in blocks(path) if block.language == "yaml"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder that holds the shipped specs."""
    shutil.copytree(ROOT / "specs", tmp_path / "specs")
    (tmp_path / "animerun.toml").write_text("")
    return tmp_path


def plan_of(block: Block, project: Path) -> Plan:
    """Return the plan of the spec that *block* shows."""
    path = project / "specs" / "shown.yaml"
    path.write_text(spec_of(block), "utf-8")
    return make_plan(path)


# ---------------------------------------------------------------- README.md itself


def test_readme_begins_with_two_commands_of_one_line() -> None:
    """The first two `sh` blocks can be pasted as they are: one line each, the second runs the tests."""
    first, second = [block.text for block in blocks(README) if block.language == "sh"][:2]

    assert first.count("\n") == second.count("\n") == 1
    assert first.rstrip().endswith("animerun specs/episode1.yaml")
    assert second.rstrip().endswith("-m pytest -n auto")


@pytest.mark.parametrize(("path", "most"), [(README, 150), (ROOT / "specs/README.md", 300)])
def test_documents_stay_short(path: Path, most: int) -> None:
    """README.md and the reference of the spec can be read in one go."""
    assert len(path.read_text("utf-8").splitlines()) <= most


def test_exit_codes_of_readme_are_those_of_the_errors() -> None:
    """Every exit code that errors.py gives stands in README.md with its meaning, and no other."""
    paragraph = README.read_text("utf-8").partition("Exit codes: ")[2].partition(".")[0]
    told = {
        int(number): " ".join(meaning.split())
        for numbers, meaning in re.findall(r"([0-9][0-9, ]*) ([^·]+)", paragraph)
        for number in re.findall("[0-9]+", numbers)
    }
    given = {each for each in vars(errors).values() if isinstance(each, type) and hasattr(each, "exit_code")}

    assert set(told) == {0, 1, TRIPPED, 130, 143} | {error.exit_code for error in given}
    assert {
        error: told[error.exit_code] for error, word in MEANT.items() if word not in told[error.exit_code]
    } == {}


# ---------------------------------------------------------------- commands and flags


def flags_of(name: str) -> set[str]:
    """Return every flag that the command *name* takes."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    own = {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)}
    return {flag for flag in own if flag.startswith("--")} | {"--help"}


def typed(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what *path* says to type, with its line: lines of fences, rows of tables, spans of code."""
    fenced = False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        spans = re.findall(r"`([^`]+)`", line)
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            yield number, line
        elif line.startswith("|"):
            yield number, " ; ".join(spans)
        else:
            yield from ((number, span) for span in spans)


def commands_in(code: str) -> list[str]:
    """Return the commands that *code* calls; a spec behind `animerun` calls `run`."""
    words = re.findall(r"\banimerun ([A-Za-z][\w./-]*)", code)
    return ["run" if word == "SPEC" or word.endswith(".yaml") else word for word in words]


@pytest.mark.parametrize("path", FOR_USERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_only_commands_and_flags_that_exist(path: Path) -> None:
    """What a document says can be typed is known to the command line, each flag to its command."""
    wrong = []
    for number, code in typed(path):
        called = commands_in(code)
        wrong += [f"{path.name}:{number}: animerun {name}" for name in called if name not in COMMANDS]
        known = set().union(*(flags_of(name) for name in called or COMMANDS if name in COMMANDS))
        flags = re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)
        wrong += [f"{path.name}:{number}: {flag}" for flag in flags if flag not in known]

    assert wrong == []


def test_readme_names_every_command() -> None:
    """A command that exists can be found in README.md."""
    named = {name for _, code in typed(README) for name in commands_in(code)}

    assert set(COMMANDS) - named == set()


# ---------------------------------------------------------------- specs


def test_documents_show_specs() -> None:
    """The reference teaches by example, and README.md shows a spec."""
    shown = [block.path for block in YAML_BLOCKS]

    assert shown.count(README) >= 1
    assert shown.count(ROOT / "specs/README.md") >= 10


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=str)
def test_every_spec_shown_plans(block: Block, project: Path) -> None:
    """What a document shows as a spec, or as part of one, plans with the shipped library, unwarned."""
    plan = plan_of(block, project)

    assert plan.total >= 1
    assert [str(warning) for warning in plan.warnings] == []


@pytest.mark.parametrize("block", [block for block in YAML_BLOCKS if block.told], ids=str)
def test_every_result_shown_is_what_comes_out(block: Block, project: Path) -> None:
    """Keys, file names and prompts printed below an example are those that it gives."""
    lines: set[str] = set()
    for rendered in plan_of(block, project).rendered():
        job = rendered.job
        lines |= {job.key, job.name, f"+ {job.prompt}", f"- {job.negative}"}

    assert [line for line in block.told.splitlines() if line not in lines] == []


def test_the_seed_the_reference_names_is_the_derived_one() -> None:
    """The promise that derived seeds stay the same names one, and it is right."""
    text = " ".join((ROOT / "specs/README.md").read_text("utf-8").split())
    path, seed = re.findall(r"first take of `([^`]+)` has seed ([0-9]+)", text)[0]

    assert derived_seeds(path, 1) == (int(seed),)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_every_shipped_spec_plans_or_is_included_by_one_that_does(path: Path) -> None:
    """Each file in specs/ is a spec that plans, or a library that such a spec uses."""
    is_spec = "scenes" in [entry.key.text for entry in compose(path.read_bytes(), path=path.name)]
    plans = (
        [make_plan(path)] if is_spec else [make_plan(spec) for spec in SPECS if path.name in spec.read_text()]
    )

    assert plans
    assert all(plan.total >= 1 for plan in plans)
    assert all(f"specs/{path.name}" in [file.path for file in plan.spec.files] for plan in plans)


def test_the_example_episode_is_worth_its_name() -> None:
    """specs/episode1.yaml crosses characters, scenes, prompts and seeds: 3 scenes, 2 characters, 40 jobs."""
    jobs = [rendered.job for rendered in make_plan(ROOT / "specs/episode1.yaml").rendered()]

    assert len(jobs) >= 40
    assert len({job.scene for job in jobs}) >= 3
    assert len({member.name for job in jobs for member in job.cast if member.name}) >= 2


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link leads to a file that exists, and behind `#` to a heading in it."""
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8"))
    dead = []
    for link in (link for link in links if not re.match(r"[a-z]+:", link)):
        name, _, heading = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (heading and heading not in slugs(target)):
            dead.append(link)

    assert dead == []


def slugs(path: Path) -> set[str]:
    """Return what links behind `#` call the headings of *path*."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
