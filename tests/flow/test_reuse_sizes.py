# ruff: noqa: E501 - compact samples
"""What is known of the model files decides too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from runner.domain import Job, Output, Parameter, Template
from runner.manifest.history import Made
from runner.model_files import ModelFacts
from runner.reuse import Question, Reuse

CHECKPOINT = ("checkpoints", "anime.safetensors", "size")
SUM = ("checkpoints", "anime.safetensors", "sha256")
TEMPLATE = Template(
    name="t", path="t", parameters={"checkpoint": Parameter(name="checkpoint", type="file", folder="checkpoints")}
)  # fmt: skip
JOB = Job(
    key="e/s/take=1", seq=0, episode="e", scene="s", take="t01", seed=1, name="s/a", template="t",
    values={"checkpoint": "anime.safetensors"},
)  # fmt: skip


class Past:
    """A history of one job, made with a model file of which *models* was told."""

    def __init__(self, runs: Path, models: ModelFacts) -> None:
        self.runs, self.models = runs, models
        path = runs / "r1" / "s" / "a.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        output = Output(
            node="out", index=0, path="s/a.png", sha256="0", size=1, kind="image", mtime_ns=path.stat().st_mtime_ns
        )  # fmt: skip
        self.made = Made("r1", JOB.key, "s/a", "d", "p", (output,))

    def by_recipe(self, realm: str, recipes: Iterable[str]) -> dict[str, Made]:
        return dict.fromkeys(recipes, self.made)

    def told(self, realm: str, keys: Iterable[str]) -> dict[str, object]:
        return {}

    def model_facts(self, run: str) -> ModelFacts:
        return self.models


@pytest.mark.parametrize(
    ("then", "now", "reason"),
    [
        ({CHECKPOINT: {100}}, {CHECKPOINT: {100}}, "same recipe"),
        ({CHECKPOINT: {100}}, {CHECKPOINT: {200}}, "model file anime.safetensors on the server changed size"),
        ({CHECKPOINT: {100}}, {}, "same recipe"),
        (
            {SUM: {"a"}, CHECKPOINT: {100}},
            {SUM: {"b"}, CHECKPOINT: {100}},
            "model file anime.safetensors has another sha256 than it had",
        ),
        ({CHECKPOINT: {100}}, {SUM: {"b"}, CHECKPOINT: {100}}, "same recipe"),
        ({}, {CHECKPOINT: {200}}, "same recipe"),
        ({CHECKPOINT: {100, 200}}, {CHECKPOINT: {200, 300}}, "same recipe"),
        ({("loras", "other", "size"): {1}}, {("loras", "other", "size"): {2}}, "same recipe"),
    ],
    ids=[
        "equal",
        "changed",
        "unknown now",
        "another content",
        "content unknown then",
        "unknown then",
        "one server has it still",
        "another file",
    ],
)
def test_another_model_file_makes_its_jobs_stale(
    tmp_path: Path, then: ModelFacts, now: ModelFacts, reason: str
) -> None:
    """A size or sha256 that is known on both sides and differs; what is unknown counts as equal."""
    reuse = Reuse(Past(tmp_path, then), "comfyui", models=now)  # type: ignore[arg-type]
    [answer] = reuse.answers(
        [Question(JOB, "recipe", TEMPLATE, {})], lambda question: pytest.fail("rendered")
    )

    assert answer.reason == reason
    assert (answer.made is None) == (reason != "same recipe")
