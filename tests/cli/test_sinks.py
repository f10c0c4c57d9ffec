# ruff: noqa: E501 - a table reads better in long rows
"""Wherever text of others is shown or written, it commands nobody (T20, S19)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from runner.cli.console import (
    block,
    clean,
    counted,
    emit,
    escaped,
    keep_secret,
    report,
    rows_as_they_are,
    say,
    table,
    tell,
    tell_json,
)
from runner.cli.live import LiveView
from runner.comfy.protocol import printable
from runner.diff.annotations import error
from runner.diff.junit import Case, Trouble, junit
from runner.diff.text import marked
from runner.errors import Problem, SpecError
from runner.manifest.export import quoted_cell
from runner.settings import Settings
from runner.text.secrets import Secrets
from tests.cli.conftest import Project
from tests.cli.served import SPEC, TEMPLATE, Scripted, served
from tests.hostile_text import TEXTS, trouble

each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:40])


def test_the_corpus_is_not_thinned() -> None:
    """At least 150 different texts."""
    assert len(set(TEXTS)) >= 150


@each_text
def test_what_is_printed_for_people(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines, blocks, tables and mistakes hold no hidden character, and no line commands a CI."""
    say(text)
    say(f"here:\n{text}\nthere")
    say(str(Problem(message=text, path=text, line=1, column=1, source=text)))
    tell(text)
    tell(table([(text, text)], head=(text, "b")))
    shown = capsys.readouterr()

    lines = [clean(text), printable(text), *block(text).split("\n"), *(shown.out + shown.err).split("\n")]
    assert [(line, trouble(line)) for line in lines if trouble(line) and line != printable(text)] == []
    assert "holds" not in trouble(printable(text))


@each_text
def test_what_is_printed_for_programs(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON lines and JSON for reading say the very text to whoever parses them, and hold nothing hidden."""
    emit({text: text})
    tell_json({text: [text]})
    line, _, rest = capsys.readouterr().out.partition("\n")

    assert json.loads(line) == {text: text}
    assert json.loads(rest) == {text: [text]}
    assert [part for part in (line, *rest.split("\n")) if trouble(part)] == []
    assert json.loads(escaped(json.dumps(text, ensure_ascii=False))) == text


def test_json_hides_secrets_and_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A password of digits is hidden in texts and in names that a spec gave, and takes no number apart."""
    keep_secret(Secrets(["123456"]))
    try:
        emit(
            {"at": 1234567.5, "told": ["x123456x"], "path": Path("123456.png"), "123456": {"123456": 123456}}
        )
        tell_json({"seed": 1123456, "prompt": "123456"})
    finally:
        keep_secret(Secrets())
    line, _, rest = capsys.readouterr().out.partition("\n")

    assert json.loads(line) == {"at": 1234567.5, "told": ["x***x"], "path": "***.png", "***": {"***": 123456}}
    assert json.loads(rest) == {"seed": 1123456, "prompt": "***"}


@pytest.mark.parametrize("number", [1, 200, 201, 60_000])
def test_mistakes_made_many_times_are_not_all_printed(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two hundred are shown, all are counted, and JSON has them all."""
    mistakes = [Problem(message="unknown word", path="a.yaml", line=line) for line in range(1, number + 1)]
    report(SpecError(mistakes), as_json=True)
    shown = capsys.readouterr()

    assert len(json.loads(shown.out)["problems"]) == number
    assert shown.err.count("unknown word") == min(number, 200)
    assert f"{counted(number, 'mistake')}; nothing was submitted." in shown.err
    assert ("Not shown: " in shown.err) is (number > 200)


@each_text
def test_what_is_drawn_on_a_terminal(text: str) -> None:
    """The live display takes it for text: no markup, no links, nothing but its own colours."""
    view, shown = LiveView(Settings()), io.StringIO()
    view._console = Console(file=shown, force_terminal=True, width=4_000, markup=False, highlight=False)
    view.line(text)

    assert [line for line in shown.getvalue().split("\n") if trouble(line)] == []
    assert "".join(shown.getvalue().split()) == "".join(map(clean, text.splitlines())).replace(" ", "")


@each_text
def test_what_stands_in_a_junit_report(text: str) -> None:
    """It is well-formed XML with as many cases as there are, and says the text but for what XML forbids."""
    broken = Trouble(tag="failure", kind=text, message=text, lines=(text,))
    cases = [Case(key=text, suite=text, trouble=broken), Case(key="other", suite=text, note=text)]
    tree = ElementTree.fromstring("".join(junit(text, cases)).encode("utf-8", "replace"))

    assert [each.tag for each in tree.iter()] == [
        "testsuites", "testsuite", "testcase", "failure", "testcase", "system-out"
    ]  # fmt: skip
    found = [tree.get("name"), *(each.get("message") for each in tree.iter("failure"))]
    allowed = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)
    assert found == [allowed, allowed]


@each_text
def test_what_stands_in_markdown(text: str) -> None:
    """One line, one cell, no tag, no link, no mention: the characters that begin any of them are escaped."""
    cell = marked(text)

    assert [ch for ch in cell if not ch.isprintable()] == []
    assert re.findall(r"<|>|(?<!\\)(?:\\\\)*[|`\[\]*_@#!]", cell) == []


@each_text
def test_what_stands_in_an_annotation(text: str) -> None:
    """One line with one command, ours, whose properties end where they should."""
    told = error(clean(text), title=clean(text), file=clean(text), line=3)
    head, _, rest = told.removeprefix("::error ").partition("::")

    assert "\n" not in told
    assert not trouble(rest) or rest.lstrip().startswith("::")
    assert [part.partition("=")[0] for part in head.split(",")] == ["file", "line", "title"]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:40])
def test_what_stands_in_a_csv_cell(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No cell begins a formula, and no line of the file commands a terminal or a CI."""
    told = io.StringIO()
    csv.writer(told, lineterminator="\n").writerow(["key", quoted_cell(text)])
    rows_as_they_are(told.getvalue())
    shown = capsys.readouterr().out

    assert [line for line in shown.split("\n") if trouble(line)] == []
    rows = list(csv.reader(io.StringIO(shown)))
    assert len(rows) == 1
    assert not rows[0][1].startswith(("=", "+", "-", "@", "\t", "\r"))


NASTY = "\x1b[31mred\n::error::x\r\n  ::warning::y\u202e\u200b##[error]z <script> [bold]b[/] | `q` \x9b2J"
_STATS = {"system": {"comfyui_version": NASTY, "os": NASTY}, "devices": [{"name": NASTY}]}
_WRONG = {
    "errors": [{"type": NASTY, "message": NASTY, "details": NASTY, "extra_info": {}}],
    "class_type": NASTY,
}
_ERROR = {"node_id": NASTY, "node_type": NASTY, "exception_message": NASTY, "exception_type": NASTY}
_CHOICE = {
    "input": {"required": {"text": [[NASTY, "b"]], "seed": ["INT"]}},
    "output": [],
    "python_module": NASTY,
}
SERVERS: dict[str, Callable[[Scripted], None]] = {
    "facts": lambda it: it.said.update({"GET /system_stats": _STATS}),
    "no ComfyUI": lambda it: it.plan("GET /system_stats", *[(200, "text/html", NASTY.encode())] * 9),
    "choices": lambda it: it.said.update({"GET /object_info": {"SaveImage": _CHOICE}}),
    "classes": lambda it: it.said.update({"GET /object_info": {f"SaveImagi{NASTY}": _CHOICE}}),
    "refusal": lambda it: it.plan(
        "POST /prompt",
        (400, "application/json", json.dumps({"error": {"message": NASTY}, "node_errors": {NASTY: _WRONG}}).encode()),
    ),
    "failure": lambda it: it.extra.update(status={"status_str": "error", "messages": [["execution_error", _ERROR]]}),
    "file": lambda it: it.extra.update(
        outputs={"out": {"images": [{"filename": NASTY, "subfolder": NASTY, "type": "output"}]}}
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def farm() -> Iterator[Scripted]:
    """One server for all tests; each tells it anew what to say."""
    with served() as fake:
        yield fake


@pytest.mark.parametrize("said", SERVERS)
def test_what_a_server_says_reaches_nobody_as_it_is(
    project: Project, farm: Scripted, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Facts, choices, refusals, errors and file names of a hostile server: every line that is printed is harmless.

    On GitHub too, where the only commands are our own annotations.
    """
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    farm.clear()
    SERVERS[said](farm)
    project.write("templates/one.json.j2", TEMPLATE)
    project.write("spec.yaml", SPEC % json.dumps("a ::error::b ##[error]c <script>"))
    reports = ("--junit", "junit.xml", "--summary", "summary.md", "--fail-on", "failed")
    calls = [("spec.yaml", "--server", farm.url, "--no-socket", *reports), ("show", "s01"), ("show", "s01", "--json"),
             ("show", "s01", "--workflow"), ("list",), ("sql", "--csv", "select * from attempts")]  # fmt: skip
    told = [project.animerun(*call) for call in calls]

    lines = [line for each in told for line in (each.out + each.err).split("\n")]
    assert [
        line
        for line in lines
        if trouble(line) and not line.startswith("::error file=spec.yaml,line=4,title=animerun%3A failed::")
    ] == []
    for written in (project.folder / "junit.xml", project.folder / "summary.md"):
        text = written.read_text("utf-8") if written.is_file() else ""
        assert [
            line for line in text.split("\n") if trouble(line.replace("\t", " ")).startswith("holds")
        ] == []
        assert "<script" not in text
