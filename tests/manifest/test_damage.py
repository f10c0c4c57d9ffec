"""Journals damaged at random places; `make merge` does the same to every file of the index, 2,600 times."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from runner.manifest.journal import Reading
from tests.benchmarks.damage import damaged, journal_holds
from tests.manifest.records import run_of


@pytest.mark.parametrize("how", ["flip", "cut", "zero"])
def test_damage_to_a_journal_is_named_and_mended(tmp_path: Path, how: str) -> None:
    """No line that was never written is believed, and none is gone in silence."""
    sound = run_of(tmp_path / "runs", "d", jobs=10)
    truth = list(Reading(sound / "journal.jsonl"))
    chance = random.Random(how)
    for number in range(25):
        run = tmp_path / f"{number}" / "d"
        shutil.copytree(sound, run)
        path = run / "journal.jsonl"
        path.write_bytes(damaged(path.read_bytes(), how, chance))

        assert journal_holds(path, truth) in {"refused", "unfinished line", "cut behind a line"}
