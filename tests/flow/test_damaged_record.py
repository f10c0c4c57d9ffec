"""A journal that was damaged before it was indexed: told before anything is rendered, saved, then reused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runner.cli import call
from runner.manifest.journal import Journal, Position, Reading
from runner.manifest.store import keep_up
from tests.flow.conftest import Shop
from tests.flow.test_main_job import FLAT, spec
from tests.manifest.records import damage

JOBS = 3


class Desk:
    """A project with one finished run, and animerun called in it as from a shell."""

    def __init__(self, shop: Shop, server: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.shop, self.server, self._capsys = shop, server, capsys

    def animerun(self, *words: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = call(list(words))
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    def render(self, name: str = "flat.yaml", *more: str) -> tuple[int, list[str], str]:
        """Return the exit code, the keys that were submitted, and what was said."""
        code, out, err = self.animerun(name, "--server", self.server, "--json", *more)
        told = [json.loads(line) for line in out.splitlines()]
        return code, [line["key"] for line in told if line["event"] == "submitting"], err

    def line_of(self, kind: str) -> int:
        """Return the number of the last line of a *kind* in the journal of the run."""
        lines = list(Reading(self.shop.run() / "journal.jsonl"))
        return max(number for number, line in enumerate(lines, 1) if line["t"] == kind)


@pytest.fixture(scope="module")
def finished(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finished run, to be copied."""
    shop = Shop(tmp_path_factory.mktemp("finished"))
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat", jobs=JOBS))
    shop.write("other.yaml", spec("flat", jobs=JOBS).replace("episode: ", "episode: other_"))
    assert shop.animerun("flat.yaml", "--server", server)[0] == 0
    return shop.folder


@pytest.fixture
def desk(
    shop: Shop,
    finished: Path,
    server: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    monkeypatch.chdir(shop.folder)
    shutil.copytree(finished, shop.folder, dirs_exist_ok=True)
    return Desk(shop, server, capsys)


def forget(desk: Desk, index: str) -> None:
    """Have an index that knows nothing of the run: none at all, or one of before it."""
    runs = desk.shop.folder / "runs"
    shutil.rmtree(runs / ".index")
    (runs / "manifest.duckdb").unlink()
    if index == "older":
        run = desk.shop.run()
        run.rename(desk.shop.folder / "away")
        keep_up(runs)
        (desk.shop.folder / "away").rename(run)


@pytest.mark.parametrize("index", ["none", "older"])
@pytest.mark.parametrize("kind", ["run", "shape", "job", "intent", "done"])
def test_damage_is_told_before_anything_is_rendered(desk: Desk, index: str, kind: str) -> None:
    """plan says it; SPEC and resume end with 7 and the command that saves the rest; list and diff go on."""
    run = desk.shop.run()
    forget(desk, index)
    number = desk.line_of(kind)
    damage(run / "journal.jsonl", number, byte=30)
    place = f"journal.jsonl:{number}:"
    planned = desk.animerun("plan", "flat.yaml")
    refused = desk.render()
    resumed = desk.animerun("resume", "--server", desk.server)
    named = desk.animerun("resume", run.name, "--server", desk.server)
    listed = desk.animerun("list")
    asked = [
        desk.animerun("diff", run.name, run.name),
        desk.animerun("show", "--run", run.name),
        desk.animerun("show"),
        desk.animerun("explain", "flat/s/take=3"),
        desk.animerun("accept", run.name),
        desk.animerun("replay", run.name, "--server", desk.server),
        desk.animerun("export", run.name),
    ]

    assert [said[0] for said in asked] == [2, 7, 7, 7, 7, 7, 7]
    for said in asked:
        assert (place in said[2], said[1]) == (True, "")
    assert planned[0] == 0
    assert (refused[0], refused[1]) == (7, [])
    assert named[0] == 7
    for said in (planned[2], refused[2], resumed[2], named[2], listed[2]):
        assert place in said
        assert f"→ animerun repair {run.name}" in said
    assert resumed[0] == 7
    assert listed[0] == 0
    assert len(desk.shop.outputs()) == JOBS


@pytest.mark.parametrize(
    "kind", ["run", "template", "declared", "shape", "variant", "job", "intent", "done", "end"]
)
def test_after_repair_nothing_whole_is_rendered_again(desk: Desk, kind: str) -> None:
    """Whatever line is lost: what the rest of the journal proves to be made is reused, in the same run."""
    run = desk.shop.run()
    asked = ("show", "flat/s/take=3", "--run", run.name)
    before = [desk.animerun(*asked, *more)[1] for more in ((), ("--workflow",))]
    number = desk.line_of(kind)
    [line] = list(Reading(run / "journal.jsonl"))[number - 1 : number]
    lost = {line["key"]} if kind == "done" else set()
    forget(desk, "none")
    damage(run / "journal.jsonl", number, byte=30)
    mended = desk.animerun("repair", run.name)
    code, submitted, said = desk.render()

    assert mended[0] == 0, mended[2]
    if kind != "done":
        assert [desk.animerun(*asked, *more)[1] for more in ((), ("--workflow",))] == before
    assert code == 0, said
    assert set(submitted) <= lost
    assert desk.animerun("verify", run.name)[0] == 0


def test_damage_of_another_spec_is_a_warning(desk: Desk) -> None:
    """A run of another spec is left out by name, and everything of this one is made."""
    run = desk.shop.run()
    forget(desk, "none")
    damage(run / "journal.jsonl", desk.line_of("job"), byte=30)
    code, submitted, _ = desk.render("other.yaml")

    assert code == 0
    assert len(submitted) == JOBS
    planned = desk.animerun("plan", "other.yaml")[2]
    assert f"{run.name} is left out" in planned
    assert "exit 7" not in planned


def test_damage_of_the_notes_is_damage_of_the_run(desk: Desk) -> None:
    """Notes say what is a baseline and what a gate refused: without them the run is not known, so 7."""
    run = desk.shop.run()
    for _ in range(3):
        assert desk.animerun("verify")[0] == 0
    forget(desk, "none")
    damage(run / "notes.jsonl", 2, byte=30)
    refused = desk.render()
    mended = desk.animerun("repair")

    assert (refused[0], refused[1]) == (7, [])
    assert "notes.jsonl:2:" in refused[2]
    assert mended[0] == 0
    assert desk.render()[:2] == (0, [])


def test_a_baseline_that_cannot_be_read_is_not_called_missing(desk: Desk) -> None:
    """The mark of a baseline lies in a record that is damaged: 7, not that no run was accepted."""
    run = desk.shop.run()
    assert desk.animerun("accept", run.name)[0] == 0
    forget(desk, "none")
    damage(run / "journal.jsonl", 5, byte=30)
    code, submitted, said = desk.render("flat.yaml", "--baseline", "accepted")

    assert (code, submitted) == (7, [])
    assert "was accepted" not in said


def test_a_torn_tail_is_no_damage(desk: Desk) -> None:
    """A last line that was never finished was never promised: the run counts, and nothing is said."""
    run = desk.shop.run()
    forget(desk, "none")
    with (run / "journal.jsonl").open("ab") as file:
        file.write(b'{"t":"intent","key":"x')
    code, submitted, said = desk.render()

    assert (code, submitted) == (0, [])
    assert "warning" not in said


def test_damage_behind_an_index_that_has_it_all_stops_nothing(desk: Desk) -> None:
    """What was indexed before the damage is known: nothing is rendered and the files are used."""
    run = desk.shop.run()
    keep_up(desk.shop.folder / "runs")
    damage(run / "journal.jsonl", desk.line_of("job"), byte=30)

    assert desk.render()[:2] == (0, [])


def test_a_line_that_no_repair_changes_costs_its_own_run_alone(desk: Desk) -> None:
    """A journal of a newer animerun is whole: it is left out, named, and the spec is run."""
    runs = desk.shop.folder / "runs"
    sound, newer = desk.shop.run(), runs / "flat-20300101T000000Z-aaaa"
    newer.mkdir()
    shutil.copy(sound / "run.json", newer / "run.json")
    journal = Journal(newer / "journal.jsonl", Position())
    journal.append({"t": "journal", "format": 99, "run": newer.name})
    journal.append({"t": "end", "at": 1.0, "code": 0, "reason": ""})
    journal.close()
    code, submitted, _ = desk.render()
    planned = desk.animerun("plan", "flat.yaml")[2]

    assert (code, submitted) == (0, [])
    assert "was written by a newer animerun" in planned
    assert "exit 7" not in planned


def test_resume_goes_past_no_damaged_run(desk: Desk) -> None:
    """Without a name it the newest unfinished run is meant: one that cannot be read is told with 7."""
    run = desk.shop.run()
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (run / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    forget(desk, "none")
    damage(run / "journal.jsonl", 5, byte=30)
    code, _, said = desk.animerun("resume", "--server", desk.server)

    assert code == 7
    assert "journal.jsonl:5:" in said
    assert f"→ animerun repair {run.name}" in said


def test_resume_of_a_run_looks_at_others_of_its_spec(desk: Desk) -> None:
    """What a damaged run of the same spec has made would be made again: 7, and nothing is submitted."""
    first = desk.shop.run()
    assert desk.render("flat.yaml", "--force")[0] == 0
    runs = desk.shop.folder / "runs"
    second = next(path.parent for path in runs.glob("*/journal.jsonl") if path.parent != first)
    lines = (second / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (second / "journal.jsonl").write_bytes(b"".join(lines[:-3]))
    shutil.rmtree(runs / ".index")
    (runs / "manifest.duckdb").unlink()
    damage(first / "journal.jsonl", 5, byte=30)
    code, out, said = desk.animerun("resume", second.name, "--server", desk.server, "--json")

    assert code == 7
    assert "submitting" not in out
    assert f"{first.name}/journal.jsonl:5:" in said
