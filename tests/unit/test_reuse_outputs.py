"""A workflow that is up to date by its digest has the outputs that are declared now."""

from __future__ import annotations

import pytest

from runner.domain import Output, OutputKind, Workflow
from runner.manifest.history import Made
from runner.reuse import holds


def made(**kinds: OutputKind) -> Made:
    outputs = tuple(
        Output(node=node, index=index, path=f"{node}{index}", sha256="0", size=1, kind=kind)
        for node, kind in kinds.items()
        for index in range(2)
    )
    return Made(run="r", key="k", name="n", digest="d", prompt_id="p", outputs=outputs)


def declared(*optional: str, **kinds: OutputKind) -> Workflow:
    return Workflow(nodes={}, outputs=kinds, optional=frozenset(optional), digest="d")


@pytest.mark.parametrize(
    ("before", "now", "held"),
    [
        (made(a="image"), declared(b="image"), True),
        (made(a="model3d"), declared(a="image"), False),
        (made(a="image"), declared(a="image", b="image"), False),
        (made(a="image"), declared("b", a="image", b="image"), True),
        (made(a="image", b="text"), declared(a="image"), True),
    ],
    ids=["other ids", "another kind", "one is missing", "the missing one is optional", "more than needed"],
)
def test_kinds_and_number_of_outputs_count(before: Made, now: Workflow, held: bool) -> None:
    """Each file of a node counts once; ids are nobody's business, for a digest leaves them out."""
    assert holds(before, now) == held
