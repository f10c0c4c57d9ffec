"""What a person meets between two commands: a taken port, help, silence, and what stands in the listings."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import errors
from runner.cli import COMMANDS, EXIT_CODES
from runner.cli import previz_command as previz
from runner.cli.progress import QuietView
from runner.diff.gate import TRIPPED
from runner.domain import Fault
from runner.events import AttemptFailed, ServerDown, ServerNotice
from runner.manifest.notes import add_note
from runner.previz.serving import listening
from runner.run import Summary
from runner.settings import Settings
from tests.cli.conftest import Project
from tests.manifest.records import run_of

SPEC = """\
animerun: 1
episode: demo
scenes:
  s01:
    cuts:
      c001: {prompt: a lighthouse at dusk, seeds: 1000..1003}
      c002: {prompt: a boat, seeds: [7]}
      c003: {prompt: the sea, takes: 2}
"""


def test_a_taken_port_is_passed_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--port` the next free one is taken, with a word; a free one needs none."""
    with listening(0) as first:
        taken = first.getsockname()[1]
        monkeypatch.setattr(previz, "_USUAL", taken)
        with previz._listener(None) as second:
            found = second.getsockname()[1]

    assert found != taken
    assert f"Port {taken} is taken" in (told := capsys.readouterr().err)
    assert f"listens at {found}." in told
    with previz._listener(None) as third:
        assert third.getsockname()[1] == taken
    assert capsys.readouterr().err == ""


def test_a_port_that_was_asked_for_is_no_other(project: Project) -> None:
    """With `--port` a taken one ends with 4 and a sentence."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        said = project.animerun("previz", "--port", str(other.getsockname()[1]))

    assert said.code == 4
    assert re.match(r"animerun: cannot listen at port \d+ of this machine: .+\n→ another --port", said.err)


def test_two_servers_at_once_have_an_address_each(tmp_path: Path) -> None:
    """`animerun previz` twice: both listen, the second one says where."""
    command = [sys.executable, "-m", "runner", "previz"]
    children = [
        subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        lines = [json.loads(child.stdout.readline()) for child in children if child.stdout]
        for child in children:
            child.send_signal(signal.SIGINT)
        told = "".join(child.communicate(timeout=30)[1] for child in children)
    finally:
        for child in children:
            child.kill()
            child.wait()

    assert len({line["url"] for line in lines}) == 2
    assert "is taken" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", ["", *(name for name in COMMANDS if name != "diff")])
def test_help_lists_every_exit_code(name: str, project: Project) -> None:
    """`--help`, of the whole and of each command, ends with all codes an error of ours can have."""
    said = project.animerun(*([name] if name else []), "--help")
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.AnimerunError)
    ]
    codes = {str(kind.exit_code) for kind in kinds} | {"0", "1", str(TRIPPED), "130", "143"}

    assert EXIT_CODES.split() == said.out[said.out.rindex("Exit codes:") :].split()
    assert codes <= set(re.findall(r"\d+", EXIT_CODES))


def test_two_specs_and_a_spec_from_a_program_are_answered(project: Project) -> None:
    """Both are refused with what to type instead."""
    project.write("a.yaml", SPEC)
    project.write("b.yaml", SPEC)
    two = project.animerun("a.yaml", "b.yaml")
    plan = project.animerun("plan", "a.yaml", "b.yaml")
    piped = project.animerun("-", "--quiet")

    assert (two.code, plan.code, piped.code) == (2, 2, 2)
    assert "one spec at a time, and 2 were given\n→ animerun a.yaml && animerun b.yaml" in two.err
    assert "→ animerun plan a.yaml && animerun plan b.yaml" in plan.err
    assert "not read from standard input" in piped.err


def test_a_diff_without_a_common_job_is_trouble(project: Project) -> None:
    """Two runs of which no job is in both cannot be compared: 2, with the counts."""
    project.write("demo.yaml", "animerun: 1\nepisode: other\nscenes: {s01: {prompt: x, takes: 2}}\n")
    run_of(project.folder / "runs", "ep-20260101T000000Z-0001")
    said = project.animerun("diff", "-1", "demo.yaml")
    machine = project.animerun("diff", "-1", "demo.yaml", "--json")

    assert (said.code, machine.code) == (2, 2)
    assert "no job in common: 3 jobs only in the first, 2 jobs only in the second" in said.err
    assert json.loads(machine.out)["event"] == "error"


def test_quiet_prints_failures_only(capsys: pytest.CaptureFixture[str]) -> None:
    """News, retries and what went well are not shown; a failed job, a lost server and a bad end are."""
    view = QuietView(Settings())
    view.tally.keys["p"] = "a/b/take=1"
    fault = Fault(code="OOM", retry="again", message="no memory")
    ends: dict[str, Any] = {"run": "r", "folder": Path("runs/r"), "total": 1, "reused": 0, "waiting": 0}
    ends |= {"files": 1, "reason": "", "seconds": 1.0}
    view(ServerNotice(server="", message="a notice"))
    view(AttemptFailed(prompt_id="p", server="http://h", fault=fault, again=True))
    view.ended(Summary(**ends, succeeded=1, failed=0, exit_code=0), None)
    silent = capsys.readouterr()
    view(AttemptFailed(prompt_id="p", server="http://h", fault=fault, again=False))
    view(ServerDown(server="http://h", reason="no answer", final=True))
    view.ended(Summary(**ends, succeeded=0, failed=1, exit_code=1), None)
    told = capsys.readouterr().err

    assert (silent.out, silent.err) == ("", "")
    assert "failed: a/b/take=1\n  no memory  (http://h)" in told
    assert "http://h is left out: no answer" in told
    assert "1 failed, in 1.0 s" in told


def test_a_good_run_is_silent(project: Project) -> None:
    """With `-q` a run that makes everything prints nothing at all; the next one, too, has nothing to say."""
    project.write("demo.yaml", "animerun: 1\nepisode: demo\nscenes: {s01: {prompt: x, size: 64x64}}\n")
    said = [project.animerun("demo.yaml", "-q") for _ in range(2)]

    assert [(each.code, each.out, each.err) for each in said] == [(0, "", "")] * 2


def test_list_tells_verdict_baseline_and_what_was_pruned(project: Project) -> None:
    """What came after a run stands in the listing: the last verdict, the mark, the files that are gone."""
    names = [f"ep-2026010{n}T000000Z-000{n}" for n in range(1, 5)]
    for number, name in enumerate(names):
        folder = run_of(project.folder / "runs", name, at=1.7e9 + number)
        if number < 2:
            add_note(folder, "gate", {"passed": True, "baseline": "x", "findings": []}, at=1.0)
            add_note(folder, "gate", {"passed": number == 0, "baseline": "x", "findings": []}, at=2.0)
            add_note(folder, "baseline", {}, at=3.0 - number)
        if number == 2:
            add_note(folder, "pruned", {"size": 1, "paths": ["s/00.png", "s/01.png"]}, at=1.0)
    listed = project.animerun("list").out.splitlines()
    machine = [json.loads(line) for line in project.animerun("list", "--json").out.splitlines()]

    assert listed[0].split()[-1] == "since"
    assert [line.partition("a.yaml")[2].strip() for line in listed[1:]] == [
        "", "2 files pruned", "gate tripped", "gate passed, baseline",
    ]  # fmt: skip
    assert [(row["gate"], row["baseline"], row["pruned"]) for row in machine] == [
        (None, False, 0), (None, False, 2), ("tripped", False, 0), ("passed", True, 0),
    ]  # fmt: skip


def test_a_listing_without_news_has_no_column_for_it(project: Project) -> None:
    """Where nothing came after any run, the line ends with the spec."""
    run_of(project.folder / "runs", "ep-20260101T000000Z-0001")

    assert project.animerun("list").out.splitlines()[0].split()[-1] == "spec"


def test_seeds_stand_in_the_listings(project: Project) -> None:
    """Of cuts in `plan`, of jobs in `plan --jobs` where the key has none, and in `show`."""
    project.write("demo.yaml", SPEC)
    run_of(project.folder / "runs", "ep-20260101T000000Z-0001")
    rows = [line.split("  ") for line in project.animerun("plan", "demo.yaml").out.splitlines()]
    jobs = project.animerun("plan", "demo.yaml", "--jobs").out.splitlines()
    shown = [line.split() for line in project.animerun("show").out.splitlines()]

    seeds = [[cell.strip() for cell in row if cell.strip()][3] for row in rows]
    assert seeds[:3] == ["seeds", "1000..1003", "7"]
    assert re.fullmatch(r"\d+, …", seeds[3])
    assert jobs[0].startswith("demo/s01/c001/seed=1000  → ")
    assert re.match(r"demo/s01/c003/take=1  seed \d+  → ", jobs[5])
    assert shown[0][:2] == ["job", "seed"]
    assert shown[1][:2] == ["ep/s/take=0", "1"]


@pytest.mark.parametrize(
    "args", [("NAME.yaml",), ("NAME.png",), ("plan", "NAME"), ("list", "--spec", "NAME")]
)
def test_a_name_no_file_can_have_is_no_file(args: tuple[str, ...], project: Project) -> None:
    """A name of 300 characters is answered as any other that does not exist."""
    said = project.animerun(*(arg.replace("NAME", "a" * 300) for arg in args))

    assert said.code == (0 if args[0] == "list" else 2)
    assert "Traceback" not in said.err
