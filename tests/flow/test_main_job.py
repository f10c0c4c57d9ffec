# ruff: noqa: E501 - graphs read better in long lines
"""`animerun SPEC` as a process of its own, against a server with real sockets (previz, or --comfyui-url)."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import duckdb
import pytest
from PIL import Image

from runner.cli.stopping import LEAVE_S
from runner.manifest.journal import Reading
from tests.flow.conftest import FRONT, GATED, WAIT_S, Own, Shop, until

FLAT = """{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ (seed + number) % 16777216 }}}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["empty", 0]}}
}"""
SLOW = """{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ (seed + number) % 16777216 }}}},
  "sleep": {"class_type": "TSleep", "inputs": {"image": ["empty", 0], "seconds": 2.5, "coop": true}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["sleep", 0]}}
}"""  # fmt: skip


def colour() -> int:
    """A number no other test has used on this server: a cached picture would be no new file."""
    return int.from_bytes(os.urandom(3), "big")


def spec(template: str, jobs: int = 4, more: str = "") -> str:
    return f"animerun: 1\nepisode: flat\ntemplate: {template}\nscenes: {{s: {{number: {colour()}, takes: {jobs}}}}}\n{more}"


def test_every_job_becomes_a_verified_recorded_file(shop: Shop, server: str) -> None:
    """Each file lies under its deliver name, decodes, and has the hash that journal and manifest hold."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat"))
    code, _, err = shop.animerun("flat.yaml", "--server", server)

    assert code == 0, err
    assert shop.outputs() == [f"s/flat_s_t0{n}.png" for n in (1, 2, 3, 4)]
    done = [line for line in Reading(shop.run() / "journal.jsonl") if line["t"] == "done"]
    for line in done:
        [output] = line["outputs"]
        path = shop.run() / output["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == output["sha256"]
        with Image.open(path) as image:
            assert image.size == (16, 16)
            told = json.loads(image.text["animerun"])
        assert told["key"] == line["key"]
    with duckdb.connect(str(shop.folder / "runs" / "manifest.duckdb"), read_only=True) as manifest:
        rows = manifest.sql("select key, path, sha256 from current_outputs order by key").fetchall()
    assert rows == sorted(
        (line["key"], line["outputs"][0]["path"], line["outputs"][0]["sha256"]) for line in done
    )


def test_the_last_lines_name_the_folder_and_the_next_command(shop: Shop, server: str) -> None:
    """A run ends by saying what was made, where it lies and what to type next."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat"))
    _, _, err = shop.animerun("flat.yaml", "--server", server)
    last = err.strip().splitlines()[-3:]

    assert last[0].startswith("4 jobs made, in ")
    assert last[1] == f"Files: {shop.run().relative_to(shop.folder)}/"
    assert last[2] == "Next:  animerun show"


def test_machine_output_is_one_object_a_line(shop: Shop, server: str) -> None:
    """With --json stdout holds nothing but JSON lines, the last of them the summary."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat", jobs=2))
    code, out, _ = shop.animerun("flat.yaml", "--server", server, "--json")
    lines = [json.loads(line) for line in out.splitlines()]

    assert code == 0
    assert [line["event"] for line in lines].count("succeeded") == 2
    assert lines[-1]["event"] == "summary"
    assert (lines[-1]["succeeded"], lines[-1]["exit_code"]) == (2, 0)


def test_without_a_server_cards_are_drawn(shop: Shop) -> None:
    """The embedded previz makes every job, says so first, and is gone afterwards."""
    shop.write(
        "demo.yaml",
        "animerun: 1\nepisode: demo\nsize: 128x128\nscenes: {s01: {prompt: a lighthouse, takes: 2}}\n",
    )
    code, _, err = shop.animerun("demo.yaml")

    assert code == 0, err
    assert "previz" in err.splitlines()[1]
    assert len(shop.outputs()) == 2
    [head] = [line for line in Reading(shop.run() / "journal.jsonl") if line["t"] == "run"]
    assert head["realm"] == "previz"


def test_a_node_that_is_not_there_is_found_before_the_first_job(shop: Shop, server: str) -> None:
    """Exit 3 with the nearest class that exists; no run, nothing submitted."""
    shop.template("flat", FLAT.replace("EmptyImage", "EmptyImag"))
    shop.write("flat.yaml", spec("flat"))
    code, _, err = shop.animerun("flat.yaml", "--server", server)

    assert code == 3
    assert "`EmptyImag`" in err
    assert "`EmptyImage`" in err
    assert not list((shop.folder / "runs").glob("flat-*"))


def test_a_value_out_of_range_is_found_before_the_first_job(shop: Shop, server: str) -> None:
    """Exit 3 names the input and the limit; nothing submitted."""
    shop.template("flat", FLAT.replace('"width": 16', '"width": 99999'))
    shop.write("flat.yaml", spec("flat"))
    code, _, err = shop.animerun("flat.yaml", "--server", server)

    assert code == 3
    assert "EmptyImage.width is 99999" in err


def test_a_node_that_fails_fails_its_jobs_only(shop: Shop, server: str) -> None:
    """Exit 1: the failed jobs are named with node and reason, the others are made."""
    shop.template("flat", FLAT)
    shop.template(
        "bad",
        FLAT.replace('"images": ["empty", 0]', '"images": ["bad", 0]').replace(
            '"out":',
            '"bad": {"class_type": "TRaise", "inputs": {"image": ["empty", 0], "kind": "value"}},\n  "out":',
        ),
    )
    text = spec("flat").replace("takes: 4", "takes: 2, vary: {template: [flat, bad]}")
    shop.write("flat.yaml", text)
    code, _, err = shop.animerun("flat.yaml", "--server", server)

    assert code == 1
    assert "2 jobs made, 2 failed" in err
    assert "deliberate failure" in err
    assert "TRaise" in err
    assert len(shop.outputs()) == 2


def test_an_output_that_was_silently_dropped_is_a_failure(shop: Shop, server: str) -> None:
    """A server answers 200 while it leaves out one of two outputs: the job fails, no half of it counts."""
    front = FRONT.replace("outputs: {out: image}", "outputs: {out: image, second: image}")
    body = (
        FLAT.rstrip("}\n")
        + '}},\n  "second": {"class_type": "SaveImage", "inputs": {"images": ["load", 0]}},\n'
    )
    body += '  "load": {"class_type": "LoadImage", "inputs": {"image": "not-there.png"}}\n}'
    shop.template("two", body, front)
    shop.write("two.yaml", spec("two", jobs=1))
    code, _, err = shop.animerun("two.yaml", "--server", server)

    assert code == 1, err
    assert "VALIDATION" in err
    assert "not-there.png" in err
    assert shop.outputs() == []


def test_a_success_without_its_output_is_a_failure(shop: Shop, server: str) -> None:
    """A blocked branch makes the server say success with no file: the job fails with MISSING_OUTPUT."""
    body = FLAT.replace('"images": ["empty", 0]', '"images": ["block", 0]').replace(
        '"out":', '"block": {"class_type": "TBlock", "inputs": {"image": ["empty", 0], "msg": ""}},\n  "out":'
    )
    shop.template("blocked", body)
    shop.write("blocked.yaml", spec("blocked", jobs=1))
    code, _, err = shop.animerun("blocked.yaml", "--server", server)

    assert code == 1
    assert "MISSING_OUTPUT" in err
    assert "`out`" in err or "out" in err


def test_two_outputs_are_told_apart_by_node(shop: Shop, server: str) -> None:
    """A template with two outputs delivers both, each with its node in the name."""
    front = FRONT.replace("outputs: {out: image}", "outputs: {out: image, negative: image}")
    body = (
        FLAT.rstrip("}\n")
        + '}},\n  "invert": {"class_type": "ImageInvert", "inputs": {"image": ["empty", 0]}},\n'
    )
    body += '  "negative": {"class_type": "SaveImage", "inputs": {"images": ["invert", 0]}}\n}'
    shop.template("two", body, front)
    shop.write("two.yaml", spec("two", jobs=1))
    code, _, err = shop.animerun("two.yaml", "--server", server)

    assert code == 0, err
    assert shop.outputs() == ["s/flat_s_t01_negative.png", "s/flat_s_t01_out.png"]


def test_an_input_picture_is_uploaded_and_used(shop: Shop, server: str) -> None:
    """A file of the project reaches the server under its hash, its pixels come back, and the record names it."""
    Image.new("RGB", (16, 16), (1, 2, 3)).save(shop.folder / "in.png")
    front = FRONT.replace("seed:", "image: {type: image}, seed:")
    body = """{
  "load": {"class_type": "LoadImage", "inputs": {"image": {{ image }}}},
  "invert": {"class_type": "ImageInvert", "inputs": {"image": ["load", 0], "unused": {{ seed + number }}}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["invert", 0]}}
}"""
    shop.template(
        "inv",
        body.replace(', "unused": {{ seed + number }}', ""),
        front.replace(", number: {type: int, default: 0}", "").replace(", seed: {type: seed}", ""),
    )
    shop.write("inv.yaml", "animerun: 1\nepisode: inv\ntemplate: inv\nscenes: {s: {image: in.png}}\n")
    code, _, err = shop.animerun("inv.yaml", "--server", server)

    assert code == 0, err
    [name] = shop.outputs()
    with Image.open(shop.run() / name) as image:
        assert image.convert("RGB").getpixel((0, 0)) == (254, 253, 252)
    content = (shop.folder / "in.png").read_bytes()
    [used] = [line for line in Reading(shop.run() / "journal.jsonl") if line["t"] == "input"]
    assert (used["path"], used["size"]) == ("in.png", len(content))
    assert hashlib.sha256(content).hexdigest() in used["name"]


def test_no_server_is_told_with_what_was_tried(shop: Shop) -> None:
    """Exit 4 names each address and why it cannot be used; no run is left behind."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat"))
    code, _, err = shop.animerun("flat.yaml", "--server", "127.0.0.1:9", "--server", "http://localhost:11")

    assert code == 4
    assert "http://127.0.0.1:9" in err
    assert "http://localhost:11" in err
    assert "refused" in err.lower()


@pytest.mark.parametrize("runs", ["file", "below a file"])
def test_unwritable_runs_are_told_before_any_submission(shop: Shop, runs: str) -> None:
    """Exit 6 names the folder and the reason, before a server is asked."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat"))
    blocked = shop.write("taken", "")
    where = blocked if runs == "file" else blocked / "runs"
    code, _, err = shop.animerun("flat.yaml", "--server", "127.0.0.1:9", "--runs", str(where))

    assert code == 6
    assert str(where) in err


def _one_runs_one_waits(own: Own) -> bool:
    return (len(own.running()), len(own.pending())) == (1, 1)


def test_ctrl_c_leaves_nothing_pending(shop: Shop, own: Own) -> None:
    """Exit 130 after one Ctrl-C: the running job is made and recorded, nothing of ours waits on the server."""
    shop.template("gated", GATED)
    shop.write("flat.yaml", spec("gated", jobs=6))
    process = shop.start("flat.yaml", "--server", own.url)
    until("one job to run and one to wait", lambda: _one_runs_one_waits(own))
    process.send_signal(signal.SIGINT)
    until("the waiting one to be taken back", lambda: not own.pending())
    own.open()
    _, err = process.communicate(timeout=WAIT_S)

    assert process.returncode == 130, err
    assert own.idle()
    assert len(shop.outputs()) == 1
    kinds = [line["t"] for line in Reading(shop.run() / "journal.jsonl")]
    assert (kinds.count("intent"), kinds.count("done"), kinds.count("cancelled")) == (2, 1, 1)


def test_ctrl_c_twice_leaves_within_two_seconds(shop: Shop, own: Own) -> None:
    """The second Ctrl-C does not wait for the running job, and what was pending is gone all the same."""
    shop.template("gated", GATED)
    shop.write("flat.yaml", spec("gated", jobs=6))
    process = shop.start("flat.yaml", "--server", own.url)
    until("one job to run and one to wait", lambda: _one_runs_one_waits(own))
    process.send_signal(signal.SIGINT)
    until("the pending one to be taken back", lambda: not own.pending())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT_S)

    # With the gate shut it would have waited for as long as the grace lasts.
    assert process.returncode == 130
    assert 0 < LEAVE_S < 2
    assert len(own.running()) == 1


def test_the_same_spec_twice_at_once_is_refused(shop: Shop, own: Own) -> None:
    """Exit 5 for the second process, naming the first; the first is not disturbed."""
    shop.template("gated", GATED)
    shop.write("flat.yaml", spec("gated", jobs=1))
    first = shop.start("flat.yaml", "--server", own.url)
    until("the first to run", own.running)
    code, _, err = shop.animerun("flat.yaml", "--server", own.url)
    own.open()
    first.communicate(timeout=WAIT_S)

    assert code == 5
    assert f"pid {first.pid}" in err
    assert first.returncode == 0


def test_polling_alone_suffices(shop: Shop, server: str) -> None:
    """Without any socket every job is made just the same."""
    shop.template("flat", FLAT)
    shop.write("flat.yaml", spec("flat", jobs=5))
    code, _, err = shop.animerun("flat.yaml", "--server", server, "--no-socket")

    assert code == 0, err
    assert len(shop.outputs()) == 5
