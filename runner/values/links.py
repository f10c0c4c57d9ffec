"""Links among a project's files: where they lead, told without a crash."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

ROUND: Final = "its links lead round in a circle"


def resolved(path: Path) -> Path:
    """Return *path* with every link followed; it need not exist.

    Raises:
        OSError: The links lead round in a circle (errno ELOOP, strerror `ROUND`).
        ValueError: The path holds U+0000.

    """
    try:
        return path.resolve()
    except RuntimeError as fault:  # how Python before 3.13 tells a circle
        raise OSError(errno.ELOOP, ROUND, str(path)) from fault
