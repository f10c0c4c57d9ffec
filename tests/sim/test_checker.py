"""The judge sees what it is there for: each kind of broken promise, made by hand in a sound record."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from runner.manifest.journal import encode
from tests import checker
from tests.checker import Broken, Server, Verdict, judge

BYTES = b"a picture"
SUM = hashlib.sha256(BYTES).hexdigest()
KEYS = ["a", "b"]
Lines = list[dict[str, Any]]
Made = tuple[Path, Lines, Server]


def write(folder: Path, lines: Lines) -> None:
    check, raw = 0, b""
    for line in lines:
        sealed, check = encode(line, check)
        raw += sealed
    (folder / "journal.jsonl").write_bytes(raw)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A run of two jobs, its lines, and the server that made them."""
    folder = tmp_path / "runs" / "r"
    (folder / "plan").mkdir(parents=True)
    lines: Lines = [{"t": "journal"}, {"t": "run"}]
    for key in KEYS:
        (folder / f"{key}.png").write_bytes(BYTES)
        output = {"path": f"{key}.png", "sha256": SUM, "server_name": f"{key}_1.png"}
        lines += [
            {"t": "intent", "key": key, "id": f"id-{key}", "n": 1, "server": "s", "at": 1.0},
            {"t": "done", "key": key, "id": f"id-{key}", "n": 1, "at": 2.0, "outputs": [output]},
        ]
    ids = [f"id-{key}" for key in KEYS]
    return (
        folder,
        lines,
        Server(files={f"{key}_1.png": SUM for key in KEYS}, posts=ids, rendered=dict.fromkeys(ids, 1)),
    )


def test_a_run_given_up_holds_nothing_unrecorded_either(made: Made) -> None:
    """Neither a half download nor a copy of what another run recorded may lie in a run without an end."""
    folder, lines, server = made
    write(folder, lines)
    other = folder.parent / "s"
    other.mkdir()
    (other / "a.png").write_bytes(BYTES)
    (other / ".c.png.part").write_bytes(BYTES[:3])
    write(other, [{"t": "journal"}, {"t": "run"}])

    assert sorted(judge(folder.parent, KEYS, [server]).stray) == ["s/.c.png.part", "s/a.png"]


def test_a_sound_record_is_sound(made: Made) -> None:
    """Two jobs, made once, with the server's bytes."""
    folder, lines, server = made
    write(folder, lines)

    assert judge(folder.parent, KEYS, [server]) == Verdict(jobs=2, made=2)


CASES: dict[str, Callable[[Path, Lines], Any]] = {
    "lost": lambda folder, lines: lines.pop() and (folder / "b.png").unlink(),
    "double": lambda folder, lines: lines.append(lines[-1]),
    "wrong": lambda folder, lines: (folder / "a.png").write_bytes(b"another picture"),
    "stray": lambda folder, lines: (folder / "c.png").write_bytes(b"another"),
    "unknown": lambda folder, lines: [lines.pop(2) for _ in range(2)] and (folder / "a.png").unlink(),
}


@pytest.mark.parametrize("what", CASES)
def test_what_is_wrong_with_a_record_is_found(made: Made, what: str) -> None:
    """Each damage is found under its own name."""
    folder, lines, server = made
    CASES[what](folder, lines)
    write(folder, lines)
    verdict = judge(folder.parent, KEYS, [server])

    assert getattr(verdict, what), verdict
    assert not verdict.sound


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"files": {"a_1.png": SUM}}, "wrong"),
        ({"posts": ["id-a", "id-a", "id-b"]}, "twice"),
        ({"posts": ["id-a", "id-b", "id-c"]}, "unknown"),
        ({"rendered": {"id-a": 2, "id-b": 1}}, "duplicates"),
    ],
)
def test_what_a_server_tells_otherwise_is_found(made: Made, change: dict[str, Any], what: str) -> None:
    """Files it never made, submissions nobody announced or made twice, renders in vain."""
    folder, lines, server = made
    write(folder, lines)

    assert getattr(judge(folder.parent, KEYS, [replace(server, **change)]), what)


def test_a_damaged_line_ends_the_judging(made: Made) -> None:
    """A changed byte in the middle is damage; half a line at the end was never promised."""
    folder, lines, server = made
    write(folder, lines)
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"t":"do')
    assert judge(folder.parent, KEYS, [server]).sound
    path.write_bytes(whole.replace(b'"n":1', b'"n":2', 1))
    with pytest.raises(Broken, match="line 3 is damaged"):
        judge(folder.parent, KEYS, [server])


def test_it_is_a_program_that_imports_nothing_of_animerun(made: Made, tmp_path: Path) -> None:
    """As a script, in a bare interpreter, it prints the verdict and tells by its exit code."""
    folder, lines, server = made
    write(folder, lines)
    (tmp_path / "keys.json").write_text(json.dumps(KEYS))
    (tmp_path / "server.json").write_text(json.dumps(asdict(server)))
    command = [sys.executable, "-I", "-S", checker.__file__, str(folder.parent)]
    command += [str(tmp_path / "keys.json"), str(tmp_path / "server.json")]
    sound = subprocess.run(command, capture_output=True, check=False)
    (folder / "stray.png").write_bytes(b"another")
    unsound = subprocess.run(command, capture_output=True, check=False)

    assert (sound.returncode, json.loads(sound.stdout)["made"]) == (0, 2)
    assert (unsound.returncode, json.loads(unsound.stdout)["stray"]) == (1, ["r/stray.png"])
