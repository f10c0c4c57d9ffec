from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runner.cli import call
from runner.cli.console import clean, emit
from runner.manifest.journal import Journal, Reading
from tests.cli.conftest import Project
from tests.flow.conftest import serving

SPEC = """\
animerun: 1
episode: demo
size: 416x304
scenes:
  s01:
    cuts:
      c001: {prompt: a lighthouse at dusk, seeds: 1..2}
      c002: {prompt: a boat, seeds: [7]}
"""


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one previz for all runs: to start one for each is most of what a small run costs."""
    with serving(tmp_path_factory.mktemp("cards") / "files") as url:
        yield url


@pytest.fixture(autouse=True)
def on_cards(cards: str, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run without `--server` is made there."""
    monkeypatch.setenv("ANIMERUN_SERVER", cards)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one good run of three cards, to be copied; `show/` is another, its spec in a folder."""
    folder = tmp_path_factory.mktemp("good")
    for project, spec in ((folder, "demo.yaml"), (folder / "show", "specs/demo.yaml")):
        (project / spec).parent.mkdir(parents=True, exist_ok=True)
        (project / "animerun.toml").write_text("")
        (project / spec).write_text(SPEC)
        with chdir(folder):
            assert call([str((project / spec).relative_to(folder)), "-q"]) == 0
    return folder


@pytest.fixture
def night(project: Project, good: Path) -> Project:
    """A project with one good run of three cards."""
    shutil.copytree(good, project.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("show"))
    return project


def notes(folder: Path, kind: str) -> list[dict[str, object]]:
    return [line["facts"] for line in Reading(folder / "notes.jsonl") if line.get("kind") == kind]


def test_the_same_again_passes(night: Project) -> None:
    """A rerun that has nothing to do, and one that renders all again, pass against the last good run."""
    said = night.animerun("demo.yaml", "-q", "--baseline", "latest-success")

    assert said.code == 0
    assert "Gate passed against demo-" in said.err
    assert (
        night.animerun(
            "demo.yaml", "-q", "--force", "--baseline", "latest-success", "--fail-on", "near,missing"
        ).code
        == 0
    )
    assert len(night.runs()) == 2


def test_a_change_trips_until_it_is_accepted(night: Project) -> None:
    """A changed picture ends with 9, again on the next night, and no more once a person has accepted it."""
    night.write("demo.yaml", SPEC.replace("a boat", "a red dragon over the city at noon"))
    first = night.animerun("demo.yaml", "-q", "--baseline", "latest-success")
    again = night.animerun("demo.yaml", "-q", "--baseline", "latest-success")

    assert (first.code, again.code) == (9, 9)
    assert "changed: 1 job with pictures that look different (demo/s01/c002/seed=7)" in first.err
    assert notes(night.runs()[1], "gate")[0]["passed"] is False
    assert night.animerun("accept", "-1").code == 0
    assert night.animerun("demo.yaml", "-q", "--baseline", "latest-success").code == 0
    assert night.animerun("demo.yaml", "-q", "--baseline", "accepted").code == 0


def test_an_accepted_run_is_the_baseline_without_a_word(night: Project) -> None:
    """Once a run is accepted, any flag of the gate compares with it."""
    night.animerun("accept", "-1", "--note", "looks right")
    night.write("demo.yaml", SPEC.replace("a boat", "a red dragon over the city at noon"))
    said = night.animerun("demo.yaml", "-q", "--junit", "out.xml")

    assert notes(night.runs()[0], "baseline") == [
        {"spec": "demo.yaml", "realm": "previz", "note": "looks right"}
    ]
    assert said.code == 9


def test_without_a_success_there_is_nothing_to_trip(project: Project) -> None:
    """The first night passes and says that nothing was compared."""
    project.write("demo.yaml", SPEC)
    said = project.animerun("demo.yaml", "-q", "--baseline", "latest-success", "--summary", "out.md")

    assert said.code == 0
    assert "nothing to be compared with" in said.err
    assert (
        "No baseline: nothing was compared (no run of demo.yaml has succeeded yet"
        in (project.folder / "out.md").read_text()
    )


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--baseline", "accepted"), "was accepted"),
        (("--baseline", "nothing"), "there is no run nothing"),
        (("--baseline", "demo.yaml"), "a plan has no pictures"),
        (("--fail-on", "changed"), "without a baseline"),
        (("--fail-on", "chnaged", "--baseline", "-1"), "did you mean `changed`"),
    ],
)
def test_what_makes_no_sense_is_told_before_the_run(night: Project, args: tuple[str, ...], told: str) -> None:
    """A gate that cannot work is a usage error; nothing is rendered."""
    said = night.animerun("demo.yaml", "-q", "--force", *args)

    assert said.code == 2
    assert told in said.err
    assert len(night.runs()) == 1


def test_reports_name_the_job_the_cause_and_both_pictures(night: Project) -> None:
    """JUnit and the summary say which job, in which suite, what differs and where the two pictures are."""
    night.write("demo.yaml", SPEC.replace("a boat", "a red dragon over the city at noon"))
    said = night.animerun(
        "demo.yaml", "-q", "--baseline", "-1", "--junit", "ci/out.xml", "--summary", "ci/out.md", "--json"
    )
    root = ElementTree.parse(night.folder / "ci/out.xml").getroot()
    [red] = root.iter("failure")
    paths = [line.split(": ", 1)[1] for line in (red.text or "").splitlines()]

    assert said.code == 9
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root] == [
        ("s01/c001", "2", "0"),
        ("s01/c002", "1", "1"),
    ]
    assert red.get("type") == "changed"
    assert [(night.folder / path).is_file() for path in paths] == [True, True]
    summary = (night.folder / "ci/out.md").read_text()
    assert "## Not passed: demo.yaml" in summary
    assert "| prompt a boat → a red dragon over the city at noon | 1 |" in summary
    gate = json.loads(said.out.splitlines()[-1])
    assert (gate["event"], gate["passed"], gate["exit_code"]) == ("gate", False, 9)
    assert [finding["condition"] for finding in gate["findings"]] == ["changed"]


def test_a_run_that_stops_early_does_not_look_passed(project: Project) -> None:
    """The gate says that the run itself ended badly, and the report has a case for the jobs never begun."""
    front = "---\nparameters:\n  seed: {type: seed}\noutputs: {fine: image, out: image}\n---\n"
    graph = {
        "red": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 1},
        },
        "fine": {"class_type": "SaveImage", "inputs": {"images": ["red", 0]}},
        "out": {"class_type": "SaveImage", "inputs": {"images": ["bad", 0]}},
        "bad": {"class_type": "LoadImage", "inputs": {"image": "not-there.png"}},
    }
    body = json.dumps(graph).replace('"color": 1', '"color": {{ seed }}')
    project.write("templates/bad.json.j2", front + body)
    project.write("demo.yaml", SPEC.replace("scenes:", "template: bad\nscenes:").replace("prompt:", "title:"))
    said = project.animerun("demo.yaml", "-q", "--depth", "1", "--max-failures", "1", "--junit", "out.xml")
    assert said.code == 8, said.err
    cases = list(ElementTree.parse(project.folder / "out.xml").getroot().iter("testcase"))

    assert "Gate passed" not in said.err
    assert "the run itself ended with exit code 8" in said.err
    assert [case[0].tag for case in cases] == ["failure", "error"]
    assert cases[1][0].get("message") == "not begun: 2 jobs; the limit of failed jobs is reached (1)"


def test_a_job_that_is_gone_is_missing(night: Project) -> None:
    """A job of the baseline that the spec does not make any more trips `missing`."""
    night.write("demo.yaml", SPEC.replace("      c002: {prompt: a boat, seeds: [7]}\n", ""))
    said = night.animerun("demo.yaml", "-q", "--baseline", "latest-success", "--junit", "out.xml")
    root = ElementTree.parse(night.folder / "out.xml").getroot()

    assert said.code == 9
    assert "missing: 1 job of the baseline is missing" in said.err
    assert [suite.get("name") for suite in root] == ["s01/c001", "s01/c002 (missing)"]


@pytest.mark.parametrize("narrow", [("--only", "c001"), ("--except", "c002")], ids=["only", "except"])
def test_narrowed_runs_compare_what_they_made(night: Project, narrow: tuple[str, str]) -> None:
    """A narrowed run passes on its part, and is itself no baseline to be accepted or found."""
    said = night.animerun("demo.yaml", "-q", "--force", *narrow, "--baseline", "latest-success")

    assert said.code == 0
    assert night.animerun("accept", "-1").code == 2
    assert night.animerun("demo.yaml", "-q", "--baseline", "latest-success").err.count(night.runs()[0].name)


def test_annotations_are_printed_on_github_only(night: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An annotation names the line of the cut; elsewhere no line looks like one."""
    night.write("demo.yaml", SPEC.replace("a boat", "a red dragon over the city at noon"))
    plain = night.animerun("demo.yaml", "-q", "--baseline", "-1")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    said = night.animerun("demo.yaml", "-q", "--baseline", night.runs()[0].name)
    found = [line for line in said.err.splitlines() if line.startswith("::")]

    assert "\n::" not in f"\n{plain.err}"
    assert found == [
        "::error file=demo.yaml,line=8,title=animerun%3A changed::1 job with pictures that look different%0A"
        "demo/s01/c002/seed=7"
    ]


def test_github_keeps_what_other_steps_wrote(night: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub's own summary file is added to; any other file is written anew."""
    for name in ("step.md", "own.md"):
        night.write(name, "before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "step.md")
    for name in ("step.md", "own.md"):
        night.animerun("demo.yaml", "-q", "--baseline", "-1", "--summary", name)

    assert (night.folder / "step.md").read_text().startswith("before\n## Passed")
    assert (night.folder / "own.md").read_text().startswith("## Passed")


def test_an_exported_run_is_a_baseline(night: Project) -> None:
    """The baseline may come as a file, from another machine."""
    night.animerun("export", "-1", "--to", "base.animerun.tar")
    shutil.rmtree(night.folder / "runs")

    assert (
        night.animerun("demo.yaml", "-q", "--baseline", "base.animerun.tar", "--fail-on", "missing,near").code
        == 0
    )


def test_a_run_without_pictures_of_its_baseline_trips(night: Project) -> None:
    """Where the baseline's picture is not there any more, other pixels count as changed."""
    for path in night.runs()[0].rglob("*.png"):
        path.unlink()
    night.write("demo.yaml", SPEC.replace("a boat", "a boot"))
    said = night.animerun("demo.yaml", "-q", "--baseline", "-1")

    assert said.code == 9


@pytest.mark.parametrize("text", ["::error::x", "  ::set-env name=A::b", "a ##[add-mask]b"])
def test_no_line_is_a_command(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed as a line or as JSON is no workflow command, and JSON says the same as before."""
    emit({"x": text})
    out = capsys.readouterr().out

    assert not clean(text).lstrip().startswith("::")
    assert "##[" not in clean(text) + out
    assert json.loads(out) == {"x": text}


@pytest.fixture
def episode(project: Project, good: Path) -> Project:
    """A project with its spec in a folder, and one good run of it."""
    shutil.copytree(good / "show", project.folder / "show")
    return project


SPELLINGS = {
    "absolute": (".", "{folder}/show/specs/demo.yaml"),
    "from below": ("show/specs", "demo.yaml"),
    "up and down": ("show/templates", "../specs/../specs/demo.yaml"),
    "a linked folder": (".", "link/specs/demo.yaml"),
    "a linked file": (".", "nightly.yaml"),
    "another working folder": ("elsewhere", "../show/specs/demo.yaml"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_baseline_is_found_however_the_spec_is_spelled(
    episode: Project, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    """A bad night trips under any spelling of its spec's path, and is no baseline for the next."""
    for name in ("show/templates", "elsewhere"):
        (episode.folder / name).mkdir()
    (episode.folder / "link").symlink_to("show")
    (episode.folder / "nightly.yaml").symlink_to("show/specs/demo.yaml")
    episode.write("show/specs/demo.yaml", SPEC.replace("a boat", "a red dragon over the city at noon"))
    where, spec = SPELLINGS[spelling]
    monkeypatch.chdir(episode.folder / where)
    spec = spec.format(folder=episode.folder)
    nights = [episode.animerun(spec, "-q", "--baseline", "latest-success") for _ in range(2)]

    assert [(night.code, "changed: 1 job" in night.err) for night in nights] == [(9, True)] * 2


@pytest.mark.parametrize("recorded", ["specs/demo.yaml", "absolute", "../show/specs/demo.yaml"])
def test_runs_of_before_count_as_baselines(
    episode: Project, monkeypatch: pytest.MonkeyPatch, recorded: str
) -> None:
    """A run whose record names the spec as it was typed, without where it is, is a baseline of it."""
    monkeypatch.chdir(episode.folder / "show")
    folder = next((episode.folder / "show/runs").glob("demo-*"))
    spec = episode.folder / "show/specs/demo.yaml"
    older(folder, spec=str(spec) if recorded == "absolute" else recorded)

    assert (
        "Gate passed against demo-"
        in episode.animerun("specs/demo.yaml", "-q", "--baseline", "latest-success").err
    )


def older(folder: Path, *, spec: str) -> None:
    """Rewrite the record of the run in *folder* as an animerun of before wrote it; the index is made anew."""
    lines = list(Reading(folder / "journal.jsonl"))
    (folder / "journal.jsonl").unlink()
    writer = Journal.create(folder / "journal.jsonl", run=folder.name)
    for line in lines[1:]:
        plain = {name: value for name, value in line.items() if name not in ("crc", "spec_path")}
        writer.append(plain | {"spec": spec} if line["t"] == "run" else plain)
    writer.commit()
    writer.close()
    shutil.rmtree(folder.parent / ".index", ignore_errors=True)
    for path in folder.parent.glob("manifest.*"):
        path.unlink()


def test_another_projects_run_is_no_baseline(project: Project) -> None:
    """Two projects share a runs folder and a spec's name; neither is compared with the other."""
    for name, text in (("one", SPEC), ("two", SPEC.replace("a boat", "a red dragon over the city at noon"))):
        project.write(f"{name}/animerun.toml", "")
        project.write(f"{name}/demo.yaml", text)
    project.animerun("one/demo.yaml", "-q", "--runs", "runs")
    said = project.animerun(
        "two/demo.yaml", "-q", "--runs", "runs", "--force", "--baseline", "latest-success"
    )

    assert (said.code, "found no baseline" in said.err) == (0, True)


def test_a_gate_without_a_baseline_says_so_everywhere(project: Project) -> None:
    """It never says that it passed: not in text, summary, JUnit or JSON, and exits 0 for a first night."""
    project.write("demo.yaml", SPEC)
    said = project.animerun(
        "demo.yaml",
        "-q",
        "--json",
        "--baseline",
        "latest-success",
        "--summary",
        "out.md",
        "--junit",
        "out.xml",
    )
    gate = json.loads(said.out.splitlines()[-1])
    root = ElementTree.parse(project.folder / "out.xml").getroot()
    why = "no run of demo.yaml has succeeded yet"

    assert (said.code, gate["passed"], gate["compared"], gate["baseline"]) == (0, True, False, "")
    assert why in gate["why"]
    assert f"Gate found no baseline: {why}" in said.err
    assert "Gate passed" not in said.err
    summary = (project.folder / "out.md").read_text()
    assert summary.startswith("## No baseline: demo.yaml")
    assert why in summary
    [suite] = [suite for suite in root if suite.get("name") == "(baseline)"]
    assert suite.get("skipped") == "1"
    assert why in (suite[0][0].get("message") or "")


def test_a_baseline_that_is_required_and_not_there_trips(project: Project) -> None:
    """--require-baseline ends with 9, and the run it refused is no baseline until somebody accepts it."""
    project.write("demo.yaml", SPEC)
    args = ("demo.yaml", "-q", "--require-baseline", "--baseline", "latest-success", "--junit", "out.xml")
    nights = [project.animerun(*args) for _ in range(2)]
    root = ElementTree.parse(project.folder / "out.xml").getroot()

    assert [night.code for night in nights] == [9, 9]
    assert "baseline: no run of demo.yaml has succeeded" in nights[0].err
    assert f"animerun accept {project.runs()[0].name}" in nights[0].err
    assert [suite.get("failures") for suite in root if suite.get("name") == "(baseline)"] == ["1"]
    project.animerun("accept", "-1")
    assert project.animerun(*args).code == 0


def test_a_night_whose_comparison_broke_off_is_no_baseline(
    night: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends between the run and its verdict leaves no run that counts as good."""
    night.write("demo.yaml", SPEC.replace("a boat", "a red dragon over the city at noon"))
    with monkeypatch.context() as broken:
        broken.setattr("runner.cli.gating._Gate._verdict", lambda *_, **__: 1 / 0)
        assert night.animerun("demo.yaml", "-q", "--baseline", "latest-success").code == 70

    assert night.animerun("demo.yaml", "-q", "--baseline", "latest-success").code == 9


def test_list_and_diff_know_the_spec_however_it_is_spelled(
    episode: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`list --spec` and `diff SPEC RUN` take any path to the spec, from any working folder."""
    (episode.folder / "elsewhere").mkdir()
    monkeypatch.chdir(episode.folder / "elsewhere")
    spec, runs = str(episode.folder / "show/specs/demo.yaml"), str(episode.folder / "show/runs")
    listed = episode.animerun("list", "--runs", runs, "--spec", spec, "--json")
    head = json.loads(episode.animerun("diff", spec, "-1", "--json").out.splitlines()[0])

    assert [json.loads(line)["spec"] for line in listed.out.splitlines()] == ["specs/demo.yaml"]
    assert (head["same"], head["a"]["spec"], head["b"]["spec"]) == (
        True,
        "specs/demo.yaml",
        "specs/demo.yaml",
    )
