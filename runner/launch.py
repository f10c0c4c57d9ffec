"""Everything round a run: plan, lock, storage, servers, preflight, folder, journal, index; in that order.

The order is that of the exit codes (2, 5, 6, 4, 3): nothing is submitted when something is wrong, and
nothing is written into `runs/` before the spec is known to be right.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import platform
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from runner import __version__
from runner.collect import collect
from runner.domain import Realm, ServerFacts
from runner.embedded import previz
from runner.errors import PreflightRefused, UsageError
from runner.events import Event
from runner.manifest import folder as folders
from runner.manifest.journal import Journal
from runner.manifest.store import JOURNAL, Report, refresh
from runner.plan import InputFile, Plan, Rendered, plan_of
from runner.preflight import preflight
from runner.record import Recorder
from runner.render import bind
from runner.reuse import Sizes
from runner.run import Conductor, Control, Summary, Work
from runner.settings import PREVIZ, Settings
from runner.submit import ComfyExecutor, Executor

_PUBLISH_S = 60.0

FoundSizes = dict[tuple[str, str], dict[str, int]]
"""(folder, model file) → server → size."""


class View(Protocol):
    """Who is told how a run goes. Nothing here may raise."""

    def opened(self, facts: Sequence[ServerFacts]) -> None:
        """The servers have answered."""
        ...

    def began(self, run: str, folder: Path, work: Work) -> None:
        """The run is on disk; the first job comes next."""
        ...

    def __call__(self, event: Event) -> None:
        """Something happened; the recorder has it already."""
        ...


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
    frozen: Callable[[], Iterator[tuple[str, bytes]]] = lambda: iter(())
    """(name, content) of what is kept under `plan/`."""
    model_files: frozenset[tuple[str, str]] = frozenset()
    """(folder, name) of the model files named."""
    done_by: str = ""
    """There is nothing to do: this run holds everything."""
    met: Callable[[Realm, Sizes], Batch] | None = None
    """Looks again at what is up to date, now that the servers are known; None = nothing could change."""


def batch_of(path: Path, plan: Plan, scope: Scope) -> Batch:
    """Return the batch of *plan*, the plan of the spec at *path*."""
    return Batch(
        work=plan,
        spec=path,
        episode=plan.spec.episode,
        title=plan.spec.title,
        scope=scope,
        samples=plan.samples,
        inputs=tuple(plan.inputs.values()),
        templates={name: template.digest for name, template in plan.templates.items()},
        frozen=lambda: frozen(plan, path),
        model_files=plan.model_files,
        done_by=plan.done_by,
        met=None if plan.reuse is None else lambda realm, sizes: _met(path, plan, scope, realm, sizes),
    )


def _met(path: Path, plan: Plan, scope: Scope, realm: Realm, sizes: Sizes) -> Batch:
    """Return the batch as it is for servers of *realm* whose model files have these *sizes*."""
    assert plan.reuse is not None, "asked only where earlier runs count"
    if plan.reuse.realm == realm and not sizes:
        return batch_of(path, plan, scope)
    reuse = replace(plan.reuse, realm=realm, sizes=sizes)
    return batch_of(path, plan_of(plan.spec, plan.catalog, plan.expansion, reuse), scope)


async def launch(
    batch: Batch, *, settings: Settings, control: Control, view: View
) -> tuple[Summary, Report | None]:
    """Run *batch* and return what came of it, with the index's report.

    Raises RunLocked, StorageError, NoServer and PreflightRefused, in this order, before any submission.
    """
    with folders.spec_lock_after_probe(settings.runs, batch.spec):
        if batch.done_by and settings.previz:
            return _nothing_to_do(batch, settings), None
        async with servers(settings) as executor:
            facts = await executor.open()
            realm = one_realm(facts)
            view.opened(facts)
            sizes = await _sizes(batch, executor, facts)
            if batch.met is not None:
                batch = batch.met(realm, {which: set(each.values()) for which, each in sizes.items()})
            if batch.done_by:
                return _nothing_to_do(batch, settings), None
            findings = await preflight(batch.samples, executor, facts)
            if findings:
                raise PreflightRefused([finding.message for finding in findings])
            return await _run(batch, realm, sizes, executor, settings, control, view)


async def _sizes(batch: Batch, executor: Executor, facts: Sequence[ServerFacts]) -> FoundSizes:
    """Return (folder, name) → server → size for the model files of *batch*."""
    found: FoundSizes = {}
    folders_named = {folder for folder, _ in batch.model_files if folder}
    for each in facts:
        told = await executor.model_sizes(each.url, folders_named) if each.realm != PREVIZ else {}
        for which in batch.model_files & told.keys():
            found.setdefault(which, {})[each.url] = told[which]
    return found


def _nothing_to_do(batch: Batch, settings: Settings) -> Summary:
    return Summary(
        run=batch.done_by,
        folder=settings.runs / batch.done_by,
        total=batch.work.total,
        succeeded=0,
        reused=batch.work.total,
        failed=0,
        waiting=0,
        files=0,
        exit_code=0,
        reason="",
        seconds=0.0,
    )


@asynccontextmanager
async def servers(settings: Settings) -> AsyncIterator[Executor]:
    """Yield the executor for the servers of *settings*; the embedded previz lives as long as this."""
    if not settings.previz:
        async with _executor(settings.servers, settings) as executor:
            yield executor
        return
    async with previz() as url, _executor((url,), settings) as executor:
        yield executor


@asynccontextmanager
async def _executor(urls: Sequence[str], settings: Settings) -> AsyncIterator[Executor]:
    executor = ComfyExecutor(
        urls,
        bind=bind,
        collect=collect,
        credentials=settings.credentials,
        allow_plain_http=settings.allow_plain_http,
        settle_s=settings.settle_s,
        server_wait_s=settings.server_wait_s,
        sockets=settings.sockets,
    )
    try:
        yield executor
    finally:
        await executor.close()


def one_realm(facts: Sequence[ServerFacts]) -> Realm:
    """Return the realm of all *facts*; a run never mixes cards with pictures."""
    realms = {each.realm for each in facts}
    if len(realms) > 1:
        cards = ", ".join(each.url for each in facts if each.realm == PREVIZ)
        raise UsageError(f"{cards} draws previz cards, the other servers do not; a run never mixes the two")
    return realms.pop()


async def _run(
    batch: Batch,
    realm: Realm,
    sizes: FoundSizes,
    executor: Executor,
    settings: Settings,
    control: Control,
    view: View,
) -> tuple[Summary, Report | None]:
    now = datetime.now(UTC)
    run, run_uuid = folders.run_name(batch.episode, now, secrets.token_hex(2)), uuid.uuid4()
    facts = _head(batch, run_uuid, realm)
    versions = {"run": run, "started": now.isoformat(timespec="seconds"), "python": platform.python_version()}
    folder = folders.create(settings.runs, run, facts=versions | facts, frozen=dict(batch.frozen()))
    journal = Journal.create(folder / JOURNAL, run=run)
    try:
        recorder = Recorder(journal, clock=time.time)
        _record_head(recorder, batch, facts, sizes)
        view.began(run, folder, batch.work)
        conductor = Conductor(
            batch.work,
            executor,
            recorder,
            run=run,
            run_uuid=run_uuid,
            folder=folder,
            settings=settings,
            control=control,
            observe=view,
        )
        publishing = asyncio.ensure_future(_publish(settings.runs))
        try:
            summary = await conductor.conduct()
        finally:
            publishing.cancel()
        recorder.end(code=summary.exit_code, reason=summary.reason)
    finally:
        journal.close()
    return summary, await asyncio.to_thread(refresh, settings.runs)


def _head(batch: Batch, run_uuid: uuid.UUID, realm: Realm) -> dict[str, Any]:
    return {
        "uuid": str(run_uuid),
        "spec": str(batch.spec),
        "episode": batch.episode,
        "title": batch.title,
        "realm": realm,
        "animerun": __version__,
        "total": batch.work.total,
        "waiting": batch.work.waiting,
        "scope": asdict(batch.scope),
        "replay_of": batch.replay_of,
    }


def _record_head(recorder: Recorder, batch: Batch, facts: Mapping[str, Any], sizes: FoundSizes) -> None:
    recorder.head(**facts)
    for file in batch.inputs:
        recorder.input(name=file.name, path=file.project, size=file.size)
    for name, digest in batch.templates.items():
        recorder.template(name=name, digest=digest)
    for (folder, name), each in sorted(sizes.items()):
        for server, size in each.items():
            recorder.model_file(server=server, folder=folder, name=name, size=size)
    recorder.commit()


async def _publish(runs: Path) -> None:
    """Publish the index once a minute; a run never waits for it."""
    while True:
        await asyncio.sleep(_PUBLISH_S)
        await asyncio.to_thread(refresh, runs, wait_s=0.0)


def frozen(plan: Plan, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of everything the jobs were made from: specs, templates, inputs."""
    index: dict[str, Any] = {"spec": path.name, "files": {}, "templates": {}, "inputs": {}}
    for file in plan.spec.files:
        content = (plan.root / file.path).read_bytes()
        name = f"files/{file.path}"
        index["files"][file.path] = {"sha256": hashlib.sha256(content).hexdigest(), "kept": name}
        yield name, content
    sources = {name: source for name, source, _ in plan.catalog.sources()}
    for template in plan.templates.values():
        index["templates"][template.name] = {"digest": template.digest}
        yield f"templates/{template.name}.json.j2", sources[template.name].read_bytes()
    for used in plan.inputs.values():
        index["inputs"][used.project] = used.name
        yield f"inputs/{used.name}", used.path.read_bytes()
    yield "index.json", json.dumps(index, ensure_ascii=False, indent=1).encode()
