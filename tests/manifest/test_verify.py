from __future__ import annotations

from pathlib import Path

import pytest

from runner import door
from runner.manifest.notes import add_note, read_notes
from runner.manifest.verify import facts_of, verify
from tests.manifest.records import damage, run_of


def test_a_sound_run_is_sound(tmp_path: Path) -> None:
    """Every file is read, and nothing is wrong."""
    found = verify(run_of(tmp_path, "r"))

    assert (found.sound, found.files, found.extra) == (True, 3, [])
    assert found.size == 3 * 60


def test_each_fault_is_named(tmp_path: Path) -> None:
    """Missing, changed and unrecorded files are told apart; the last are no fault."""
    folder = run_of(tmp_path, "r")
    (folder / "s" / "00.png").unlink()
    content = (folder / "s" / "01.png").read_bytes()
    (folder / "s" / "01.png").write_bytes(content[:-1] + b"x")
    (folder / "s" / "mine.txt").write_text("x")
    found = verify(folder)

    assert [(each.path, each.key) for each in found.missing] == [("s/00.png", "ep/s/take=0")]
    assert [each.path for each in found.changed] == ["s/01.png"]
    assert found.extra == ["s/mine.txt"]
    assert not found.sound
    assert facts_of(found, quick=False)["counts"] == [1, 1, 1]


@pytest.mark.parametrize(("content", "sound"), [(b"x" * 60, True), (b"x" * 59, False)])
def test_quick_compares_sizes(tmp_path: Path, content: bytes, sound: bool) -> None:
    """What has its size is taken for sound without reading it."""
    folder = run_of(tmp_path, "r")
    (folder / "s" / "01.png").write_bytes(content)

    assert verify(folder, quick=True).sound is sound
    assert not verify(folder).sound


def test_a_link_is_no_output(tmp_path: Path) -> None:
    """A file replaced by a link to another is missing, whatever the other holds."""
    folder = run_of(tmp_path, "r")
    (folder / "s" / "00.png").rename(tmp_path / "elsewhere.png")
    (folder / "s" / "00.png").symlink_to(tmp_path / "elsewhere.png")

    assert [each.path for each in verify(folder).missing] == ["s/00.png"]


def test_a_damaged_journal_is_named_by_its_line(tmp_path: Path) -> None:
    """Files that its whole lines tell of are verified all the same."""
    folder = run_of(tmp_path, "r")
    damage(folder / "journal.jsonl", 7)
    found = verify(folder)

    assert "journal.jsonl:7:" in found.damaged[0]
    assert (found.files, found.extra, found.sound) == (2, ["s/00.png"], False)


def test_damaged_notes_are_named(tmp_path: Path) -> None:
    """Notes are part of the record."""
    folder = run_of(tmp_path, "r")
    add_note(folder, "baseline", {}, at=1.0)
    add_note(folder, "verified", {}, at=2.0)
    damage(folder / "notes.jsonl", 2)

    assert "notes.jsonl:2:" in verify(folder).damaged[0]


def test_what_was_pruned_is_not_missing(tmp_path: Path) -> None:
    """Files that were let go on purpose are counted apart."""
    folder = run_of(tmp_path, "r")
    add_note(folder, "pruned", {"paths": ["s/00.png"]}, at=1.0)
    (folder / "s" / "00.png").unlink()
    found = verify(folder)

    assert (found.sound, found.pruned, found.files) == (True, 1, 2)


def test_notes_come_back_in_order(tmp_path: Path) -> None:
    """Each note is kept, with its time; a torn one at the end is dropped by the next."""
    folder = run_of(tmp_path, "r")
    add_note(folder, "a", {"n": 1}, at=1.0)
    with (folder / "notes.jsonl").open("ab") as file:
        file.write(b'{"t":"no')
    add_note(folder, "b", {"n": 2}, at=2.0)

    assert [(note["kind"], note["at"], note["facts"]) for note in read_notes(folder)] == [
        ("a", 1.0, {"n": 1}),
        ("b", 2.0, {"n": 2}),
    ]


def test_two_first_notes_at_once_are_both_kept(tmp_path: Path) -> None:
    """The file of notes that another process made between our look for it and our lock is gone on with."""

    class Meanwhile(door.World):
        def effect(self, name: str) -> None:
            if not notes.is_file() and not began:
                began.append(name)
                add_note(notes.parent, "baseline", {"a": 1}, at=1.0)

    began: list[str] = []
    notes = run_of(tmp_path, "a") / "notes.jsonl"
    with door.entered(Meanwhile()):
        add_note(notes.parent, "verified", {"b": 2}, at=2.0)

    assert began == ["open"]
    assert [note["kind"] for note in read_notes(notes.parent)] == ["baseline", "verified"]
