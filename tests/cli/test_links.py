"""Links that somebody planted in a project: nothing outside is written, and the link is named."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.manifest import folder
from tests.cli.conftest import Project
from tests.flow.conftest import serving

SPEC = "animerun: 1\nepisode: demo\nsize: 64x64\nscenes: {s01: {prompt: x}}\n"
CONTENT = b"precious, outside the project\n"
WITH_REPORTS = ("--fail-on", "failed", "--junit", "ci/junit.xml", "--summary", "ci/sum.md")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests here."""
    with serving(tmp_path_factory.mktemp("previz") / "files") as url:
        yield url


@pytest.fixture
def planted(project: Project, monkeypatch: pytest.MonkeyPatch, server: str) -> Project:
    """A project with a spec, in a folder that has another one beside it."""
    inside = project.folder / "project"
    inside.mkdir()
    (project.folder / "outside").mkdir()
    (project.folder / "outside" / "file").write_bytes(CONTENT)
    (project.folder / "animerun.toml").unlink()
    project.folder = inside
    project.write("animerun.toml", "")
    project.write("specs/a.yaml", SPEC)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("ANIMERUN_SERVER", server)
    return project


def outside(project: Project) -> dict[str, bytes]:
    """Every file outside, with its content."""
    place = project.folder.parent / "outside"
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def lock_of(project: Project) -> Path:
    return folder._lock_of(Path("runs"), project.folder / "specs" / "a.yaml")


@pytest.mark.parametrize(
    ("link", "to"),
    [
        ("runs", ""),
        ("runs/.index", ""),
        ("runs/.index/locks", ""),
        ("runs/.index/apply.lock", "file"),
        ("runs/.index/live.duckdb", "file"),
        ("runs/.index/live.duckdb.wal", "file"),
        ("runs/manifest.duckdb", "file"),
        ("LOCK", "file"),
        ("LOCK", "new"),
        ("ci", ""),
        ("ci/junit.xml", "file"),
        ("ci/sum.md", "file"),
        ("ci/sum.md", "new"),
    ],
)
def test_a_run_writes_nothing_through_a_link(planted: Project, link: str, to: str) -> None:
    """Wherever a link stands where something is written, the file or folder outside stays as it is."""
    path = planted.folder / (lock_of(planted) if link == "LOCK" else link)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(planted.folder.parent / "outside" / to)
    said = planted.animerun("specs/a.yaml", "--quiet", *WITH_REPORTS)

    assert outside(planted) == {"file": CONTENT}
    assert said.code in (0, 6)
    assert "is a link" in said.err


def test_a_run_uses_no_name_that_can_be_guessed(planted: Project) -> None:
    """Links under every name that a process with this number might have used are left alone."""
    for name in (f".manifest.duckdb.{os.getpid()}.part", f".probe-{os.getpid()}", f".import-{os.getpid()}"):
        path = planted.folder / "runs" / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(planted.folder.parent / "outside" / "file")
    said = planted.animerun("specs/a.yaml", "--quiet")

    assert said.code == 0, said.err
    assert outside(planted) == {"file": CONTENT}


def test_runs_may_be_a_link_where_a_person_names_it(planted: Project) -> None:
    """A folder of runs that was linked on purpose is named on the command line, as the message says."""
    (planted.folder / "runs").symlink_to(planted.folder.parent / "outside")
    refused = planted.animerun("specs/a.yaml", "--quiet")
    said = planted.animerun("specs/a.yaml", "--quiet", "--runs", "runs")

    assert refused.code == 6
    assert "--runs DIR" in refused.err
    assert said.code == 0, said.err
    assert len(planted.runs()) == 1


def test_an_archive_that_is_refused_leaves_no_file(planted: Project, tmp_path: Path) -> None:
    """What was unpacked before the mistake was found lay inside, and is gone."""
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        member = tarfile.TarInfo("site-packages/evil.pth")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    (planted.folder / "runs").mkdir()
    (planted.folder / "runs" / f".import-{os.getpid()}").symlink_to(planted.folder.parent / "outside")
    said = planted.animerun("import-run", str(tmp_path / "evil.tar"))

    assert said.code == 2
    assert outside(planted) == {"file": CONTENT}
    assert len(list((planted.folder / "runs").iterdir())) == 1
