"""What a batch asks of a server beyond ComfyUI: nodes of packs, and inputs that lead out of its folders.

A workflow is a program that runs with the server's rights; whoever renders a stranger's spec wants to know.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.comfy.object_info import ObjectInfo
from runner.comfy.protocol import printable
from runner.domain import Finding, Job, Template
from runner.rendered import Rendered

_LONGEST = 300
_OUTWARD = re.compile(r"/(?![/\s])|~/|[A-Za-z]:[\\/]|\\\\|[A-Za-z][A-Za-z0-9+.-]*://")
_UPWARD = re.compile(r"(?:^|[\\/])\.\.(?:[\\/]|$)")


def outward(samples: Sequence[Rendered]) -> tuple[str, ...]:
    """Return a sentence for each input that looks like an absolute path, an address or a way up."""
    found: dict[tuple[str, str, str], str] = {}
    for key, node_class, name, value in _texts(samples):
        found.setdefault((node_class, name, value), key)
    return tuple(
        f"{printable(f'{node_class}.{name}', limit=160)} of {key} is {printable(value, limit=120)}: "
        "the server may read or write there"
        for (node_class, name, value), key in found.items()
    )


def _texts(samples: Sequence[Rendered]) -> Iterator[tuple[str, str, str, str]]:
    for job, node in _nodes(samples):
        for name, value in node["inputs"].items():
            if isinstance(value, str) and _leads_out(value):
                yield job.key, node["class_type"], name, value


def _nodes(samples: Sequence[Rendered]) -> Iterator[tuple[Job, Mapping[str, Any]]]:
    for rendered in samples:
        for node in rendered.workflow.nodes.values() if rendered.workflow else ():
            yield rendered.job, node


def _leads_out(value: str) -> bool:
    short = len(value) <= _LONGEST and "\n" not in value
    return short and bool(_OUTWARD.match(value) or _UPWARD.search(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """A node class that is not among ComfyUI's own."""

    node_class: str
    template: str
    packs: tuple[str, ...]
    """What that template says it needs; which of them the class comes from only a server knows."""
    key: str
    """The first job that uses it."""

    def __str__(self) -> str:
        """Return it as a part of a sentence."""
        packs = f" needs {', '.join(self.packs)}" if self.packs else ""
        return f"{printable(self.node_class, limit=80)} (template {self.template}{packs}; for {self.key})"


def beyond(
    samples: Sequence[Rendered], templates: Mapping[str, Template], own: Collection[str]
) -> tuple[Beyond, ...]:
    """Return the node classes of *samples* that are not among *own*, in the order of the jobs."""
    found: dict[str, Beyond] = {}
    for job, node in _nodes(samples):
        name = node["class_type"]
        if name not in own and name not in found:
            packs = templates[job.template].packs
            found[name] = Beyond(node_class=name, template=job.template, packs=packs, key=job.key)
    return tuple(found.values())


def packs_of(samples: Sequence[Rendered], offers: ObjectInfo) -> Mapping[str, tuple[str, str]]:
    """Return node class → (pack, first job) for the classes of *samples* that are not ComfyUI's own."""
    found: dict[str, tuple[str, str]] = {}
    for job, node in _nodes(samples):
        if pack := offers.pack(node["class_type"]):
            found.setdefault(node["class_type"], (pack, job.key))
    return found


def by_pack(packs: Mapping[str, tuple[str, str]]) -> str:
    """Return `PACK (CLASS, CLASS), PACK (CLASS)`."""
    classes: dict[str, list[str]] = {}
    for name, (pack, _) in packs.items():
        classes.setdefault(pack, []).append(printable(name, limit=80))
    return ", ".join(f"{pack} ({', '.join(sorted(names))})" for pack, names in sorted(classes.items()))


def not_allowed(
    packs: Mapping[str, tuple[str, str]], allowed: Collection[str], server: str
) -> tuple[Finding, ...]:
    """Return a finding for each class that neither by its name nor by its pack's is among *allowed*."""
    return tuple(
        Finding(
            server=server,
            node_class=name,
            message=f"node class `{printable(name, limit=80)}` of the pack {pack} is not among the nodes "
            f"allowed; --allow-nodes {pack} allows all of that pack",
            keys=(key,),
        )
        for name, (pack, key) in packs.items()
        if name not in allowed and pack not in allowed
    )
