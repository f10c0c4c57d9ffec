"""Questions to a person, and what happens when there is none; and one to this machine."""

from __future__ import annotations

import sys

import click

from runner.cli.console import counted
from runner.errors import LimitReached

LOCAL = "http://127.0.0.1:8188"
"""Where a ComfyUI on this machine usually listens."""

_PATIENCE_S = 0.3

ASK_FROM = 10_000
"""Jobs from which a run is asked about."""


def confirm_size(jobs: int, *, yes: bool) -> None:
    """Ask before a very large run; without a terminal it needs `--yes`. Raises LimitReached, Abort."""
    if jobs <= ASK_FROM or yes:
        return
    if not sys.stdin.isatty():
        raise LimitReached(f"this spec makes {counted(jobs, 'job')}", hint="if that is meant: --yes")
    click.confirm(f"This spec makes {counted(jobs, 'job')}. Render them?", abort=True, err=True)


def comfyui_at_hand() -> bool:
    """Tell whether a ComfyUI answers at its usual address on this machine; it is only asked, never used."""
    import json
    import urllib.error
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{LOCAL}/system_stats", timeout=_PATIENCE_S) as answer:
            told = json.loads(answer.read(65_536))
    except (OSError, ValueError, urllib.error.URLError):
        return False
    return isinstance(told, dict) and "comfyui_version" in (told.get("system") or {})
