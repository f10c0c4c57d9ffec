"""A template from a stranger reaches nothing, and cannot hang or fill this machine."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import pytest
from jinja2.exceptions import SecurityError
from markupsafe import Markup

from runner.errors import TemplateError
from runner.render.environment import JsonEnvironment

OUT = '{"out": {"class_type": "SaveImage", "inputs": {"x": %s}}}'

ESCAPES = [
    "''.__class__", "''['__class__']", "''|attr('__class__')", "''.__class__.__mro__[1].__subclasses__()",
    "prompt.__init__.__globals__", "prompt['__init__']", "[].__class__", "{}.__class__.__bases__",
    "().__class__", "loras.append(1)", "loras.__class__", "size.__class__", "size.items", "size.items()",
    "size.get('x')", "size.keys()", "size.pop('width')", "size.update({})", "size.clear()",
    "prompt.format(1)", "'{0.__class__}'.format(prompt)", "'{0}'.format_map({})", "prompt.encode()",
    "'%s' % prompt", "'%(x)s' % size", "prompt|format(1)", "'{}'|format(prompt)", "namespace.__init__",
    "namespace.__init__.__globals__", "namespace(a=1).__class__", "namespace(a=1)._Namespace__attrs",
    "namespace(a=1)['__class__']", "range.__self__", "range(3).__class__", "range(3).count",
    "lora_chain.__globals__", "lora_chain._func", "lora_chain.name", "lora_chain._environment",
    "self.__init__", "self._TemplateReference__context", "context", "environment", "joiner", "joiner()",
    "cycler('a')", "cycler.__init__.__globals__", "lipsum()", "lipsum.__globals__['os']", "dict(a=1)",
    "url_for", "config", "request", "get_flashed_messages", "__builtins__", "__import__('os')",
    "open('/etc/passwd')", "eval('1')", "exec('1')", "['__class__']|map(attribute='__class__')|list",
    "[prompt]|map(attribute='__class__')|list", "[prompt]|map(attribute='upper')|list",
    "[size]|map(attribute='items')|first", "[size]|sort(attribute='items')",
    "[size]|sum(attribute='__len__')", "[prompt]|map('attr', '__class__')|list",
    "[prompt]|map('format')|list", "[prompt]|select('callable')|list",
    "[prompt]|selectattr('__class__')|list", "[size]|unique(attribute='keys')|list", "prompt|xmlattr",
    "size|dictsort", "size|items", "prompt|pprint", "prompt|safe", "prompt|tojson", "prompt|urlize",
    "prompt|batch(2)", "prompt|groupby('x')", "prompt|attr('x')", "prompt|striptags", "prompt|random",
    "prompt is callable", "__loop([], 1)", "__made(1)", "__spend(-1000000000)", "__join('a')",
    "none|default(lora_chain, true)", "[lora_chain]|list", "range", "namespace", "namespace(a=1)",
    "range(3)|map(attribute='real')|list", "1 .real", "(1).__class__", "true.__class__", "none.__class__",
    "1.5.hex()", "prompt.upper", "prompt['upper']", "prompt[steps]['__class__']",
]  # fmt: skip


@pytest.mark.parametrize("expression", ESCAPES)
def test_nothing_but_plain_values_can_be_reached(
    expression: str, graph: Callable[..., dict[str, Any]]
) -> None:
    """Attributes, methods, Python's objects and Jinja's own tools are refused, at load or when rendered."""
    with pytest.raises(TemplateError):
        graph(OUT % ("{{ " + expression + " }}"))


MACROS = "{% macro a0() %}x{% endmacro %}" + "".join(
    f"{{% macro a{index}() %}}" + f"{{{{ a{index - 1}() }}}}" * 10 + "{% endmacro %}"
    for index in range(1, 30)
)
DOUBLED = "{% set n = namespace(x=['x']) %}{% for a in range(100) %}{% set n.x = VALUE %}{% endfor %}"
MANY = "{% for a in range(9999) %}{% for b in range(9999) %}BODY{% endfor %}{% endfor %}"
BIG = "{% set n = namespace(x='x' * 999999) %}"
LONG = "{% set n = namespace(x=range(9999) | list) %}"
EXHAUSTION = [
    "{{ 'x' * 1000000000 }}",
    "{{ [0] * 1000000000 }}",
    "{{ 1000000000 * 'x' }}",
    "{{ 2 ** 1000000000 }}",
    "{{ 2 ** 128 ** 128 }}",
    "{{ 10 ** 100 * 10 ** 100 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ range(1000000000) | list }}",
    "{{ range(0, 10, 0) | list }}",
    "{{ range(100000000) | join(',') }}",
    "{{ prompt | replace('', 'x' * 100000) | replace('', 'x' * 100000) }}",
    "{{ 'x' | replace('x', 'x' * 1000000) | replace('x', 'x' * 1000000) }}",
    "{{ range(10000) | join('x' * 100000) }}",
    "{{ 1 | round(1000000000, 'ceil') }}",
    "{{ 1 | round(-1000000000) }}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}"
    "{% endfor %}",
    "{% for a in range(10000) %}{% for b in range(10000) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
    "{% set n = namespace(x='x') %}{% for a in range(100) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='x') %}{% for a in range(100) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=3) %}{% for a in range(100) %}{% set n.x = n.x * n.x %}{% endfor %}",
    DOUBLED.replace("VALUE", "n.x + n.x"),
    DOUBLED.replace("VALUE", "[n.x, n.x]"),
    DOUBLED.replace("VALUE", "(n.x, n.x)"),
    DOUBLED.replace("VALUE", "{'a': n.x, 'b': n.x}"),
    DOUBLED.replace("VALUE", "[n.x, n.x] | list"),
    "{% set n = namespace(x=[]) %}" + MANY.replace("BODY", "{% set n.x = n.x + [('x' * 9999) | list] %}"),
    MACROS + "{{ a29() }}",
    LONG + MANY.replace("BODY", "{% if n.x == n.x %}{% endif %}"),
    BIG + MANY.replace("BODY", "{% if 'y' in n.x %}{% endif %}"),
    BIG + MANY.replace("BODY", "{% if n.x is eq(n.x ~ '') %}{% endif %}"),
    LONG + MANY.replace("BODY", "{% set y = n.x | max %}"),
    LONG + MANY.replace("BODY", "{% set y = n.x | map('string') | sort | first %}"),
    LONG + MANY.replace("BODY", "{% if n.x | sum %}{% endif %}"),
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "{{ " + "- " * 5000 + "1 }}",
    "{% if steps %}" * 5000 + "{% endif %}" * 5000,
    '{"a":' * 100_000,
    "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("body", EXHAUSTION)
def test_what_would_never_end_or_fit_is_refused_soon(body: str, graph: Callable[..., dict[str, Any]]) -> None:
    """Each is refused as a mistake of the template, within 300 MiB more memory than before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TemplateError):
        graph(body)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


def test_a_graph_that_is_too_large_is_refused(graph: Callable[..., dict[str, Any]]) -> None:
    """8 MiB is the most that one graph may have."""
    with pytest.raises(TemplateError, match=r"renders to 9\.\d MiB; a graph has at most 8 MiB"):
        graph(OUT % "{{ prompt }}", prompt="x" * 9_900_000)


@pytest.mark.parametrize("operator", ["+", "*", "%"])
def test_json_text_takes_part_in_no_expression(operator: str) -> None:
    """Should what a macro wrote ever get into an expression past the lint, it is refused there."""
    environment = JsonEnvironment()
    context = environment.from_string("").new_context()
    with pytest.raises(SecurityError, match="stands alone in its hole"):
        environment.call_binop(context, operator, Markup("{}"), 2)
    with pytest.raises(SecurityError, match="stands alone in its hole"):
        environment.join("a", Markup("{}"))
