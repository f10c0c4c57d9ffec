"""What is known of one server beyond its connection, and what follows from it for what is sent there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runner import door
from runner.comfy.facts import facts_of, refuse_old
from runner.comfy.graph_check import Nodes
from runner.comfy.object_info import ObjectInfo
from runner.comfy.replacements import Replacement, read_replacements
from runner.comfy.server import Server
from runner.comfy.spelling import spelled_as_listed
from runner.domain import ServerFacts

Plain = Any


@dataclass(slots=True, kw_only=True, eq=False)
class Known:
    """One server: what it is and offers, and which files of ours it has."""

    server: Server
    facts: ServerFacts | None = None
    object_info: ObjectInfo | None = None
    fit: tuple[ServerFacts, ObjectInfo] | None = None
    """What it was and offered when nothing was lacking."""
    replaced: Mapping[str, Replacement] | None = None
    """Class it does not have → the one it runs instead; None = not asked."""
    uploaded: set[str] = field(default_factory=set)
    uploading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self) -> None:
        """Ask the server what it is and what it offers; raises ServerFault."""
        client = self.server.client
        began = door.monotonic()
        stats = await client.system_stats()
        latency_s = door.monotonic() - began
        self.object_info = ObjectInfo(await client.object_info(), server=client.url)
        self.replaced = None
        facts = facts_of(client.url, stats, classes=len(self.object_info), latency_s=latency_s)
        refuse_old(facts)
        self.facts = replace(facts, packs=self.object_info.packs)

    async def replacements(self) -> Mapping[str, Replacement]:
        """Return class → the one the server runs in its place; raises ServerFault."""
        if self.replaced is None:
            self.replaced = read_replacements(await self.server.client.node_replacements())
        return self.replaced

    @property
    def now(self) -> tuple[ServerFacts, ObjectInfo]:
        """What it is and offers, as far as that can be compared."""
        assert self.facts is not None and self.object_info is not None, "asked before"
        return replace(self.facts, latency_s=0.0), self.object_info

    def as_listed(self, nodes: Nodes) -> Nodes:
        """Return *nodes*, about to be sent, with file names spelled as this server lists them."""
        return nodes if self.object_info is None else spelled_as_listed(nodes, self.object_info)

    def extra_data(self, nodes: Nodes) -> Mapping[str, Plain]:
        """Return the key of comfy.org for a graph that needs it; storyboard servers never get it.

        ComfyUI 0.33 execution.py get_input_data: `extra_data.api_key_comfy_org`, which server.py keeps out of
        queue and history.
        """
        key = self.server.client.credentials.comfy_key
        if not key or self.facts is None or self.facts.realm != "comfyui" or self.object_info is None:
            return {}
        takes = any(self.object_info.takes_key(str(node.get("class_type", ""))) for node in nodes.values())
        return {"api_key_comfy_org": key} if takes else {}
