"""Files of a project: where it begins, what is included, what lies over what, what `--set` changes."""

from __future__ import annotations

import hashlib
import os

import pytest

from runner.errors import SpecError
from runner.spec import load, project_root

HEAD = "animerun: 1\nepisode: ep\n"


def test_the_project_begins_at_the_nearest_animerun_toml(tmp_path):
    """The nearest folder at or above the spec that holds the file, else the spec's own folder."""
    spec = tmp_path / "a/b/ep.yaml"
    spec.parent.mkdir(parents=True)

    assert project_root(spec) == tmp_path / "a/b"

    (tmp_path / "a/animerun.toml").touch()
    assert project_root(spec) == tmp_path / "a"


def test_the_including_file_lies_over_the_library_name_by_name_key_by_key(studio):
    """Keys set again replace; names and other keys of the library stay; outfits add up."""
    studio.write(
        """
        models: {ink: {steps: 28, cfg: 5}}
        characters: {aki: {kind: girl, prompt: aki, outfits: {home: hoodie, gym: shorts}}}
        prompts: {place: {roof: {prompt: a roof, negative: cellar}, street: a street}}
        """,
        "lib.yaml",
    )
    text = (
        HEAD
        + """
include: [lib.yaml]
models: {ink: {steps: 9}}
characters: {aki: {prompt: AKI, outfits: {home: pajamas, rain: raincoat}}}
prompts: {place: {roof: {prompt: THE ROOF}, street: THE STREET}}
scenes:
  s: {place: roof, vary: {cast: [aki.home, aki.gym, aki.rain]}}
  t: {place: street}
"""
    )

    jobs = studio.jobs(text)

    assert [job.prompt for job in jobs] == [
        "1girl, AKI, pajamas, THE ROOF",
        "1girl, AKI, shorts, THE ROOF",
        "1girl, AKI, raincoat, THE ROOF",
        "THE STREET",
    ]
    assert (jobs[0].values["steps"], jobs[0].values["cfg"], jobs[0].negative) == (9, 5.0, "cellar")


def test_the_same_name_in_two_siblings_is_refused(studio):
    """Neither library is on top, so both places are told."""
    studio.write("characters: {aki: {prompt: a}}", "one.yaml")
    studio.write("\n\ncharacters: {aki: {prompt: b}}", "two.yaml")

    (found,) = studio.messages(HEAD + "include: [one.yaml, two.yaml]\nscenes: {s: {cast: aki}}")

    assert found.startswith("`characters.aki` is defined in two included files; ")
    assert found.endswith("one.yaml:1:14 is the other")


def test_a_library_reached_twice_counts_once_and_may_be_laid_over(studio):
    """A diamond is no clash, and the file that includes another lies over it."""
    studio.write("characters: {aki: {prompt: ground}}", "ground.yaml")
    studio.write("include: [ground.yaml]\nmodels: {ink: {}}", "left.yaml")
    studio.write("include: [ground.yaml]\ncharacters: {aki: {prompt: right}}", "right.yaml")

    job = studio.job(HEAD + "include: [left.yaml, right.yaml]\nscenes: {s: {cast: aki}}")

    assert job.prompt == "right"


def test_libraries_that_include_one_another_are_read_once(studio):
    """A circle of libraries ends."""
    studio.write("include: [two.yaml]\nmodels: {ink: {steps: 3}}", "one.yaml")
    studio.write("include: [one.yaml]\ncharacters: {aki: {prompt: aki}}", "two.yaml")

    assert studio.job(HEAD + "include: [one.yaml]\nscenes: {s: {cast: aki}}").values["steps"] == 3


def test_a_character_inherits_what_it_does_not_set_again(studio):
    """`extends` replaces whole keys, outfits among them."""
    studio.write(
        "characters: {aki: {kind: girl, prompt: aki, outfits: {home: hoodie}, expressions: {smile: grin}},"
        " young: {extends: aki, prompt: young aki, outfits: {school: serafuku}}}",
        "lib.yaml",
    )
    text = HEAD + "include: [lib.yaml]\nscenes: {s: {cast: young.school.smile}}"

    assert studio.job(text).prompt == "1girl, young aki, serafuku, grin"
    assert studio.messages(text.replace(".school", ".home")) == ["young has no outfit `home`"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../x.yaml", "leaves the project folder"),
        ("/etc/passwd", "is absolute; paths start at the project folder"),
        ("C:/x.yaml", "is not written with / and without a drive"),
        ("a\\b.yaml", "is not written with / and without a drive"),
        ("none.yaml", "there is no file `none.yaml`"),
        ("specs", "there is no file `specs`"),
        ("out.yaml", "leaves the project folder"),
        ("round.yaml", "`round.yaml` cannot be read: its links lead round in a circle"),
    ],
)
def test_includes_stay_inside_the_project(studio, tmp_path_factory, path, reason):
    """`..`, absolute paths, drives, folders and links that lead out or round in a circle are refused."""
    outside = tmp_path_factory.mktemp("outside") / "x.yaml"
    outside.write_text("models: {}")
    (studio.root / "out.yaml").symlink_to(outside)
    (studio.root / "round.yaml").symlink_to("round.yaml")

    (found,) = studio.messages(HEAD + f"include: ['{path}']\nscenes: {{s: {{prompt: x}}}}")

    assert reason in found


def test_a_file_that_is_not_regular_is_refused(studio):
    """A pipe would never end."""
    pipe = studio.root / "pipe.yaml"
    os.mkfifo(pipe)

    with pytest.raises(SpecError, match="not a regular file"):
        load(pipe)


def test_a_file_too_large_is_refused(studio):
    """16 MiB are read, not more."""
    path = studio.write("#" * (16 * 2**20 + 1))

    with pytest.raises(SpecError, match="larger than 16,777,216 bytes"):
        load(path)


def test_a_missing_spec_is_told(tmp_path):
    """The reason is the system's own."""
    with pytest.raises(SpecError, match="No such file"):
        load(tmp_path / "none.yaml")


def test_every_file_read_is_known_with_its_hash(studio):
    """The spec first, then the libraries as reached."""
    lib = studio.write("models: {ink: {}}", "lib.yaml")

    spec = studio.load(HEAD + "include: [lib.yaml]\nscenes: {s: {prompt: x}}")

    assert [file.path for file in spec.files] == ["specs/ep.yaml", "lib.yaml"]
    assert spec.files[1].sha256 == hashlib.sha256(lib.read_bytes()).hexdigest()
    assert spec.files[1].size_bytes == lib.stat().st_size


def test_the_episode_is_called_like_its_file_unless_it_says_so(studio):
    """`ep07.yaml` is episode ep07; a file whose name is none must say its own."""
    text = "animerun: 1\nscenes: {s: {prompt: x}}"

    assert load(studio.write(text, "ep07.yaml")).episode == "ep07"

    with pytest.raises(SpecError, match="the file's name `my ep` is no name for an episode"):
        load(studio.write(text, "my ep.yaml"))


def test_keys_that_begin_with_x_are_ignored_everywhere(studio):
    """Notes to oneself may stand on every level."""
    job = studio.job(
        HEAD
        + "x-a: [1]\nmodels: {ink: {x-b: 1}}\ncharacters: {aki: {prompt: aki, x-c: 1}}\n"
        + "prompts: {place: {roof: {prompt: roof, x-d: 1}}}\n"
        + "scenes: {s: {x-e: {y: 1}, cast: aki, vary: {place: [roof], x-f: [1]}}}"
    )

    assert job.prompt == "aki, roof"
    assert job.key == "ep/s/place=roof/take=1"


SETS = {
    "a word": (["steps=9"], "steps", 9),
    "a key of a model": (["models.ink.steps=9"], "steps", 9),
    "a word of a scene": (["scenes.s.steps=9"], "steps", 9),
    "a word of a cut": (["scenes.s.cuts.c.steps=9"], "steps", 9),
    "the later of two": (["steps=8", "steps=9"], "steps", 9),
    "a text of an entry": (["prompts.place.roof=THE ROOF"], "prompt", "x, THE ROOF, aki"),
    "a part of an entry": (["prompts.place.roof.negative=cellar"], "negative", "cellar"),
    "a character": (["characters.aki.prompt=AKI"], "prompt", "x, a roof, AKI"),
    "an outfit, dotted": (["scenes.s.cuts.c.aki.outfit=hat"], "prompt", "x, a roof, aki, hat"),
    "nothing behind the sign": (["place="], "prompt", "x, aki"),
    "null": (["place=null"], "prompt", "x, aki"),
}


@pytest.mark.parametrize("name", SETS)
def test_set_changes_the_tree_or_is_the_nearest_scope(studio, name):
    """Paths into models, characters, prompts and scenes change them; any other word is a scope's."""
    sets, parameter, wanted = SETS[name]
    text = (
        HEAD
        + """
models: {ink: {steps: 3}}
characters: {aki: {prompt: aki}}
prompts: {place: {roof: a roof}}
wording: "{{ prompt }}, {{ place }}, {{ cast }}"
scenes: {s: {cuts: {c: {prompt: x, place: roof, cast: aki}}}}
"""
    )

    assert studio.job(text, sets=sets).values[parameter] == wanted


def test_set_may_vary_and_name_and_count(studio):
    """`vary.WORD`, `takes`, `deliver.name` and `scenes.s.vary.WORD` work like in the file."""
    text = HEAD + "scenes: {s: {prompt: x, seeds: [7]}}"

    jobs = studio.jobs(
        text, sets=["vary.steps=1..2", "takes=2", "deliver.name={{ scene }}_{{ steps }}_{{ take }}"]
    )

    assert [job.name for job in jobs] == ["s_1_01", "s_1_02", "s_2_01", "s_2_02"]
    assert studio.keys(text, sets=["scenes.s.vary.cfg=[1, 2]"])[1] == "ep/s/cfg=2/seed=7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps", "write --set WORD=VALUE"),
        ("=3", "write --set WORD=VALUE"),
        ("stpes=3", "unknown word `stpes`; did you mean `steps`?"),
        ("scenes.z.steps=3", "--set scenes.z.steps: no scene is called `z`"),
        ("scenes.s.cuts.d.steps=3", "--set scenes.s.cuts.d.steps: no cut is called `d`"),
        ("models.inc.steps=3", "no model is called `inc`; did you mean `ink`?"),
        ("characters.akii.prompt=x", "no character is called `akii`; did you mean `aki`?"),
        ("length=9", "`length: 9`: seconds or frames? write 9s or 9f"),
        ("vary=3", "`vary` is a map: {WORD: VALUES}; or write --set vary.WORD=[…]"),
    ],
)
def test_a_wrong_set_is_told(studio, text, message):
    """A mistake behind `--set` is worded like one in the file."""
    spec = HEAD + "models: {ink: {}}\ncharacters: {aki: {}}\nscenes: {s: {cuts: {c: {prompt: x, cast: aki}}}}"

    assert message in [found.split(" (")[0] for found in studio.messages(spec, sets=[text])]


def test_what_has_no_effect_behind_set_is_only_warned_of(studio):
    """A word that exists but that no cut uses changes nothing, and that is said."""
    assert studio.warnings(HEAD + "scenes: {s: {prompt: x}}", sets=["motion=slow"]) == [
        "no cut uses `motion` as it is set here"
    ]


def test_an_axis_that_set_takes_away_is_warned_of(studio):
    """`--set` changes keys where `--only` would not."""
    text = HEAD + "scenes: {s: {vary: {prompt: [a, b]}}}"

    (found,) = studio.warnings(text, sets=["prompt=a"])

    assert found.startswith("`prompt` varies in the spec; set here it is no axis")
    assert studio.keys(text, sets=["prompt=a"]) == ["ep/s/take=1"]


def test_the_spec_knows_what_an_editor_completes(studio):
    """Names of models, characters, outfits, expressions and entries by slot, in file order."""
    spec = studio.load(
        HEAD
        + "models: {ink: {}, qwen: {}}\nmodel: ink\n"
        + "characters: {aki: {outfits: {home: h}, expressions: {smile: s}}}\n"
        + "prompts: {weather: {rain: r}, place: {b: x, a: y}, expression: {cry: c}}\n"
        + "scenes: {s: {prompt: x}}"
    )

    assert list(spec.models) == ["ink", "qwen"]
    assert list(spec.characters["aki"].outfits) == ["home"]
    assert list(spec.characters["aki"].expressions) == ["smile"]
    assert {slot: list(entries) for slot, entries in spec.prompts.items()} == {
        "weather": ["rain"],
        "place": ["b", "a"],
        "expression": ["cry"],
    }
    assert spec.slots == ("action", "camera", "place", "light", "motion", "prompt", "style", "weather")
