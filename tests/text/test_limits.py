"""What a hostile or broken file may cost: it is refused before anything is built."""

from __future__ import annotations

import pytest

from runner.errors import SpecError
from runner.text.compose import Limits, Parser, compose_with_warnings

NORMAL = Limits()
PARSERS: tuple[Parser, ...] = ("c", "python")


def refusal(data: bytes, parser: Parser = "c", limits: Limits = NORMAL) -> str:
    """Return the last of the mistakes in *data*."""
    with pytest.raises(SpecError) as caught:
        compose_with_warnings(data, path="s", limits=limits, parser=parser)
    return str(caught.value.problems[-1]).splitlines()[0]


def bomb(levels: int) -> bytes:
    """Return a text in which each line holds the one above nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("parser", PARSERS)
def test_alias_bomb(parser: Parser) -> None:
    """The size with all aliases followed is computed, never built: 9 levels would be 387 million texts."""
    assert refusal(bomb(9), parser) == (
        "s:7:10: with `*a5` the file would hold 1,270,481 values; at most 1,000,000"
    )


def test_small_expansion_is_legal() -> None:
    """Aliases that stay below the limit are fine."""
    assert compose_with_warnings(bomb(4), path="s").root is not None


@pytest.mark.parametrize("parser", PARSERS)
def test_too_many_aliases(parser: Parser) -> None:
    """Aliases are counted even when what they name is small."""
    data = b"a: &x 1\nb: [" + b"*x, " * 1001 + b"]"

    assert refusal(data, parser) == "s:2:4005: more than 1,000 aliases"


@pytest.mark.parametrize("parser", PARSERS)
def test_cyclic_alias(parser: Parser) -> None:
    """A node inside itself has no end, so it is refused."""
    assert "stands inside what it refers to" in refusal(b"a: &x [b, [*x]]", parser)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("text", [b"[", b"{a: ", b"- "])
def test_deep_nesting(parser: Parser, text: bytes) -> None:
    """A hundred thousand levels end neither in a crash nor in a recursion error."""
    assert "more than 64 lists and maps inside one another" in refusal(text * 100_000, parser)


@pytest.mark.parametrize("parser", PARSERS)
def test_sixty_four_levels_are_legal(parser: Parser) -> None:
    """The limit itself may be reached, and not be passed."""
    assert compose_with_warnings(b"[" * 64 + b"]" * 64, path="s", parser=parser)
    assert "s:1:65:" in refusal(b"[" * 65 + b"]" * 65, parser)


@pytest.mark.parametrize("parser", PARSERS)
def test_depth_is_counted_through_aliases(parser: Parser) -> None:
    """Two halves of the allowed depth do not add up to more than the whole."""
    half = b"[" * 40 + b"]" * 40
    data = b"a: &x " + half + b"\nb: " + b"[" * 30 + b"*x" + b"]" * 30

    assert "more than 64 lists and maps inside one another" in refusal(data, parser)


def test_huge_file_is_refused_before_parsing() -> None:
    """Fifty megabytes are counted, not read."""
    assert refusal(b"a: " + b"x" * 50_000_000) == (
        "s: the file has 50,000,003 bytes; at most 16,777,216 are read"
    )


@pytest.mark.parametrize("parser", PARSERS)
def test_huge_scalar(parser: Parser) -> None:
    """A text has its own limit, in bytes, not characters."""
    limits = Limits(scalar_bytes=300)

    assert compose_with_warnings("夕".encode() * 100, path="s", limits=limits, parser=parser)
    assert (
        refusal("夕".encode() * 101, parser, limits) == "s:1:1: this text has 303 bytes; at most 300 are read"
    )


def test_too_many_values() -> None:
    """A long list counts without any alias."""
    limits = Limits(nodes=100)

    assert refusal(b"[" + b"a, " * 101 + b"]", limits=limits) == "s:1:302: more than 100 values"


def test_values_are_counted_once() -> None:
    """Lists and maps do not count what they hold a second time: 1 + 2 + 1 + 3 nodes here."""
    text = b"k: [a, b, c]\nl: d"

    assert compose_with_warnings(text, path="s", limits=Limits(nodes=8))
    assert "more than 7 values" in refusal(text, limits=Limits(nodes=7))
