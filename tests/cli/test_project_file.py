"""animerun.toml is written by whoever wrote the project: each claim has its bounds, and none is a bug."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Project

SPEC = "animerun: 1\nepisode: demo\nscenes: {s01: {prompt: x}}\n"
SECRET = "aws_secret_access_key = AKIA-outside"


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in a folder that has a secret file beside it."""
    (project.folder / "credentials").write_text(SECRET)
    (project.folder / "animerun.toml").unlink()
    project.folder = project.folder / "project"
    project.write("specs/a.yaml", SPEC)
    monkeypatch.chdir(project.folder)
    return project


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("depth = " + "9" * 5_000, "too many digits"),
        ("x = " + "[" * 5_000 + "]" * 5_000, "nested too deeply"),
        (".".join("a" * 20_000) + " = 1", "more than 2,000 dots"),
        ("x = '" + "a" * 1_000_000 + "'", "larger than 1,000,000 bytes"),
        (b"x = '\xff'", "utf-8"),
        ("depth = -5", "`depth` must be a number from 1 to 64"),
        ("depth = true", "`depth` must be a number from 1 to 64"),
        ("attempts = 0", "`attempts` must be a number from 1 to 1,000"),
        ("max_jobs = 0", "`max_jobs` must be a number from 1 to"),
        ("max_job_size = true", "`max_job_size` must be a size"),
        ("max_job_size = -1", "`max_job_size` must be a size"),
        ("strict = 1", "`strict` must be true or false"),
        ("servers = 'x'", "`servers` must be a list of texts"),
        ("servers = [1]", "`servers` must be a list of texts"),
        ("[servers]\nx = 1", "`servers` must be a list of texts"),
        ('runs = ""', "`runs` must be a path below the project's folder"),
        ('runs = "."', "`runs` must be a path below the project's folder"),
        ('runs = "a\\u0000b"', "`runs` must be a path below the project's folder"),
        ('runs = "../outside"', "--runs DIR or ANIMERUN_RUNS"),
        ('runs = "/tmp/outside"', "--runs DIR or ANIMERUN_RUNS"),
        ('ca_file = "/etc/ssl"', "`ca_file` must be a path below the project's folder"),
        ('model_sums = "../credentials"', "`model_sums` must be a path below the project's folder"),
        ('model_sums = "specs/../../credentials"', "`model_sums` must be a path below the project's folder"),
        ('model_sums = "/proc/self/environ"', "ANIMERUN_MODEL_SUMS"),
        ('model_sums = "specs"', "is no regular file"),
        ('model_sums = "gone"', "No such file"),
        ('model_sums = "specs/a.yaml"', "not a line `SHA256  FOLDER/FILE`"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(inside: Project, content: str | bytes, told: str) -> None:
    """Each is exit 2 with the file and the word, and what stands in other files is not printed."""
    inside.write("animerun.toml", content)
    said = inside.animerun("plan", "specs/a.yaml")

    assert said.code == 2, said.err
    assert told in said.err
    assert "animerun.toml" in said.err or "model_sums" in content
    assert SECRET not in said.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("name", ["animerun.toml", "sums"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_are_not_read(inside: Project, name: str, kind: str) -> None:
    """The file and what it names are regular files of the project."""
    inside.write("animerun.toml", 'model_sums = "sums"')
    path = inside.folder / name
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(inside.folder.parent / "credentials")
    else:
        os.mkfifo(path)
    said = inside.animerun("plan", "specs/a.yaml")

    assert SECRET not in said.err
    # A pipe is no project file, so there is none.
    assert said.code == (0 if (name, kind) == ("animerun.toml", "pipe") else 2), said.err


def test_a_person_names_what_lies_elsewhere(
    inside: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment may name a file outside, and the command line a folder of runs."""
    sums = f"{'0' * 64}  loras/aki.safetensors\n"
    (tmp_path / "sums").write_text(sums)
    monkeypatch.setenv("ANIMERUN_MODEL_SUMS", str(tmp_path / "sums"))

    assert inside.animerun("plan", "specs/a.yaml", "--runs", str(tmp_path / "elsewhere")).code == 0


def test_a_mark_at_the_beginning_is_no_letter(inside: Project) -> None:
    """Editors on Windows begin a file with a byte order mark; specs and templates may have one too."""
    inside.write("animerun.toml", b"\xef\xbb\xbfdepth = 3\r\n")

    assert inside.animerun("plan", "specs/a.yaml").code == 0
