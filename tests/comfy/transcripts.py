"""Reads tests/transcripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "transcripts"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def lines(name: str) -> list[dict[str, Any]]:
    """Return the transcript, one object per line."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()]


def prompt_id(name: str) -> str:
    """Return the id that was submitted."""
    return next(line["prompt_id"] for line in lines(name) if "prompt_id" in line)


def messages(name: str) -> list[str | bytes]:
    """Return the socket's messages as they came."""
    return [
        json.dumps(line["frame"]) if "frame" in line else bytes.fromhex(line["binary"])
        for line in lines(name)
        if "frame" in line or "binary" in line
    ]


def entry(name: str) -> dict[str, Any]:
    """Return the history entry."""
    history = next(line["history"] for line in lines(name) if "history" in line)
    return history[prompt_id(name)]


def answer(name: str) -> tuple[int, Any]:
    """Return status and body of the submission."""
    return next((line["post"], line["body"]) for line in lines(name) if "post" in line)
