"""Input files are those inside the project, and nothing is told of any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.inputs import InputFile, input_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project with `a.png`, a link `out` to a folder beside it, and links in a circle."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").write_bytes(b"x")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"x")
    (folder / "out").symlink_to("../outside")
    (folder / "round.png").symlink_to("round.png")
    (folder / "around").symlink_to("around")
    return folder


def test_a_file_of_the_project_is_known_by_its_content(root: Path) -> None:
    """Its name is its hash with the suffix it has."""
    found = input_file(root, "a.png")

    assert isinstance(found, InputFile)
    assert (found.project, found.size, found.name[-4:]) == ("a.png", 1, ".png")


@pytest.mark.parametrize("name", ["voice.WAV", "song.flac", "a.mp3", "b.opus"])
def test_sounds_are_inputs(name: str, root: Path) -> None:
    """A voice is uploaded as a picture is, under its hash."""
    (root / name).write_bytes(b"RIFF")
    found = input_file(root, name)

    assert isinstance(found, InputFile)
    assert found.name.endswith(name.lower()[-4:])


@pytest.mark.parametrize("name", ["b.png", "b" * 300 + ".png", "b\0.png", "a.png/b.png"])
def test_a_file_that_is_not_there_is_told(name: str, root: Path) -> None:
    """The sentence begins alike whatever keeps it from being there."""
    assert str(input_file(root, name)).startswith(f"there is no file {name} in the project")


def test_the_nearest_name_beside_it_is_told(root: Path) -> None:
    """A slip of the pen is answered with the file that was meant."""
    assert str(input_file(root, "aa.png")).endswith("did you mean `a.png`?")


@pytest.mark.parametrize("name", ["out/secret.png", "out/secrt.png", "out/none/x.png"])
def test_nothing_is_told_of_a_folder_outside(name: str, root: Path) -> None:
    """Behind a link that leads out no name is suggested, nor told whether the file exists."""
    assert input_file(root, name) == f"{name} leads out of the project folder {root}"


@pytest.mark.parametrize("name", ["round.png", "around/a.png"])
def test_links_that_lead_round_in_a_circle_are_refused(name: str, root: Path) -> None:
    """The path is named, as with any other mistake."""
    assert input_file(root, name) == f"{name} is no file: its links lead round in a circle"
