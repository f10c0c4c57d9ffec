"""An index that cannot be opened stops no command: the answers are the same, and why is said on stderr."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import duckdb
import pytest

from runner.cli import call
from runner.manifest.history import History
from runner.manifest.opening import private
from runner.manifest.store import Manifest, keep_up, refresh
from tests.cli.conftest import Project
from tests.manifest.obstacles import OURS, SOMEBODYS, holding, killed_holder, without_jobs
from tests.manifest.records import run_of

FIRST, SECOND = "ep-20260101T000000Z-aaaa", "ep-20260102T000000Z-bbbb"
READING = (
    ("list",),
    ("list", "--json"),
    ("show",),
    ("show", "--json"),
    ("explain", "take=1"),
    ("sql", "select run from runs order by 1"),
    ("sql", "--json", "select count(*) as n from jobs"),
    ("diff", FIRST, SECOND, "--json"),
    ("verify", "--all"),
    ("prune", "--keep", "1"),
    ("export", "--parquet", "out", "--json"),
)

posix = pytest.mark.skipif(
    not hasattr(os, "geteuid"), reason="rights and open files are another matter there"
)


@pytest.fixture
def record(project: Project) -> Project:
    """A project with two finished runs and a published index."""
    run_of(project.folder / "runs", FIRST, at=1.0)
    run_of(project.folder / "runs", SECOND, at=2.0, spec="other.yaml")
    refresh(project.folder / "runs")
    return project


def answers(record: Project) -> tuple[list[tuple[int, str]], str]:
    """Return code and stdout of every reading command, and what they all said on stderr."""
    said = [record.animerun(*words) for words in READING]
    assert "Traceback" not in "".join(each.err for each in said)
    found = []
    for each in said:
        # The remarks of a difference tell what is wrong with the index, and `verify` adds notes.
        moving = ('{"event": "diff"', '{"event": "table", "table": "notes"')
        lines = [line for line in each.out.splitlines() if not line.startswith(moving)]
        found.append((each.code, "\n".join(lines)))
    return found, "".join(each.err for each in said)


_SOUND: list[tuple[list[tuple[int, str]], str]] = []


@pytest.fixture
def sound(record: Project) -> list[tuple[int, str]]:
    """The answers with a sound index, asked for once: they name nothing of the test's own folder."""
    if not _SOUND:
        _SOUND.append(answers(record))
    assert "warning" not in _SOUND[0][1]
    return _SOUND[0][0]


@pytest.mark.parametrize("name", SOMEBODYS)
def test_somebody_elses_index_is_read_past(record: Project, sound: list[tuple[int, str]], name: str) -> None:
    """Every reading command answers as with a sound index, says why, and changes nothing of what is there."""
    published = record.folder / "runs" / "manifest.duckdb"
    SOMEBODYS[name][0](published)
    before = {path.name: path.stat().st_ino for path in published.parent.glob("manifest*")}
    found, said = answers(record)
    report = keep_up(record.folder / "runs")

    assert found == sound
    assert SOMEBODYS[name][1] in said
    assert "animerun repair puts it aside" in said
    assert report is not None
    assert not report.published
    assert {path.name: path.stat().st_ino for path in published.parent.glob("manifest*")} == before


@pytest.mark.parametrize("name", SOMEBODYS)
def test_repair_puts_aside_what_is_in_the_way(record: Project, name: str) -> None:
    """After it the index is ours again and sound; what was there is kept under a name that is told."""
    runs = record.folder / "runs"
    SOMEBODYS[name][0](runs / "manifest.duckdb")
    said = record.animerun("repair")
    [aside] = [path for path in runs.glob("manifest.duckdb.aside-*") if path.suffix != ".wal"]

    assert said.code == 0
    assert f"it is kept as {aside.name}" in said.err
    assert "the index of 2 runs is built again" in said.err
    assert not (runs / "manifest.duckdb.wal").exists()
    with Manifest(runs) as manifest:
        assert manifest.damaged == []
    with duckdb.connect(str(runs / "manifest.duckdb"), read_only=True) as db:
        assert db.execute("select count(*) from runs").fetchone() == (2,)


@pytest.mark.parametrize("name", OURS)
def test_what_is_of_no_use_is_built_again(record: Project, name: str) -> None:
    """The first command builds the index again and keeps what was there; the next one has nothing to say."""
    runs = record.folder / "runs"
    OURS[name](runs / "manifest.duckdb")
    content = (runs / "manifest.duckdb").read_bytes()
    first, second = record.animerun("list"), record.animerun("list")

    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out
    assert "was damaged" in first.err
    assert "warning" not in second.err
    if name not in ("cut", "dropped"):  # these open; only rows cannot be read, and they are ours
        assert [path.read_bytes() for path in runs.glob("manifest.duckdb.aside-*")] == [content]


def test_an_index_that_is_open_elsewhere_is_neither_read_nor_replaced(
    record: Project, sound: list[tuple[int, str]]
) -> None:
    """Its holder is told by pid and command; repair leaves it too; after it is closed it is published."""
    runs = record.folder / "runs"
    inode = (runs / "manifest.duckdb").stat().st_ino
    with holding(runs / "manifest.duckdb") as pid:
        found, said = answers(record)
        run_of(runs, "ep-20260103T000000Z-cccc", at=3.0)
        report = keep_up(runs)
        repaired = record.animerun("repair")
        listed = record.animerun("list")

        assert found == sound
        assert f"manifest.duckdb is open in another program (pid {pid}: " in said
        assert "python" in said
        assert report is not None
        assert not report.published
        assert len(report.index) == 1
        assert repaired.code == 0
        assert f"pid {pid}" in repaired.err
        assert "is not built now" in repaired.err
        assert len(listed.out.splitlines()) == 4
        assert (runs / "manifest.duckdb").stat().st_ino == inode
    after = keep_up(runs)

    assert after is not None
    assert after.published
    assert after.index == ()
    assert "warning" not in record.animerun("list").err


@posix
def test_an_index_that_is_read_elsewhere_is_replaced(record: Project) -> None:
    """Who only reads keeps the file as it was, and stops no publishing."""
    with holding(record.folder / "runs" / "manifest.duckdb", "ro"):
        report = keep_up(record.folder / "runs")

        assert report is not None
        assert report.published


def test_the_working_copy_open_elsewhere_is_left_alone(record: Project) -> None:
    """`.index/live.duckdb` in another program: nothing moves it away, what is new is read from journals."""
    runs = record.folder / "runs"
    live = runs / ".index" / "live.duckdb"
    inode = live.stat().st_ino
    run_of(runs, "ep-20260103T000000Z-cccc", at=3.0)
    with holding(live) as pid:
        reports = keep_up(runs), refresh(runs, anew=True, asked=True)
        listed = record.animerun("list")

        for report in reports:
            assert report is not None
            assert f"pid {pid}" in report.index[0]
        assert listed.code == 0
        assert len(listed.out.splitlines()) == 4
        assert live.stat().st_ino == inode
        assert list(live.parent.glob("*.old")) == []


def test_a_killed_writers_log_is_kept_with_its_file(record: Project) -> None:
    """Nothing is published over the two; repair renames both so that DuckDB still finds what was written."""
    runs = record.folder / "runs"
    killed_holder(runs / "manifest.duckdb")
    report = keep_up(runs)
    listed = record.animerun("list")
    record.animerun("repair")
    [aside] = [path for path in runs.glob("manifest.duckdb.aside-*") if path.suffix != ".wal"]

    assert report is not None
    assert not report.published
    assert "manifest.duckdb.wal was left by a program that did not close the index" in report.index[0]
    assert listed.code == 0
    with duckdb.connect(str(aside), read_only=True) as db:
        assert db.execute("select note from mine").fetchall() == [("kept",)]
    after = keep_up(runs)
    assert after is not None
    assert after.published


def test_an_index_that_cannot_be_read_nor_replaced_is_read_past(
    record: Project, sound: list[tuple[int, str]]
) -> None:
    """A damaged file with somebody's log beside it: the answers come from the journals, and both stay."""
    runs = record.folder / "runs"
    without_jobs(runs / "manifest.duckdb")
    (runs / "manifest.duckdb.wal").write_bytes(b"x" * 100)
    before = (runs / "manifest.duckdb").read_bytes()
    found, said = answers(record)

    assert found == sound
    assert "left aside" in said
    assert (runs / "manifest.duckdb").read_bytes() == before


def test_a_holder_that_does_not_have_the_file_open_is_not_named(record: Project) -> None:
    """A number that a lock of another machine bears is no process of this one that anybody should end."""
    path = record.folder / "runs" / "manifest.duckdb"
    said = "IO Error: Could not set lock on file: Conflicting lock is held in {} (PID {}). See also x"
    ours = private(path, duckdb.IOException(said.format("/usr/bin/python3", os.getpid())))
    nobodys = private(path, duckdb.IOException(said.format("", 0)))

    assert (ours.cause, nobodys.cause) == ("held", "held")
    assert "its holder is not on this machine" in ours.fact
    assert "its holder is unknown" in nobodys.fact


def test_what_killed_writers_left_goes(record: Project) -> None:
    """Half a copy of the index of a process that was killed does not stay for ever."""
    left = record.folder / "runs" / ".manifest.duckdb.99999999.part"
    left.write_bytes(b"half")
    keep_up(record.folder / "runs")

    assert not left.exists()


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user without rights, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder with two runs that any user reaches; it is the working folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "animerun.toml").write_text("")
        run_of(folder / "runs", FIRST, at=1.0)
        run_of(folder / "runs", SECOND, at=2.0, spec="other.yaml")
        refresh(folder / "runs")
        monkeypatch.chdir(folder)
        for setting in ("SERVER", "RUNS", "DEPTH"):
            monkeypatch.delenv(f"ANIMERUN_{setting}", raising=False)
        yield folder
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


READ_ONLY = tuple(words for words in READING if words[0] not in ("export",))


@posix
@pytest.mark.parametrize("new", [False, True], ids=["published", "lagging"])
def test_a_folder_that_may_not_be_written_is_read(
    public: Path, capsys: pytest.CaptureFixture[str], new: bool
) -> None:
    """Every reading command answers as before in a folder of runs that is read-only."""
    if new:
        run_of(public / "runs", "ep-20260103T000000Z-cccc", at=3.0)
    sound = [(call(list(words)), capsys.readouterr().out) for words in READ_ONLY]
    for path in (public / "runs", *(public / "runs").rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    with nobody():
        found = [(call(list(words)), capsys.readouterr().out) for words in READ_ONLY]

    assert found == sound


@posix
@pytest.mark.parametrize("name", ["runs/manifest.duckdb", f"runs/{SECOND}", f"runs/{SECOND}/journal.jsonl"])
def test_what_may_not_be_read_is_named(public: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A run that may not be looked into is left out by name, and an index that may not is not needed."""
    call(["list"])
    call(["sql", "select 1"])
    capsys.readouterr()
    (public / "runs" / "manifest.duckdb").unlink() if "journal" in name else None
    (public / name).chmod(0)
    with nobody():
        code = call(["list"])
        said = capsys.readouterr()

    assert code == 0
    assert "Permission denied" in said.err
    assert FIRST in said.out
    if name == "runs/manifest.duckdb":
        assert SECOND in said.out


@posix
def test_a_runs_folder_that_may_not_be_listed_is_one_sentence(
    public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 6 with the folder and the reason."""
    call(["list"])
    (public / "runs").chmod(0)
    capsys.readouterr()
    with nobody():
        code = call(["list"])

    assert code == 6
    assert "cannot read runs: Permission denied" in capsys.readouterr().err


@posix
@pytest.mark.parametrize("what", ["a dangling link", "a file"])
def test_runs_that_are_no_folder_are_one_sentence(project: Project, what: str) -> None:
    """A disk that is not mounted is no reason to make everything again: exit 6 with what is wrong."""
    runs = project.folder / "runs"
    runs.symlink_to("/nowhere/disk") if what == "a dangling link" else runs.write_text("x")
    project.write("a.yaml", "animerun: 1\nepisode: a\nscenes: {s: {prompt: a house, takes: 1}}\n")
    said = [project.animerun(*words) for words in (("list",), ("plan", "a.yaml"), ("a.yaml",), ("repair",))]

    assert [each.code for each in said] == [6, 6, 6, 6]
    for each in said:
        assert ("is a link to /nowhere/disk" if what == "a dangling link" else "Not a directory") in each.err


def test_a_run_that_vanishes_while_it_is_read_is_left_out(
    record: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is deleted between the listing and the reading stops no command."""
    from runner.manifest import store

    runs = record.folder / "runs"
    everything = list(store.journals(runs))
    gone = ("ep-20260103T000000Z-gone", runs / "ep-20260103T000000Z-gone" / "journal.jsonl")
    monkeypatch.setattr(store, "journals", lambda _: iter([*everything, gone]))
    report = keep_up(runs)
    with Manifest(runs) as manifest:
        names = [row["run"] for row in manifest.query("run_names")]

    assert report is not None
    assert report.published
    assert names == [SECOND, FIRST]


def test_history_is_the_same_without_an_index(record: Project) -> None:
    """What decides about reuse is answered from the journals alone, and the reason is among the notices."""
    runs = record.folder / "runs"

    def asked() -> tuple[object, list[str]]:
        history = History(runs)
        try:
            found = history.newest("other.yaml"), history.jobs_of(FIRST), history.unfinished("a.yaml")
            return found, history.notices("a.yaml", Path("a.yaml"))
        finally:
            history.close()

    sound, nothing = asked()
    with holding(runs / "manifest.duckdb") as pid:
        found, notices = asked()

    assert found == sound
    assert nothing == []
    assert len(notices) == 1
    assert f"pid {pid}" in notices[0]


def test_a_full_disk_while_publishing_leaves_the_old_index(
    record: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is as it was, no part of the new one stays, and what is new is read from its journal."""
    from runner.manifest import store

    runs = record.folder / "runs"
    before = (runs / "manifest.duckdb").read_bytes()
    run_of(runs, "ep-20260103T000000Z-cccc", at=3.0)

    def full(source: BinaryIO, part: BinaryIO, size: int) -> None:
        part.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "copyfileobj", full)
        report = keep_up(runs)

    assert report is not None
    assert "No space left" in report.index[0]
    assert (runs / "manifest.duckdb").read_bytes() == before
    assert list(runs.glob(".manifest*")) == []
    assert len(record.animerun("list").out.splitlines()) == 4
