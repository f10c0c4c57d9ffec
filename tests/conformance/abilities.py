"""What servers differ in, by asking for it, never by a version."""

from __future__ import annotations

from collections.abc import Callable

import httpx

ODD_ID = "Conformance-Odd-Id"
"""An id that is no UUID, sent with a graph that nothing runs of."""


def lists_jobs(http: httpx.Client) -> bool:
    """GET /api/jobs lists jobs, each stamped with create_time, and POST /api/jobs/ID/cancel cancels one."""
    return http.get("/api/jobs", params={"limit": 1}).status_code == 200


def takes_uuids_only(http: httpx.Client) -> bool:
    """A prompt_id that is no canonical lower-case UUID is refused as invalid_prompt_id."""
    answer = http.post("/prompt", json={"prompt": {}, "prompt_id": ODD_ID})
    return answer.json()["error"]["type"] == "invalid_prompt_id"


def replaces_classes(http: httpx.Client) -> bool:
    """GET /node_replacements lists old classes that the server takes for newer ones.

    The same servers name an unknown class in extra_info (ComfyUI 0.33 execution.py validate_prompt).
    """
    return http.get("/node_replacements").status_code == 200


def keeps_results(http: httpx.Client) -> bool:
    """The node cache holds the results of the last prompt and of no older one."""
    argv = http.get("/system_stats").json()["system"]["argv"]
    return not {"--cache-lru", "--cache-none", "--cache-ram"} & set(argv)


def answers_to_any_name(http: httpx.Client) -> bool:
    """A request is answered whatever its Host: by ComfyUI; previz answers to names of its machine only."""
    return http.get("/prompt", headers={"Host": "render.example"}).status_code == 200


ABILITIES: dict[str, Callable[[httpx.Client], bool]] = {
    ability.__name__: ability
    for ability in (lists_jobs, takes_uuids_only, replaces_classes, keeps_results, answers_to_any_name)
}
