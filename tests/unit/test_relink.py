# ruff: noqa: E501 - compact samples
"""Files of an earlier run in a new one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner import launch
from runner import relink as module
from runner.domain import Output
from runner.errors import AnimerunError, RecordDamaged, RunLocked, StorageError
from runner.relink import Held, intact, relink, unshare

CONTENT = b"a picture"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run's folder with one output."""
    path = tmp_path / "old" / "s" / "a_out.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path / "old"


def output(old: Path) -> Output:
    path = old / "s" / "a_out.png"
    return Output(
        node="out", index=0, path="s/a_out.png", sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT),
        kind="image", mtime_ns=path.stat().st_mtime_ns,
    )  # fmt: skip


def put(old: Path, new: Path, *, copy: bool = False) -> Output:
    return relink(old, output(old), new, old_name="s/a", new_name="t/b", copy=copy)


@pytest.mark.parametrize("copy", [False, True])
def test_what_stood_behind_the_name_stands_behind_the_new_one(old: Path, tmp_path: Path, copy: bool) -> None:
    """The new file has the content and the time of the old one, and its record fits it."""
    new = tmp_path / "new"
    made = put(old, new, copy=copy)

    assert made.path == "t/b_out.png"
    assert (new / made.path).read_bytes() == CONTENT
    assert intact(new, [made]) == ""
    assert (new / made.path).stat().st_mtime_ns == made.mtime_ns == output(old).mtime_ns


def test_copies_share_nothing(old: Path, tmp_path: Path) -> None:
    """Painting over the old file leaves a copy alone."""
    put(old, tmp_path / "new", copy=True)
    (old / "s" / "a_out.png").write_bytes(b"painted over")

    assert (tmp_path / "new" / "t" / "b_out.png").read_bytes() == CONTENT


def test_another_file_system_gets_a_copy(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be shared the bytes are copied."""

    def no(*args: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no)
    monkeypatch.setattr(module, "_reflink", lambda *args: False)
    put(old, tmp_path / "new")

    assert (tmp_path / "new" / "t" / "b_out.png").read_bytes() == CONTENT


@pytest.mark.parametrize("copy", [False, True])
def test_a_file_that_is_there_already_serves(old: Path, tmp_path: Path, copy: bool) -> None:
    """What a killed process had put there is not put there twice."""
    new = tmp_path / "new"
    first = put(old, new, copy=copy)

    assert put(old, new, copy=copy) == first
    assert [path.name for path in (new / "t").iterdir()] == ["b_out.png"]


@pytest.mark.parametrize("link", [False, True])
def test_somebody_elses_file_is_never_replaced(old: Path, tmp_path: Path, link: bool) -> None:
    """Beside another content, or a link of whatever content, ours gets a number."""
    new = tmp_path / "new"
    (new / "t").mkdir(parents=True)
    other = new / "t" / "b_out.png"
    if link:
        other.symlink_to(old / "s" / "a_out.png")
    else:
        other.write_bytes(b"theirs")
    made = put(old, new)

    assert made.path == "t/b_out~2.png"
    assert other.is_symlink() == link
    assert other.read_bytes() == (CONTENT if link else b"theirs")
    assert (new / made.path).read_bytes() == CONTENT


def test_nothing_half_done_stays_when_the_disk_is_full(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that breaks off leaves no file under any name, and says which."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    with pytest.raises(StorageError, match=r"t/b_out\.png: No space left on device"):
        put(old, tmp_path / "new", copy=True)

    assert list((tmp_path / "new" / "t").iterdir()) == []


def held(old: Path) -> list[Held]:
    made = output(old)
    return [Held(old / made.path, "_out.png", made.sha256, made.mtime_ns)]


@pytest.mark.parametrize("copy", [False, True])
def test_what_a_killed_process_took_over_goes(old: Path, tmp_path: Path, copy: bool) -> None:
    """What is, in name, bytes and time, a file that another run still has is removed, and nothing else."""
    new = tmp_path / "new"
    taken = [new / put(old, new, copy=copy).path]
    taken.append(taken[0].with_name("b_out~2.png"))
    shutil.copy2(taken[0], taken[1])
    kept = [new / "t" / name for name in ("b_out_original.png", "b_original_out.png", "c_out.png", "b.png")]
    for path in kept:
        shutil.copy2(taken[0], path)
    later, edited, link = new / "t/b_out~3.png", new / "t/b_out~4.png", new / "t/b_out~5.png"
    later.write_bytes(CONTENT)
    edited.write_bytes(b"b picture")
    os.utime(edited, ns=(0, output(old).mtime_ns))
    link.symlink_to(old / output(old).path)
    unshare(new, [*taken, *kept, later, edited, link], names=lambda: {"t/b"}, held=lambda _: held(old))

    assert not any(path.exists() for path in taken)
    assert all(path.exists() for path in (*kept, later, edited, link))
    assert intact(old, [output(old)]) == ""


@pytest.mark.parametrize("lost", ["removed", "edited"])
def test_the_last_copy_is_kept(old: Path, tmp_path: Path, lost: str) -> None:
    """What another run recorded and has no longer, or no longer as it was, is not thrown away here."""
    new = tmp_path / "new"
    taken, twins = new / put(old, new, copy=True).path, held(old)
    twins[0].path.unlink()
    if lost == "edited":
        twins[0].path.write_bytes(b"b picture")
    unshare(new, [taken], names=lambda: {"t/b"}, held=lambda _: twins)

    assert taken.exists()


def test_what_is_intact(old: Path) -> None:
    """Size and time suffice; another time with the same content is good; else the file is named."""
    path, recorded = old / "s" / "a_out.png", output(old)

    assert intact(old, [recorded]) == ""
    os.utime(path, (1, 1))
    assert intact(old, [recorded]) == ""
    path.write_bytes(b"b picture")
    os.utime(path, (1, 1))
    assert intact(old, [recorded]) == "output file s/a_out.png was edited"
    path.unlink()
    assert intact(old, [recorded]) == "output file s/a_out.png is gone"


@pytest.mark.parametrize("trouble", [RunLocked("busy"), RecordDamaged("line 3"), StorageError("read-only")])
def test_a_run_that_cannot_be_tidied_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: AnimerunError
) -> None:
    """Somebody continues it, its journal is damaged or may not be written: the new run begins all the same."""
    asked: list[Path] = []

    def refuse(path: Path) -> None:
        asked.append(path)
        raise trouble

    monkeypatch.setattr(launch.Journal, "resume", refuse)
    history = SimpleNamespace(runs=tmp_path, newest=lambda spec, path: f"run of {spec}")
    launch._tidy("ep.yaml", tmp_path / "ep.yaml", history)

    assert asked == [tmp_path / "run of ep.yaml" / "journal.jsonl"]
