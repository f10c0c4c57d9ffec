"""Can these servers run this batch? Asked once per distinct server, class, input and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.domain import Finding, ServerFacts
from runner.rendered import Rendered
from runner.submit import Executor


async def preflight(
    samples: Sequence[Rendered], executor: Executor, facts: Sequence[ServerFacts]
) -> tuple[Finding, ...]:
    """Return what the servers of *facts* lack for *samples*, by server, in the order of the jobs.

    A job may start on any server, so each of them must have everything.
    """
    parameters = _parameters(samples)
    findings: list[Finding] = []
    for each in facts:
        checker = (await executor.object_info(each.url)).checker(parameters)
        for rendered in samples:
            if rendered.workflow is not None:
                checker.add(rendered.workflow.nodes, rendered.job.key)
        findings += checker.findings()
    return tuple(findings)


def told(findings: Sequence[Finding]) -> list[str]:
    """Return the findings as sentences, each with the first job that needs what is missing."""
    return [f"{each.message}  (for {_first(each.keys)})" if each.keys else each.message for each in findings]


def _first(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} and others"


def _parameters(samples: Sequence[Rendered]) -> Mapping[tuple[str, str], str]:
    """Return (class, input) → the template parameter whose text stands there, for advice."""
    found: dict[tuple[str, str], str] = {}
    for rendered in samples:
        texts = {v: name for name, v in rendered.job.values.items() if isinstance(v, str) and v}
        for node in rendered.workflow.nodes.values() if rendered.workflow else ():
            for name, value in node["inputs"].items():
                if isinstance(value, str) and value in texts:
                    found[node["class_type"], name] = texts[value]
    return found
