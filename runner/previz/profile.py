"""Which ComfyUI the server passes for: what changed about submissions between versions."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final, Literal

from runner.previz.job_list import is_canonical

ProfileName = Literal["old", "v0364", "v0330"]
NEWEST: Final[ProfileName] = "v0330"


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
    lists_jobs: bool = True
    """Has `/api/jobs` and `/node_replacements`, stamps `create_time`, and says `missing_node_type`."""

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
        if not is_canonical(given):
            raise BadId(given)
        return str(given)


PROFILES: dict[ProfileName, Profile] = {
    "old": Profile(version="0.3.40", ids="its own", interrupts_by_id=False, lists_jobs=False),
    "v0364": Profile(version="0.3.64", ids="any", lists_jobs=False),
    "v0330": Profile(version="0.33.0", ids="canonical"),
}
