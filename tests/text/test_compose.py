"""What a text is composed to, and the mistakes that are found on the way."""

from __future__ import annotations

import pytest

from runner.errors import SpecError
from runner.text.compose import Parser, compose, compose_with_warnings
from runner.text.slips import unset_problem
from runner.text.tree import Mapping, Node, Scalar, Sequence

PARSERS: tuple[Parser, ...] = ("c", "python")


@pytest.fixture(params=PARSERS)
def parser(request: pytest.FixtureRequest) -> Parser:
    """Each of PyYAML's two parsers."""
    chosen: Parser = request.param
    return chosen


def read(text: str, parser: Parser = "c") -> Node:
    """Return the tree of *text*."""
    return compose_with_warnings(text.encode(), path="s.yaml", parser=parser).root


def mistakes(text: str | bytes, parser: Parser = "c") -> list[str]:
    """Return every mistake in *text* as `line:column: message`."""
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(SpecError) as caught:
        compose_with_warnings(data, path="s.yaml", parser=parser)
    return [f"{found.line}:{found.column}: {found.message}" for found in caught.value.problems]


def flat(node: Node) -> object:
    """Return *node* as dicts, lists and source texts."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [flat(item) for item in node]
    return {entry.key.text: flat(entry.value) for entry in node}


@pytest.mark.parametrize(
    "text", ["no", "0010", "16:9", "007", "1_000", "1e3", "2001-01-01", "0x1F", "true", ".inf", "=", "1:30"]
)
def test_scalar_keeps_its_source_text(text: str, parser: Parser) -> None:
    """No scalar is given a type: what YAML 1.1 would turn into a number, date or bool stays text."""
    root = read(f"a: {text}\n{text}: b", parser)

    assert flat(root) == {"a": text, text: "b"}


def test_places_are_those_in_the_file(parser: Parser) -> None:
    """Every node knows line, column and width, counted in characters from 1."""
    root = read('夕: x\nlist: [a, "b c", {k: v}]\nlong: >-\n  text\n', parser)
    assert isinstance(root, Mapping)
    block = root.entries[2].value
    listed = root.get("list")
    assert isinstance(listed, Sequence)

    key = root.entries[0].key
    quoted = listed.items[1]
    assert (key.mark.line, key.mark.column, key.mark.width) == (1, 1, 1)
    assert (listed.mark.line, listed.mark.column) == (2, 7)
    assert (quoted.mark.line, quoted.mark.column, quoted.mark.width) == (2, 11, 5)
    assert block.mark.width == 2
    assert quoted.mark.problem("x").source == 'list: [a, "b c", {k: v}]'


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_every_line_end_of_yaml_is_counted(line_end: str, parser: Parser) -> None:
    """The caret stands under the right line, whatever ends the lines."""
    problems = mistakes(f"a: 1{line_end}b: 2{line_end}a: 3", parser)

    assert problems == ["3:1: `a` is set twice in one map; the first is in line 1, column 1"]


def test_plain_is_told_from_quoted_and_block(parser: Parser) -> None:
    """Only unquoted scalars outside blocks are plain: `null` unsets, `"null"` is a text."""
    root = read("a: null\nb: \"null\"\nc: |-\n  null\nd: ~\ne: '~'", parser)
    assert isinstance(root, Mapping)

    values = [entry.value for entry in root]
    assert [isinstance(value, Scalar) and value.is_null for value in values] == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_bom_is_skipped(parser: Parser) -> None:
    """A BOM in front is no part of the first key, nor of its column."""
    root = compose_with_warnings(b"\xef\xbb\xbfa: 1", path="s", parser=parser).root
    assert isinstance(root, Mapping)

    assert root.entries[0].key.text == "a"
    assert root.entries[0].key.mark.column == 1


def test_aliases_are_followed(parser: Parser) -> None:
    """An alias is the node it names; as a key it stands where it is used."""
    root = read("a: &x {k: v}\nb: *x\nc: &n name\n*n : d", parser)
    assert isinstance(root, Mapping)

    assert flat(root) == {"a": {"k": "v"}, "b": {"k": "v"}, "c": "name", "name": "d"}
    assert root.entries[-1].key.mark.line == 4


def test_later_anchor_of_the_same_name_wins(parser: Parser) -> None:
    """As in YAML, an alias means the nearest anchor above it."""
    assert flat(read("a: &x 1\nb: &x 2\nc: *x", parser)) == {"a": "1", "b": "2", "c": "2"}


def test_all_mistakes_are_told_at_once_in_file_order(parser: Parser) -> None:
    """Duplicates, merge keys, tags, odd keys and unknown aliases do not hide one another."""
    text = "a: !str x\n<<: {b: 1}\na: 2\n? [k]\n: v\nc: *who\n"

    assert mistakes(text, parser) == [
        "1:4: tags (`!str`) are not used; text that begins with ! needs quotes",
        "2:1: merge keys (<<) are not used: put shared words on the scene, or use `extends`",
        "3:1: `a` is set twice in one map; the first is in line 1, column 1",
        "4:3: a key must be a text, not a list or map",
        "6:4: no anchor `&who` stands above; text that begins with * needs quotes",
    ]


def test_mistakes_before_a_syntax_error_are_kept(parser: Parser) -> None:
    """What was found before the parser gave up is told too."""
    found = mistakes("a: 1\na: 2\nb: [\n", parser)

    assert found == [
        "2:1: `a` is set twice in one map; the first is in line 1, column 1",
        "3:4: this `[` is never closed",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": nothing is written here"),
        ("# only a comment\n", ": nothing is written here"),
        ("---\n", ": nothing is written here"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document starts here; one file holds one"),
        ("{[a]: b}", "1:2: a key must be a text, not a list or map"),
        ("a: &x [1]\n*x : 2", "2:1: a key must be a text, not a list or map"),
        ("? \n: x", "the name before the colon is missing"),
        ('a: "\\0"', "1:4: an escape in it writes U+0000, which no text may hold"),
        ("a: &x {b: *x}", "1:11: `*x` stands inside what it refers to: that has no end"),
        ("wording: {{ count }}", "1:10: a value that begins with {{ needs quotes, or `>-` and a new line"),
    ],
)
def test_refused(text: str, message: str, parser: Parser) -> None:
    """One mistake, one message, whichever parser reads."""
    (found,) = mistakes(text, parser)

    assert found.endswith(message)


def test_a_quoted_merge_sign_is_a_key() -> None:
    """Only the plain `<<` merges; in quotes it is a name like any other."""
    assert flat(read('"<<": a')) == {"<<": "a"}


def test_mistakes_end_at_their_limit() -> None:
    """A file that is wrong throughout is not answered with a message per line."""
    assert len(mistakes("a: 1\n" * 5000)) == 100


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("{prompt: lighthouse, dusk}", "dusk", "inside { } text with commas needs quotes"),
        ("{prompt: lighthouse, dusk ,\n light: noon}", "dusk", "inside { } text with commas needs quotes"),
        ("{prompt: lighthouse, dusk\n}", "dusk", "inside { } text with commas needs quotes"),
        ("dusk:\nx: 1", "dusk", 'write a value, `""` for an empty text, or `null` to unset it'),
        ("{dusk: , x: 1}", "dusk", 'write a value, `""` for an empty text, or `null` to unset it'),
        ("x: 1\n? dusk", "dusk", 'write a value, `""` for an empty text, or `null` to unset it'),
    ],
)
def test_key_with_nothing_behind_it(text: str, key: str, message: str, parser: Parser) -> None:
    """It is an empty plain scalar at the key; the advice depends on whether commas did it."""
    root = read(text, parser)
    assert isinstance(root, Mapping)
    entry = root.entry(key)
    assert entry is not None and isinstance(entry.value, Scalar)

    assert entry.value.is_empty
    assert entry.value.mark == entry.key.mark
    assert unset_problem(entry).message == f"`dusk` has no value: {message}"


@pytest.mark.parametrize(
    ("text", "column"),
    [("a: b #1 fan", 6), ("a: [b #x\n ]", 7), ("a #b: c", 3), ("a: b # c", 0), ("a: b #", 0), ("a: #x", 0)],
)
def test_hash_without_a_blank_is_warned_of(text: str, column: int, parser: Parser) -> None:
    """`#1` behind a blank cuts a text short; a proper comment is no reason to warn."""
    warnings = compose_with_warnings(text.encode(), path="s", parser=parser).warnings

    assert [found.column for found in warnings] == ([column] if column else [])


def test_hash_behind_a_quoted_text_is_a_comment() -> None:
    """Quotes say where a text ends, so nothing can be cut short."""
    assert compose_with_warnings(b'a: "b" #c', path="s").warnings == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a: 夕".encode("utf-16"), "this file is UTF-16"),
        ("a: bcd".encode("utf-16-le"), "this file is UTF-16"),
        ("a: 1".encode("utf-32"), "this file is UTF-32"),
        ("a: é".encode("latin-1"), "byte 3 (0xe9) is not UTF-8; the file looks like Windows-1252 or Latin-1"),
        (
            "place: おくじょう".encode("shift_jis"),
            "byte 7 (0x82) is not UTF-8; the file looks like Shift_JIS",
        ),
        ("place: おくじょう".encode("euc_jp"), "is not UTF-8; the file looks like EUC-JP"),
        (b"a: b\x00c", "the invisible character U+0000 is not allowed here"),
        ("a: b\ufeffc".encode(), "the invisible character U+FEFF is not allowed here"),
        (b"a: \x1b[31m", "the invisible character U+001B is not allowed here"),
    ],
)
def test_only_utf8_is_read(data: bytes, words: str) -> None:
    """Another encoding is refused with the offset of the first odd byte and a guess at what it is."""
    (found,) = mistakes(data)

    assert words in found


def test_place_of_an_odd_byte() -> None:
    """The line and column of a byte that is not UTF-8 are those an editor shows."""
    (found,) = mistakes("\ufeffx: 1\n夕: ".encode() + b"\xff")

    assert found.startswith("2:4: byte 13 (0xff)")


def test_compose_returns_the_root() -> None:
    """The short form gives the tree alone."""
    assert flat(compose(b"a: [1, 2]", path="s")) == {"a": ["1", "2"]}
