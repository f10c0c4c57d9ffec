"""Words, names and files that people bring from other tools get the right word."""

from __future__ import annotations

import json

import pytest

from runner.previz.nodes.sampling import SAMPLERS, SCHEDULERS
from runner.values import brought, brought_choice, brought_word

HEAD = "animerun: 1\nepisode: ep\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            "negative_prompt: bad hands",
            "unknown word `negative_prompt`: it is called `negative` here; write `negative: bad hands`",
        ),
        ("cfg_scale: 7", "unknown word `cfg_scale`: it is called `cfg` here; write `cfg: 7`"),
        (
            "sampler_name: euler",
            "unknown word `sampler_name`: it is called `sampler` here; write `sampler: euler`",
        ),
        ("height: 768", "unknown word `height`: write `size: WIDTHx768`"),
        ("batch_size: 4", "unknown word `batch_size`: it is called `takes` here; write `takes: 4`"),
        ("seed: 7", "`seed` is filled for each job; write `seeds: [7]`"),
        (
            "seed: -1",
            "`seed` is filled for each job; leave it out: each take has a seed derived from the cut's name",
        ),
        ("size: {width: 512, height: 768}", "`size` takes no map; write `size: 512x768`"),
        ("cast: {aki: home}", "a member is one text: write `aki.home`"),
        ("sampler: Euler a", "`sampler: Euler a`: ComfyUI calls it `euler_ancestral`"),
        ("template: txt2img.json", "no template is called `txt2img.json`; write `template: txt2img`"),
        ("cfg: '1,000'", "`cfg: 1,000`: write 1000"),
        ("steps: '5,5'", "`steps: 5,5`: a whole number is wanted here"),
        ("lora: x:0.8", "`lora: x:0.8`: write x.safetensors@0.8"),
    ],
)
def test_a_word_of_another_tool_is_told_the_right_one(studio, words, wanted):
    """The message holds what to write, with the value that was written."""
    assert studio.messages(HEAD + f"scenes: {{s: {{prompt: a, {words}}}}}") == [wanted]


def test_both_sides_of_a_picture_make_its_size(studio):
    """Width and height are told with both numbers."""
    found = studio.messages(HEAD + "scenes: {s: {prompt: a, width: 512, height: 768}}")

    assert found == [f"unknown word `{side}`: write `size: 512x768`" for side in ("width", "height")]


def test_a_preset_is_told_too(studio):
    """A key of a model that its template calls otherwise is named."""
    found = studio.messages(HEAD + "models: {m: {cfg_scale: 7}}\nscenes: {s: {prompt: a}}")

    assert found == [
        "model `m` sets `cfg_scale`, which template `txt2img` does not have; it is called `cfg` here"
    ]


def test_a_decimal_comma_is_a_decimal_point(studio):
    """`5,5` is 5.5, wherever a number is wanted."""
    assert studio.job(HEAD + "scenes: {s: {prompt: a, cfg: '5,5'}}").values["cfg"] == 5.5
    assert studio.job(HEAD + "scenes: {s: {prompt: a, cfg: '0,125'}}").values["cfg"] == 0.125


@pytest.mark.parametrize("size", ["512x768", "512 x 768", "512X768", "512×768", "512*768"])
def test_a_size_is_two_numbers_and_a_cross(studio, size):
    """Whatever cross people have on their keys, with blanks or without."""
    found = studio.job(HEAD + f"scenes: {{s: {{prompt: a, size: {size}}}}}")

    assert found.values["size"] == {"width": 512, "height": 768}


def test_every_word_and_choice_of_the_tables_exists_here():
    """The right words are words, and the right samplers and schedulers are ComfyUI's."""
    assert set(brought._SAMPLERS.values()) <= set(SAMPLERS[0])
    assert set(brought._SCHEDULERS.values()) <= set(SCHEDULERS[0])
    assert brought_word("CFG scale", ["cfg"]) == brought_word("cfg-scale", ["cfg"]) == "cfg"
    assert brought_word("cfg_scale", ["steps"]) == brought_word("steps", ["steps"]) == ""


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("sampler", "DPM++ 2M Karras", "ComfyUI calls it `dpmpp_2m`, with `scheduler: karras`"),
        ("sampler", "DPM++ SDE", "ComfyUI calls it `dpmpp_sde`"),
        ("scheduler", "SGM Uniform", "ComfyUI calls it `sgm_uniform`"),
        ("scheduler", "Karras", "ComfyUI calls it `karras`"),
        ("sampler", "euler", ""), ("sampler", "dpmpp_2m", ""), ("scheduler", "beta57", ""),
        ("sampler", "res_2m karras", ""), ("prompt", "Euler a", ""),
    ],
)  # fmt: skip
def test_samplers_are_known_by_the_names_of_another_tool(name, text, wanted):
    """A name that is both sampler and scheduler is taken apart; what ComfyUI knows itself is left alone."""
    assert brought_choice(name, text) == wanted


def test_nobody_stands_in_a_cast_on_purpose(studio):
    """`cast: []` is nobody, `cast: null` whoever it is without a word; neither is a mistake."""
    text = (
        HEAD
        + "characters: {aki: {prompt: aki}}\nscenes: {a: {prompt: x, cast: []}, b: {prompt: x, cast: null}}"
    )

    assert [job.prompt for job in studio.jobs(text)] == ["x", "x"]


def test_a_character_that_wears_nothing_is_warned_of_once(studio):
    """Who has outfits and wears none is named with what to write; who wears one is not."""
    head = HEAD + "characters: {aki: {prompt: aki, outfits: {home: hoodie, work: suit}}}\n"

    assert studio.warnings(head + "scenes: {a: {cast: aki}, b: {cast: aki, takes: 2}}") == [
        "aki wears no outfit here; write `cast: aki.home`, or `outfit: home` on the character"
    ]
    assert studio.warnings(head + "scenes: {a: {cast: aki.home}, b: {cast: aki, outfit: a red dress}}") == []


def test_a_text_that_names_a_file_of_the_project_is_warned_of(studio):
    """Nothing is read from it: it is drawn as it stands."""
    studio.touch("prompts.txt")
    (warning,) = studio.warnings(HEAD + "scenes: {s: {vary: {prompt: {a: prompts.txt, b: other.txt}}}}")

    assert warning.startswith("`prompts.txt` is drawn as a text, though it is a file of the project")


@pytest.mark.parametrize("cast", ["aki:smile", "aki and ren", "aki smiling, two men", "aki + ren"])
def test_a_text_that_begins_with_a_characters_name_is_warned_of(studio, cast):
    """It is drawn as it stands, and the character is not in the picture."""
    text = HEAD + f"characters: {{aki: {{prompt: silver hair}}}}\nscenes: {{s: {{cast: '{cast}'}}}}"

    (warning,) = studio.warnings(text)

    assert "is drawn as a text, not as `aki`" in warning
    assert studio.job(text).prompt == cast


GRAPH = {"3": {"class_type": "KSampler", "inputs": {}}, "9": {"class_type": "SaveImage", "inputs": {}}}
EDITORS = {"nodes": [{"id": 1}], "links": [], "version": 0.4}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (json.dumps(GRAPH), "this is a workflow in ComfyUI's API format, no spec"),
        (json.dumps(EDITORS, indent="\t"), "this is a workflow as ComfyUI's editor saves it, no spec"),
        (json.dumps({"prompt": GRAPH, "client_id": "x"}), "this is a request to ComfyUI, no spec"),
        ("\x89PNG\r\n\x1a\n", "this is a PNG picture, no spec"),
        ("a girl\nSteps: 20, Sampler: Euler a, Seed: 1", "these are a picture's parameters, no spec"),
    ],
)
def test_another_file_than_a_spec_is_recognised(studio, content, what):
    """One sentence says what it is and what to do, also where a spec includes it."""
    data = content.encode("latin-1" if content.startswith("\x89") else "utf-8")
    (studio.root / "x.json").write_bytes(data)

    (found,) = studio.problems(HEAD + "include: [x.json]\nscenes: {s: {prompt: a}}")

    assert found.message.startswith(what)
    assert found.path.endswith("x.json")


@pytest.mark.parametrize(
    ("place", "asked", "hint"),
    [
        ("specs/cast.yaml", "cast.yaml", "the project's folder; write `specs/cast.yaml`"),
        ("cast.yaml", "none.yaml", "the project's folder"),
    ],
)
def test_a_missing_library_says_where_paths_start(studio, place, asked, hint):
    """The project's folder is named, and where the file is if it lies beside the spec."""
    studio.write("characters: {}", place)

    (found,) = studio.messages(HEAD + f"include: [{asked}]\nscenes: {{s: {{prompt: a}}}}")

    assert found == f"include: there is no file `{asked}` in {studio.root}, {hint}"


def test_without_a_project_file_the_reason_is_told(studio):
    """The spec's own folder is the project where nothing marks another, and the message says so."""
    (studio.root / "animerun.toml").unlink()
    studio.write("characters: {}", "specs/cast.yaml")

    (found,) = studio.messages(HEAD + "include: [specs/cast.yaml]\nscenes: {s: {prompt: a}}")

    assert f"for there is no animerun.toml in it or above; put an empty one into {studio.root}" in found


def test_a_missing_picture_names_the_nearest(studio):
    """A slip in the name, in its case or in its normal form is told."""
    studio.touch("in/pose.png", "in/カ\u3099.png")
    text = HEAD + "template: i2v\nscenes: {s: {start_image: in/%s}}"

    assert studio.messages(text % "Pose.png")[0].endswith("; did you mean `in/pose.png`?")
    assert studio.messages(text % "poze.png")[0].endswith("; did you mean `in/pose.png`?")
    assert studio.messages(text % "ガ.png")[0].endswith("in another normal form (NFC, NFD): rename it")
