"""Making the plan of a spec with the record of earlier runs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.comfy.credentials import normalise_url, secrets_of
from runner.domain import Realm
from runner.errors import Problem, UsageError
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
    all_runs: bool = False,
) -> Plan:
    """Return the plan of *spec*, with what earlier runs under `settings.runs` made left out.

    Its warnings tell what of the record cannot be read; see `History.notices` about *all_runs*.
    """
    plan = make_plan(
        spec,
        sets=sets,
        only=only,
        without=without,
        max_jobs=settings.max_jobs,
        reuse=_reuse(settings, force=force, force_only=force_only),
    )
    refuse_secrets(plan, settings, sets)
    assert plan.reuse is not None, "given above"
    notices = plan.reuse.history.notices(plan.spec.files[0].path, spec, all_runs=all_runs)
    return replace(plan, warnings=(*plan.warnings, *(Problem(message=each) for each in notices)))


def refuse_secrets(plan: Plan, settings: Settings, sets: Sequence[str]) -> None:
    """Raise UsageError when *plan* was made from a file or a text that holds one of our credentials.

    The record would keep it, the server would show it to all, and pictures carry their workflow.
    """
    if not settings.credentials:
        return
    secrets = secrets_of(settings.credentials)
    files = [plan.root / file.path for file in plan.spec.files]
    files += [source.path for source in plan.catalog.sources() if source.name in plan.templates]
    found = [str(path) for path in files if secrets.found_in(path.read_bytes())]
    found += ["--set"] if secrets.found_in("\n".join(sets).encode()) else []
    if found:
        raise UsageError(
            f"{', '.join(found)} holds the value of an ANIMERUN_ credential, which the record, the server "
            "and every picture would show",
            hint="take it out; the environment is where it belongs",
        )


def _reuse(settings: Settings, *, force: bool, force_only: Sequence[str]) -> Reuse:
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
