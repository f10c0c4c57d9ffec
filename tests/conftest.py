"""Options that pytest must know before it collects; fixtures that several test folders share."""

from __future__ import annotations

import gc
import os
import signal

import hypothesis
import pytest

from tests.windows import cannot

ON_WINDOWS = os.name == "nt"
collect_ignore = list(cannot.MODULES) if ON_WINDOWS else []

LONG_S = 300
"""The limit of a test that tries many inputs or starts many processes; a limit ends what hangs, and measures
nothing. On two cores with two other busy processes a test takes up to five times as long as alone."""

hypothesis.settings.register_profile(
    "suite",
    # The first text that a process draws builds a table of all characters, unless .hypothesis/ holds one.
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
    deadline=None,
)
hypothesis.settings.load_profile("suite")

for _number in (getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        # A shell without job control starts what runs behind `&` deaf to Ctrl-C, and children inherit it.
        signal.signal(_number, signal.default_int_handler)


# Children start from compiled modules, as an installed program does: hundreds of them are started here.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many workers `-n auto` means: two for each core, as tests here often wait for a clock.

    A worker that is done takes tests from another: the slow ones lie together, and one worker had them all.
    """
    config.option.dist = "worksteal"
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give property tests, and those marked as slow, the longer limit; mark what Windows cannot do."""
    for item in items:
        if ON_WINDOWS and (why := cannot.reason(item.nodeid.partition("tests/")[2])):
            item.add_marker(pytest.mark.skip(reason=why))
        tries_many = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if (tries_many or item.get_closest_marker("slow")) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_S))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options of this test tree."""
    parser.addoption(
        "--comfyui-url",
        default=None,
        metavar="URL",
        help="run tests/conformance against this server (yours alone) instead of a previz child",
    )


def pytest_collection_finish() -> None:
    """Leave what was collected out of every later search for garbage: it stays until the end."""
    gc.freeze()
