"""Whole specs expand to the jobs kept in tests/golden/spec; ANIMERUN_UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from runner.domain import Job
from runner.expand import expand
from runner.spec import load

GOLDEN = Path(__file__).parent.parent / "golden" / "spec"
COUNTS = {"harbour": 22, "sheet": 10, "nightly": 14}


def told(job: Job) -> dict[str, object]:
    """Return what is kept of *job*: identity, texts, LoRAs and plain parameters."""
    composed = {"prompt", "negative", "seed"}
    return {
        "key": job.key,
        "name": job.name,
        "seed": job.seed,
        "model": job.model,
        "template": job.template,
        "prompt": job.prompt,
        "negative": job.negative,
        "loras": [f"{lora.part}:{lora.file}@{lora.weight:g}:{lora.clip:g}" for lora in job.loras],
        "values": {
            name: value
            for name, value in sorted(job.values.items())
            if name not in composed and not name.startswith("loras")
        },
        "title": job.title,
        "length": job.length,
        "waits": job.waits,
    }


@pytest.mark.parametrize("name", COUNTS)
def test_a_whole_spec_expands_to_the_jobs_written_down(studio, shelf, name):
    """Keys, seeds, names, prompts, negatives, LoRAs and values stay what earlier runs know."""
    for path in GOLDEN.glob("*.yaml"):
        shutil.copy(path, studio.root / path.name)
    studio.touch("refs/owl.png")
    lines = [
        json.dumps(told(job), ensure_ascii=False) for job in expand(load(studio.root / f"{name}.yaml"), shelf)
    ]
    golden = GOLDEN / f"{name}.jsonl"

    if os.environ.get("ANIMERUN_UPDATE_GOLDEN") == "1":
        golden.write_text("\n".join(lines) + "\n", encoding="utf-8")

    assert len(lines) == COUNTS[name]
    assert lines == golden.read_text("utf-8").splitlines()
