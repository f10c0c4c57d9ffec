# ruff: noqa: E501 - graphs read better in long lines
"""What is up to date is not rendered again; what is not says why. animerun as processes, files counted on the server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from runner.manifest.journal import Reading
from tests.flow.conftest import Own, Shop
from tests.flow.test_main_job import FLAT

FRONT = """---
title: words to a colour
parameters:
  prompt: {type: text, wording: "{{ cast }}, {{ action }}"}
  number: {type: int, default: 0}
  seed: {type: seed}
outputs: {out: image}
---
"""
BODY = FLAT.replace('"color": {{ (seed + number) % 16777216 }}', '"color": {{ (seed + number + prompt | length) % 16777216 }}')  # fmt: skip
SPEC = """animerun: 1
episode: ep
template: words
characters:
  aki: {prompt: a girl with short black hair}
  ren: {prompt: a boy in a red scarf}
scenes:
  s01:
    cuts:
      c001: {cast: aki, action: runs, takes: 3}
      c002: {cast: ren, action: sits, takes: 2}
"""


class Server:
    """The server of one test."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.before = 0

    def new(self) -> int:
        """Files saved since last asked."""
        now = len(list((self.folder / "output").rglob("*.png")))
        new, self.before = now - self.before, now
        return new


@pytest.fixture
def own(own: Own) -> Server:
    return Server(own.url, own.folder)


@pytest.fixture
def words(shop: Shop) -> Shop:
    """A project whose pictures depend on the length of the prompt, a number and the seed."""
    shop.template("words", BODY, FRONT)
    shop.write("ep.yaml", SPEC)
    return shop


def edit(shop: Shop, old: str, new: str, name: str = "ep.yaml") -> None:
    path = shop.folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def runs(shop: Shop) -> list[Path]:
    found = [path.parent for path in (shop.folder / "runs").glob("*/journal.jsonl")]
    return sorted(found, key=lambda run: (run / "run.json").stat().st_mtime_ns)


def render(shop: Shop, own: Server, *args: str, code: int = 0) -> str:
    found, _, err = shop.animerun("ep.yaml", "--server", own.url, *args)
    assert found == code, err
    return err


def kinds(run: Path) -> dict[str, list[str]]:
    """How the jobs of a run ended → their keys, sorted."""
    found: dict[str, list[str]] = {}
    for line in Reading(run / "journal.jsonl"):
        if line["t"] in ("done", "reused", "failed"):
            found.setdefault(line["t"], []).append(line["key"])
    return {kind: sorted(keys) for kind, keys in found.items()}


def reasons(run: Path) -> set[str]:
    """Why the jobs that were rendered were."""
    rendered = set(kinds(run).get("done", ()))
    lines = [line for line in Reading(run / "journal.jsonl") if line["t"] == "job"]
    return {line.get("reason", "") for line in lines if line["key"] in rendered}


def pictures(run: Path) -> list[str]:
    return sorted(str(path.relative_to(run)) for path in run.rglob("*.png") if "plan" not in path.parts)


def test_only_the_jobs_of_an_edited_character_are_rendered(words: Shop, own: Server) -> None:
    """One word of aki's prompt changes: plan names her jobs and the reason; they and no other are rendered."""
    render(words, own)
    assert own.new() == 5
    edit(words, "short black", "short dark brown")
    code, out, _ = words.animerun("plan", "ep.yaml", "--json")
    planned = [json.loads(line) for line in out.splitlines()]
    told = render(words, own)
    _, second = runs(words)
    stale = [f"ep/s01/c001/take={n}" for n in (1, 2, 3)]

    assert code == 0
    assert [row["key"] for row in planned if row["answer"] == "run"] == stale
    assert {row["why"] for row in planned if row["answer"] == "run"} == {"prompt of character aki changed"}
    assert own.new() == 3
    assert kinds(second) == {"done": stale, "reused": ["ep/s01/c002/take=1", "ep/s01/c002/take=2"]}
    assert reasons(second) == {"prompt of character aki changed"}
    assert "3 jobs made, 2 reused" in told
    assert len(pictures(second)) == 5


def test_explain_tells_of_a_run(words: Shop, own: Server) -> None:
    """`explain` says of each job why it was rendered, or which run its files come from."""
    render(words, own)
    edit(words, "short black", "short dark brown")
    render(words, own)
    first, second = runs(words)
    _, out, _ = words.animerun("explain", "s01", "--json")
    rows = {row["key"]: row for row in map(json.loads, out.splitlines())}

    assert rows["ep/s01/c001/take=1"]["why"] == "prompt of character aki changed"
    assert rows["ep/s01/c001/take=1"]["made_by"] == second.name
    assert rows["ep/s01/c002/take=1"]["why"] == "same recipe"
    assert rows["ep/s01/c002/take=1"]["made_by"] == first.name


def test_nothing_to_do_makes_no_run(words: Shop, own: Server) -> None:
    """The same command again says so, names the run, exits 0 and leaves no folder."""
    render(words, own)
    told = render(words, own)

    assert len(runs(words)) == 1
    assert f"Nothing to do: 5 jobs up to date, all in run {runs(words)[0].name}." in told


def test_a_scene_taken_out_makes_a_run_without_it(words: Shop, own: Server) -> None:
    """What a run holds beyond the spec of today does not pass for it; a narrowed run asks for less, and is done."""
    render(words, own)
    assert "Nothing to do: 3 jobs up to date" in render(words, own, "--only", "s01/c001")
    edit(words, "      c002: {cast: ren, action: sits, takes: 2}\n", "")
    render(words, own)

    assert own.new() == 5
    assert len(runs(words)) == 2


def test_waiting_jobs_are_no_reason_for_a_run(words: Shop, own: Server) -> None:
    """A spec with jobs that wait for a pick, all others made, has nothing to do."""
    more = "      c003: {template: img2img, from: c001, pick: first, cast: aki, checkpoint: a.safetensors, denoise: 0.4}\n"
    edit(words, "      c002:", more + "      c002:")
    assert "wait" in render(words, own)
    assert "Nothing to do: 5 jobs up to date" in render(words, own)
    assert len(runs(words)) == 1


def test_new_file_names_make_a_run_without_rendering(words: Shop, own: Server) -> None:
    """After `deliver.name` changed every file is there under its new name, and none is rendered."""
    render(words, own)
    own.new()
    edit(
        words,
        "template: words",
        "template: words\ntitle: Another title\ndeliver: {name: '{{ cut }}/{{ take }}'}",
    )
    render(words, own)
    first, second = runs(words)

    assert own.new() == 0
    assert pictures(second) == ["c001/01.png", "c001/02.png", "c001/03.png", "c002/01.png", "c002/02.png"]
    assert (second / "c001/01.png").read_bytes() == (first / "s01/ep_s01_c001_t01.png").read_bytes()


def test_another_title_alone_is_nothing_to_do(words: Shop, own: Server) -> None:
    """What only people read makes no job stale."""
    render(words, own)
    edit(words, "template: words", "template: words\ntitle: Another title")

    assert "Nothing to do" in render(words, own)


def test_another_recipe_for_the_same_workflow_is_reused(words: Shop, own: Server) -> None:
    """A comment in the template makes recipes stale, not digests: reused, with the reason recorded."""
    render(words, own)
    own.new()
    words.template(
        "words", BODY, FRONT.replace("title: words to a colour", "title: another title of the same")
    )
    edit(words, "takes: 2", "takes: 3")
    render(words, own)
    _, second = runs(words)
    why = {line["key"]: line["reason"] for line in Reading(second / "journal.jsonl") if line["t"] == "job"}

    assert own.new() == 1
    assert why["ep/s01/c001/take=1"] == "same workflow, made from other words"
    assert len(kinds(second)["reused"]) == 5


def test_a_changed_template_is_told(words: Shop, own: Server) -> None:
    """A template that draws something else renders all of its jobs and says so."""
    render(words, own)
    own.new()
    words.template("words", BODY.replace('"width": 16', '"width": 24'), FRONT)
    render(words, own)

    assert own.new() == 5
    assert reasons(runs(words)[1]) == {"template words changed"}


def test_a_missing_file_is_rendered_again(words: Shop, own: Server) -> None:
    """A deleted picture is made again in a new run, which shares the others."""
    render(words, own)
    own.new()
    (runs(words)[0] / "s01/ep_s01_c002_t01.png").unlink()
    render(words, own)
    _, second = runs(words)

    assert own.new() == 1
    assert kinds(second)["done"] == ["ep/s01/c002/take=1"]
    assert reasons(second) == {"output file s01/ep_s01_c002_t01.png is gone"}
    assert len(pictures(second)) == 5


def test_an_edited_file_is_never_reused_nor_touched(words: Shop, own: Server) -> None:
    """A painted-over picture stays as it is in its run; the new run has a fresh one."""
    render(words, own)
    own.new()
    edited = runs(words)[0] / "s01/ep_s01_c001_t02.png"
    Image.new("RGB", (16, 16), (1, 2, 3)).save(edited)
    content = edited.read_bytes()
    render(words, own)
    _, second = runs(words)

    assert own.new() == 1
    assert kinds(second)["done"] == ["ep/s01/c001/take=2"]
    assert reasons(second) == {"output file s01/ep_s01_c001_t02.png was edited"}
    assert edited.read_bytes() == content
    assert (second / "s01/ep_s01_c001_t02.png").read_bytes() != content


def test_a_touched_file_is_still_good(words: Shop, own: Server) -> None:
    """Another time with the same content (a copied runs folder) is no edit."""
    render(words, own)
    os.utime(runs(words)[0] / "s01/ep_s01_c001_t02.png", (1, 1))

    assert "Nothing to do" in render(words, own)


def test_force_renders_all_and_force_only_what_matches(words: Shop, own: Server) -> None:
    """Both render what is up to date; the reason is the flag."""
    render(words, own)
    own.new()
    render(words, own, "--force-only", "c002")
    render_some = own.new()
    render(words, own, "--force")
    _, some, every = runs(words)

    assert (render_some, own.new()) == (2, 5)
    assert kinds(some)["done"] == ["ep/s01/c002/take=1", "ep/s01/c002/take=2"]
    assert reasons(some) == {"--force-only c002"}
    assert reasons(every) == {"--force"}


@pytest.mark.parametrize("flag", [(), ("--copy",)], ids=["shared", "copied"])
def test_reused_files_outlive_the_run_they_come_from(words: Shop, own: Server, flag: tuple[str, ...]) -> None:
    """Linked or copied, the new run's files are its own: deleting the old run takes nothing from it."""
    render(words, own)
    edit(words, "takes: 2", "takes: 3")
    render(words, own, *flag)
    first, second = runs(words)
    one = "s01/ep_s01_c001_t01.png"
    shared = (first / one).stat().st_ino == (second / one).stat().st_ino
    shutil.rmtree(first)
    recorded = [line for line in Reading(second / "journal.jsonl") if line["t"] == "reused"]

    assert not (flag and shared)
    for line in recorded:
        [output] = line["outputs"]
        assert hashlib.sha256((second / output["path"]).read_bytes()).hexdigest() == output["sha256"]
    assert "Nothing to do" in render(words, own)


def test_two_runs_together_make_one_that_has_everything(words: Shop, own: Server) -> None:
    """When what is wanted lies in two runs, a new run shares from both and renders nothing."""
    render(words, own, "--only", "c001")
    render(words, own, "--only", "c002")
    own.new()
    told = render(words, own)
    _, _, third = runs(words)

    assert own.new() == 0
    assert len(kinds(third)["reused"]) == len(pictures(third)) == 5
    assert "5 reused" in told


def test_cards_by_address_and_embedded_are_one_realm(words: Shop, own: Server) -> None:
    """What a previz made that was named by its address serves the embedded one too."""
    shop = words
    shop.write(
        "ep.yaml", "animerun: 1\nepisode: ep\nsize: 64x64\nscenes: {s01: {prompt: a lighthouse, takes: 2}}\n"
    )
    render(shop, own)
    code, _, err = shop.animerun("ep.yaml")

    assert code == 0
    assert "Nothing to do" in err


def test_plan_knows_what_a_server_was(words: Shop, own: Server) -> None:
    """A previz that was used before is planned for as one, without asking it."""
    render(words, own)
    code, _, err = words.animerun("plan", "ep.yaml", "--server", own.url.removeprefix("http://"))

    assert code == 0
    assert "0 to run, 5 up to date" in err


def test_the_other_realm_never_serves(words: Shop, own: Server) -> None:
    """Files of real pictures are not taken for cards, be the recipe the same."""
    from runner.manifest.journal import encode

    render(words, own)
    own.new()
    path, check, whole = runs(words)[0] / "journal.jsonl", 0, b""
    for line in list(Reading(path)):
        raw, check = encode(line | {"realm": "comfyui"} if line["t"] == "run" else line, check)
        whole += raw
    path.write_bytes(whole)
    shutil.rmtree(words.folder / "runs" / ".index")
    (words.folder / "runs" / "manifest.duckdb").unlink()
    render(words, own)

    assert own.new() == 5


def inverting(shop: Shop) -> None:
    """Give *shop* the template `invert`, which takes a picture."""
    shop.template(
        "invert",
        '{"load": {"class_type": "LoadImage", "inputs": {"image": {{ image }}}},\n'
        ' "invert": {"class_type": "ImageInvert", "inputs": {"image": ["load", 0]}},\n'
        ' "out": {"class_type": "SaveImage", "inputs": {"images": ["invert", 0]}}}',
        "---\ntitle: a\nparameters: {image: {type: image}}\noutputs: {out: image}\n---\n",
    )


def test_another_content_of_an_input_picture_is_told(shop: Shop, own: Server) -> None:
    """The same name with other pixels makes its jobs stale, and says which file."""
    Image.new("RGB", (16, 16), (1, 2, 3)).save(shop.folder / "in.png")
    inverting(shop)
    shop.write("ep.yaml", "animerun: 1\nepisode: ep\ntemplate: invert\nscenes: {s01: {image: in.png}}\n")
    render(shop, own)
    own.new()
    Image.new("RGB", (16, 16), (9, 9, 9)).save(shop.folder / "in.png")
    render(shop, own)

    assert own.new() == 1
    assert reasons(runs(shop)[1]) == {"file in.png changed"}


def test_held_frames_are_rendered_once_each_and_then_up_to_date(shop: Shop, own: Server) -> None:
    """Equal pictures under two names are two jobs, each found again under its own name."""
    inverting(shop)
    for name in ("a", "b"):
        Image.new("RGB", (16, 16), (1, 2, 3)).save(shop.folder / f"{name}.png")
    shop.write(
        "ep.yaml",
        "animerun: 1\nepisode: ep\ntemplate: invert\nscenes: {s01: {vary: {image: [a.png, b.png]}}}\n",
    )
    render(shop, own)

    assert own.new() == 2
    assert pictures(runs(shop)[0]) == ["s01/ep_s01_a_t01.png", "s01/ep_s01_b_t01.png"]
    assert "Nothing to do: 2 jobs up to date" in render(shop, own)


def test_a_failed_job_is_rendered_again(shop: Shop, own: Server) -> None:
    """What failed last time is tried anew by the same command, for that reason; what was made is reused."""
    shop.template("flat", FLAT)
    bad = FLAT.replace('"images": ["empty", 0]', '"images": ["bad", 0]')
    bad = bad.replace(
        '"out":',
        '"bad": {"class_type": "TRaise", "inputs": {"image": ["empty", 0], "kind": "value"}},\n  "out":',
    )
    shop.template("bad", bad)
    shop.write(
        "ep.yaml", "animerun: 1\nepisode: ep\nscenes: {s: {number: 5, vary: {template: [flat, bad]}}}\n"
    )
    render(shop, own, code=1)
    render(shop, own, code=1)
    _, second = runs(shop)
    why = {line["key"]: line["reason"] for line in Reading(second / "journal.jsonl") if line["t"] == "job"}

    assert kinds(second) == {"reused": ["ep/s/template=flat/take=1"], "failed": ["ep/s/template=bad/take=1"]}
    assert why["ep/s/template=bad/take=1"] == "it failed last time"


def test_a_link_in_place_of_a_file_is_not_followed(words: Shop, own: Server) -> None:
    """A symbolic link where an output was is an edit, whatever it leads to."""
    render(words, own)
    one = runs(words)[0] / "s01/ep_s01_c001_t01.png"
    elsewhere = words.folder / "elsewhere.png"
    one.rename(elsewhere)
    one.symlink_to(elsewhere)
    render(words, own)

    assert kinds(runs(words)[1])["done"] == ["ep/s01/c001/take=1"]
