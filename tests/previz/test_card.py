from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import combinations

import pytest
from PIL import Image, ImageChops

from runner.previz.card import Card, draw_card
from runner.previz.strip import measure

AKI = "1girl, aki, short silver hair, blue eyes, serafuku, gentle smile, school rooftop, sunset, wide shot"
CARD = Card(width=416, height=304, prompt=AKI, seed=1000, cast=("aki",), cut="c001", title="Nobody came")


def picture_of(image: Image.Image) -> Image.Image:
    """Return the part of a card above its strip."""
    return image.crop((0, 0, image.width, image.height // 2))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures' pixels, 0..255."""
    small = ImageChops.difference(one, other).convert("L").resize((1, 1), Image.Resampling.BOX)
    return float(small.getpixel((0, 0)))


@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (16, 16),
        (64, 64),
        (64, 2048),
        (2048, 64),
        (200, 160),
        (333, 517),
        (512, 512),
        (832, 1216),
        (1328, 928),
    ],
)
def test_a_card_has_exactly_the_size_asked_for(size: tuple[int, int]) -> None:
    """Every size gives an RGB picture of just that size, however small or oblong."""
    image = draw_card(replace(CARD, width=size[0], height=size[1]))

    assert (image.size, image.mode) == (size, "RGB")


@pytest.mark.parametrize("size", [(0, 64), (64, -1), (64, 16385)])
def test_an_impossible_size_is_refused_by_name(size: tuple[int, int]) -> None:
    """A side out of range is a ValueError that names the size."""
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}"):
        draw_card(replace(CARD, width=size[0], height=size[1]))


def test_equal_cards_give_equal_pixels() -> None:
    """Drawing twice gives the same bytes, so a picture's digest says what was asked for."""
    first, second = (hashlib.sha256(draw_card(replace(CARD)).tobytes()).hexdigest() for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1001},
        {"batch_index": 1},
        {"prompt": AKI.replace("gentle smile", "crying")},
        {"prompt": AKI.replace("silver", "red")},
        {"prompt": AKI.replace("sunset", "night")},
        {"prompt": AKI.replace("school rooftop", "classroom")},
        {"prompt": AKI.replace("wide shot", "close-up")},
        {"camera": "from behind"},
        {"expression": "angry", "prompt": "1girl, aki, close-up"},
    ],
)
def test_what_the_words_or_the_seed_say_shows_in_the_picture(change: dict[str, object]) -> None:
    """Seed, expression, hair, light, place and camera each change the pixels above the strip."""
    before, after = draw_card(CARD), draw_card(replace(CARD, **change))

    assert difference(picture_of(before), picture_of(after)) >= 1


def test_names_alone_tell_characters_apart() -> None:
    """A character without tags gets looks from its name, so a cast of strangers has different faces."""
    plain = replace(CARD, prompt="close-up, simple background", title="", cut="", seed=3)
    cards = [draw_card(replace(plain, cast=(name,))) for name in ("aki", "mio", "ren", "yuki")]
    apart = [difference(picture_of(one), picture_of(other)) for one, other in combinations(cards, 2)]

    assert min(apart) >= 0.5
    assert max(apart) >= 3


def test_light_decides_how_bright_the_picture_is() -> None:
    """A night is darker than a noon of the same place."""
    noon, night = (
        picture_of(draw_card(replace(CARD, prompt=f"hills, {hour}", cast=())))
        .convert("L")
        .resize((1, 1))
        .getpixel((0, 0))
        for hour in ("noon", "night")
    )

    assert night + 60 < noon


def test_a_source_picture_shows_through_by_what_denoise_keeps() -> None:
    """An img2img card at low denoise is nearer its source than at high denoise."""
    source = Image.new("RGB", (50, 90), (0, 255, 0))
    faint, strong = (
        picture_of(draw_card(replace(CARD, source=source, denoise=denoise))) for denoise in (0.9, 0.2)
    )
    green = Image.new("RGB", faint.size, (0, 255, 0))

    assert difference(strong, green) < difference(faint, green)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_a_source_of_any_mode_is_taken(mode: str) -> None:
    """Grey, transparent, palette and 16-bit sources are all shown."""
    image = draw_card(replace(CARD, source=Image.new(mode, (7, 3)), denoise=0.5))

    assert image.size == (416, 304)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00\x01\x1b[31m\u202e\ufeff",
        "שלום عالم " * 50,
        "👩‍👩‍👧‍👦🏳️‍🌈" * 100,
        "a" * 1_000_000,
        "夕" * 1_000_000,
        "e" + "\u0301" * 5000,
        "\ud800 lone surrogate",
        "((((" * 3000,
    ],
    ids=["empty", "controls", "rtl", "emoji", "latin-1MB", "cjk-1MB", "marks", "surrogate", "brackets"],
)
def test_hostile_text_is_drawn_like_any_other(text: str) -> None:
    """No text in any field breaks a card or changes its size."""
    card = replace(
        CARD, prompt=text, title=text, cast=(text, text), action=text, model=text, loras=(text,) * 50,
        sampler=text, place=text, light=text, camera=text, expression=text, episode=text, scene=text,
        cut=text, take=text, template=text, key=text, negative=text,
    )  # fmt: skip

    assert draw_card(card).size == (416, 304)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 1e300])
def test_odd_numbers_are_drawn(number: float) -> None:
    """Settings out of any range are shown, not refused: a card tells what was asked for."""
    card = replace(
        CARD, cfg=number, denoise=number, seed=2**64 - 1, steps=10**9, source=Image.new("RGB", (4, 4))
    )

    assert draw_card(card).size == (416, 304)


def test_the_same_cut_keeps_its_strip_height_over_takes() -> None:
    """Takes of one size share a layout, so they line up in a folder and in a film."""
    heights = {measure(replace(CARD, seed=seed, prompt=AKI * seed)).height for seed in (1, 2, 9)}  # type: ignore[union-attr]

    assert len(heights) == 1


def test_a_camera_move_is_pencilled_over_the_picture() -> None:
    """A push-in draws its red frame, a static cut does not."""
    still = replace(CARD, prompt="hills, noon", cast=())
    moving = replace(still, camera="slow push in")
    reds = [
        sum(
            count
            for count, (red, green, blue) in picture_of(draw_card(card)).getcolors(2**18) or []
            if red > 180 and green < 110 and blue < 110
        )
        for card in (still, moving)
    ]

    assert reds[0] == 0
    assert reds[1] > 100


def test_the_seed_moves_the_composition_and_not_only_its_colours() -> None:
    """On plain paper, where the hour's tint does not show, another seed still puts the person elsewhere."""
    plain = replace(CARD, prompt="aki, upper body, simple background, noon")
    first, *others = (picture_of(draw_card(replace(plain, seed=seed))) for seed in range(5))

    assert max(difference(first, other) for other in others) >= 6


def warm(image: Image.Image) -> int:
    """Return how many pixels of a picture have the glow of lanterns."""
    colours = picture_of(image).getcolors(2**18) or []
    return sum(count for count, (red, green, blue) in colours if red > 190 and green > 120 and blue < 150)


@pytest.mark.parametrize("place", ["river, bridge", "sea"])
def test_lanterns_on_the_water_light_a_night(place: str) -> None:
    """A dark river or sea has the colour of many flames when lanterns float on it, and hardly any without."""
    dark = replace(CARD, prompt=f"{place}, night, wide shot, no humans", cast=(), height=608, width=832)
    lit = replace(dark, prompt=f"{dark.prompt}, paper lanterns on the water")

    assert warm(draw_card(lit)) > 300 + 3 * warm(draw_card(dark))


@pytest.mark.parametrize(
    "action", ["running with paper lanterns", "setting the lantern on the water", "holding the lantern up"]
)
@pytest.mark.parametrize("shot", ["wide shot", "cowboy shot", "close-up"])
def test_a_lantern_in_the_hands_glows(action: str, shot: str) -> None:
    """Whoever carries, raises or sets down a lantern is drawn with its light, however near the camera is."""
    prompt = f"1girl, aki, blue yukata, black hair, street, night, {shot}"
    without, with_one = (
        draw_card(replace(CARD, width=832, height=608, prompt=prompt, action=doing))
        for doing in ("standing", action)
    )

    assert warm(with_one) != warm(without)
    assert difference(picture_of(without), picture_of(with_one)) >= 0.5


def test_a_boy_and_a_girl_of_one_name_are_drawn_apart() -> None:
    """The same name in the same place gives another figure as a boy than as a girl."""
    girl, boy = (
        draw_card(replace(CARD, prompt=f"{who}, ren, full body, simple background", cast=("ren",)))
        for who in ("1girl", "1boy")
    )

    assert difference(picture_of(girl), picture_of(boy)) >= 1


def test_an_old_woman_differs_from_a_girl() -> None:
    """Age changes the face and the figure, not only the words."""
    young, old = (
        draw_card(replace(CARD, prompt=f"haru, {who}, cardigan, close-up, noon", cast=("haru",)))
        for who in ("woman", "old woman")
    )

    assert difference(picture_of(young), picture_of(old)) >= 2


def test_maple_leaves_redden_the_picture() -> None:
    """Falling maple leaves are red, and on plain ground nothing else is."""
    plain = replace(CARD, prompt="hills, noon, no humans", cast=(), width=832, height=608)
    reds = [
        sum(
            count
            for count, (red, green, blue) in picture_of(draw_card(card)).getcolors(2**18) or []
            if red > 150 and green < 100 and blue < 100
        )
        for card in (plain, replace(plain, prompt="hills, noon, no humans, falling maple leaves"))
    ]

    assert reds[0] == 0
    assert reds[1] > 200


@pytest.mark.parametrize("scale", [1.0, 1.5, 0.75])
@pytest.mark.parametrize("story", [{}, {"cut": "", "title": "", "cast": ()}], ids=["story", "bare"])
def test_the_strip_of_a_card_used_as_a_source_does_not_show(scale: float, story: dict[str, object]) -> None:
    """A card shown through another, scaled or not, gives its picture and no band of its caption."""
    before = replace(CARD, width=832, height=608, prompt="simple background, noon", **story)
    source = draw_card(before)
    source = source.resize((round(832 * scale), round(608 * scale)), Image.Resampling.LANCZOS)
    later = draw_card(
        replace(before, source=source, denoise=0.15, seed=4, prompt="snowfield, no humans, snow")
    )
    sizes = measure(before)
    assert sizes is not None
    top = later.height - sizes.height
    band = later.crop((0, top - 30, later.width, top - 10)).convert("L")

    assert band.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)) > 120


def test_a_dark_picture_that_is_no_card_is_shown_whole() -> None:
    """Only a strip is left out of a source: an all but black picture still darkens the card."""
    black, none = (
        picture_of(draw_card(replace(CARD, prompt="hills, noon", cast=(), source=source, denoise=0.2)))
        for source in (Image.new("RGB", (64, 64), (24, 24, 28)), None)
    )

    assert difference(black, none) > 60


@pytest.mark.parametrize("shot", ["wide shot", "cowboy shot", "close-up"])
def test_takes_differ_in_composition(shot: str) -> None:
    """Any two takes of one cut differ visibly, whatever the framing."""
    prompt = f"1girl, aki, short silver hair, serafuku, reading a folded note, classroom, noon, {shot}"
    takes = [picture_of(draw_card(replace(CARD, prompt=prompt, seed=seed))) for seed in (1000, 1001, 1002)]

    assert min(difference(one, other) for one, other in combinations(takes, 2)) >= 8


def test_lanterns_and_leaves_are_drawn_alike_twice() -> None:
    """What drifts is drawn from the seed alone."""
    card = replace(CARD, prompt=f"{AKI}, river, night, floating lanterns, falling maple leaves")
    first, second = (draw_card(replace(card)).tobytes() for _ in range(2))

    assert first == second
