# ruff: noqa: E501 - graphs read better in long lines
"""A run that was stopped, continued: by `resume`, or by the same command again."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from runner.manifest.journal import Journal, Reading
from tests.flow.conftest import GATED, WAIT_S, Own, Shop, serving, until
from tests.flow.test_main_job import FLAT, colour

Lines = list[dict[str, Any]]


def spec(template: str = "slow", jobs: int = 6, more: str = "") -> str:
    return f"animerun: 1\nepisode: flat\ntemplate: {template}\nscenes: {{s: {{number: {colour()}, takes: {jobs}}}}}\n{more}"


def runs(shop: Shop) -> list[Path]:
    found = (path.parent for path in (shop.folder / "runs").glob("*/journal.jsonl"))
    return sorted(found, key=lambda path: (path / "run.json").stat().st_mtime_ns)


def lines(run: Path, *kinds: str) -> Lines:
    return [line for line in Reading(run / "journal.jsonl") if line["t"] in kinds]


def made(run: Path) -> Counter[str]:
    return Counter(line["key"] for line in lines(run, "done", "reused"))


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=WAIT_S)


def begun(shop: Shop, count: int) -> bool:
    """Whether the newest run has recorded *count* ends."""
    found = runs(shop)
    return bool(found) and len(lines(found[-1], "done")) >= count


def killed_after(shop: Shop, own: Own, ends: int, *args: str) -> Path:
    """Start a run, kill it when *ends* jobs are recorded and the next one runs; return its folder.

    From then on the gate is open.
    """
    own.allow(ends)
    process = shop.start("flat.yaml", "--server", own.url, *args)
    until(f"{ends} jobs", lambda: begun(shop, ends))
    until("the next one to run", own.running)
    kill(process)
    own.open()
    [run] = runs(shop)
    return run


def test_a_killed_run_goes_on_and_nothing_is_made_twice(shop: Shop, own: Own) -> None:
    """After kill -9 `resume` makes the rest in the same run: every key once, no file rendered twice."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=8))
    run = killed_after(shop, own, 2)
    code, _, err = shop.animerun("resume", "--server", own.url)

    assert code == 0, err
    assert runs(shop) == [run]
    assert set(made(run).values()) == {1}
    assert len(made(run)) == 8
    assert set(own.saved().values()) == {1}
    assert len(shop.outputs()) == 8


def test_resume_names_what_it_takes_over_and_counts_the_whole_run(shop: Shop, own: Own) -> None:
    """Jobs taken over keep their key, and counters and summary add up over all processes of the run."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=9))
    own.allow(4)
    first = shop.start("flat.yaml", "--server", own.url)
    until("2 jobs", lambda: begun(shop, 2))
    kill(first)
    [run] = runs(shop)
    second = shop.start("resume", "--server", own.url)
    until("2 more jobs", lambda: begun(shop, 4))
    until("the next one to run", own.running)
    kill(second)
    own.open()
    before = len(made(run))
    code, out, err = shop.animerun("resume", "--server", own.url, "--json")
    told = [json.loads(line) for line in out.splitlines()]
    adopted = {line["key"] for line in told if line["event"] == "adopted"}
    summary = told[-1]

    assert code == 0, err
    assert adopted
    assert adopted == {line["key"] for line in lines(run, "intent") if line["id"] in _open_then(run)}
    assert {line["key"] for line in told if line["event"] == "succeeded"} >= adopted
    assert (summary["succeeded"], summary["files"], summary["unfinished"]) == (9, 9, 0)
    assert summary["before"] == {"succeeded": before, "reused": 0, "failed": 0, "files": before}


@pytest.mark.parametrize("command", ["resume", "flat.yaml"])
def test_a_server_under_another_spelling_is_the_same(shop: Shop, own: Own, command: str) -> None:
    """What a server holds is taken over when it is called localhost now: nothing is rendered twice."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=5))
    killed_after(shop, own, 2)
    code, _, err = shop.animerun(command, "--server", own.url.replace("127.0.0.1", "localhost") + "/")

    assert code == 0, err
    assert set(own.saved().values()) == {1}
    assert len(own.saved()) == 5 or command == "flat.yaml"
    assert sum(own.saved().values()) == 5


def test_a_server_that_is_not_used_any_more_is_said(shop: Shop, own: Own) -> None:
    """What an earlier process left on it is rendered again, and a line names the job and the server."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=3))
    run = killed_after(shop, own, 1)
    path = run / "journal.jsonl"
    lines_then = list(Reading(path))
    path.unlink()
    writer = Journal.create(path, run=run.name)
    for line in lines_then[1:]:
        plain = {name: value for name, value in line.items() if name != "c"}
        writer.append(plain | ({"server": "http://gone:8188"} if line["t"] == "intent" else {}))
    writer.commit()
    writer.close()
    code, _, err = shop.animerun("resume", "--server", own.url)

    assert code == 0, err
    assert "will be tried again: flat/s/" in err
    assert "http://gone:8188 is not used any more" in err


def _open_then(run: Path) -> set[str]:
    """Return the ids that were open when the last process of *run* began."""
    told = lines(run, "intent", "done", "failed", "cancelled", "resumed")
    last = max(number for number, line in enumerate(told) if line["t"] == "resumed")
    ended = {line["id"] for line in told[:last] if line["t"] in ("done", "failed", "cancelled")}
    return {line["id"] for line in told[:last] if line["t"] == "intent"} - ended


def test_the_lines_of_a_resumed_run_go_on_counting(shop: Shop, own: Own) -> None:
    """In text every line has its key, and the last one says that all jobs of the run are made."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=6))
    run = killed_after(shop, own, 2)
    done = len(made(run))
    code, _, err = shop.animerun("resume", "--server", own.url)
    counted = [line for line in err.splitlines() if line.startswith("[")]

    assert code == 0, err
    assert [line.split("]")[0] for line in counted] == [f"[{n}/6" for n in range(done + 1, 7)]
    assert all("] flat/s/" in line for line in counted), counted
    assert f"6 jobs made ({done} of them before)" in err


def test_the_same_command_settles_and_reuses(shop: Shop, own: Own) -> None:
    """After kill -9 the same command collects what was under way, reuses it, and renders the rest only."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=8))
    first = killed_after(shop, own, 2)
    open_then = {line["id"] for line in lines(first, "intent")} - {
        line["id"] for line in lines(first, "done")
    }
    code, _, err = shop.animerun("flat.yaml", "--server", own.url)

    assert code == 0, err
    [_, second] = runs(shop)
    assert open_then <= {line["id"] for line in lines(first, "done")}
    assert sorted(made(second).values()) == [1] * 8
    assert {line["key"] for line in lines(second, "reused")} == set(made(first))
    assert sorted(own.saved()) == sorted(line["prefix"].split("/")[3].rpartition("-a")[0] for line in lines(first, "intent") + lines(second, "intent"))  # fmt: skip
    assert sum(own.saved().values()) == 8


def test_settling_is_no_end_of_the_old_run(shop: Shop, own: Own) -> None:
    """What the same command settles is no success; a newer run of the same spec supersedes it."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=6))
    first = killed_after(shop, own, 1)
    _, _, before = shop.animerun("list")
    shop.animerun("flat.yaml", "--server", own.url)
    _, _, after = shop.animerun("list")
    _, out, _ = shop.animerun("list", "--json")
    states = {row["run"]: row["state"] for row in map(json.loads, out.splitlines())}

    assert lines(first, "end") == []
    assert states[first.name] == "superseded"
    assert "animerun resume" in before
    assert "animerun resume" not in after


def test_what_finished_meanwhile_is_collected(shop: Shop, own: Own) -> None:
    """Attempts that ended on the server while nobody looked are downloaded, not rendered again."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=4))
    run = killed_after(shop, own, 1)
    until("the server to be done", own.idle)
    code, _, err = shop.animerun("resume", "--server", own.url)

    assert code == 0, err
    assert [line["n"] for line in lines(run, "intent")] == [1] * 4
    assert set(own.saved().values()) == {1}


def test_ctrl_c_twice_then_the_same_command(shop: Shop, own: Own) -> None:
    """What was left running by leaving in haste is collected too, although that run had an end."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=3))
    process = shop.start("flat.yaml", "--server", own.url, "--depth", "1")
    until("the first job", lambda: bool(runs(shop)) and own.running())
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    until("the first Ctrl-C to be answered", lambda: "Stopping" in str(process.stderr.readline()))  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT_S)
    own.open()
    [first] = runs(shop)
    left = len(lines(first, "intent")) - len(lines(first, "done", "cancelled"))
    code, _, err = shop.animerun("flat.yaml", "--server", own.url)

    assert process.returncode == 130
    assert left == 1
    assert code == 0, err
    assert len(lines(first, "done")) == 1
    assert sum(own.saved().values()) == 3


def test_ctrl_c_then_resume(shop: Shop, own: Own) -> None:
    """A run that was stopped in good order is continued in its own folder."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=6))
    own.allow(1)
    process = shop.start("flat.yaml", "--server", own.url)
    until("a first job", lambda: begun(shop, 1))
    process.send_signal(signal.SIGINT)
    own.open()
    _, err = process.communicate(timeout=WAIT_S)
    code, _, after = shop.animerun("resume", "--server", own.url)

    assert process.returncode == 130
    assert "animerun resume" in err
    assert code == 0
    assert f"Next:  animerun show --run {shop.run().name}\n" in after
    assert len(made(shop.run())) == 6
    assert sum(own.saved().values()) == 6


def test_a_torn_last_line_was_never_promised(shop: Shop, own: Own) -> None:
    """Half a line at the end is kept aside and dropped; the run goes on and its journal is whole."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=5))
    run = killed_after(shop, own, 1)
    with (run / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"t":"done","key":"flat/s/ta')
    code, _, err = shop.animerun("resume", "--server", own.url)

    assert code == 0, err
    assert len(made(run)) == 5
    assert (run / "journal.jsonl.torn").read_bytes() == b'{"t":"done","key":"flat/s/ta\n'


def test_damage_in_the_middle_is_named_by_its_line(shop: Shop, own: Own) -> None:
    """Exit 7 with file and line; nothing is submitted."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=5))
    run = killed_after(shop, own, 1)
    until("the server to be done", own.idle)
    content = (run / "journal.jsonl").read_bytes().split(b"\n")
    content[2] = content[2].replace(b'"t"', b'"x"', 1)
    (run / "journal.jsonl").write_bytes(b"\n".join(content))
    before = own.saved()
    code, _, err = shop.animerun("resume", run.name, "--server", own.url)

    assert code == 7, err
    assert "journal.jsonl:3" in err
    assert own.saved() == before


def test_damage_of_an_old_run_stops_the_same_command_until_it_is_repaired(shop: Shop, own: Own) -> None:
    """Exit 7 with the line and the command that saves it; after it everything is there and was made once."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=3))
    run = killed_after(shop, own, 1)
    content = (run / "journal.jsonl").read_bytes().split(b"\n")
    content[2] = content[2].replace(b'"t"', b'"x"', 1)
    (run / "journal.jsonl").write_bytes(b"\n".join(content))
    until("the server to be done", own.idle)
    before = own.saved()
    code, _, err = shop.animerun("flat.yaml", "--server", own.url)

    assert code == 7, err
    assert f"{run.name}/journal.jsonl:3" in err
    assert f"→ animerun repair {run.name}" in err
    assert own.saved() == before
    assert shop.animerun("repair", run.name)[0] == 0
    code, _, err = shop.animerun("flat.yaml", "--server", own.url)
    assert code == 0, err
    assert sorted(own.saved().values()) == [1, 1, 1]


def test_a_run_that_cannot_be_settled_is_named(shop: Shop, own: Own) -> None:
    """Where the frozen plan of a killed run is damaged, the same command says that it leaves that run alone."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=3))
    run = killed_after(shop, own, 1)
    (run / "plan" / "index.json").write_text("{")
    code, _, err = shop.animerun("flat.yaml", "--server", own.url)

    assert code == 0, err
    assert f"warning: run {run.name} cannot be settled and is left as it is" in err


def test_another_realm_is_refused(shop: Shop, own: Own) -> None:
    """A run of cards is not continued with pictures: exit 2, and what to type."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=4))
    run = killed_after(shop, own, 1)
    journal = (run / "journal.jsonl").read_text()
    assert '"realm":"previz"' in journal
    _rewritten(run, lambda line: line | {"realm": "comfyui"} if line["t"] == "run" else line)
    code, _, err = shop.animerun("resume", run.name, "--server", own.url)

    assert code == 2
    assert "real pictures" in err


def _rewritten(run: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    from runner.manifest.journal import encode

    path, check, whole = run / "journal.jsonl", 0, b""
    for line in list(Reading(path)):
        raw, check = encode(change(line), check)
        whole += raw
    path.write_bytes(whole)


def test_a_run_that_is_still_being_made_is_locked(shop: Shop, own: Own) -> None:
    """Exit 5 while another process writes the journal; that one is not disturbed."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=10))
    own.allow(1)
    process = shop.start("flat.yaml", "--server", own.url)
    until("a first job", lambda: begun(shop, 1))
    code, _, err = shop.animerun("resume", shop.run().name, "--server", own.url)
    own.open()
    process.communicate(timeout=WAIT_S)

    assert code == 5
    assert "another process" in err
    assert process.returncode == 0


def test_the_same_command_waits_its_turn_behind_a_resume(shop: Shop, own: Own) -> None:
    """While `resume` continues a run of the spec, the spec itself is refused with 5: nothing is made twice."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=10))
    killed_after(shop, own, 1)
    own.shut()
    own.allow(1)
    process = shop.start("resume", "--server", own.url)
    until("a second job", lambda: begun(shop, 2))
    code, _, err = shop.animerun("flat.yaml", "--server", own.url)
    own.open()
    process.communicate(timeout=WAIT_S)

    assert code == 5, err
    assert process.returncode == 0
    assert set(own.saved().values()) == {1}
    assert sum(own.saved().values()) == 10


def test_resume_uses_the_spec_as_it_was(shop: Shop, own: Own) -> None:
    """Editing the spec meanwhile changes nothing of what the run makes."""
    shop.template("slow", GATED)
    path = shop.write("flat.yaml", spec(jobs=5))
    run = killed_after(shop, own, 1)
    path.write_text(
        path.read_text().replace("takes: 5", "takes: 9, number: 1", 1).replace("number", "nonsense", 1)
    )
    shop.template("slow", "nothing of use")
    code, _, err = shop.animerun("resume", "--server", own.url)

    assert code == 0, err
    assert len(made(run)) == 5


def test_a_spec_edited_during_the_run_changes_nothing_and_is_told(shop: Shop, own: Own) -> None:
    """The run keeps to what it has read and says at its end which files are newer."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=4))
    own.allow(1)
    process = shop.start("flat.yaml", "--server", own.url)
    until("a job", lambda: begun(shop, 1))
    shop.write("flat.yaml", spec(jobs=2))
    shop.template("slow", GATED + "\n")
    own.open()
    _, err = process.communicate(timeout=WAIT_S)

    assert process.returncode == 0, err
    assert "4 jobs made" in err
    assert "edited during the run, which kept to what it had read: flat.yaml, templates/slow.json.j2;" in err


def test_resume_keeps_the_scope(shop: Shop, own: Own) -> None:
    """`--only` and `--set` of the first command hold for the rest of the run."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=2))
    run = killed_after(shop, own, 1, "--set", "takes=6", "--only", "take=1,2,3,4")
    code, _, err = shop.animerun("resume", "--server", own.url)

    assert code == 0, err
    assert sorted(made(run)) == [f"flat/s/take={n}" for n in (1, 2, 3, 4)]


def test_failed_jobs_are_tried_again_when_asked(shop: Shop, own: Own) -> None:
    """A failed job stays failed, exit 1, until --retry-failed gives it its next attempt."""
    bad = FLAT.replace('"images": ["empty", 0]', '"images": ["load", 0]').replace(
        '"out":',
        '"load": {"class_type": "TRaise", "inputs": {"image": ["empty", 0], "kind": "value"}},\n  "out":',
    )
    shop.template("slow", GATED)
    shop.template("bad", bad)
    shop.write("flat.yaml", spec().replace("takes: 6", "vary: {template: [bad, slow]}, takes: 3"))
    own.allow(1)
    process = shop.start("flat.yaml", "--server", own.url)
    until("three failures and a job", lambda: begun(shop, 1) and len(lines(runs(shop)[0], "failed")) == 3)
    kill(process)
    own.open()
    run = shop.run()
    plain, _, _ = shop.animerun("resume", "--server", own.url)
    failed = len(lines(run, "failed"))
    again, _, _ = shop.animerun("resume", run.name, "--server", own.url, "--retry-failed")

    assert (plain, failed) == (1, 3)
    assert again == 1
    assert sorted(line["n"] for line in lines(run, "failed")) == [1, 1, 1, 2, 2, 2]
    assert len(made(run)) == 3


def test_lost_attempts_get_the_next_number(shop: Shop, tmp_path: Path) -> None:
    """When the server is gone with what it held, another one makes those jobs with their next attempt."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=5))
    for number in (1, 2):
        (tmp_path / f"server{number}").mkdir()
    with serving(tmp_path / "server1" / "files") as url:
        run = killed_after(shop, Own(url, tmp_path / "server1" / "files"), 1)
    left = {line["key"] for line in lines(run, "intent")} - set(made(run))
    with serving(tmp_path / "server2" / "files") as url:
        Own(url, tmp_path / "server2" / "files").open()
        code, _, err = shop.animerun("resume", "--server", url)

    assert code == 0, err
    assert left
    assert {line["key"]: line["n"] for line in lines(run, "intent") if line["key"] in left} == dict.fromkeys(
        left, 2
    )
    assert [line["final"] for line in lines(run, "failed")] == [False] * len(left)
    assert len(made(run)) == 5


def test_the_same_command_leaves_another_servers_attempts_alone(shop: Shop, own: Own, tmp_path: Path) -> None:
    """A look at the cards while a real server still renders must not give up what it renders."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=4))
    run = killed_after(shop, own, 1)
    before = (run / "journal.jsonl").read_bytes()
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other" / "files") as url:
        Own(url, tmp_path / "other" / "files").open()
        code, _, err = shop.animerun("flat.yaml", "--server", url)

    assert code == 0, err
    assert (run / "journal.jsonl").read_bytes() == before


def test_resume_submits_before_the_open_attempts_are_settled(shop: Shop, own: Own) -> None:
    """Two attempts that nobody has hold up their own jobs for the settle time, and no other job."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=6))
    run = killed_after(shop, own, 1)
    until("the server to be done", own.idle)
    ids = {line["id"] for line in lines(run, "intent")} - {line["id"] for line in lines(run, "done")}
    httpx.post(f"{own.url}/history", json={"delete": sorted(ids)}, trust_env=False, verify=False)
    launched = time.time()
    code, _, err = shop.animerun("resume", "--server", own.url)
    later = [line for line in lines(run, "intent") if line["at"] > launched]
    lost = [line["at"] for line in lines(run, "failed")]

    assert code == 0, err
    assert ids
    assert len(lost) == len(ids)
    assert all(at - launched > 8 for at in lost)
    assert min(line["at"] for line in later) < min(lost) - 4
    assert len(made(run)) == 6


def test_resume_takes_over_what_other_runs_made(shop: Shop, own: Own) -> None:
    """Jobs that were up to date when the run was killed are shared by the resumed run, not rendered."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=4))
    own.open()
    shop.animerun("flat.yaml", "--server", own.url)
    [first] = runs(shop)
    _, second = _killed_before_sharing(shop, own, first)
    code, _, err = shop.animerun("resume", second.name, "--server", own.url)

    assert code == 0, err
    assert len(lines(second, "reused")) == 4
    assert sum(own.saved().values()) == 6


def _killed_before_sharing(shop: Shop, own: Own, first: Path) -> tuple[Path, Path]:
    """Kill a rerun with two more takes, and take from its journal that it had shared anything."""
    path = shop.folder / "flat.yaml"
    path.write_text(path.read_text().replace("takes: 4", "takes: 6"))
    own.shut()
    process = shop.start("flat.yaml", "--server", own.url)
    until("a second run", lambda: len(runs(shop)) == 2 and lines(runs(shop)[1], "intent"))
    kill(process)
    own.open()
    second = runs(shop)[1]
    until("the server to be done", own.idle)
    shared = {line["key"] for line in lines(second, "reused")}
    kept = [
        line
        for line in Reading(second / "journal.jsonl")
        if not (line["t"] in ("reused", "job") and line["key"] in shared)
    ]
    _written(second, kept)
    return first, second


def _written(run: Path, kept: Lines) -> None:
    from runner.manifest.journal import encode

    check, whole = 0, b""
    for line in kept:
        raw, check = encode(line, check)
        whole += raw
    (run / "journal.jsonl").write_bytes(whole)


def test_half_downloads_of_a_killed_process_go(shop: Shop, own: Own) -> None:
    """A `.part` file that a killed process left is removed when its run goes on."""
    shop.template("slow", GATED)
    shop.write("flat.yaml", spec(jobs=4))
    run = killed_after(shop, own, 1)
    part = run / "s" / ".flat_s_t04.0123abcd.part"
    part.write_bytes(b"half")
    shop.animerun("resume", "--server", own.url)

    assert not part.exists()
    assert len(shop.outputs()) == 4


@pytest.mark.parametrize("how", ["resume", "flat.yaml"])
def test_what_a_killed_process_had_taken_over_goes(shop: Shop, own: Own, how: str) -> None:
    """A name of an earlier run's file that was not recorded yet is removed; links that people made stay."""
    shop.template("slow", GATED)
    text = spec(jobs=4)
    shop.write("flat.yaml", text)
    own.open()
    shop.animerun("flat.yaml", "--server", own.url)
    [first] = runs(shop)
    shop.write("flat.yaml", text.replace("takes: 4", "takes: 6"))
    own.shut()
    process = shop.start("flat.yaml", "--server", own.url)
    until("a second run", lambda: len(runs(shop)) == 2 and lines(runs(shop)[1], "intent"))
    kill(process)
    own.open()
    run = runs(shop)[1]
    source = next(first.rglob("*.png"))
    took, favourite = run / "s" / "flat_s_t05~2.png", run / "s" / "favourite.png"
    took.hardlink_to(source)
    favourite.hardlink_to(source)
    code, _, err = shop.animerun(how, "--server", own.url)

    assert code == 0, err
    assert not took.exists()
    assert favourite.exists()
    assert all((run / output["path"]).exists() for line in lines(run, "reused") for output in line["outputs"])


def test_a_run_killed_before_anything_was_recorded_is_no_bug(shop: Shop) -> None:
    """There is nothing to continue in a journal of one line; its spec is to be run again."""
    folder = shop.folder / "runs" / "flat-1"
    folder.mkdir(parents=True)
    Journal.create(folder / "journal.jsonl", run="flat-1").close()
    code, _, err = shop.animerun("resume", "flat-1", "--server", "http://127.0.0.1:1")

    assert code == 2
    assert "flat-1 was stopped before anything of it was recorded" in err
    assert "run its spec again" in err


def test_nothing_to_resume_is_told(shop: Shop, own: Own) -> None:
    """With every run complete `resume` refuses with exit 2 and says what could be meant."""
    shop.template("slow", FLAT)
    shop.write("flat.yaml", spec(jobs=1))
    shop.animerun("flat.yaml", "--server", own.url)
    code, _, err = shop.animerun("resume", "--server", own.url)

    assert code == 2
    assert "complete" in err
    assert "--retry-failed" in err


def test_a_run_killed_before_its_index_was_published_is_shown_all_the_same(shop: Shop, own: Own) -> None:
    """Finding that there is nothing to do publishes the index that a killed process could not."""
    shop.template("slow", FLAT)
    shop.write("flat.yaml", spec(jobs=2))
    shop.animerun("flat.yaml", "--server", own.url)
    published = shop.folder / "runs" / "manifest.duckdb"
    published.unlink()
    code, _, err = shop.animerun("flat.yaml", "--server", own.url)

    assert code == 0
    assert "Nothing to do" in err
    with duckdb.connect(str(published), read_only=True) as db:
        assert db.sql("select count(*) from job_state where state = 'succeeded'").fetchall() == [(2,)]
