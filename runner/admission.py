"""Which servers take part in a run: those that have everything it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runner.domain import ServerFacts, Template
from runner.errors import PreflightRefused
from runner.events import ServerNotice
from runner.preflight import Preflight, differences, preflight, told
from runner.rendered import Rendered
from runner.settings import Settings
from runner.submit import Executor


async def admit(
    samples: Sequence[Rendered],
    templates: Mapping[str, Template],
    executor: Executor,
    settings: Settings,
    tell: Callable[[ServerNotice], None],
) -> None:
    """Leave out every server that lacks what *samples* ask for, now and when one joins later.

    Raises:
        PreflightRefused: No server can run it; or one of several cannot, and `settings.require_all` is set.

    """
    there = executor.facts

    async def lacks(facts: ServerFacts) -> list[str]:
        found = await preflight(samples, executor, (facts,), settings=settings, templates=templates)
        unlike = differences((*there[:1], facts)) if settings.require_uniform else ()
        return [*told(found.findings), *unlike]

    executor.admit(lacks)
    found = await preflight(samples, executor, there, settings=settings, templates=templates)
    for note in found.notes:
        tell(ServerNotice(server="", message=note))
    for server, why in left_out(found, settings).items():
        executor.leave_out(server, why)


def left_out(found: Preflight, settings: Settings) -> dict[str, list[str]]:
    """Return the servers that cannot take part and why; raises PreflightRefused when the run cannot begin."""
    lacking = {server: told(findings) for server, findings in found.lacking.items() if findings}
    if lacking and len(lacking) == len(found.lacking):
        raise PreflightRefused(told(found.findings))
    if lacking and settings.require_all:
        hint = "without --require-all the run goes on with the other servers"
        raise PreflightRefused(told(found.findings), hint=hint)
    return lacking
