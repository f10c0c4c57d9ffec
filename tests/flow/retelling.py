"""Journals rewritten on purpose: the checksums are chained anew, so that only the content can tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.manifest.journal import Reading, encode
from runner.manifest.shapes import _leaves, unpack
from runner.render import node_digests, workflow_digest
from runner.render.bind import PREFIX

Line = dict[str, Any]


def rewrite(folder: Path, change: Callable[[Line], Line | None]) -> None:
    """Put what *change* makes of each line in its place; None leaves it out."""
    path = folder / "journal.jsonl"
    check, written = 0, bytearray()
    for line in list(Reading(path)):
        new = change(line)
        if new is not None:
            raw, check = encode(new, check)
            written += raw
    path.write_bytes(written)


def reseed(folder: Path, key: str, seed: int, *, leaf: str = "seed", digest: bool = True) -> None:
    """Put *seed* where *leaf* stands in the workflow of *key*; *digest*: and the digest that is its own."""
    lines = list(Reading(folder / "journal.jsonl"))
    shapes = {line["shape"]: line["nodes"] for line in lines if line["t"] == "shape"}
    texts = {line["text"]: line["value"] for line in lines if line["t"] == "text"}

    def change(line: Line) -> Line:
        if line["t"] != "job" or line["key"] != key:
            return line
        packed = line["workflow"]
        [number] = [n for n, (_, name, _) in enumerate(_leaves(shapes[packed["shape"]])) if name == leaf]
        packed = {**packed, "leaves": {**packed["leaves"], str(number): seed}}
        nodes = unpack(packed, shapes, texts)
        return {**line, "workflow": packed} | ({"digest": digest_of(nodes)} if digest else {})

    rewrite(folder, change)


def digest_of(nodes: dict[str, Any]) -> str:
    """Return the digest of a stored graph."""
    outputs = [name for name, node in nodes.items() if node["inputs"].get("filename_prefix") == PREFIX]
    return workflow_digest(node_digests(nodes, outputs), outputs)
