"""sql, verify, repair, export, import-run, prune and list as they are typed."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest

from runner.cli import COMMANDS
from runner.manifest.journal import Journal
from runner.manifest.notes import add_note, read_notes
from runner.manifest.store import refresh
from tests.cli.conftest import Project
from tests.manifest.records import damage, run_of

FIRST, SECOND = "ep-20260101T000000Z-aaaa", "ep-20260102T000000Z-bbbb"


@pytest.fixture
def record(project: Project) -> Project:
    """A project with two finished runs."""
    run_of(project.folder / "runs", FIRST, at=1.0)
    run_of(project.folder / "runs", SECOND, at=2.0, spec="other.yaml")
    refresh(project.folder / "runs")
    return project


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(project: Project, name: str) -> None:
    """Each command of the list can be imported and says what it does."""
    said = project.animerun(name, "--help")

    assert said.code == 0
    assert "Usage: animerun" in said.out


def test_sql_prints_a_table(record: Project) -> None:
    """Rows come on stdout, what was cut is told on stderr."""
    said = record.animerun(
        "sql", "select run, count(*) as n from jobs group by run order by run", "--limit", "1"
    )

    assert said.code == 0
    assert said.out.split() == ["run", "n", FIRST, "3"]
    assert "Only the first 1 rows" in said.err


def test_sql_prints_json(record: Project) -> None:
    """One object per row; times in UTC, decimals as numbers, what JSON lacks as null or text."""
    text = (
        "select started, 1.5 as d, 'nan'::double as nan, [1, null] as l, {'a': 1} as s, 'x'::blob as b, "
        "18446744073709551615::ubigint as seed, null as nothing, interval 90 seconds as i "
        "from runs order by 1"
    )
    [first, _] = map(json.loads, record.animerun("sql", text, "--json").out.splitlines())

    assert first == {
        "started": "1970-01-01T00:00:01Z", "d": 1.5, "nan": None, "l": [1, None], "s": {"a": 1}, "b": "78",
        "seed": 2**64 - 1, "nothing": None, "i": 90.0,
    }  # fmt: skip


def test_sql_prints_csv(record: Project) -> None:
    """Texts that a spreadsheet would run are quoted; numbers below zero are numbers."""
    said = record.animerun("sql", "select '=1+1' as a, -1 as b, 'x,y' as c, null as d", "--csv")

    assert said.out == 'a,b,c,d\n\'=1+1,-1,"x,y",\n'


def test_sql_without_a_query_lists_the_tables(record: Project) -> None:
    """What can be asked is one call away."""
    said = record.animerun("sql")

    assert "job_state" in said.out
    assert "pixels" in said.out


@pytest.mark.parametrize("text", ["select 1; select 2", "drop table runs", "selct", "select * from 'x.csv'"])
def test_sql_that_is_wrong_is_one_sentence(record: Project, text: str) -> None:
    """Exit 2, and nothing on stdout."""
    said = record.animerun("sql", text)

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("animerun: ")


def test_terminal_commands_in_the_record_are_shown(record: Project) -> None:
    """What a server said can never reach the terminal as it is."""
    said = record.animerun("sql", "select chr(27) || '[31m' as a")

    assert "\x1b" not in said.out


def test_verify_ends_with_7_when_something_is_wrong(record: Project) -> None:
    """The newest run by default; the file is named, the result is noted, and what to do is told."""
    folder = record.folder / "runs" / SECOND
    assert record.animerun("verify").code == 0
    (folder / "s" / "01.png").unlink()
    said = record.animerun("verify")
    told = json.loads(record.animerun("verify", "--json").out)

    assert said.code == 7
    assert "missing  s/01.png  (ep/s/take=1)" in said.out
    assert "run the spec again" in said.err
    assert (told["sound"], told["missing"]) == (False, [{"path": "s/01.png", "key": "ep/s/take=1"}])
    assert [note["facts"]["sound"] for note in read_notes(folder)] == [True, False, False]


def test_verify_all_looks_at_every_run(record: Project) -> None:
    """One bad run among many is found."""
    (record.folder / "runs" / FIRST / "s" / "01.png").write_bytes(b"x")
    said = record.animerun("verify", "--all")

    assert said.code == 7
    assert f"{SECOND}: sound" in said.err
    assert f"{FIRST}: NOT sound" in said.err


def test_a_folder_that_cannot_be_written_is_verified(record: Project) -> None:
    """The answer counts; that it could not be noted is a warning."""
    (record.folder / "runs" / SECOND / "notes.jsonl").mkdir()
    said = record.animerun("verify")

    assert said.code == 0
    assert "not noted" in said.err


def test_repair_saves_the_rest(record: Project) -> None:
    """Damage in the middle: 7 with the line, then repaired with 0, then sound, with the job named."""
    path = record.folder / "runs" / FIRST / "journal.jsonl"
    damage(path, 7)
    before = record.animerun("verify", FIRST)
    repaired = record.animerun("repair")
    after = record.animerun("verify", FIRST)

    assert (before.code, repaired.code, after.code) == (7, 0, 0)
    assert "journal.jsonl:7:" in before.err
    assert "lost      1 line: 7" in repaired.err
    assert "no end    ep/s/take=0; on disk: s/00.png" in repaired.err
    assert f"animerun resume {FIRST}" in repaired.err
    [kept] = path.parent.glob("journal.jsonl.damaged-*")
    assert [note["kind"] for note in read_notes(path.parent)] == ["verified", "repaired", "verified"]
    assert kept.stat().st_size > 0


def test_repair_with_nothing_to_do(record: Project) -> None:
    """Whole journals stay as they are; the index is built again all the same."""
    (record.folder / "runs" / "manifest.duckdb").unlink()
    said = record.animerun("repair")

    assert said.code == 0
    assert "every journal is whole" in said.err
    assert (record.folder / "runs" / "manifest.duckdb").is_file()


def test_repair_does_not_call_whole_what_it_cannot_mend(record: Project) -> None:
    """A line that was sealed as it is and says nothing that can be true: 7, and no word of whole journals."""
    writer, _ = Journal.resume(record.folder / "runs" / SECOND / "journal.jsonl")
    writer.append({"t": "end", "at": 1, "code": 2**80, "reason": ""})
    writer.close()
    said = record.animerun("repair")

    assert said.code == 7
    assert "still damaged: " in said.err
    assert "what is damaged cannot be mended; the index of 2 runs is built again" in said.err


def test_a_run_goes_to_another_project(record: Project) -> None:
    """Export, import elsewhere, list; a second import does nothing."""
    assert record.animerun("export", FIRST).code == 0
    name = f"{FIRST}.animerun.tar"
    taken = [record.animerun("import-run", name, "--runs", "other") for _ in range(2)]
    listed = record.animerun("list", "--runs", "other", "--json")

    assert [said.code for said in taken] == [0, 0]
    assert "nothing to do" in taken[1].err
    assert json.loads(listed.out)["run"] == FIRST
    assert record.animerun("verify", "--runs", "other").code == 0
    assert stat.S_IMODE(Path(name).stat().st_mode) & 0o111 == 0


@pytest.mark.parametrize("args", [(), ("nope",), (FIRST, "--csv", "out", "--to", "x")])
def test_export_of_nothing_is_refused(record: Project, args: tuple[str, ...]) -> None:
    """A run, or a kind of tables, must be meant."""
    assert record.animerun("export", *args).code == 2


def test_import_of_something_else_is_refused(record: Project) -> None:
    """Any other file is told as such."""
    Path("x.tar").write_bytes(b"hello" * 1000)

    assert record.animerun("import-run", "x.tar").code == 2
    assert record.animerun("import-run", "gone.tar").code == 2


def test_prune_is_dry_unless_told(record: Project) -> None:
    """First the list, then with --delete the files; baselines stay."""
    add_note(record.folder / "runs" / SECOND, "baseline", {}, at=1.0)
    dry = record.animerun("prune", "--older-than", "30d")
    assert len(list(record.folder.glob("runs/*/s/*.png"))) == 6
    done = record.animerun("prune", "--older-than", "30d", "--delete")

    assert (dry.code, done.code) == (0, 0)
    assert "Nothing was deleted" in dry.err
    assert f"kept: {SECOND} (a baseline)" in done.err
    assert {path.parent.parent.name for path in record.folder.glob("runs/*/s/*.png")} == {SECOND}
    assert [note["kind"] for note in read_notes(record.folder / "runs" / FIRST)] == ["pruned"]


@pytest.mark.parametrize(
    "args", [(), ("--older-than", "soon"), ("--older-than", "999999w"), ("--keep", "-1")]
)
def test_prune_without_a_rule_is_refused(record: Project, args: tuple[str, ...]) -> None:
    """Nothing is old by itself."""
    assert record.animerun("prune", *args).code == 2


@pytest.mark.parametrize(
    ("args", "runs"),
    [
        ((), [SECOND, FIRST]),
        (("--limit", "1"), [SECOND]),
        (("--spec", "a"), [FIRST]),
        (("--spec", "a.yaml"), [FIRST]),
        (("--spec", "o*"), [SECOND]),
        (("--state", "succeeded", "--realm", "previz"), [SECOND, FIRST]),
        (("--state", "open"), []),
        (("--realm", "comfyui"), []),
    ],
)
def test_list_filters(record: Project, args: tuple[str, ...], runs: list[str]) -> None:
    """Runs are picked by spec, state and realm, newest first."""
    said = record.animerun("list", "--json", *args)

    assert [json.loads(line)["run"] for line in said.out.splitlines()] == runs


def test_pruned_files_are_rendered_again(project: Project) -> None:
    """A pruned run is no source of files: the plan says so, and the same command renders them."""
    project.write("a.yaml", "animerun: 1\nepisode: ep\nscenes: {s01: {prompt: a lighthouse, seeds: 1..2}}\n")
    assert project.animerun("a.yaml", "-q").code == 0
    assert project.animerun("prune", "--keep", "0", "--delete").code == 0
    plan = [json.loads(line) for line in project.animerun("plan", "a.yaml", "--json").out.splitlines()]
    again = project.animerun("a.yaml", "--json")

    assert [job["answer"] for job in plan if job["event"] == "job"] == ["run", "run"]
    assert all("is gone" in job["why"] for job in plan if job["event"] == "job")
    assert again.code == 0
    assert len(list(project.folder.glob("runs/*/s01/*.png"))) == 2
    shutil.rmtree(project.folder / "runs")
