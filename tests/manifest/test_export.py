from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from runner.errors import RecordDamaged, StorageError, UsageError
from runner.manifest.export import export_run, export_tables, quoted_cell
from runner.manifest.intake import import_run
from runner.manifest.journal import Journal, body_of, seal
from runner.manifest.notes import add_note
from runner.manifest.store import Manifest, refresh
from tests.manifest.records import damage, run_of


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_travels_whole(tmp_path: Path) -> None:
    """What is exported and imported elsewhere is the same, byte for byte, and needs nothing else."""
    folder = run_of(tmp_path / "here", "ep-1")
    add_note(folder, "baseline", {"by": "me"}, at=5.0)
    (folder / "plan" / "files").mkdir()
    (folder / "plan" / "files" / ".hidden.yaml").write_text("x")
    done = export_run(folder, tmp_path / "a.tar")
    shutil.rmtree(tmp_path / "here")
    taken = import_run(tmp_path / "a.tar", tmp_path / "there")

    assert (taken.run, taken.new, taken.changed, taken.missing) == ("ep-1", True, (), ())
    assert done.files == taken.files == len(tree(tmp_path / "there" / "ep-1"))
    with Manifest(tmp_path / "there") as manifest:
        assert [job["state"] for job in manifest.query("jobs", run="ep-1")] == ["succeeded"] * 3
        assert [note["kind"] for note in manifest.query("notes", run="ep-1")] == ["baseline"]
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["ep-1"]


def test_files_keep_the_time_that_was_recorded(tmp_path: Path) -> None:
    """After an import nothing has to be hashed again to be reused."""
    folder = run_of(tmp_path / "here", "r")
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("s/*.png")}
    export_run(folder, tmp_path / "a.tar")
    import_run(tmp_path / "a.tar", tmp_path / "there")

    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("there/r/s/*.png")} == times


def test_the_same_run_gives_the_same_file(tmp_path: Path) -> None:
    """Neither times nor owners nor the order of a folder are in it."""
    run_of(tmp_path / "here", "r")
    export_run(tmp_path / "here" / "r", tmp_path / "a.tar")
    shutil.copytree(tmp_path / "here", tmp_path / "copy", copy_function=shutil.copyfile)
    for path in (tmp_path / "copy").rglob("*"):
        os.utime(path, (1, 1))
    export_run(tmp_path / "copy" / "r", tmp_path / "b.tar")

    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_run_without_its_files(tmp_path: Path) -> None:
    """The record alone is small, and says which outputs it lacks."""
    folder = run_of(tmp_path, "r")
    export_run(folder, tmp_path / "a.tar", outputs=False)
    taken = import_run(tmp_path / "a.tar", tmp_path / "there")

    assert taken.missing == ("s/00.png", "s/01.png", "s/02.png")
    assert not list((tmp_path / "there").rglob("*.png"))


def test_missing_outputs_are_told(tmp_path: Path) -> None:
    """A run whose files were pruned can still be exported."""
    folder = run_of(tmp_path, "r")
    (folder / "s" / "01.png").unlink()

    assert export_run(folder, tmp_path / "a.tar").missing == ("s/01.png",)


def test_an_unfinished_line_stays_behind(tmp_path: Path) -> None:
    """A run that is being written is exported as far as its lines are whole."""
    folder = run_of(tmp_path, "r", ended=False)
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"t":"do')
    export_run(folder, tmp_path / "a.tar")

    assert import_run(tmp_path / "a.tar", tmp_path / "there").new


def test_a_damaged_journal_is_not_exported(tmp_path: Path) -> None:
    """Damage is told with its line, and no file is left."""
    folder = run_of(tmp_path, "r")
    damage(folder / "journal.jsonl", 5)

    with pytest.raises(RecordDamaged, match=r"journal\.jsonl:5"):
        export_run(folder, tmp_path / "a.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_an_export_writes_over_nothing(tmp_path: Path) -> None:
    """A file that is there is refused."""
    folder = run_of(tmp_path, "r")
    (tmp_path / "a.tar").write_text("mine")

    with pytest.raises(UsageError, match="exists already"):
        export_run(folder, tmp_path / "a.tar")


def test_the_same_run_again_is_nothing_to_do(tmp_path: Path) -> None:
    """Importing twice changes nothing."""
    folder = run_of(tmp_path, "r")
    export_run(folder, tmp_path / "a.tar")
    before = tree(folder)

    assert not import_run(tmp_path / "a.tar", tmp_path).new
    assert tree(folder) == before


def test_another_run_of_that_name_is_kept(tmp_path: Path) -> None:
    """A run that is there is never replaced."""
    export_run(run_of(tmp_path / "here", "r"), tmp_path / "a.tar")
    other = run_of(tmp_path / "there", "r", jobs=1)
    before = tree(other)

    with pytest.raises(UsageError, match="another run"):
        import_run(tmp_path / "a.tar", tmp_path / "there")
    assert tree(other) == before
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["r"]


def test_an_output_that_was_changed_is_told(tmp_path: Path) -> None:
    """Files are compared with the record on the way in."""
    folder = run_of(tmp_path, "r")
    (folder / "s" / "01.png").write_bytes(b"edited")
    export_run(folder, tmp_path / "a.tar")

    assert import_run(tmp_path / "a.tar", tmp_path / "there").changed == ("s/01.png",)


Pack = Callable[[tarfile.TarFile], None]


def packed(path: Path, *packs: Pack) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for pack in packs:
            pack(tar)
    return path


def entry(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> Pack:
    def pack(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        member.size = len(content) if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(content))

    return pack


def journal(tmp_path: Path, **head: object) -> bytes:
    path = tmp_path / "journal.jsonl"
    writer = Journal.create(path, **({"run": "r"} | head))
    writer.close()
    content = path.read_bytes()
    path.unlink()
    return content


EVIL = {
    "absolute": entry("/r/x"),
    "parent": entry("r/../../x"),
    "parent at the front": entry("../r/x"),
    "another folder": entry("other/x"),
    "the runs folder itself": entry("manifest.duckdb"),
    "hidden run": entry(".index/live.duckdb"),
    "hidden file": entry("r/.ssh/key"),
    "empty part": entry("r//x"),
    "backslash": entry("r/..\\x"),
    "control character": entry("r/a\nb"),
    "link": entry("r/x", kind=tarfile.SYMTYPE, link="/etc"),
    "hard link": entry("r/x", kind=tarfile.LNKTYPE, link="/etc/passwd"),
    "device": entry("r/x", kind=tarfile.CHRTYPE),
    "pipe": entry("r/x", kind=tarfile.FIFOTYPE),
    "sparse": entry("r/x", kind=tarfile.GNUTYPE_SPARSE),
    "twice": entry("r/journal.jsonl"),
    "too deep": entry("r/" + "a/" * 40 + "x"),
    "too long": entry("r/" + "a" * 300),
    "much too long": entry("r/" + "a" * 100_000),
}


@pytest.mark.parametrize("case", EVIL)
def test_nothing_harmful_is_taken_in(tmp_path: Path, case: str) -> None:
    """A file made to write elsewhere is refused whole; nothing is written outside or left inside."""
    file = packed(tmp_path / "evil.tar", entry("r/journal.jsonl", journal(tmp_path)), EVIL[case])

    with pytest.raises(UsageError):
        import_run(file, tmp_path / "runs")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == ["evil.tar"]
    assert list((tmp_path / "runs").glob("*")) == []


@pytest.mark.parametrize("case", ["other run", "torn", "damaged", "empty", "outputs elsewhere"])
def test_a_record_that_is_not_whole_is_not_taken_in(tmp_path: Path, case: str) -> None:
    """The journal is verified before anything is moved in place."""
    content = journal(tmp_path, run="s" if case == "other run" else "r")
    if case == "torn":
        content += b'{"t":"x"'
    elif case == "damaged":
        content = content.replace(b"format", b"formaT") * 2
    elif case == "empty":
        content = b""
    elif case == "outputs elsewhere":
        folder = run_of(tmp_path / "src", "r", jobs=1)
        writer, _ = Journal.resume(folder / "journal.jsonl")
        writer.append({"t": "reused", "key": "k", "outputs": [{"path": "../../x", "size": 1, "sha256": "a"}]})
        writer.close()
        content = (folder / "journal.jsonl").read_bytes()
        shutil.rmtree(tmp_path / "src")

    with pytest.raises((RecordDamaged, UsageError)):
        import_run(packed(tmp_path / "a.tar", entry("r/journal.jsonl", content)), tmp_path / "runs")
    assert list((tmp_path / "runs").glob("*")) == []


END: dict[str, object] = {"t": "end", "at": 1.0, "code": 0, "reason": ""}
DONE: dict[str, object] = {
    "t": "done", "key": "k", "n": 1, "id": "i", "server": "s", "at": 1.0, "queue_s": 0, "run_s": 0,
    "collect_s": 0, "cached": 0,
}  # fmt: skip
REUSED: dict[str, object] = {"t": "reused", "key": "k", "id": "i", "at": 1.0, "from": "s", "digest": "d"}
FILE: dict[str, object] = {
    "node": "9", "index": 0, "path": "a.png", "sha256": hashlib.sha256(b"x").hexdigest(), "size": 1,
    "kind": "image", "pixels": "", "width": 1, "height": 1, "frames": 1, "media": "", "server_name": "",
}  # fmt: skip
UNFIT: dict[str, dict[str, object]] = {
    "a time beyond the calendar": END | {"at": 1e300},
    "a code in words": END | {"code": "abc"},
    "a code too large": END | {"code": 2**80},
    "a lone surrogate": END | {"reason": "\ud800"},
    "a kind of fact that is none": {"t": ["end"]},
    "outputs that are none": DONE | {"outputs": 5},
    "a path that is none": DONE | {"outputs": [FILE | {"path": 5}]},
    "a time of a file beyond all": DONE | {"outputs": [FILE | {"mtime_ns": 2**80}]},
}


@pytest.mark.parametrize("name", ["journal.jsonl", "notes.jsonl"])
@pytest.mark.parametrize("case", UNFIT)
def test_a_record_that_no_index_holds_is_not_taken_in(tmp_path: Path, case: str, name: str) -> None:
    """A chain that is right says nothing of what the lines say: they are tried before the run is there."""
    sound = journal(tmp_path)
    raw, check = seal(body_of(UNFIT[case]), int(sound[-11:-3], 16))
    files = {"journal.jsonl": sound, name: sound + raw + seal(body_of(END), check)[0]}
    packs = [entry(f"r/{path}", content) for path, content in files.items()]

    with pytest.raises((RecordDamaged, UsageError)):
        import_run(packed(tmp_path / "a.tar", *packs, entry("r/a.png")), tmp_path / "runs")
    assert list((tmp_path / "runs").glob("*")) == []


@pytest.mark.parametrize("kind", ["done", "reused"])
@pytest.mark.parametrize(
    "path", ["../../x.png", "../x.png", "/etc/x.png", "s/../../x.png", "s\\..\\x.png", ""]
)
def test_a_record_that_names_a_file_elsewhere_is_not_taken_in(tmp_path: Path, path: str, kind: str) -> None:
    """An output lies in its run's folder: `verify`, `prune` and a rerun would go where its path leads."""
    sound = journal(tmp_path)
    more = DONE if kind == "done" else REUSED
    raw, check = seal(body_of(more | {"outputs": [FILE | {"path": path}]}), int(sound[-11:-3], 16))
    content = sound + raw + seal(body_of(END), check)[0]

    with pytest.raises(UsageError, match="no place in a run's folder"):
        import_run(packed(tmp_path / "a.tar", entry("r/journal.jsonl", content)), tmp_path / "runs")
    assert list((tmp_path / "runs").glob("*")) == []


@pytest.mark.parametrize("run", ["manifest.duckdb", "manifest.duckdb.wal", "Manifest.DuckDB"])
def test_no_run_takes_the_place_of_the_index(tmp_path: Path, run: str) -> None:
    """A run that has the name of the published index, or of its log, could never be listed."""
    file = packed(tmp_path / "a.tar", entry(f"{run}/journal.jsonl", journal(tmp_path, run=run)))

    with pytest.raises(UsageError, match="a name that the index has"):
        import_run(file, tmp_path / "runs")
    assert list((tmp_path / "runs").glob("*")) == []


@pytest.mark.parametrize("cut", [0, 100, 512, 1500, 5000])
def test_a_file_that_was_not_copied_whole_is_refused(tmp_path: Path, cut: int) -> None:
    """Half a file is told as such, and is no run."""
    export_run(run_of(tmp_path / "here", "r"), tmp_path / "a.tar")
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[:cut])

    with pytest.raises((UsageError, RecordDamaged)):
        import_run(tmp_path / "a.tar", tmp_path / "there")
    assert list((tmp_path / "there").glob("*")) == []


def test_a_full_disk_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has no room is refused before anything is written."""
    export_run(run_of(tmp_path / "here", "r"), tmp_path / "a.tar")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))

    with pytest.raises(StorageError, match="1,000 are free"):
        import_run(tmp_path / "a.tar", tmp_path / "there")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_leave_as_files(tmp_path: Path, kind: str) -> None:
    """Every table can be read by other programs; a run can be taken alone."""
    run_of(tmp_path / "runs", "a")
    refresh(tmp_path / "runs")
    run_of(tmp_path / "runs", "b", jobs=1)
    counts, damaged = export_tables(tmp_path / "runs", tmp_path / "out", kind=kind)
    alone, _ = export_tables(tmp_path / "runs", tmp_path / "one", kind=kind, run="b")
    found = duckdb.sql(
        f"select run, key, state from '{tmp_path}/out/job_state.{kind}' order by all"
    ).fetchall()

    assert (counts["jobs"], alone["jobs"], damaged) == (4, 1, ())
    assert found[3] == ("b", "ep/s/take=0", "succeeded")
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == sorted(counts)


def test_a_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    """Texts that begin like a formula are texts in the CSV."""
    folder = run_of(tmp_path / "runs", "a", ended=False)
    journal, _ = Journal.resume(folder / "journal.jsonl")
    for number, text in enumerate(("=1+1", "+a", "-a", "@a", "\ta", "\ra", "a=1")):
        journal.append({"t": "text", "text": str(number), "value": text})
    journal.close()
    export_tables(tmp_path / "runs", tmp_path / "out", kind="csv")
    with (tmp_path / "out" / "texts.csv").open(newline="") as file:
        values = {row["text"]: row["value"] for row in csv.DictReader(file)}

    assert list(values.values()) == ["'=1+1", "'+a", "'-a", "'@a", "'\ta", "'\ra", "a=1"]
    assert [quoted_cell(text) for text in ("=1", "a", "")] == ["'=1", "a", ""]
