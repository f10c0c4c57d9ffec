"""Labels, keys, patterns, derived seeds, file names."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner import naming
from runner.expand.labels import distinct, label_of_list, label_of_text, plain_decimal
from runner.naming import (
    DEFAULT_NAME,
    NameTemplate,
    Pattern,
    cut_path,
    derived_seeds,
    file_name,
    is_name,
    job_key,
    retake_seed,
    split_key,
    take_hole,
    variant,
)

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "naming.json").read_text("utf-8"))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", fullmatch=True)
WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,9}(\.[a-z]{1,9})?", fullmatch=True)
LABELS = st.from_regex(r"[A-Za-z0-9._+@-]{1,60}", fullmatch=True)
AXES = st.dictionaries(WORDS.filter(lambda word: word not in ("take", "seed", "alt")), LABELS, max_size=4)
HOLES = dict.fromkeys(naming.NAME_HOLES, "") | {
    "episode": "ep01",
    "scene": "s01",
    "cut": "c001",
    "take": "03",
}


@pytest.mark.parametrize("case", GOLDEN["labels"], ids=lambda case: repr(case["text"])[:30])
def test_labels_stay_what_they_were(case: dict[str, Any]) -> None:
    """A changed label would make every picture of that variant new."""
    assert label_of_text(case["text"], is_file=case.get("is_file", False)) == case["label"]


@pytest.mark.parametrize("case", GOLDEN["keys"], ids=lambda case: case["key"])
def test_keys_stay_what_they_were(case: dict[str, Any]) -> None:
    """Keys of earlier runs are found again, and can be taken apart."""
    axes = [tuple(pair) for pair in case["axes"]]
    take = tuple(case["take"])
    key = job_key(cut_path(*case["path"]), axes, take, case["alt"])
    parts = split_key(case["key"])

    assert key == case["key"]
    assert (parts.path, parts.take, parts.alt) == ("/".join(case["path"]), take, case["alt"])
    assert parts.axes == tuple(sorted(axes))


@pytest.mark.parametrize("case", GOLDEN["seeds"], ids=lambda case: case["path"])
def test_derived_seeds_stay_what_they_were(case: dict[str, Any]) -> None:
    """A cut's takes keep their seeds for ever."""
    assert list(derived_seeds(case["path"], len(case["seeds"]))) == case["seeds"]


@pytest.mark.parametrize("case", GOLDEN["names"], ids=lambda case: case["name"])
def test_file_names_stay_what_they_were(case: dict[str, Any]) -> None:
    """Delivered files are found where they were."""
    axes = [tuple(pair) for pair in case["axes"]]
    holes = HOLES | dict(axes) | case["holes"] | {"variant": variant(axes)}

    assert file_name(case.get("template", DEFAULT_NAME), holes) == case["name"]


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("a", True), ("0-_x", True), ("", False), ("_a", False), ("a.b", False), ("屋上", True),
        ("東京-2", True),
        ("परदा", True), ("é b", False), ("\u0301a", False), ("é\u202e", False), ("🌸", False),
    ],
)  # fmt: skip
def test_names(text: str, legal: bool) -> None:
    """Names begin with a letter or digit and hold no dots."""
    assert is_name(text) is legal
    assert not is_name("a\n")
    assert is_name("a" * 40)
    assert not is_name("a" * 41)


@given(st.text(max_size=80), st.booleans())
def test_labels_are_legal_or_refused(text: str, is_file: bool) -> None:
    """Whatever the text, its label can stand in a key, or the text is refused with advice."""
    try:
        label = label_of_text(text, is_file=is_file)
    except ValueError as error:
        assert "name the values" in str(error)
    else:
        assert split_key(f"a/b/x={label}/take=1").axes == (("x", label),)
        assert Pattern.parse(f"x={label}").matches(f"a/b/x={label}/take=1")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-1000, max_value=1000))
def test_equal_numbers_have_one_label(number: Any) -> None:
    """However a number is written, its label is the same exact decimal."""
    assert label_of_text(f"{number:f}") == label_of_text(f"{number:e}") == label_of_text(f" {number:f}")


@pytest.mark.parametrize("text", ["1e999999999", "9" * 300])
def test_a_number_of_endless_digits_asks_for_a_name(text: str) -> None:
    """A number is never cut: another number would be read."""
    with pytest.raises(ValueError, match="name the values"):
        label_of_text(text)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("赤い傘", "赤い傘"), ("カ\u3099", "ガ"), ("cafe\u0301", "café"), ("पानी में", "पानी-में"),
        ("น้ำตก, ป่า", "น้ำตก-ป่า"), ("שִׁבֹּלֶת", "שִׁבֹּלֶת"), ("a\u202eb\u200bc", "abc"), ("می\u200cخواهم", "میخواهم"),
        ("\u0301a", "-a"), ("傘 ☂️ 雨", "傘-雨"), ("３人", "３人"), ("a\u3164b", "a-b"), ("x\ufe00", "x-"),
    ],
)  # fmt: skip
def test_labels_keep_letters_of_every_script(text: str, label: str) -> None:
    """Letters, digits and the marks that belong to them stay, composed; what nobody sees does not."""
    assert label_of_text(text) == label


@pytest.mark.parametrize("text", ["???", "🌸", "、"])
def test_a_text_without_letters_is_called_by_a_hash(text: str) -> None:
    """Such a value needs no name: equal texts have equal labels, others have others."""
    assert re.fullmatch(r"[0-9a-f]{8}", label_of_text(text))
    assert label_of_text(text) != label_of_text(text * 2)


def test_long_labels_are_cut() -> None:
    """At most 60 bytes stay of a file's name or a list, and no letter loses its marks."""
    assert label_of_text("x" * 61, is_file=True) == "x" * 60
    assert label_of_list(["x" * 40, "y" * 40]) == "x" * 40 + "+" + "y" * 19
    assert label_of_text("傘" * 50) == "傘" * 20
    assert label_of_text("x" * 39 + "ก้ข") == "x" * 39


@given(
    st.lists(st.text(alphabet="aA b🌸é", min_size=1, max_size=4).map(str.strip).filter(bool), unique=True),
    st.randoms(),
)
def test_labels_that_are_alike_are_told_apart_in_any_order(texts: list[str], random: Any) -> None:
    """Each value keeps its label when the list is reordered, and no file system takes two for one."""
    labels = distinct(list(map(label_of_text, texts)), texts)
    shuffled = random.sample(texts, len(texts))
    again = distinct(list(map(label_of_text, shuffled)), shuffled)

    assert len({label.casefold() for label in labels}) == len(texts)
    assert dict(zip(texts, labels, strict=True)) == dict(zip(shuffled, again, strict=True))


def test_only_labels_that_are_alike_get_a_hash() -> None:
    """A value whose label is its own keeps it; the others are as long as a label may be."""
    labels = distinct(["x" * 60, "X" * 60, "y"], ["a", "b", "c"])

    assert labels == ["x" * 55 + "-ca97", "X" * 55 + "-3e23", "y"]


@pytest.mark.parametrize(
    "number", ["1e9999999", "-1e9999999", "1e-9999999", "1" * 241, "0." + "0" * 60 + "1"]
)
def test_a_number_without_end_is_refused_before_it_is_written_out(number: str) -> None:
    """A dozen characters of a spec can mean gigabytes of digits: none of them is made."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too long for a label; name the values"):
            plain_decimal(number)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 1_000_000


def test_lists_and_nothing() -> None:
    """Lists are joined by plus, nothing is called none."""
    assert label_of_list(["sub/a.safetensors@0.80", "b.safetensors"], is_file=True) == "a@0.8+b"
    assert label_of_list([]) == label_of_text(None) == label_of_text(" ") == "none"


@given(
    NAMES,
    NAMES,
    st.one_of(st.none(), NAMES),
    AXES,
    st.integers(0, 2**64 - 1),
    st.integers(0, 9),
    st.randoms(),
)
def test_a_key_forgets_the_order_of_its_axes(
    episode: str, scene: str, cut: str | None, axes: dict[str, str], number: int, alt: int, random: Any
) -> None:
    """Any order of axes gives one key, which splits into the same parts and matches itself."""
    shuffled = list(axes.items())
    random.shuffle(shuffled)
    path = cut_path(episode, scene, cut)
    key = job_key(path, axes.items(), ("seed", number), alt)
    parts = split_key(key)

    assert job_key(path, shuffled, ("seed", number), alt) == key
    assert (parts.path, dict(parts.axes), parts.take, parts.alt) == (path, axes, ("seed", number), alt)
    assert job_key(parts.point, (), parts.take, parts.alt) == key
    assert Pattern.parse(key).matches(key)
    assert all(Pattern.parse(segment).matches(key) for segment in key.split("/"))


@pytest.mark.parametrize(
    "key", ["", "ep01", "ep01/s01", "ep01/take=1", "a/b/c/d/take=1", "a/b/x=/take=1", "a/b/take=x"]
)
def test_what_is_no_key_is_refused(key: str) -> None:
    """Only whole keys of jobs are taken apart."""
    with pytest.raises(ValueError, match="no key"):
        split_key(key)


@given(st.text(max_size=20), st.integers(0, 40), st.integers(0, 40))
def test_derived_seeds_are_distinct_and_keep_their_beginning(path: str, few: int, more: int) -> None:
    """A larger count keeps the first seeds."""
    seeds = derived_seeds(path, few + more)

    assert seeds[:few] == derived_seeds(path, few)
    assert len(set(seeds)) == few + more
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_seed_that_was_had_is_followed_by_the_next_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colliding hashes go on with .1, .2 and so on."""
    hashes = {"p#1": 5, "p#2": 5, "p#2.1": 5, "p#2.2": 6, "p#3": 6, "p#3.1": 7}
    monkeypatch.setattr(naming, "_first_bytes", hashes.__getitem__)

    assert derived_seeds("p", 3) == (5, 6, 7)


def test_a_retake_has_a_seed_of_its_own() -> None:
    """Retakes differ from each other and from what is taken."""
    first = retake_seed("ep01/s01/take=1", 1)

    assert first != retake_seed("ep01/s01/take=1", 2)
    assert retake_seed("ep01/s01/take=1", 1, taken={first}) != first


KEY = "ep01/s01/c001/aki.weight=0.6/expression=smile/take=1"


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("s01", True), ("s02", False), ("s0", False), ("s01,s02", True), ("c00*/take=1", True),
        ("c00*/take=2", False),
        ("s01/expression=smile,crying", True), ("expression=crying,smile", True),
        ("expression=crying", False),
        ("smile", False), ("*smile", True), ("expression=*", True), ("expression=s?ile", True),
        ("c00[12]", True),
        ("c00[!1]", False), ("aki.*=0.[56]", True), ("take=1/s01", True), ("expression=Smile", False),
        ("ep01/s01/c001", True), ("take=2,expression=smile", True), ("camera=wide,expression=smile", True),
        ("expression=smile,take=9", True), ("take=10", False), ("[a,c]001", True), ("s01, s02", True),
        ("s.1", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, matches: bool) -> None:
    """Each part must be some whole segment; alternatives behind a word share it."""
    assert Pattern.parse(pattern).matches(KEY) is matches


@pytest.mark.parametrize(
    "text", ["", "  ", "/a", "a/", "a//b", "a,,b", "a,", "=x", "x=", "[a", "a]", "a b", "{{ x }}", "é!"]
)
def test_patterns_that_can_match_nothing_are_refused(text: str) -> None:
    """Empty parts, open brackets and characters that stand in no key are mistakes."""
    with pytest.raises(ValueError, match=r"the pattern|no key|without its"):
        Pattern.parse(text)


def test_a_pattern_names_its_words() -> None:
    """The words before a = and those a glob may reach are known without a key."""
    pattern = Pattern.parse("s01/expression=smile,crying/cam*=wide/aki.weight=1")

    assert pattern.words() == {"expression", "cam*", "aki.weight"}
    assert [word for word in ("expression", "camera", "place", "aki.weight") if pattern.may_touch(word)] == [
        "expression",
        "camera",
        "aki.weight",
    ]
    assert Pattern.parse("*").may_touch("place")
    assert not Pattern.parse("place").may_touch("place")


def test_a_pattern_names_the_takes_it_can_tell_from_others() -> None:
    """A glob may mean any of them; what is no number of a key means none."""
    assert Pattern.parse("s0*/take=1,7/c001").numbers("take") == {1, 7}
    assert Pattern.parse("take=1").numbers("seed") == frozenset()
    assert Pattern.parse("take=01,x").numbers("take") == frozenset()
    assert Pattern.parse("seed=0").numbers("seed") == {0}
    assert [Pattern.parse(text).numbers("take") for text in ("take=1*", "*", "t?ke=1", "[st]*")] == [None] * 4


PIECES = st.text(alphabet="ab=*?[].,", min_size=1, max_size=8)


@given(PIECES, st.sampled_from(["a", "b", "ab", "a.b"]), LABELS, LABELS)
def test_what_a_pattern_may_not_touch_changes_nothing(text: str, word: str, one: str, other: str) -> None:
    """Axes that `may_touch` rules out can be left out when counting."""
    try:
        pattern = Pattern.parse(text)
    except ValueError:
        return
    if not pattern.may_touch(word):
        keys = [job_key("a/b", [(word, label)], ("take", 1)) for label in (one, other)]

        assert pattern.matches(keys[0]) is pattern.matches(keys[1]) is pattern.matches("a/b/take=1")


@given(st.text(alphabet="*?a", min_size=1, max_size=40))
def test_stars_cost_no_time(stars: str) -> None:
    """Globs of many stars on a long label end at once."""
    key = f"ep/s/x={'a' * 60}/take=1"

    assert Pattern.parse(f"x={stars}b").matches(key) is False


def test_take_is_a_number_of_two_digits_or_the_seed() -> None:
    """Takes sort, seeds stay recognisable, retakes say so."""
    assert take_hole(("take", 3)) == "03"
    assert take_hole(("take", 123)) == "123"
    assert take_hole(("seed", 7)) == "7"
    assert take_hole(("take", 3), 1) == "03alt1"


@given(AXES, NAMES)
def test_file_names_are_legal_or_refused(axes: dict[str, str], cut: str) -> None:
    """Every default name is a path that any file system takes, or a sentence says why not."""
    holes = HOLES | {"cut": cut, "variant": variant(axes.items())}
    try:
        name = file_name(DEFAULT_NAME, holes)
    except ValueError as error:
        assert "deliver.name writes" in str(error)
    else:
        assert len(name) <= 200
        assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+@=-]{0,99}", part) for part in name.split("/"))
        assert "__" not in name


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ scnee }}", "did you mean `scene`"), ("{{ model }}/x", "is empty"), ("/x", "is empty"),
        ("x/", "is empty"),
        ("a b", "not used"), ("a\\b", "not used"), ("名 前", "not used"), ("a\u202e", "not used"),
        ("\u0301", "not used"), ("../x", "starts with"),
        ("-x", "starts with"),
        ("CON", "device"), ("com¹.x", "device"),
        ("傘" * 67, "201 bytes"), ("x/lpt1.old", "device"),
        ("x.", "ends in a point"), ("x" * 101, "101 characters"),
        ("abcde/" * 40 + "x", "241 characters"), ("{{ x", "unexpected"), ("{{ a() }}", "called"),
    ],
)  # fmt: skip
def test_names_that_some_file_system_refuses_are_refused(template: str, reason: str) -> None:
    """The sentence says what is wrong with the name."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        file_name(template, HOLES)


def test_a_name_template_knows_its_holes() -> None:
    """Axis words stand with underscores for dots."""
    template = NameTemplate.parse("{{ scene }}_{{ aki_weight }}")

    assert template.holes == {"scene", "aki_weight"}
    assert template.unknown_holes(["scene", "aki_weigth"]) == [("aki_weight", "aki_weigth")]
    assert template.render({"scene": "s01", "aki.weight": "0.6"}) == "s01_0.6"


@given(
    text=st.sampled_from(
        [
            DEFAULT_NAME,
            "{{ cut }}/{{ take }}",
            "{{ cut }}{{ take }}",
            "{{ take }}{{ seed }}",
            "a_{{ variant }}_{{ seed }}",
            "__{{ cut }}__/{{ take }}_{{ cut }}.x",
            " {{ scene }} {{ take }}",
            "{{ cut }}/{{ take if cut else seed }}",
            "{{ cut }}{{ take | replace('0', '') }}",
        ]
    ),
    cut=st.sampled_from(["", "c001", "com", "lpt", "x" * 97, "_", "a.b"]),
    word=st.sampled_from(["take", "seed"]),
    numbers=st.lists(st.integers(0, 120) | st.integers(0, 2**64), min_size=1, max_size=6, unique=True),
    seeds=st.lists(st.integers(0, 2**32), min_size=6, max_size=6),
)
@example(
    text="{{ cut }}{{ take }}/{{ seed }}", cut="x" * 98, word="take", numbers=[98, 99], seeds=[1234, 567] * 3
)
def test_names_at_a_point_are_the_names_of_its_jobs(
    text: str, cut: str, word: naming.TakeWord, numbers: list[int], seeds: list[int]
) -> None:
    """Written one by one or with what takes share worked out once: the same names, or a refusal of one."""
    template = NameTemplate.parse(text)
    known = {"episode": "ep", "scene": "s01", "cut": cut, "variant": "", "take": "", "seed": ""}
    write = template.at(known, word)
    takes = [(number, number) for number in numbers]
    if word == "take":
        takes = [(number + 1, seed) for number, seed in zip(sorted(numbers), seeds, strict=False)]

    try:
        expected = [
            template.render({**known, "take": take_hole((word, number)), "seed": str(seed)})
            for number, seed in takes
        ]
    except ValueError:
        with pytest.raises(ValueError, match=r"deliver\.name writes"):
            write(takes)
    else:
        assert write(takes) == expected
