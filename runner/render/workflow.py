"""One job's values and its template → the workflow as it is stored, and the recipe that tells staleness."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from typing import Any, Final

from runner.domain import Plain, Template, Workflow
from runner.errors import Problem, TemplateError
from runner.render.bind import PREFIX, files_of
from runner.render.catalog import LoadedTemplate
from runner.render.digest import canonical, node_digests, workflow_digest
from runner.text.nearest import did_you_mean

RENDER_VERSION: Final = 1
"""Part of every recipe; raised when the same template and values come to mean another graph."""


def render(template: Template, values: Mapping[str, Plain], *, files: Mapping[str, str]) -> Workflow:
    """Return the workflow in its stored form, with its digests.

    Touches no disk, and text among *values* only ever becomes text in the graph. Equal arguments give equal
    workflows; jobs that differ in their seed alone may share nodes, so the result is not to be changed.

    Args:
        template: One that a `Catalog` loaded.
        values: Every parameter of the template → plain data; a file stands as {"$file": project path}.
        files: Project path → `<sha256>.<ext>`, for every file among *values*.

    Returns:
        Files stand as {"$input": "<sha256>.<ext>"}; every declared output has `filename_prefix`
        {"$prefix": true}, whatever the template wrote there. An optional output may be left out of the graph.

    Raises:
        TemplateError: The template and these values give no graph; `TextProgram.nodes` says when.
        KeyError: A file is not among *files*.

    """
    if not isinstance(template, LoadedTemplate):
        raise TypeError(f"template {template.name} was not loaded by a Catalog")
    _check_names(template, values)
    told = {name: _identified(value, files, mark="$input") for name, value in values.items()}
    return template.series.follow(told, template.outputs) or _rendered(template, told)


def _rendered(template: LoadedTemplate, told: Mapping[str, Plain]) -> Workflow:
    nodes = template.program.nodes(told, [name for name in template.outputs if name not in template.optional])
    outputs = {name: kind for name, kind in template.outputs.items() if name in nodes}
    if not outputs:
        message = f"none of its outputs is in the graph: {', '.join(template.outputs)}"
        raise TemplateError([Problem(message=message, path=template.path)])
    for name in outputs:
        nodes[name]["inputs"]["filename_prefix"] = dict(PREFIX)
    digests = node_digests(nodes, outputs)
    workflow = Workflow(
        nodes=nodes,
        outputs=outputs,
        optional=template.optional & outputs.keys(),
        digest=workflow_digest(digests, outputs),
        node_digests=digests,
        inputs=_inputs(template, nodes, told),
    )
    template.series.remember(told, workflow)
    return workflow


def lines_of(template: Template, values: Mapping[str, Plain], nodes: Collection[str]) -> dict[str, int]:
    """Return node id → the line of the template's file that writes it; what cannot be found out is left out.

    Args:
        template: One that a `Catalog` loaded.
        values: Those of a job that it was rendered for.
        nodes: Ids in the graph.

    """
    if not isinstance(template, LoadedTemplate):
        return {}
    told = {name: _identified(value, _AnyFile(), mark="$input") for name, value in values.items()}
    return template.program.lines_of(told, nodes)


class _AnyFile(dict[str, str]):
    """A file for every path: lines do not depend on what is in it."""

    def __missing__(self, path: str) -> str:
        return f"{'0' * 64}.png"


def recipe(template: Template, values: Mapping[str, Plain], files: Mapping[str, str]) -> str:
    """Return the recipe of a job, sha256 in hex: what it is made of, without rendering it.

    Hashed is the canonical JSON (`render.digest`) of {"render": RENDER_VERSION, "template": template.digest,
    "values": values with files as {"$file": identity}}.

    Args:
        template: Its digest covers its source and macros.
        values: Every parameter of the template → plain data.
        files: Project path → identity: `<sha256>.<ext>`, or for a file that is not made yet whatever names
            it for good, such as the upstream recipe and pick.

    Raises:
        KeyError: A file is not among *files*.

    """
    told = {name: _identified(value, files, mark="$file") for name, value in values.items()}
    content = {"render": RENDER_VERSION, "template": template.digest, "values": told}
    return sha256(canonical(content)).hexdigest()


def recipe_by_seed(
    template: Template, values: Mapping[str, Plain], files: Mapping[str, str]
) -> Callable[[int], str]:
    """Return what gives `recipe` for these *values* with another seed: what takes share is hashed once."""
    seeds = [name for name, parameter in template.parameters.items() if parameter.type == "seed"]
    if len(seeds) != 1:
        return lambda seed: recipe(template, {**values, **dict.fromkeys(seeds, seed)}, files)
    name = seeds[0]
    told = {key: _identified(value, files, mark="$file") for key, value in values.items() if key != name}
    head = canonical({"render": RENDER_VERSION, "template": template.digest})[:-1] + b',"values":{'
    before = canonical({key: value for key, value in told.items() if key < name})[1:-1]
    after = canonical({key: value for key, value in told.items() if key > name})[1:-1]
    shared = sha256(head + before + (b"," if before else b"") + canonical(name) + b":")
    tail = (b"," if after else b"") + after + b"}}"

    def of(seed: int) -> str:
        one = shared.copy()
        one.update(canonical(seed) + tail)
        return one.hexdigest()

    return of


def _identified(value: Plain, files: Mapping[str, str], *, mark: str) -> Plain:
    """Return *value* with {"$file": path} as {*mark*: identity}, in lists too."""
    if isinstance(value, dict):
        if value.keys() == {"$file"}:
            return {mark: files[value["$file"]]}
        unresolved = [key for key in value if key.startswith("$")]
        if unresolved:
            raise ValueError(f"{unresolved[0]} was not resolved before rendering")
    if isinstance(value, (list, tuple)):
        return [_identified(item, files, mark=mark) for item in value]
    return value


def _check_names(template: Template, values: Mapping[str, Plain]) -> None:
    if values.keys() == template.parameters.keys():
        return
    missing = [f"parameter `{name}` has no value" for name in template.parameters if name not in values]
    foreign = [
        f"there is no parameter `{name}`{did_you_mean(name, template.parameters)}"
        for name in values
        if name not in template.parameters
    ]
    raise TemplateError([Problem(message=message, path=template.path) for message in (*missing, *foreign)])


def _inputs(template: Template, nodes: Mapping[str, Any], told: Mapping[str, Plain]) -> tuple[str, ...]:
    """Return the files the graph uses, sorted; a file that no value gave is refused."""
    known = files_of(dict(told))
    used = set().union(*[files_of(node["inputs"]) for node in nodes.values()])
    if used <= known:
        return tuple(sorted(used))
    named = f"it names a file by itself ({min(used - known)})"
    message = f"{named}; files come by a parameter of type image, video or audio"
    raise TemplateError([Problem(message=message, path=template.path)])
