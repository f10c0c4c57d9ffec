"""What `/system_stats` says a server is. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from runner.comfy.protocol import printable
from runner.domain import Plain, ServerFacts
from runner.errors import Refused

_OLDEST: Final = (0, 3, 45)
"""The first ComfyUI that runs a submission under the id it was sent with (July 2025)."""


def facts_of(
    url: str, stats: Mapping[str, Plain], *, classes: int = 0, latency_s: float = 0.0
) -> ServerFacts:
    """Return what `/system_stats` says; what it does not say in words stays empty."""
    system = stats.get("system")
    system = system if isinstance(system, dict) else {}
    devices = stats.get("devices")
    device = devices[0] if isinstance(devices, list) and devices and isinstance(devices[0], dict) else {}
    previz = _text(system, "animerun_previz")
    return ServerFacts(
        url=url,
        realm="previz" if previz else "comfyui",
        version=_text(system, "comfyui_version"),
        torch=_text(system, "pytorch_version"),
        python=_text(system, "python_version").partition(" ")[0],
        device=_text(device, "name"),
        os=_text(system, "os"),
        classes=classes,
        previz=previz,
        latency_s=latency_s,
    )


def _text(facts: Mapping[str, Plain], name: str) -> str:
    """Return what a server says under *name*, fit for a record and a terminal whatever it sends."""
    told = facts.get(name)
    return printable(told, limit=200) if isinstance(told, str) else ""


def refuse_old(facts: ServerFacts) -> None:
    """Raise Refused for a ComfyUI that chooses prompt ids itself: what was sent could not be found again.

    No capability shows it before a job is queued, so the version decides; one that cannot be read passes.
    """
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", facts.version)
    if found and tuple(map(int, found.groups())) < _OLDEST:
        raise Refused(
            f"{facts.url} is ComfyUI {facts.version}, which chooses the ids of jobs itself",
            hint=f"update ComfyUI there: {'.'.join(map(str, _OLDEST))} or newer is needed",
        )


def memory_of(stats: Mapping[str, Plain]) -> str:
    """Return `; VRAM there now: 1.2 of 8.0 GiB free`, empty where `/system_stats` does not tell."""
    devices = stats.get("devices")
    device = devices[0] if isinstance(devices, list) and devices and isinstance(devices[0], dict) else {}
    free, total = device.get("vram_free"), device.get("vram_total")
    if not isinstance(free, (int, float)) or not isinstance(total, (int, float)) or not 0 < total < 2**53:
        return ""
    return f"; VRAM there now: {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
