"""What can go wrong when a template meets its values, told by template line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from runner.domain import Template
from runner.errors import TemplateError
from runner.render import graph as rendered_graph
from runner.render import program, render

from .samples import FILES, HEAD, PICTURE, USES, problems, values_for

SAVE = '"out": {"class_type": "SaveImage", "inputs": {}}'
LOOP = "{% for lora in loras %}{% endfor %}"

RUNTIME = [
    ("{{ size.widht }}", "there is no `widht` here; there is `width`, `height`; did you mean `width`?"),
    ("{{ size['depth'] }}", "there is no `depth` here"),
    ("{{ loras[3] }}", "there is no item 3; there are 0"),
    ("{% set at = namespace(model=1) %}{{ at.modle }}", "there is no `modle` here; there is `model`"),
    ("{{ prompt.width }}", "there is no `.width` on a text"),
    ("{{ steps.width }}", "there is no `.width` on a number"),
    ("{% macro own(x) %}{{ x }}{% endmacro %}{{ own() }}", "parameter 'x' was not provided"),
    ("{% macro own(x) %}{% for a in x %}{% endfor %}{% endmacro %}{{ own() }}", "parameter 'x' was not"),
    ("{% macro own(x) %}{{ x.y }}{% endmacro %}{{ own() }}", "parameter 'x' was not provided"),
    ("{% macro own(x) %}{{ x ~ 'a' }}{% endmacro %}{{ own() }}", "parameter 'x' was not provided"),
    ("{{ steps / 0 }}", "division by zero"),
    ("{{ steps - prompt }}", "unsupported operand"),
    ("{{ prompt % 2 }}", "`%` needs two numbers"),
    ("{{ prompt ~ loras }}", "[] is no text"),
    ("{{ none ~ 'x' }}", "null is no text"),
    ("{{ lora_chain }}", "not JSON serializable"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), RUNTIME)
def test_a_senseless_expression_is_told_with_its_line(
    body: str, message: str, graph: Callable[..., dict[str, Any]]
) -> None:
    """The line of the template file and what is wrong there, with the nearest name where a name is wrong."""
    with pytest.raises(TemplateError) as fault:
        graph("\n\n" + body)

    assert [(line, message in told) for line, told in problems(fault)] == [(12, True)], problems(fault)


def test_a_fault_inside_a_macro_is_told_at_the_call(load: Callable[..., Template]) -> None:
    """The author of a template sees the line he can mend."""
    template = load(HEAD + USES + "\n{%- set at = namespace() %}\n{ {{ lora_chain(loras, at) }}" + SAVE + "}")
    values = values_for(template, loras=[{"file": "x", "weight": 1, "clip": 1}])
    with pytest.raises(TemplateError) as fault:
        render(template, values, files=FILES)

    assert problems(fault) == [(11, "there is no `model` here; there is nothing")]


BROKEN = [
    ('{"a": {{ prompt }} {{ prompt }}}', "Expecting ',' delimiter"),
    ('{"a": 1{{ steps }}}', "Expecting ',' delimiter"),
    ('{"a": -{{ steps }}}', "Expecting value"),
    ('{"a": tru{{ steps }}}', "Expecting value"),
    ('{"a": {"b": 1,}}', ""),
    ('{"a": 1, "a": 2}', "the key `a` stands twice"),
    ('{"a": {"inputs": 1, "inputs": 2}}', "the key `inputs` stands twice"),
    ('{"a": NaN}', "`NaN` is no JSON number"),
    ('{"a": -Infinity}', "`-Infinity` is no JSON number"),
    ('{"a": 1e999}', "`1e999` is too large a number"),
    ('{"a": {}} x', "Extra data"),
    ('{"a": {}} {"b": {}}', "Extra data"),
    ("// x", "Expecting value"),
    ("{'a': 1}", "Expecting property name"),
]


@pytest.mark.parametrize(("body", "message"), BROKEN)
def test_broken_json_is_told_with_template_line_and_rendered_text(
    body: str, message: str, graph: Callable[..., dict[str, Any]]
) -> None:
    """JSON is strict; the message shows what was rendered, the place is the line that rendered it."""
    with pytest.raises(TemplateError) as fault:
        graph("\n" + body)
    (line, told), *more = problems(fault)

    assert (line, more) == (11, [])
    assert told.startswith("renders to broken JSON: ")
    assert message in told


def test_the_line_is_right_behind_loops_and_macros(load: Callable[..., Template]) -> None:
    """Lines that a loop or a macro rendered do not shift the place of a later mistake."""
    head = "{%- set at = namespace(model=1, clip=2) %}\n{\n{{ lora_chain(loras, at) }}\n\n"
    body = head + '"x": {{ steps }} 5,\n' + SAVE + "}"
    template = load(HEAD + USES + "\n" + body)
    values = values_for(template, loras=[{"file": "x", "weight": 1, "clip": 1}] * 5)
    with pytest.raises(TemplateError) as fault:
        render(template, values, files=FILES)

    assert [line for line, _ in problems(fault)] == [14]
    assert '"x":  20  ⟪here⟫5' in problems(fault)[0][1]


@pytest.mark.parametrize("body", ["[]", "1", '"x"', "null", "{{ steps }}", "{{ prompt }}"])
def test_json_that_is_no_map_is_refused(body: str, graph: Callable[..., dict[str, Any]]) -> None:
    """A graph maps node ids to nodes."""
    with pytest.raises(TemplateError, match="JSON that is no map of nodes"):
        graph(body)


def test_an_empty_template_is_refused(graph: Callable[..., dict[str, Any]]) -> None:
    """Nothing is no graph."""
    with pytest.raises(TemplateError, match="renders to broken JSON: Expecting value"):
        graph("")


@pytest.mark.parametrize("end", [",}", ", }", ",\n}\n\n", "}"])
def test_the_last_node_may_have_its_comma(end: str, graph: Callable[..., dict[str, Any]]) -> None:
    """Macros write a comma behind each node, so one before the closing brace is forgiven."""
    assert list(graph("{" + SAVE + end)) == ["out"]


GRAPHS = [
    ('{"a": {"inputs": {}}, SAVE}', 11, "node `a` has no `class_type`"),
    ('{"a": {"class_type": "", "inputs": {}}, SAVE}', 11, "node `a` has no `class_type`"),
    ('{"a": {"class_type": "X"}, SAVE}', 11, "node `a` has no `inputs`; write `{}` when it takes none"),
    ('{"a": {"class_type": "X", "inputs": []}, SAVE}', 11, "node `a` has no `inputs`"),
    ('{"a": 1, SAVE}', 11, "node `a` is no map with `class_type` and `inputs`"),
    ('{"a": {"class_type": "X", "inputs": {}, "input": {}}, SAVE}', 11, "`input`; did you mean `inputs`?"),
    ('{"a": {"class_type": "X", "inputs": {}, "widgets": [1]}, SAVE}', 11, "the key `widgets`"),
    ('{"a": {"class_type": "X", "inputs": {"b": ["oot", 0]}}, SAVE}', 11, "links to `oot`, which is not in"),
    ('{"a": {"class_type": "X", "inputs": {"b": [1, 2, 3]}}, SAVE}', 11, "`b` of node `a` is a list but"),
    ('{"a": {"class_type": "X", "inputs": {"b": ["out", -1]}}, SAVE}', 11, "is a list but no link"),
    ('{"a": {"class_type": "X", "inputs": {"b": ["out", true]}}, SAVE}', 11, "is a list but no link"),
    ('{"a": {"class_type": "X", "inputs": {"b": ["out", 0.0]}}, SAVE}', 11, "is a list but no link"),
    ('{"a": {"class_type": "X", "inputs": {"b": ["a", 0]}}, SAVE}', 11, "these nodes need each other: a ← a"),
    (
        '{SAVE, "a": {"class_type": "X", "inputs": {"b": ["c", 0]}},\n'
        '"c": {"class_type": "X", "inputs": {"b": ["a", 0], "d": ["out", 0]}}}',
        11, "these nodes need each other: a ← c ← a",
    ),
    ('{"oot": {"class_type": "X", "inputs": {}}}', 0, "the declared output `out` is not in the graph; did"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "line", "message"), GRAPHS)
def test_a_graph_that_no_server_could_run_is_refused(
    body: str, line: int, message: str, graph: Callable[..., dict[str, Any]]
) -> None:
    """Each fault of the graph is found without a server, at the line that wrote the node."""
    with pytest.raises(TemplateError) as fault:
        graph("\n" + body.replace("SAVE", SAVE))

    assert [(at, message in told) for at, told in problems(fault)] == [(line, True)], problems(fault)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"nodes": [], "links": [], "version": 0.4}', "this is a workflow as ComfyUI's editor saves it"),
        ('{"prompt": {SAVE}}', "the workflow is what is under `prompt`"),
    ],
)
def test_what_people_export_by_another_way_is_recognised(
    body: str, message: str, graph: Callable[..., dict[str, Any]]
) -> None:
    """The editor's own format, a request and what a picture holds are told by what they are."""
    with pytest.raises(TemplateError) as fault:
        graph("\n" + body.replace("SAVE", SAVE))

    assert [message in told for _, told in problems(fault)] == [True], problems(fault)


@pytest.mark.parametrize("answer", ['["5f1c"]', "[NaN]", "false"])
def test_what_a_server_noted_in_a_node_is_left_out(answer: str, graph: Callable[..., dict[str, Any]]) -> None:
    """`is_changed`, as pictures hold it, would keep a server from looking whether a file has changed."""
    node = f'{{"class_type": "X", "inputs": {{}}, "is_changed": {answer}}}'
    nodes = graph(f'{{"a": {node}, {SAVE}}}')

    assert nodes["a"] == {"class_type": "X", "inputs": {}}


def test_a_number_that_is_none_is_refused_elsewhere(graph: Callable[..., dict[str, Any]]) -> None:
    """`NaN` among inputs stays a mistake, with its line."""
    node = '{"class_type": "X", "inputs": {"x": {"y": NaN}}, "is_changed": [NaN]}'
    with pytest.raises(TemplateError) as fault:
        graph(f'\n{{"a": {node}, {SAVE}}}')

    assert [(at, "`NaN` is no JSON number" in told) for at, told in problems(fault)] == [(11, True)]


def test_all_faults_of_a_graph_are_told_at_once(graph: Callable[..., dict[str, Any]]) -> None:
    """Two broken nodes and a missing output are three problems."""
    with pytest.raises(TemplateError) as fault:
        graph('\n{"a": 1,\n"b": {"inputs": {}}}')

    assert [line for line, _ in problems(fault)] == [11, 12, 0]


def test_a_graph_of_very_many_values_is_refused_before_it_is_read(
    graph: Callable[..., dict[str, Any]],
) -> None:
    """What is small as text may fill the memory as lists and maps, so these are counted first."""
    lists = "{% for i in range(40) %}" + "[]," * 4_000 + "{% endfor %}"
    with pytest.raises(TemplateError) as fault:
        graph('{"out": {"class_type": "SaveImage", "inputs": {"x": {"__value__": [' + lists + "1]}}}}")

    assert problems(fault) == [
        (
            0,
            "renders to 320,006 lists, maps and commas; a graph has at most 300,000, so write fewer values",
        )
    ]


def test_a_node_is_looked_for_once_and_only_where_graphs_are(
    graph: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many flaws a node has, its name is searched once; behind a mebibyte the line is not told."""
    searched: list[str] = []
    place = program._place_of_key
    monkeypatch.setattr(program, "_place_of_key", lambda text, key: searched.append(key) or place(text, key))
    bad = '{"class_type": "X", "inputs": {"b": [1], "c": [2], "d": [3]}}'
    with pytest.raises(TemplateError) as fault:
        graph('\n{"a": ' + bad + ',\n"x": {"class_type": "X", "inputs": {"y": {{ "x" * 1100000 }} }},\n'
              '"late": ' + bad + "," + SAVE + "}")  # fmt: skip

    assert [line for line, _ in problems(fault)] == [11, 11, 11, 0, 0, 0]
    assert sorted(searched) == ['"a"', '"late"']


def test_near_names_are_looked_for_as_often_as_flaws_are_told(
    graph: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each suggestion costs a look at all names, so what is not told is not looked for."""
    asked: list[str] = []
    monkeypatch.setattr(rendered_graph, "did_you_mean", lambda word, _: asked.append(word) or "")
    links = ", ".join(f'"k{number}": ["n{number}", 0]' for number in range(50))
    with pytest.raises(TemplateError) as fault:
        graph('{"a": {"class_type": "X", "inputs": {' + links + "}}, " + SAVE + "}")

    assert len(problems(fault)) == len(asked) == program.MAX_PROBLEMS


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "{% set n = namespace(x='x') %}"
            "{% for i in range(40) %}{% set n.x = namespace(a=n.x, b=n.x) %}{% endfor %}{{ n.x ~ '' }}",
            "a namespace is no text",
        ),
        ("{% set n = namespace() %}{% set n.x = n %}{{ n | string }}", "calls itself without end"),
    ],
)
def test_a_namespace_is_written_by_its_entries_only(
    body: str, message: str, graph: Callable[..., dict[str, Any]]
) -> None:
    """A namespace joined with a text is refused, and one that holds itself."""
    with pytest.raises(TemplateError) as fault:
        graph(body)

    assert [told for _, told in problems(fault)] == [message]


def test_the_runner_sets_the_prefix_of_declared_outputs_alone(graph: Callable[..., dict[str, Any]]) -> None:
    """An author's prefix on a declared output is replaced; on any other node it stays."""
    other = '"b": {"class_type": "SaveImage", "inputs": {"filename_prefix": "mine"}}'
    nodes = graph(
        '{"out": {"class_type": "SaveImage", "inputs": {"filename_prefix": "mine"}}, ' + other + "}"
    )

    assert nodes["out"]["inputs"]["filename_prefix"] == {"$prefix": True}
    assert nodes["b"]["inputs"]["filename_prefix"] == "mine"


def test_values_and_parameters_must_agree(shipped: Any) -> None:
    """A value too many or too few is named."""
    template = shipped.load("txt2img")
    values = values_for(template)
    del values["steps"]
    with pytest.raises(TemplateError) as fault:
        render(template, {**values, "stesp": 4}, files={})

    assert [told for _, told in problems(fault)] == [
        "parameter `steps` has no value",
        "there is no parameter `stesp`; did you mean `steps`?",
    ]


IMAGES = """---
parameters:
  refs: {type: images}
  mask: {type: image, default: null}
outputs: {out: image}
---
{"batch": {"class_type": "Batch", "inputs": {"images": {"__value__": {{ refs }}}}},
 {%- if mask %} "mask": {"class_type": "LoadImage", "inputs": {"image": {{ mask }}}}, {%- endif %}
 "out": {"class_type": "SaveImage", "inputs": {"images": ["batch", 0]}}}
"""


def test_files_are_named_by_content(load: Callable[..., Template]) -> None:
    """Pictures, in lists too, stand in the graph by their sha256, and the workflow lists them."""
    other = "b" * 64 + ".png"
    values = {"refs": [{"$file": "b.png"}, {"$file": "a.png"}], "mask": None}
    workflow = render(load(IMAGES), values, files={"a.png": PICTURE, "b.png": other})

    assert workflow.nodes["batch"]["inputs"]["images"] == {
        "__value__": [{"$input": other}, {"$input": PICTURE}]
    }
    assert workflow.inputs == (PICTURE, other)


def test_a_file_without_content_hash_is_refused(load: Callable[..., Template]) -> None:
    """The caller must have hashed every file before rendering."""
    with pytest.raises(KeyError, match=r"a\.png"):
        render(load(IMAGES), {"refs": [{"$file": "a.png"}], "mask": None}, files={})


def test_a_reference_that_was_not_resolved_is_refused(load: Callable[..., Template]) -> None:
    """A glob must not reach a server as if it were a value."""
    with pytest.raises(ValueError, match=r"\$glob was not resolved"):
        render(load(IMAGES), {"refs": {"$glob": "*.png"}, "mask": None}, files={})


def test_a_template_cannot_name_a_file_by_itself(graph: Callable[..., dict[str, Any]]) -> None:
    """A placeholder that no value gave would be an input nobody hashed."""
    with pytest.raises(TemplateError, match="it names a file by itself"):
        graph('{"out": {"class_type": "SaveImage", "inputs": {"a": {"$input": "' + PICTURE + '"}}}}')


def test_a_template_from_elsewhere_is_a_bug(shipped: Any) -> None:
    """Only what a Catalog loaded carries what renders it."""
    bare = Template(name="x", path="x", outputs={"out": "image"})
    with pytest.raises(TypeError, match="was not loaded by a Catalog"):
        render(bare, {}, files={})


def test_a_loaded_template_can_be_renamed(shipped: Any) -> None:
    """`dataclasses.replace` keeps what renders it."""
    template = replace(shipped.load("txt2img"), name="other")

    assert render(template, values_for(template), files={}).digest
