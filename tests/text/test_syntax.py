"""What YAML's parser trips over is said in one sentence with a remedy, whichever parser tripped."""

from __future__ import annotations

import pytest
import yaml

from runner.errors import SpecError
from runner.text.compose import Parser, compose_with_warnings
from runner.text.syntax import syntax_problem
from runner.text.tree import Mark, Source

HOLE = "a value that begins with {{ needs quotes, or `>-` and a new line"
LINE_UP = "this does not line up with what stands above; give it the column of its neighbours"

CASES = {
    "a:\n\tb: 1": "2:1: YAML forbids tabs at the start of a line; use spaces",
    "a: b\n\tc: d": "2:1: YAML forbids tabs at the start of a line; use spaces",
    "a:\n  b: 1\n \tc: 2": "3:2: YAML forbids tabs at the start of a line; use spaces",
    "- 1\n-\t@": None,
    'a: "never\nb: 2': "1:4: this quote is never closed",
    "a: 'never": "1:4: this quote is never closed",
    'a: "b\n\tc': "1:4: this quote is never closed",
    'a: "x\n---\nb"': "1:4: this quote is never closed",
    "wording: {{ count }}, {{ cast }}": f"1:10: {HOLE}",
    "deliver: {name: {{ scene }}_x}": f"1:17: {HOLE}",
    "wording: {% if x %}a{% endif %}": f"1:10: {HOLE}".replace("{{", "{%"),
    r'p: "\(re:zero\)"': r"1:5: inside double quotes \ is special: use no quotes, or single ones",
    r'p: "ok \\ \n \(re\)"': r"1:14: inside double quotes \ is special: use no quotes, or single ones",
    r"""'\q': "\z" """: r"1:8: inside double quotes \ is special: use no quotes, or single ones",
    r'p: "\xZZ"': r"1:5: inside double quotes \ is special: use no quotes, or single ones",
    'p: "a\n  \\q"': r"2:3: inside double quotes \ is special: use no quotes, or single ones",
    "a: [": "1:4: this `[` is never closed",
    "a: {\n  b: 1,\n": "1:4: this `{` is never closed",
    "a: }": "1:4: a value is missing before `}`; text that begins so needs quotes",
    "a: [1,,2]": "1:7: a value is missing before `,`; text that begins so needs quotes",
    "a: {b: 1}}": "1:10: this `}` closes nothing",
    ": x: y": "1:1: the name before the colon is missing",
    "a: {p: x, b: 1\nc: 2": (
        "2:2: a `,` or `}` is missing before this: the `{` of line 1, column 4 is still open"
    ),
    "a: [1, 2\nb: 3\nc: 4": None,
    'a: {b: "c" d}': "1:12: a `,` or `}` is missing before this: the `{` of line 1, column 4 is still open",
    "a: {b: c: d}": "1:9: a second colon: text that holds `: ` needs quotes",
    'a: "x" y\nb: 1': "1:8: text goes on behind the closing quote; put all of it inside the quotes",
    "a: 'it's'": "1:8: text goes on behind the closing quote; put all of it inside the quotes",
    'a: "x {{ y" z': "1:13: text goes on behind the closing quote; put all of it inside the quotes",
    "a: b: {{ x }}": "1:5: a second colon in one line: text that holds `: ` needs quotes",
    "a: b: c": "1:5: a second colon in one line: text that holds `: ` needs quotes",
    "a: b\n  c: d": "2:3: the line above has its value already; put this one in the same column",
    "a: 1\nscenes\nb: 2": "2:1: a colon and a blank are missing behind the name",
    "a: @x": "1:4: text that begins with @ needs quotes",
    "a: `x`": "1:4: text that begins with ` needs quotes",
    "a: %x": "1:4: text that begins with % needs quotes",
    "a: |text": "1:4: text that begins with | needs quotes",
    "a: *smile* x": "1:4: text that begins with * needs quotes",
    "a: & b": "1:4: text that begins with & needs quotes",
    "a: ?": "1:4: text that begins with ? needs quotes",
    "a: - b": "1:4: a list begins on a line of its own; text that begins with `- ` needs quotes",
    "a:\n  b: 1\n c: 2": f"3:2: {LINE_UP}",
    "- a\nb: c": f"2:1: {LINE_UP}",
    "a: [cat|dog], sitting": "1:4: text that begins with [ needs quotes",
    "a: {red|blue} hair\nb: 1": "1:4: text that begins with { needs quotes",
    "a: {b: {red|blue} hair}": "1:8: text that begins with { needs quotes",
    "a: {b: [x, [y:z:0.5]], c}, d": "1:4: text that begins with { needs quotes",
    "a: {b: [1] c: 3}": (
        "1:12: a `,` or `}` is missing before this: the `{` of line 1, column 4 is still open"
    ),
    "s:\n  cast:aki\n  light: noon": "2:3: a blank is missing behind the colon: write `cast: aki`",
    "s:\n  light: noon\n  cast:aki\n  b: 1": "3:3: a blank is missing behind the colon: write `cast: aki`",
    "a: {light: #7}": "1:4: this `{` is never closed; `#7}` is read as a comment: put it into quotes",
}


@pytest.mark.parametrize("parser", ["c", "python"])
@pytest.mark.parametrize("text", [text for text, message in CASES.items() if message])
def test_message(text: str, parser: Parser) -> None:
    """Each slip has its own sentence, at the character where it was made."""
    with pytest.raises(SpecError) as caught:
        compose_with_warnings(text.encode(), path="s", parser=parser)
    (found,) = caught.value.problems

    assert f"{found.line}:{found.column}: {found.message}" == CASES[text]
    assert found.source == text.splitlines()[found.line - 1]


@pytest.mark.parametrize("parser", ["c", "python"])
@pytest.mark.parametrize("text", CASES)
def test_nothing_is_left_to_the_parsers_words(text: str, parser: Parser) -> None:
    """No common slip is answered in the parser's own language."""
    with pytest.raises(SpecError) as caught:
        compose_with_warnings(text.encode(), path="s", parser=parser)

    assert "not YAML" not in str(caught.value)


def test_colon_without_a_blank_inside_braces() -> None:
    """The C parser refuses what the other reads as a key; the remedy helps with both."""
    with pytest.raises(SpecError) as caught:
        compose_with_warnings(b"a: {b:[1]}", path="s", parser="c")

    assert caught.value.problems[0].message == "put a blank behind this colon, or quotes around the text"


def test_caret_stands_under_the_place() -> None:
    """What is printed: place and sentence, the line, the caret."""
    with pytest.raises(SpecError) as caught:
        compose_with_warnings(b"x: 1\na: b: c", path="specs/a.yaml")

    assert str(caught.value).splitlines() == [
        "specs/a.yaml:2:5: a second colon in one line: text that holds `: ` needs quotes",
        "    a: b: c",
        "        ^",
    ]


def test_place_behind_the_end_moves_to_the_last_text() -> None:
    """A mistake that shows only at the end of the file is shown where the text ends."""
    source = Source("s", ("a: x", "", ""))
    fault = yaml.parser.ParserError("while parsing", None, "something new", _mark(2, 0))

    found = syntax_problem(fault, source, inside=Mark(source, 1, 1))
    assert (found.line, found.column, found.message) == (1, 5, "this is not YAML: something new")


def test_fault_without_a_place_keeps_its_words() -> None:
    """An error of the parser that has no mark still becomes a problem of the file."""
    found = syntax_problem(yaml.YAMLError("odd"), Source("s"))

    assert (found.place, found.message) == ("s", "this is not YAML: odd")


def _mark(line: int, column: int) -> yaml.Mark:
    return yaml.Mark("s", 0, line, column, None, None)
