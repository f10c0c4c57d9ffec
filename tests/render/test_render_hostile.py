"""Text that people write becomes text in the graph and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.domain import Workflow
from runner.errors import TemplateError
from runner.render import Catalog, render

from .samples import FILES, values_for

CATALOG = Catalog(None)
NAMES = CATALOG.names()
CORPUS = (
    'she said "no"',
    'back\\slash \\" \\n \\u0041',
    '"}, "evil": {"class_type": "SaveImage", "inputs": {}}, "x": {"y": "',
    "{{ 7 * 7 }} {% for x in y %} {# note #}",
    "{{ ''.__class__.__mro__ }}",
    "line\nfeed\r\ncarriage\ttab\x00nul\x1b[31m\x7f",
    "line\u2028paragraph\u2029next\x85",
    "<script>&amp;&lt;'\"</script>",
    "桜の木の下で 🌸 \U0010ffff \ufeff \ufffd",
    "e\u0301 \u202e right to left",
    '["checkpoint", 0]',
    '{"$input": "x.png"}',
    '{"$prefix": true}',
    "null",
    "true",
    "1e999",
    "",
    " ",
    ",",
    "}",
    "%s %(x)s {0} {x}",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
MARKUP = st.lists(
    st.sampled_from(['"', "\\", "{{", "}}", "{%", "%}", "{", "}", "[", "]", ",", ":", "\n", "\u2028"])
)


def shape(workflow: Workflow) -> dict[str, Any]:
    """Return ids, classes, input names, links and placeholders: everything but the literals."""
    return {
        name: (
            node["class_type"],
            {
                key: value if isinstance(value, (list, dict)) else None
                for key, value in node["inputs"].items()
            },
        )
        for name, node in workflow.nodes.items()
    }


def with_text(name: str, text: str) -> Workflow:
    """Render a shipped template with *text* wherever a person may write one."""
    template = CATALOG.load(name)
    free = {key for key, parameter in template.parameters.items() if parameter.type in ("text", "file")}
    given = {key: text for key in free if template.parameters[key].default is not None}
    given |= {"loras": [{"file": text, "weight": 0.5, "clip": 0.25, "part": ""}]}
    return render(template, values_for(template, **given), files=FILES)


def texts(workflow: Workflow) -> set[tuple[str, str]]:
    """Return what stands in the inputs that carry people's text."""
    return {
        (key, value)
        for node in workflow.nodes.values()
        for key, value in node["inputs"].items()
        if key in ("text", "lora_name", "ckpt_name", "unet_name")
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", CORPUS)
def test_hostile_text_arrives_whole_and_changes_nothing_else(name: str, text: str) -> None:
    """Every text of the corpus stands in the graph as it was written, in a graph of the same shape."""
    workflow = with_text(name, text)

    assert shape(workflow) == shape(with_text(name, "neutral"))
    assert {value for _, value in texts(workflow)} == {text}


@given(text=st.one_of(TEXT, MARKUP.map("".join)))
@example(text='"')
@settings(max_examples=300)
def test_any_text_arrives_whole_in_every_template(text: str) -> None:
    """Whatever the text is, ids, classes, links and the text itself are what they would be for any other."""
    for name in NAMES:
        workflow = with_text(name, text)

        assert shape(workflow) == shape(with_text(name, "neutral"))
        assert {value for _, value in texts(workflow)} == {text}


@given(text=TEXT)
@settings(max_examples=100)
def test_different_text_gives_a_different_digest(text: str) -> None:
    """Two prompts that differ are never taken for one picture."""
    assert (with_text("txt2img", text).digest == with_text("txt2img", "neutral").digest) == (
        text == "neutral"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_megabyte_of_text_is_rendered(name: str) -> None:
    """A very long prompt is unusual, not an error."""
    template = CATALOG.load(name)
    text = '"{{ x }}\\' * 125_000
    workflow = render(template, values_for(template, prompt=text), files=FILES)

    assert workflow.nodes["positive"]["inputs"]["text"] == text


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\ud83c \udf38"])
@pytest.mark.parametrize("name", NAMES)
def test_half_characters_are_refused_by_parameter(name: str, text: str) -> None:
    """A lone surrogate cannot be written to any file; the message says which parameter holds it."""
    template = CATALOG.load(name)
    with pytest.raises(TemplateError, match=r"`prompt` holds U\+D[8F]"):
        render(template, values_for(template, prompt=text), files=FILES)
