from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.errors import RunLocked
from runner.manifest.folder import seen_from, spec_lock
from runner.manifest.journal import Journal
from runner.manifest.notes import add_note
from runner.manifest.prune import Candidate, Rule, candidates, prune
from runner.manifest.store import Manifest
from runner.manifest.verify import verify
from tests.manifest.records import output, run_of


def old(runs: Path, **rule: object) -> tuple[list[Candidate], dict[str, str]]:
    with Manifest(runs) as manifest:
        return candidates(manifest, Rule(**rule))  # type: ignore[arg-type]


def names(found: list[Candidate]) -> list[str]:
    return [each.run for each in found]


def test_the_newest_of_each_spec_stay(tmp_path: Path) -> None:
    """`keep` counts per spec; the rest goes, oldest first."""
    for number in range(4):
        run_of(tmp_path, f"a{number}", at=1e9 + number)
    run_of(tmp_path, "b", at=1.0, spec="b.yaml")

    assert names(old(tmp_path, keep=2)[0]) == ["a0", "a1"]
    assert names(old(tmp_path, keep=0)[0]) == ["b", "a0", "a1", "a2", "a3"]


def test_young_runs_stay(tmp_path: Path) -> None:
    """Only what began before goes; both rules together need both."""
    for number in range(3):
        run_of(tmp_path, f"a{number}", at=1e9 + number)
    before = datetime.fromtimestamp(1e9 + 2, UTC).replace(tzinfo=None)

    assert names(old(tmp_path, before=before)[0]) == ["a0", "a1"]
    assert names(old(tmp_path, before=before, keep=2)[0]) == ["a0"]


def test_baselines_and_open_runs_stay(tmp_path: Path) -> None:
    """A run somebody accepted, and one that has not ended, keep their files and are told."""
    add_note(run_of(tmp_path, "a"), "baseline", {}, at=1.0)
    run_of(tmp_path, "b", ended=False)

    assert old(tmp_path) == ([], {"a": "a baseline", "b": "not ended"})


def test_files_go_and_the_record_stays(tmp_path: Path) -> None:
    """Journal, notes and plan are there afterwards; verify calls the run sound; nothing is left to prune."""
    folder = run_of(tmp_path, "a")
    [found], _ = old(tmp_path)
    assert (found.size, found.freed, len(found.paths)) == (180, 180, 3)
    prune(tmp_path, found, at=9.0)

    assert sorted(path.name for path in folder.iterdir()) == ["journal.jsonl", "notes.jsonl", "plan"]
    assert verify(folder).sound
    assert old(tmp_path)[0] == []


def test_a_shared_file_gives_its_space_with_its_last_name(tmp_path: Path) -> None:
    """A file that a newer run shares frees nothing, until both go."""
    first = run_of(tmp_path, "a", jobs=1, at=1.0)
    second = run_of(tmp_path, "b", jobs=0, at=2.0, ended=False)
    (second / "s").mkdir()
    os.link(first / "s" / "00.png", second / "s" / "00.png")
    journal, _ = Journal.resume(second / "journal.jsonl")
    content = (first / "s" / "00.png").read_bytes()
    said, size = output(second, "s/x.png", content), len(content)
    journal.append({"t": "reused", "key": "k", "id": "i", "from": "a", "at": 2.0,
                    "outputs": [said | {"path": "s/00.png"}]})  # fmt: skip
    journal.append({"t": "end", "at": 3.0, "code": 0, "reason": ""})
    journal.close()
    alone, _ = old(tmp_path, keep=1)
    both, _ = old(tmp_path, keep=0)

    assert [(each.run, each.size, each.freed) for each in alone] == [("a", size, 0)]
    assert sum(each.freed for each in both) == size


def test_edited_files_stay(tmp_path: Path) -> None:
    """A picture that somebody worked on is not ours to delete."""
    folder = run_of(tmp_path, "a")
    (folder / "s" / "01.png").write_bytes(b"painted over")
    [found], _ = old(tmp_path)
    prune(tmp_path, found, at=9.0)

    assert found.edited == ["s/01.png"]
    assert [path.name for path in folder.glob("s/*")] == ["01.png"]


def test_a_file_edited_to_the_same_size_stays(tmp_path: Path) -> None:
    """Bytes count, not lengths: also of a file that was edited after it was looked at."""
    folder = run_of(tmp_path, "a")
    first, second = folder / "s" / "01.png", folder / "s" / "02.png"
    first.write_bytes(b"x" * first.stat().st_size)
    [found], _ = old(tmp_path)
    assert found.edited == ["s/01.png"]
    second.write_bytes(b"y" * second.stat().st_size)
    prune(tmp_path, found, at=9.0)

    assert (found.edited, found.paths) == (["s/01.png", "s/02.png"], ["s/00.png"])
    assert sorted(path.name for path in folder.glob("s/*")) == ["01.png", "02.png"]
    assert verify(folder).pruned == 1


def test_a_file_that_was_only_touched_goes(tmp_path: Path) -> None:
    """Another time of writing is no edit where the bytes are those that were recorded."""
    folder = run_of(tmp_path, "a")
    (folder / "s" / "01.png").touch()
    [found], _ = old(tmp_path)

    assert (found.edited, len(found.paths)) == ([], 3)


def test_nothing_outside_the_run_is_deleted(tmp_path: Path) -> None:
    """A path that leads elsewhere, by name or by a link, is not followed."""
    folder = run_of(tmp_path / "runs", "a", jobs=0, ended=False)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.png").write_bytes(b"mine")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "x.png").symlink_to(tmp_path / "outside" / "x.png")
    said = output(folder, "s/00.png", b"mine")
    journal, _ = Journal.resume(folder / "journal.jsonl")
    paths = ("../../outside/x.png", "link/x.png", "x.png", str(tmp_path / "outside" / "x.png"), "s/00.png")
    journal.append({"t": "reused", "key": "k", "id": "i", "from": "a", "at": 2.0,
                    "outputs": [said | {"path": path} for path in paths]})  # fmt: skip
    journal.append({"t": "end", "at": 3.0, "code": 0, "reason": ""})
    journal.close()
    [found], _ = old(tmp_path / "runs")
    prune(tmp_path / "runs", found, at=9.0)

    assert found.paths == ["s/00.png"]
    assert (tmp_path / "outside" / "x.png").read_bytes() == b"mine"


def test_a_spec_that_is_being_run_is_left_alone(tmp_path: Path) -> None:
    """Files may be about to be shared; nothing goes, and no note says so."""
    folder = run_of(tmp_path, "a")
    [found], _ = old(tmp_path)
    with spec_lock(tmp_path, Path("a.yaml")), pytest.raises(RunLocked):
        prune(tmp_path, found, at=9.0)

    assert len(list(folder.glob("s/*.png"))) == 3
    assert not (folder / "notes.jsonl").exists()


def test_the_spec_is_where_it_was_run_from(tmp_path: Path) -> None:
    """Its lock is found from the folder of runs, wherever one stands when pruning."""
    runs, spec = tmp_path / "runs", tmp_path / "specs" / "a.yaml"
    spec.parent.mkdir()
    spec.touch()
    run_of(runs, "a", more={"spec_path": seen_from(runs, spec)})
    [found], _ = old(runs)
    with spec_lock(runs, spec), pytest.raises(RunLocked):
        prune(runs, found, at=9.0)

    assert found.paths
