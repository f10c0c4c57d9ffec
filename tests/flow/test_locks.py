"""Two processes at the same work: one does it, the other says who."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from runner.manifest.folder import spec_lock
from runner.manifest.journal import Journal
from tests.flow.conftest import Shop
from tests.flow.test_main_job import FLAT, spec

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
        told = {second: second.communicate(timeout=40)[1] for second in seconds}
    for second, code in seconds.items():
        assert second.returncode == code, told[second]
        assert HOLDER.search(told[second]), told[second]


def test_who_waits_goes_on_when_the_other_has_ended(flat: Shop, server: str) -> None:
    """With --wait-lock the work is done as soon as the lock is free."""
    with spec_lock(flat.folder / "runs", flat.folder / "specs" / "flat.yaml"):
        waiting = flat.start("link.yaml", "--server", server, "--wait-lock")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2)
    _, err = waiting.communicate(timeout=40)

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
