"""A template from a stranger reaches nothing, and cannot hang or fill this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2.exceptions import SecurityError
from markupsafe import Markup

from runner.errors import TemplateError
from runner.sandbox.environment import JsonEnvironment

from .exhaustion import SHARES, TEMPLATES

ROOT = Path(__file__).parent.parent.parent
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


@pytest.mark.parametrize("share", range(SHARES))
def test_what_would_never_end_or_fit_is_refused_soon(share: int) -> None:
    """Each is refused as a mistake of the template, within 3 s of processor time and 300 MiB more memory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.render.exhaustion", str(share)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert [line["name"] for line in lines] == list(TEMPLATES)[share::SHARES]
    assert [line for line in lines if not line["said"].startswith("refused: ")] == []


def test_a_graph_that_is_too_large_is_refused(graph: Callable[..., dict[str, Any]]) -> None:
    """8 MiB is the most that one graph may have."""
    with pytest.raises(TemplateError, match="renders to more than 8 MiB, the most of a graph"):
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
