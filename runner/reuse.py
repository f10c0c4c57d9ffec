"""Which jobs are up to date: by recipe, else by digest, in one realm, with files and models as they were.

Answers come in the order asked, a few thousand jobs at a time, so that a million jobs cost constant memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.domain import Job, Realm, Template, Workflow
from runner.explain import Told, why
from runner.manifest.history import History, Made
from runner.model_files import ModelFacts, changed, model_files, told_change
from runner.naming import Pattern
from runner.relink import intact


@dataclass(frozen=True, slots=True)
class Question:
    """A job that could run, with what it is made from."""

    job: Job
    recipe: str
    template: Template
    files: Mapping[str, str]
    """Project path → content name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Reuse what was *made*, or run for this *reason*."""

    recipe: str
    made: Made | None
    reason: str
    workflow: Workflow | None = None
    """Rendered on the way, where the answer needed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the user said about rendering again."""

    force: bool = False
    force_only: tuple[Pattern, ...] = ()

    def forced(self, key: str) -> str:
        """Return why *key* is rendered in any case, empty when it is not."""
        if self.force:
            return "--force"
        return next((f"--force-only {p.text}" for p in self.force_only if p.matches(key)), "")


@dataclass(slots=True)
class Reuse:
    """Answers for one realm."""

    history: History
    realm: Realm
    policy: Policy = field(default_factory=Policy)
    models: ModelFacts = field(default_factory=dict)
    _folders: dict[str, Path] = field(default_factory=dict)
    _recorded: dict[str, ModelFacts] = field(default_factory=dict)

    def answers(self, questions: Sequence[Question], render: Callable[[Question], Workflow]) -> list[Answer]:
        """Return an answer for each of *questions*; only what no recipe answers is rendered."""
        reasons = {q.job.key: self.policy.forced(q.job.key) for q in questions}
        asked = [q for q in questions if not reasons[q.job.key]]
        found = self.history.by_recipe(self.realm, [q.recipe for q in asked])
        made = {q.job.key: found[q.recipe] for q in asked if q.recipe in found}
        made |= self._under_own_key(asked, made)
        workflows: dict[str, Workflow] = {}
        for q in asked:
            if q.job.key not in made:
                workflows[q.job.key] = render(q)
        found = (
            self.history.by_digest(self.realm, {w.digest for w in workflows.values()}) if workflows else {}
        )
        made |= {
            key: found[w.digest]
            for key, w in workflows.items()
            if w.digest in found and holds(found[w.digest], w)
        }
        for q in asked:
            if q.job.key in made:
                reasons[q.job.key] = self._spoilt(q, made[q.job.key])
        self._explain([q for q in asked if q.job.key not in made], reasons)
        return [self._answer(q, made, reasons, workflows) for q in questions]

    def _under_own_key(self, asked: Sequence[Question], made: Mapping[str, Made]) -> dict[str, Made]:
        """Return what was made under a job's own key where several jobs have one recipe, as equal files give.

        All of them are answered with one job's files otherwise, and an unchanged spec would make a new run.
        """
        often = Counter(q.recipe for q in asked)
        others: dict[str, list[str]] = {}
        for q in asked:
            if often[q.recipe] > 1 and q.job.key in made and made[q.job.key].key != q.job.key:
                others.setdefault(made[q.job.key].run, []).append(q.job.key)
        found = {
            key: one for run, keys in others.items() for key, one in self.history.made_as(run, keys).items()
        }
        return {key: one for key, one in found.items() if one.digest == made[key].digest}

    def _answer(
        self,
        question: Question,
        made: Mapping[str, Made],
        reasons: Mapping[str, str],
        workflows: Mapping[str, Workflow],
    ) -> Answer:
        key = question.job.key
        reason = reasons[key]
        if reason or key not in made:
            return Answer(question.recipe, None, reason, workflows.get(key))
        how = "same recipe" if key not in workflows else "same workflow, made from other words"
        return Answer(question.recipe, made[key], how, workflows.get(key))

    def _spoilt(self, question: Question, made: Made) -> str:
        """Return why what was made cannot be used, empty when it can."""
        if made.run not in self._folders:
            self._folders[made.run] = self.history.runs / made.run
        if trouble := intact(self._folders[made.run], made.outputs):
            return trouble
        if not self.models or self.realm == "previz":
            return ""
        found = self.changed_since(made.run, self.models)
        return told_change(model_files(question.template, question.job), found) if found else ""

    def changed_since(self, run: str, models: ModelFacts) -> Mapping[tuple[str, str], str]:
        """Return what *models* tells otherwise than *run* recorded it."""
        if run not in self._recorded:
            self._recorded[run] = self.history.model_facts(run)
        return changed(self._recorded[run], models)

    def _explain(self, questions: Sequence[Question], reasons: dict[str, str]) -> None:
        """Say for each why it is not up to date."""
        told = self.history.told(self.realm, [q.job.key for q in questions])
        for q in questions:
            before = told.get(q.job.key)
            reasons[q.job.key] = (
                why(_before(before) if before else None, now(q)) or "nothing like it was made"
            )


def holds(made: Made, workflow: Workflow) -> bool:
    """Whether *made* has as many outputs of each kind as *workflow* must have.

    A digest tells neither kinds nor which outputs are optional, and leaves node ids out.
    """
    needed = Counter(kind for name, kind in workflow.outputs.items() if name not in workflow.optional)
    there = Counter({output.node: output.kind for output in made.outputs}.values())
    return needed <= there


def now(question: Question) -> Told:
    """Return what a job is made from, as people name it."""
    job = question.job
    skip = ("prompt", "negative", "seed", "loras", "cast")
    return Told(
        recipe=question.recipe,
        template=job.template,
        template_digest=question.template.digest,
        model=job.model,
        prompt=job.prompt,
        negative=job.negative,
        seed=job.seed,
        slots=job.slots,
        loras=[{"file": x.file, "weight": x.weight, "clip": x.clip, "part": x.part} for x in job.loras],
        params={name: value for name, value in job.values.items() if name not in skip},
        members=[
            {"name": m.name, "prompt": m.prompt, "outfit": m.outfit, "expression": m.expression}
            for m in job.cast
        ],
        files=question.files,
    )


def _before(row: Mapping[str, Any]) -> Told:
    return Told(
        recipe=row["recipe"],
        template=row["template"],
        template_digest=row["template_digest"] or "",
        model=row["model"],
        prompt=row["prompt"],
        negative=row["negative"],
        seed=row["seed"],
        slots=row["slots"],
        loras=row["loras"],
        params=row["params"],
        members=row["members"],
        files=row["files"],
        state=row["state"],
    )
