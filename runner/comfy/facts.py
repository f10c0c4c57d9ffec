"""What `/system_stats` says a server is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from runner.domain import Plain, ServerFacts
from runner.errors import Refused

_OLDEST: Final = (0, 3, 45)
"""The first ComfyUI that runs a submission under the id it was sent with (July 2025)."""


def facts_of(
    url: str, stats: Mapping[str, Plain], *, classes: int = 0, latency_s: float = 0.0
) -> ServerFacts:
    """Return what `/system_stats` says; unknown parts stay empty."""
    system = stats.get("system")
    system = system if isinstance(system, dict) else {}
    devices = stats.get("devices")
    device = devices[0] if isinstance(devices, list) and devices and isinstance(devices[0], dict) else {}
    previz = str(system.get("animerun_previz") or "")
    return ServerFacts(
        url=url,
        realm="previz" if previz else "comfyui",
        version=str(system.get("comfyui_version") or ""),
        torch=str(system.get("pytorch_version") or ""),
        python=str(system.get("python_version") or "").partition(" ")[0],
        device=str(device.get("name") or ""),
        os=str(system.get("os") or ""),
        classes=classes,
        previz=previz,
        latency_s=latency_s,
    )


def refuse_old(facts: ServerFacts) -> None:
    """Raise Refused for a ComfyUI that chooses prompt ids itself: what was sent could not be found again."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", facts.version)
    if found and tuple(map(int, found.groups())) < _OLDEST:
        raise Refused(
            f"{facts.url} is ComfyUI {facts.version}, which chooses the ids of jobs itself",
            hint=f"update ComfyUI there: {'.'.join(map(str, _OLDEST))} or newer is needed",
        )
