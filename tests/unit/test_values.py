"""Source text → plain data, by the parameter's type."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain import Lora, Parameter
from runner.errors import SpecError
from runner.text.tree import Mapping, Mark, Node, Scalar, Sequence, Source
from runner.values import (
    FrameRule,
    parse_count,
    parse_fps,
    parse_lora,
    parse_loras,
    parse_range_axis,
    parse_seeds,
    parse_storyboard_length,
    parse_takes,
    parse_value,
    project_path,
)
from runner.values.decimals import bounded, exact, plain

MARK = Mark(Source("specs/a.yaml", ("word: value",)), 1, 7, 5)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-9999, max_value=9999)


def scalar(text: str, *, quoted: bool = False) -> Scalar:
    """Return *text* as it would stand in a spec."""
    return Scalar(text, MARK, not quoted)


def listed(*texts: str) -> Sequence:
    """Return a list of plain scalars."""
    return Sequence(tuple(map(scalar, texts)), MARK)


def parameter(kind: Any, **keys: Any) -> Parameter:
    """Return a parameter of type *kind*, called like its type unless *keys* say so."""
    return Parameter(**{"name": kind, "type": kind} | keys)


def refusal(call: Any, *args: Any, **keys: Any) -> str:
    """Return the message with which *call* refuses, having checked that it has a place."""
    with pytest.raises(SpecError) as caught:
        call(*args, **keys)
    assert caught.value.problems[0].place == "specs/a.yaml:1:7"
    return caught.value.problems[0].message


STEPS = parameter("int", name="steps", min=1, max=200)
CFG = parameter("float", name="cfg", min=0, max=30, step="0.01")
SIZE = parameter("size", min=64, max=8192, step=8)
CLIP = parameter("length", fps=16, frames="4n+1", min=5, max=121)
SAMPLER = parameter("choice", name="sampler", choices=("euler", "dpmpp_2m"))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (STEPS, "28", 28),
        (STEPS, "0010", 10),
        (STEPS, "+7", 7),
        (STEPS, "1", 1),
        (STEPS, "200", 200),
        (CFG, "5.50", 5.5),
        (CFG, "7", 7.0),
        (CFG, "1e1", 10.0),
        (CFG, "0.07", 0.07),
        (parameter("int"), str(2**64 - 1), 2**64 - 1),
        (parameter("bool"), "true", True),
        (parameter("bool"), "FALSE", False),
        (parameter("text"), "no", "no"),
        (parameter("text"), "", ""),
        (SAMPLER, "euler", "euler"),
        (parameter("choice"), "anything", "anything"),
        (SIZE, "1216x832", {"width": 1216, "height": 832}),
        (SIZE, "1216 × 832", {"width": 1216, "height": 832}),
        (CFG, "5,5", 5.5),
        (CLIP, "3+12", {"frames": 57, "fps": 16, "seconds": 3.5625}),
        (CLIP, "84f", {"frames": 57, "fps": 16, "seconds": 3.5625}),
        (CLIP, "7.5s", {"frames": 121, "fps": 16, "seconds": 7.5625}),
        (parameter("length", fps=16), "3+11", {"frames": 56, "fps": 16, "seconds": 3.5}),
        (parameter("length"), "3+12", {"frames": 84, "fps": 24, "seconds": 3.5}),
        (parameter("file"), "sub\\a.safetensors", "sub\\a.safetensors"),
        (parameter("files"), "a.safetensors", ["a.safetensors"]),
        (parameter("image"), "./refs//fox.png", {"$file": "refs/fox.png"}),
        (parameter("video"), "clips/a.mp4", {"$file": "clips/a.mp4"}),
        (parameter("audio"), "voices/aki.wav", {"$file": "voices/aki.wav"}),
        (parameter("images"), "refs/aki/*.png", {"$glob": "refs/aki/*.png"}),
    ],
)
def test_values_by_type(kind: Parameter, text: str, value: Any) -> None:
    """The type decides; quotes make no difference."""
    got = parse_value(kind, scalar(text, quoted=True))

    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "fps", "frames"),
    [
        (CLIP, "81f", None, 81),
        (CLIP, "81f", "24", 81),
        (CLIP, "3+12", None, 57),
        (CLIP, "3.5s", None, 57),
        (parameter("length"), "84f", None, 84),
    ],
)
def test_frames_of_a_preset_or_default_are_the_models(
    kind: Parameter, text: str, fps: str | None, frames: int
) -> None:
    """What stands with the model counts its frames, whatever the timeline's rate; seconds are seconds."""
    got = parse_value(kind, scalar(text), fps=fps, own=True)

    assert isinstance(got, dict)
    assert got["frames"] == frames


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (STEPS, "28.0", "`steps: 28.0`: a whole number is wanted here; write 28"),
        (STEPS, "1e2", "write 100"),
        (STEPS, "0x1F", "write 31"),
        (STEPS, "0o17", "write 15"),
        (STEPS, "1_000", "write 1000"),
        (STEPS, "1,000", "write 1000"),
        (STEPS, "0xZZ", "is no number"),
        (STEPS, "0", "`steps: 0` is below the minimum, 1"),
        (STEPS, "201", "`steps: 201` is above the maximum, 200"),
        (STEPS, "2.5", "a whole number"),
        (STEPS, "9" * 5000, "5000 characters is too long"),
        (STEPS, "many", "`many` is no number"),
        (STEPS, "٣", "is no number"),
        (parameter("int"), str(2**64), "too large"),
        (CFG, "5.555", "`cfg: 5.555` is not a multiple of 0.01: nearest 5.55 or 5.56"),
        (CFG, ".nan", "no number a model could use"),
        (CFG, "-.inf", "no number a model could use"),
        (CFG, "1e999999999", "too large or too small"),
        (CFG, "1e-999999999", "too large or too small"),
        (parameter("bool"), "yes", "`bool: yes`: write true"),
        (parameter("bool"), "off", "write false"),
        (parameter("bool"), "maybe", "write true or false"),
        (SAMPLER, "eular", "did you mean `euler`?"),
        (SAMPLER, "zzzzzz", "it is one of euler, dpmpp_2m"),
        (SAMPLER, "", "a choice is wanted"),
        (SIZE, "1210x832", "`size: 1210x832` is not a multiple of 8: nearest 1208 or 1216"),
        (SIZE, "8x832", "`size: 8x832` is below the minimum, 64"),
        (SIZE, "64x9000", "above the maximum, 8192"),
        (SIZE, "1216,832", "write 1216x832"),
        (CFG, "5 7", "`5 7` is no number"),
        (CFG, "1,000", "write 1000"),
        (SIZE, "big", "write WIDTHxHEIGHT"),
        (parameter("size"), "0x64", "no size"),
        (CLIP, "9s", "`length: 9s` needs 145 frames at 16 fps; the model makes 121 (7.56 s)"),
        (CLIP, "1f", "`length: 1f` needs 1 frame at 16 fps; the model makes at least 5 (0.31 s)"),
        (CLIP, "3", "write 3s or 3f"),
        (CLIP, "soon", "3+12"),
        (CLIP, "0s", "above 0"),
        (CLIP, "1e9s", "longer than a day"),
        (CLIP, "1.5+3", "a whole number"),
        (parameter("file"), " ", "file's name"),
        (parameter("file"), "a\nb", "one line"),
        (parameter("image"), "refs\\fox.png", "write refs/fox.png"),
        (parameter("image"), "../fox.png", "leaves the project"),
        (parameter("image"), "a/../../fox.png", "leaves the project"),
        (parameter("image"), "refs/../fox.png", "write fox.png"),
        (parameter("image"), "/tmp/fox.png", "start at the project's folder"),
        (parameter("image"), "C:/fox.png", "start at the project's folder"),
        (parameter("image"), "\\\\host\\fox.png", "start at the project's folder"),
        (parameter("image"), "~/fox.png", "start at the project's folder"),
        (parameter("image"), "https://example.org/fox.png", "not an address"),
        (parameter("image"), "fox\0.png", "control characters"),
        (parameter("image"), "refs/*.png", "not a pattern"),
        (parameter("image"), "refs/", "not a folder"),
        (parameter("image"), "", "a path is wanted"),
        (parameter("seed"), "7", "filled by the runner; write `takes: 4` or `seeds: [7, 11]`"),
        (parameter("loras"), "a", "write `lora: FILE@0.8`"),
        (parameter("cast"), "aki", "write `cast: NAME`"),
    ],
)
def test_refusals_say_what_to_write(kind: Parameter, text: str, message: str) -> None:
    """Every refusal stands at its place and names the remedy."""
    assert message in refusal(parse_value, kind, scalar(text, quoted=True))


@pytest.mark.parametrize(
    ("kind", "node", "message"),
    [
        (parameter("text", name="prompt"), listed("a", "b"),
         "`prompt` takes one text; a list varies only under `vary:`"),
        (STEPS, Mapping((), MARK), "`steps` takes one number, not a map"),
        (STEPS, scalar(""), "`steps` has no value"),
        (parameter("files"), Sequence((listed("a"),), MARK), "list of file names"),
        (parameter("files"), listed("a", " "), "file's name"),
    ],
)  # fmt: skip
def test_wrong_shapes_are_refused(kind: Parameter, node: Node, message: str) -> None:
    """Lists, maps and nothing at all are told apart."""
    assert message in refusal(parse_value, kind, node)


def test_null_is_no_value() -> None:
    """Plain null unsets; the word in quotes is text."""
    assert parse_value(parameter("text"), scalar("null")) is None
    assert parse_value(parameter("text"), scalar("null", quoted=True)) == "null"
    assert parse_value(parameter("files"), listed("a", "b")) == ["a", "b"]


@given(NUMBERS, st.sampled_from(["0.01", "0.05", "0.25", "1", "8"]))
def test_multiples_are_exact(number: Decimal, step: str) -> None:
    """A step refuses a number exactly when it is no multiple in decimals, and names two that are."""
    trouble = bounded(exact(str(number)), step=step)
    near = [Decimal(text) for text in trouble.partition("nearest ")[2].split(" or ")] if trouble else []

    assert (trouble == "") == (number % Decimal(step) == 0)
    assert all(text % Decimal(step) == 0 and abs(text - number) < Decimal(step) for text in near)
    assert len(near) == (2 if trouble else 0)


@given(NUMBERS)
def test_decimals_are_written_out_exactly(number: Decimal) -> None:
    """Plain text of a number is the number, without exponent or needless zeros."""
    text = plain(exact(str(number)))

    assert Decimal(text) == number
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith("0"))


@given(st.integers(0, 10**6), st.integers(1, 16), st.integers(0, 20))
def test_frames_are_rounded_up_to_the_rule(frames: int, step: int, rest: int) -> None:
    """The result obeys the rule, is enough, and is not a step too many."""
    made = FrameRule.parse(f"{step}n+{rest}").up(frames)

    assert made >= frames
    assert (made - rest) % step == 0
    assert made - step < max(frames, rest)


@pytest.mark.parametrize("text", ["4n+", "n4", "4x+1", "0n+1", "4n-1"])
def test_broken_frame_rules_are_refused(text: str) -> None:
    """Only step × n + rest is a rule."""
    with pytest.raises(ValueError, match="like 4n"):
        FrameRule.parse(text)


def test_storyboard_lengths() -> None:
    """Seconds+frames, seconds and frames mean the same length at the timeline's rate."""
    texts = ("3+12", "3.5s", "84f")

    assert {parse_storyboard_length(text).seconds for text in texts} == {Fraction(7, 2)}
    assert {parse_storyboard_length(text).frames for text in texts} == {84}
    assert parse_storyboard_length("1+6", "12").seconds == Fraction(3, 2)
    assert parse_storyboard_length("24f", "24000/1001").seconds == Fraction(1001, 1000)
    assert parse_fps("23.976") == Fraction(23976, 1000)


@pytest.mark.parametrize("text", ["0", "-1", "1/0", "99999", "x", "nan"])
def test_impossible_rates_are_refused(text: str) -> None:
    """A rate is above 0 and of this world."""
    with pytest.raises(ValueError, match=r"range|number|minimum"):
        parse_fps(text)


@pytest.mark.parametrize(
    ("text", "lora"),
    [
        ("a.safetensors", Lora(file="a.safetensors")),
        ("a.safetensors@0.8", Lora(file="a.safetensors", weight=0.8, clip=0.8)),
        (
            "high:sub/a b.safetensors@0.9:0",
            Lora(file="sub/a b.safetensors", weight=0.9, clip=0.0, part="high"),
        ),
        ("a@x.safetensors@-1e-1", Lora(file="a@x.safetensors", weight=-0.1, clip=-0.1)),
        ("a@x.safetensors", Lora(file="a@x.safetensors")),
    ],
)
def test_loras(text: str, lora: Lora) -> None:
    """Weight is 1 and clip the weight unless written."""
    assert parse_lora(text, MARK) == lora


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.safetensors@strong", "`strong` is no weight"),
        ("a@0.8:", "`0.8:` is no weight"),
        ("a@", "is no weight"),
        ("a@1e999", "too large"),
        ("<lora:aki:0.7>", "write aki.safetensors@0.7"),
        ("", "file is wanted"),
        ("/a.safetensors", "below the server's folder"),
    ],
)
def test_what_is_no_lora_is_refused(text: str, message: str) -> None:
    """The form of other programs is translated, the rest explained."""
    assert message in refusal(parse_lora, text, MARK)


def test_lists_of_loras_show_every_mistake() -> None:
    """One LoRA or several; null is none; all mistakes at once."""
    assert [lora.file for lora in parse_loras(listed("a", "b@0.5"))] == ["a", "b"]
    assert parse_loras(scalar("a")) == (Lora(file="a"),)
    assert parse_loras(scalar("null")) == ()
    with pytest.raises(SpecError) as caught:
        parse_loras(Sequence((scalar("a@"), listed("x"), scalar("b")), MARK))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("node", "seeds"),
    [
        (scalar("1000..1003"), [1000, 1001, 1002, 1003]),
        (scalar("0..90..30"), [0, 30, 60, 90]),
        (scalar("0..95..30"), [0, 30, 60, 90]),
        (scalar(" 1 .. 2 "), [1, 2]),
        (scalar("5..5"), [5]),
        (listed("7", "11", "40..42"), [7, 11, 40, 41, 42]),
        (listed("9", "3"), [9, 3]),
        (listed("0..90..10", "5..95..10"), [*range(0, 91, 10), *range(5, 96, 10)]),
    ],
)
def test_seeds_in_the_order_written(node: Node, seeds: list[int]) -> None:
    """Ranges include their ends; the list's order is the order of takes."""
    got = parse_seeds(node)

    assert list(got) == seeds
    assert len(got) == got.count == len(seeds)
    assert seeds[-1] in got
    assert not got.warnings


def test_a_trillion_seeds_are_counted_without_making_them() -> None:
    """The count of a range costs nothing."""
    assert parse_seeds(scalar("0..999999999999")).count == 10**12
    assert parse_seeds(scalar(f"0..{2**64 - 1}")).count == 2**64
    assert 10**11 in parse_seeds(scalar("0..999999999999"))


def test_large_seeds_warn() -> None:
    """From 2^53 a seed does not survive a browser; below, nothing is said."""
    assert not parse_seeds(listed(str(2**53 - 1))).warnings
    assert "2^53" in parse_seeds(listed(str(2**53))).warnings[0].message


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (scalar("8"), "`seeds: 8`: 8 seeds, or seed 8? write `takes: 8` or `seeds: [8]`"),
        (scalar("9..7"), "`seeds: 9..7` runs backwards; write 7..9"),
        (scalar("9..7..2"), "write 7..9..2"),
        (scalar("1..9..0"), "step must be at least 1"),
        (scalar("9..1..-2"), "step must be at least 1"),
        (scalar("-1..3"), "seeds are 0 to 18446744073709551615"),
        (scalar(f"1..{2**64}"), "seeds are 0 to"),
        (scalar("7, 11"), "write `seeds: [7, 11]`"),
        (scalar("1000-1003"), "write 1000..1003"),
        (scalar("1...3"), "write 1..3"),
        (scalar("1.."), "a number is wanted"),
        (scalar(""), "a number is wanted"),
        (scalar("9" * 5000), "too long"),
        (Sequence((), MARK), "empty list"),
        (Mapping((), MARK), "a range or a list"),
        (Sequence((listed("1"),), MARK), "a number or a range"),
        (listed("7", "0x10"), "write 16"),
        (listed("7", "1.5"), "whole number"),
        (listed("true"), "is no number"),
        (listed("7", "7"), "seed 7 stands twice"),
        (listed("40..45", "43"), "seed 43 stands twice"),
        (listed("3..100..6", "1..100..4"), "seed 9 stands twice"),
        (listed(*["1"] * 10_001), "write ranges"),
        (listed(*(f"{n}..100000000..5003" for n in range(1200))), "run into each other"),
    ],
)
def test_seeds_that_are_refused(node: Node, message: str) -> None:
    """Ambiguous, reversed, empty, repeated and impossible seeds are mistakes."""
    assert message in refusal(parse_seeds, node)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=4))
def test_seeds_are_distinct_or_refused(spans: list[tuple[int, int, int]]) -> None:
    """A list is refused exactly when some seed stands in it twice."""
    every = [seed for first, more, step in spans for seed in range(first, first + more + 1, step)]
    node = listed(*(f"{first}..{first + more}..{step}" for first, more, step in spans))
    if len(set(every)) == len(every):
        assert list(parse_seeds(node)) == every
    else:
        assert "stands twice" in refusal(parse_seeds, node)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (scalar("0"), "`takes: 0` is below the minimum, 1"),
        (scalar("-3"), "below"),
        (scalar("2.0"), "write 2"),
        (scalar("1..4"), "write `seeds: 1..4`"),
        (scalar("four"), "is no number"),
        (listed("4"), "`takes` is a count"),
        (scalar(str(2**40)), "above the maximum"),
    ],
)
def test_takes_that_are_refused(node: Node, message: str) -> None:
    """A count is a whole number from 1."""
    assert parse_takes(scalar("4")) == 4
    assert message in refusal(parse_takes, node)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("4..6..0.5", ["4", "4.5", "5", "5.5", "6"]),
        ("1..3", ["1", "2", "3"]),
        ("0.1..0.3..0.1", ["0.1", "0.2", "0.3"]),
        ("0..1..0.3", ["0", "0.3", "0.6", "0.9"]),
        ("-1..1", ["-1", "0", "1"]),
        (".5..1..0.25", ["0.5", "0.75", "1"]),
        ("4.0 .. 4", ["4"]),
        ("a..b", None),
        ("rain", None),
        ("5", None),
        ("1...3", None),
        ("1..2..3..4", None),
        ("", None),
    ],
)
def test_ranges_under_vary(text: str, values: list[str] | None) -> None:
    """Values are exact plain decimals; what has not the form is no range."""
    assert parse_range_axis(text) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [("6..4", "write 4..6"), ("1..2..0", "above 0"), ("0..1e12", "at most"), ("0..1e999", "too large")]
)  # fmt: skip
def test_ranges_that_are_refused(text: str, message: str) -> None:
    """Reversed, standing and endless ranges are mistakes."""
    with pytest.raises(ValueError, match=message):
        parse_range_axis(text)


def test_counts_and_paths_for_others() -> None:
    """The pieces that scopes and libraries use by themselves."""
    assert parse_count("0", minimum=0) == 0
    assert project_path("refs/**/*.png") == "refs/**/*.png"
    with pytest.raises(ValueError, match="is below the minimum, 1"):
        parse_count("0")
