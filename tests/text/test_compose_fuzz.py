"""Whatever the bytes: a tree or a SpecError, and the same from both parsers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import SpecError
from runner.text.compose import Composed, Parser, compose_with_warnings
from runner.text.tree import Mapping, Node, Scalar, Sequence

QUICK = settings(max_examples=80)
PIECES = [
    *(
        "a",
        "b",
        "scenes",
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "'",
        '"',
        "\\",
    ),
    *(
        "#",
        " #x",
        " # c",
        "&a ",
        "*a",
        "!t ",
        " |\n",
        " >-\n",
        "<<: ",
        "~",
        "null",
        "%",
        "@",
        "{{ x }}",
        "\n...\n",
    ),
    *(
        "\n---\n",
        "\r\n",
        "\u2028",
        "é",
        "夕",
        "\U0001f600",
        "1..4",
        "vary: ",
        "animerun: 1\n",
        "=",
        "\x85",
        "\\x4",
    ),
]
yamlish = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def read(data: bytes, parser: Parser) -> Composed | None:
    """Return what *data* is composed to; None when it is refused."""
    try:
        return compose_with_warnings(data, path="s", parser=parser)
    except SpecError as error:
        assert error.problems
        assert all(str(found) for found in error.problems)
        return None


@given(data=st.binary(max_size=300))
@QUICK
def test_any_bytes(data: bytes) -> None:
    """Bytes are composed or refused, never anything else."""
    for parser in ("c", "python"):
        read(data, parser)


@given(text=st.text(max_size=300))
@QUICK
def test_any_text(text: str) -> None:
    """Text of any script is composed or refused, never anything else."""
    for parser in ("c", "python"):
        read(text.encode("utf-8", "surrogatepass"), parser)


@given(text=yamlish)
@QUICK
def test_parsers_agree(text: str) -> None:
    """What both parsers admit is the same tree with the same places and warnings."""
    fast, pure = read(text.encode(), "c"), read(text.encode(), "python")

    assert fast is None or pure is None or fast == pure


plain = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cc", "Cs"]), max_size=20
)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain, inner, max_size=4),
    max_leaves=20,
)


@given(value=st.dictionaries(plain, values, max_size=5))
@QUICK
def test_what_was_written_is_read(value: dict[str, object]) -> None:
    """Maps, lists and quoted texts come back as they were written, in their order."""
    data = _written(value).encode()

    for parser in ("c", "python"):
        composed = read(data, parser)
        assert composed is not None
        assert _unwritten(composed.root) == value


def _written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"? {_written(key)} : {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    return "'" + str(value).replace("'", "''") + "'"


def _unwritten(node: Node) -> object:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [_unwritten(item) for item in node]
    assert isinstance(node, Mapping)
    return {entry.key.text: _unwritten(entry.value) for entry in node}
