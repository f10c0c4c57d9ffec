"""Keys, seeds, order, counts and patterns; cuts made from the picks of earlier ones."""

from __future__ import annotations

import itertools

import pytest

from runner import naming
from runner.naming import derived_seeds, split_key

HEAD = "animerun: 1\nepisode: ep01\n"
GRID = (
    HEAD
    + """
scenes:
  s01:
    cuts:
      c001: {vary: {prompt: [smile, crying], camera: [wide, close]}, takes: 3}
      c002: {prompt: x, seeds: [7, 11, 40..42]}
  s02: {prompt: y}
"""
)


def test_keys_hold_axes_sorted_by_word_then_the_take(studio):
    """A key reads episode, scene, cut, axes in ASCII order, take or seed."""
    keys = studio.keys(GRID)

    assert keys[0] == "ep01/s01/c001/camera=wide/prompt=smile/take=1"
    assert keys[12:14] == ["ep01/s01/c002/seed=7", "ep01/s01/c002/seed=11"]
    assert keys[-1] == "ep01/s02/take=1"
    assert all(split_key(key) for key in keys)


def test_seeds_are_derived_from_the_cuts_path_alone(studio):
    """Every variant of a cut has the same seeds; the first of cut c002 is the grammar's own example."""
    jobs = studio.jobs(GRID)

    assert {job.seed for job in jobs[:12]} == set(derived_seeds("ep01/s01/c001", 3))
    assert studio.job(HEAD + "scenes: {s01: {cuts: {c002: {prompt: x, takes: 2}}}}").seed == 3631671266


def test_more_takes_keep_the_earlier_ones(studio):
    """A larger N adds jobs behind, with nothing changed before."""
    few, many = (
        [(job.key, job.seed, job.name) for job in studio.jobs(GRID, sets=[f"takes={n}"])] for n in (2, 5)
    )

    assert set(few) < set(many)


def test_order_is_row_major_in_file_order_and_seq_counts_every_job(studio):
    """The last axis faster, takes fastest; a selection keeps the numbers of the whole."""
    expansion = studio.expand(GRID)
    jobs = list(expansion)

    assert [job.seq for job in jobs] == list(range(18))
    assert (expansion.count, expansion.selected, len(expansion)) == (18, 18, 18)
    assert [dict(job.axes)["camera"] for job in jobs[:12:3]] == ["wide", "close", "wide", "close"]

    selected = studio.expand(GRID, only=["c001/prompt=crying"], without=["camera=close", "take=3"])
    assert [(job.seq, job.key) for job in selected] == [
        (6, "ep01/s01/c001/camera=wide/prompt=crying/take=1"),
        (7, "ep01/s01/c001/camera=wide/prompt=crying/take=2"),
    ]
    assert (selected.count, selected.selected) == (18, 2)


def test_an_expansion_may_be_walked_again_and_again(studio):
    """Each walk gives the same jobs."""
    expansion = studio.expand(GRID)

    assert list(expansion) == list(expansion)


def test_jobs_are_made_lazily(studio):
    """The first of a million jobs is there without the others."""
    expansion = studio.expand(HEAD + "scenes: {s: {prompt: x, seeds: 0..19999}}")

    assert next(iter(expansion)).key == "ep01/s/seed=0"
    assert expansion.count == 20_000


def test_takes_are_looked_at_without_deriving_their_seeds(studio, monkeypatch):
    """Counting takes and comparing their names makes no seeds; only jobs that are asked for have one."""
    derived = []
    real = naming.seeds_of_takes
    monkeypatch.setattr(
        "runner.expand.takes.seeds_of_takes", lambda path: (derived.append(1) or seed for seed in real(path))
    )

    expansion = studio.expand(HEAD + "takes: 100000\nexcept: [take=2]\nscenes: {s: {prompt: x}}")
    first = list(itertools.islice(expansion, 3))

    assert expansion.count == 99_999
    assert [job.seed for job in first] == [derived_seeds("ep01/s", 4)[take] for take in (0, 2, 3)]
    assert len(derived) < 5_000


def test_an_except_takes_jobs_off_and_the_count_is_exact(studio):
    """Patterns over axes and takes are counted without walking what they do not name."""
    text = (
        HEAD
        + """
scenes:
  s:
    vary: {prompt: [a, b, c], camera: [wide, close], cfg: 1..5}
    except: [prompt=a/camera=wide, "prompt=b,c/take=2"]
    takes: 2
"""
    )
    expansion = studio.expand(text)

    assert expansion.count == len(list(expansion)) == 60 - 10 - 20
    assert [job.seq for job in expansion] == list(range(30))


def test_an_except_that_leaves_nothing_is_warned_of(studio):
    """A cut without jobs is legal, but hardly meant."""
    text = HEAD + "scenes: {s: {vary: {prompt: [a, b]}, except: [s]}, t: {prompt: x}}"

    assert studio.warnings(text) == ["`except` leaves no job of this cut"]
    assert studio.keys(text) == ["ep01/t/take=1"]


def test_words_that_vary_together_are_one_axis(studio):
    """A table's first word names the axis; rows may have names."""
    text = (
        HEAD
        + """
scenes:
  a: {vary: {prompt+size: [[head, 512x512], [body, 512x768]]}}
  b: {vary: {prompt+size: {portrait: [a long text, 512x512], tall: [another text, 512x768]}}}
"""
    )

    jobs = studio.jobs(text)

    assert [job.key for job in jobs] == [
        "ep01/a/prompt=head/take=1",
        "ep01/a/prompt=body/take=1",
        "ep01/b/prompt=portrait/take=1",
        "ep01/b/prompt=tall/take=1",
    ]
    assert [job.values["size"]["height"] for job in jobs] == [512, 768, 512, 768]


def test_labels_are_names_numbers_or_what_is_left_of_a_text(studio):
    """Names, plain decimals, files without folder and extension, squeezed text, `none`, lists."""
    text = (
        HEAD
        + """
characters: {aki: {prompt: aki}, ren: {prompt: ren}}
scenes:
  s:
    vary:
      prompt: ["", wet: "rain on the window, and wind"]
"""
    )
    labels = {
        "cfg: 4..6..0.5": ["4", "4.5", "5", "5.5", "6"],
        "cfg: [5.50, 1e1]": ["5.5", "10"],
        "prompt: ['', 'rain on the window, and wind']": ["none", "rain-on-the-window-and-wind"],
        "prompt: {wet: rain on the window, dry: ''}": ["wet", "dry"],
        "prompt: [{prompt: dusk}, {prompt: dawn}]": ["dusk", "dawn"],
        "checkpoint: [sd/a_v1.safetensors, b.ckpt]": ["a_v1", "b"],
        "lora: [x/aki_v3.safetensors@0.8, null, [a.safetensors, b.safetensors@0.5]]": [
            "aki_v3@0.8",
            "none",
            "a+b@0.5",
        ],
        "cast: [aki, [aki, ren], 'a crowd of people']": ["aki", "aki+ren", "a-crowd-of-people"],
        "size: [512x512, 512x768]": ["512x512", "512x768"],
    }
    for vary, wanted in labels.items():
        jobs = studio.jobs(
            HEAD + text.split("scenes")[0].removeprefix(HEAD) + f"scenes: {{s: {{vary: {{{vary}}}}}}}"
        )

        assert [job.axes[0][1] for job in jobs] == wanted, vary


NAMES = {
    "{{ scene }}_{{ cut }}_{{ variant }}_{{ take }}": "s_camerawide_cfg5.5_01",
    "{{ episode }}/{{ prompt_weight }}x/{{ model }}_{{ template }}_{{ seed }}_{{ variant }}": None,
    "{% if cut %}{{ cut }}{% else %}{{ scene }}{% endif %}/{{ cfg }}/{{ camera | upper }}": "s/5.5/WIDE",
}


def test_names_are_written_from_axes_and_runs_of_separators_collapse(studio):
    """Labels in key order; one that starts with no letter carries its word."""
    text = HEAD + "scenes: {s: {vary: {cfg: [5.5, 6], camera: [wide, close]}}}\n"

    assert studio.job(text).name == "s/ep01_s_wide_cfg5.5_t01"
    assert (
        studio.job(text + 'deliver: {name: "{{ scene }}__{{ cut }}_{{ cfg }}_{{ camera }}"}').name
        == "s_5.5_wide"
    )


def test_names_are_distinct_ignoring_case(studio):
    """Two jobs of one file name are refused with both, also where the names differ only in case."""
    scene = "{prompt: x, vary: {camera: [%s]}, seeds: [1]}"
    scenes = f"scenes: {{a: {scene}, b: {scene}}}"
    for names in (("WIDE", "WIDE"), ("WIDE", "wide")):
        text = HEAD + scenes % names + '\ndeliver: {name: "{{ camera }}_{{ seed }}"}'

        (found,) = studio.messages(text)

        assert found.startswith(f"two jobs would write `{names[1]}_1`: ep01/a/camera={names[0]}/seed=1 and ")


def test_large_seeds_are_warned_of(studio):
    """From 2^53 on other tools round a seed."""
    assert len(studio.warnings(HEAD + f"scenes: {{s: {{prompt: x, seeds: [{2**53}]}}}}")) == 1


FROM = (
    HEAD
    + """
models: {ink: {}, wan: {template: i2v}}
model: ink
scenes:
  s01:
    cuts:
      c001: {vary: {prompt: [smile, crying]}, takes: 2}
      c002: {prompt: x}
"""
)


def test_a_cut_waits_for_the_pick_of_an_earlier_one(studio):
    """Axes that both cuts vary match by label; the picture's parameter says which pick it is."""
    jobs = studio.jobs(FROM + "      m: {from: c001, model: wan, vary: {prompt: [smile, crying]}}\n")[-2:]

    assert [job.waits for job in jobs] == [
        "a pick of ep01/s01/c001/prompt=smile",
        "a pick of ep01/s01/c001/prompt=crying",
    ]
    assert jobs[1].values["start_image"] == {"$from": "ep01/s01/c001/prompt=crying"}
    assert studio.jobs(FROM)[0].waits == ""


def test_a_cut_may_name_the_variant_and_fill_a_second_picture(studio):
    """A pattern behind the cut chooses; other pictures come by {from: CUT}."""
    text = (
        FROM
        + """
      m: {from: c001/prompt=smile, end_image: {from: s01/c002}, template: flf2v, motion: turning}
  s02: {from: s01/c002, model: wan, motion: still}
  s03: {from: s02, model: wan, motion: still}
"""
    )

    *_, first, second, third = studio.jobs(text)

    assert first.waits == "a pick of ep01/s01/c001/prompt=smile and of ep01/s01/c002"
    assert first.values["end_image"] == {"$from": "ep01/s01/c002"}
    assert (second.waits, third.waits) == ("a pick of ep01/s01/c002", "a pick of ep01/s02")


def test_an_axis_that_the_authors_pattern_speaks_of_is_not_matched(studio):
    """`from: c001/prompt=smile` means the smile for every variant of the later cut."""
    jobs = studio.jobs(
        FROM + "      m: {from: c001/prompt=smile, model: wan, vary: {prompt: [smile, crying]}}\n"
    )

    assert {job.waits for job in jobs[-2:]} == {"a pick of ep01/s01/c001/prompt=smile"}


def test_as_many_jobs_as_allowed_are_made(studio):
    """The limit itself is no breach; one more is."""
    assert studio.expand(GRID, max_jobs=18).count == 18
    assert len(studio.problems(GRID, max_jobs=17)) == 1


def test_a_scene_that_is_a_cut_may_be_named_with_a_pattern(studio):
    """`SCENE/PATTERN` reaches a scene without cuts."""
    text = (
        FROM
        + """
  s02: {vary: {prompt: [a, b]}}
  s03: {from: s02/prompt=b, model: wan, motion: still}
"""
    )

    assert studio.jobs(text)[-1].waits == "a pick of ep01/s02/prompt=b"


def test_a_few_clashes_of_names_stand_for_all(studio):
    """A hundred jobs with one name are three mistakes, not ninety-nine."""
    text = HEAD + "scenes: {s: {prompt: x, seeds: 1..100}}\ndeliver: {name: same}"

    assert len(studio.messages(text)) == 3


WRONG_FROM = {
    "m: {from: c003, model: wan}": "no cut before this one is called `c003`; did you mean `c001`?",
    "m: {from: m, model: wan}": "no cut before this one is called `m`",
    "m: {from: c001/prompt=smiel, model: wan}": (
        "`from`: no take of ep01/s01/c001 matches `prompt=smiel`; did you mean `prompt=smile`?"
    ),
    "m: {from: c001, model: wan, vary: {prompt: [smile, angry]}}": (
        "`from`: no take of ep01/s01/c001 matches `prompt=angry`"
    ),
    "m: {from: c002, prompt: y}": "template `txt2img` takes no picture or video to fill `from` a cut",
    "m: {prompt: y, steps: {from: c002}}": ("`steps` is no picture or video; it cannot come from a cut"),
    "m: {from: c002, model: wan, start_image: a.png}": (
        "`start_image` is filled `from` a cut and set here; keep one"
    ),
}


@pytest.mark.parametrize("cut", WRONG_FROM)
def test_a_wrong_source_pick_or_check_is_told(studio, cut):
    """Everything about picks is validated now, though acted upon later."""
    studio.touch("a.png")

    assert WRONG_FROM[cut] in studio.messages(FROM + f"      {cut}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pick=best", "`pick` is person, first, best:METRIC or all"),
        ("checks.blank=fial", "`blank` takes off, info, warn or fail, and a limit behind a blank"),
        ("checks=3", "`checks` is a map: {NAME: off|info|warn|fail, …}"),
    ],
)
def test_picks_and_checks_behind_set_are_validated(studio, text, message):
    """What no schema sees is told in the same way."""
    assert studio.messages(FROM, sets=[text]) == [message]


def test_checks_of_all_scopes_add_up_and_later_things_are_said(studio):
    """The nearest scope wins check by check; what is not run yet is told in a sentence with its place."""
    spec = studio.load(
        HEAD
        + """
checks: {blank: fail, palette: warn 0.45, retake: 2}
scenes:
  a: {prompt: x, checks: {blank: off}, pick: first}
  b: {prompt: y}
deliver: {video: {name: "{{ episode }}_film", cuts: [a], crf: 16}, sheets: [{rows: take, columns: seed}]}
"""
    )

    a, b = (spec.plans[f"ep01/{name}"] for name in "ab")
    assert [(check.name, check.level, check.limit) for check in a.checks] == [
        ("blank", "off", ""),
        ("palette", "warn", "0.45"),
    ]
    assert (a.retake, a.pick, b.pick, b.checks[0].level) == (2, "first", "person", "fail")
    assert [note.split(" (")[0] for note in spec.later] == [
        "checks are validated but not run yet",
        "picks by rule are validated but not made yet",
        "the film of deliver.video is validated but not made yet",
        "the sheets of deliver.sheets are validated but not made yet",
    ]
    assert spec.later[0].endswith("specs/ep.yaml:4)")


def test_a_film_and_its_sheets_name_what_there_is(studio):
    """Patterns that match no job, unknown holes and words nobody varies are refused."""
    found = studio.messages(
        HEAD
        + "scenes: {s01: {prompt: x, vary: {camera: [wide, close]}}}\n"
        + 'deliver: {video: {name: "{{ take }}", cuts: [s02]}, sheets: [{rows: camrea, columns: take}]}'
    )

    assert found == [
        "deliver.video.name has no hole `take`; it has `episode`",
        "deliver.video.cuts: `s02` matches no job; did you mean `s01`?",
        "`rows: camrea`: no cut varies it; did you mean `camera`?",
    ]


def test_every_point_of_the_product_is_there_once(studio):
    """Three axes and two takes: exactly their product."""
    axes = {"camera": ["a", "b"], "place": ["p", "q", "r"], "light": ["l", "m"]}
    vary = ", ".join(f"{word}: [{', '.join(values)}]" for word, values in axes.items())

    jobs = studio.jobs(HEAD + f"scenes: {{s: {{vary: {{{vary}}}, takes: 2}}}}")

    points = [tuple(dict(job.axes)[word] for word in axes) for job in jobs[::2]]
    assert points == list(itertools.product(*axes.values()))


@pytest.mark.parametrize(
    ("words", "frames", "warned"),
    [
        ("length: 81f, fps: 16", 81, False),
        ("length: 81f", 57, True),
        ("length: 81f, fps: 24", 57, False),
        ("length: 3+12", 57, False),
        ("title: x", 81, False),
    ],
)
def test_frames_are_counted_at_the_rate_that_is_written(studio, words, frames, warned):
    """`81f` at `fps: 16`, or in the preset of a model of 16 a second, is 81 frames; else at 24."""
    text = (
        HEAD + "models: {clip: {template: i2v, length: 81f}}\nmodel: clip\n"
        f"scenes: {{s01: {{prompt: x, start_image: a.png, {words}}}}}\n"
    )
    studio.touch("a.png")

    assert studio.job(text).values["length"] == {"frames": frames, "fps": 16, "seconds": frames / 16}
    assert ["write `fps: 16` too" in warning for warning in studio.warnings(text)] == [True] * warned
