"""Texts with holes that are filled without Jinja."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from runner.text.bounded import Compiled
from runner.text.jinja import Jinja

_BITS = (
    "{{ a }}", "{{b}}", "{{  html }}", "{{ _ }}", "{{ e1 }}", "{{ missing }}", "{{ not }}", "{{ self }}",
    "{{ loop }}", "{{ super }}", "{{ block }}", "{{ None }}", "{{ true }}", "{{ if }}", "{{\na }}",
    "{{- a }}", "{{ a.b }}", "{{ é }}", "{{ a", "{{", "}}", "{", "}", "{#", "#}", "{%", "%}", "{% raw %}",
    "%", "#", "\n", "\r", "\r\n", "\u2028", "\x85", "\u3000", " ", "x", "é",
)  # fmt: skip
_VALUES = {
    "a": "A\n",
    "b": "",
    "html": "<{{ a }}>",
    "e1": "1",
    "_": "u",
    "self": "s",
    "loop": "l",
    "block": "k",
}


def _outcome(text: Jinja | Compiled) -> object:
    try:
        return text.holes, [chunk for chunk in text.chunks(_VALUES) if chunk[0]]
    except ValueError as error:
        return str(error)


def _parsed(kind: type[Jinja | Compiled], source: str) -> object:
    try:
        return _outcome(kind.parse(source) if issubclass(kind, Jinja) else kind.of(source))
    except ValueError as error:
        return str(error)


@given(st.lists(st.sampled_from(_BITS), max_size=7).map("".join))
def test_a_text_filled_without_jinja_reads_as_jinja_writes_it(source: str) -> None:
    """Holes, pieces and mistakes of every text are those that Jinja itself finds."""
    assert _parsed(Jinja, source) == _parsed(Compiled, source)


def test_a_hole_that_is_no_text_is_judged_by_jinja() -> None:
    """A number is written and a list is refused, in a text that needs no Jinja otherwise."""
    plain = Jinja.parse("{{ a }}-{{ b }}")
    assert plain.plain
    assert plain.text({"a": "x", "b": 3}) == "x-3"
    try:
        plain.text({"a": "x", "b": [1]})
    except ValueError as error:
        assert "list" in str(error)
    else:
        raise AssertionError("a list was written")


def test_plain_texts_import_no_jinja() -> None:
    """The names and wordings of a simple spec cost no import of Jinja, which takes longer than they do."""
    script = (
        "import sys; from runner.naming import NameTemplate; from runner.wording import Wording\n"
        "holes = dict.fromkeys(['scene', 'episode', 'cut', 'take', 'variant'], 'x')\n"
        "assert NameTemplate.parse().render(holes)\n"
        "assert Wording.parse('masterpiece, {{ cast }}, 夜　{{ place }}\\n').holes == {'cast', 'place'}\n"
        "sys.exit('jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
