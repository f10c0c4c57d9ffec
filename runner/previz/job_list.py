"""The jobs of a server in one shape, wherever they are (`/api/jobs`). Pure.

Follows ComfyUI 0.33 comfy_execution/jobs.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.previz.jobs import Item

STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")
SORTS = ("created_at", "execution_duration")
ORDERS = ("asc", "desc")
SEEN = frozenset({"images", "video", "audio", "3d", "text"})
"""The keys of an output whose files a list shows."""

Job = dict[str, Any]


class BadQuery(ValueError):
    """A query of the list has a word or a number that means nothing."""


def is_canonical(prompt_id: object) -> bool:
    """Return whether an id is a lower-case hyphenated UUID."""
    try:
        return isinstance(prompt_id, str) and str(uuid.UUID(prompt_id)) == prompt_id
    except ValueError:
        return False


def queued(item: Item, status: str) -> Job:
    """Return a job that waits or runs."""
    number, prompt_id, _prompt, extra_data, _outputs = item
    told = {"id": prompt_id, "status": status, "priority": number, **_submitted(extra_data)}
    return {**told, "outputs_count": 0, "previewable_outputs_count": 0}


def ended(entry: Mapping[str, Any], *, whole: bool = False) -> Job:
    """Return a job of the history; *whole* adds its outputs, its status and its graph."""
    number, prompt_id, prompt, extra_data, _outputs = entry["prompt"]
    status, items = entry["status"], list(_items(entry["outputs"]))
    messages = dict(status["messages"])
    end: Mapping[str, Any] = next((messages[name] for name in _ENDS if name in messages), {})
    told = {
        "id": prompt_id,
        "status": _ended_as(status["status_str"], messages),
        "priority": number,
        **_submitted(extra_data),
        "execution_start_time": messages.get("execution_start", {}).get("timestamp"),
        "execution_end_time": end.get("timestamp"),
        "execution_error": messages.get("execution_error"),
        "outputs_count": len(items),
        "previewable_outputs_count": sum(item["mediaType"] in SEEN for item in items),
        "preview_output": _preview(items),
    }
    job = {name: value for name, value in told.items() if value is not None}
    if whole:
        workflow = {"prompt": prompt, "extra_data": extra_data}
        job.update(outputs=entry["outputs"], execution_status=status, workflow=workflow)
    return job


_ENDS = ("execution_success", "execution_error", "execution_interrupted")


def _ended_as(word: str, messages: Mapping[str, Any]) -> str:
    if word == "success":
        return "completed"
    return "cancelled" if "execution_interrupted" in messages else "failed"


def _submitted(extra_data: Any) -> Job:
    extra = extra_data if isinstance(extra_data, dict) else {}
    return {"create_time": extra["create_time"]} if "create_time" in extra else {}


def _items(outputs: Mapping[str, Any]) -> Iterator[Job]:
    for node_id, shown in outputs.items():
        for kind, items in shown.items():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict):
                    yield {"mediaType": kind, **item, "nodeId": node_id}


def _preview(items: Sequence[Job]) -> Job | None:
    seen = [item for item in items if item["mediaType"] in SEEN]
    saved = [item for item in seen if item.get("type") == "output"]
    return next(iter(saved or seen), None)


def page(jobs: Sequence[Job], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of *jobs* that a query asks for, newest first unless it says otherwise.

    Raises:
        BadQuery: A word or a number of it means nothing.

    """
    statuses = [word.strip().lower() for word in query.get("status", "").split(",") if word.strip()]
    for word in statuses:
        _one_of("status", word, STATUSES)
    sort = _one_of("sort_by", query.get("sort_by", "created_at").lower(), SORTS)
    order = _one_of("sort_order", query.get("sort_order", "desc").lower(), ORDERS)
    limit = None if "limit" not in query else _number("limit", query["limit"])
    if limit is not None and limit < 1:
        raise BadQuery("limit must be a positive integer")
    offset = max(0, _number("offset", query.get("offset", "0")))
    found = [job for job in jobs if not statuses or job["status"] in statuses]
    found.sort(key=_created if sort == "created_at" else _duration, reverse=order == "desc")
    part = found[offset:] if limit is None else found[offset : offset + limit]
    more = offset + len(part) < len(found)
    return {
        "jobs": part,
        "pagination": {"offset": offset, "limit": limit, "total": len(found), "has_more": more},
    }


def _one_of(name: str, word: str, words: Sequence[str]) -> str:
    if word not in words:
        raise BadQuery(f"{name} must be one of {', '.join(words)}")
    return word


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadQuery(f"{name} must be an integer") from None


def _created(job: Job) -> float:
    return float(job.get("create_time", 0))


def _duration(job: Job) -> float:
    start, end = job.get("execution_start_time", 0), job.get("execution_end_time", 0)
    return float(end - start) if start and end else 0.0
