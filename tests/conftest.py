"""Options that pytest must know before it collects; fixtures that several test folders share."""

from __future__ import annotations

import os
import signal

import pytest

for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        # A shell without job control starts what runs behind `&` deaf to Ctrl-C, and children inherit it.
        signal.signal(_number, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` means: two for each core, as tests here often wait for a clock."""
    return 2 * (os.cpu_count() or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options of this test tree."""
    parser.addoption(
        "--comfyui-url",
        default=None,
        metavar="URL",
        help="run tests/conformance against this server (yours alone) instead of a previz child",
    )
