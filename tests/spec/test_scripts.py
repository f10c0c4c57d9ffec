"""Names, labels and file names in any script."""

from __future__ import annotations

import unicodedata

import pytest

HEAD = "animerun: 1\nepisode: ep\n"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_any_script_make_keys_and_file_names(studio, form):
    """Names of every kind keep their letters; written in another normal form they are the same."""
    text = """
        animerun: 1
        episode: 第1話
        models: {パステル: {wording: "{{ cast }}, {{ place }}, {{ 天気 }}"}}
        characters: {ガク: {prompt: gaku, outfits: {がくふく: school uniform}}}
        prompts: {place: {屋上: rooftop}, 天気: {あめ: rain}}
        scenes:
          प्रवेश: {cuts: {カットが: {cast: ガク.がくふく, vary: {place: [屋上]}, 天気: あめ, takes: 1}}}
        """

    job = studio.job(unicodedata.normalize(form, text))

    assert job.key == "第1話/प्रवेश/カットが/place=屋上/take=1"
    assert job.name == "प्रवेश/第1話_प्रवेश_カットが_屋上_t01"
    assert job.values["prompt"] == "gaku, school uniform, rooftop, rain"
    assert studio.expand(text, only=["प्रवेश/place=屋上"]).selected == 1


@pytest.mark.parametrize(("one", "other"), [("Äpfel", "äpfel"), ("が", "か\u3099"), ("Straße", "STRASSE")])
def test_names_that_some_file_system_takes_for_one_are_refused(studio, one, other):
    """Case and normal form alone do not tell two names apart: the second of them is told."""
    found = studio.messages(HEAD + f"scenes: {{{one}: {{prompt: a}}, {other}: {{prompt: b}}}}")

    assert len(found) == 1
    assert "differ only in case" in found[0]


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("scenes: {屋 上: {prompt: a}}", " "),
        ("scenes: {屋上: {cuts: {\u202ex: {prompt: a}}}}", "\\u202e"),
        ("characters: {🌸: {prompt: a}}\nscenes: {s: {prompt: a}}", "🌸"),
        ("scenes: {s: {prompt: a, 天気！: b}}", "！"),
    ],
)
def test_what_is_no_letter_stands_in_no_name(studio, text, odd):
    """The character is told; what cannot be seen by its number."""
    found = studio.messages(HEAD + text)

    assert any(f"`{odd}`" in message or "is no name" in message for message in found)


def test_prompts_that_begin_alike_have_labels_of_their_own(studio):
    """The first 40 characters need not tell them apart; reordered, they keep their keys."""
    prompts = [f"masterpiece, best quality, 1girl, solo, red {what}" for what in ("hat", "coat", "scarf")]
    keys = [
        studio.keys(HEAD + f"scenes: {{s: {{vary: {{prompt: {order}}}}}}}".replace("'", '"'))
        for order in (prompts, prompts[::-1])
    ]

    assert len(set(keys[0])) == 3
    assert keys[1] == keys[0][::-1]


def test_two_prompts_that_are_equal_are_one_too_many(studio):
    """Nothing tells them apart, so the second one is a slip."""
    found = studio.messages(HEAD + 'scenes: {s: {vary: {prompt: [rain wet, x, "rain wet"]}}}')

    assert found == ["`rain wet` stands twice under `prompt`; take one out"]


def test_names_too_long_for_a_file_system_are_refused(studio):
    """A part of a file's name has at most 200 bytes: node, number and ending come behind it."""
    long = "傘" * 35

    found = studio.messages(HEAD + f"scenes: {{{long}: {{cuts: {{{long}: {{prompt: a}}}}}}}}")

    assert len(found) == 1
    assert found[0].endswith("a part of it has 218 bytes in UTF-8, at most 200")
