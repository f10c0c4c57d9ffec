"""Streams that cannot show every character: each command says what it has to say."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.console import emit, say, tell, tell_json
from runner.cli.live import LiveView
from runner.cli.streams import show_any_character
from runner.settings import Settings

ENCODINGS = ["ascii", "latin-1", "cp1252", "cp437", "cp932"]
SPEC = 'animerun: 1\nepisode: jp\nscenes: {s01: {prompt: "赤い傘, 🌸 é", size: 64x64}}\n'


def limited(encoding: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, io.BytesIO]:
    """Have stdout and stderr show the characters of *encoding* only; return what arrives at their ends."""
    ends = {}
    for name in ("stdout", "stderr"):
        ends[name] = io.BytesIO()
        monkeypatch.setattr(sys, name, io.TextIOWrapper(ends[name], encoding=encoding, write_through=True))
    show_any_character()
    return ends


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_cannot_be_shown_is_replaced(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrows and dashes of ours become ASCII, other characters their numbers; what can be shown stays."""
    streams = limited(encoding, monkeypatch)
    tell("a → b × c … 🌸 é")
    say("a → b × c … 🌸 é")
    shown = {end.getvalue().decode(encoding) for end in streams.values()}

    assert len(shown) == 1
    text = shown.pop()
    assert text.startswith(("a → b", "a -> b"))
    assert "\\U0001f338" in text
    assert ("é" if encoding in ("latin-1", "cp1252", "cp437") else "\\xe9") in text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_stays_json(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What machines read says the same in every encoding."""
    streams = limited(encoding, monkeypatch)
    value = {"prompt": "赤 → 🌸 é"}
    emit(value)
    tell_json(value)
    first, _, rest = streams["stdout"].getvalue().decode(encoding).partition("\n")

    assert [json.loads(first), json.loads(rest)] == [value, value]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_live_display_shows_what_it_can(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """News above the bar, and the bar itself, need no character that the terminal does not have."""
    streams = limited(encoding, monkeypatch)
    view = LiveView(Settings())
    with view:
        view.tally.total = 3
        view.line("失敗: s01/赤い傘 → é")

    assert "s01/" in streams["stderr"].getvalue().decode(encoding)


def test_a_plan_is_printed_where_the_terminal_is_not_utf_8(tmp_path: Path) -> None:
    """The command line itself sets this up: exit 0, and the text in numbers."""
    (tmp_path / "jp.yaml").write_text(SPEC, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "runner", "plan", "jp.yaml", "--prompts"],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "-> s01/jp_s01_t01" in done.stdout.decode("cp1252")
    assert "\\u8d64\\u3044\\u5098, \\U0001f338 é" in done.stdout.decode("cp1252")
