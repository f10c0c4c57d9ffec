# ruff: noqa: E501 - compact samples
"""What is known of the model files decides too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from runner.domain import Job, Output, Parameter, Template
from runner.manifest.history import Made
from runner.model_files import ModelFacts, ModelFile
from runner.reuse import Question, Reuse

WHICH = ("checkpoints", "anime.safetensors")
RETRAINED = "model file anime.safetensors on the server was changed since"


def file(*sizes: int, sha256: str = "", **modified: int) -> ModelFacts:
    """What is known of the checkpoint: sizes, the user's sum, and server → time of change."""
    sums = frozenset({sha256} if sha256 else ())
    return {WHICH: ModelFile(sizes=frozenset(sizes), modified=modified, sha256=sums)}


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
        (file(100), file(100), "same recipe"),
        (file(100), file(200), "model file anime.safetensors on the server changed size"),
        (file(100), {}, "same recipe"),
        (
            file(100, sha256="a"),
            file(100, sha256="b"),
            "model file anime.safetensors has another sha256 than it had",
        ),
        (file(100), file(100, sha256="b"), "same recipe"),
        ({}, file(200), "same recipe"),
        (file(100, 200), file(200, 300), "same recipe"),
        (
            {("loras", "other"): ModelFile(frozenset({1}))},
            {("loras", "other"): ModelFile(frozenset({2}))},
            "same recipe",
        ),
        (file(100, a=5), file(100, a=6), RETRAINED),
        (file(100, a=6), file(100, a=5), RETRAINED),
        (file(100, a=5), file(100, b=9), "same recipe"),
        (file(100, a=5, b=7), file(100, a=6, b=7), "same recipe"),
        (file(100, a=5, b=7), file(100, a=6, b=8), RETRAINED),
        (file(100, a=5), file(100), "same recipe"),
        (file(100, sha256="a", a=5), file(100, sha256="a", a=6), "same recipe"),
        (file(100, sha256="a", a=5), file(100, a=6), RETRAINED),
        (
            file(100, sha256="a", a=5),
            file(200, sha256="a", a=6),
            "model file anime.safetensors on the server changed size",
        ),
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
        "retrained",
        "an older one put back",
        "a copy on another server",
        "one server has the same time still",
        "retrained everywhere",
        "time unknown now",
        "known content outranks the time",
        "content unknown now",
        "size outranks known content",
    ],
)
def test_another_model_file_makes_its_jobs_stale(
    tmp_path: Path, then: ModelFacts, now: ModelFacts, reason: str
) -> None:
    """A size, time or sha256 known on both sides that differs makes a job stale; unknown counts as equal."""
    reuse = Reuse(Past(tmp_path, then), "comfyui", models=now)  # type: ignore[arg-type]
    [answer] = reuse.answers(
        [Question(JOB, "recipe", TEMPLATE, {})], lambda question: pytest.fail("rendered")
    )

    assert answer.reason == reason
    assert (answer.made is None) == (reason != "same recipe")
