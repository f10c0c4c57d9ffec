"""Pieces of file names that every file system takes."""

from __future__ import annotations

import hashlib


def cut(text: str, most: int) -> str:
    """Return the beginning of *text* in at most *most* bytes: file systems count bytes, not characters."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def node_part(node: str) -> str:
    """Return the id of a *node* as a part of a file name, with a checksum where something in it was changed.

    ComfyUI writes `57:9` for a node in a subgraph, and Windows takes no `:`.
    """
    kept = "".join(ch if ch.isascii() and (ch.isalnum() or ch in "-_") else "-" for ch in node[:40])
    return (
        kept if kept == node else f"{kept}-{hashlib.sha256(node.encode('utf-8', 'replace')).hexdigest()[:6]}"
    )
