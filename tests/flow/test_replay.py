"""`animerun replay`: stored workflows made again, against a server with real sockets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.cli import call
from runner.manifest.journal import Reading
from runner.manifest.notes import read_notes
from tests.flow.conftest import Shop, serving
from tests.flow.retelling import Line, reseed, rewrite

SPEC = """\
animerun: 1
episode: demo
size: 128x128
scenes:
  s01:
    title: The lighthouse
    prompt: a lighthouse at dusk, {long}
    cuts:
      c001: {vary: {camera: [wide, close]}, seeds: 7..8}
""".replace("{long}", "waves break on the rocks below, " * 10)
CHANGED = "demo/s01/c001/camera=close/seed=7"

Animerun = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture(scope="module")
def previz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A previz of this file's own: who asks what it has cached must be alone with it."""
    with serving(tmp_path_factory.mktemp("replay") / "files") as url:
        yield url


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, previz: str) -> Path:
    """The folder of a finished run of four jobs; tests work on copies."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "demo.yaml").write_text(SPEC)
    runs = folder / "runs"
    assert call([str(folder / "demo.yaml"), "--server", previz, "--runs", str(runs), "--quiet"]) == 0
    [found] = runs.glob("demo-*")
    return found


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder somewhere else: no spec, no templates, no index beside it."""
    return Path(shutil.copytree(made, tmp_path / "elsewhere" / made.name))


@pytest.fixture
def animerun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Animerun:
    """animerun in an empty folder: arguments → exit code, JSON lines, what it said."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in ("SERVER", "RUNS", "DEPTH", "TOKEN", "BASIC", "HEADER"):
        monkeypatch.delenv(f"ANIMERUN_{name}", raising=False)

    def run(*args: object) -> tuple[int, list[dict[str, Any]], str]:
        monkeypatch.setenv("ANIMERUN_RUNS", "runs")
        capsys.readouterr()
        code = call([str(arg) for arg in args])
        out, err = capsys.readouterr()
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return code, lines, out + err

    return run


def new_run(folder: Path = Path("runs")) -> Path:
    """Return the one run in *folder*."""
    [found] = (path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    return found


def no_run() -> bool:
    return not any(Path().glob("runs/demo-*"))


def of_kind(folder: Path, kind: str) -> list[Line]:
    return [line for line in Reading(folder / "journal.jsonl") if line["t"] == kind]


def told(line: Line) -> Line:
    """What is said of a job, apart from the record it stands in and the reason it was rendered for."""
    return {name: value for name, value in line.items() if name not in ("c", "reason", "workflow")}


def test_a_folder_copied_from_elsewhere_is_made_again_pixel_for_pixel(
    animerun: Animerun, copied: Path, previz: str
) -> None:
    """The run folder alone is enough: same jobs under the same names, every output identical."""
    code, lines, _ = animerun("replay", copied, "--server", previz, "--json")
    run = new_run()
    replayed = next(line for line in lines if line["event"] == "replayed")

    assert code == 0
    assert replayed["counts"] == {"identical": 4, "near": 0, "different": 0, "missing": 0}
    assert lines[-1]["event"] == "summary"
    assert of_kind(run, "run")[0]["replay_of"] == copied.name
    assert {line["key"]: told(line) for line in of_kind(run, "job")} == {
        line["key"]: told(line) for line in of_kind(copied, "job")
    }
    assert [told(line) for line in of_kind(run, "variant")] == [
        told(line) for line in of_kind(copied, "variant")
    ]
    assert [told(line) for line in of_kind(run, "template")] == [
        told(line) for line in of_kind(copied, "template")
    ]
    assert of_kind(run, "reused") == []
    assert sorted(path.relative_to(run) for path in run.glob("s01/*")) == sorted(
        path.relative_to(copied) for path in copied.glob("s01/*")
    )


def test_a_replay_is_noted_and_can_be_replayed_itself(animerun: Animerun, copied: Path, previz: str) -> None:
    """The new run keeps what came of it as a note, and is complete by itself."""
    animerun("replay", copied, "--server", previz)
    first = new_run()
    [note] = read_notes(first)
    shutil.rmtree(copied)
    code, lines, _ = animerun("replay", "-1", "--server", previz, "--json")

    assert note["kind"] == "replay"
    assert note["facts"]["replay_of"] == copied.name
    assert note["facts"]["counts"]["identical"] == 4
    assert note["facts"]["drift"] == []
    assert code == 0
    assert lines[-2]["replay_of"] == first.name
    assert lines[-2]["counts"]["identical"] == 4


def test_one_changed_seed_changes_exactly_that_picture(animerun: Animerun, copied: Path, previz: str) -> None:
    """The stored workflow decides, not the spec: the job whose stored seed is another differs, no other."""
    reseed(copied, CHANGED, 4242)
    code, lines, _ = animerun("replay", copied, "--server", previz, "--json", "--fail-on", "different")
    odd = [line for line in lines if line["event"] == "compared" and line["verdict"] != "identical"]

    assert code == 9
    assert [line["key"] for line in odd] == [CHANGED]
    assert Path(odd[0]["then"]).is_file()
    assert Path(odd[0]["now"]).is_file()
    assert animerun("replay", copied, "--server", previz)[0] == 0


def test_differences_are_listed_with_both_pictures(animerun: Animerun, copied: Path, previz: str) -> None:
    """A person sees the counts, the key and the two files of what is not identical, and the environment."""
    reseed(copied, CHANGED, 4242)
    _, _, said = animerun("replay", copied, "--server", previz)

    assert f"Compared with {copied.name}: 3 identical, 1 " in said
    assert f"{CHANGED} out[0]" in said
    assert str(copied / "s01" / "demo_s01_c001_close_t7.png") in said
    assert f"runs/{new_run().name}/s01/demo_s01_c001_close_t7.png" in said
    assert "Environment: the same" in said


def test_a_workflow_that_is_not_what_its_digest_says_is_refused(
    animerun: Animerun, copied: Path, previz: str
) -> None:
    """Exit 7 names the job; nothing is submitted, no run is begun."""
    reseed(copied, CHANGED, 4242, digest=False)
    code, _, said = animerun("replay", copied, "--server", previz)

    assert code == 7
    assert CHANGED in said
    assert no_run()


def test_damage_is_named_by_its_line_and_a_torn_end_is_no_damage(
    animerun: Animerun, copied: Path, previz: str
) -> None:
    """A flipped byte in the middle is exit 7 with the line's number; a last line cut off is dropped."""
    journal = copied / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    assert animerun("replay", copied, "--server", previz)[0] == 0
    shutil.rmtree("runs")
    lines = whole.splitlines(keepends=True)
    lines[4] = lines[4].replace(b"e", b"i", 1)
    journal.write_bytes(b"".join(lines))
    code, _, said = animerun("replay", copied, "--server", previz)

    assert code == 7
    assert "journal.jsonl:5:" in said
    assert no_run()


def test_cards_are_not_replayed_as_pictures_unless_asked_for(
    animerun: Animerun, copied: Path, previz: str
) -> None:
    """A real run on previz is refused with exit 2, whether previz is embedded or named by its address."""

    def real(line: Line) -> Line:
        return {**line, "realm": "comfyui"} if line["t"] == "run" else line

    rewrite(copied, real)
    for servers in ((), ("--server", previz)):
        code, _, said = animerun("replay", copied, *servers)
        assert code == 2
        assert "--across-realms" in said
        assert no_run()
    code, lines, _ = animerun("replay", copied, "--server", previz, "--across-realms", "--json")

    assert code == 0
    assert [(line["what"], line["then"], line["now"]) for line in lines if line["event"] == "drift"] == [
        ("pictures", "real", "cards")
    ]


def test_fresh_lets_no_cache_answer(animerun: Animerun, copied: Path, previz: str) -> None:
    """What the server answers from its cache the second time, it computes when it is to start afresh."""
    only = ("replay", copied, "--server", previz, "--only", "camera=close/seed=7")
    animerun(*only, "--runs", "warm")
    animerun(*only, "--runs", "cached")
    code, lines, _ = animerun(*only, "--runs", "fresh", "--fresh", "--json")
    cached, fresh = (of_kind(new_run(Path(name)), "done")[0]["cached"] for name in ("cached", "fresh"))

    assert cached > 3
    assert fresh == 0
    assert code == 0
    assert lines[-2]["counts"]["identical"] == 1
    assert read_notes(new_run(Path("fresh")))[0]["facts"]["fresh"] is True


def test_only_and_except_narrow_a_replay(animerun: Animerun, copied: Path, previz: str) -> None:
    """Patterns choose among the stored keys; the record says that it was narrowed; none left is exit 2."""
    code, lines, _ = animerun(
        "replay", copied, "--server", previz, "--json", "--only", "camera=wide", "--except", "seed=8"
    )

    assert code == 0
    assert [line["key"] for line in lines if line["event"] == "compared"] == [
        "demo/s01/c001/camera=wide/seed=7"
    ]
    assert of_kind(new_run(), "run")[0]["scope"]["only"] == ["camera=wide"]
    assert animerun("replay", copied, "--server", previz, "--only", "camera=high")[0] == 2


def test_pictures_need_not_come_along(animerun: Animerun, copied: Path, previz: str) -> None:
    """Without the old files the recorded hashes still prove what is identical; the rest is not graded."""
    shutil.rmtree(copied / "s01")
    reseed(copied, CHANGED, 4242)
    _, lines, _ = animerun("replay", copied, "--server", previz, "--json")
    compared = {line["key"]: line for line in lines if line["event"] == "compared"}

    assert compared.pop(CHANGED)["note"].startswith("not graded: output file")
    assert {line["verdict"] for line in compared.values()} == {"identical"}


def test_a_stopped_replay_is_begun_again_not_resumed(animerun: Animerun, copied: Path, previz: str) -> None:
    """`resume` would go back to the spec, so it says what to type instead."""
    animerun("replay", copied, "--server", previz)
    code, _, said = animerun("resume", new_run().name, "--server", previz)

    assert code == 2
    assert f"animerun replay {copied.name}" in said


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("job", {"name": "../../outside"}),
        ("job", {"name": "/etc/outside"}),
        ("run", {"episode": "../outside"}),
        ("journal", {"format": 2}),
    ],
)
def test_a_folder_from_a_stranger_writes_nowhere_else(
    animerun: Animerun, copied: Path, previz: str, kind: str, change: Line
) -> None:
    """Names that would lead out of the runs folder, and formats unknown, are damage; nothing is submitted."""
    rewrite(copied, lambda line: {**line, **change} if line["t"] == kind else line)
    code, _, said = animerun("replay", copied, "--server", previz)

    assert code == 7
    assert "journal.jsonl" in said
    assert no_run()


BAD = """{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ seed % 16777216 }}}},
  "bad": {"class_type": "TRaise", "inputs": {"image": ["empty", 0], "kind": "value"}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["{{ which }}", 0]}}
}"""  # noqa: E501 - graphs read better in long lines


def test_jobs_that_had_failed_are_tried_and_told_apart(
    animerun: Animerun, shop: Shop, tmp_path: Path, previz: str
) -> None:
    """They have workflows but no pictures: nothing is compared for them, failing again is exit 1."""
    front = "---\ntitle: a test\nparameters: {seed: {type: seed}}\noutputs: {out: image}\n---\n"
    for which in ("empty", "bad"):
        shop.template(which, BAD.replace("{{ which }}", which), front)
    shop.write(
        "flat.yaml",
        "animerun: 1\nepisode: flat\nscenes: {s: {vary: {template: [empty, bad]}, seeds: 1..2}}\n",
    )
    assert shop.animerun("flat.yaml", "--server", previz)[0] == 1
    old = shop.run()
    reseed(old, "flat/s/template=empty/seed=1", 0xFFFFFF, leaf="color")
    code, lines, _ = animerun("replay", old, "--server", previz, "--json", "--fail-on", "near")
    replayed = next(line for line in lines if line["event"] == "replayed")

    assert code == 1
    assert replayed["counts"]["identical"] == 1
    assert (replayed["failed_then"], replayed["made_now"]) == (2, 0)
    assert replayed["tripped"] is True
    assert animerun("replay", old, "--runs", "other")[0] == 3


LOAD = """{
  "load": {"class_type": "LoadImage", "inputs": {"image": {{ picture }}}},
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ seed % 16777216 }}}},
  "flat": {"class_type": "SaveImage", "inputs": {"images": ["empty", 0]}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["load", 0]}}
}"""  # noqa: E501 - graphs read better in long lines
LOAD_FRONT = """---
title: a test
parameters: {picture: {type: image}, seed: {type: seed}}
outputs: {out: image, flat: image}
---
"""


def test_inputs_come_from_the_run_folder_and_are_proven(
    animerun: Animerun, shop: Shop, tmp_path: Path, previz: str
) -> None:
    """The stored input is uploaded though the project's own is gone; a changed one is exit 7."""
    shop.template("load", LOAD, LOAD_FRONT)
    Image.new("RGB", (16, 16), "teal").save(tmp_path / "sea.png")
    shop.write("in.yaml", "animerun: 1\nepisode: in\nscenes: {s: {template: load, picture: sea.png}}\n")
    code, _, said = shop.animerun("in.yaml", "--server", previz)
    assert code == 0, said
    (tmp_path / "sea.png").unlink()
    old = shop.run()
    code, lines, said = animerun("replay", old, "--server", previz, "--json")

    assert code == 0, said
    assert lines[-2]["counts"]["identical"] == 2
    [stored] = (new_run() / "plan" / "inputs").iterdir()
    assert stored.read_bytes() == next((old / "plan" / "inputs").iterdir()).read_bytes()
    assert [told(line) for line in of_kind(new_run(), "input")] == [
        told(line) for line in of_kind(old, "input")
    ]
    stored.write_bytes(stored.read_bytes() + b"x")
    assert animerun("replay", new_run(), "--server", previz)[0] == 7


CLIP = """{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": {{ seed % 16777216 }}}},
  "repeat": {"class_type": "RepeatImageBatch", "inputs": {"image": ["empty", 0], "amount": 4}},
  "out": {"class_type": "SaveAnimatedWEBP", "inputs": {"images": ["repeat", 0], "fps": 8.0, "lossless": true, "quality": 80, "method": "default"}}
}"""  # noqa: E501 - graphs read better in long lines
CLIP_FRONT = "---\ntitle: a test\nparameters: {seed: {type: seed}}\noutputs: {out: video}\n---\n"


@pytest.mark.parametrize("told", [True, False])
def test_clips_are_judged_by_their_samples(animerun: Animerun, shop: Shop, previz: str, told: bool) -> None:
    """A clip is the same though its file holds another prompt id; its kind is known without the template."""
    shop.template("clip", CLIP, CLIP_FRONT)
    shop.write("clip.yaml", "animerun: 1\nepisode: clip\nscenes: {s: {template: clip, seeds: 1..2}}\n")
    code, _, said = shop.animerun("clip.yaml", "--server", previz)
    assert code == 0, said
    old = shop.run()
    rewrite(old, lambda line: line if told or line["t"] != "declared" else None)
    reseed(old, "clip/s/seed=2", 77, leaf="color")
    code, lines, said = animerun("replay", old, "--server", previz, "--json")
    compared = {line["key"]: line["verdict"] for line in lines if line["event"] == "compared"}

    assert code == 0, said
    assert compared == {"clip/s/seed=1": "identical", "clip/s/seed=2": "different"}
    assert (new_run() / "s" / "clip_s_t1.webp").is_file()
    assert {line["outputs"][0]["kind"] for line in of_kind(new_run(), "done")} == {"video"}


def test_what_was_reused_is_made_like_everything_else(animerun: Animerun, shop: Shop, previz: str) -> None:
    """A run whose files came from an earlier one is replayed in full: nothing is reused by a replay."""
    shop.write("demo.yaml", SPEC)
    assert shop.animerun("demo.yaml", "--server", previz)[0] == 0
    first = shop.run()
    shop.write("demo.yaml", SPEC.replace("7..8", "7..9"))
    assert shop.animerun("demo.yaml", "--server", previz)[0] == 0
    [second] = (path for path in first.parent.glob("demo-*") if path != first)
    code, lines, _ = animerun("replay", second, "--server", previz, "--json")

    assert code == 0
    assert len(of_kind(second, "reused")) == 4
    assert (len(of_kind(new_run(), "done")), of_kind(new_run(), "reused")) == (6, [])
    assert lines[-2]["counts"]["identical"] == 6
