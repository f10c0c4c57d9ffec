from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Project
from tests.diff.record import Made, jobs, write_run

MINIMAL = "animerun: 1\nepisode: demo\nscenes: {s01: {prompt: a lighthouse, seeds: 1..2}}\n"


def two(project: Project, *, changed: int = 3, total: int = 8) -> None:
    """A first run, and a second in which some jobs have another negative and other pixels."""
    runs = project.folder / "runs"
    write_run(runs, "ep-20260101T000000Z-aaaa", jobs(total))
    made = [
        replace(job, words={"negative": "worse"}, pixels="red") if n < changed else job
        for n, job in enumerate(jobs(total))
    ]
    write_run(runs, "ep-20260102T000000Z-bbbb", made, at=2000)


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_same_is_zero_and_different_is_one(project: Project) -> None:
    """The exit code says whether any job differs."""
    two(project)

    assert project.animerun("diff", "-1", "-1").code == 0
    assert project.animerun("diff", "-2", "-1").code == 1


@pytest.mark.parametrize(
    "args",
    [
        ("-1",),
        ("-1", "-9"),
        ("nothing", "-1"),
        ("-1", "missing.yaml"),
        ("-1", "x.tar"),
        ("-2", "-1", "--json", "--markdown"),
    ],
)
def test_trouble_is_two(project: Project, args: tuple[str, ...]) -> None:
    """What cannot be compared is 2, never mistaken for a difference."""
    two(project)
    (project.folder / "broken.tar").write_text("no tar")

    assert project.animerun("diff", *args).code == 2
    assert project.animerun("diff", "-1", "broken.tar").code == 2


def test_a_damaged_journal_is_trouble(project: Project) -> None:
    """A side that cannot be trusted ends with 2."""
    two(project)
    path = project.folder / "elsewhere" / "r"
    write_run(path.parent, "r", jobs(2))
    content = bytearray((path / "journal.jsonl").read_bytes())
    content[300] ^= 1
    (path / "journal.jsonl").write_bytes(content)
    said = project.animerun("diff", "-1", "elsewhere/r")

    assert said.code == 2
    assert "journal.jsonl:" in said.err


def test_three_changes_are_readable(project: Project) -> None:
    """The cause, how many jobs, before and after, and every key."""
    two(project)
    out = project.animerun("diff", "-2", "-1").out

    assert "3 with a changed workflow, 3 with other pictures; 5 the same, of 8 jobs on both sides." in out
    assert (
        "  negative low → worse  (3 jobs)\n    ep/s1/c1/take=1\n    ep/s1/c1/take=2\n    ep/s1/c1/take=3\n"
        in out
    )
    assert "after a changed workflow; they look different  (3 jobs)" in out


def test_many_changes_are_as_readable(project: Project) -> None:
    """Three hundred changes of three causes are three paragraphs."""
    runs = project.folder / "runs"
    old = [Made(f"ep/s{n % 3}/c1/take={n}", seed=n) for n in range(300)]
    write_run(runs, "a", old, pictures=False)
    words = ({"negative": "x"}, {"model": "paint"}, {"slots": {"camera": "close"}})
    new = [replace(job, words=words[n % 3], pixels="red") for n, job in enumerate(old)]
    write_run(runs, "b", new, pictures=False)
    out = project.animerun("diff", "a", "b").out

    assert len(out.splitlines()) < 40
    assert [
        out.count(f"{cause}  (100 jobs)")
        for cause in ("negative low → x", "model ink → paint", "camera wide → close")
    ] == [1, 1, 1]
    assert out.count("… and 97 more") == 3


def test_json_is_a_contract(project: Project) -> None:
    """First one line about everything, then causes, pictures and every job that differs."""
    two(project)
    head, *rest = lines(project.animerun("diff", "-2", "-1", "--json").out)
    counts = head["counts"]

    assert isinstance(counts, dict)
    assert (head["event"], head["same"]) == ("diff", False)
    assert {name: counts[name] for name in ("both", "same", "changed", "pixels", "different")} == {
        "both": 8, "same": 5, "changed": 3, "pixels": 3, "different": 3,
    }  # fmt: skip
    assert [line["event"] for line in rest] == ["cause"] * 2 + ["picture"] * 3 + ["job"] * 3
    assert {"kind", "cause", "jobs", "keys", "changes"} <= rest[0].keys()
    assert rest[0]["changes"] == [{"what": "negative", "before": "low", "after": "worse"}]
    assert [line["key"] for line in rest[5:]] == [f"ep/s1/c1/take={n}" for n in (1, 2, 3)]


def test_markdown_holds_no_markup_from_outside(project: Project) -> None:
    """What a spec says stands in a table as text."""
    runs = project.folder / "runs"
    write_run(runs, "a", jobs(1))
    evil = "x|y <img src=x> [a](http://b) @team"
    write_run(runs, "b", [replace(jobs(1)[0], words={"negative": evil})])
    out = project.animerun("diff", "a", "b", "--markdown").out

    assert "| Changed workflows | jobs | first |" in out
    assert r"x\|y &lt;img src=x&gt; \[a\]\(http://b\) \@team" in out
    assert "<img" not in out


def test_no_text_commands_the_ci(project: Project) -> None:
    """No printed line can be taken for a workflow command, whatever a server or a spec says."""
    runs = project.folder / "runs"
    write_run(runs, "a", jobs(2))
    evil = "\n::error file=x::owned ##[add-mask]"
    failed = replace(jobs(2)[0], state="failed", code="::stop-commands::x", message=evil)
    write_run(runs, "b", [failed, replace(jobs(2)[1], words={"negative": evil})], code=1)
    diff = ("diff", "a", "b")
    shows = (("show", "--run", "b"), ("show", "take=1", "--run", "b"))
    for args in (diff, (*diff, "--markdown"), (*diff, "--json"), *shows):
        said = project.animerun(*args)

        for line in (said.out + said.err).splitlines():
            assert not line.lstrip().startswith("::"), args
            assert "##[" not in line, args


def test_a_spec_is_a_side(project: Project) -> None:
    """A run beside the spec as it is now tells what a rerun would make otherwise; nothing is rendered."""
    project.write("demo.yaml", MINIMAL)
    assert project.animerun("demo.yaml", "-q").code == 0
    assert project.animerun("diff", "-1", "demo.yaml").code == 0
    project.write("demo.yaml", MINIMAL.replace("lighthouse", "windmill").replace("1..2", "2..3"))
    said = project.animerun("diff", "-1", "demo.yaml")

    assert said.code == 1
    assert "prompt a lighthouse → a windmill  (1 job)" in said.out
    assert "Removed\n" in said.out
    assert "Added\n" in said.out
    assert len(project.runs()) == 1


def test_the_folder_of_a_run_is_a_side(project: Project) -> None:
    """Inside or outside of runs/, a folder is as good as a name."""
    two(project)
    other = project.folder / "elsewhere"
    (project.folder / "runs" / "ep-20260101T000000Z-aaaa").rename(other)

    assert project.animerun("diff", "elsewhere", "runs/ep-20260102T000000Z-bbbb").code == 1
    assert project.animerun("diff", "elsewhere", str(Path("elsewhere").resolve())).code == 0
