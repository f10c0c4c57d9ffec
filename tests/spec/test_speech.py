"""Prompt, negative, LoRA chain and cast of one job."""

from __future__ import annotations

import pytest

from runner.domain import Lora

HEAD = "animerun: 1\nepisode: ep\n"


def chain(job):
    """Return the LoRAs of *job* as people write them."""
    return [f"{lora.file}@{lora.weight:g}" for lora in job.loras]


def test_a_spec_of_three_lines_makes_its_jobs(studio):
    """Everything else is default: template, name, no model, no negative."""
    jobs = studio.jobs(
        "animerun: 1\nepisode: demo\nscenes: {s01: {prompt: a lighthouse at dusk, seeds: 1..4}}"
    )

    assert [(job.key, job.seed, job.name, job.take) for job in jobs][::3] == [
        ("demo/s01/seed=1", 1, "s01/demo_s01_t1", "t1"),
        ("demo/s01/seed=4", 4, "s01/demo_s01_t4", "t4"),
    ]
    assert dict(jobs[0].values) == {
        "checkpoint": "v1-5.safetensors",
        "vae": None,
        "prompt": "a lighthouse at dusk",
        "negative": "",
        "loras": [],
        "size": {"width": 512, "height": 512},
        "seed": 1,
        "steps": 20,
        "cfg": 7.0,
        "sampler": "euler",
    }
    assert (jobs[0].template, jobs[0].model, jobs[0].cut, jobs[0].slots) == (
        "txt2img",
        "",
        "",
        {"prompt": "a lighthouse at dusk"},
    )


def test_the_prompt_is_the_wording_filled_from_slots_and_cast(studio):
    """Empty slots take their separators along; count comes from kinds; extras are not counted."""
    job = studio.job(
        HEAD
        + """
characters:
  aki: {kind: girl, prompt: "aki, silver hair", outfits: {home: hoodie}}
  ren: {kind: boy, prompt: ren}
prompts: {place: {roof: a roof}, weather: {}, expression: {smile: smiling}}
wording: >-
  {{ count }}, {{ cast }}, {{ action }}, {{ weather }}, {{ place }}. {{ style }}.
scenes: {s: {cast: [aki.home.smile, ren, a crowd of people], place: roof, weather: light rain}}
"""
    )

    assert job.prompt == (
        "1girl, 1boy, aki, silver hair, hoodie, smiling, ren, a crowd of people, light rain, a roof."
    )
    assert [member.name for member in job.cast] == ["aki", "ren", ""]
    assert job.slots == {"place": "a roof", "weather": "light rain"}


def test_texts_are_chosen_by_model_then_by_what_it_extends_then_else(studio):
    """The model's own name comes first, its ancestors next, `else` last."""
    text = (
        HEAD
        + """
models: {ink: {}, draft: {extends: ink}, rough: {extends: draft}, qwen: {}}
characters: {aki: {prompt: {draft: d, ink: i, else: e}}}
scenes: {s: {cast: aki, vary: {model: [ink, draft, rough, qwen]}}}
"""
    )

    assert [job.prompt for job in studio.jobs(text)] == ["i", "d", "d", "e"]


def test_negatives_of_everything_set_enter_in_order(studio):
    """Model's first, then slots', members', the word last; a slot without a hole brings its own too."""
    job = studio.job(
        HEAD
        + """
models: {ink: {negative: base}}
prompts:
  light: {dark: {prompt: dark, negative: bright}}
  style: {cel: {prompt: cel, negative: photo}}
characters: {aki: {prompt: aki, negative: blond, outfits: {home: {prompt: hoodie, negative: hood}}}}
wording: "{{ cast }}"
scenes: {s: {cast: aki.home, style: cel, light: dark, negative: "text, logo"}}
"""
    )

    assert job.negative == "base, bright, photo, blond, hood, text, logo"
    assert job.prompt == "aki, hoodie"
    assert job.values["negative"] == job.negative


def test_without_a_models_negative_the_templates_default_is_the_base(studio):
    """The template's own negative is added to, not replaced."""
    studio.touch("a.png")

    job = studio.job(HEAD + "template: i2v\nscenes: {s: {prompt: x, start_image: a.png, negative: blur}}")

    assert job.negative == "static, blur"
    assert job.values["start_image"] == {"$file": "a.png"}


def test_the_lora_chain_is_model_slots_members_word(studio):
    """Slots in their order, an outfit's LoRA instead of the character's, an expression's beside it."""
    job = studio.job(
        HEAD
        + """
models: {ink: {lora: base.safetensors@0.5}}
prompts:
  style: {cel: {prompt: cel, lora: cel.safetensors@0.6}}
  place: {roof: {prompt: roof, lora: roof.safetensors}}
  weather: {rain: {prompt: rain, lora: rain.safetensors}}
  expression: {smile: {prompt: smiling, lora: smile.safetensors@0.3}}
characters:
  aki:
    prompt: aki
    lora: aki.safetensors@0.8
    outfits: {gym: {prompt: shorts, lora: gym.safetensors@0.7:0.2}}
  ren: {prompt: ren, lora: ren.safetensors@0.75}
scenes:
  s:
    cast: ren, aki.gym.smile
    style: cel
    place: roof
    weather: rain
    lora: [last.safetensors@1.5, ren.safetensors@0.1]
"""
    )

    assert chain(job) == [
        "base.safetensors@0.5",
        "roof.safetensors@1",
        "cel.safetensors@0.6",
        "rain.safetensors@1",
        "ren.safetensors@0.1",
        "gym.safetensors@0.7",
        "smile.safetensors@0.3",
        "last.safetensors@1.5",
    ]
    assert job.loras[5] == Lora(file="gym.safetensors", weight=0.7, clip=0.2)
    assert job.values["loras"][0] == {"file": "base.safetensors", "weight": 0.5, "clip": 0.5}


def test_a_lora_goes_to_the_parameter_of_its_part(studio):
    """`high:` and `low:` reach their own parameters only, in chain order."""
    studio.touch("a.png")

    job = studio.job(
        HEAD
        + """
characters: {aki: {prompt: aki, lora: ["high:h.safetensors@0.9", "low:l.safetensors@0.8"]}}
template: i2v
start_image: a.png
scenes: {s: {cast: aki, lora: "high:x.safetensors", aki.weight: 0.4}}
"""
    )

    assert [one["file"] for one in job.values["loras_high"]] == ["h.safetensors", "x.safetensors"]
    assert job.values["loras_low"] == [{"file": "l.safetensors", "weight": 0.4, "clip": 0.4}]


def test_a_weight_may_vary_and_keeps_a_clip_that_was_written(studio):
    """`aki.weight` is an axis like any other; a clip of its own stays."""
    jobs = studio.jobs(
        HEAD
        + """
characters: {aki: {prompt: aki, lora: "aki.safetensors@0.8:0.3"}}
prompts: {style: {cel: {prompt: cel, lora: cel.safetensors}}}
style: cel
scenes: {s: {cast: aki, style.weight: 0.2, vary: {aki.weight: [0.6, 1]}}}
"""
    )

    assert [[(lora.weight, lora.clip) for lora in job.loras] for job in jobs] == [
        [(0.2, 0.2), (0.6, 0.3)],
        [(0.2, 0.2), (1.0, 0.3)],
    ]
    assert [job.key for job in jobs] == ["ep/s/aki.weight=0.6/take=1", "ep/s/aki.weight=1/take=1"]


def test_a_text_with_a_wording_of_its_own_is_composed_unless_it_is_set(studio):
    """A text parameter with a wording is filled from slots; a word replaces it."""
    text = HEAD + "template: refs\nscenes: {a: {prompt: x, place: roof}, b: {prompt: x, caption: by hand}}"

    assert [job.values["caption"] for job in studio.jobs(text)] == ["roof", "by hand"]


def test_a_composed_text_that_varies_is_composed_where_it_is_null(studio):
    """`null` on its axis means: as the wording has it."""
    text = HEAD + "template: refs\nscenes: {a: {prompt: x, place: roof, vary: {caption: [null, by hand]}}}"

    assert [job.values["caption"] for job in studio.jobs(text)] == ["roof", "by hand"]


def test_a_cast_parameter_gets_the_members_with_their_reference_pictures(studio):
    """References are sorted by name and stand as files of the project."""
    studio.touch("refs/aki/b.png", "refs/aki/a.png", "refs/home.png")

    job = studio.job(
        HEAD
        + """
characters:
  aki: {prompt: aki, refs: refs/aki/*.png, outfits: {home: {prompt: hoodie, refs: [refs/home.png]}}}
scenes: {s: {template: refs, cast: aki.home}}
"""
    )

    assert job.values["cast"] == {
        "members": [
            {
                "name": "aki",
                "prompt": "aki",
                "outfit": "hoodie",
                "expression": "",
                "refs": [
                    {"$file": "refs/aki/a.png"},
                    {"$file": "refs/aki/b.png"},
                    {"$file": "refs/home.png"},
                ],
            }
        ]
    }


def test_a_glob_gives_its_files_sorted_and_within_the_parameters_number(studio):
    """Three files are too many for a parameter that takes two."""
    studio.touch("poses/b.png", "poses/a.png")
    text = HEAD + "template: refs\nscenes: {s: {prompt: x, poses: poses/*.png}}"

    assert studio.job(text).values["poses"] == [{"$file": "poses/a.png"}, {"$file": "poses/b.png"}]

    studio.touch("poses/c.png")
    assert studio.messages(text) == ["`poses` takes at most 2 pictures; 3 match here"]


def test_pictures_stay_inside_the_project(studio, tmp_path_factory):
    """A link that leads out is no file of the project, alone or in a glob."""
    outside = tmp_path_factory.mktemp("outside") / "x.png"
    outside.touch()
    studio.touch("poses/a.png")
    (studio.root / "poses/out.png").symlink_to(outside)
    text = HEAD + "template: refs\nscenes: {s: {prompt: x, poses: poses/*.png}}"

    assert studio.job(text).values["poses"] == [{"$file": "poses/a.png"}]
    (found,) = studio.messages(HEAD + "template: i2v\nscenes: {s: {prompt: x, start_image: poses/out.png}}")
    assert found.startswith("`poses/out.png` leads out of the project folder")


@pytest.mark.parametrize("path", ["round.png", "around/a.png"])
def test_a_picture_whose_links_lead_round_in_a_circle_is_refused(studio, path):
    """It is a mistake of the spec, and the path is named."""
    (studio.root / "round.png").symlink_to("round.png")
    (studio.root / "around").symlink_to("around")
    (found,) = studio.messages(HEAD + f"template: i2v\nscenes: {{s: {{prompt: x, start_image: {path}}}}}")

    assert found == f"`{path}` is no file: its links lead round in a circle"


def test_quoted_words_are_text_for_extras_and_names_where_they_fit(studio):
    """A quoted single word never has to be a character; a quoted entry's name is that entry."""
    text = (
        HEAD
        + """
characters: {aki: {prompt: silver hair}}
prompts: {place: {roof: a roof}}
scenes: {s: {cast: ["aki", "crowd"], place: "roof"}, t: {place: "attic"}}
"""
    )

    assert [job.prompt for job in studio.jobs(text)] == ["silver hair, crowd, a roof", "attic"]


def test_storyboard_length_and_place_of_the_cut_are_kept(studio):
    """A length is recorded as written even where no parameter takes it."""
    job = studio.job(HEAD + "fps: 12\nscenes:\n  s: {prompt: x, length: 3+6}\n")

    assert job.length == "3+6"
    assert job.place.endswith("ep.yaml:5")


def test_the_length_of_a_clip_follows_the_timeline_and_the_models_rule(studio):
    """3 seconds and 12 frames at 24 are 56 frames at 16, rounded up to 4n+1."""
    studio.touch("a.png")

    job = studio.job(HEAD + "template: i2v\nstart_image: a.png\nscenes: {s: {prompt: x, length: 3+12}}")

    assert job.values["length"] == {"frames": 57, "fps": 16, "seconds": 3.5625}


def test_kinds_of_six_and_more_are_counted_together(studio):
    """Seven girls are `6+girls`."""
    names = [f"g{number}" for number in range(7)]
    people = ", ".join(f"{name}: {{kind: girl, prompt: {name}}}" for name in names)

    job = studio.job(HEAD + f"characters: {{{people}}}\nscenes: {{s: {{cast: [{', '.join(names)}]}}}}")

    assert job.prompt.startswith("6+girls, g0, g1")


@pytest.mark.parametrize(
    "text", ['"quoted"', "\\(re:zero\\)", "夕焼け", "(rain:1.2)", "a: b", "'", "no", "007"]
)
def test_text_reaches_the_prompt_as_it_is_written(studio, text):
    """A scalar of a slot is text, whatever it looks like to YAML or Jinja."""
    quoted = text.replace("'", "''")

    job = studio.job(HEAD + f"scenes: {{s: {{prompt: '{quoted}'}}}}")

    assert job.prompt == text
