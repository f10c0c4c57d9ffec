from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from runner import door
from runner.errors import RecordDamaged, RunLocked, StorageError
from runner.manifest import folder as folders
from runner.manifest import store, tables
from runner.manifest.history import History
from runner.manifest.journal import Journal
from runner.manifest.store import SCHEMA, Manifest, refresh
from tests.manifest.records import damage, run_of
from tests.sim.disks import Failing

OUTPUT = {
    "node": "out", "index": 0, "path": "s/a.png", "sha256": "ab", "size": 3, "kind": "image", "pixels": "cd",
    "width": 8, "height": 8, "frames": 1, "media": "image/png", "server_name": "x/a_00001_.png",
}  # fmt: skip


SHARED = {
    "episode": "ep", "scene": "s", "cut": "", "title": "", "template": "txt2img", "model": "", "prompt": "x",
    "negative": "", "slots": {}, "loras": [], "members": [], "params": {}, "place": "a.yaml:3",
}  # fmt: skip


def journal(runs: Path, run: str, *, at: float = 1.0, ended: bool = True, jobs: int = 1) -> Path:
    folder = runs / run
    folder.mkdir(parents=True)
    writer = Journal.create(folder / "journal.jsonl", run=run)
    writer.append(
        {"t": "run", "uuid": "u", "spec": "a.yaml", "episode": "ep", "title": "", "realm": "previz",
         "animerun": "0", "at": at, "total": jobs, "waiting": 0, "scope": {}}
    )  # fmt: skip
    for number in range(jobs):
        key, prompt_id = f"ep/s/take={number}", f"{run}-{number}"
        writer.append({"t": "variant", "variant": f"v{number}", **SHARED})
        writer.append({"t": "job", "key": key, "seq": number, "seed": 2**64 - 1, "variant": f"v{number}"})
        writer.append(
            {"t": "intent", "key": key, "n": 1, "id": prompt_id, "server": "a", "prefix": "p", "at": at}
        )
        if ended:
            writer.append(
                {"t": "done", "key": key, "n": 1, "id": prompt_id, "server": "a", "at": at + 1,
                 "queue_s": 0.0, "run_s": 0.5, "collect_s": 0.0, "cached": 0, "outputs": [OUTPUT]}
            )  # fmt: skip
    if ended:
        writer.append({"t": "end", "at": at + 2, "code": 0, "reason": ""})
    writer.close()
    return folder / "journal.jsonl"


def everything(runs: Path) -> dict[str, list[dict[str, object]]]:
    with Manifest(runs) as manifest:
        assert manifest.damaged == []
        names = [row["run"] for row in manifest.query("run_names")]
        return {
            "runs": manifest.query("runs", limit=99),
            **{f"jobs {run}": manifest.query("jobs", run=run) for run in names},
            **{f"outputs {run}": manifest.query("outputs", run=run) for run in names},
        }


def test_the_journals_alone_tell_everything(tmp_path: Path) -> None:
    """Without any index, with one, and with one that lags behind, a reader sees the same."""
    journal(tmp_path, "a", at=1)
    bare = everything(tmp_path)
    refresh(tmp_path)

    assert everything(tmp_path) == bare
    journal(tmp_path, "b", at=2, ended=False)
    behind = everything(tmp_path)
    refresh(tmp_path)
    assert everything(tmp_path) == behind
    assert [row["state"] for row in behind["runs"]] == ["open", "succeeded"]


def test_states_follow_from_what_is_recorded(tmp_path: Path) -> None:
    """A job with an open intent is submitted, with a later attempt it takes that one's state."""
    path = journal(tmp_path, "a", ended=False)

    assert [row["state"] for row in everything(tmp_path)["jobs a"]] == ["submitted"]
    writer, _ = Journal.resume(path)
    who = {"key": "ep/s/take=0", "server": "a", "at": 5.0}
    writer.append({"t": "failed", **who, "n": 1, "id": "a-0", "code": "LOST", "message": "gone", "node": "",
                   "node_class": "", "final": False})  # fmt: skip
    writer.commit()
    assert [row["state"] for row in everything(tmp_path)["jobs a"]] == ["failed"]
    writer.append({"t": "intent", **who, "n": 2, "id": "a-1", "prefix": "p"})
    writer.commit()
    assert [row["state"] for row in everything(tmp_path)["jobs a"]] == ["submitted"]
    writer.append({"t": "cancelled", **who, "n": 2, "id": "a-1"})
    writer.close()
    assert [row["state"] for row in everything(tmp_path)["jobs a"]] == ["cancelled"]


def test_seeds_keep_all_their_bits(tmp_path: Path) -> None:
    """The largest seed comes back from the index as it was."""
    journal(tmp_path, "a")
    refresh(tmp_path)

    assert everything(tmp_path)["jobs a"][0]["seed"] == 2**64 - 1


def test_refreshing_twice_changes_nothing(tmp_path: Path) -> None:
    """What has been applied is not applied again."""
    journal(tmp_path, "a", jobs=3)
    first = refresh(tmp_path)
    rows = everything(tmp_path)

    assert first is not None
    assert first.applied == ("a",)
    again = refresh(tmp_path)
    assert again is not None
    assert again.applied == ()
    assert everything(tmp_path) == rows


def test_an_index_grows_with_its_journal(tmp_path: Path) -> None:
    """Lines written after a refresh are added by the next one, none twice."""
    path = journal(tmp_path, "a", ended=False)
    refresh(tmp_path)
    writer, _ = Journal.resume(path)
    writer.append({"t": "end", "at": 9.0, "code": 130, "reason": "stopped"})
    writer.close()
    refresh(tmp_path)
    found = everything(tmp_path)

    assert [row["state"] for row in found["runs"]] == ["stopped"]
    assert len(found["jobs a"]) == 1


@pytest.mark.parametrize("name", [".index/live.duckdb", "manifest.duckdb"])
def test_a_damaged_index_heals(tmp_path: Path, name: str) -> None:
    """Garbage in the working or the published file costs nothing: it is built again from the journals."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    rows = everything(tmp_path)
    (tmp_path / name).write_bytes(b"\0garbage" * 1000)
    if name == "manifest.duckdb":
        with Manifest(tmp_path) as manifest:
            assert len(manifest.damaged) == 1
            assert len(manifest.query("runs", limit=9)) == 1
    refresh(tmp_path)

    assert everything(tmp_path) == rows


def test_what_was_cut_short_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process stopped while it reads a journal into the index leaves nothing that says it was read."""
    journal(tmp_path, "r1", jobs=3)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tables, "append", stopped)
        refresh(tmp_path)
    refresh(tmp_path)

    with Manifest(tmp_path) as manifest:
        assert len(manifest.query("jobs", run="r1")) == 3


def test_a_damaged_journal_leaves_out_that_run_only(tmp_path: Path) -> None:
    """Another run's damage is named and does not hide the sound ones."""
    path = journal(tmp_path, "a", at=1)
    journal(tmp_path, "b", at=2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    report = refresh(tmp_path)

    assert report is not None
    assert report.applied == ("b",)
    assert "journal.jsonl:" in report.damaged[0]
    with Manifest(tmp_path) as manifest:
        assert [row["run"] for row in manifest.query("run_names")] == ["b"]


def test_what_is_damaged_is_told_once_after_healing(tmp_path: Path) -> None:
    """The journals are read again when the index is damaged; what they warned of is not said twice."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    damage(journal(tmp_path, "b"), 3)
    with Manifest(tmp_path) as manifest:
        before = list(manifest.damaged)
        manifest.heal(duckdb.IOException("checksum"))
        after = list(manifest.damaged)

    assert len(before) == 1
    assert [line for line in after if line in before] == before
    assert len(after) == 2


def test_where_nothing_was_run_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run opens no database: every question about earlier ones has its answer."""
    monkeypatch.setattr(store.duckdb, "connect", None)
    (tmp_path / "runs" / ".index").mkdir(parents=True)
    history = History(tmp_path / "runs")

    assert history.realm_of(["http://a"]) is None
    assert history.by_recipe("comfyui", ["r"]) == history.by_digest("comfyui", ["d"]) == {}
    assert history.told("comfyui", ["k"]) == history.model_facts("run") == {}
    assert (history.newest("ep.yaml"), history.unfinished("ep.yaml"), history.jobs_of("run")) == ("", [], 0)
    history.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """An index of a newer animerun is not touched."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    with duckdb.connect(str(tmp_path / ".index" / "live.duckdb")) as db:
        db.execute("update meta set schema = 99")
    newer = (tmp_path / ".index" / "live.duckdb").read_bytes()

    with pytest.raises(RecordDamaged, match="newer") as caught:
        refresh(tmp_path)
    assert caught.value.exit_code == 7
    assert (tmp_path / ".index" / "live.duckdb").read_bytes() == newer


def test_an_older_schema_is_built_again(tmp_path: Path) -> None:
    """An index of an older animerun is replaced by a new one from the journals, and kept aside."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    rows = everything(tmp_path)
    with duckdb.connect(str(tmp_path / ".index" / "live.duckdb")) as db:
        db.execute("update meta set schema = 0")
    refresh(tmp_path)

    assert everything(tmp_path) == rows
    with duckdb.connect(str(tmp_path / "manifest.duckdb"), read_only=True) as db:
        assert db.execute("select schema from meta").fetchall() == [(SCHEMA,)]
    assert len(list((tmp_path / ".index").glob("live.duckdb.*.old"))) == 1


@pytest.mark.parametrize("schema", [SCHEMA - 1, SCHEMA + 1])
def test_a_published_index_of_another_schema_is_not_read(tmp_path: Path, schema: int) -> None:
    """What it shows may mean something else: a reader takes everything from the journals."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    with duckdb.connect(str(tmp_path / "manifest.duckdb")) as db:
        db.execute("delete from outputs")
        db.execute("update meta set schema = ?", [schema])
    with Manifest(tmp_path) as manifest:
        found = [row["path"] for row in manifest.query("outputs", run="a")]

    assert found == [OUTPUT["path"]]


def test_a_published_index_spares_reading_the_journals(tmp_path: Path) -> None:
    """What it holds is shown from it; only what came later is read."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    with duckdb.connect(str(tmp_path / "manifest.duckdb")) as db:
        db.execute("update runs set episode = 'from the index'")
    journal(tmp_path, "b", at=2)

    assert [row["episode"] for row in everything(tmp_path)["runs"]] == ["ep", "from the index"]


def test_a_file_of_a_newer_duckdb_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this DuckDB cannot read is moved aside as it is; the journals have it all."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    rows = everything(tmp_path)
    live = tmp_path / ".index" / "live.duckdb"
    foreign = live.read_bytes()
    connect = duckdb.connect

    def older(path: str, **options: object) -> duckdb.DuckDBPyConnection:
        if path == str(live) and live.exists() and live.read_bytes() == foreign:
            raise duckdb.IOException("Trying to read a database file with version number 69")
        return connect(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(duckdb, "connect", older)
    refresh(tmp_path)

    assert everything(tmp_path) == rows
    assert [path.read_bytes() for path in (tmp_path / ".index").glob("live.duckdb.*.old")] == [foreign]


def test_queries_cannot_reach_outside(tmp_path: Path) -> None:
    """The reader's connection reads no file, loads no extension and changes no setting."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    with Manifest(tmp_path) as manifest:
        for statement in (
            "select * from read_text('/etc/hostname')",
            "install httpfs",
            "attach 'x.duckdb'",
            "set threads = 9",
            f"copy (select 1) to '{tmp_path / 'out.csv'}'",
        ):
            with pytest.raises(duckdb.Error):
                manifest._db.execute(statement)


def test_the_published_file_is_whole_for_any_tool(tmp_path: Path) -> None:
    """The published file can be opened by plain DuckDB while the index is being written."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    with (
        duckdb.connect(str(tmp_path / ".index" / "live.duckdb")) as writer,
        duckdb.connect(str(tmp_path / "manifest.duckdb"), read_only=True) as reader,
    ):
        writer.execute("insert into texts values ('a', 'b', 'c')")

        assert reader.execute("select count(*) from runs").fetchone() == (1,)


def test_a_reused_job_has_its_files_and_its_origin(tmp_path: Path) -> None:
    """A reused job is in state `reused`, names the run that made it, and has outputs in this run."""
    path = journal(tmp_path, "a", ended=False)
    writer, _ = Journal.resume(path)
    shared = {"t": "variant", "variant": "v9", **SHARED}
    writer.append(shared)
    writer.append({"t": "job", "key": "ep/s/take=9", "seq": 9, "seed": 1, "variant": "v9"})
    writer.append({"t": "reused", "key": "ep/s/take=9", "id": "old", "from": "before", "at": 2.0,
                   "outputs": [OUTPUT]})  # fmt: skip
    writer.close()
    found = everything(tmp_path)

    assert [(row["state"], row["from_run"]) for row in found["jobs a"]] == [
        ("submitted", None),
        ("reused", "before"),
    ]
    assert [row["key"] for row in found["outputs a"]] == ["ep/s/take=9"]
    assert found["runs"][0]["reused"] == 1


def test_notes_are_part_of_the_record(tmp_path: Path) -> None:
    """What is noted later is read with the run, before and after the index has it."""
    journal(tmp_path, "a")
    refresh(tmp_path)
    notes = Journal.create(tmp_path / "a" / "notes.jsonl", run="a")
    notes.append({"t": "note", "at": 7.0, "kind": "baseline", "facts": {"by": "me"}})
    notes.close()
    for _ in range(2):
        with Manifest(tmp_path) as manifest:
            [note] = manifest.query("notes", run="a")
        assert (note["kind"], note["facts"]) == ("baseline", '{"by":"me"}')
        refresh(tmp_path)


def test_one_spec_one_run_at_a_time(tmp_path: Path) -> None:
    """The lock of a spec names its holder to the second, and is free again when the first lets go."""
    spec = tmp_path / "a.yaml"
    with folders.spec_lock(tmp_path, spec):
        with pytest.raises(RunLocked, match=f"pid {os.getpid()}"), folders.spec_lock(tmp_path, spec):
            pass
        with folders.spec_lock(tmp_path, tmp_path / "other.yaml"):
            pass
    with folders.spec_lock(tmp_path, spec):
        pass


@pytest.mark.parametrize("nth", range(1, 8))
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_probe_finds_whatever_may_not_be_done(tmp_path: Path, nth: int, number: int) -> None:
    """Any of its acts that is refused is exit 6 with what was tried, where, the reason and a remedy."""
    with (
        door.entered(door.World(disk=Failing(nth, number))),
        pytest.raises(StorageError, match=os.strerror(number)) as caught,
    ):
        folders.probe(tmp_path / "runs")

    assert str(tmp_path / "runs") in str(caught.value)
    assert caught.value.exit_code == 6
    assert caught.value.hint


def test_a_name_that_is_too_long_is_found_by_the_probe(tmp_path: Path) -> None:
    """Exit 6, and the remedy is a shorter path."""
    with pytest.raises(StorageError, match="File name too long") as caught:
        folders.probe(tmp_path / ("x" * 300))

    assert "a shorter path" in caught.value.hint


def test_a_probe_names_what_failed(tmp_path: Path) -> None:
    """A folder that cannot be made is told with its path and leaves nothing behind elsewhere."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="file"):
        folders.probe(tmp_path / "file" / "runs")
    folders.probe(tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_folder_is_new(tmp_path: Path) -> None:
    """A run never moves into a folder that is there already."""
    folders.create(tmp_path, "a", facts={}, frozen={"files/a.yaml": b"x"})

    assert (tmp_path / "a" / "plan" / "files" / "a.yaml").read_bytes() == b"x"
    with pytest.raises(StorageError):
        folders.create(tmp_path, "a", facts={}, frozen={})


def test_another_projects_spec_of_the_same_name_is_another_spec(tmp_path: Path) -> None:
    """While the spec of a run is there, the run is of no other; one that does not tell counts for each."""
    runs, ours, other = tmp_path / "runs", tmp_path / "one" / "a.yaml", tmp_path / "two" / "a.yaml"
    for at, (run, path) in enumerate({"untold": None, "ours": ours, "other": other}.items()):
        more = {}
        if path is not None:
            path.parent.mkdir()
            path.touch()
            more = {"spec_path": folders.seen_from(runs, path)}
        folder = run_of(runs, run, at=1.7e9 + at, ended=False, more=more)
        with closing(Journal.resume(folder / "journal.jsonl")[0]) as open_:
            open_.append(
                {"t": "intent", "key": "k", "n": 2, "id": run, "server": "a", "prefix": "", "at": 1.0}
            )
    history = History(runs)

    def of(path: Path | None) -> tuple[str, list[str]]:
        return history.newest("a.yaml", path), [run for run, _ in history.unfinished("a.yaml", path)]

    assert of(None) == ("other", ["other", "ours", "untold"])
    assert of(other) == ("other", ["other", "untold"])
    assert of(ours) == ("ours", ["ours", "untold"])
    other.rename(tmp_path / "moved.yaml")
    assert of(ours) == ("other", ["other", "ours", "untold"])
    history.close()


UNFIT: dict[str, dict[str, object]] = {
    "a time beyond the calendar": {"t": "end", "at": 1e300, "code": 0, "reason": ""},
    "a time that is none": {"t": "note", "at": None, "kind": "x", "facts": {}},
    "a code in words": {"t": "end", "at": 1, "code": "abc", "reason": ""},
    "a code too large": {"t": "end", "at": 1, "code": 2**80, "reason": ""},
    "a lone surrogate": {"t": "end", "at": 1, "code": 0, "reason": "\ud800"},
    "a fact that is missing": {"t": "end", "at": 1, "code": 0},
    "a list that is none": {"t": "done", "outputs": 5} | dict.fromkeys(("key", "n", "id", "server", "at"), 1)
    | dict.fromkeys(("queue_s", "run_s", "collect_s", "cached"), 1),
    "a shape that is none": {"t": "job", "key": "k", "variant": "v", "workflow": 5},
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_a_line_that_no_table_takes_costs_its_own_run_alone(tmp_path: Path, case: str) -> None:
    """It is told with its number, the other runs stay, and the index goes on being published."""
    journal(tmp_path, "sound")
    path = journal(tmp_path, "unfit")
    refresh(tmp_path)
    writer, lines = Journal.resume(path)
    writer.append(UNFIT[case])
    writer.append({"t": "end", "at": 1, "code": 0, "reason": ""})
    writer.close()
    told = f"{path}:{len(lines) + 1}: this line "

    with Manifest(tmp_path) as manifest:
        assert [row["run"] for row in manifest.query("run_names")] == ["sound"]
        assert [each.startswith(told) for each in manifest.damaged] == [True]
    for _ in range(2):
        report = refresh(tmp_path)
        assert report is not None
        assert [each.startswith(told) for each in report.damaged] == [True]
    with Manifest(tmp_path) as manifest:
        assert [row["run"] for row in manifest.query("run_names")] == ["sound"]
