"""Signals, closed streams and a broken display: what stops a run and what does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import signal_phases
from tests.flow.conftest import GATED, WAIT_S, Own, Shop, until
from tests.flow.test_main_job import FLAT, spec
from tests.flow.test_resume import begun, lines

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_signals_at_a_few_phases(tmp_path: Path) -> None:
    """After a stop nothing is submitted, a second signal leaves, and the run is completed without loss."""
    wish = [
        "--phases",
        "2",
        "--last",
        "14",
        "--kinds",
        "int2,hup",
        "--seed",
        "5",
        "--workers",
        "4",
        "--slack",
        "20",
    ]
    wish += ["--folder", str(tmp_path)]
    command = [sys.executable, "-m", signal_phases.__name__, *wish]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"kind"') == 2


def test_a_run_needs_no_open_stream(shop: Shop, server: str) -> None:
    """With stdin, stdout and stderr closed a run makes everything and mixes nothing into its files."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat"))

    def close_all() -> None:
        for number in range(3):
            os.close(number)

    command = [sys.executable, "-m", "runner", "flat.yaml", "--server", server]
    process = subprocess.Popen(command, cwd=shop.folder, preexec_fn=close_all)  # noqa: PLW1509 - no threads

    assert process.wait(WAIT_S) == 0
    assert len(shop.outputs()) == 4
    assert shop.animerun("verify")[0] == 0


def test_sigterm_ends_a_run_in_good_order(shop: Shop, own: Own) -> None:
    """Exit 143: what runs is made and recorded, what waits is taken back, and `resume` makes the rest."""
    shop.template("gated", GATED)
    shop.write("flat.yaml", spec("gated", jobs=4))
    own.allow(1)
    process = shop.start("flat.yaml", "--server", own.url)
    until("a job", lambda: begun(shop, 1))
    until("one to run and one to wait", lambda: own.running() and own.pending())
    process.send_signal(signal.SIGTERM)
    until("the waiting one to be taken back", lambda: not own.pending())
    own.open()
    _, err = process.communicate(timeout=WAIT_S)
    left, made = own.idle(), len(lines(shop.run(), "done"))
    code, _, told = shop.animerun("resume", "--server", own.url)

    assert process.returncode == 143, err
    assert "stopped by SIGTERM" in err
    assert left
    assert made == 2
    assert code == 0, told
    assert sorted(own.saved().values()) == [1, 1, 1, 1]


def test_nohup_and_a_reader_who_leaves(shop: Shop, server: str) -> None:
    """Under nohup a run goes on when the terminal hangs up, and when nobody reads what it prints."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat", jobs=30))
    command = ["nohup", sys.executable, "-m", "runner", "flat.yaml", "--server", server, "--json"]
    with subprocess.Popen(
        command,
        cwd=shop.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        while '"submitting"' not in process.stdout.readline():
            pass
        process.stdout.close()
        process.send_signal(signal.SIGHUP)

        assert process.wait(WAIT_S) == 0
    assert len(shop.outputs()) == 30


@pytest.mark.parametrize("name", ["__call__", "ended"])
def test_a_bug_in_what_shows_a_run_does_not_touch_it(
    name: str, shop: Shop, server: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that raises is told as a bug; the run is made to its end and keeps its exit code."""
    from runner.cli import call
    from runner.cli.progress import RunView

    def broken(*_: object) -> None:
        raise ZeroDivisionError("in a view")

    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat"))
    monkeypatch.chdir(shop.folder)
    monkeypatch.setattr(RunView, name, broken)

    assert call(["flat.yaml", "--server", server]) == 0
    assert len(shop.outputs()) == 4
    assert "this is a bug in animerun" in capfd.readouterr().err


def test_an_index_that_cannot_be_written_ends_no_run(shop: Shop, server: str) -> None:
    """With a folder where the index belongs, everything is made and recorded; a warning says what to do."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat"))
    (shop.folder / "runs" / "manifest.duckdb" / "in the way").mkdir(parents=True)
    code, _, err = shop.animerun("flat.yaml", "--server", server)

    assert code == 0, err
    assert "animerun repair" in err
    (shop.folder / "runs" / "manifest.duckdb" / "in the way").rmdir()
    (shop.folder / "runs" / "manifest.duckdb").rmdir()
    assert shop.animerun("repair")[0] == 0
    assert "4" in shop.animerun("list")[1]
