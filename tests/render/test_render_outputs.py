"""Declared outputs: optional ones, ids as ComfyUI exports them, and what a server's classes take."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runner.domain import Template, Workflow
from runner.errors import TemplateError
from runner.render import bind, render

SWITCHED = """---
parameters: {twice: {type: bool, default: true}}
outputs: {"57:9": image, extra: {kind: text, optional: true}}
---
{
  "57:9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "theirs"}},
  {% if twice %}"extra": {"class_type": "PreviewAny", "inputs": {"source": "x"}}{% endif %}
}"""


@pytest.fixture
def switched(load: Callable[..., Template]) -> Callable[[bool], Workflow]:
    """Render a template whose second output depends on a parameter."""
    template = load(SWITCHED)
    return lambda twice: render(template, {"twice": twice}, files={})


def test_an_optional_output_may_be_left_out_of_the_graph(switched: Callable[[bool], Workflow]) -> None:
    """What this configuration declares is what is in the graph; required outputs must be."""
    both, one = switched(True), switched(False)

    assert (both.outputs, both.optional) == ({"57:9": "image", "extra": "text"}, {"extra"})
    assert (one.outputs, one.optional) == ({"57:9": "image"}, frozenset())


def test_a_graph_without_any_output_is_refused(load: Callable[..., Template]) -> None:
    """Where all are optional one must be there all the same."""
    template = load(
        '---\noutputs: {a: {kind: image, optional: true}}\n---\n{"b": {"class_type": "X", "inputs": {}}}'
    )
    with pytest.raises(TemplateError, match="none of its outputs is in the graph: a"):
        render(template, {}, files={})


def test_ids_are_written_as_file_names(switched: Callable[[bool], Workflow]) -> None:
    """A server on Windows takes no `:`; what is changed is told apart by a checksum."""
    sent = bind(switched(True).nodes, prefix="animerun/r/j-a1/x", uploads={})

    assert sent["extra"]["inputs"]["filename_prefix"] == "animerun/r/j-a1/x_extra"
    assert sent["57:9"]["inputs"]["filename_prefix"].startswith("animerun/r/j-a1/x_57-9-")
