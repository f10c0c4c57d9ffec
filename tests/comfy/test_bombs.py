"""Files that cost more than they weigh: each is looked at within 3 s and 512 MiB (4.5)."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from runner import pictures
from runner.comfy import sniff
from runner.comfy.sniff import Unwanted, examine
from runner.pictures import NotWhole
from tests.comfy.bombs import BOMBS, HARMLESS


def _written(folder: Path, content: bytes) -> Path:
    place = folder / "file"
    place.write_bytes(content)
    return place


def _jpeg(folder: Path, mode: str = "RGB", **how: object) -> Path:
    place = folder / "file.jpg"
    Image.new(mode, (64, 64)).save(place, "JPEG", **how)
    return place


def _latent(note: str, *, entry: object = None) -> bytes:
    entry = entry or {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    head = json.dumps({"latent_tensor": entry, "__metadata__": {"workflow": note}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(4)


def _no_parsing(*_: object) -> None:
    raise AssertionError("was parsed")


def _no_memory(*_: object) -> None:
    raise MemoryError


@pytest.mark.slow
def test_no_file_takes_more_than_its_time_and_memory() -> None:
    """More than forty end, under limits of the system, as a refusal that says why or as what they are."""
    command = [sys.executable, "-m", "tests.comfy.bombs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = {line["name"]: line["told"] for line in map(json.loads, done.stdout.splitlines())}

    assert list(told) == list(BOMBS), f"{done.returncode}: {done.stderr[-2000:]}"
    assert len(BOMBS) > 40
    assert {name for name, what in told.items() if what.startswith("taken: ")} == HARMLESS
    for name in ("jpeg whose coefficients are kept", "jpeg of a scan for each colour"):
        assert told[name].startswith("TOO_LARGE"), "it was left to the decoder to run out of memory"


@pytest.mark.parametrize(("mode", "each"), [("L", 6), ("RGB", 10), ("CMYK", 12)])
def test_coefficients_count_in_a_jpeg_of_several_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, each: int
) -> None:
    """Each pixel takes 4 bytes and 2 for each colour of the room there is; one scan has no such limit."""
    monkeypatch.setattr(pictures, "_KEPT", each * 64 * 64)
    examine(_jpeg(tmp_path, mode, progressive=True), kind="image", pixels=5_000)

    monkeypatch.setattr(pictures, "_KEPT", each * 64 * 64 - 1)
    examine(_jpeg(tmp_path, mode), kind="image", pixels=5_000)
    with pytest.raises(Unwanted, match="the 4,095 allowed in several scans") as caught:
        examine(_jpeg(tmp_path, mode, progressive=True), kind="image", pixels=5_000)
    assert caught.value.code == "TOO_LARGE"


def test_of_several_pictures_in_a_jpeg_the_first_is_looked_at(tmp_path: Path) -> None:
    """What stands behind the first may be as large as it likes."""
    kind, make = BOMBS["mpo whose second picture is large"]
    found = examine(_written(tmp_path, make()), kind=kind, pixels=5_000)

    assert (found.media, found.width, found.height, found.frames) == ("image/jpeg", 64, 64, 1)


def test_json_is_parsed_where_a_text_was_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any other kind it is refused unparsed, however small."""
    place = _written(tmp_path, b'{"a": [1]}')
    assert examine(place, kind="text", pixels=1).media == "application/json"

    monkeypatch.setattr(sniff.json, "loads", _no_parsing)
    with pytest.raises(Unwanted, match="declared as latent, but it is text/plain"):
        examine(place, kind="latent", pixels=1)


@pytest.mark.parametrize("content", [b"[" + b" " * 2**21 + b"]", b"[" + b"0," * 600_000 + b"0]"])
def test_large_json_is_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """More than 2 MiB of JSON, or half a million values, are not parsed."""
    monkeypatch.setattr(sniff.json, "loads", _no_parsing)

    assert examine(_written(tmp_path, content), kind="text", pixels=1).media == "text/plain"


def test_memory_that_runs_out_over_json_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text is plain then, a latent unreadable."""
    monkeypatch.setattr(sniff.json, "loads", _no_memory)

    assert examine(_written(tmp_path, b"[1]"), kind="text", pixels=1).media == "text/plain"
    with pytest.raises(NotWhole, match="no readable header"):
        examine(_written(tmp_path, _latent("")), kind="latent", pixels=1)


def test_a_latent_may_have_a_long_note(tmp_path: Path) -> None:
    """A workflow of megabytes in its head is one value."""
    place = _written(tmp_path, _latent("x" * 3 * 2**20))

    assert examine(place, kind="latent", pixels=1).extension == "latent"
