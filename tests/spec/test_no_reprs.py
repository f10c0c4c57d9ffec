"""No message shows a person what only Python writes, whatever stands where."""

from __future__ import annotations

import re
from itertools import product

import pytest

from runner.comfy.credentials import normalise_url
from runner.domain import Plain
from runner.errors import AnimerunError, Problem, SpecError, TemplateError
from runner.expand import expand
from runner.render.front import read_front
from runner.spec import load
from runner.text.shown import written

LEAK = re.compile(
    r"['\"]\$|<class|<[a-z_.]+ object|\bNone\b|\bNoneType\b|\bTrue\b|\bFalse\b|\[\{|\{'|\['|\('"
    r"|Traceback|could not be cast|\b(?:Scalar|Mapping|Sequence|Mark|Fraction|Decimal|dict_keys|\w+Error)\b"
)
ODD = (
    "null", "[]", "{}", "[null]", "[[]]", "[a, [b]]", "{a: b}", "{a: {b: c}}", "{from: c0}", "{from: [a]}",
    "{prompt: [a]}", "{prompt: null}", '""', "-1", "1e999", ".nan", "true", "'{a'", "a.b.c", "c0/x=",
    "[1, x]", "{prompt: {ink: a}}", "{name: [a]}", "{width: 1, height: [2]}", '"\\t"', "a\\b", "../x",
    "1..0", "a@b:c",
)  # fmt: skip
WORDS = (
    "cast", "prompt", "outfit", "aki.outfit", "aki.weight", "lora", "negative", "wording", "model",
    "template", "takes", "seeds", "vary", "except", "length", "fps", "from", "pick", "checks", "steps", "cfg",
    "size", "sampler", "checkpoint", "start_image", "poses", "title", "seed", "loras", "stpes",
)  # fmt: skip
PLACES = {
    "cut": "scenes: {{s: {{cuts: {{c0: {{prompt: a}}, c1: {{template: {template}, {word}: {value}}}}}}}}}",
    "axis": "template: {template}\nscenes: {{s: {{vary: {{{word}: [{value}]}}}}}}",
    "preset": "models: {{ink: {{{word}: {value}}}}}\nscenes: {{s: {{prompt: a}}}}",
    "character": "characters: {{bo: {{{word}: {value}}}}}\nscenes: {{s: {{cast: bo}}}}",
    "entry": "prompts: {{place: {{x: {value}}}, {word}: {value}}}\nscenes: {{s: {{place: x}}}}",
    "delivery": "deliver: {{{word}: {value}, name: {value}}}\nscenes: {{s: {{prompt: a}}}}",
}
HEAD = "animerun: 1\nepisode: ep\n"
AKI = "characters: {aki: {prompt: aki, outfits: {home: hoodie}, lora: aki.safetensors}}\n"


def said(studio, shelf, text: str) -> tuple[Problem, ...]:
    """Return the mistakes in *text*, or else the warnings."""
    try:
        return expand(load(studio.write(text)), shelf).warnings
    except SpecError as refused:
        return refused.problems


def pairs() -> list[tuple[str, str, str]]:
    """Return place, word and value of each odd spec: every word with every value in turn over the places."""
    every = list(product(WORDS, ODD))
    return [(list(PLACES)[number % len(PLACES)], *pair) for number, pair in enumerate(every)]


@pytest.mark.parametrize("part", range(4))
def test_no_message_of_a_spec_shows_what_python_writes(studio, shelf, part):
    """Each word with each odd value, in one place or another, is answered in the words of the grammar."""
    leaks = []
    for number, (place, word, value) in enumerate(pairs()):
        if number % 4 != part:
            continue
        template = ("txt2img", "i2v", "refs")[number % 3]
        around = PLACES[place].format(word=word, value=value, template=template)
        head = HEAD if place == "character" else HEAD + AKI
        leaks += [
            f"{place} {word}: {value} → {problem.message}"
            for problem in said(studio, shelf, head + around)
            if LEAK.search(problem.message.replace(value, ""))
        ]

    assert leaks == []


@pytest.mark.parametrize("value", ODD)
def test_no_message_of_a_template_shows_what_python_writes(value):
    """The same for each key of a front matter."""
    keys = ("type", "default", "min", "max", "step", "choices", "fps", "frames", "wording", "folder")
    for kind, key in product(("int", "size", "length", "text", "choice", "images", "seed"), keys):
        text = f"---\nparameters: {{x: {{type: {kind}, {key}: {value}}}}}\noutputs: {{o: {value}}}\n"
        try:
            read_front(text, path="t")
        except TemplateError as refused:
            leaks = [
                each.message for each in refused.problems if LEAK.search(each.message.replace(value, ""))
            ]
            assert leaks == []


@pytest.mark.parametrize(
    "url", ["http://h:abc", "h:99999", "http://[::1", "x y", "ftp://h", "http://h:-1", "http://[a]:1"]
)
def test_no_message_about_an_address_shows_what_python_writes(url):
    """What the library that reads addresses says is not for people."""
    with pytest.raises(AnimerunError) as refused:
        normalise_url(url)

    assert not LEAK.search(str(refused.value))
    assert "address" in str(refused.value) or "http" in str(refused.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"width": 512, "height": 768}, "512x768"),
        ({"frames": 81, "fps": 16, "seconds": 5.1}, "81 frames at 16 fps"),
        ({"$from": "ep/s/c1"}, "a pick of ep/s/c1"),
        ([{"$file": "a.png"}, {"$file": "b.png"}], "a.png, b.png"),
        ({"file": "x.sft", "weight": 0.8, "clip": 0.8}, "x.sft@0.8"), (None, "none"), ([], "none"),
        (True, "true"),
        ({"file": "x.sft", "weight": 0.8, "clip": 0.5}, "x.sft@0.8:0.5"), ({"a": [1, None]}, "a: 1, none"),
        (5.5, "5.5"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_people_write_it(value: Plain, text: str) -> None:
    """Sizes, lengths, files and LoRAs as a spec has them; nothing in braces."""
    assert written(value) == text
