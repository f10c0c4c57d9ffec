"""Small model-free workflows for the conformance tests.

Every picture has a colour of its own unless one is given, so that no test meets the node cache by accident.
"""

from __future__ import annotations

import secrets
from typing import Any

Graph = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Return one node of a workflow in API format."""
    return {"class_type": class_type, "inputs": inputs}


def colour() -> int:
    """Return a colour that no other picture of this session has (24 random bits)."""
    return secrets.randbelow(0xFFFFFF)


def canvas(*, color: int | None = None, width: Any = 16, height: Any = 16, batch: int = 1) -> dict[str, Any]:
    """Return an EmptyImage node of a single colour."""
    color = colour() if color is None else color
    return node("EmptyImage", width=width, height=height, batch_size=batch, color=color)


def picture(prefix: str, **options: Any) -> Graph:
    """Return the smallest workflow that saves a picture: node 1 makes it, node 2 saves it."""
    return {"1": canvas(**options), "2": node("SaveImage", images=["1", 0], filename_prefix=prefix)}


def preview(**options: Any) -> Graph:
    """Return a workflow that ends in a PreviewImage, whose file is temporary."""
    return {"1": canvas(**options), "2": node("PreviewImage", images=["1", 0])}


def through(test_node: str, prefix: str, **inputs: Any) -> Graph:
    """Return canvas (1) → the test node (2) → SaveImage (3)."""
    return {
        "1": canvas(),
        "2": node(test_node, image=["1", 0], **inputs),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
    }


def sleeper(seconds: float = 30.0, *, coop: bool = True) -> Graph:
    """Return a job that runs for *seconds*; a cooperative one looks for an interrupt every 0.1 s."""
    return {
        "1": canvas(),
        "2": node("TSleep", image=["1", 0], seconds=seconds, coop=coop),
        "3": node("PreviewImage", images=["2", 0]),
    }
