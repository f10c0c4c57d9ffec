from __future__ import annotations

import pytest
from PIL import Image, ImageDraw, ImageFont

from runner.previz.lettering import FONTS, MISSING, Face, clean, has_glyph, shorten, width, wrap, write

FACE = Face(size=20)


def bitmap(text: str) -> bytes:
    """Return the pixels of *text* as a card writes it."""
    image = Image.new("RGB", (60, 40))
    write(ImageDraw.Draw(image), (8, 28), text, FACE, (255, 255, 255))
    return image.tobytes()


@pytest.mark.parametrize("character", list("夕焼けの屋上ヴ々〆漢龍國国한글（）。、éñЖΩ×–…’"))
def test_a_character_is_drawn_as_itself_and_not_as_a_box(character: str) -> None:
    """Kana, kanji, hanzi, hangul and European letters have glyphs of their own in the bundled fonts."""
    notdef = [
        bytes(ImageFont.truetype(str(path), 20).getmask("\U0010fffd")) for path in sorted(FONTS.glob("*.otf"))
    ]
    fonts = [ImageFont.truetype(str(path), 20) for path in sorted(FONTS.glob("*.otf"))]
    drawn = any(bytes(font.getmask(character)) not in notdef for font in fonts)

    assert drawn and has_glyph(character)
    assert bitmap(character) not in (bitmap(MISSING), bitmap(" "))


def test_distinct_characters_have_distinct_shapes() -> None:
    """A line of kanji is legible: no two of its characters share a bitmap."""
    line = "夕焼屋上教室道電柱自販機灯台海"

    assert len({bitmap(character) for character in line}) == len(line)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\x00\x1bb", "ab"),
        ("a\n\t b\u3000c\u2028d", "a b c d"),
        ("cafe\u0301", "café"),
        ("a😀😀😀b", f"a{MISSING}b"),
        ("\u202eabc\u200b", "abc"),
        ("x" * 5000, "x" * 2000),
    ],
)
def test_text_is_straightened_before_it_is_measured(given: str, shown: str) -> None:
    """Controls go, spaces close up, letters are composed, unknown runs become one mark, length is bounded."""
    assert clean(given) == shown


@pytest.mark.parametrize(
    "text", ["the quick brown fox " * 20, "夕焼けの屋上、フェンスにもたれる。" * 20, "w" * 400]
)
def test_wrapped_lines_fit_their_room(text: str) -> None:
    """No line is wider than the room, there are no more lines than allowed, and a cut text says so."""
    lines = wrap(clean(text), FACE, room=180, lines=3)

    assert len(lines) <= 3
    assert all(width(line, FACE) <= 180 for line in lines)
    assert lines[-1].endswith("…")


def test_a_text_that_fits_is_left_whole() -> None:
    """Wrapping loses nothing when there is room."""
    text = "leaning on the fence, looking away"

    assert " ".join(wrap(text, FACE, room=150, lines=9)) == text


def test_no_line_begins_with_closing_punctuation() -> None:
    """CJK lines break by the first rule of kinsoku."""
    lines = wrap("夕焼け。" * 30, FACE, room=101, lines=50)

    assert not any(line[0] in "。、」" for line in lines)


def test_too_little_room_shortens_to_nothing() -> None:
    """A column narrower than an ellipsis shows nothing rather than overflowing."""
    assert shorten("title", FACE, 1) == ""
