"""Per word, the nearest scope that mentions it wins, fixed or varied."""

from __future__ import annotations

import pytest

HEAD = """
animerun: 1
episode: ep
characters:
  aki: {kind: girl, prompt: aki, outfit: school, outfits: {school: serafuku, home: hoodie, gym: shorts}}
  ren: {kind: boy, prompt: ren, outfits: {school: gakuran, home: sweater}}
prompts: {expression: {smile: smiling, angry: frowning, neutral: expressionless}}
wording: "{{ cast }}, {{ prompt }}, {{ camera }}, {{ place }}, {{ light }}"
"""


def prompts(studio, text, **kwargs):
    """Return the prompts of the jobs that *text* writes."""
    return [job.prompt for job in studio.jobs(HEAD + text, **kwargs)]


NEAREST = {
    "the cut over scene and episode": (
        "prompt: far\nscenes: {s: {prompt: nearer, cuts: {c: {prompt: here}, d: {}}}}",
        ["here", "nearer"],
    ),
    "fixed over an outer axis": (
        "vary: {prompt: [a, b]}\nscenes: {s: {cuts: {c: {prompt: x}, d: {}}}}",
        ["x", "a", "b"],
    ),
    "an axis over an outer word": (
        "prompt: x\nscenes: {s: {vary: {prompt: [a, b]}}}",
        ["a", "b"],
    ),
    "an axis over an outer axis": (
        "vary: {prompt: [a, b], camera: [c]}\nscenes: {s: {vary: {prompt: [x]}}}",
        ["x, c"],
    ),
    "null takes an outer word away": (
        "camera: wide\nscenes: {s: {prompt: x, camera: null}}",
        ["x"],
    ),
    "null takes an outer axis away": (
        "vary: {camera: [wide, close]}\nscenes: {s: {prompt: x, vary: {camera: null}}}",
        ["x"],
    ),
    "an inner scope sets a whole table": (
        "vary: {place+light: [[a, b], [c, d]]}\nscenes: {s: {place: x, vary: {light: [y, z]}}}",
        ["x, y", "x, z"],
    ),
    "an empty text is a text": (
        "camera: wide\nscenes: {s: {prompt: x, camera: ''}}",
        ["x"],
    ),
}


@pytest.mark.parametrize("name", NEAREST)
def test_the_nearest_scope_wins(studio, name):
    """Whatever is nearer replaces the word, whole, be it fixed, varied or unset."""
    text, wanted = NEAREST[name]

    assert prompts(studio, text) == wanted


WORN = {
    "the habit, when nobody says": ("scenes: {s: {cast: aki}}", ["aki, serafuku"]),
    "plain for all": ('scenes: {s: {cast: "aki, ren", outfit: home}}', ["aki, hoodie, ren, sweater"]),
    "dotted before plain in one scope": (
        'scenes: {s: {cast: "aki, ren", outfit: school, aki.outfit: gym}}',
        ["aki, shorts, ren, gakuran"],
    ),
    "plain before dotted when nearer": (
        'aki.outfit: gym\nscenes: {s: {cast: "aki, ren", outfit: home}}',
        ["aki, hoodie, ren, sweater"],
    ),
    "dotted before plain when nearer": (
        'outfit: home\nscenes: {s: {cast: "aki, ren", aki.outfit: gym}}',
        ["aki, shorts, ren, sweater"],
    ),
    "a cast mentions the dotted word": (
        'aki.outfit: gym\nscenes: {s: {cast: "aki.home, ren.school"}}',
        ["aki, hoodie, ren, gakuran"],
    ),
    "a cast before plain in one scope": (
        'scenes: {s: {cast: "aki.home, ren", outfit: school}}',
        ["aki, hoodie, ren, gakuran"],
    ),
    "a farther cast yields to the dotted word": (
        "cast: aki.home\nscenes: {s: {aki.outfit: gym}}",
        ["aki, shorts"],
    ),
    "a farther cast yields to the plain word": (
        "cast: aki.home\nscenes: {s: {outfit: gym}}",
        ["aki, shorts"],
    ),
    "a cast replaces an outer dotted axis": (
        "vary: {aki.outfit: [school, gym]}\nscenes: {s: {cast: aki.home}}",
        ["aki, hoodie"],
    ),
    "one of two varies": (
        'scenes: {s: {cast: "aki, ren", expression: neutral, vary: {aki.expression: [smile, angry]}}}',
        [
            "aki, serafuku, smiling, ren, expressionless",
            "aki, serafuku, frowning, ren, expressionless",
        ],
    ),
    "a varied cast mentions only where it does": (
        "scenes: {s: {outfit: gym, vary: {cast: [aki.home, aki]}}}",
        ["aki, hoodie", "aki, shorts"],
    ),
    "outfit and expression in one": ("scenes: {s: {cast: aki.gym.smile}}", ["aki, shorts, smiling"]),
    "expression alone": ("scenes: {s: {cast: aki.smile}}", ["aki, serafuku, smiling"]),
    "own entries before the common ones": (
        "characters: {aki: {prompt: aki, expressions: {smile: grin}}}\nscenes: {s: {cast: aki.smile}}",
        ["aki, grin"],
    ),
    "an entry in place": (
        "scenes: {s: {cast: aki, outfit: {prompt: armour}}}",
        ["aki, armour"],
    ),
    "text of several words": ("scenes: {s: {cast: aki, outfit: red armour}}", ["aki, red armour"]),
    "null for nobody's habit": ("outfit: gym\nscenes: {s: {cast: aki, outfit: null}}", ["aki, serafuku"]),
}


@pytest.mark.parametrize("name", WORN)
def test_what_a_member_wears_is_the_nearest_of_cast_dotted_and_plain_word(studio, name):
    """Between `aki.outfit` and `outfit` the nearer wins; in one scope the dotted one."""
    text, wanted = WORN[name]
    head = HEAD
    if text.startswith("characters:"):
        head = HEAD.replace(HEAD[HEAD.index("characters:") : HEAD.index("prompts:")], "")

    assert [job.prompt for job in studio.jobs(head + text)] == wanted


def test_takes_and_seeds_replace_one_another(studio):
    """The nearer of `takes` and `seeds` counts."""
    cuts = "a: {prompt: x}, b: {prompt: y, takes: 3}, c: {prompt: z, seeds: [9]}"
    text = f"seeds: [7, 8]\nscenes: {{s: {{cuts: {{{cuts}}}}}}}"

    takes = [(job.cut, job.take) for job in studio.jobs(HEAD + text)]

    assert takes == [("a", "t7"), ("a", "t8"), ("b", "t01"), ("b", "t02"), ("b", "t03"), ("c", "t9")]


def test_the_command_line_is_the_nearest_scope(studio):
    """`--set` replaces words and axes of every cut, and may vary them."""
    text = "scenes: {s: {prompt: x, vary: {camera: [a, b]}}, t: {prompt: y}}"

    assert prompts(studio, text, sets=["camera=c"]) == ["x, c", "y, c"]
    varied = prompts(studio, text, sets=["vary.prompt=[p, q]"])
    assert varied == ["p, a", "q, a", "p, b", "q, b", "p", "q"]


def test_excepts_of_all_scopes_add_up(studio):
    """An outer and an inner `except` both leave out."""
    text = """
except: [camera=a]
scenes:
  s:
    vary: {prompt: [x, y], camera: [a, b]}
    cuts:
      c: {except: [prompt=x]}
      d: {}
"""

    assert studio.keys(HEAD + text) == [
        "ep/s/c/camera=b/prompt=y/take=1",
        "ep/s/d/camera=b/prompt=x/take=1",
        "ep/s/d/camera=b/prompt=y/take=1",
    ]


def test_axes_of_outer_scopes_come_first_and_the_last_moves_faster(studio):
    """Order: outer axes, then file order, the last axis faster, takes fastest."""
    text = """
vary: {camera: [a, b]}
scenes: {s: {vary: {place: [p, q]}, cuts: {c: {vary: {light: [l, m]}, takes: 2}}}}
"""

    order = [(dict(job.axes)["camera"], dict(job.axes)["place"], dict(job.axes)["light"], job.take)
             for job in studio.jobs(HEAD + text)]  # fmt: skip

    assert order == sorted(order)
    assert len(order) == 16


def test_a_preset_is_behind_every_word_and_before_the_templates_default(studio):
    """Each parameter = word, else preset, else template default."""
    text = """
models: {base: {steps: 30, cfg: 4}, ink: {extends: base, cfg: 5}}
model: ink
scenes: {a: {prompt: x}, b: {prompt: y, cfg: 6}, c: {prompt: z, cfg: null}}
"""

    jobs = studio.jobs(HEAD + text)

    assert [(job.values["steps"], job.values["cfg"], job.values["sampler"]) for job in jobs] == [
        (30, 5.0, "euler"),
        (30, 6.0, "euler"),
        (30, 5.0, "euler"),
    ]


def test_a_null_among_the_values_of_an_axis_falls_back(studio):
    """`null` on an axis is the preset's or template's value."""
    text = "scenes: {s: {prompt: x, vary: {vae: [null, folder/a.safetensors], steps: [null, 3]}}}"

    found = [(job.axes, job.values["vae"], job.values["steps"]) for job in studio.jobs(HEAD + text)]

    assert found[0] == ((("steps", "none"), ("vae", "none")), None, 20)
    assert found[-1] == ((("steps", "3"), ("vae", "a")), "folder/a.safetensors", 3)


def test_titles_are_the_nearest_and_not_words(studio):
    """A title is free text that changes nothing but itself."""
    text = (
        "title: The Film\nscenes: {a: {prompt: x, title: First}, b: {cuts: {c: {prompt: y, note: whatever}}}}"
    )

    assert [job.title for job in studio.jobs(HEAD + text)] == ["First", "The Film"]
