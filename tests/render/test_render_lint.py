"""What a template may not contain is told when it is loaded, with its line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runner.domain import Template
from runner.errors import TemplateError

from .samples import HEAD, USES, problems

OUT = '"out": {"class_type": "SaveImage", "inputs": {}}'

CORPUS = [
    # inside quotes
    ('{"a": "{{ prompt }}"}', "a hole stands without quotes: it writes its own"),
    ('{"lora{{ 1 }}": {}}', "a hole stands without quotes: it writes its own"),
    ('{"a": "x {% if steps %}y{% endif %}"}', "a tag stands inside quotes"),
    ('{"a\\"{{ steps }}": 1}', "a hole stands without quotes"),
    ('{"a": "{% raw %}x{% endraw %}"}', "a tag stands inside quotes"),
    # other ways to make text that is no JSON value
    ("{{ prompt | safe }}", "`safe` is absent: a hole writes JSON by itself"),
    ("{{ prompt | tojson }}", "`tojson` is absent"),
    ("{{ prompt | escape }}", "`escape` is absent"),
    ("{{ prompt | e }}", "`e` is absent"),
    ("{{ prompt | uper }}", "there is no filter `uper`; did you mean `upper`?"),
    ("{{ prompt | format(1) }}", "there is no filter `format`"),
    ("{{ prompt is filter }}", "there is no test `filter`"),
    ("{{ prompt is defind }}", "there is no test `defind`; did you mean `defined`?"),
    ("{% set x %}{{ prompt }}{% endset %}{{ x }}", "block `set` makes text"),
    ("{% filter upper %}x{% endfilter %}", "{% filter %} makes text"),
    ("{% autoescape false %}{{ prompt }}{% endautoescape %}", "{% autoescape %} is not used"),
    # macros
    (
        '{% set at = namespace() %}{{ lora_chain(loras, at) ~ "x" }}',
        "a macro call stands alone in its hole: {{ lora_",
    ),
    (
        "{% set at = namespace() %}{% set x = lora_chain(loras, at) %}{{ x }}",
        "a macro call stands alone in its hole",
    ),
    ("{{ [save_image(prompt, 1)] }}", "a macro call stands alone in its hole"),
    ("{{ save_image(prompt, 1) | trim }}", "a macro call stands alone in its hole"),
    ("{{ lora_chian(loras) }}", "there is no macro `lora_chian`; did you mean `lora_chain`?"),
    ("{{ save_image(*loras) }}", "`*` and `**` arguments are not used"),
    ("{% call save_image(1, 2) %}{% endcall %}", "{% call %} is not used"),
    ("{% set lora_chain = 1 %}", "`lora_chain` is a macro; give the variable another name"),
    ("{% set range = 1 %}", "`range` is a macro; give the variable another name"),
    ("{% macro own(x) %}{{ varargs }}{% endmacro %}", "`varargs` is not used in templates"),
    ("{% macro own(x) %}{{ caller() }}{% endmacro %}", "there is no macro `caller`"),
    # other files
    ('{% include "x.j2" %}', "{% include %} is not used"),
    ('{% include "/etc/passwd" %}', "{% include %} is not used"),
    ('{% import "nodes.j2" as n %}', "{% import %} is not used"),
    ('{% from "nodes.j2" import lora_chain %}', "{% from %} is not used"),
    ('{% extends "x.j2" %}', "{% extends %} is not used"),
    ("{% block x %}{% endblock %}", "{% block %} is not used"),
    # names
    ("{{ promt }}", "`promt` is no parameter and set nowhere; did you mean `prompt`?"),
    ("{% if steps %}{% set x = 1 %}{% endif %}{{ x }}", "`x` is no parameter and not set on every way"),
    ("{{ lipsum }}", "`lipsum` is no parameter and set nowhere"),
    ("{{ dict }}", "`dict` is no parameter"),
    ("{{ loop.index }}", "`loop` is no parameter"),
    ("{{ self }}", "`self` is not used in templates"),
    ("{{ __loop }}", "no name begins with two underscores: `__loop`"),
    ("{% set __join = 1 %}", "no name begins with two underscores: `__join`"),
    # expressions
    ("{{ prompt.upper() }}", "methods are not called in templates; there are filters"),
    ("{{ prompt.__class__ }}", "`.__class__` cannot be reached"),
    ("{{ prompt[1:] }}", "slices are not used in templates; take single items"),
    ("{% for x in loras recursive %}{% endfor %}", "a recursive loop is not used"),
    # people's text as structure
    ('{"a": {"class_type": {{ prompt }}, "inputs": {}}}', "a text parameter cannot name a node class"),
    ("{ {{ prompt }}: {}}", "a text parameter cannot name a node or an input"),
    ('{ {{ "x" ~ prompt }} : {}}', "a text parameter cannot name a node or an input"),
    # Jinja itself
    ("{{ prompt", "unexpected end of template"),
    ("{% if steps %}", "Unexpected end of template"),
    ("{% do x %}", "unknown tag 'do'"),
    ("{% break %}", "unknown tag 'break'"),
]


@pytest.mark.parametrize(("body", "message"), CORPUS)
def test_lint_tells_the_mistake_and_its_line(body: str, message: str, load: Callable[..., Template]) -> None:
    """Each mistake is refused at load, on the line of the file it stands on."""
    with pytest.raises(TemplateError) as fault:
        load(f"{HEAD}{USES}\n\n{body}\n")
    found = problems(fault)

    assert [line for line, told in found if message in told] == [11], found


def test_all_mistakes_are_told_at_once_in_file_order(load: Callable[..., Template]) -> None:
    """One load shows everything there is to mend."""
    with pytest.raises(TemplateError) as fault:
        load(HEAD + USES + '\n{"a": {{ promt }},\n"b": "{{ steps }}",\n"c": {{ prompt | safe }}}')

    assert [line for line, _ in problems(fault)] == [10, 11, 12]


def test_a_parameter_that_nothing_uses_is_refused(load: Callable[..., Template]) -> None:
    """A word without effect would be promised to every spec."""
    with pytest.raises(TemplateError, match="parameter `steps` is declared but never used"):
        load(HEAD + "{%- set used = [prompt, size, loras] %}{" + OUT + "}")


def test_a_problem_shows_its_line(load: Callable[..., Template]) -> None:
    """The message carries file, line, source line and caret."""
    with pytest.raises(TemplateError) as fault:
        load(HEAD + USES + '\n  {"a": {{ promt }}}')

    assert str(fault.value.problems[0]).splitlines()[1:] == [
        '      {"a": {{ promt }}}',
        "      ^^^^^^^^^^^^^^^^^^",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "{" + OUT + "}",
        "{" + OUT + ",}",
        '{ {# a comment with a " quote #}' + OUT + "}",
        '{"a\\\\": {"class_type": "X", "inputs": {}}, ' + OUT + "}",
        "{% for lora in loras %}{% endfor %}{" + OUT + "}",
        "{% macro own(x) %}{{ x }}: "
        + '{"class_type": "X", "inputs": {}},{% endmacro %}{ {{ own("y") }}'
        + OUT
        + "}",
        "{% set at = namespace(model=none) %}{% set at.model = 1 %}{" + OUT + "}",
        "{% with x = 1 %}{% endwith %}{" + OUT + "}",
    ],
)
def test_what_is_fine_is_loaded(body: str, load: Callable[..., Template]) -> None:
    """Comments, escapes, loops, own macros and namespaces are no mistakes."""
    assert load(HEAD + USES + "\n" + body).outputs == {"out": "image"}


MACROS = [
    ("{% macro encode(a) %}{{ encode(a) }}{% endmacro %}", "macro `encode` must be defined above `encode`"),
    ("{% macro a() %}{{ x }}{% endmacro %}", "`x` is no parameter and set nowhere"),
    ("{% macro a() %}{{ a() }}{% endmacro %}", "macro `a` must be defined above `a`, which calls it"),
    (
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{% endmacro %}",
        "macro `b` must be defined above `a`",
    ),
    ("{% macro a() %}{{ '1' | safe }}{% endmacro %}", "`safe` is absent"),
    ('{% macro a(x) %}"{{ x }}"{% endmacro %}', "a hole stands without quotes"),
    ("{% set x = 1 %}", "nodes.j2 holds macros and nothing else"),
    ('"x": 1', "nodes.j2 holds macros and nothing else"),
    ("{% macro a() %}", "Unexpected end of template"),
]


@pytest.mark.parametrize(("macros", "message"), MACROS)
def test_mistakes_in_macro_files_are_told_there(
    macros: str, message: str, load: Callable[..., Template]
) -> None:
    """A project's nodes.j2 is held to the same rules, and named as the file at fault."""
    with pytest.raises(TemplateError) as fault:
        load(HEAD + USES + "{" + OUT + "}", macros="\n" + macros)

    assert any(message in told and line == 2 for line, told in problems(fault)), problems(fault)
    assert all(problem.path.endswith("templates/nodes.j2") for problem in fault.value.problems)
