from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import door
from runner.errors import RecordDamaged, RunLocked, StorageError
from runner.manifest.journal import FORMAT, Journal, Reading, encode, last_line, seal
from tests.sim.disks import Failing


def written(path: Path, count: int = 5) -> list[dict[str, object]]:
    journal = Journal.create(path, run="r")
    for number in range(count):
        journal.append({"t": "x", "number": number, "text": '夕焼け \u2028 "q" \udcff'})
    journal.close()
    return list(Reading(path))


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    """Every line comes back as it was, in order, whatever its text."""
    lines = written(tmp_path / "j")

    assert [line.get("number") for line in lines] == [None, 0, 1, 2, 3, 4]
    assert lines[3]["text"] == '夕焼け \u2028 "q" \udcff'


def test_every_line_is_json_by_itself(tmp_path: Path) -> None:
    """A journal can be read with any JSON tool, one line at a time."""
    journal = Journal.create(tmp_path / "j", run="r")
    journal.append({"t": "x", "n": 1})
    journal.close()

    assert [json.loads(line)["t"] for line in (tmp_path / "j").read_text().splitlines()] == ["journal", "x"]


def test_nothing_counts_before_commit(tmp_path: Path) -> None:
    """An appended line is not in the file until it is committed."""
    journal = Journal.create(tmp_path / "j", run="r")
    journal.append({"t": "x"})

    assert len(list(Reading(tmp_path / "j"))) == 1
    journal.commit()
    assert len(list(Reading(tmp_path / "j"))) == 2
    journal.close()


def test_reading_goes_on_where_it_ended(tmp_path: Path) -> None:
    """A later reading from the position of an earlier one yields only what is new."""
    path = tmp_path / "j"
    journal = Journal.create(path, run="r")
    first = Reading(path)
    list(first)
    journal.append({"t": "x", "n": 1})
    journal.close()

    assert list(Reading(path, first.position)) == [{"t": "x", "n": 1}]


def test_a_torn_last_line_is_dropped_and_kept_aside(tmp_path: Path) -> None:
    """A line without its end was never promised: resuming cuts it off and keeps it in .torn."""
    path = tmp_path / "j"
    whole = written(path)
    with path.open("ab") as file:
        file.write(b'{"t":"x","number":9')
    journal, lines = Journal.resume(path)
    journal.append({"t": "x", "number": 10})
    journal.close()

    assert lines == whole
    assert [line.get("number") for line in Reading(path)][-2:] == [4, 10]
    assert (tmp_path / "j.torn").read_bytes() == b'{"t":"x","number":9\n'


def test_damage_in_the_middle_names_the_line(tmp_path: Path) -> None:
    """One changed byte before the last line is damage, with file and line in the message."""
    path = tmp_path / "j"
    written(path)
    content = bytearray(path.read_bytes())
    content[content.index(b'"number":2') + 9] = ord("7")
    path.write_bytes(content)

    with pytest.raises(RecordDamaged, match=r"j:4: "):
        list(Reading(path))


@pytest.mark.parametrize("move", ["drop", "double", "swap"])
def test_whole_lines_out_of_place_are_damage(tmp_path: Path, move: str) -> None:
    """A line that is missing, doubled or moved breaks the chain although each line is whole."""
    path = tmp_path / "j"
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "drop": lines[:2] + lines[3:],
        "double": lines[:3] + lines[2:],
        "swap": [*lines[:2], lines[3], lines[2], *lines[4:]],
    }[move]
    path.write_bytes(b"".join(changed))

    with pytest.raises(RecordDamaged):
        list(Reading(path))


@settings(max_examples=120)
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """After any flipped bit, reading either says so or yields a true prefix."""
    path = tmp_path_factory.mktemp("flip") / "j"
    whole = written(path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    reading = Reading(path)
    try:
        lines = list(reading)
    except RecordDamaged:
        return

    assert reading.torn
    assert lines == whole[: len(lines)]


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    """Creating a journal where one is refuses."""
    written(tmp_path / "j")

    with pytest.raises(RunLocked, match="exists already"):
        Journal.create(tmp_path / "j", run="r")


def test_a_full_disk_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails is told with path and reason, and does not count."""
    journal = Journal.create(tmp_path / "j", run="r")
    journal.append({"t": "x"})

    def full(fd: int, block: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(StorageError, match="No space left"):
            journal.commit()
    assert len(list(Reading(tmp_path / "j"))) == 1
    journal.close()


def test_a_write_that_failed_in_part_is_never_followed_by_another(tmp_path: Path) -> None:
    """When the disk fills up in the middle of a line, the part is cut off and closing writes nothing more."""
    path = tmp_path / "journal.jsonl"
    journal = Journal.create(path, run="r1")
    before = path.read_bytes()
    # Acts so far in the world entered here: none; the first is the write of the next commit.
    with door.entered(door.World(disk=Failing(1, errno.ENOSPC))):
        journal.append({"t": "intent", "key": "k" * 100})
        with pytest.raises(
            StorageError, match=r"No space left on device \([\d,]+ bytes free, [\d,]+ bytes needed"
        ):
            journal.commit()
    journal.append({"t": "end"})
    with pytest.raises(StorageError):
        journal.commit()
    journal.close()

    assert path.read_bytes() == before
    again, lines = Journal.resume(path)
    again.close()
    assert [line["t"] for line in lines] == ["journal"]


def test_two_commits_at_once_write_every_line_once(tmp_path: Path) -> None:
    """A commit that comes while another is at the disk waits for it, and writes what that one has not."""

    class Meanwhile(door.Disk):
        def sync(self, fd: int) -> None:
            if not seconds:
                journal.append({"t": "y"})
                seconds.append(threading.Thread(target=journal.commit))
                seconds[0].start()
                seconds[0].join(0.2)
            super().sync(fd)

    seconds: list[threading.Thread] = []
    journal = Journal.create(tmp_path / "j", run="r")
    journal.append({"t": "x"})
    with door.entered(door.World(disk=Meanwhile())):
        journal.commit()
        seconds[0].join()
    journal.close()

    assert [line["t"] for line in Reading(tmp_path / "j")] == ["journal", "x", "y"]


def test_the_last_line_is_read_alone(tmp_path: Path) -> None:
    """It is told without reading the rest; a torn one behind it does not count, nor one that is no JSON."""
    path = tmp_path / "journal.jsonl"
    assert last_line(path) == {}
    with closing(Journal.create(path, run="r")) as journal:
        for number in range(3):
            journal.append({"t": "note", "n": number})
        journal.commit()
    assert (last_line(path)["t"], last_line(path)["n"]) == ("note", 2)
    with path.open("ab") as file:
        file.write(b'{"t":"end"')
    assert last_line(path)["n"] == 2
    with path.open("ab") as file:
        file.write(b"\n")
    assert last_line(path) == {}


def test_a_newer_format_is_named_and_not_read(tmp_path: Path) -> None:
    """A journal of a later animerun is refused by its versions, not taken for damage somewhere in it."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode({"t": "journal", "format": FORMAT + 1}, 0)[0])

    with pytest.raises(
        RecordDamaged, match=rf"newer animerun \(format {FORMAT + 1}, this one knows {FORMAT}\)"
    ):
        list(Reading(path))


class Paced(door.World):
    """Calls *meanwhile* with the number of each pause, and waits for nothing."""

    def __init__(self, meanwhile: Callable[[int], object]) -> None:
        super().__init__()
        self.pauses = 0
        self._meanwhile = meanwhile

    def pause(self, seconds: float) -> None:
        self.pauses += 1
        self._meanwhile(self.pauses)


def test_who_only_looks_makes_no_start_fail(tmp_path: Path) -> None:
    """A lock that is shared for a moment is waited for, not for long; one that is held is refused at once."""
    import fcntl

    path = tmp_path / "j"
    written(path)
    with path.open("rb") as looker:

        def leaves(pause: int) -> None:
            fcntl.flock(looker, fcntl.LOCK_UN if pause == 3 else fcntl.LOCK_SH)

        leaves(0)
        with door.entered(Paced(leaves)) as world:
            Journal.resume(path)[0].close()
        assert isinstance(world, Paced)
        assert world.pauses == 3

        fcntl.flock(looker, fcntl.LOCK_SH)
        with door.entered(Paced(lambda _: None)) as stays, pytest.raises(RunLocked):
            Journal.resume(path)
        assert isinstance(stays, Paced)
        assert stays.pauses == 50

        fcntl.flock(looker, fcntl.LOCK_EX)
        with door.entered(Paced(lambda _: pytest.fail("waited"))), pytest.raises(RunLocked):
            Journal.resume(path)


HOLDING = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print(); input()"


def test_a_lock_names_its_own_holder_among_others(tmp_path: Path) -> None:
    """Two processes hold two journals: a refusal names the process that holds this one."""
    holders = {}
    for name in ("a", "b"):
        written(tmp_path / name)
        command = [sys.executable, "-c", HOLDING, str(tmp_path / name)]
        holders[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holders[name].stdout.readline()
    told = {}
    for name in holders:
        with pytest.raises(RunLocked) as caught:
            Journal.resume(tmp_path / name)
        told[name] = str(caught.value)
    for holder in holders.values():
        holder.communicate(b"\n")

    assert [f"pid {holder.pid} on " in told[name] for name, holder in holders.items()] == [True, True], told


@pytest.mark.parametrize(
    "body",
    [
        b'{"t":"x","v":' + b"[" * 100_000 + b"]" * 100_000,
        b'{"t":"x","v":' + b"9" * 5_000,
        b'{"t":"x","v":@@',
        b'{"t":"\xff"',
        b"[1",
        b'{"x":1',
        b'{"t":["end"]',
        b'{"t":"journal","format":"x"',
    ],
    ids=lambda body: str(body[:14]),
)
def test_a_sealed_line_that_is_none_of_ours_is_damage(tmp_path: Path, body: bytes) -> None:
    """A right checksum does not make a line of what cannot be read or says no kind of fact."""
    raw, check = seal(body, 0)
    path = tmp_path / "j"
    path.write_bytes(raw + seal(b'{"t":"x"', check)[0])

    with pytest.raises(RecordDamaged, match=r"j:1: "):
        list(Reading(path))
