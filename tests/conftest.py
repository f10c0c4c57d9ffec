"""Options that pytest must know before it collects; fixtures that several test folders share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options of this test tree."""
    parser.addoption(
        "--comfyui-url",
        default=None,
        metavar="URL",
        help="run tests/conformance against this server (yours alone) instead of a previz child",
    )
