"""Takes are rendered by exchanging the seed, and nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.domain import Template, Workflow
from runner.render import Catalog, LoadedTemplate, render

from .samples import FILES, values_for

WARM = Catalog(None)
LORAS = [{"file": "a.safetensors", "weight": 1, "clip": 1, "part": ""}]
JOBS = st.lists(
    st.fixed_dictionaries(
        {
            "seed": st.sampled_from([0, 1, 2, 7, 20, 512, 2**53, 2**64 - 1]),
            "steps": st.sampled_from([7, 20]),
            "cfg": st.sampled_from([1, 1.0, 7]),
            "prompt": st.sampled_from(["7", "x"]),
            "loras": st.sampled_from([[], LORAS]),
        }
    ),
    max_size=8,
)
HEAD = "---\nparameters: {seed: {type: seed}, steps: {type: int, default: 3}}\noutputs: {out: image}\n---\n"


def fresh(name: str, **given: Any) -> Workflow:
    """Render with a template that has rendered nothing before."""
    template = WARM.load(name)
    assert isinstance(template, LoadedTemplate)
    cold = replace(template, series=type(template.series)(""))
    return render(cold, values_for(cold, **given), files=FILES)


@given(jobs=JOBS)
@settings(max_examples=150)
@pytest.mark.parametrize("name", WARM.names())
def test_what_was_rendered_before_never_shows(name: str, jobs: list[dict[str, Any]]) -> None:
    """Whatever came before in whatever order, a job's graph and digests are those of a first rendering."""
    template = WARM.load(name)
    for job in jobs:
        workflow, alone = render(template, values_for(template, **job), files=FILES), fresh(name, **job)

        assert repr(workflow) == repr(alone)


def counted(template: Template, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows by the values of every real rendering of *template*."""
    assert isinstance(template, LoadedTemplate)
    program, calls = template.program, []
    original = program.nodes

    def nodes(values: Any, outputs: Any) -> Any:
        calls.append(values)
        return original(values, outputs)

    monkeypatch.setattr(program, "nodes", nodes)
    return calls


@pytest.mark.parametrize("name", WARM.names())
def test_every_shipped_template_renders_takes_by_their_seed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred takes two are rendered; this is what makes large batches cheap."""
    template = Catalog(None).load(name)
    calls = counted(template, monkeypatch)
    digests = {render(template, values_for(template, seed=seed), files=FILES).digest for seed in range(100)}

    assert (len(calls), len(digests)) == (2, 100)


@pytest.mark.parametrize(
    "body",
    [
        '{"out": {"class_type": "S", "inputs": {"a": {{ seed + 1 }}, "b": {{ steps }}}}}',
        '{"out": {"class_type": "S", "inputs": {"a": {% if seed %}{{ seed }}{% else %}-1{% endif %},'
        ' "b": {{ steps }}}}}',
        '{%- set x = seed %}{"out": {"class_type": "S", "inputs": {"a": {{ x }}, "b": {{ steps }}}}}',
        '{"out": {"class_type": "S", "inputs": {"a": {"__value__": [{{ seed }}]}, "b": {{ steps }}}}}',
        '{"out": {"class_type": "S", "inputs": {"b": {{ steps }}}, "_meta": {"title": {{ seed }}}}}',
        '{"out": {"class_type": "S", "inputs": {"a": {{ seed }}, "b": {{ steps }}},'
        ' "_meta": {"title": {{ seed }}}}}',
        '{%- for i in range(2) %}{% set seed = i %}{% endfor %}{"out": {"class_type": "S", "inputs":'
        ' {"a": {{ seed }}, "b": {{ steps }}}}}',
    ],
)  # fmt: skip
def test_other_uses_of_the_seed_are_rendered_in_full(body: str, load: Callable[..., Template]) -> None:
    """A template that computes with its seed, or writes it elsewhere, gets the graph of each seed."""
    template = load(HEAD + body)
    warm = [render(template, {"seed": seed, "steps": 3}, files={}).nodes for seed in (0, 1, 2, 0)]
    cold = [render(load(HEAD + body), {"seed": seed, "steps": 3}, files={}).nodes for seed in (0, 1, 2, 0)]

    assert warm == cold


def test_other_outputs_make_another_workflow() -> None:
    """A template whose outputs were replaced does not follow on jobs of the original."""
    template = Catalog(None).load("txt2img")
    for seed in (1, 2, 3):
        render(template, values_for(template, seed=seed), files={})
    other = replace(template, outputs={"out": "image", "decode": "image"})

    assert render(other, values_for(other, seed=4), files={}).outputs == {"out": "image", "decode": "image"}


def test_values_that_the_caller_changes_afterwards_do_not_show() -> None:
    """What is remembered is a copy: a list changed in place makes another job."""
    template = Catalog(None).load("txt2img")
    loras = [dict(LORAS[0])]
    values = values_for(template, loras=loras)
    for seed in (1, 2, 3):
        render(template, {**values, "seed": seed}, files={})
    loras[0]["weight"] = 0.25

    assert (
        render(template, {**values, "seed": 4}, files={}).nodes["lora1"]["inputs"]["strength_model"] == 0.25
    )
