"""Mistakes are told in the words of the grammar, at the place where they stand."""

from __future__ import annotations

import pytest

HEAD = "animerun: 1\nepisode: ep\n"
INK = "models: {ink: {}}\n"
TWO = "models: {ink: {}, qwen: {}}\n"
AKI = "characters: {aki: {kind: girl, prompt: aki, outfits: {home: hoodie}, expressions: {crying: tears}}}\n"
REN = "characters: {aki: {expressions: {crying: tears}}, ren: {}}\n"
PLACES = "prompts: {place: {rooftop: school rooftop, street: a street}}\n"

MISTAKES = {
    "unknown word": (
        "scenes: {s: {prompt: a, stpes: 3}}",
        ["unknown word `stpes`; did you mean `steps`?"],
    ),
    "unknown word at the top": (
        "stpes: 3\nscenes: {s: {prompt: a}}",
        ["unknown word `stpes`; did you mean `steps`?"],
    ),
    "bare seed": (
        "scenes: {s: {prompt: a, seeds: 8}}",
        ["`seeds: 8`: 8 seeds, or seed 8? write `takes: 8` or `seeds: [8]`"],
    ),
    "entry": (
        PLACES + "scenes: {s: {place: rooftob}}",
        ["no place is called `rooftob`; did you mean `rooftop`? (for plain text write {prompt: rooftob})"],
    ),
    "twice in the cast": (
        AKI + 'scenes: {s: {cast: "aki, aki.home"}}',
        ["`aki` is in the cast twice; to compare outfits write vary: {aki.outfit: […]}"],
    ),
    "set twice": (
        AKI
        + "prompts: {expression: {smile: smiling}}\nscenes: {s: {cast: aki.smile, aki.expression: crying}}",
        ["`aki.expression` is set twice here: by `cast: aki.smile` and by `aki.expression`"],
    ),
    "fixed and varied": (
        "scenes: {s: {prompt: a, camera: far, vary: {camera: [wide, close]}}}",
        ["`camera` is both fixed and varied here; keep one"],
    ),
    "missing expression": (
        REN + 'scenes: {s: {cast: "aki, ren", expression: crying}}',
        ["ren has no expression `crying`; add it to prompts.expression, or set `aki.expression`"],
    ),
    "misspelt expression": (
        AKI + "scenes: {s: {cast: aki, expression: cryng}}",
        ["aki has no expression `cryng`; did you mean `crying`? (for plain text write {prompt: cryng})"],
    ),
    "no effect": (
        "scenes: {s: {prompt: a, wording: a lighthouse}}",
        ["`prompt` changes nothing here: neither the wording nor the template uses it"],
    ),
    "parameter of another template": (
        "scenes: {s: {template: bare, prompt: a, steps: 3}}",
        ["`steps` changes nothing here: neither the wording nor the template uses it"],
    ),
    "same picture": (
        "wording: a lighthouse\nvary: {prompt: [close, wide]}\nscenes: {s: {seeds: [1000]}}",
        [
            "ep/s/prompt=close/seed=1000 and …/prompt=wide/seed=1000 are the same picture:"
            " what differs is not used"
        ],
    ),
    "same picture beside an axis that works": (
        "wording: a lighthouse\nvary: {steps: [1, 2], prompt: [close, wide]}\nscenes: {s: {}}",
        [
            "ep/s/prompt=close/steps=1/take=1 and …/prompt=wide/steps=1/take=1 are the same picture:"
            " what differs is not used"
        ],
    ),
    "same picture on a cut": (
        "template: bare\nscenes: {s: {vary: {wording: {a: a house, b: 'a  house'}}, takes: 2}}",
        ["…/wording=a/take=1 and …/wording=b/take=1 are the same picture: what differs is not used"],
    ),
    "several mistakes on one cut": (
        TWO + "scenes: {s: {prompt: a, model: qwem, frobnicate: 3}}",
        ["no model is called `qwem`; did you mean `qwen`?", "unknown word `frobnicate`"],
    ),
    "unknown axis": (
        "vary: {promt: [a, b]}\nscenes: {s: {prompt: x}, t: {prompt: y}}",
        ["unknown word `promt`; did you mean `prompt`?"],
    ),
    "takes without a seed": (
        "scenes: {s: {prompt: a, template: seedless, takes: 2}}",
        ["all takes here are the same picture: the template has no seed"],
    ),
    "except": (
        "scenes: {s: {vary: {camera: [close, wide]}, except: [camera=cloze]}}",
        ["except: `camera=cloze` leaves nothing out; did you mean `camera=close`?"],
    ),
    "labels": (
        'scenes: {s: {vary: {prompt: [rain wet, "rain, wet"]}}}',
        [],
    ),
    "row": (
        "scenes: {s: {vary: {place+light: [[street, night], [roof]]}}}",
        ["this row has 1 value; `place+light` needs 2"],
    ),
    "table": (
        "scenes: {s: {vary: {place+light: [[street, night]]}, cuts: {c: {place: roof}}}}",
        ["`place` varies together with `light` in an outer scope; set all of them here"],
    ),
    "which model": (
        TWO + "scenes: {s: {prompt: a}}",
        ["which model? one of ink, qwen; write `model:` at the top, on the scene or on the cut"],
    ),
    "no such model": (
        TWO + "scenes: {s: {prompt: a, model: qwem}}",
        ["no model is called `qwem`; did you mean `qwen`?"],
    ),
    "a mapping that does not choose by model": (
        "characters: {aki: {prompt: a, lora: {file: a.safetensors}}}\nscenes: {s: {cast: aki, prompt: b}}",
        [
            "no model is called `file`; a mapping here chooses by model;"
            " one LoRA for all of them is written `lora: FILE.safetensors@0.8`"
        ],
    ),
    "no such template": (
        "scenes: {s: {prompt: a, template: txt2imf}}",
        ["no template is called `txt2imf`; did you mean `txt2img`?"],
    ),
    "broken template": ("scenes: {s: {prompt: a, template: broken}}", ["no front matter"]),
    "key of a preset": (
        "models: {ink: {checkpoint: a.safetensors, template: i2v, start_image: null}}\n"
        "scenes: {s: {prompt: a, model: ink, from: null}}",
        [
            "model `ink` sets `checkpoint`, which template `i2v` does not have",
            "`start_image` has no value, and template `i2v` needs one;"
            " write `start_image: …` here or on model `ink`",
        ],
    ),
    "filled by the runner": (
        "models: {ink: {seed: 3}}\nscenes: {s: {prompt: a}}",
        ["model `ink` sets `seed`, which is filled for each job"],
    ),
    "seed as a word": (
        "scenes: {s: {prompt: a, seed: 3}}",
        ["`seed` is filled for each job; write `seeds: [3]`"],
    ),
    "nothing for the model": (
        "models: {ink: {}, qwen: {}}\ncharacters: {mio: {prompt: mio, lora: {ink: m.safetensors}}}\n"
        "scenes: {s: {model: qwen, cast: mio}}",
        [
            "`lora` of character mio has nothing for model `qwen` (it has ink);"
            " add `qwen: …`, or `qwen: null` for none"
        ],
    ),
    "size": (
        "scenes: {s: {prompt: a, size: 1210x832}}",
        ["`size: 1210x832` is not a multiple of 8: nearest 1208 or 1216"],
    ),
    "length": (
        "models: {wan: {template: i2v, start_image: a.png}}\nscenes: {s: {length: 9s}}",
        ["`length: 9s` needs 145 frames at 16 fps; the model makes 121 (7.56 s)"],
    ),
    "names": (
        'scenes: {s01: {prompt: a, vary: {steps: [1, 2]}}}\ndeliver: {name: "{{ scene }}_t{{ take }}"}',
        [
            "two jobs would write `s01_t01`: ep/s01/steps=1/take=1 and ep/s01/steps=2/take=1;"
            " add {{ variant }} or {{ take }} to deliver.name"
        ],
    ),
    "name's hole": (
        'scenes: {s01: {prompt: a}}\ndeliver: {name: "{{ scne }}"}',
        ["deliver.name has no hole `scne`; did you mean `scene`?"],
    ),
    "name's part": (
        'scenes: {s01: {prompt: a}}\ndeliver: {name: "a b"}',
        ["deliver.name writes `a b`: in `a b` ` ` is not used in file names"],
    ),
    "hole of a wording": (
        'scenes: {s01: {wording: "{{ prmopt }}"}}',
        ["the wording has a hole `prmopt`, but there is no such slot; did you mean `prompt`?"],
    ),
    "several LoRAs": (
        "characters: {aki: {prompt: aki, lora: [a.safetensors, b.safetensors]}}\n"
        "scenes: {s: {cast: aki, aki.weight: 0.5}}",
        ["`aki.weight` sets one weight, but character aki has several LoRAs; write them under `lora`"],
    ),
    "LoRA without a place": (
        "scenes: {s: {prompt: a, template: bare, lora: a.safetensors}}",
        ["template `bare` takes no LoRAs"],
    ),
    "LoRA without its part": (
        "scenes: {s: {prompt: a, lora: high:a.safetensors}}",
        ["template `txt2img` takes no LoRAs for part `high`"],
    ),
    "LoRA needs a part": (
        "models: {wan: {template: i2v, start_image: a.png, lora: a.safetensors}}\nscenes: {s: {prompt: a}}",
        ["template `i2v` takes LoRAs by part only; write high:FILE or low:FILE"],
    ),
    "weight without LoRA": (
        AKI + "scenes: {s: {cast: aki, aki.weight: 0.5}}",
        ["`aki.weight` changes nothing here: no LoRA of `aki` is used"],
    ),
    "dotted word of nobody": (
        REN + "scenes: {s: {cast: ren, aki.expression: crying}}",
        ["`aki.expression` changes nothing here: `aki` is not in the cast, or something nearer says it"],
    ),
    "no such character": (
        AKI + "scenes: {s: {cast: akii}}",
        ['no character is called `akii`; did you mean `aki`? (for plain text write it in quotes: "akii")'],
    ),
    "no such outfit": (
        AKI + "scenes: {s: {cast: aki.hom}}",
        ["aki has no outfit or expression `hom`; did you mean `home`?"],
    ),
    "list in a slot": (
        "prompts: {pose: {}}\nscenes: {s: {pose: [a, b]}}",
        ["`pose` takes one text; a list varies only under `vary:`"],
    ),
    "takes and seeds": (
        "scenes: {s: {prompt: a, takes: 2, seeds: [1]}}",
        ["`takes` and `seeds` both stand here; keep one"],
    ),
    "varied takes": ("scenes: {s: {prompt: a, vary: {takes: [1, 2]}}}", ["`takes` cannot vary"]),
    "missing file": (
        "models: {wan: {template: i2v}}\nscenes: {s: {prompt: a, start_image: refs/none.png}}",
        ["there is no file `refs/none.png` in ROOT"],
    ),
    "missing refs": (
        "characters: {aki: {prompt: aki, refs: refs/*.png}}\nscenes: {s: {template: refs, cast: aki}}",
        ["no file matches `refs/*.png` in ROOT"],
    ),
    "extends in a circle": (
        "models: {a: {extends: b}, b: {extends: a}}\nscenes: {s: {model: a, prompt: x}}",
        [
            "`extends` goes round in a circle: a → b → a",
        ],
    ),
    "model of a map": (
        INK + "characters: {aki: {prompt: {inc: aki, else: x}}}\nscenes: {s: {cast: aki}}",
        ["no model is called `inc`; did you mean `ink`?"],
    ),
    "habit": (
        "characters: {aki: {prompt: aki, outfit: hom, outfits: {home: hoodie}}}\nscenes: {s: {cast: aki}}",
        ["aki has no outfit `hom`; did you mean `home`?"],
    ),
    "bad LoRA of somebody unused": (
        "characters: {aki: {prompt: aki, lora: a.safetensors@x}}\nscenes: {s: {prompt: a}}",
        ["`lora: a.safetensors@x`: `x` is no weight; write FILE@0.8, or FILE@0.8:0.6 with a weight for clip"],
    ),
    "character called like a slot": (
        "characters: {light: {prompt: x}}\nscenes: {s: {cast: light}}",
        ["`light` is a slot; call the character something else, so that `light.weight` means one thing"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_what_to_write_instead(studio, name):
    """Each mistake of the grammar's list gives exactly its own sentences."""
    text, wanted = MISTAKES[name]
    studio.touch("a.png")

    found = [message.replace(str(studio.root), "ROOT") for message in studio.messages(HEAD + text)]

    assert found == wanted


def test_a_mistake_stands_under_its_caret(studio):
    """The place is file, line and column of the word, with the source line."""
    (found,) = studio.problems(HEAD + "scenes:\n  s:\n    prompt: a\n    stpes: 3\n")

    assert (found.path, found.line, found.column, found.width) == (
        str(studio.root / "specs/ep.yaml"),
        6,
        5,
        5,
    )
    assert str(found).endswith("\n        stpes: 3\n        ^^^^^")


def test_all_mistakes_come_at_once_in_file_order(studio):
    """Mistakes of several cuts and kinds are told together, by place."""
    found = studio.problems(
        HEAD
        + PLACES
        + """
scenes:
  a: {place: rooftob, stpes: 3}
  b: {prompt: x, size: 10x10, template: nope}
  c: {prompt: x, vary: {steps: [0, 1]}}
"""
    )

    assert [problem.message.split(";")[0].split(" (")[0] for problem in found] == [
        "no place is called `rooftob`",
        "unknown word `stpes`",
        "no template is called `nope`",
        "`steps: 0` is below the minimum, 1",
    ]


def test_a_mistake_in_a_library_comes_behind_those_of_the_spec(studio):
    """Files follow one another; lines never mix."""
    studio.write("characters:\n\n\n\n  aki: {lora: x@y}", "lib.yaml")
    studio.write("characters: {ren: {lora: x@y}}", "lib2.yaml")

    found = studio.problems(
        HEAD + "include: [lib2.yaml, lib.yaml]\nmodels: {a: {extends: b}}\nscenes: {s: {prompt: x}}"
    )

    assert [problem.path.rpartition("/")[2] for problem in found] == ["ep.yaml", "lib2.yaml", "lib.yaml"]


def test_the_same_mistake_is_told_once(studio):
    """A wrong value under ten cuts and four takes is one mistake."""
    cuts = ", ".join(f"c{number}: {{action: walk}}" for number in range(10))

    found = studio.messages(HEAD + PLACES + f"place: rooftob\ntakes: 4\nscenes: {{s: {{cuts: {{{cuts}}}}}}}")

    assert len(found) == 1


def test_an_outer_word_that_no_cut_uses_is_a_warning(studio):
    """What holds for every cut may be of no use to one, but not to all."""
    text = HEAD + "motion: slow\ncamera: wide\nscenes: {a: {prompt: x}, b: {camera: close}}"

    assert studio.warnings(text) == ["no cut uses `motion` as it is set here"]


def test_an_outer_word_that_one_cut_uses_is_fine(studio):
    """Nothing is said of a word that one cut of two uses."""
    text = HEAD + "steps: 3\nscenes: {a: {prompt: x}, b: {prompt: x, template: bare}}"

    assert studio.warnings(text) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{{ x }}", "`{{` is only read in wording and deliver.name; here it stays as it is"),
        ("a {red|blue} dress", "{a|b} is not chosen from; to have both write a list under `vary:`"),
        ("<lora:x:1>", "`<lora:…>` in a text loads nothing; write it under `lora:`"),
        ("a BREAK b", "BREAK means nothing to ComfyUI's text encoder; it would be read as a word"),
        ("rem (re:zero)", r"ComfyUI reads ( ) as emphasis; for a name write \( and \)"),
        ("{prompt}, best", "`{word}` is not filled; a hole stands in `wording`: {{ word }}"),
        ("__hair/long*__ hair", "`__word__` is not filled; to have several write a list under `vary:`"),
        ("[cat:dog:0.5]", "[a:b:0.5] does not change while sampling; it stays as it is"),
        ("a [cat|dog] b", "[a|b] does not take turns; to have both write a list under `vary:`"),
        ("cat AND dog", "AND means nothing to ComfyUI's text encoder; it would be read as a word"),
        ("<hypernet:x:1>", "`<…>` in a text loads nothing"),
    ],
)
def test_text_that_looks_like_syntax_is_warned_of(studio, text, word):
    """What other tools would evaluate reaches the prompt as it is, with a warning."""
    spec = HEAD + f"scenes: {{s: {{prompt: '{text}'}}}}"

    assert studio.warnings(spec) == [word]
    assert studio.job(spec).prompt == text


@pytest.mark.parametrize(
    "text",
    [
        "(rain:1.2), puddles",
        r"rem \(re:zero\)",
        "a {b} c",
        "BREAKFAST",
        "夕焼け",
        "[a]",
        "AND",
        "a__b__c",
        "x (1).png",
        "c/d (v2).safetensors@0.8",
    ],
)
def test_innocent_text_is_not_warned_of(studio, text):
    """Weights, escaped names and words that only contain BREAK pass."""
    assert studio.warnings(HEAD + f"scenes: {{s: {{prompt: '{text}'}}}}") == []


def test_a_warning_points_at_what_it_is_about(studio):
    """In a text of one line the caret stands under the syntax; the wording is looked at beside its Jinja."""
    text = HEAD + 'wording: "{{ prompt|lower }}, {name}"\nscenes: {s: {prompt: a girl BREAK b}}'

    found = studio.expand(text).warnings

    assert [(each.line, each.column, each.width) for each in found] == [(3, 31, 6), (4, 29, 5)]


def test_jinja_is_not_warned_of_where_it_belongs(studio):
    """`wording` and `deliver.name` are the fields that are read."""
    text = HEAD + 'wording: "{{ prompt }}"\nscenes: {s: {prompt: x}}\ndeliver: {name: "{{ scene }}"}'

    assert studio.warnings(text) == []


def test_an_outer_word_that_only_the_command_line_replaces_is_not_warned_of(studio):
    """Trying another value for once makes no word of the file useless."""
    assert studio.warnings(HEAD + "prompt: x\nscenes: {s: {}}", sets=["prompt=y"]) == []


def test_a_misspelt_pattern_of_the_command_line_names_the_nearest_segment(studio):
    """`--only` that matches nothing is refused, with what was probably meant."""
    found = studio.messages(HEAD + "scenes: {s: {vary: {camera: [wide, close]}}}", only=["s/camera=wyde"])

    assert found == ["--only `s/camera=wyde` matches no job; did you mean `camera=wide`?"]


def test_too_many_jobs_are_refused_with_their_factors(studio):
    """The product is refused before anything is expanded, and says where it comes from."""
    text = HEAD + "scenes: {s: {vary: {steps: 1..100, cfg: 1..30}, seeds: 0..999999}}"

    (found,) = studio.problems(text)

    assert found.message == (
        "this makes 3,000,000,000 jobs, more than --max-jobs 1,000,000:"
        " ep/s has 3,000,000,000 (100 steps × 30 cfg × 1,000,000 seeds)"
    )
