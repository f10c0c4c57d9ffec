"""Can these servers run this batch? Asked once per distinct server, class, input and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from runner.comfy.additions import fitted
from runner.comfy.credentials import comfy_key
from runner.comfy.graph_check import Checker
from runner.comfy.object_info import ObjectInfo
from runner.comfy.protocol import printable
from runner.comfy.replacements import Replacement
from runner.domain import Finding, ServerFacts, Template
from runner.foreign import by_pack, not_allowed, outward, packs_of
from runner.render import lines_of
from runner.rendered import Rendered
from runner.settings import Settings
from runner.submit import Executor

_NOTES_SHOWN = 20
_PLACED = 60
"""Findings whose line is looked for: each may cost a second rendering."""
_NO_TEMPLATES: Mapping[str, Template] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What was found at the servers."""

    lacking: Mapping[str, tuple[Finding, ...]]
    """Server → why it cannot run the batch; empty for one that can."""
    notes: tuple[str, ...] = ()
    """What people should know, a sentence each; nothing follows from it."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is lacking anywhere."""
        return tuple(chain.from_iterable(self.lacking.values()))


async def preflight(
    samples: Sequence[Rendered],
    executor: Executor,
    facts: Sequence[ServerFacts],
    *,
    settings: Settings,
    templates: Mapping[str, Template] = _NO_TEMPLATES,
) -> Preflight:
    """Return what each server of *facts* lacks for *samples*, in the order of the jobs.

    *templates* (name → template) give findings their file and line. With `settings.strict` a note on a graph
    is a finding; with `settings.allow_nodes` a class of another pack is one.
    """
    parameters = _parameters(samples)
    lacking: dict[str, tuple[Finding, ...]] = {}
    notices = list(outward(samples))
    noted: dict[str, tuple[Finding, list[str]]] = {}
    for each in facts:
        offers = await executor.object_info(each.url)
        packs = packs_of(samples, offers)
        notices += [f"nodes that are not ComfyUI's own: {by_pack(packs)}"] if packs else []
        replaced = await _replaced(samples, offers, executor)
        key = comfy_key(each.url, settings.credentials, allow_plain_http=settings.allow_plain_http)
        checker = Checker(offers, parameters, replaced, no_key=key.why_not)
        for rendered in samples:
            if rendered.workflow is not None:
                nodes = fitted(rendered.workflow.nodes, offers)
                checker.add(nodes, rendered.job.key, tuple(rendered.workflow.outputs))
        findings = [*checker.findings(), *(checker.notes() if settings.strict else ())]
        if settings.allow_nodes is not None:
            findings = [*not_allowed(packs, settings.allow_nodes, each.url), *findings]
        lacking[each.url] = _placed(findings, samples, templates)
        for note in checker.notes() if not settings.strict else ():
            # One sentence for what several servers do alike.
            noted.setdefault(note.message.replace(each.url, ""), (note, []))[1].append(each.url)
    notes = _placed([note for note, _ in noted.values()], samples, templates)
    counts = [len(servers) for _, servers in noted.values()]
    notices += [
        f"{sentence} (and on {count - 1} more)" if count > 1 else sentence
        for sentence, count in zip(told(notes), counts, strict=True)
    ]
    return Preflight(lacking=lacking, notes=_shortened(tuple(dict.fromkeys(notices))))


async def _replaced(
    samples: Sequence[Rendered], offers: ObjectInfo, executor: Executor
) -> Mapping[str, Replacement]:
    """Return which class the server puts in the place of which; asked only where it lacks one."""
    nodes = chain.from_iterable(each.workflow.nodes.values() for each in samples if each.workflow)
    if all(node["class_type"] in offers for node in nodes):
        return {}
    return await executor.replacements(offers.server)


def _placed(
    findings: Sequence[Finding], samples: Sequence[Rendered], templates: Mapping[str, Template]
) -> tuple[Finding, ...]:
    """Return *findings* with the file and line of their nodes, as far as these can be found out."""
    jobs = {each.job.key: each.job for each in samples} if findings else {}
    found = []
    for number, each in enumerate(findings):
        job = jobs.get(each.keys[0]) if each.keys else None
        template = templates.get(job.template) if job is not None else None
        place = ""
        if job is not None and template is not None and each.node and number < _PLACED:
            line = lines_of(template, job.values, (each.node,)).get(each.node, 0)
            place = f"{template.path}:{line}" if line else template.path
        found.append(replace(each, place=place) if place else each)
    return tuple(found)


def _shortened(notices: tuple[str, ...]) -> tuple[str, ...]:
    if len(notices) <= _NOTES_SHOWN + 1:
        return notices
    return (*notices[:_NOTES_SHOWN], f"and {len(notices) - _NOTES_SHOWN} more notes")


def told(findings: Sequence[Finding]) -> list[str]:
    """Return the findings as sentences: where, what, and the first job concerned."""
    return [_sentence(each) for each in findings]


def _sentence(finding: Finding) -> str:
    node = f"node `{printable(finding.node, limit=60)}`" if finding.node else ""
    where = ", ".join(part for part in (finding.place, node) if part)
    jobs = f"  (for {_first(finding.keys)})" if finding.keys else ""
    return f"{where}: {finding.message}{jobs}" if where else f"{finding.message}{jobs}"


def differences(facts: Sequence[ServerFacts]) -> tuple[str, ...]:
    """Return what differs between servers and may show in pictures, a sentence each; devices may differ."""
    asked = {"ComfyUI": "version", "torch": "torch", "node packs": "packs"}
    found = []
    for what, name in asked.items():
        values = {each.url: getattr(each, name) for each in facts if getattr(each, name)}
        if len(set(values.values())) > 1:
            said = "; ".join(f"{url} has {_value(value, values)}" for url, value in values.items())
            found.append(f"the servers differ in {what}: {said}")
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
