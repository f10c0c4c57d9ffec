from __future__ import annotations

import time
from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.manifest.query import ask, columns
from runner.manifest.store import Manifest, refresh
from tests.manifest.records import run_of


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    run_of(tmp_path, "a")
    refresh(tmp_path)
    run_of(tmp_path, "b", jobs=1)
    return Manifest(tmp_path)


def test_a_query_sees_every_run(manifest: Manifest) -> None:
    """What is published and what came since are one table."""
    found = ask(manifest, "select run, count(*) as n from job_state group by run order by run", limit=10)

    assert (found.columns, found.rows, found.more) == (("run", "n"), [("a", 3), ("b", 1)], False)


def test_more_rows_than_the_limit_are_told(manifest: Manifest) -> None:
    """The limit cuts, and says so."""
    found = ask(manifest, "select key from jobs", limit=2)

    assert (len(found.rows), found.more) == (2, True)


def test_a_query_too_large_for_memory_writes_no_file(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is put aside in the current folder or elsewhere; one sentence says what is wrong."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(UsageError, match="more memory than it may have"):
        ask(
            manifest,
            "select max(n) from (select row_number() over (order by hash(i)) as n from range(60000000) t(i))",
            limit=1,
        )

    assert list(here.iterdir()) == []


def test_columns_have_names_of_their_own(manifest: Manifest) -> None:
    """Two columns of one name stay two."""
    assert ask(manifest, "select 1 as n, 2 as n, 3 as n_2", limit=1).columns == ("n", "n_2", "n_2_2")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "0 statements"),
        ("-- nothing", "0 statements"),
        ("select 1; select 2", "2 statements"),
        ("select 1; drop table runs", "2 statements"),
        ("delete from runs", "delete"),
        ("insert into fresh.texts values ('a', 'b', 'c')", "insert"),
        ("with i as (insert into fresh.texts values ('a', 'b', 'c') returning *) from i", "read-only"),
        ("explain analyze delete from fresh.texts", "read-only"),
        ("create table x (a int)", "create"),
        ("copy (select 1) to 'out.csv'", "copy"),
        ("export database 'out'", "export"),
        ("attach 'x.duckdb'", "attach"),
        ("set memory_limit = '99GB'", "set"),
        ("pragma database_list", "pragma"),
        ("call duckdb_settings()", "call"),
        ("install httpfs", "load"),
        ("begin", "transaction"),
        ("prepare p as select 1", "prepare"),
        ("select * from read_text('/etc/hostname')", "disabled"),
        ("select * from 'journal.csv'", "disabled"),
        ("select * from glob('*')", "disabled"),
        ("select * from read_csv('journal.csv')", "disabled"),
        ("select * from read_parquet('x.parquet')", "disabled"),
        ("select * from read_blob('/etc/hostname')", "disabled"),
        ("load httpfs", "load"),
        ("set enable_external_access = true", "set"),
        ("reset lock_configuration", "set"),
        ("select * from 'https://example.org/x.parquet'", "disabled"),
        ("create secret s (type s3)", "create"),
        ("selct 1", "selct"),
        ("select nme from runs", "nme"),
        ("select 1 + 'a'", "a"),
    ],
)
def test_anything_but_one_query_is_refused(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    """A person's statement reads the record and nothing else; what is wrong is one line."""
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UsageError) as failed:
        ask(manifest, text, limit=10)

    assert told in str(failed.value)
    assert "\n" not in str(failed.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert ask(manifest, "select count(*) from texts", limit=1).rows == [(0,)]


def test_python_objects_are_no_tables(manifest: Manifest) -> None:
    """A name of this program is not a name of the record."""
    hidden = {"a": [1]}

    with pytest.raises(UsageError, match="hidden"):
        ask(manifest, "select * from hidden", limit=1)
    assert hidden


def test_a_query_without_end_is_stopped(manifest: Manifest) -> None:
    """Time is bounded, and the connection can be asked again."""
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"more than 0\.2 s"):
        ask(manifest, "select count(*) from range(1000000000000000)", limit=1, seconds=0.2)

    assert time.monotonic() - began < 20
    assert ask(manifest, "select 1", limit=1).rows == [(1,)]


def test_what_can_be_asked_is_listed(manifest: Manifest) -> None:
    """Every table and view is named with its columns."""
    told = dict(columns(manifest))

    assert {"runs", "jobs", "job_state", "run_state", "current_outputs"} <= set(told)
    assert told["texts"] == "run text value"


def test_a_query_heals_a_damaged_file(tmp_path: Path) -> None:
    """Damage that shows only when a column is read costs the answer nothing."""
    run_of(tmp_path, "a", jobs=200)
    refresh(tmp_path)
    path = tmp_path / "manifest.duckdb"
    content = bytearray(path.read_bytes())
    for place in range(3 * 4096 + 100, len(content), 4096):
        content[place] ^= 255
    path.write_bytes(content)
    with Manifest(tmp_path) as manifest:
        rows = ask(manifest, "select count(distinct sha256), count(distinct key) from outputs", limit=1).rows
        damaged = manifest.damaged

    assert rows == [(200, 200)]
    assert len(damaged) == 1
    with Manifest(tmp_path) as manifest:
        assert ask(manifest, "select count(distinct sha256) from outputs", limit=1).rows == [(200,)]
        assert manifest.damaged == []
