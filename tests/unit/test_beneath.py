"""The way below a trusted folder: no link is followed, wherever in a path it is and whatever it leads to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner import beneath, door

pytestmark = pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links need rights on Windows")
CONTENT = b"precious"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A trusted folder beside one that is not."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(CONTENT)
    folder = tmp_path / "project"
    (folder / "runs" / "a").mkdir(parents=True)
    (folder / "mine").write_bytes(b"mine")
    beneath.trust(folder)
    yield folder
    beneath.trust()


def write(path: Path) -> None:
    with door.File(path, "wb") as file:
        file.write(b"changed")


ACTS: dict[str, Callable[[Path, Path], object]] = {
    "write": lambda path, _: write(path),
    "append": lambda path, _: door.File(path, "ab").close(),
    "truncate": lambda path, _: door.truncate(path, 0),
    "lock": lambda path, _: beneath.open_private(path).close(),
    "read": lambda path, _: beneath.open_regular(path).close(),
    "check": lambda path, _: beneath.check(path),
    "folder": lambda path, _: door.make_folder(path),
    "folder below": lambda path, _: door.make_folder(path / "deeper"),
    "file below": lambda path, _: write(path / "file"),
    "new below": lambda path, _: write(path / "new"),
    "rename below": lambda path, mine: door.rename(mine, path / "file"),
    "rename from below": lambda path, mine: door.rename(path / "file", mine),
    "link below": lambda path, mine: door.link(mine, path / "new"),
    "link from below": lambda path, mine: door.link(path / "file", mine.with_name("new")),
    "unlink below": lambda path, _: door.unlink(path / "file"),
}
LINKS = {"file": "outside/file", "folder": "outside", "dangling": "outside/new"}


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("place", ["x", "runs/x", "runs/a/x"])
@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize("act", ACTS)
def test_nothing_outside_is_touched_through_a_link(project: Path, act: str, kind: str, place: str) -> None:
    """Whatever is done with a link, or below one, what it leads to stays as it is and is not opened."""
    path = project / place
    path.symlink_to(project.parent / LINKS[kind])
    with pytest.raises(OSError, match=r"is a link|Not a directory|No such file") as raised:
        ACTS[act](path, project / "mine")

    assert state(project.parent / "outside") == {"file": CONTENT}
    assert path.is_symlink()
    assert (project / "mine").read_bytes() == b"mine"
    assert raised.value.errno == errno.ELOOP or kind != "folder"


def test_a_link_in_the_place_of_a_target_is_replaced(project: Path) -> None:
    """A name that is given away is a name: what a link there leads to stays."""
    (project / "x").symlink_to(project.parent / "outside" / "file")
    door.rename(project / "mine", project / "x")

    assert (project / "x").read_bytes() == b"mine"
    assert not (project / "x").is_symlink()
    assert state(project.parent / "outside") == {"file": CONTENT}


def test_a_linked_file_gets_no_second_name_inside(project: Path) -> None:
    """To link a link makes another link, and never a hard link to the file outside."""
    (project / "x").symlink_to(project.parent / "outside" / "file")
    door.link(project / "x", project / "y")

    assert (project / "y").is_symlink()
    assert (project.parent / "outside" / "file").stat().st_nlink == 1


def test_a_folder_that_is_swapped_on_the_way_leads_nowhere(project: Path) -> None:
    """A folder that was opened stays the one that is used, whatever has its name by then."""
    path = project / "runs" / "a" / "new"
    with beneath.reached(path) as (name, fd):
        (project / "runs" / "a").rename(project / "was")
        (project / "runs" / "a").symlink_to(project.parent / "outside")
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=fd))

    assert state(project.parent / "outside") == {"file": CONTENT}
    assert (project / "was" / "new").exists()


@pytest.mark.parametrize("act", ["lock", "read", "check"])
def test_a_pipe_is_not_waited_for(project: Path, act: str) -> None:
    """A pipe or a folder in the place of a file is an error at once."""
    os.mkfifo(project / "pipe")
    for name in ("pipe", "runs")[: 1 if act == "check" else 2]:  # a folder in the way is put aside elsewhere
        with pytest.raises(OSError, match=r"is no regular file|Is a directory|No such device"):
            ACTS[act](project / name, project / "mine")


def test_a_person_may_link_what_is_trusted(project: Path) -> None:
    """A trusted folder may be a link itself, and what is above it too."""
    (project / "linked").symlink_to(project.parent / "outside")
    beneath.trust(project, project / "linked")
    write(project / "linked" / "new")

    assert state(project.parent / "outside") == {"file": CONTENT, "new": b"changed"}


def test_elsewhere_links_are_followed(project: Path) -> None:
    """A path that lies in no trusted folder was written by a person."""
    elsewhere = project.parent / "elsewhere"
    elsewhere.symlink_to(project.parent / "outside")
    write(elsewhere / "file")

    assert state(project.parent / "outside") == {"file": b"changed"}


def test_ways_up_are_taken_as_they_are_written(project: Path) -> None:
    """`..` behind a link does not lead to the folder above what the link leads to."""
    (project / "x").symlink_to(project.parent / "outside")
    write(project / "x" / ".." / "mine")

    assert (project / "mine").read_bytes() == b"changed"


def test_only_its_owner_may_open_a_lock(project: Path) -> None:
    """A lock is private from the start, and one that an older version made becomes so."""
    (project / "old").touch(0o644)
    for name in ("new", "old"):
        with beneath.open_private(project / name) as file:
            file.write("pid 1")
        assert stat.S_IMODE((project / name).stat().st_mode) == 0o600
