"""The conductor: feeds the schedule, starts what it says, hands every event on. It holds no rule of its own.

One loop, one order: an intent is durable before its POST; an event reaches the recorder before anybody
else; the schedule decides; only then people are told. Stopping is a request, not an exception.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from runner import door
from runner.awake import Awake, Timetable
from runner.collect import part_of
from runner.domain import Attempt, Fault, Job, Workflow
from runner.durable import Durable
from runner.errors import StorageError
from runner.events import (
    AttemptAdopted,
    AttemptCancelled,
    AttemptFailed,
    AttemptIntended,
    AttemptSucceeded,
    Elapsed,
    Event,
    ExecutorEvent,
    JobReused,
    ServerDown,
    ServerUp,
    Stopping,
)
from runner.manifest.history import Made
from runner.record import Recorder
from runner.relink import intact, relink
from runner.rendered import Rendered, Work, made_anew, tags
from runner.schedule import Ended, Limits, Schedule, Start
from runner.settings import Settings
from runner.submit import Executor
from runner.summary import Summary

log = logging.getLogger(__name__)

_FEED = 256
"""Most jobs rendered between two looks at the events."""

_SHARD = 500
"""Jobs per server folder: a save slows down with the number of names beside it."""

_LAST_CALL_S = 10.0
"""How long what runs may take to end once it is interrupted."""

_ENDS = (AttemptSucceeded, AttemptFailed, AttemptCancelled)


class Observer(Protocol):
    """Sees every event after the recorder; one that raises sees no more."""

    def __call__(self, event: Event) -> None:
        """Take note of *event*."""


class Control:
    """How the outside asks a run to stop; safe to call from a signal handler on the loop."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[Stopping] = asyncio.Queue()
        self.asked = 0
        self.waited = False
        """Another process was at it meanwhile: what was planned may be made by now."""
        self.conducting = False
        """Jobs have begun: from here on a stop is heard by the conductor, before by whoever launched it."""

    def stop(self, reason: str, exit_code: int, *, grace_s: float | None = None) -> None:
        """Ask once: submit nothing more, let running jobs end. Ask again: leave now."""
        self.asked += 1
        self.requests.put_nowait(Stopping(reason=reason, exit_code=exit_code, grace_s=grace_s))


@dataclass(slots=True)
class _Counts:
    succeeded: int = 0
    reused: int = 0
    failed: int = 0
    files: int = 0
    failures: list[tuple[str, Fault]] = field(default_factory=list)


class Conductor:
    """One run, from the first job to the summary."""

    def __init__(
        self,
        work: Work,
        executor: Executor,
        recorder: Recorder,
        *,
        run: str,
        run_uuid: uuid.UUID,
        folder: Path,
        settings: Settings,
        control: Control,
        observe: Observer,
        told: Sequence[ServerUp | ServerDown] = (),
        settling: bool = False,
        clock: Callable[[], float] = door.now,
    ) -> None:
        self._work = work
        self._executor = executor
        self._recorder = recorder
        self._run = run
        self._uuid = run_uuid
        self._folder = folder
        self._settings = settings
        self._control = control
        self._observe = observe
        self._clock = clock
        self._rendered: Iterator[Rendered] = iter(work.rendered())
        self._held: dict[str, Rendered] = {}
        self._shared: list[JobReused] = []
        self._durable = Durable(recorder)
        done = work.before
        self._counts = _Counts(done.succeeded, done.reused, done.failed, done.files)
        self._stop: Stopping | None = None
        self._trouble: StorageError | None = None
        self._unseen: Exception | None = None
        self._schedule = Schedule(
            executor.servers,
            depth=settings.depth,
            attempts=settings.attempts,
            limits=Limits(
                failures=settings.max_failures,
                percent=settings.max_failure_percent,
                same=settings.max_same_failure,
            ),
        )
        self._events: asyncio.Queue[ExecutorEvent | Stopping] = asyncio.Queue()
        self._usable: set[str] = set()
        self._awake = Awake()
        self._deadline: float | None = None
        self._last_call = False
        """What ran was told to end."""
        self._alarms: Timetable[Elapsed | Stopping] = Timetable(self._awake)
        if settings.deadline_s:
            reason = f"the deadline of {settings.deadline_s:g} s is reached"
            self._alarms.add(settings.deadline_s, Stopping(reason=reason, exit_code=8))
        self._settling = settling
        if settling:
            # Nothing is started, and what turns out lost is left to whoever runs the job next.
            self._schedule.stop()
        for event in told:
            self._events.put_nowait(event)

    async def conduct(self) -> Summary:
        """Run every job to its end and return what came of it.

        Raises StorageError when the record cannot be written, and in settling when a file cannot be kept.
        """
        began = door.monotonic()
        self._control.conducting = not self._settling
        pumps = [asyncio.ensure_future(self._pump()), asyncio.ensure_future(self._listen())]
        try:
            self._adopt()
            told: list[Event] = []
            while self._control.asked < 2 and self._trouble is None:
                self._feed()
                starting = self._intend_all()
                await self._durable.commit()
                self._tell(told, starting)
                if self._schedule.done:
                    break
                # While there is room, the next jobs are taken: of those made already no event will ever tell.
                events = await self._events_now(wait=not self._schedule.room)
                told = [told for event in events for told in self._decide(event)]
                self._judge_servers()
            await self._drain()
        finally:
            for pump in pumps:
                pump.cancel()
            ends = await asyncio.gather(*pumps, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        if self._settling and self._trouble is not None:
            # Of a run that is settled no end is recorded that could tell it.
            raise self._trouble
        return self._summary(door.monotonic() - began)

    # -- the loop --------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        while True:
            try:
                self._events.put_nowait(await self._executor.next_event())
            except StorageError as error:
                self._trouble = error
                self._events.put_nowait(Stopping(reason=str(error), exit_code=error.exit_code))

    async def _listen(self) -> None:
        while True:
            self._events.put_nowait(await self._control.requests.get())

    def _feed(self) -> None:
        """Take the next jobs in listing order: offer them, share what is made already, record who waits."""
        for _ in range(min(_FEED, self._schedule.room)):
            rendered = next(self._rendered, None)
            if rendered is None:
                self._schedule.close_feed()
                return
            made = rendered.made
            if made is not None and (why := intact(self._settings.runs / made.run, made.outputs)):
                # It was whole when the plan looked, maybe hours ago.
                rendered, made = made_anew(rendered, why), None
            if made is not None:
                self._share(rendered, made)
            elif rendered.ticket is None:
                self._recorder.job(rendered.job, None, recipe=rendered.recipe)
            else:
                self._held[rendered.job.key] = rendered
                self._schedule.offer(rendered.ticket)

    def _adopt(self) -> None:
        """Follow what an earlier process left open; what its server cannot hold any more is lost at once."""
        for each in self._work.open():
            job, workflow, ticket = each.rendered.job, each.rendered.workflow, each.rendered.ticket
            assert workflow is not None and ticket is not None, "only rendered jobs were started"
            if each.server not in self._executor.servers:
                lost = Fault(code="LOST", message=f"{each.server} is not used any more", retry="again")
                event = AttemptFailed(prompt_id=each.prompt_id, server=each.server, fault=lost, again=True)
                self._recorder.handle(event, final=False)
                start = Start(ticket, each.server, ticket.number)
                self._show(AttemptAdopted(attempt=self._attempt(each.prompt_id, start, job, workflow)))
                self._show(event)
                self._held[job.key] = each.rendered
                self._schedule.offer(replace(ticket, number=ticket.number + 1))
                continue
            self._held[job.key] = each.rendered
            self._schedule.follow(ticket, each.prompt_id, each.server)
            start = Start(ticket, each.server, ticket.number)
            attempt = replace(self._attempt(each.prompt_id, start, job, workflow), prefix=each.prefix)
            self._show(AttemptAdopted(attempt=attempt))
            self._executor.adopt(attempt, self._folder, age_s=self._clock() - each.intended)

    def _share(self, rendered: Rendered, made: Made) -> None:
        """Put an earlier run's files into this run's folder and record them as its own."""
        job, source = rendered.job, self._settings.runs / made.run
        outputs = tuple(
            relink(
                source, output, self._folder, old_name=made.name, new_name=job.name, copy=self._settings.copy
            )
            for output in made.outputs
        )
        self._durable.named_in.update((self._folder / output.path).parent for output in outputs)
        self._recorder.job(job, rendered.workflow, recipe=rendered.recipe, reason=rendered.reason)
        event = JobReused(
            key=job.key,
            digest=made.digest,
            from_run=made.run,
            prompt_id=made.prompt_id,
            outputs=outputs,
        )
        self._recorder.handle(event)
        self._counts.reused += 1
        self._counts.files += len(outputs)
        self._shared.append(event)

    def _intend_all(self) -> list[AttemptIntended]:
        """Hand the recorder the intents of all that starts now; they must be durable before it does."""
        return [self._intend(prompt_id, start) for prompt_id, start in self._schedule.take(self._id)]

    def _tell(self, told: list[Event], starting: list[AttemptIntended]) -> None:
        """Start what is durable by now, then tell people what has happened."""
        for intended in starting:
            attempt = intended.attempt
            if self._control.asked:
                # A stop came while the intent was being written: it was never sent.
                cancelled = AttemptCancelled(prompt_id=attempt.prompt_id, server=attempt.server)
                self._events.put_nowait(cancelled)
            else:
                self._executor.start(attempt, self._folder)
        for event in (*self._shared, *told, *starting):
            self._show(event)
        self._shared.clear()

    async def _events_now(self, *, wait: bool) -> list[ExecutorEvent | Elapsed | Stopping]:
        """Return all events that have come, with *wait* at least one unless a deadline passes first."""
        first = await self._wait() if wait else None
        seen = [first] if first is not None else []
        while not self._events.empty():
            seen.append(self._events.get_nowait())
        return seen

    async def _wait(self) -> ExecutorEvent | Elapsed | Stopping | None:
        """Return the next event or alarm, or None when a deadline passed first."""
        while True:
            if (alarm := self._alarms.due()) is not None:
                return alarm
            left_s = self._alarms.pause_s()
            if self._deadline is not None:
                left_s = min(left_s, self._deadline - self._awake())
                if left_s <= 0:
                    self._deadline = None
                    self._overdue()
                    return None
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    return await self._events.get()

    async def _drain(self) -> None:
        """Record what came in behind the last decision, a request to stop among it."""
        while not self._control.requests.empty():
            self._events.put_nowait(self._control.requests.get_nowait())
        while not self._events.empty():
            for event in self._decide(self._events.get_nowait()):
                self._show(event)
        await self._durable.commit()

    def _show(self, event: Event) -> None:
        """Tell people; when that fails it is told at the end, and what the run makes goes on unseen."""
        if self._unseen is not None:
            return
        try:
            self._observe(event)
        except Exception as error:  # noqa: BLE001 - kept in the summary
            self._unseen = error

    # -- decisions handed on ---------------------------------------------------------------------------

    def _decide(self, event: ExecutorEvent | Elapsed | Stopping) -> list[Event]:
        """Record *event* and what follows from it; return what people are told."""
        if isinstance(event, Stopping):
            self._begin_stop(event)
            return [event]
        ended = self._schedule.handle(event)
        for alarm in self._schedule.alarms():
            self._alarms.add(alarm.seconds, alarm.event)
        if isinstance(event, Elapsed):
            return []
        if ended is None and isinstance(event, _ENDS):
            log.info("outdated, not applied: %s", event)
            return []
        if isinstance(event, AttemptFailed) and ended is not None:
            event = replace(event, fault=ended.fault or event.fault, again=not ended.final)
        self._recorder.handle(event, final=ended is None or ended.final)
        self._count(event, ended)
        if (limit := self._schedule.limit_reached) and self._stop is None and not self._schedule.done:
            self._begin_stop(Stopping(reason=limit, exit_code=8))
        news = self._schedule.news()
        for each in news:
            self._recorder.handle(each)
            self._note_server(each)
        return [event, *news]

    def _count(self, event: ExecutorEvent, ended: Ended | None) -> None:
        self._note_server(event)
        if ended is None or not ended.final:
            return
        self._held.pop(ended.key, None)
        match event:
            case AttemptSucceeded(outputs=outputs):
                self._counts.succeeded += 1
                self._counts.files += len(outputs)
                self._durable.parts += (
                    part_of(self._folder / output.path, output.mtime_ns) for output in outputs
                )
            case AttemptFailed(fault=fault):
                self._counts.failed += 1
                self._counts.failures.append((ended.key, fault))
            case _:
                pass

    def _note_server(self, event: Event) -> None:
        if isinstance(event, ServerUp):
            self._usable.add(event.server)
        elif isinstance(event, ServerDown):
            self._usable.discard(event.server)

    def _begin_stop(self, stop: Stopping) -> None:
        """Start nothing more, take back what the servers have not begun, give the rest time to end."""
        if self._stop is not None:
            return
        self._stop = stop
        self._schedule.stop()
        grace_s = min(stop.grace_s or self._settings.grace_s, self._settings.grace_s)
        self._deadline = self._awake() + grace_s
        for prompt_id in self._schedule.pending():
            self._executor.cancel(prompt_id, running=False)

    def _judge_servers(self) -> None:
        """Give up when there is work and no server for it."""
        if self._stop is not None or self._schedule.done:
            return
        if self._schedule.stranded:
            why = "".join(f"; {reason}" for reason in self._schedule.reasons)
            self._begin_stop(Stopping(reason=f"no server is left that can be used{why}", exit_code=4))
        elif self._usable:
            self._deadline = None
        elif self._deadline is None:
            self._deadline = self._awake() + self._settings.server_wait_s

    def _overdue(self) -> None:
        """The time running jobs had to end, or servers had to come back, is over."""
        if self._stop is None:
            reason = f"no server could be used for {self._settings.server_wait_s:g} s"
            self._begin_stop(Stopping(reason=reason, exit_code=4))
            return
        if self._last_call or not self._usable:
            # What runs on in spite of an interrupt is left where it is; the next process looks for it.
            self._control.asked = 2
            return
        self._last_call = True
        self._deadline = self._awake() + min(self._settings.grace_s, _LAST_CALL_S)
        for prompt_id in self._schedule.under_way():
            self._executor.cancel(prompt_id)

    # -- attempts --------------------------------------------------------------------------------------

    def _id(self, key: str, number: int) -> str:
        return str(uuid.uuid5(self._uuid, f"{key}/{number}"))

    def _intend(self, prompt_id: str, start: Start) -> AttemptIntended:
        rendered = self._held[start.ticket.key]
        workflow = rendered.workflow
        assert workflow is not None, "only rendered jobs are offered"
        self._recorder.job(rendered.job, workflow, recipe=rendered.recipe, reason=rendered.reason)
        attempt = self._attempt(prompt_id, start, rendered.job, workflow)
        intended = AttemptIntended(attempt=attempt, seq=start.ticket.seq, at=self._clock())
        self._recorder.handle(intended)
        return intended

    def _attempt(self, prompt_id: str, start: Start, job: Job, workflow: Workflow) -> Attempt:
        shard, stem = f"{job.seq // _SHARD:04}", job.name.rsplit("/", 1)[-1]
        return Attempt(
            run=self._run,
            key=job.key,
            number=start.number,
            prompt_id=prompt_id,
            server=start.server,
            workflow=workflow,
            prefix=f"animerun/{self._run}/{shard}/{job.seq:06}-a{start.number}/{stem}",
            files=self._work.files_of(workflow),
            name=job.name,
            tags=tags(job, run=self._run, attempt=start.number, digest=workflow.digest),
            free=start.free,
        )

    # -- the end ---------------------------------------------------------------------------------------

    def _summary(self, seconds: float) -> Summary:
        counts, stop = self._counts, self._stop
        summary = Summary(
            run=self._run,
            folder=self._folder,
            total=self._work.total,
            succeeded=counts.succeeded,
            reused=counts.reused,
            failed=counts.failed,
            waiting=self._work.waiting,
            before=self._work.before,
            files=counts.files,
            exit_code=1 if counts.failed else 0,
            reason="",
            seconds=seconds,
            failures=tuple(counts.failures),
            unseen=self._unseen,
        )
        if summary.unfinished and self._trouble is not None:
            return replace(summary, exit_code=self._trouble.exit_code, reason=str(self._trouble))
        if summary.unfinished and stop is not None:
            return replace(summary, exit_code=stop.exit_code, reason=stop.reason)
        if summary.unfinished and not self._settling:
            return replace(summary, exit_code=1, reason=f"{summary.unfinished} jobs were taken back unasked")
        # A stop that left nothing undone stopped nothing.
        return summary
