"""The record as a command opens it: what a person should hear of it is said first, on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli.console import warn

if TYPE_CHECKING:
    from runner.manifest.store import Manifest, Report


@contextmanager
def opened(runs: Path) -> Iterator[Manifest]:
    """Yield the record of *runs*; first say why its index is not read, and which runs are left out."""
    from runner.manifest.store import Manifest

    with Manifest(runs) as manifest:
        said = manifest.damaged
        for each in said:
            warn(each)
        yield manifest
        for each in manifest.damaged:
            # A damaged page of the index may show only when it is read.
            if each not in said:
                warn(each)


def tell_index(report: Report | None) -> None:
    """Say what stood in the way of the index, if anything did."""
    for each in report.warnings if report else ():
        warn(each)
