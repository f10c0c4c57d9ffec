# ruff: noqa: E501 - graphs read better in long lines
"""A node that kills the server's only worker thread, on one of two servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.manifest.journal import Reading
from tests.flow.conftest import Shop, serving
from tests.flow.test_main_job import FLAT, colour

DEADLY = """{
  "empty": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": {{ (seed + number) % 16777216 }}}},
  "kill": {"class_type": "TRaise", "inputs": {"image": ["empty", 0], "kind": "systemexit"}},
  "out": {"class_type": "SaveImage", "inputs": {"images": ["kill", 0]}}
}"""


@pytest.mark.slow
def test_one_deadly_job_costs_no_other_its_picture(shop: Shop, tmp_path: Path) -> None:
    """The server that runs nothing any more is named and left out, everything else is made on the other one, and
    the job itself comes last and is quarantined at its second server.
    """
    shop.template("flat", FLAT)
    shop.template("deadly", DEADLY)
    scenes = f"{{a: {{number: {colour()}, takes: 1, template: deadly}}, b: {{number: {colour()}, takes: 6, template: flat}}}}"
    shop.write("e.yaml", f"animerun: 1\nepisode: e\nscenes: {scenes}\n")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with serving(tmp_path / "one" / "files") as one, serving(tmp_path / "two" / "files") as two:
        code, out, err = shop.animerun(
            "e.yaml", "--server", one, "--server", two, "--no-progress", "2s", "--json"
        )
    told = [json.loads(line) for line in out.splitlines()]
    downs = [each["reason"] for each in told if each["event"] == "server_down" and each["final"]]
    failed = [
        line for line in Reading(shop.run() / "journal.jsonl") if line["t"] == "failed" and line["final"]
    ]

    assert code == 1, err
    assert told[-1]["succeeded"] == 6
    assert [(line["key"], line["code"]) for line in failed] == [("e/a/take=1", "QUARANTINED")]
    assert sorted(downs) == sorted(
        f"{url} accepts jobs but runs none, and no interrupt helps: restart it" for url in (one, two)
    )
