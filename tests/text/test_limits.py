"""What a hostile or broken file may cost: it is refused before anything is built."""

from __future__ import annotations

import pytest

from runner.errors import SpecError
from runner.text.bounded import MAX_COMPARISONS
from runner.text.compose import Limits, Parser, compose_with_warnings
from runner.text.jinja import Jinja

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


def loops(body: str) -> str:
    """Return *body* in two loops of a hundred rounds."""
    items = "[" + ",".join(["''"] * 100) + "]"
    return f"{{% for a in {items} %}}{{% for b in {items} %}}{body}{{% endfor %}}{{% endfor %}}"


LONG = {"p": "x" * 200_000, "q": "aé" * 100_000, "r": "aé" * 99_999 + "ae", "t": "a" * 2_400}


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(loops("{{ a }}" * 2_000), id="empty holes"),
        pytest.param(loops("{% if a or b %}{% endif %}" * 500), id="nothing written"),
        pytest.param(loops("{{ (p" + "|upper|lower" * 20 + ")|first }}"), id="filters"),
        pytest.param("{{ (p" + "|title" * 90 + ")|first }}", id="filters without a loop"),
        pytest.param(loops("{% if q == r %}{% endif %}" * 100), id="comparisons"),
        pytest.param(loops("{{ t|replace('" + "a" * 1_200 + "ba', '')|first }}"), id="replacing"),
        pytest.param(loops("{% if '" + "a" * 1_200 + "ba' in t %}{% endif %}"), id="searching"),
        pytest.param(loops("{{ p|trim(q)|first }}"), id="trimming"),
        pytest.param(loops("{% if p|select('eq', q)|first %}{% endif %}"), id="each letter"),
        pytest.param("{{ [" + "q|upper," * 1_500 + "q]|first }}", id="texts held at once"),
    ],
)
def test_what_a_wording_does_is_bounded(source: str) -> None:
    """Minutes of loops, filters and comparisons are refused with a sentence, whatever little they write."""
    with pytest.raises(ValueError, match="it does too much: write fewer or shorter loops and texts"):
        Jinja.parse(source).text(LONG)


def test_a_wording_may_loop_over_many_members() -> None:
    """A cast of fifty, asked about each other, is far from too much."""
    members = [{"name": f"m{number}", "prompt": "short silver hair"} for number in range(50)]
    source = (
        "{% for m in members %}{% for n in members %}"
        "{% if m.name == n.name %}{{ m.prompt | upper | replace(' ', '_') }};{% endif %}"
        "{% endfor %}{% endfor %}"
    )

    assert Jinja.parse(source).text({"members": members}) == "SHORT_SILVER_HAIR;" * 50


def test_empty_pieces_are_not_kept() -> None:
    """A hole that writes nothing gives no piece."""
    pieces = Jinja.parse("{% if a == '' %}{{ a }}{{ b }}{{ a }}{% endif %}").chunks({"a": "", "b": "x"})

    assert list(pieces) == [("x", True)]


def test_comparisons_of_a_wording_are_counted() -> None:
    """Thousands of comparisons take long to compile, and are refused before."""
    source = "{{ a" + " < a" * (MAX_COMPARISONS + 1) + " }}"

    with pytest.raises(ValueError, match="at most 500 comparisons in one text"):
        Jinja.parse(source)
    assert Jinja.parse("{{ 'b' if a" + " <= a" * 40 + " }}").text({"a": "1"}) == "b"


def test_memory_that_runs_out_is_a_mistake_of_the_wording(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine cannot hold is told as any other mistake."""

    def exhausted(_: object) -> str:
        raise MemoryError

    monkeypatch.setattr("runner.text.bounded._steps", exhausted)

    with pytest.raises(ValueError, match="it needs too much memory: write fewer or shorter loops and texts"):
        Jinja.parse("{{ a | upper }}").text({"a": "x"})
