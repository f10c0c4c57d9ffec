from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import door, locks
from runner.errors import RecordDamaged, RunLocked
from runner.manifest.journal import Journal, Reading
from runner.manifest.repair import Mended, mend
from runner.manifest.salvage import is_whole, salvage
from runner.manifest.store import Manifest, refresh
from tests.manifest.records import damage, run_of

LINES = 10
"""Lines of `journal_of`: a head and nine more."""


def journal_of(path: Path) -> list[dict[str, object]]:
    path.unlink(missing_ok=True)
    journal = Journal.create(path, run="r")
    for number in range(LINES - 1):
        journal.append({"t": "x", "number": number, "text": f"夕焼け {number}"})
    journal.close()
    return list(Reading(path))


def states(path: Path) -> str:
    return "".join(piece.state[0] for piece in salvage(path))


def mended(folder: Path) -> Mended:
    done = mend(folder, stamp="now")
    assert done is not None
    return done


def files_of(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Path → what a write changes; reading a file may change the time of its last access."""
    stats = {path: path.stat() for path in folder.rglob("*")}
    return {path: (each.st_ino, each.st_size, each.st_ctime_ns) for path, each in stats.items()}


def test_a_whole_journal_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written where nothing is wrong."""
    folder = run_of(tmp_path, "a")
    before = files_of(folder)

    assert mend(folder) is None
    assert files_of(folder) == before


@settings(max_examples=120)
@given(where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_at_most_its_line(
    tmp_path_factory: pytest.TempPathFactory, where: int, bit: int
) -> None:
    """Wherever one bit is flipped, every other line is proven and comes back as it was."""
    path = tmp_path_factory.mktemp("j") / "j"
    lines = journal_of(path)
    content = bytearray(path.read_bytes())
    content[where % len(content)] ^= 1 << bit
    path.write_bytes(content)
    kept = [json.loads(piece.body + b"}") for piece in salvage(path) if piece.state == "proven"]

    assert not is_whole(path)
    assert [line for line in lines if line not in kept] in ([], *([line] for line in lines))
    assert all(line in lines for line in kept)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 40))
def test_nothing_is_proven_that_was_not_written(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    """However much is damaged, what is kept is what was written, in its order."""
    path = tmp_path_factory.mktemp("j") / "j"
    lines = journal_of(path)
    content, chance = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(count):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    kept = [json.loads(piece.body + b"}") for piece in salvage(path) if piece.state == "proven"]
    places = [lines.index(line) for line in kept]

    assert places == sorted(set(places))


def test_a_line_with_a_damaged_body_is_lost_alone(tmp_path: Path) -> None:
    """The line behind it starts from the checksum that is still there."""
    path = tmp_path / "j"
    journal_of(path)
    damage(path, 4)

    assert states(path) == "ppplpppppp"


def test_a_line_with_a_damaged_end_is_kept(tmp_path: Path) -> None:
    """What it should have ended with proves both it and the line behind it."""
    path = tmp_path / "j"
    journal_of(path)
    damage(path, 4, byte=-5)

    assert states(path) == "p" * LINES


def test_a_missing_line_costs_the_one_behind_it(tmp_path: Path) -> None:
    """A line that does not follow on cannot be proven; the next one can."""
    path = tmp_path / "j"
    journal_of(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))

    assert states(path) == "ppplppppp"


def test_a_damaged_newline_costs_nothing(tmp_path: Path) -> None:
    """Two lines run together are parted where one ends and the next begins."""
    path = tmp_path / "j"
    lines = journal_of(path)
    damage(path, 4, byte=-1)

    assert states(path) == "p" * LINES
    assert [json.loads(piece.body + b"}") for piece in salvage(path)] == lines


def test_the_rest_of_a_run_is_saved(tmp_path: Path) -> None:
    """The new journal is whole, the old one is kept, and the job without its end is named with its file."""
    folder = run_of(tmp_path, "a")
    lines = list(Reading(folder / "journal.jsonl"))
    damage(folder / "journal.jsonl", 7)
    with pytest.raises(RecordDamaged, match=r"journal\.jsonl:7:"):
        list(Reading(folder / "journal.jsonl"))
    damaged = (folder / "journal.jsonl").read_bytes()
    done = mended(folder)

    assert list(Reading(folder / "journal.jsonl")) == lines[:6] + lines[7:]
    assert done.lost == [7]
    assert done.kept == len(lines) - 1
    assert (folder / done.original).read_bytes() == damaged
    assert done.open == {"ep/s/take=0": ["s/00.png"]}


def test_a_torn_last_line_is_told_and_dropped(tmp_path: Path) -> None:
    """What was never finished goes aside; no damaged copy is made of a sound journal."""
    folder = run_of(tmp_path, "a")
    path = folder / "journal.jsonl"
    lines = list(Reading(path))
    with path.open("ab") as file:
        file.write(b'{"t":"done","key"')
    done = mended(folder)

    assert (done.torn, done.lost, done.original) == (17, [], "")
    assert list(Reading(path)) == lines
    assert (folder / "journal.jsonl.torn").read_bytes() == b'{"t":"done","key"\n'


def test_the_line_of_the_run_comes_back_from_its_file(tmp_path: Path) -> None:
    """`run.json` says the same as the lost line, so the run stays in the list."""
    folder = run_of(tmp_path, "a")
    path = folder / "journal.jsonl"
    line = list(Reading(path))[1]
    facts = {name: value for name, value in line.items() if name not in ("t", "at")}
    facts |= {"run": "a", "started": "2023-11-14T22:13:20+00:00", "python": "3"}
    (folder / "run.json").write_text(json.dumps(facts))
    damage(path, 2)
    mended(folder)

    assert list(Reading(path))[1] == line


def test_a_lost_head_is_written_again(tmp_path: Path) -> None:
    """The first line says nothing that the folder does not."""
    folder = run_of(tmp_path, "a")
    lines = list(Reading(folder / "journal.jsonl"))
    damage(folder / "journal.jsonl", 1)
    mended(folder)

    assert list(Reading(folder / "journal.jsonl")) == lines


def test_a_lost_intent_is_told_by_its_end(tmp_path: Path) -> None:
    """A job whose intent is lost is still succeeded."""
    folder = run_of(tmp_path, "a")
    damage(folder / "journal.jsonl", 6)
    done = mended(folder)
    with Manifest(tmp_path) as manifest:
        jobs = manifest.query("jobs", run="a")

    assert len(done.restored) == 1
    assert [(job["state"], job["attempts"]) for job in jobs] == [("succeeded", 1)] * 3


def test_jobs_stay_visible_without_the_words_they_share(tmp_path: Path) -> None:
    """A lost variant is told, and takes no job out of the list."""
    folder = run_of(tmp_path, "a")
    damage(folder / "journal.jsonl", 4)
    done = mended(folder)
    with Manifest(tmp_path) as manifest:
        jobs = manifest.query("jobs", run="a")
        told = manifest.query("job", run="a", key="ep/s/take=0")

    assert len(jobs) == 3
    assert "lost" in told[0]["title"]
    assert len(done.missing) == 1


def test_what_can_no_longer_be_replayed_is_told(tmp_path: Path) -> None:
    """A lost workflow shape is named with the number of its jobs."""
    folder = run_of(tmp_path, "a")
    damage(folder / "journal.jsonl", 3)

    assert any("3 jobs" in sentence for sentence in mended(folder).missing)


def test_a_journal_in_use_is_not_touched(tmp_path: Path) -> None:
    """Repair does not get between a writer and its file."""
    folder = run_of(tmp_path, "a")
    damage(folder / "journal.jsonl", 5)
    with (folder / "journal.jsonl").open("ab") as writer:
        locks.take(writer.fileno())
        with pytest.raises(RunLocked):
            mend(folder)


def test_two_repairs_in_one_second_keep_both_originals(tmp_path: Path) -> None:
    """A copy of a damaged file is never written over."""
    folder = run_of(tmp_path, "a")
    names = []
    for _ in range(2):
        damage(folder / "journal.jsonl", 7)
        names.append(mended(folder).original)

    assert len(set(names)) == 2
    assert all((folder / name).is_file() for name in names)


def test_the_index_takes_the_mended_journal_for_the_damaged_one(tmp_path: Path) -> None:
    """An index that had read the old file forgets what is in it no more, by itself."""
    folder = run_of(tmp_path, "a")
    refresh(tmp_path)
    damage(folder / "journal.jsonl", 7)
    mended(folder)
    with Manifest(tmp_path) as manifest:
        seen = manifest.query("jobs", run="a")
        assert manifest.damaged == []
    refresh(tmp_path)
    with Manifest(tmp_path) as manifest:
        assert manifest.query("jobs", run="a") == seen

    assert [job["state"] for job in seen] == ["submitted", "succeeded", "succeeded"]


def test_who_opened_a_file_that_a_repair_replaces_goes_on_at_the_new_one(tmp_path: Path) -> None:
    """What a repair replaces between our opening and our locking has lost its name: nothing is told to it."""

    class Meanwhile(door.Disk):
        def open(self, path: Path, flags: int, mode: int) -> int:
            fd = super().open(path, flags, mode)
            if not opened:
                opened.append(path)
                mended(folder)
            return fd

    opened: list[Path] = []
    folder = run_of(tmp_path, "a", ended=False)
    path = folder / "journal.jsonl"
    damage(path, 5)
    with door.entered(door.World(disk=Meanwhile())):
        journal, lines = Journal.resume(path)
    assert opened == [path]
    with pytest.raises(RunLocked):
        mend(folder)
    journal.append({"t": "end", "at": 1.0, "code": 0, "reason": ""})
    journal.close()

    assert list(Reading(path))[:-1] == lines
    assert list(Reading(path))[-1]["t"] == "end"
