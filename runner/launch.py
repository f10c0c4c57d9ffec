"""Everything round a run: plan, lock, storage, servers, preflight, folder, journal, index; in that order.

The order is that of the exit codes (2, 5, 6, 4, 3): nothing is submitted when something is wrong, and
nothing is written into `runs/` before the spec is known to be right.
"""

from __future__ import annotations

import asyncio
import platform
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from runner import __version__, door
from runner.admission import admit
from runner.batch import Batch
from runner.collect import Bounds, collect
from runner.comfy.credentials import secrets_of, spelled
from runner.domain import Realm, ServerFacts
from runner.embedded import previz
from runner.errors import (
    NoServer,
    PreflightRefused,
    RecordDamaged,
    RunLocked,
    SpecError,
    StorageError,
    UsageError,
)
from runner.events import Event
from runner.manifest import folder as folders
from runner.manifest.history import History
from runner.manifest.journal import Journal, Line, Reading, last_line
from runner.manifest.store import JOURNAL, PUBLISHED, Report, keep_up
from runner.model_files import FoundFiles, Listed, facts_of
from runner.preflight import differences
from runner.record import Recorder
from runner.render import bind
from runner.render.bind import bind_fresh
from runner.rendered import Work
from runner.resume import Remainder, Standing, continuable, frozen_plan, reuse_of, standing, sweep
from runner.run import Conductor, Control, Observer
from runner.settings import PREVIZ, Settings
from runner.submit import ComfyExecutor, Executor
from runner.summary import Summary

_PUBLISH_S = 60.0


class View(Protocol):
    """Who is told how a run goes. Nothing here may raise."""

    def opened(self, facts: Sequence[ServerFacts]) -> None:
        """The servers have answered."""
        ...

    def settling(self, run: str) -> None:
        """What an earlier run left open on the servers is waited for."""
        ...

    def unsettled(self, run: str, why: str) -> None:
        """An earlier run stays as it is; what it left open is not looked at."""
        ...

    def began(self, run: str, folder: Path, work: Work) -> None:
        """The run is on disk; the first job comes next."""
        ...

    def edited(self, names: Sequence[str]) -> None:
        """What the run was made from was edited while it ran; the run kept to what it had read."""
        ...

    def __call__(self, event: Event) -> None:
        """Something happened; the recorder has it already."""
        ...


async def launch(
    batch: Batch, *, settings: Settings, control: Control, view: View
) -> tuple[Summary, Report | None]:
    """Run *batch* and return what came of it, with the index's report.

    Raises RunLocked, StorageError, NoServer and PreflightRefused, in this order, before any submission.
    """
    with folders.spec_lock_after_probe(settings.runs, batch.spec) as seen:
        control.waited |= batch.seen not in (None, seen)
        history = batch.history
        if history is not None and control.waited:
            # The process that was waited for may have made a run.
            history = type(history)(history.runs)
        if history is not None:
            history.refuse_damage(batch.source, batch.spec)
            _tidy(batch.source, batch.spec, history)
        if batch.done_by and settings.previz and not control.waited:
            return _nothing_to_do(batch, settings), await _index_of(batch.done_by, settings.runs)
        async with servers(settings) as executor:
            try:
                facts = await executor.open()
            except (NoServer, PreflightRefused):
                if batch.done_by:
                    # Nobody can say whether a model file has changed; what is not known counts as equal.
                    return _nothing_to_do(batch, settings), await _index_of(batch.done_by, settings.runs)
                raise
            realm = agreed(facts, settings)
            view.opened(facts)
            left = history.unfinished(batch.source, batch.spec) if history is not None else ()
            settled = await _settle_all(left, executor, settings, control, view)
            if settled and control.asked:
                return settled[-1], None
            listed = await _listed(batch.model_files, executor, facts)
            if batch.met is not None:
                news = bool(settled) or control.waited
                batch = batch.met(realm, facts_of(listed, settings.model_sums), news)
            if batch.done_by:
                return _nothing_to_do(batch, settings), await _index_of(batch.done_by, settings.runs)
            await admit(batch.samples, batch.sources, executor, settings, view)
            return await _run(batch, realm, listed, executor, settings, control, view)


def _tidy(spec: str, path: Path, history: History) -> None:
    """Remove what the newest run of *spec* left unrecorded, should its process have been killed.

    Every run is the newest before the next one begins, so older ones are tidy. One that another process
    continues, that is damaged or that was made read-only is left as it is.
    """
    run = history.newest(spec, path)
    if not run or last_line(history.runs / run / JOURNAL).get("t") == "end":
        return
    with suppress(RunLocked, RecordDamaged, StorageError):
        journal, lines = Journal.resume(history.runs / run / JOURNAL)
        try:
            sweep(history.runs / run, lines, history)
        finally:
            journal.close()


async def _settle_all(
    left: Sequence[tuple[str, str]], executor: Executor, settings: Settings, control: Control, view: View
) -> list[Summary]:
    """Settle what (run, server) of *left* hold open on these servers; return what came of each run.

    A run whose record or plan cannot be read, or whose record may not be written, is left as it is. Raises
    RunLocked for one that another process continues at this moment: what it is about to make would be made
    twice; StorageError when what is collected cannot be kept.
    """
    found = []
    for run in dict.fromkeys(
        run for run, server in left if spelled(server, executor.servers) in executor.servers
    ):
        view.settling(run)
        try:
            found.append(await _settle(run, executor, settings, control))
        except (_NotOurs, RecordDamaged, SpecError, UsageError) as error:
            view.unsettled(run, str(error))
        if control.asked:
            break
    return found


class _NotOurs(Exception):
    """The record of an earlier run may not be written, or what it left may not be removed."""


async def _settle(run: str, executor: Executor, settings: Settings, control: Control) -> Summary:
    """Settle what *run* left open, into its own journal, which gets no end by it.

    What the servers still hold is waited for and collected; what they do not is lost. Nothing is submitted.
    """
    folder = settings.runs / run
    journal, lines = _reopened(folder)
    try:
        state = standing(lines)
        work = Remainder(frozen_plan(folder, state), state, only_on=executor.servers)
        work.spell(executor.servers)
        recorder = Recorder(journal, clock=door.now, secrets=secrets_of(settings.credentials))
        recorder.resume(lines)
        place = Place(run=run, uuid=uuid.UUID(state.head["uuid"]), folder=folder)
        return await _conduct(
            work, place, recorder, executor, settings, control, lambda _: None, settling=True
        )
    finally:
        journal.close()


def _reopened(folder: Path) -> tuple[Journal, list[Line]]:
    """Return the journal of the run in *folder* and its lines, with what they do not tell of removed."""
    try:
        journal, lines = Journal.resume(folder / JOURNAL)
        try:
            sweep(folder, lines)
        except BaseException:
            journal.close()
            raise
    except StorageError as error:
        raise _NotOurs(str(error)) from error
    return journal, lines


async def _listed(
    wanted: frozenset[tuple[str, str]], executor: Executor, facts: Sequence[ServerFacts]
) -> FoundFiles:
    """Return (folder, name) → server → what it lists, for the model files *wanted*."""
    found: FoundFiles = {}
    folders_named = {folder for folder, _ in wanted if folder}
    for each in facts:
        if each.realm == PREVIZ:
            continue
        told: Mapping[tuple[str, str], Listed] = {}
        with suppress(NoServer):  # It has gone meanwhile; what is not known counts as equal.
            told = await executor.listed_models(each.url, folders_named)
        known = {_anywhere(which): listed for which, listed in told.items()}
        for which in wanted:
            if _anywhere(which) in known:
                found.setdefault(which, {})[each.url] = known[_anywhere(which)]
    return found


def _anywhere(which: tuple[str, str]) -> tuple[str, str]:
    """Return (folder, name) as it is on no server on Windows: `anime\\ink` is `anime/ink`."""
    return which[0], which[1].replace("\\", "/")


async def _index_of(run: str, runs: Path) -> Report | None:
    """Publish the index when it is older than *run*, whose process may have been killed before it could."""
    published = runs / PUBLISHED
    if published.is_file() and published.stat().st_mtime_ns > (runs / run / JOURNAL).stat().st_mtime_ns:
        return None
    return await asyncio.to_thread(keep_up, runs)


def _nothing_to_do(batch: Batch, settings: Settings) -> Summary:
    return Summary(
        run=batch.done_by,
        folder=settings.runs / batch.done_by,
        total=batch.work.total,
        succeeded=0,
        reused=batch.work.total - batch.work.waiting,
        failed=0,
        waiting=batch.work.waiting,
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
        bind=bind_fresh(settings.nonce) if settings.nonce else bind,
        collect=partial(collect, bounds=_bounds(settings)),
        credentials=settings.credentials,
        allow_plain_http=settings.allow_plain_http,
        ca_file=settings.ca_file,
        allow_insecure_tls=settings.allow_insecure_tls,
        settle_s=settings.settle_s,
        server_wait_s=settings.server_wait_s,
        no_progress_s=settings.no_progress_s,
        sockets=settings.sockets,
    )
    try:
        yield executor
    finally:
        await executor.close()


def _bounds(settings: Settings) -> Bounds:
    return Bounds(files=settings.max_job_files, together=settings.max_job_size, reserve=settings.disk_reserve)


def agreed(facts: Sequence[ServerFacts], settings: Settings) -> Realm:
    """Return the realm of all *facts*; raises PreflightRefused where they must be alike and are not."""
    realm = one_realm(facts)
    if settings.require_uniform and (found := differences(facts)):
        raise PreflightRefused(found, hint="use servers that are alike, or leave out --require-uniform")
    return realm


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
    listed: FoundFiles,
    executor: Executor,
    settings: Settings,
    control: Control,
    view: View,
) -> tuple[Summary, Report | None]:
    now = door.utc()
    run, run_uuid = folders.run_name(batch.episode, now, door.token(2)), door.fresh_id()
    head = _head(batch, run_uuid, realm) | {"spec_path": folders.seen_from(settings.runs, batch.spec)}
    versions = {"run": run, "started": now.isoformat(timespec="seconds"), "python": platform.python_version()}
    kept = dict(batch.frozen())
    if changed := batch.edited():
        raise UsageError(
            f"changed while the plan was made: {', '.join(changed)}", hint="the same command again"
        )
    folder = folders.create(settings.runs, run, facts=versions | head, frozen=kept)
    journal = Journal.create(folder / JOURNAL, run=run)
    recorder = Recorder(journal, clock=door.now, secrets=secrets_of(settings.credentials))
    try:
        # No model file goes into a card.
        sums = {} if realm == PREVIZ else settings.model_sums
        _record_head(recorder, batch, head, listed, sums)
        view.began(run, folder, batch.work)
        place = Place(run=run, uuid=run_uuid, folder=folder)
        summary = await _conduct(batch.work, place, recorder, executor, settings, control, view)
        recorder.end(code=summary.exit_code, reason=summary.reason)
    finally:
        journal.close()
    if changed := batch.edited():
        view.edited(changed)
    if batch.history is not None:
        batch.history.close()  # the index is replaced now, and on Windows not while it is open
    return summary, await asyncio.to_thread(keep_up, settings.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A run on disk."""

    run: str
    uuid: uuid.UUID
    folder: Path


async def _conduct(
    work: Work,
    place: Place,
    recorder: Recorder,
    executor: Executor,
    settings: Settings,
    control: Control,
    view: Observer,
    *,
    settling: bool = False,
) -> Summary:
    """Conduct *work* as far as it goes; the index is published meanwhile."""
    conductor = Conductor(
        work,
        executor,
        recorder,
        run=place.run,
        run_uuid=place.uuid,
        folder=place.folder,
        settings=settings,
        control=control,
        observe=view,
        told=executor.told,
        settling=settling,
    )
    publishing = asyncio.ensure_future(_publish(settings.runs))
    try:
        return await conductor.conduct()
    finally:
        publishing.cancel()


async def resume(
    run: str, *, retry_failed: bool, settings: Settings, control: Control, view: View
) -> tuple[Summary, Report | None]:
    """Continue *run* until every job is made or has failed; nothing that is made is rendered again.

    Nobody else runs its spec meanwhile: each would make what the other makes. Raises as `launch` does,
    RecordDamaged for a journal that cannot be trusted, UsageError for another realm.
    """
    told = Reading(settings.runs / run / JOURNAL)
    head = next((line for line in told if line["t"] == "run"), {})
    continuable(run, Standing(head=head))
    with folders.spec_lock_after_probe(settings.runs, folders.spec_of(settings.runs, head)):
        return await _resume(run, retry_failed, settings, control, view)


async def _resume(
    run: str, retry_failed: bool, settings: Settings, control: Control, view: View
) -> tuple[Summary, Report | None]:
    folder = settings.runs / run
    journal, lines = Journal.resume(folder / JOURNAL)
    try:
        state = standing(lines)
        reuse = reuse_of(state, settings.runs)
        reuse.history.refuse_damage(state.head["spec"], folders.spec_of(settings.runs, state.head))
        sweep(folder, lines, reuse.history)
        work = Remainder(frozen_plan(folder, state, reuse), state, retry_failed=retry_failed)
        async with servers(settings) as executor:
            facts = await executor.open()
            _same_realm(state.head["realm"], agreed(facts, settings), run)
            view.opened(facts)
            spec, path = state.head["spec"], folders.spec_of(settings.runs, state.head)
            left = [each for each in reuse.history.unfinished(spec, path) if each[0] != run]
            if settled := await _settle_all(left, executor, settings, control, view):
                if control.asked:
                    return settled[-1], None
                reuse = reuse_of(state, settings.runs)
                work = Remainder(frozen_plan(folder, state, reuse), state, retry_failed=retry_failed)
            found = await _listed(work.model_files, executor, facts)
            if models := facts_of(found, settings.model_sums):
                reuse = replace(reuse, models=models)
                work = Remainder(frozen_plan(folder, state, reuse), state, retry_failed=retry_failed)
            await admit(work.samples, work.templates, executor, settings, view)
            recorder = Recorder(journal, clock=door.now, secrets=secrets_of(settings.credentials))
            recorder.resume(lines)
            lines.clear()
            work.spell(executor.servers)
            view.began(run, folder, work)
            place = Place(run=run, uuid=uuid.UUID(state.head["uuid"]), folder=folder)
            summary = await _conduct(work, place, recorder, executor, settings, control, view)
            recorder.end(code=summary.exit_code, reason=summary.reason)
    finally:
        journal.close()
    reuse.history.close()
    return summary, await asyncio.to_thread(keep_up, settings.runs)


def _same_realm(then: str, now: Realm, run: str) -> None:
    if then != now:
        made = "storyboard cards" if then == PREVIZ else "real pictures"
        flag = "--server previz" if then == PREVIZ else "--server URL"
        raise UsageError(
            f"run {run} makes {made}, and this server does not", hint=f"animerun resume with {flag}"
        )


def _head(batch: Batch, run_uuid: uuid.UUID, realm: Realm) -> dict[str, Any]:
    return {
        "uuid": str(run_uuid),
        "spec": batch.source or batch.spec.as_posix(),
        "episode": batch.episode,
        "title": batch.title,
        "realm": realm,
        "animerun": __version__,
        "total": batch.work.total,
        "waiting": batch.work.waiting,
        "scope": asdict(batch.scope),
        "force": {"all": batch.policy.force, "only": [p.text for p in batch.policy.force_only]},
        "replay_of": batch.replay_of,
    }


def _record_head(
    recorder: Recorder,
    batch: Batch,
    facts: Mapping[str, Any],
    listed: FoundFiles,
    sums: Mapping[tuple[str, str], str],
) -> None:
    recorder.head(**facts)
    for file in batch.inputs:
        recorder.input(name=file.name, path=file.project, size=file.size)
    for name, digest in batch.templates.items():
        recorder.template(name=name, digest=digest)
    for folder, name in sorted(batch.model_files):
        for server, each in listed.get((folder, name), {}).items():
            recorder.model_file(
                server=server, folder=folder, name=name, size=each.size, modified=each.modified
            )
        if (folder, name) in sums:
            recorder.model_file(server="", folder=folder, name=name, sha256=sums[folder, name])
    recorder.commit()


async def _publish(runs: Path) -> None:
    """Publish the index once a minute; a run never waits for it."""
    while True:
        await asyncio.sleep(_PUBLISH_S)
        await asyncio.to_thread(keep_up, runs, wait_s=0.0)
