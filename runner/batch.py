"""A run to be: its jobs, what narrows it, and what the record will say of where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runner.domain import Realm, Template
from runner.inputs import InputFile
from runner.manifest.history import History
from runner.model_files import ModelFacts
from runner.plan import Plan, edited, frozen, plan_of
from runner.rendered import Rendered, Work
from runner.reuse import Policy, Reuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What narrows a run: kept in the record, because a narrowed run is no baseline."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A run to be: its jobs, and what the record says of where they come from."""

    work: Work
    spec: Path
    """The spec's path; the lock is on it."""
    episode: str
    title: str = ""
    scope: Scope = Scope()
    replay_of: str = ""
    samples: tuple[Rendered, ...] = ()
    """What is asked of the servers before the first job."""
    inputs: tuple[InputFile, ...] = ()
    templates: Mapping[str, str] = field(default_factory=dict)
    """Name → digest."""
    sources: Mapping[str, Template] = field(default_factory=dict)
    """Name → template, where they are known: a replay has workflows only."""
    edited: Callable[[], Sequence[str]] = lambda: ()
    """The files that are not what the jobs were made from any more."""
    frozen: Callable[[], Iterator[tuple[str, bytes]]] = lambda: iter(())
    """(name, content) of what is kept under `plan/`."""
    model_files: frozenset[tuple[str, str]] = frozenset()
    """(folder, name) of the model files named."""
    done_by: str = ""
    """There is nothing to do: this run holds everything."""
    history: History | None = None
    """What earlier runs made, as it was looked at for this one. None = they do not count."""
    seen: int | None = None
    """What `lock_seen` said of the spec before anything was read; None = it was not asked."""
    source: str = ""
    """The spec's path in its project, as the record names it; empty = as it was given."""
    policy: Policy = field(default_factory=Policy)
    """What is rendered although it is up to date."""
    met: Callable[[Realm, ModelFacts, bool], Batch] | None = None
    """Looks again at what is up to date, now that realm and model files are known; the last says whether
    runs have been settled meanwhile. None = earlier runs do not count."""


def batch_of(path: Path, plan: Plan, scope: Scope, *, seen: int | None = None) -> Batch:
    """Return the batch of *plan*, the plan of the spec at *path*; *seen* as in `Batch`."""
    return Batch(
        work=plan,
        spec=path,
        episode=plan.spec.episode,
        title=plan.spec.title,
        scope=scope,
        samples=plan.samples,
        inputs=tuple(plan.inputs.values()),
        templates={name: template.digest for name, template in plan.templates.items()},
        sources=plan.templates,
        edited=lambda: edited(plan),
        frozen=lambda: frozen(plan),
        model_files=plan.model_files,
        done_by=plan.done_by,
        history=plan.reuse.history if plan.reuse else None,
        seen=seen,
        source=plan.spec.files[0].path,
        policy=plan.reuse.policy if plan.reuse else Policy(),
        met=None if plan.reuse is None else partial(_met, path, plan, scope),
    )


def _met(path: Path, plan: Plan, scope: Scope, realm: Realm, models: ModelFacts, settled: bool) -> Batch:
    """Return the batch as it is for servers of *realm*, of whose model files *models* is known."""
    assert plan.reuse is not None, "asked only where earlier runs count"
    changed = any(plan.reuse.changed_since(run, models) for run in plan.makers) if models else False
    if plan.reuse.realm == realm and not changed and not settled:
        return batch_of(path, plan, scope)
    history = History(plan.reuse.history.runs) if settled else plan.reuse.history
    reuse = Reuse(history, realm, plan.reuse.policy, models)
    return batch_of(path, plan_of(plan.spec, plan.catalog, plan.expansion, reuse), scope)
