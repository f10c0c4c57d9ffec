"""Making the plan of a spec with the record of earlier runs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.comfy.credentials import normalise_url
from runner.domain import Realm
from runner.errors import UsageError
from runner.manifest.history import History
from runner.model_files import facts_of
from runner.naming import Pattern
from runner.plan import Plan, make_plan
from runner.reuse import Policy, Reuse
from runner.settings import Settings


def plan_with_history(
    spec: Path,
    settings: Settings,
    *,
    sets: Sequence[str],
    only: Sequence[str],
    without: Sequence[str],
    force: bool,
    force_only: Sequence[str],
) -> Plan:
    """Return the plan of *spec*, with what earlier runs under `settings.runs` made left out."""
    return make_plan(
        spec,
        sets=sets,
        only=only,
        without=without,
        max_jobs=settings.max_jobs,
        reuse=_reuse(settings, force=force, force_only=force_only),
    )


def _reuse(settings: Settings, *, force: bool, force_only: Sequence[str]) -> Reuse | None:
    if not settings.runs.is_dir():
        return None
    try:
        patterns = tuple(Pattern.parse(text) for text in force_only)
    except ValueError as error:
        raise UsageError(f"--force-only: {error}") from error
    policy = Policy(force=force, force_only=patterns)
    history = History(settings.runs)
    realm: Realm = "previz" if settings.previz else _realm(history, settings.servers)
    return Reuse(history, realm, policy, facts_of({}, settings.model_sums))


def _realm(history: History, servers: Sequence[str]) -> Realm:
    """Return what these servers are as far as the record tells; it is settled when they answer."""
    return history.realm_of([normalise_url(server) for server in servers]) or "comfyui"
