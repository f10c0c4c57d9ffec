"""What the tests of `runner.render` share: the shipped catalog, and templates made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.domain import Template, Workflow
from runner.render import Catalog, render

from .samples import FILES, HEAD, USES, values_for


@pytest.fixture(scope="session")
def shipped() -> Catalog:
    """The shipped templates alone."""
    return Catalog(None)


@pytest.fixture
def rendered(shipped: Catalog) -> Callable[..., Workflow]:
    """Render a shipped template with some values given and the others filled in."""

    def workflow(name: str, **given: Any) -> Workflow:
        template = shipped.load(name)
        return render(template, values_for(template, **given), files=FILES)

    return workflow


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Template]:
    """Load a template from its text; `macros` becomes the project's own nodes.j2."""

    def loaded(text: str, *, macros: str | None = None) -> Template:
        folder = tmp_path / "templates"
        folder.mkdir(exist_ok=True)
        (folder / "mine.json.j2").write_text(text, encoding="utf-8")
        if macros is not None:
            (folder / "nodes.j2").write_text(macros, encoding="utf-8")
        return Catalog(tmp_path).load("mine")

    return loaded


@pytest.fixture
def graph(load: Callable[..., Template]) -> Callable[..., dict[str, Any]]:
    """Render a body behind HEAD and USES; returns its nodes."""

    def nodes(body: str, **given: Any) -> dict[str, Any]:
        template = load(HEAD + USES + "\n" + body)
        return dict(render(template, values_for(template, **given), files=FILES).nodes)

    return nodes
