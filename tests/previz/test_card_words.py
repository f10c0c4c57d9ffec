from __future__ import annotations

import pytest

from runner.previz.brush import hexed
from runner.previz.card import Card
from runner.previz.light import LIGHTS
from runner.previz.places import PLACES
from runner.previz.staging import read_staging
from runner.previz.words import LIGHT_WORDS, PLACE_WORDS

PAIR = (
    "1girl, 1boy, aki, short silver hair, blue eyes, serafuku, crying, ren, black hair, glasses, gakuran, "
    "standing face to face, cowboy shot, classroom, chalkboard, night"
)


def card(prompt: str, **story: object) -> Card:
    """Return a card of *prompt*."""
    return Card(width=64, height=64, prompt=prompt, **story)  # type: ignore[arg-type]


def test_every_place_and_light_a_word_names_can_be_drawn() -> None:
    """The keyword tables name only places and lights that exist."""
    assert {key for key, _ in PLACE_WORDS} <= set(PLACES)
    assert {key for key, _ in LIGHT_WORDS} <= set(LIGHTS)


@pytest.mark.parametrize(
    ("prompt", "place", "light", "shot"),
    [
        ("school rooftop, chain-link fence, city skyline, sunset, wide shot", "rooftop", "sunset", "wide"),
        ("夕焼けの屋上、全身", "rooftop", "sunset", "wide"),
        ("narrow street, power lines, night, neon light, close-up", "street", "night", "close"),
        ("a lighthouse at dusk", "lighthouse", "dusk", "wide"),
        ("torii, snowing, cowboy shot", "shrine", "snow", "cowboy"),
        ("simple background, white background, portrait", "plain", None, "close"),
    ],
)
def test_place_light_and_framing_are_read_from_the_prompt(
    prompt: str, place: str, light: str | None, shot: str
) -> None:
    """English and Japanese keywords choose the set, the hour and the framing."""
    staging = read_staging(card(prompt))

    assert (staging.place, staging.shot) == (place, shot)
    assert light is None or staging.light == light


def test_a_told_place_outranks_the_prompt() -> None:
    """The spec's own field decides where prompt and story disagree."""
    assert read_staging(card("classroom, noon", place="rooftop", light="night")).place == "rooftop"


def test_each_of_two_people_gets_the_tags_behind_its_own_name() -> None:
    """Hair, outfit, glasses and expression go to whom they were said of."""
    aki, ren = read_staging(card(PAIR, cast=("aki", "ren"))).people

    assert (aki.outfit, aki.hair, aki.expression, aki.glasses, aki.boy) == (
        "sailor",
        hexed("d3d7e6"),
        "crying",
        False,
        False,
    )
    assert (ren.outfit, ren.hair, ren.expression, ren.glasses, ren.boy) == (
        "gakuran",
        hexed("33323e"),
        "neutral",
        True,
        True,
    )


def test_prose_gives_the_same_looks_as_tags() -> None:
    """A prompt in sentences is read as well as one in tags."""
    (aki,) = read_staging(
        card("Aki, a girl with short silver hair and blue eyes, oversized hoodie.", cast=("aki",))
    ).people

    assert (aki.hair, aki.eyes, aki.outfit, aki.hair_style) == (
        hexed("d3d7e6"),
        hexed("5584cf"),
        "hoodie",
        "short",
    )


@pytest.mark.parametrize(
    ("prompt", "people", "creature"),
    [
        ("1girl, smile", 1, ""),
        ("2girls, 1boy", 3, ""),
        ("9girls", 5, ""),
        ("a red fox in the snow", 0, "fox"),
        ("no humans, scenery", 0, ""),
        ("catalogue of a human foxglove", 0, ""),
        ("a girl with a black cat", 1, "cat"),
    ],
)
def test_people_and_animals_are_counted_when_no_cast_is_given(
    prompt: str, people: int, creature: str
) -> None:
    """Count tags and plain nouns say who is there; parts of words do not."""
    staging = read_staging(card(prompt))

    assert (len(staging.people), staging.creature) == (people, creature)


def test_a_character_keeps_its_looks_in_another_cut() -> None:
    """Looks that no tag gives follow from the name alone, whatever seed, place and prompt."""
    one = read_staging(card("aki, street", cast=("aki",), seed=1)).people[0]
    other = read_staging(card("noon, classroom, aki", cast=("aki",), seed=99)).people[0]

    assert one == other


def test_a_name_in_japanese_prose_is_found_without_spaces() -> None:
    """CJK text has no word breaks, so a name counts wherever it stands."""
    one, other = read_staging(card("アキは銀髪、レンは黒髪で眼鏡", cast=("アキ", "レン"))).people

    assert (one.hair, other.hair, one.glasses, other.glasses) == (
        hexed("d3d7e6"),
        hexed("33323e"),
        False,
        True,
    )


def test_outfit_and_expression_behind_a_member_do_not_make_it_a_stranger() -> None:
    """`aki.school.smile` is still aki."""
    plain, dressed = (
        read_staging(card("street", cast=(name,))).people[0] for name in ("aki", "aki.school.smile")
    )

    assert plain == dressed


FESTIVAL = (
    "1girl, 1boy, aki, short silver hair, yukata, morning glory print, yellow obi, ren, short black hair, "
    "round glasses, jinbei, dark blue, running with paper lanterns, wide shot, river, night"
)


def test_a_garment_tells_the_boy_and_its_colour_may_follow_it() -> None:
    """In festival clothes the boy is the one in jinbei; obi and jinbei have the colours told of them."""
    aki, ren = read_staging(card(FESTIVAL, cast=("aki", "ren"))).people

    assert (aki.boy, aki.outfit, aki.tie) == (False, "kimono", hexed("f5d155"))
    assert (ren.boy, ren.outfit, ren.cloth) == (True, "jinbei", hexed("34437c"))


@pytest.mark.parametrize(
    ("prompt", "boys"),
    [
        ("1girl, 1boy, aki, serafuku, ren, street", (False, True)),
        ("1girl, 1boy, aki, street, ren, gakuran", (False, True)),
        ("1girl, 1boy, aki, street, ren, yukata", (True, False)),
        ("1girl, 1other, aki, old woman, ren, serafuku", (False, False)),
        ("Aki, a boy in a hoodie, and Ren, a girl in a dress", (True, False)),
        ("2girls, aki, gakuran, ren, serafuku", (False, False)),
        ("2boys, aki, ren", (True, True)),
    ],
)
def test_who_is_a_boy_follows_from_counts_and_what_is_said(prompt: str, boys: tuple[bool, bool]) -> None:
    """What is said of a member decides, and who is left takes what the count tags leave."""
    people = read_staging(card(prompt, cast=("aki", "ren"))).people

    assert tuple(looks.boy for looks in people) == boys


@pytest.mark.parametrize("boy", [False, True])
def test_a_school_uniform_is_the_one_of_its_wearer(boy: bool) -> None:
    """A boy's school uniform is a gakuran, a girl's a sailor suit."""
    (looks,) = read_staging(card(f"1{'boy' if boy else 'girl'}, ren, school uniform", cast=("ren",))).people

    assert looks.outfit == ("gakuran" if boy else "sailor")


def test_an_old_woman_is_drawn_old() -> None:
    """Age is read; what is not told of hair and clothes suits it."""
    told = read_staging(card("1other, haru, old woman, brown cardigan", cast=("haru",))).people[0]
    untold = read_staging(card("haru, brown cardigan", cast=("haru",))).people[0]

    assert (told.elder, told.boy, told.hair_style, told.outfit) == (True, False, "bun", "cardigan")
    assert untold.elder is False


@pytest.mark.parametrize(
    ("action", "lantern", "floating"),
    [
        ("running with paper lanterns", "carry", False),
        ("climbing the stone steps, lanterns in both hands", "both", False),
        ("a lantern in both hands", "cup", False),
        ("folding the last paper lantern", "cup", False),
        ("holding the lantern up to the light", "raise", False),
        ("setting the lantern on the water", "set", True),
        ("watching the lanterns drift away", "", True),
        ("walking past a lantern shop", "", False),
    ],
)
def test_what_is_done_with_a_lantern_is_read_from_the_action(
    action: str, lantern: str, floating: bool
) -> None:
    """A lantern is carried, raised, cupped or set afloat as the action says, and drifts where it says so."""
    staging = read_staging(card("1girl, aki, river, night", action=action))

    assert (staging.lantern, staging.floating) == (lantern, floating)


def test_a_workshop_is_no_bedroom() -> None:
    """The workshop outranks the general words of an interior."""
    prompt = "lantern workshop, paper lanterns, wooden shelves, indoors, sunset"

    assert read_staging(card(prompt)).place == "workshop"
