# ruff: noqa: E501 - a table reads better in long rows
"""10,000 texts that look like JSON, Jinja, Python or nothing at all, through every template that ships (T11, S18)."""

from __future__ import annotations

import json
import random

import pytest

from runner.render import Catalog, render

from .samples import FILES, values_for

CATALOG = Catalog(None)
PROMPTS = 10_000
_PIECES = (
    '"', "'", "\\", "\\\\", '\\"', "\\n", "\\u0041", "{{", "}}", "{%", "%}", "{#", "#}", "{", "}", "[", "]", ",",
    ":", "\n", "\r\n", "\t", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\u202e", "\u200b",
    "{{ 7 * 7 }}", "{% raw %}", "{{ seed }}", "{{ prompt.__class__ }}", '"}, "evil": {"class_type": "X", "inputs": {}',
    '", "seed": 1, "x": "', '["checkpoint", 0]', '{"$input": "x"}', '{"$prefix": true}', "</script>", "%s", "${HOME}",
    "$(id)", "`id`", "null", "NaN", "1e999", "桜", "🌸", "\U0010ffff", "e\u0301", "a", " ", "cat, ", "::", "##[", "=1",
    "x" * 1_000,
)  # fmt: skip


def texts(count: int) -> list[str]:
    """Return so many different texts, the same in every run."""
    chance, found = random.Random(11), dict[str, None]()
    while len(found) < count:
        found["".join(chance.choices(_PIECES, k=chance.randint(1, 12)))] = None
    return list(found)


@pytest.mark.parametrize("name", CATALOG.names())
def test_no_text_changes_the_graph(name: str) -> None:
    """Byte for byte the graph is that of a harmless text, and the texts come out as they were written."""
    template = CATALOG.load(name)

    def parts(prompt: str, negative: str) -> tuple[str, list[str]]:
        values = values_for(template, prompt=prompt, negative=negative)
        nodes = render(template, values, files=FILES).nodes
        found = [node["inputs"]["text"] for node in nodes.values() if "text" in node["inputs"]]
        bare = {
            key: {**node, "inputs": {**node["inputs"], "text": ""}} if "text" in node["inputs"] else node
            for key, node in nodes.items()
        }
        sent = json.loads(json.dumps(found, ensure_ascii=False).encode())
        return json.dumps(bare), sent

    neutral, _ = parts("a cat", "a dog")
    all_texts = texts(PROMPTS)
    wrong = []
    for prompt, negative in zip(all_texts[::2], all_texts[1::2], strict=True):
        graph, sent = parts(prompt, negative)
        if graph != neutral or set(sent) - {prompt, negative} or prompt not in sent:
            wrong.append((prompt, negative))

    assert wrong == []
