"""Values for a template's parameters, and the frame of a template made on the spot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runner.domain import Required, Template
from runner.errors import TemplateError

PICTURE = "a" * 64 + ".png"
FILES = {"refs/a.png": PICTURE}
_FILLED: Mapping[str, Any] = {
    "seed": 7,
    "loras": [],
    "cast": [],
    "text": "a lighthouse",
    "file": "model.safetensors",
    "files": ["encoder.safetensors"],
    "choice": "flux",
    "image": {"$file": "refs/a.png"},
}

HEAD = """---
parameters:
  prompt: {type: text}
  steps: {type: int, default: 20}
  size: {type: size, default: 64x64}
  loras: {type: loras}
outputs: {out: image}
---
"""
USES = "{%- set used = [prompt, steps, size, loras] %}"
"""Uses every parameter of HEAD, so that a template under test need not; stands on line 9."""


def values_for(template: Template, **given: Any) -> dict[str, Any]:
    """Return a value for every parameter of *template*: given, else default, else something of its type."""
    return {
        name: given.get(
            name, _FILLED.get(parameter.type) if parameter.default is Required else parameter.default
        )
        for name, parameter in template.parameters.items()
    }


def problems(fault: pytest.ExceptionInfo[TemplateError]) -> list[tuple[int, str]]:
    """Return (line, message) of every problem."""
    return [(problem.line, problem.message) for problem in fault.value.problems]
