"""Making the plan of a spec with the record of earlier runs beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.cli.console import say
from runner.comfy.client import Client, Limits
from runner.comfy.credentials import credentials_for, normalise_url, secrets_of
from runner.comfy.tls import trust
from runner.domain import Realm
from runner.errors import Problem, ServerFault, UsageError
from runner.manifest.history import History
from runner.model_files import FoundFiles, facts_of
from runner.naming import Pattern
from runner.plan import Plan, make_plan, plan_of
from runner.reuse import Policy, Reuse
from runner.settings import Settings

_SHORT = Limits(connect_s=2.0, read_s=5.0)


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


def with_model_files(plan: Plan, settings: Settings) -> Plan:
    """Return *plan* with the jobs stale whose model files have changed on the servers of *settings*.

    A server that does not answer at once is left out; what is not known counts as equal.
    """
    reuse = plan.reuse
    if reuse is None or reuse.realm == "previz" or settings.previz or not (plan.reused and plan.model_files):
        return plan
    models = facts_of(asyncio.run(_listed(settings, plan.model_files)), settings.model_sums)
    if not any(reuse.changed_since(run, models) for run in plan.makers):
        return plan
    found = plan_of(plan.spec, plan.catalog, plan.expansion, replace(reuse, models=models))
    return replace(found, warnings=plan.warnings)


async def _listed(settings: Settings, wanted: frozenset[tuple[str, str]]) -> FoundFiles:
    found: FoundFiles = {}
    for url in dict.fromkeys(map(normalise_url, settings.servers)):
        keys = credentials_for(url, settings.credentials, allow_plain_http=settings.allow_plain_http)
        secured = url.startswith("https:")
        tls = (
            trust(ca_file=settings.ca_file, allow_insecure_tls=settings.allow_insecure_tls)
            if secured
            else None
        )
        client = Client(url, credentials=keys, limits=_SHORT, tls=tls)
        try:
            for folder in sorted({folder for folder, _ in wanted if folder}):
                for name, listed in (await client.listed_models(folder)).items():
                    if (folder, name) in wanted:
                        found.setdefault((folder, name), {})[url] = listed
        except ServerFault as fault:
            say(f"note: whether model files have changed is not known: {fault}")
        finally:
            await client.close()
    return found


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
