"""What a server offers (`/object_info`), and what a batch of workflows misses there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Plain = Any


class ObjectInfo:
    """The node classes of one server."""

    def __init__(self, data: Mapping[str, Plain], *, server: str = "") -> None:
        self.server = server
        self._classes = {name: said for name, said in data.items() if isinstance(said, dict)}

    def __len__(self) -> int:
        """Return the number of node classes."""
        return len(self._classes)
