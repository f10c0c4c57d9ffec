"""Can these servers run this batch? Asked once per distinct server, class, input and value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from runner.comfy.additions import fitted
from runner.domain import Finding, ServerFacts
from runner.events import ServerNotice
from runner.foreign import by_pack, not_allowed, outward, packs_of
from runner.rendered import Rendered
from runner.submit import Executor


async def preflight(
    samples: Sequence[Rendered],
    executor: Executor,
    facts: Sequence[ServerFacts],
    *,
    allow_nodes: Collection[str] | None = None,
    tell: Callable[[ServerNotice], None] | None = None,
) -> tuple[Finding, ...]:
    """Return what the servers of *facts* lack for *samples*, by server, in the order of the jobs.

    A job may start on any server, so each of them must have everything. *tell* hears what goes beyond
    ComfyUI itself; with *allow_nodes* (node classes and packs) a class of another pack is a finding.
    """
    parameters = _parameters(samples)
    findings: list[Finding] = []
    notices = list(outward(samples))
    for each in facts:
        offers = await executor.object_info(each.url)
        packs = packs_of(samples, offers)
        notices += [f"nodes that are not ComfyUI's own: {by_pack(packs)}"] if packs else []
        findings += not_allowed(packs, allow_nodes, each.url) if allow_nodes is not None else ()
        checker = offers.checker(parameters)
        for rendered in samples:
            if rendered.workflow is not None:
                checker.add(fitted(rendered.workflow.nodes, offers), rendered.job.key)
        findings += checker.findings()
    if tell is not None:
        for notice in dict.fromkeys(notices):
            tell(ServerNotice(server="", message=notice))
    return tuple(findings)


def told(findings: Sequence[Finding]) -> list[str]:
    """Return the findings as sentences, each with the first job that needs what is missing."""
    return [f"{each.message}  (for {_first(each.keys)})" if each.keys else each.message for each in findings]


def differences(facts: Sequence[ServerFacts]) -> tuple[str, ...]:
    """Return what differs between servers and may show in pictures, a sentence each; devices may differ."""
    asked = {"ComfyUI": "version", "torch": "torch", "node packs": "packs"}
    found = []
    for what, name in asked.items():
        values = {each.url: getattr(each, name) for each in facts if getattr(each, name)}
        if len(set(values.values())) > 1:
            told = "; ".join(f"{url} has {_value(value, values)}" for url, value in values.items())
            found.append(f"the servers differ in {what}: {told}")
    return tuple(found)


def _value(value: str | tuple[str, ...], values: Mapping[str, object]) -> str:
    """Return a version, or of a set of packs those that not every server has."""
    if isinstance(value, str):
        return value
    common = set.intersection(*(set(each) for each in values.values() if isinstance(each, tuple)))
    own = sorted(set(value) - common)
    return (
        ", ".join(own[:5]) + (f" and {len(own) - 5} more" if len(own) > 5 else "")
        if own
        else "none of its own"
    )


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
