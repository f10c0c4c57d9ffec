"""The prompt: holes, tidying, cast and count."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain import Member
from runner.errors import SpecError
from runner.text.tree import Mark, Source
from runner.wording import Wording, cast_text, count_of, hole, joined, member_text, tidy

TAGS = (
    "{{ count }}, {{ cast }}, {{ action }}, {{ camera }}, {{ place }}, {{ light }}, {{ prompt }}, "
    "{{ style }}, masterpiece"
)
PROSE = (
    "{{ style }}. {{ cast }}, {{ action }}. {% if camera %}{{ camera }}. {% endif %} "
    "{% if place %}The place: {{ place }}, {{ light }}. {% endif %} {{ prompt }}"
)
UNSET = dict.fromkeys(["style", "action", "camera", "place", "light", "prompt"], "")


def render(text: str, **slots: str) -> str:
    """Render *text* with the given slots, the built-in others empty."""
    return Wording.parse(text).render(UNSET | slots, cast=slots.get("cast", ""), count=slots.get("count", ""))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a, , b", "a, b"),
        ("x. , .", "x."),
        ("x, .", "x."),
        ("a; , b", "a; b"),
        ("a, ; . b", "a. b"),
        (", a,", "a"),
        (". ; a, ", "a"),
        ("a  \t b", "a b"),
        (" , ; . ", ""),
        ("a,,b", "a,b"),
        ("a , b", "a, b"),
        ("a,\n, b,\n\n,\nc.", "a\nb\nc."),
        ("a.\r\nb", "a.\nb"),
    ],
)
def test_an_empty_slot_takes_its_separator_with_it(before: str, after: str) -> None:
    """Neighbouring separators leave the heaviest; opening ones and closing commas go."""
    assert tidy(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "(rain:1.2), puddles",
        '"quoted" \\(re:zero\\)',
        "夕焼け、屋上。",
        "wait..., she said",
        "smile, ;d, (weight:.5), .5",
        "a. b; c, d.",
        "1girl, v1.5, 3.14",
        "<lora:x:0.8> BREAK {a|b}",
    ],
)
def test_a_prompt_written_by_hand_is_left_alone(text: str) -> None:
    """Weights, emoticons, ellipses, decimals and foreign punctuation are no stray separators."""
    assert tidy(text) == text
    assert Wording.parse("{{ prompt }}").render({"prompt": text}) == text


@given(st.text(alphabet=",;. \n\tax5é、\0", max_size=40))
def test_tidying_twice_changes_nothing(text: str) -> None:
    """Tidy is idempotent."""
    once = tidy(text)

    assert tidy(once) == once


@given(st.text(alphabet=",;. \nab", max_size=40))
def test_tidying_keeps_every_word(text: str) -> None:
    """Only separators and blanks ever go."""
    letters = [ch for ch in text if ch in string.ascii_letters]

    assert [ch for ch in tidy(text) if ch in string.ascii_letters] == letters


@given(st.lists(st.sampled_from(["", "a", "b c", "x, y", "d."]), min_size=6, max_size=6))
def test_tags_hold_no_empty_place(texts: list[str]) -> None:
    """Whatever is unset, two commas never meet and none stands at an end."""
    prompt = render(TAGS, **dict(zip(UNSET, texts, strict=True)))

    assert ", ," not in prompt
    assert not prompt.startswith(",")
    assert prompt.endswith("masterpiece")


def test_prose_with_empty_slots_reads_as_prose() -> None:
    """Sentences whose slots are empty vanish with their points."""
    assert render(PROSE, cast="Aki", prompt="It rains.") == "Aki. It rains."
    assert render(PROSE, style="cel", cast="Aki", action="runs", place="roof", light="dusk") == (
        "cel. Aki, runs. The place: roof, dusk."
    )
    assert render(PROSE) == ""


@pytest.mark.parametrize(
    "text",
    ["smile, , ;d", "...", "two  blanks", ";) and :d", "a.,b", "{{ cast }}", "{% if %}", "a\n\n b", "\0"],
)
def test_text_in_a_hole_is_data(text: str) -> None:
    """What a slot says reaches the prompt untouched, whatever it looks like."""
    assert render("x, {{ prompt }}, y", prompt=text) == f"x, {text}, y"


def test_the_edges_of_a_slot_take_part_in_tidying() -> None:
    """A sloppy comma or a full stop at a slot's end does not double the wording's."""
    assert render("{{ place }}, {{ light }}. end", place=", roof, ", light="night.") == "roof, night. end"


def test_what_slots_end_in_is_told_from_what_they_say() -> None:
    """An ellipsis at the end is text, a point before the wording's comma is the heavier separator."""
    assert render("{{ prompt }}, x", prompt="wait...") == "wait..., x"
    assert render("{{ prompt }}, x", prompt="It rains.") == "It rains. x"
    assert render("{{ prompt }} x", prompt="a,") == "a, x"
    assert render("{{ prompt }}, x", prompt=" , ;. ") == "x"


@given(st.text(alphabet="ab,;. \n", max_size=30))
def test_a_slot_loses_only_its_edges(text: str) -> None:
    """Between two words of the wording a slot's text stands as written, its ends apart."""
    prompt = render("X, {{ prompt }}, Y", prompt=text)

    assert text.strip(" \n,;.") in prompt
    assert prompt.startswith("X")
    assert prompt.endswith("Y")


def test_long_runs_of_separators_cost_no_time() -> None:
    """Tidying is linear, whatever a slot or a wording holds."""
    assert render("{{ prompt }}", prompt=", ; " * 100_000 + "x").endswith("x")
    assert tidy(", ; ." * 100_000) == ""
    assert tidy("x" + " . ," * 100_000 + "y") == "x.y"


def test_loops_over_members_and_filters_work() -> None:
    """A wording may speak of each member by itself."""
    wording = Wording.parse("{% for m in members %}{{ m.name | capitalize }} in {{ m.outfit }}. {% endfor %}")
    members = [Member(name="aki", outfit="hoodie"), Member(name="ren", outfit="gakuran")]

    names = Wording.parse("{{ members | map(attribute='name') | join(' and ') }}")

    assert names.render({}, members=members) == "aki and ren"
    assert wording.holes == {"members"}
    assert wording.render({}, members=members) == "Aki in hoodie. Ren in gakuran."


def test_an_inline_if_without_else_writes_nothing() -> None:
    """The short form of a condition is as good as the long one."""
    assert (
        render("{{ place if light }}, {{ camera if not light }}, x", place="roof", camera="wide") == "wide, x"
    )


def test_holes_include_those_in_conditions() -> None:
    """A slot that is only asked about is used too."""
    assert Wording.parse("{% if camera %}x{% endif %}{{ place }}").holes == {"camera", "place"}


def test_an_unknown_hole_names_the_nearest_slot() -> None:
    """Unknown holes are listed with a suggestion, and refused when rendered."""
    wording = Wording.parse("{{ camra }}, {{ cast }}, {{ zzz }}")

    assert wording.unknown_holes(UNSET) == [("camra", "camera"), ("zzz", "")]
    with pytest.raises(SpecError, match="did you mean `camera`"):
        wording.render(UNSET)


def test_errors_stand_where_the_wording_stands() -> None:
    """The problem carries the mark the wording was parsed with."""
    mark = Mark(Source("a.yaml", ("wording: '{{ x'",)), 1, 10)

    with pytest.raises(SpecError) as caught:
        Wording.parse("{{ x", mark=mark)
    assert caught.value.problems[0].place == "a.yaml:1:10"


@pytest.mark.parametrize(
    "text",
    [
        "{{ a() }}", "{{ a.upper() }}", "{{ 2 ** 99 }}", "{{ 'x' * 10 }}", "{{ '%99d' % 1 }}", "{{ a ~ b }}",
        "{{ a + b }}", "{% set x = 1 %}", "{% set x %}y{% endset %}", "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{{ a | center(999) }}",
        "{{ a | attr('__class__') }}", "{{ a | format(1) }}", "{{ a | each }}", "{{ a | nofilter }}",
        "{% if a is nosuchtest %}{% endif %}", "{{ a-b }}", "{{", "{{ a }", "{% for x in y %}", "{# open",
        "{% filter upper %}x{% endfilter %}", "{% with x = 1 %}{% endwith %}", "{{ {} }}",
        "{{ " + "(" * 3000 + "a" + ")" * 3000 + " }}", "{{ " + "9" * 5000 + " }}", "x" * 20_000,
        "{% for a in members %}" * 3 + "{% endfor %}" * 3, "{% if a %}" * 120 + "{% endif %}" * 120,
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused_when_parsed(text: str) -> None:
    """Calls, arithmetic, assignments, imports and unknown filters are spec errors, never Python's."""
    with pytest.raises(SpecError, match="wording: "):
        Wording.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ a.__class__ }}", "{{ a['__class__'] }}", "{{ a.upper }}", "{{ members }}", "{{ none }}",
        "{{ true }}",
        "{{ a < 1 }}", "{{ members[5].name }}", "{% for x in a %}{{ x }}{% endfor %}",
        "{{ members | map(attribute='nothing') | join }}", "{{ a | map('replace', 'x', a) | join }}",
        "{{ a | join(a) | join(a) }}", "{{ [a, [a]] | join }}",
        "{{ a | replace('', a) | replace('', a) | replace('', a) }}",
        "{% for m in members %}{{ m.nothing }}{% endfor %}",
        "{{ members | map(attribute='__class__') | join }}",
    ],
)  # fmt: skip
def test_what_is_no_text_or_too_much_is_refused_when_rendered(text: str) -> None:
    """A hole writes bounded text or the rendering is a spec error."""
    with pytest.raises(SpecError, match="wording: "):
        Wording.parse(text).render({"a": "x" * 5000}, members=[Member(name="aki")])


def test_output_is_bounded() -> None:
    """More than a mebibyte is refused however it comes about."""
    with pytest.raises(SpecError, match="1048576 bytes"):
        Wording.parse("{{ a }}" * 200).render({"a": "x" * 10_000})


def test_a_for_walks_a_hundred_items_at_most() -> None:
    """Loops are bounded, and empty ones are fine."""
    wording = Wording.parse("{% for m in members %}.{% endfor %}x")

    assert wording.render({}, members=[]) == "x"
    with pytest.raises(SpecError, match="at most 100"):
        wording.render({}, members=[Member(name=f"m{n}") for n in range(101)])


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ([], ""),
        (["girl"], "1girl"),
        (["boy", "girl", "girl"], "2girls, 1boy"),
        (["girl"] * 5, "5girls"),
        (["girl"] * 6, "6+girls"),
        (["boy"] * 9 + ["other"], "6+boys, 1other"),
        (["other", "other", "extra"], "2others"),
    ],
)
def test_count_names_kinds_in_their_order(kinds: list[str], text: str) -> None:
    """Girls before boys before others; six and more are one tag."""
    assert count_of(kinds) == text


def test_a_member_is_prompt_outfit_expression() -> None:
    """Parts that are empty leave no comma; members follow one another in cast order."""
    aki = Member(name="aki", prompt="aki, silver hair,", outfit="", expression="smile")
    crowd = Member(name="", prompt="a crowd")

    assert member_text(aki) == "aki, silver hair, smile"
    assert cast_text([aki, crowd, Member(name="x")]) == "aki, silver hair, smile, a crowd"
    assert joined(["", " , ", "a"]) == "a"


def test_a_hole_is_a_word_that_jinja_can_read() -> None:
    """Dots and dashes of a word stand as underscores."""
    assert hole("aki.outfit") == "aki_outfit"
    assert hole("hair-style") == "hair_style"
