# ruff: noqa: E501 - a table reads better in long rows
"""Faults S1-S24 of a spec or a template: file, line, column and remedy named, exit 2, nothing submitted.

"Nothing submitted" is seen two ways: no folder of a run exists, and the server that was named is never asked
(it does not exist; asking it would end with exit 4).
"""

from __future__ import annotations

import pytest

from tests.cli.conftest import Project

NOBODY = ("--server", "http://127.0.0.1:9")
HEAD = "animerun: 1\nepisode: demo\n"

SPECS = {
    "S1 not UTF-8": (b"animerun: 1\ntitle: caf\xe9\n", "spec.yaml:2:11", "UTF-8"),
    "S1 UTF-16": ("animerun: 1\n".encode("utf-16"), "spec.yaml", "UTF-16"),
    "S2 tab": (HEAD + "scenes:\n\ts01: {}\n", "spec.yaml:4:1", "tab"),
    "S2 unclosed quote": (HEAD + 'title: "a\nscenes: {s01: {prompt: x}}\n', "spec.yaml:3:8", "never closed"),
    "S2 stray colon": (HEAD + "scenes: {s01: {prompt: a: b}}\n", "spec.yaml:3", "quotes"),
    "S3 duplicate key": (HEAD + "scenes:\n  s01: {prompt: a}\n  s01: {prompt: b}\n", "spec.yaml:5:3", "line 4"),
    "S4 alias bomb": (
        HEAD
        + "x-a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"x-{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(8)
        )
        + "scenes: {s01: {prompt: x}}\n",
        "spec.yaml:",
        "1,000,000",
    ),
    "S4 cyclic alias": (HEAD + "x-a: &a [*a]\nscenes: {s01: {prompt: x}}\n", "spec.yaml:3:10", "no end"),
    "S4 merge key": (HEAD + "x-a: &a {steps: 4}\nscenes: {s01: {<<: *a, prompt: x}}\n", "spec.yaml:4:16", "extends"),
    "S5 deep nesting": (HEAD + "x-a: " + "[" * 100_000, "spec.yaml:3", "64"),
    "S6 huge file": (b"#" * (17 * 1024 * 1024), "spec.yaml", "16,777,216"),
    "S6 huge scalar": (HEAD + "title: " + "x" * (1024 * 1024 + 1) + "\n", "spec.yaml:3:8", "1,048,576"),
    "S8 huge number": (HEAD + f"scenes: {{s01: {{prompt: x, steps: {'9' * 5000}}}}}\n", "spec.yaml:3", "steps"),
    "S8 not a number": (HEAD + "scenes: {s01: {prompt: x, cfg: .nan}}\n", "spec.yaml:3:32", "number"),
    "S9 python tag": (HEAD + "title: !!python/object/apply:os.system [ls]\n", "spec.yaml:3:8", "tag"),
    "S9 two documents": (HEAD + "scenes: {s01: {prompt: x}}\n---\na: 1\n", "spec.yaml:4", "document"),
    "S9 key that is a list": (HEAD + "? [a]\n: b\n", "spec.yaml:3", "key"),
    "S10 unknown key": (HEAD + "scenes: {s01: {promt: x}}\n", "spec.yaml:3:16", "did you mean `prompt`"),
    "S10 unknown top key": (HEAD + "scene: {s01: {prompt: x}}\n", "spec.yaml:3:1", "did you mean `scenes`"),
    "S11 wrong kind": (HEAD + "scenes: [s01]\n", "spec.yaml:3:9", "map"),
    "S11 missing scenes": (HEAD, "spec.yaml", "scenes"),
    "S11 empty axis": (HEAD + "scenes: {s01: {vary: {prompt: []}}}\n", "spec.yaml:3:31", "prompt"),
    "S12 bare seed": (HEAD + "scenes: {s01: {prompt: x, seeds: 8}}\n", "spec.yaml:3:34", "takes: 8"),
    "S12 negative seed": (HEAD + "scenes: {s01: {prompt: x, seeds: [-1]}}\n", "spec.yaml:3:35", "seed"),
    "S12 seed beyond 64 bits": (HEAD + f"scenes: {{s01: {{prompt: x, seeds: [{2**64}]}}}}\n", "spec.yaml:3:35", "18446744073709551615"),
    "S12 reversed range": (HEAD + "scenes: {s01: {prompt: x, seeds: 9..1}}\n", "spec.yaml:3:34", "9..1"),
    "S12 step 0": (HEAD + "scenes: {s01: {prompt: x, seeds: 0..9..0}}\n", "spec.yaml:3:34", "step"),
    "S13 huge expansion": (HEAD + "scenes: {s01: {prompt: x, seeds: 1..1000000000000}}\n", "spec.yaml:3", "1,000,000,000,000"),
    "S14 one file name": (
        HEAD + "deliver: {name: '{{ scene }}'}\nscenes: {s01: {prompt: x, takes: 2}}\n",
        "spec.yaml:",
        "{{ take }}",
    ),
    "S14 two labels": (HEAD + "scenes: {s01: {vary: {prompt: [rain, 'rain']}}}\n", "spec.yaml:3", "stands twice"),
    "S14 Windows device": (HEAD + "deliver: {name: 'con'}\nscenes: {s01: {prompt: x}}\n", "spec.yaml:", "con"),
    "S15 unknown hole": (HEAD + "wording: '{{ promt }}'\nscenes: {s01: {prompt: x}}\n", "spec.yaml:3", "prompt"),
    "S23 include leaves": (HEAD + "include: [../cast.yaml]\nscenes: {s01: {prompt: x}}\n", "spec.yaml:3:11", "project"),
    "S23 include absolute": (HEAD + "include: [/etc/passwd]\nscenes: {s01: {prompt: x}}\n", "spec.yaml:3:11", "project"),
    "S23 image leaves": (
        HEAD + "template: img2img\nscenes: {s01: {prompt: x, image: ../a.png}}\n",
        "spec.yaml:4",
        "..",
    ),
    "S23 image missing": (HEAD + "template: img2img\nscenes: {s01: {prompt: x, image: a.png}}\n", "spec.yaml:4", "a.png"),
    "S24 Windows path": (
        HEAD + "template: img2img\nscenes: {s01: {prompt: x, image: 'refs\\a.png'}}\n",
        "spec.yaml:4",
        "refs/a.png",
    ),
    "S24 drive": (HEAD + "include: ['C:/cast.yaml']\nscenes: {s01: {prompt: x}}\n", "spec.yaml:3:11", "drive"),
}  # fmt: skip

FRONT = "---\ntitle: t\nparameters: {seed: {type: seed}, prompt: {type: text, wording: '{{ prompt }}'}}\noutputs: {out: image}\n---\n"
SAVE = '"out": {"class_type": "SaveImage", "inputs": {"images": ["a", 0], "text": {{ prompt }}, "seed": {{ seed }}}}'
EMPTY = '"a": {"class_type": "EmptyImage", "inputs": {}}'

TEMPLATES = {
    "S15 undefined variable": ('{ "a": {"class_type": "X", "inputs": {"t": {{ promt }}}}, ' + SAVE + " }", "own.json.j2:6", "prompt"),
    "S16 syntax error": ("{ {% if %} " + SAVE + " }", "own.json.j2:6", ""),
    "S17 no JSON": ("{ " + SAVE + " ", "own.json.j2", "JSON"),
    "S17 key twice": ("{ " + EMPTY + ",\n" + EMPTY + ",\n" + SAVE + " }", "own.json.j2", "twice"),
    "S17 not an object": ("[ {{ prompt }}, {{ seed }} ]", "own.json.j2", "map of nodes"),
    "S18 hole in quotes": (
        '{ "a": {"class_type": "X", "inputs": {"t": "{{ prompt }}"}}, ' + SAVE + " }",
        "own.json.j2:6",
        "quotes",
    ),
    "S20 exhaustion": ('{ "a": {"class_type": "X", "inputs": {"t": {{ "x" * 1000000000 }}}}, ' + SAVE + " }", "own.json.j2:6", ""),
    "S21 no inputs": ('{ "a": {"class_type": "EmptyImage"}, ' + SAVE + " }", "own.json.j2", "inputs"),
    "S21 no class": ('{ "a": {"inputs": {}}, ' + SAVE + " }", "own.json.j2", "class_type"),
    "S21 dangling link": ("{ " + SAVE + " }", "own.json.j2", "`a`"),
    "S21 cycle": (
        '{ "a": {"class_type": "X", "inputs": {"i": ["b", 0]}}, "b": {"class_type": "X", "inputs": {"i": ["a", 0]}}, '
        + SAVE + " }",
        "own.json.j2",
        "need each other: a ← b ← a",
    ),
    "S21 output missing": ('{ "a": {"class_type": "X", "inputs": {"p": {{ prompt }}, "s": {{ seed }}}} }', "own.json.j2", "out"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPECS)
def test_a_bad_spec_is_told_and_nothing_is_submitted(project: Project, case: str) -> None:
    """Place and remedy of the mistake are printed, the exit code is 2, no run exists."""
    content, place, remedy = SPECS[case]
    project.write("spec.yaml", content)
    said = project.animerun("spec.yaml", *NOBODY)

    assert said.code == 2, said.err
    assert place in said.err
    assert remedy in said.err
    assert "nothing was submitted" in said.err
    assert project.runs() == []


@pytest.mark.parametrize("case", TEMPLATES)
def test_a_bad_template_is_told_and_nothing_is_submitted(project: Project, case: str) -> None:
    """The template's file and the remedy are printed, the exit code is 2, no run exists."""
    body, place, remedy = TEMPLATES[case]
    project.write("templates/own.json.j2", FRONT + body)
    project.write("spec.yaml", HEAD + "template: own\nscenes: {s01: {prompt: x}}\n")
    said = project.animerun("spec.yaml", *NOBODY)

    assert said.code == 2, said.err
    assert place in said.err
    assert remedy in said.err
    assert project.runs() == []


def test_all_mistakes_of_a_kind_are_told_at_once(project: Project) -> None:
    """Three mistakes of shape in two files are printed together, and so are three of meaning in one."""
    project.write("cast.yaml", "animerun: 1\ncharacters: {aki: {promt: girl}}\n")
    project.write(
        "spec.yaml",
        HEAD + "include: [cast.yaml]\nscenes:\n  s01: {prompt: x, seeds: 8}\n  s02: {prompt: [x]}\n",
    )
    said = project.animerun("spec.yaml", *NOBODY)

    assert said.code == 2
    for part in ("cast.yaml:2", "spec.yaml:5", "spec.yaml:6", "3 mistakes"):
        assert part in said.err, said.err
    project.write(
        "spec.yaml",
        HEAD + "scenes:\n  s01: {prompt: x, stpes: 8}\n  s02: {prompt: x, size: 1x}\n  s03: {model: ink}\n",
    )
    said = project.animerun("spec.yaml", *NOBODY)
    for part in ("spec.yaml:4", "spec.yaml:5", "spec.yaml:6", "3 mistakes"):
        assert part in said.err, said.err


def test_a_character_may_be_one_text(project: Project) -> None:
    """A character written as a text is that text in the prompt."""
    text = HEAD + "characters: {sora: girl with wings}\nscenes: {s01: {cast: sora, action: flying}}\n"
    project.write("spec.yaml", text)
    said = project.animerun("plan", "spec.yaml", "--prompts")

    assert "  + girl with wings, flying\n" in said.out


def test_a_cut_made_from_another_waits(project: Project) -> None:
    """A cut with `from` is planned, counted as waiting and told; the others are run."""
    project.write(
        "spec.yaml",
        HEAD
        + "scenes: {s01: {cuts: {c001: {prompt: x}, c002: {from: c001, prompt: y, template: img2img}}}}\n",
    )
    said = project.animerun("plan", "spec.yaml")

    assert said.code == 0, said.err
    assert "1 to run, 1 waiting for a pick" in said.err


def test_an_endless_number_in_a_wording_is_a_mistake(project: Project) -> None:
    """A number beyond all bounds in a wording is told like any other mistake."""
    project.write(
        "spec.yaml", HEAD + "wording: '{% if 1e999 %}{{ prompt }}{% endif %}'\nscenes: {s: {prompt: x}}\n"
    )
    said = project.animerun("plan", "spec.yaml")

    assert said.code == 2
    assert "spec.yaml:3:10" in said.err


def test_yaml_surprises_are_texts(project: Project) -> None:
    """S7, S19: `no`, `1:30`, `0755`, a date and Jinja in a prompt are the words that were written."""
    project.write(
        "spec.yaml",
        HEAD + "scenes: {s01: {vary: {prompt: [no, '1:30', 0755, 2026-01-01, '{{ 7*7 }} is data']}}}\n",
    )
    said = project.animerun("plan", "spec.yaml", "--prompts")

    assert said.code == 0, said.err
    for text in ("no", "1:30", "0755", "2026-01-01", "{{ 7*7 }} is data"):
        assert f"  + {text}\n" in said.out


def test_a_link_out_of_the_project_is_refused(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """S23: a file that is a link to somewhere else is not read."""
    outside = tmp_path_factory.mktemp("outside") / "cast.yaml"
    outside.write_text("animerun: 1\ncharacters: {aki: {prompt: girl}}\n")
    (project.folder / "cast.yaml").symlink_to(outside)
    project.write("spec.yaml", HEAD + "include: [cast.yaml]\nscenes: {s01: {prompt: x}}\n")
    said = project.animerun("spec.yaml", *NOBODY)

    assert said.code == 2
    assert "spec.yaml:3:11" in said.err


def test_the_caret_stands_under_the_mistake(project: Project) -> None:
    """The source line is printed with a caret below the word that is wrong."""
    project.write("spec.yaml", HEAD + "scenes: {s01: {promt: x}}\n")
    lines = project.animerun("spec.yaml").err.splitlines()
    [at] = [number for number, line in enumerate(lines) if line.strip() == "scenes: {s01: {promt: x}}"]

    assert lines[at].index("promt") == lines[at + 1].index("^")
