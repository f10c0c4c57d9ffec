# ruff: noqa: E501 - rows of cases
"""The commands as people type them: what they print, and with which exit code they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import COMMANDS
from tests.cli.conftest import Project

HEAD = "animerun: 1\nepisode: demo\nsize: 128x128\n"


@pytest.fixture
def rendered(project: Project) -> Project:
    """A project with one run of four cards."""
    project.write("demo.yaml", HEAD + "title: A demo\nscenes: {s01: {prompt: a lighthouse, takes: 4}}\n")
    said = project.animerun("demo.yaml", "-q")
    assert said.code == 0, said.err
    return project


def test_without_arguments_six_lines_are_enough(project: Project) -> None:
    """Bare `animerun` prints six lines, not the whole help."""
    said = project.animerun()

    assert said.code == 0
    assert len(said.out.strip().splitlines()) == 6


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    """The command line imports neither duckdb nor Pillow nor httpx before a command needs them."""
    code = "import sys; from runner.cli import call; call(['--help']); print([m for m in ('duckdb', 'PIL', 'httpx', 'jinja2', 'rich', 'jsonschema') if m in sys.modules], file=sys.stderr)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(project: Project, name: str) -> None:
    """Each command has a help text of its own."""
    said = project.animerun(name, "--help")

    assert said.code == 0
    assert "Usage: animerun" in said.out
    assert len(said.out.splitlines()) > 4


@pytest.mark.parametrize(
    ("typed", "meant"), [("episode1", "specs/episode1.yaml"), ("chekc", "check"), ("specs/episod1.yaml", "specs/episode1.yaml")]
)  # fmt: skip
def test_a_slip_is_answered_with_what_was_meant(project: Project, typed: str, meant: str) -> None:
    """An unknown word is answered with the nearest command or spec, exit 2."""
    project.write("specs/episode1.yaml", HEAD + "scenes: {s01: {prompt: x}}\n")
    said = project.animerun(typed)

    assert said.code == 2
    assert f"did you mean {meant}?" in said.err


def test_list_shows_the_newest_first(rendered: Project) -> None:
    """`list` prints one row per run, `list --json` one object with the promised fields."""
    project = rendered
    project.animerun("demo.yaml", "-q", "--force")
    [first, second] = [json.loads(line) for line in project.animerun("list", "--json").out.splitlines()]

    assert first["started"] > second["started"]
    assert {"run", "spec", "state", "jobs", "started"} <= first.keys()
    assert (first["spec"], first["state"], first["jobs"], first["succeeded"]) == (
        "demo.yaml",
        "succeeded",
        4,
        4,
    )
    assert project.animerun("list").out.count("demo-") == 2


def test_show_lists_several_and_tells_all_of_one(rendered: Project) -> None:
    """Several matches are a table; one match is told with prompt, seed, workflow, times and files."""
    assert rendered.animerun("show").out.count("succeeded") == 4
    one = rendered.animerun("show", "take=2").out

    for part in (
        "demo/s01/take=2",
        "A demo",
        "a lighthouse",
        "seed",
        "KSampler",
        "run ",
        "s01/demo_s01_t02.png",
        "demo.yaml:5",
    ):
        assert part in one, one
    graph = json.loads(rendered.animerun("show", "take=2", "--workflow").out)
    assert graph["out"]["inputs"]["filename_prefix"] == {"$prefix": True}


def test_show_names_what_was_meant(rendered: Project) -> None:
    """A pattern or run that matches nothing is answered with the nearest one, exit 2."""
    assert "did you mean `take=1`" in rendered.animerun("show", "tak=1").err
    said = rendered.animerun("show", "--run", "nope")

    assert said.code == 2
    assert "animerun list" in said.err


def test_show_without_runs_says_how_to_begin(project: Project) -> None:
    """Before the first run there is a hint, not a trace."""
    said = project.animerun("show")

    assert said.code == 2
    assert "animerun SPEC.yaml" in said.err


def test_check_without_a_server_says_what_it_did_not_check(project: Project) -> None:
    """A right spec is said to be right, and that no server was asked."""
    project.write("demo.yaml", HEAD + "scenes: {s01: {prompt: x, takes: 3}}\n")
    said = project.animerun("check", "demo.yaml")

    assert said.code == 0
    assert "3 jobs" in said.err
    assert "--server" in said.err


def test_templates_are_listed_with_their_parameters(project: Project) -> None:
    """The project's own templates come with the shipped ones; one is told parameter by parameter."""
    front = "---\ntitle: Mine\nparameters: {seed: {type: seed}}\noutputs: {out: image}\n---\n"
    body = '{"a": {"class_type": "EmptyImage", "inputs": {"color": {{ seed }}}}, "out": {"class_type": "SaveImage", "inputs": {"images": ["a", 0]}}}'
    project.write("templates/mine.json.j2", front + body)
    listed = project.animerun("templates").out

    assert all(name in listed for name in ("mine", "txt2img", "txt2img-dit", "img2img", "hires"))
    assert "clip_skip" in project.animerun("templates", "txt2img").out
    assert "did you mean `txt2img`" in project.animerun("templates", "txt2imgg").err


def test_the_schema_of_a_project_knows_its_names(project: Project) -> None:
    """`schema` is a JSON Schema; `schema SPEC` completes the project's own characters and models."""
    project.write(
        "demo.yaml",
        HEAD + "models: {ink: {steps: 3}}\ncharacters: {aki: {prompt: girl}}\nscenes: {s01: {cast: aki}}\n",
    )
    plain = project.animerun("schema").out
    own = project.animerun("schema", "demo.yaml").out

    assert json.loads(plain)["$schema"].startswith("https://json-schema.org/")
    assert '"aki"' in own
    assert '"aki"' not in plain


def test_a_new_project_renders_as_it_stands(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`new DIR` makes a project whose example plans without a warning; it never writes into a full folder."""
    said = project.animerun("new", "show")
    monkeypatch.chdir(project.folder / "show")

    assert said.code == 0
    planned = project.animerun("plan", "specs/episode1.yaml")
    assert planned.code == 0
    assert "warning" not in planned.err
    json.loads(Path("specs/.animerun.schema.json").read_text())
    assert project.animerun("new", ".").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(project: Project, shell: str) -> None:
    """Each shell gets a script that asks animerun."""
    said = project.animerun("completion", shell)

    assert said.code == 0
    assert "_ANIMERUN_COMPLETE" in said.out


def test_completion_completes(project: Project) -> None:
    """The shell's question for words that begin with `pl` is answered with `plan`."""
    environment = {
        "_ANIMERUN_COMPLETE": "bash_complete",
        "COMP_WORDS": "animerun pl",
        "COMP_CWORD": "1",
        "PATH": "/usr/bin",
    }
    code = "import sys; sys.argv = ['animerun']; from runner.cli import cli; cli(prog_name='animerun')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )

    assert "plain,plan" in done.stdout


def test_settings_come_from_flag_variable_file_default(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag wins over a variable, a variable over animerun.toml, that over the default."""
    from runner.cli.options import make_settings

    assert make_settings(environ={}).depth == 2
    project.write("animerun.toml", 'depth = 3\nruns = "out"\n')
    assert make_settings(environ={}).depth == 3
    assert make_settings(environ={}).runs == project.folder / "out"
    assert make_settings(environ={"ANIMERUN_DEPTH": "4"}).depth == 4
    assert make_settings(environ={"ANIMERUN_DEPTH": "4"}, depth=5).depth == 5


def test_sizes_are_numbers_or_have_a_unit(project: Project) -> None:
    """The limits of what one job may take come from animerun.toml, in bytes or as people write them."""
    from runner.cli.options import make_settings

    project.write("animerun.toml", 'max_job_files = 7\nmax_job_size = "1.5 GB"\ndisk_reserve = 1000\n')
    found = make_settings(environ={})

    assert (found.max_job_files, found.max_job_size, found.disk_reserve) == (7, 3 * 2**29, 1000)


def test_sums_of_model_files_are_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `sha256sum` printed counts, with or without the models folder before it; another line is named."""
    from runner.cli.options import make_settings
    from runner.errors import UsageError

    monkeypatch.chdir(project.folder)
    (project.folder / "animerun.toml").write_text('model_sums = "sums"\n')
    sums = project.folder / "sums"
    sums.write_text(f"# of the farm\n{'A' * 64}  checkpoints/a b.st\n\n{'1' * 64} *./models/loras/x/y.st\n")
    assert make_settings(environ={}).model_sums == {
        ("checkpoints", "a b.st"): "a" * 64,
        ("loras", "x/y.st"): "1" * 64,
    }
    sums.write_text("123  checkpoints/a.st\n")
    with pytest.raises(UsageError, match=r"sums:1: .*123"):
        make_settings(environ={})


@pytest.mark.parametrize(
    ("content", "said"),
    [("depht = 3", "did you mean `depth`"), ('depth = "3"', "a number"), ("servers = 'a'", "a list"), ("depth = ", "animerun.toml"),
     ('disk_reserve = "some"', "a size like")],
)  # fmt: skip
def test_a_mistake_in_the_project_file_is_told(project: Project, content: str, said: str) -> None:
    """A wrong key or value in animerun.toml names file and remedy, exit 2."""
    project.write("animerun.toml", content)
    project.write("demo.yaml", HEAD + "scenes: {s01: {prompt: x}}\n")
    result = project.animerun("plan", "demo.yaml")

    assert result.code == 2
    assert said in result.err


def test_a_secret_is_shown_nowhere(project: Project) -> None:
    """A token from the environment is not part of how settings look."""
    from runner.cli.options import make_settings

    settings = make_settings(environ={"ANIMERUN_TOKEN": "s3cret"})

    assert settings.credentials == {"ANIMERUN_TOKEN": "s3cret"}
    assert "s3cret" not in repr(settings)


def test_runs_lie_in_the_project_wherever_one_stands(
    rendered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder below the project the same runs are listed, and the same spec has nothing to do."""
    project = rendered
    (project.folder / "specs").mkdir()
    monkeypatch.chdir(project.folder / "specs")

    assert project.animerun("list").out.count("demo-") == 1
    said = project.animerun("../demo.yaml")
    assert "Nothing to do" in said.err
    assert not Path("runs").exists()


def test_a_run_is_meant_by_its_last_digits(rendered: Project) -> None:
    """The four digits at a run's end are enough to name it."""
    [run] = rendered.runs()

    assert run.name in rendered.animerun("show", "--run", run.name[-4:]).err


def test_show_finds_a_job_of_an_earlier_run(rendered: Project) -> None:
    """A key that the newest run does not have is looked for in earlier ones."""
    rendered.write("other.yaml", HEAD.replace("demo", "other") + "scenes: {s01: {prompt: x}}\n")
    rendered.animerun("other.yaml", "-q")

    assert "demo/s01/take=2" in rendered.animerun("show", "demo/take=2").out
    assert "demo/s01/take=2" in rendered.animerun("explain", "demo/take=2").out


def test_set_makes_an_except_of_that_word_idle(project: Project) -> None:
    """A word fixed on the command line takes its axis away; an `except` that speaks of it is no mistake then."""
    vary = "{vary: {place: [a, b], camera: [c, d]}, except: [place=a/camera=c]}"
    project.write("demo.yaml", HEAD + f"scenes: {{s01: {vary}}}\n")

    assert "3 jobs" in project.animerun("plan", "demo.yaml").err
    said = project.animerun("plan", "demo.yaml", "--set", "place=b")
    assert said.code == 0, said.err
    assert "2 jobs" in said.err


def test_completion_offers_specs(project: Project) -> None:
    """The main form, `animerun specs/…`, completes files."""
    environment = {
        "_ANIMERUN_COMPLETE": "bash_complete",
        "COMP_WORDS": "animerun specs/e",
        "COMP_CWORD": "1",
        "PATH": "/usr/bin",
    }
    code = "import sys; sys.argv = ['animerun']; from runner.cli import cli; cli(prog_name='animerun')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )

    assert "file,specs/e" in done.stdout


def test_what_comes_next_can_be_pasted(project: Project) -> None:
    """A folder with a blank in its name is quoted."""
    assert "Next:  cd 'show one' && animerun" in project.animerun("new", "show one").err
