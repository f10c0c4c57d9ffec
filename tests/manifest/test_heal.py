"""One flipped byte in a file of the index heals by itself, wherever it is and whenever it shows."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import duckdb
import pytest

from runner.manifest import store
from runner.manifest.store import Manifest, refresh
from tests.manifest.records import run_of

FLIPS = 12


def everything(runs: Path) -> tuple[dict[str, object], list[str]]:
    with Manifest(runs) as manifest:
        names = [row["run"] for row in manifest.query("run_names")]
        found: dict[str, object] = {"runs": manifest.query("runs", limit=99)}
        for name in names:
            found[name] = [manifest.query(what, run=name) for what in ("jobs", "outputs", "texts")]
        return found, list(manifest.damaged)


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """Runs with a published index, and a live one whose last run is in its write-ahead log only."""
    runs = tmp_path / "runs"
    run_of(runs, "a", jobs=90)
    refresh(runs)
    run_of(runs, "b", jobs=30)
    db = store._open(runs / ".index" / "live.duckdb")
    store._apply_all(db, runs)
    copy = tmp_path / "crashed"
    shutil.copytree(runs, copy, ignore=shutil.ignore_patterns("*.png"))
    db.close()
    assert (copy / ".index" / "live.duckdb.wal").stat().st_size > 1_000
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest.duckdb", ".index/live.duckdb", ".index/live.duckdb.wal"])
def test_a_flipped_bit_heals(tmp_path: Path, crashed: Path, name: str) -> None:
    """Readers see everything at once, and after the next refresh no trace of the damage is left."""
    sound, _ = everything(crashed)
    chance = random.Random(name)
    for number in range(FLIPS):
        runs = tmp_path / f"flip{number}"
        shutil.copytree(crashed, runs)
        content = bytearray((runs / name).read_bytes())
        place = chance.randrange(len(content) if number % 2 else min(len(content), 16_384))
        content[place] ^= 1 << chance.randrange(8)
        (runs / name).write_bytes(content)

        assert everything(runs)[0] == sound, place
        refresh(runs)
        assert everything(runs)[0] == sound, place
        assert everything(runs) == (sound, []), place
        shutil.rmtree(runs)


def test_damage_that_the_writer_meets_late_heals(tmp_path: Path) -> None:
    """A file that opens, and fails when its rows are read, is moved aside once and built again."""
    run_of(tmp_path, "a", jobs=200)
    refresh(tmp_path)
    live = tmp_path / ".index" / "live.duckdb"
    content = bytearray(live.read_bytes())
    for place in range(3 * 4096 + 100, len(content), 4096):
        content[place] ^= 255
    live.write_bytes(content)
    run_of(tmp_path, "b", jobs=2)
    report = refresh(tmp_path)

    assert report is not None
    assert set(report.applied) == {"a", "b"}
    assert everything(tmp_path)[1] == []
    assert len(list(live.parent.glob("*.old"))) == 1


def test_a_reader_that_may_not_write_reads_the_journals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the index cannot be built again, the answers are the same and the damage is told each time."""
    run_of(tmp_path, "a")
    refresh(tmp_path)
    sound, _ = everything(tmp_path)
    (tmp_path / "manifest.duckdb").write_bytes(b"\0" * 20_000)
    monkeypatch.setattr(store, "refresh", lambda *_, **__: None)
    for _ in range(2):
        found, damaged = everything(tmp_path)

        assert found == sound
        assert "left aside" in damaged[0]


def test_a_run_that_is_gone_is_not_listed(tmp_path: Path) -> None:
    """Deleting a run's folder takes it out of every answer at once, and out of the index."""
    run_of(tmp_path, "a")
    run_of(tmp_path, "b")
    refresh(tmp_path)
    shutil.rmtree(tmp_path / "a")

    assert list(everything(tmp_path)[0]) == ["runs", "b"]
    refresh(tmp_path)
    with duckdb.connect(str(tmp_path / "manifest.duckdb"), read_only=True) as published:
        assert published.execute("select run from runs").fetchall() == [("b",)]
