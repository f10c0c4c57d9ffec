"""Two processes at the same work: one does it, the other says who."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from runner.cli import asking, call
from runner.manifest.folder import lock_seen, spec_lock
from runner.manifest.journal import Journal
from tests.flow.conftest import GATED, WAIT_S, Own, Shop, until
from tests.flow.test_main_job import FLAT, spec
from tests.flow.test_resume import begun, killed_after, runs

HOLDER = re.compile(rf"pid {os.getpid()} on \S+, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


@pytest.fixture
def flat(shop: Shop) -> Shop:
    shop.template("flat", FLAT)
    shop.write("specs/flat.yaml", spec("flat", jobs=2))
    (shop.folder / "link.yaml").symlink_to("specs/flat.yaml")
    return shop


def test_the_second_process_is_told_who_is_at_it(flat: Shop, server: str) -> None:
    """Exit 5 with pid, host and time, however the spec is written; with skip exit 0. Waiting has an end."""
    asked = {
        "specs/flat.yaml": 5,
        str(flat.folder / "specs" / ".." / "specs" / "flat.yaml"): 5,
        "link.yaml": 5,
        "specs/flat.yaml --wait-lock 0.2": 5,
        "specs/flat.yaml --if-running skip": 0,
    }
    with spec_lock(flat.folder / "runs", flat.folder / "specs" / "flat.yaml"):
        seconds = {flat.start(*words.split(), "--server", server): code for words, code in asked.items()}
        told = {second: second.communicate(timeout=WAIT_S)[1] for second in seconds}
    for second, code in seconds.items():
        assert second.returncode == code, told[second]
        assert HOLDER.search(told[second]), told[second]


def test_who_waits_goes_on_when_the_other_has_ended(flat: Shop, server: str) -> None:
    """With --wait-lock the work is done as soon as the lock is free."""
    with spec_lock(flat.folder / "runs", flat.folder / "specs" / "flat.yaml"):
        waiting = flat.start("link.yaml", "--server", server, "--wait-lock")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2)
    _, err = waiting.communicate(timeout=WAIT_S)

    assert waiting.returncode == 0, err
    assert len(flat.outputs()) == 2


def test_a_journal_names_its_writer(flat: Shop, server: str) -> None:
    """While a process writes a run, `resume` of it is exit 5 with that process; afterwards it is free."""
    assert flat.animerun("specs/flat.yaml", "--server", server)[0] == 0
    run = flat.run()
    journal, _ = Journal.resume(run / "journal.jsonl")
    code, _, err = flat.animerun("resume", run.name, "--server", server)
    journal.close()

    assert code == 5
    assert HOLDER.search(err), err
    assert flat.animerun("resume", run.name, "--server", server)[0] == 0


def test_who_has_waited_makes_nothing_that_was_made_meanwhile(shop: Shop, own: Own) -> None:
    """The other process makes everything: that is seen when it has ended, and no second run begins."""
    shop.template("gated", GATED)
    shop.write("flat.yaml", spec("gated", jobs=3))
    own.allow(1)
    first = shop.start("flat.yaml", "--server", own.url)
    until("a job", lambda: begun(shop, 1))
    waiting = shop.start("flat.yaml", "--server", own.url, "--wait-lock")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(1.5)
    own.open()
    first.communicate(timeout=WAIT_S)
    _, err = waiting.communicate(timeout=WAIT_S)

    assert (first.returncode, waiting.returncode) == (0, 0), err
    assert len(runs(shop)) == 1, err
    assert sorted(own.saved().values()) == [1, 1, 1]


def test_who_has_waited_for_a_killed_process_settles_what_that_left(shop: Shop, own: Own) -> None:
    """The run of the other one began after we had looked: what its server still makes is not made again."""
    shop.template("gated", GATED)
    shop.write("flat.yaml", spec("gated", jobs=4))
    first = killed_after(shop, own, 1)
    hidden = first.rename(shop.folder / "hidden")
    with spec_lock(shop.folder / "runs", shop.folder / "flat.yaml"):
        waiting = shop.start("flat.yaml", "--server", own.url, "--wait-lock")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1.5)
        hidden.rename(first)
    _, err = waiting.communicate(timeout=WAIT_S)

    assert waiting.returncode == 0, err
    assert len(runs(shop)) == 2
    assert sorted(own.saved().values()) == [1, 1, 1, 1], err


def test_what_another_process_made_while_we_planned_is_not_made_again(
    shop: Shop, own: Own, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came and went between our look at the record and our lock: the record is looked at again."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat", jobs=2))

    def meanwhile(*_: object, **__: object) -> None:
        with shop.start("flat.yaml", "--server", own.url) as other:
            assert other.wait(WAIT_S) == 0

    monkeypatch.chdir(shop.folder)
    monkeypatch.setattr(asking, "confirm_size", meanwhile)

    assert call(["flat.yaml", "--server", own.url]) == 0
    assert len(runs(shop)) == 1, capfd.readouterr().err
    assert sorted(own.saved().values()) == [1, 1]


def test_a_lock_shows_that_somebody_had_it(tmp_path: Path) -> None:
    """Nobody ever, somebody now, nobody since: four looks can be told apart, and looking changes nothing."""
    spec = tmp_path / "a.yaml"
    looks = [lock_seen(tmp_path, spec)]
    with spec_lock(tmp_path, spec) as seen:
        looks += [seen, lock_seen(tmp_path, spec)]
    looks += [lock_seen(tmp_path, spec), lock_seen(tmp_path, spec)]
    with spec_lock(tmp_path, spec) as seen:
        looks += [seen]

    assert looks[:3] == [0, 0, -1]
    assert looks[3] == looks[4] == looks[5] > 0
    assert lock_seen(tmp_path, spec) != looks[3]
