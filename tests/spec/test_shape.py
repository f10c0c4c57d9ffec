"""What is wrong with the shape of a spec or library is told at its place, all of it, in file order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import Problem, SpecError
from runner.spec.schema import Kind
from runner.spec.shape import check_shape
from runner.text.compose import compose
from runner.text.tree import Mapping

LIST_VARIES = "a list varies only under `vary:`"
LORA = "takes [PART:]FILE[@WEIGHT[:CLIP]]"
NO_NAME = "is no name: at most 40 letters, digits, _ and -, a letter or digit in front"
SEED_LIST = "`seeds` takes whole numbers from 0 and ranges like 40..45 in its list"
NO_RANDOM = "`seeds: -1`: there is no random seed; write `takes: 1` for a seed derived from the cut's name"
SEEDS = "`seeds` takes a range like 1000..1015, or a list of seeds and ranges"
VALUES = "takes a list, a map NAME: value, or a range like 4..6..0.5"
UNSET = 'has no value: write a value, `""` for an empty text, or `null` to unset it'


def problems(text: str, kind: Kind = "spec") -> tuple[Problem, ...]:
    """Return what is wrong with the shape of *text*."""
    root = compose(text.encode(), path="s.yaml")
    assert isinstance(root, Mapping)
    return check_shape(root, kind=kind)


def messages(text: str, kind: Kind = "spec") -> list[str]:
    """Return the sentences alone."""
    return [found.message for found in problems(text, kind)]


def in_scene(words: str) -> list[str]:
    """Return what is wrong with *words* on a scene."""
    return messages(f"animerun: 1\nscenes: {{s01: {{{words}}}}}")


def at_top(block: str) -> list[str]:
    """Return what is wrong with *block* at the top of a spec that is right otherwise."""
    return messages(f"animerun: 1\nscenes: {{s01: {{prompt: x}}}}\n{block}")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "prompt: null, place: ~, takes: ~, seeds: null, vary: null, except: null, lora: null, model: null",
        'cast: "aki, ren", prompt: "", negative: lowres, wording: "{{ prompt }}"',
        "cast: [aki.home.smile, ren]",
        "place: {prompt: dusk, negative: {ink: a, else: null}, lora: [a, b], refs: [a.png]}",
        "aki.outfit: home, aki.expression: {prompt: smile}, aki.weight: 0.8, style.weight: -1",
        "lora: high:wan.safetensors@0.9:0.7",
        "lora: [a@2.safetensors, b.safetensors@1]",
        "seeds: 1000..1003",
        "seeds: 0..90..10",
        "seeds: [7, 11, 40..45, 0..9..3]",
        "takes: 0010",
        "vary: {expression: [neutral, smile], prompt: {none: '', rain: wet}}",
        "vary: {cfg: 4..6..0.5, cast: [[a, b], [c]]}",
        "takes: null, seeds: [1]",
        "vary: {aki.weight: [0.6, 0.8], pose+size: [[a, 1x1], [b, 2x2]], place+light: {x: [a, b]}}",
        "except: [place=rooftop/aki.weight=0.6]",
        "length: 3+12, fps: 23.976",
        "length: 3.5s",
        "length: 84f",
        "from: c001/expression=smile, pick: best:sharpness",
        "pick: all",
        "checks: {blank: fail, palette: warn 0.45, noise: off, retake: 2}",
        "steps: 28, clips: [a, b], end_image: {from: c002}, pose: {prompt: standing}, pose2: null",
        "title: '夕焼け', note: yes",
        "x-mine: {a: [b, {c: d}], e: }",
        "cuts: {c001: {}, c002: {prompt: x, x-note: [1]}}",
    ],
)
def test_legal_words(words: str) -> None:
    """Every form of the grammar passes."""
    assert in_scene(words) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("seeds: 8", "`seeds: 8`: 8 seeds, or seed 8? write `takes: 8` or `seeds: [8]`"),
        ("seeds: []", "`seeds` takes a list with at least one seed"),
        ("seeds: {a: b}", SEEDS),
        ("seeds: 1...5", "`seeds: 1...5`: write 1..5"),
        ("seeds: [a]", SEED_LIST),
        ("seeds: [1.5]", SEED_LIST),
        ("seeds: [-1]", NO_RANDOM),
        ("seeds: -1", NO_RANDOM),
        ("seeds: 1-5", "`seeds: 1-5`: write 1..5"),
        ("seeds: '1,2'", "`seeds: 1,2`: write `seeds: [1,2]`"),
        ("seeds: 5 7", "`seeds: 5 7`: write `seeds: [5, 7]`"),
        ("model: x.safetensors", "`model` takes the name of a preset; write `checkpoint: x.safetensors`"),
        ("lora: <lora:foo:0.8>", "`lora: <lora:foo:0.8>`: write foo.safetensors@0.8"),
        ("lora: [a, '<lora:foo:0.8:0.5>']", "`lora: <lora:foo:0.8:0.5>`: write foo.safetensors@0.8"),
        ("lora: a.safetensors:0.8", "`lora: a.safetensors:0.8`: write a.safetensors@0.8"),
        ("prompt: [cat|dog]", "text that begins with [ needs quotes"),
        ("negative: [cat:dog:0.5]", "text that begins with [ needs quotes"),
        ("seeds: [null]", SEED_LIST),
        ("seeds: [[1]]", SEED_LIST),
        ("takes: 4, seeds: [1]", "`takes` and `seeds` both stand here; keep one"),
        ("takes: 0", "`takes` takes a whole number from 1"),
        ("takes: 1.5", "`takes` takes a whole number from 1"),
        ("takes: [1]", "`takes` takes a whole number from 1"),
        ("prompt: [a, b]", f"`prompt` takes one text; {LIST_VARIES}"),
        ("negative: [a, b]", f"`negative` takes one text; {LIST_VARIES}"),
        ("aki.outfit: [a, b]", f"`aki.outfit` takes one text; {LIST_VARIES}"),
        ("model: [a, b]", f"`model` takes one name; {LIST_VARIES}"),
        ("from: [a, b]", f"`from` takes one text; {LIST_VARIES}"),
        ("cast: {a: b}", "a member is one text: write `a.b`"),
        ("cast: {}", "`cast` takes members by commas or as a list"),
        ("cast: {a: b, c: d}", "`cast` takes members by commas or as a list"),
        ("cast: [a, [b]]", "`cast` takes a list of texts, with at least one"),
        ("title: [a]", "`title` takes one text"),
        ("place: {promt: x}", "unknown key `promt`; did you mean `prompt`?"),
        ("place: {prompt: {}}", "`prompt` takes a text, or a map MODEL: text with at least one model"),
        ("place: {prompt: [a]}", "`prompt` takes a text, or a map MODEL: text"),
        ("place: {prompt: {ink: [a]}}", "`ink` takes one text"),
        ("place: {lora: {ink: {a: b}}}", f"`ink` {LORA}, or a list of them"),
        ("place: {lora: '@1'}", None),
        ("lora: 'a:b:c@1'", f"`lora` {LORA}"),
        ("lora: [a, [b]]", f"`lora` {LORA}"),
        ("lora: {a: b}", f"`lora` {LORA}, or a list of them"),
        ("aki.weight: heavy", "`aki.weight` takes one number"),
        ("aki.weight: [1, 2]", "`aki.weight` takes one number"),
        ("vary: [a]", "`vary` takes a map WORD: values"),
        ("vary: {camera: wide}", f"`camera` {VALUES}"),
        ("vary: {camera: []}", "`camera` takes at least one value"),
        ("vary: {camera: {}}", "`camera` takes at least one value"),
        ("vary: {camera: {a b: c}}", f"`a b` {NO_NAME}"),
        ("vary: {camera: {A: x, a: y}}", "`a` and `A` (line 2) differ only in case; give one another name"),
        ("vary: {a + b: [[1, 2]]}", "`a + b` is no axis: write a word, or words joined by + without blanks"),
        ("vary: {a.b.c: [1]}", "`a.b.c` is no axis: write a word, or words joined by + without blanks"),
        ("vary: {a+a: [[1, 2]]}", "`a` stands twice in `a+a`"),
        ("vary: {place+light: [[a]]}", "this row has 1 value; `place+light` needs 2"),
        ("vary: {place+light: {x: [a, b, c]}}", "this row has 3 values; `place+light` needs 2"),
        ("vary: {a+b+c: [[1, 2]]}", "this row has 2 values; `a+b+c` needs 3"),
        ("vary: {place+light: [a]}", "`place+light` takes rows: one list of values per row"),
        ("vary: {place+light: []}", "`place+light` takes at least one row"),
        ("vary: {place+light: x}", "`place+light` takes rows: [[VALUE, VALUE], …] or NAME: [VALUE, VALUE]"),
        ("except: place=a", "`except` takes a list of patterns: [place=rooftop/light=night]"),
        ("except: [[a]]", "`except` takes a list of patterns: [place=rooftop/light=night]"),
        ("length: 84", "`length: 84`: seconds or frames? write 84s or 84f"),
        ("fps: 0", "`fps` takes a number above 0"),
        ("fps: fast", "`fps` takes a number above 0"),
        ("pick: frist", "`pick` is person, first, all or best:METRIC"),
        ("checks: [blank]", "`checks` takes a map NAME: off, info, warn or fail"),
        ("checks: {blank: maybe}", "`blank` takes off, info, warn or fail, and a limit behind a blank"),
        ("checks: {retake: -1}", "`retake` takes a whole number from 0"),
        ("steps: [1, [2]]", "`steps` takes a text or number, or a list of them"),
        ("sampler: {name: euler}", "`sampler` takes no map; words are flat"),
        ("modles: {ink: {steps: 3}}", "`modles` takes no map; did you mean `models`?"),
        ("pose: {promt: x}", "unknown key `promt`; did you mean `prompt`?"),
        ("cuts: {}", "`cuts` takes a map with at least one cut: NAME: {words}"),
        ("cuts: [a]", "`cuts` takes a map with at least one cut: NAME: {words}"),
        ("cuts: {c001: text}", "`c001` takes a map of words, or {} for a cut with none of its own"),
        ("cuts: {c001: null}", "`c001` takes a map of words, or {} for a cut with none of its own"),
        ("cuts: {c 1: {}}", f"`c 1` {NO_NAME}"),
        ("cuts: {C1: {}, c1: {}}", "`c1` and `C1` (line 2) differ only in case; give one another name"),
        ("cuts: {c001: {cuts: {a: {}}}}", "`cuts` belongs on a scene"),
        ("cuts: {c001: {takes: 2, seeds: 1..2}}", "`takes` and `seeds` both stand here; keep one"),
        ("prompt: lighthouse, dusk", "`dusk` has no value: inside { } text with commas needs quotes"),
        ("place: {prompt: a, b}", "`b` has no value: inside { } text with commas needs quotes"),
        ("prompt: , place: x", f"`prompt` {UNSET}"),
        ("takes: , place: x", f"`takes` {UNSET}"),
    ],
)
def test_wrong_words(words: str, message: str | None) -> None:
    """Each mistake on a scene or cut gets one sentence, and only one."""
    assert in_scene(words) == ([message] if message else [])


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("include: a.yaml", "`include` takes a list of files: [specs/cast.yaml]"),
        ("include: [[a]]", "`include` takes a list of files: [specs/cast.yaml]"),
        (
            "episode: ep 1",
            "`episode` takes a name: at most 40 letters, digits, _ and -, a letter or digit in front",
        ),
        ("models: [ink]", "`models` takes a map NAME: preset"),
        (
            "models: {ink: x}",
            "`ink` takes a map: template, wording, negative, lora and the template's parameters",
        ),
        ("models: {ink: {steps: {a: b}}}", "`steps` takes no map; words are flat"),
        ("models: {ink: {cutz: {a: b}}}", "`cutz` takes no map; words are flat"),
        ("models: {ink: {extends: [a]}}", None),
        ("models: {ink: {clips: [a, {b: c}]}}", "`clips` takes a text or number, or a list of them"),
        ("models: {ink: {}, INK: {}}", "`INK` and `ink` (line 3) differ only in case; give one another name"),
        ("models: {_ink: {}}", f"`_ink` {NO_NAME}"),
        ("characters: {aki: [a]}", "`aki` takes a text, or a map that begins with `prompt`"),
        ("characters: {aki: {kind: grl}}", "`kind` is girl, boy or other"),
        ("characters: {aki: {outfts: {a: b}}}", "unknown key `outfts`; did you mean `outfits`?"),
        ("characters: {aki: {zzz: b}}", "unknown key `zzz`"),
        ("characters: {aki: {outfits: [a]}}", "`outfits` takes a map NAME: entry"),
        ("characters: {aki: {outfits: {a: {weight: 1}}}}", "unknown key `weight`"),
        (
            "characters: {aki: {outfits: {a: x, A: y}}}",
            "`A` and `a` (line 3) differ only in case; give one another name",
        ),
        ("prompts: {place: [a]}", "`place` takes a map NAME: entry"),
        ("prompts: {place: {x: [a]}}", "`x` takes a text, or a map of `prompt`, `negative`, `lora`, `refs`"),
        ("prompts: {place: {x: {prompt: a, lor: b}}}", "unknown key `lor`; did you mean `lora`?"),
        ("prompts: {place: {x: {refs: {a: b}}}}", "`refs` takes a path or glob, or a list of them"),
        ("prompts: {place: {a.b: x}}", f"`a.b` {NO_NAME}"),
        ('prompts: {place: {"a\\n": x}}', rf"`a\n` {NO_NAME}"),
        ("deliver: [a]", "`deliver` takes a map of `name`, `video`, `sheets`"),
        ("deliver: {nam: x}", "unknown key `nam`; did you mean `name`?"),
        ("deliver: {video: [a]}", "`video` takes a map of `name`, `cuts`, `codec`, `crf`, `sound`"),
        ("deliver: {video: {crf: 64}}", "`crf` takes a whole number from 0 to 63"),
        ("deliver: {video: {cuts: c001}}", "`cuts` takes a list of texts, with at least one"),
        ("deliver: {sheets: {rows: a}}", "`sheets` takes a list of {rows: WORD, columns: WORD}"),
        ("deliver: {sheets: [{row: a}]}", "unknown key `row`; did you mean `rows`?"),
        ("cuts: {a: {}}", "`cuts` belongs on a scene"),
        ("prompts: {place: }", f"`place` {UNSET}"),
        ("seeds: 4", "`seeds: 4`: 4 seeds, or seed 4? write `takes: 4` or `seeds: [4]`"),
        ("x-anything: {models: [1], seeds: 8, a: , A: 1}", None),
        ("prompts: {weather: {}}", None),
        ("prompts: {weather: null}", None),
        ("characters: {aki: silver hair}", None),
        ("deliver: {name: '{{ scene }}', video: {crf: 16}, sheets: [{rows: pose, columns: light}]}", None),
    ],
)
def test_top_of_a_spec(block: str, message: str | None) -> None:
    """Each mistake in libraries and delivery gets one sentence; the legal forms none."""
    if message is None and "extends" in block:
        message = "`extends` takes a name: at most 40 letters, digits, _ and -, a letter or digit in front"

    assert at_top(block) == ([message] if message else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scenes: {s: {}}", ["`animerun` is missing; begin the file with `animerun: 1`"]),
        ("animerun: 1", ["`scenes` is missing; write `scenes: {NAME: {words}}`"]),
        ("animerun: 1\nsceens: {s: {}}", ["unknown word `sceens`; did you mean `scenes`?"]),
        ("animrun: 1\nscenes: {s: {}}", ["unknown word `animrun`; did you mean `animerun`?"]),
        (
            "animerun: 2\nscenes: {s: {}}",
            ["`animerun` takes 1: no other version of the grammar is known here"],
        ),
        ("animerun: 1\nscenes: {}", ["`scenes` takes a map with at least one scene: NAME: {words}"]),
        ("animerun: 1\nscenes: [a]", ["`scenes` takes a map with at least one scene: NAME: {words}"]),
        ("animerun: 1\nscenes: null", ["`scenes` takes a map with at least one scene: NAME: {words}"]),
        ("animerun: 1\nscenes:", [f"`scenes` {UNSET}"]),
        (
            "animerun: 1\nscenes: {s: text}",
            ["`s` takes a map of words, or {} for a scene with none of its own"],
        ),
        (
            "animerun: 1\nscenes: {s: {cuts: {c: [1]}}}",
            ["`c` takes a map of words, or {} for a cut with none of its own"],
        ),
        (
            f"animerun: 1\nscenes: {{{'s' * 41}: {{}}, ok: {{}}}}",
            [f"`{'s' * 39}…` {NO_NAME}"],
        ),
        (
            "animerun: 1\nscenes: {s1: {prompt: a}, cuts: {c1: {action: a}, c 2: {}}}",
            [
                "`cuts` stands among the scenes; it belongs one level deeper, under `s1`",
                f"`c 2` {NO_NAME}",
            ],
        ),
        (
            "animerun: 1\nscenes: {cuts: {c1: {action: a}}}",
            ["`cuts` stands among the scenes; it belongs on a scene: {s01: {cuts: …}}"],
        ),
        ("animerun: 1\nscenes: {cuts: {prompt: a}}", []),
        (
            "animerun: 1\nscenes:\n  s1:\n    cast:aki",
            ["a blank is missing behind the colon: write `cast: aki`"],
        ),
        (
            "animerun: 1\nscenes: {S1: {}, s1: {}}",
            ["`s1` and `S1` (line 2) differ only in case; give one another name"],
        ),
    ],
)
def test_what_a_spec_must_hold(text: str, expected: list[str]) -> None:
    """Version and scenes are required; a slip in their names is recognised."""
    assert messages(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models: {}\nx-a: 1\ntitle: Cast", []),
        ("animerun: 1\ninclude: [a.yaml]\ncharacters: {}\nprompts: {}", []),
        (
            "scenes: {}",
            ["`scenes` belongs into a spec; a library holds models, characters, prompts and include"],
        ),
        (
            "style: cel",
            ["`style` belongs into a spec; a library holds models, characters, prompts and include"],
        ),
        ("modles: {}", ["unknown key `modles`; did you mean `models`?"]),
        ("animerun: 3", ["`animerun` takes 1: no other version of the grammar is known here"]),
        ("prompts: {place: {a: , b: x}}", [f"`a` {UNSET}"]),
    ],
)
def test_libraries(text: str, expected: list[str]) -> None:
    """A library holds four keys, and says where words belong that do not."""
    assert messages(text, "library") == expected


def test_empty_item_of_a_list() -> None:
    """A dash with nothing behind it is told, once, at the dash's own value."""
    assert in_scene("vary: {camera: [a]}") == []
    assert messages("animerun: 1\nscenes:\n  s:\n    vary:\n      camera:\n      - a\n      -\n") == [
        'this item of the list is empty: write a value, or `""`'
    ]


def test_an_aliased_mistake_is_told_once() -> None:
    """What stands in the file once is one mistake, however often it is used."""
    text = "animerun: 1\nscenes:\n  a: &x {takes: 0, light: , place: [x]}\n  b: *x\n  c: *x\n"

    assert messages(text) == [
        "`takes` takes a whole number from 1",
        f"`light` {UNSET}",
        f"`place` takes one text; {LIST_VARIES}",
    ]


def test_all_at_once_in_file_order() -> None:
    """Mistakes of every kind come together, sorted by place."""
    text = """\
animerun: 2
deliver: {nmae: x}
scenes:
  s01: {seeds: 8}
  S01: {place: }
  s02:
    vary: {place+light: [[a]]}
models: {ink: [a]}
"""
    places = [(found.line, found.column) for found in problems(text)]

    assert places == [(1, 11), (2, 11), (4, 16), (5, 3), (5, 9), (7, 26), (8, 15)]


def test_a_problem_prints_with_line_and_caret() -> None:
    """The place is the file's own line, the caret stands under what is wrong."""
    (found,) = problems("animerun: 1\nscenes:\n  s01: {place: {promt: dusk}}\n")

    assert str(found).splitlines() == [
        "s.yaml:3:17: unknown key `promt`; did you mean `prompt`?",
        "      s01: {place: {promt: dusk}}",
        "                    ^^^^^",
    ]


def test_thousands_of_mistakes_are_found_without_walking_the_file_for_each() -> None:
    """Every one of many wrong scenes is told."""
    text = "animerun: 1\nscenes:\n" + "".join(f"  s{n}: {{takes: 0}}\n" for n in range(2000))

    assert len(problems(text)) == 2000


examples = sorted(Path(__file__).parents[2].joinpath("specs").glob("*.yaml"))


@pytest.mark.parametrize("path", examples, ids=lambda path: path.name)
def test_shipped_specs_have_the_right_shape(path: Path) -> None:
    """Every file in specs/ passes, as a spec or as a library."""
    text = path.read_text(encoding="utf-8")
    kind: Kind = "spec" if "\nscenes:" in text else "library"

    assert messages(text, kind) == []


keys = st.sampled_from([
    "animerun", "scenes", "cuts", "vary", "seeds", "takes", "prompt", "place", "lora", "models", "cast",
    "characters", "prompts", "deliver", "video", "outfits", "a+b", "aki.weight", "x-a", "s01", "S01", "from",
])  # fmt: skip
scalars = st.sampled_from(["1", "null", "", "text", "1..4", "a b", "'q'", "~", "1..", "off", "-1"])
nodes = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(item or "''" for item in items) + "]")
        | st.dictionaries(keys, inner, max_size=4).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        )
    ),
    max_leaves=25,
)


@given(entries=st.dictionaries(keys, nodes, min_size=1, max_size=6))
@settings(max_examples=100)
def test_any_tree_gets_an_answer(entries: dict[str, str]) -> None:
    """Whatever words are nested in one another: problems with a place and a sentence, never an exception."""
    text = "\n".join(f"{key}: {value}" for key, value in entries.items())
    try:
        root = compose(text.encode(), path="s")
    except SpecError:
        return
    assert isinstance(root, Mapping)
    for kind in ("spec", "library"):
        found = check_shape(root, kind=kind)

        assert all(problem.line and problem.message for problem in found)
        assert len(set(found)) == len(found)
