"""Which ComfyUI the server passes for: what changed about submissions between versions."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Literal

ProfileName = Literal["old", "v0364", "v038"]


class BadId(ValueError):
    """The prompt id of a submission has not the form this version asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One version's rules."""

    version: str
    """As `/system_stats` tells it."""
    ids: Literal["its own", "any", "canonical"]
    """Whose prompt ids count: the server's, anything the client sends, or lower-case UUIDs of the client."""
    interrupts_by_id: bool = True

    def prompt_id(self, body: Any) -> str:
        """Return the id a submission runs under.

        Raises:
            BadId: This version takes canonical lower-case UUIDs only.

        """
        if self.ids == "its own" or "prompt_id" not in body:
            return str(uuid.uuid4())
        given = body["prompt_id"]
        if self.ids == "any":
            return str(given)
        if given is None:
            return str(uuid.uuid4())
        if not isinstance(given, str) or not _canonical(given):
            raise BadId(given)
        return given


def _canonical(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


PROFILES: dict[ProfileName, Profile] = {
    "old": Profile(version="0.3.40", ids="its own", interrupts_by_id=False),
    "v0364": Profile(version="0.3.64", ids="any"),
    "v038": Profile(version="0.38.0", ids="canonical"),
}
