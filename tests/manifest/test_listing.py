"""The newest runs, and which of them are being made at this moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.manifest.journal import Journal, held
from runner.manifest.listing import Wanted, newest
from runner.manifest.store import Manifest
from tests.manifest.records import run_of


def states(runs: Path, asked: str = "") -> dict[str, str]:
    with Manifest(runs) as manifest:
        return {row["run"]: row["state"] for row in newest(manifest, Wanted(state=asked), limit=9)}


@pytest.mark.parametrize("ended", [False, True])
def test_a_run_that_is_being_made_is_told_from_one_that_stopped(tmp_path: Path, ended: bool) -> None:
    """`running` as long as a process holds the journal, also of a continued run, else as recorded."""
    path = run_of(tmp_path, "ep-20260101T000000Z-0001") / "journal.jsonl"
    run_of(tmp_path, "ep-20260102T000000Z-0002", ended=False)
    one, two = path.parent.name, "ep-20260102T000000Z-0002"
    if not ended:
        path = tmp_path / two / "journal.jsonl"
    held, _ = Journal.resume(path)
    if ended:
        held.append({"t": "end", "at": 1.8e9, "code": 130, "reason": "stopped"})
        held.commit()
    during, asked = states(tmp_path), states(tmp_path, "running")
    held.close()

    assert during[path.parent.name] == "running"
    assert asked == {path.parent.name: "running"}
    assert states(tmp_path) == {one: "stopped" if ended else "succeeded", two: "open"}
    assert states(tmp_path, "running") == {}


WHOLE: dict[str, list[str]] = {"only": [], "without": [], "sets": []}
SUPERSEDING: dict[str, tuple[dict[str, object], dict[str, object], bool]] = {
    "the whole spec again": ({}, {}, True),
    "the whole spec after a part": ({"scope": WHOLE | {"only": ["c1"]}}, {}, True),
    "the same part again": ({"scope": WHOLE | {"only": ["c1"]}}, {"scope": WHOLE | {"only": ["c1"]}}, True),
    "a part of it": ({}, {"scope": WHOLE | {"only": ["c1"]}}, False),
    "other words": ({}, {"scope": WHOLE | {"sets": ["model=ink"]}}, False),
    "another spec": ({}, {"spec": "b.yaml"}, False),
    "pictures, not cards": ({}, {"realm": "comfyui"}, False),
    "a replay": ({}, {"replay_of": "old"}, False),
    "an older run": ({}, {"at": 1.6e9}, False),
}


@pytest.mark.parametrize("case", SUPERSEDING)
def test_a_run_that_a_newer_one_goes_on_for_is_not_open(tmp_path: Path, case: str) -> None:
    """Left without an end, a run is superseded by a newer one that makes all it was to make, else open."""
    then, now, superseded = SUPERSEDING[case]
    run_of(tmp_path, "old", ended=False, at=1.7e9, more={"scope": WHOLE} | then)
    run_of(tmp_path, "new", more={"scope": WHOLE, "at": 1.8e9} | now)

    assert states(tmp_path)["old"] == ("superseded" if superseded else "open")


def test_who_only_looks_keeps_no_writer_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is missed because somebody looks at that very moment is taken a moment later."""
    import fcntl

    path = run_of(tmp_path, "ep-20260101T000000Z-0001", ended=False) / "journal.jsonl"
    flock, asked = fcntl.flock, []

    def missed_once(fd: int, how: int) -> None:
        asked.append(how)
        if len(asked) == 1:
            raise BlockingIOError
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", missed_once)
    journal, _ = Journal.resume(path)

    assert held(path)
    journal.close()
    assert not held(path)
