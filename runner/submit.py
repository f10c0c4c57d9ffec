"""One attempt from upload to terminal event. The conductor knows the Executor protocol and nothing behind it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from runner.comfy.client import Client, Fetch, Limits, Rejected
from runner.comfy.credentials import credentials_for, normalise_url
from runner.comfy.object_info import ObjectInfo
from runner.comfy.protocol import FileRef, Tracker
from runner.comfy.server import Pace, Server, Watch
from runner.comfy.verdict import Succeeded, Uncollected, judge, rejection
from runner.domain import Attempt, Fault, Output, OutputKind, Plain, ServerFacts
from runner.errors import Ambiguous, AnimerunError, NoServer, Refused, ServerFault, StorageError, Unreachable
from runner.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptProgress,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    ExecutorEvent,
    ServerDown,
    ServerUp,
)
from runner.settings import Settings

Retry = Literal["never", "elsewhere", "again"]
Place = Literal["queued", "running", "finished", "absent"]
Nodes = Mapping[str, Mapping[str, Plain]]
Ended = AttemptSucceeded | AttemptFailed | AttemptCancelled

_PROGRESS_S = 0.2
_FIRST_SOCKET_S = 2.0


class Executor(Protocol):
    """Takes rendered jobs, yields events. Everything the conductor knows about servers."""

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers by the names that attempts and events use."""
        ...

    async def open(self) -> tuple[ServerFacts, ...]:
        """Contact every server once and return what those that answered said; raises NoServer when none did."""
        ...

    async def object_info(self, server: str) -> ObjectInfo:
        """Return what the server offers."""
        ...

    async def prepare(self, server: str, files: Mapping[str, Path]) -> None:
        """Upload inputs (`<sha256>.<ext>` → local file), each once per server."""
        ...

    def start(self, attempt: Attempt, folder: Path) -> None:
        """Submit *attempt* and collect its outputs into *folder*; its progress and end come as events."""
        ...

    def adopt(self, attempt: Attempt, folder: Path) -> None:
        """Follow an attempt that an earlier process submitted, without submitting it."""
        ...

    def cancel(self, prompt_id: str) -> None:
        """Take it out of the queue, or interrupt it; AttemptCancelled comes when it is proven gone."""
        ...

    async def find(self, prompt_ids: Sequence[str], server: str) -> Mapping[str, Place]:
        """Return where each id is at this moment; raises NoServer when the server does not answer."""
        ...

    async def next_event(self) -> ExecutorEvent:
        """Return the next event, waiting for it; raises StorageError when an output cannot be stored here."""
        ...

    async def close(self) -> None:
        """Leave everything as it is on the servers and let go of them."""
        ...


class Bind(Protocol):
    """Stored workflow → the graph to send."""

    def __call__(self, nodes: Nodes, /, *, prefix: str, uploads: Mapping[str, str]) -> Nodes:
        """Return *nodes* with every placeholder replaced."""
        ...


class Collect(Protocol):
    """Files a server names → verified files of ours; raises Uncollected or StorageError."""

    def __call__(
        self,
        refs: Sequence[FileRef],
        *,
        fetch: Fetch,
        folder: Path,
        name: str,
        outputs: Mapping[str, OutputKind],
    ) -> Awaitable[tuple[Output, ...]]:
        """Return one Output per file, in order."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class _Course:
    """One attempt under way."""

    attempt: Attempt
    folder: Path
    server: Server
    watch: Watch
    adopted: bool = False
    submitted_at: float = 0.0
    """Monotonic; 0 until AttemptSubmitted was told."""
    running_told: bool = False
    progress_at: float = 0.0
    doubt: ServerFault | None = None
    """The answer to the submission that could not be trusted."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Known:
    """What is known of one server beyond its connection."""

    server: Server
    facts: ServerFacts | None = None
    object_info: ObjectInfo | None = None
    uploaded: set[str] = field(default_factory=set)
    uploading: asyncio.Lock = field(default_factory=asyncio.Lock)


class ComfyExecutor:
    """An executor over ComfyUI servers by URL. Opened and closed by the same task.

    Args:
        servers: Addresses, as a person writes them.
        bind: Stored workflow → sent workflow.
        collect: Refs → outputs.
        settings: Times, sockets, credentials.
        pace: Overrides the times made from *settings*.
        limits: Sizes and deadlines of single requests.

    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        bind: Bind,
        collect: Collect,
        settings: Settings | None = None,
        pace: Pace | None = None,
        limits: Limits | None = None,
    ) -> None:
        settings = settings or Settings()
        self._bind = bind
        self._collect = collect
        self._pace = pace or Pace(settle_s=settings.settle_s, server_wait_s=settings.server_wait_s)
        self._events: asyncio.Queue[ExecutorEvent | AnimerunError] = asyncio.Queue()
        self._courses: dict[str, _Course] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: dict[str, _Known] = {}
        for url in dict.fromkeys(map(normalise_url, servers)):
            self._known[url] = _Known(server=self._connect(url, settings, limits))
        self._stack = AsyncExitStack()
        self._group: asyncio.TaskGroup | None = None

    def _connect(self, url: str, settings: Settings, limits: Limits | None) -> Server:
        credentials = credentials_for(url, settings.credentials, allow_plain_http=settings.allow_plain_http)
        client = Client(url, credentials=credentials, limits=limits)
        state = partial(self._state, url)
        return Server(client, pace=self._pace, on_state=state, sockets=settings.sockets)

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers' addresses, normalised, in the order given."""
        return tuple(self._known)

    async def open(self) -> tuple[ServerFacts, ...]:
        """Contact every server once; emits ServerUp or ServerDown for each.

        Raises:
            NoServer: None answered as a ComfyUI; says what was tried and what came of it.

        """
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        async with asyncio.TaskGroup() as contacts:
            tried = [contacts.create_task(self._contact(known)) for known in self._known.values()]
        failed = [reason for task in tried if (reason := task.result())]
        if len(failed) == len(self._known):
            await self.close()
            raise NoServer("no server can be used:\n" + "\n".join(f"  {reason}" for reason in failed))
        await self._listen()
        return tuple(known.facts for known in self._known.values() if known.facts is not None)

    async def _contact(self, known: _Known) -> str:
        """Return why the server cannot be used, empty when it can."""
        server = known.server
        try:
            await self._ask(known)
        except ServerFault as fault:
            final = not isinstance(fault, (Unreachable, Ambiguous))
            server.out(str(fault), final=final)
            return str(fault)
        self._emit(ServerUp(server=server.url, facts=self._facts(known)))
        return ""

    async def _ask(self, known: _Known) -> None:
        client = known.server.client
        began = time.monotonic()
        stats = await client.system_stats()
        latency_s = time.monotonic() - began
        known.object_info = ObjectInfo(await client.object_info(), server=client.url)
        known.facts = facts_of(client.url, stats, classes=len(known.object_info), latency_s=latency_s)

    def _facts(self, known: _Known) -> ServerFacts:
        assert known.facts is not None, "asked before"
        return known.facts

    async def _listen(self) -> None:
        """Start following; wait a moment for the sockets, so that the first jobs are heard."""
        listeners = []
        for known in self._known.values():
            if known.server.final:
                continue
            self._spawn(known.server.run())
            if known.server.listener is not None:
                self._spawn(known.server.listener.run())
                listeners.append(known.server.listener)
        try:
            async with asyncio.timeout(_FIRST_SOCKET_S):
                for listener in listeners:
                    await listener.tried.wait()
        except TimeoutError:
            return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None, "open first"
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _emit(self, event: ExecutorEvent) -> None:
        self._events.put_nowait(event)

    def _state(self, url: str, reason: str, final: bool) -> None:
        known = self._known[url]
        if reason:
            # Whoever comes back may be another process with an empty input folder.
            known.uploaded.clear()
            self._emit(ServerDown(server=url, reason=reason, final=final))
        else:
            self._spawn(self._welcome(known))

    async def _welcome(self, known: _Known) -> None:
        """Ask a server that is back what it is now."""
        try:
            await self._ask(known)
        except ServerFault as fault:
            known.server.trouble(fault)
            return
        self._emit(ServerUp(server=known.server.url, facts=self._facts(known)))

    async def object_info(self, server: str) -> ObjectInfo:
        """Return what *server* offers; raises NoServer while it does not answer."""
        known = self._known[server]
        if known.object_info is None:
            try:
                await self._ask(known)
            except ServerFault as fault:
                raise NoServer(str(fault)) from fault
        assert known.object_info is not None
        return known.object_info

    async def prepare(self, server: str, files: Mapping[str, Path]) -> None:
        """Upload *files* that this process has not uploaded there yet.

        Raises:
            NoServer: The server does not take them.
            StorageError: A file cannot be read.

        """
        known = self._known[server]
        watch = known.server.watch(str(uuid.uuid4()), lambda _: None)
        try:
            await self._upload(known, files, watch)
        except ServerFault as fault:
            raise NoServer(str(fault)) from fault
        finally:
            known.server.forget(watch)

    async def _upload(self, known: _Known, files: Mapping[str, Path], watch: Watch) -> None:
        for name, path in files.items():
            async with known.uploading:
                if name in known.uploaded:
                    continue
                content = await _read(path)
                await known.server.insist(partial(known.server.client.upload, content, name), watch)
                known.uploaded.add(name)

    def start(self, attempt: Attempt, folder: Path) -> None:
        """Submit *attempt*; returns at once."""
        self._begin(attempt, folder, adopted=False)

    def adopt(self, attempt: Attempt, folder: Path) -> None:
        """Follow *attempt* without submitting it; LOST when it is nowhere for the settle time."""
        self._begin(attempt, folder, adopted=True)

    def _begin(self, attempt: Attempt, folder: Path, *, adopted: bool) -> None:
        server = self._known[attempt.server].server
        watch = server.watch(attempt.prompt_id, lambda _: self._news(course))
        course = _Course(attempt=attempt, folder=folder, server=server, watch=watch, adopted=adopted)
        self._courses[attempt.prompt_id] = course
        self._spawn(self._attempt(course))

    def cancel(self, prompt_id: str) -> None:
        """Withdraw an attempt; unknown and finished ones are ignored."""
        course = self._courses.get(prompt_id)
        if course is None or course.watch.cancelled:
            return
        course.watch.cancelled = True
        course.watch.stir()
        if course.watch.sent_at:
            self._spawn(self._withdraw(course))

    async def find(self, prompt_ids: Sequence[str], server: str) -> Mapping[str, Place]:
        """Return where each id is, asked in the order that proves absence."""
        client = self._known[server].server.client
        try:
            queue = await client.queue()
            places: dict[str, Place] = {}
            for prompt_id in prompt_ids:
                if prompt_id in queue:
                    places[prompt_id] = "running" if prompt_id in queue.running else "queued"
                else:
                    entry = await client.history(prompt_id)
                    places[prompt_id] = "absent" if entry is None else "finished"
        except ServerFault as fault:
            raise NoServer(str(fault)) from fault
        return places

    async def next_event(self) -> ExecutorEvent:
        """Return the next event; raises what no attempt can be blamed for (StorageError)."""
        event = await self._events.get()
        if isinstance(event, AnimerunError):
            raise event
        return event

    async def close(self) -> None:
        """Let go of all servers; attempts under way stay there as they are."""
        for task in tuple(self._tasks):
            task.cancel()
        try:
            await self._stack.aclose()
        finally:
            for known in self._known.values():
                await known.server.client.close()

    async def _attempt(self, course: _Course) -> None:
        try:
            ended = await self._run(course)
        except StorageError as error:
            self._events.put_nowait(error)
            return
        finally:
            course.server.forget(course.watch)
            del self._courses[course.attempt.prompt_id]
        self._emit(ended)

    async def _run(self, course: _Course) -> Ended:
        watch = course.watch
        try:
            fault = None if course.adopted else await self._submit(course)
            if fault is not None:
                return self._failed(course, fault)
            if course.adopted:
                course.server.sent(watch)
            entry = await course.server.entry(watch) or _from_frames(watch.tracker)
            if entry is None:
                return self._gone(course)
            return await self._finish(course, entry)
        except Unreachable as silence:
            if watch.cancelled and not watch.sent_at:
                return self._withdrawn(course)
            return self._failed(course, Fault(code="LOST", retry="elsewhere", message=str(silence)[:500]))
        except Uncollected as error:
            return self._failed(course, error.fault)

    async def _submit(self, course: _Course) -> Fault | None:
        """Send the attempt; None when it may be on the server now."""
        attempt, server, watch = course.attempt, course.server, course.watch
        try:
            await self._upload(self._known[server.url], attempt.files, watch)
        except (Refused, Ambiguous) as fault:
            message = f"an input file was not taken: {fault}"
            if fault.status == 413:
                return _fault("TOO_LARGE", message, "never")
            return _fault("SERVER_REJECTS", message, "elsewhere")
        nodes = self._bind(
            attempt.workflow.nodes, prefix=attempt.prefix, uploads={name: name for name in attempt.files}
        )
        while True:
            await server.recovered(watch)
            if watch.cancelled:
                raise Unreachable("cancelled before it was sent")
            try:
                return await self._post(course, nodes)
            except Unreachable as fault:
                server.trouble(fault)
                if any(not known.server.down for known in self._known.values()):
                    return _fault("UNREACHABLE", str(fault), "elsewhere")

    async def _post(self, course: _Course, nodes: Nodes) -> Fault | None:
        attempt, server, watch = course.attempt, course.server, course.watch
        listener = server.listener
        watch.client_id = listener.client_id if listener is not None else uuid.uuid4().hex
        extra = {"client_id": watch.client_id, "extra_pnginfo": {"animerun": dict(attempt.tags)}}
        try:
            accepted = await server.client.submit(
                nodes, prompt_id=attempt.prompt_id, client_id=watch.client_id, extra_data=extra
            )
        except Rejected as no:
            return rejection(no.status, no.body, nodes)
        except Ambiguous as doubt:
            course.doubt = doubt
            self._sent(course)
            return None
        if accepted.prompt_id != attempt.prompt_id:
            return await self._misnamed(course, accepted.prompt_id)
        if accepted.node_errors:
            return await self._partly(course, rejection(200, {"node_errors": accepted.node_errors}, nodes))
        watch.accepted = True
        self._sent(course)
        return None

    def _sent(self, course: _Course) -> None:
        course.server.sent(course.watch)
        self._news(course)
        if course.watch.cancelled:
            self._spawn(self._withdraw(course))

    async def _misnamed(self, course: _Course, echoed: str) -> Fault:
        """Take back a prompt that the server queued under an id of its own: it could not be found again."""
        await course.server.insist(partial(course.server.client.delete, [echoed]), course.watch)
        message = (
            "the server does not let us choose prompt ids: it is too old (ComfyUI 0.3.46 or newer is needed)"
        )
        return _fault("SERVER_REJECTS", message, "elsewhere")

    async def _partly(self, course: _Course, fault: Fault) -> Fault:
        """Take back a prompt of which the server would make only some outputs."""
        course.watch.accepted = course.watch.cancelled = True
        course.server.sent(course.watch)
        self._spawn(self._withdraw(course))
        await course.server.entry(course.watch)
        return fault

    async def _withdraw(self, course: _Course) -> None:
        """Delete, and interrupt what runs, until it is followed no longer."""
        client, prompt_id, pause_s = course.server.client, course.attempt.prompt_id, 0.25
        while prompt_id in self._courses:
            try:
                await client.delete([prompt_id])
                # Old servers ignore the id and stop whatever runs, hence the look.
                if prompt_id in (await client.queue()).running:
                    await client.interrupt(prompt_id)
            except ServerFault as fault:
                course.server.trouble(fault)
            course.server.kick()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 5.0)

    async def _finish(self, course: _Course, entry: Mapping[str, Plain]) -> Ended:
        attempt, watch = course.attempt, course.watch
        watch.accepted = True
        self._news(course)
        verdict = judge(entry, attempt.workflow.outputs, attempt.prefix, nodes=attempt.workflow.nodes)
        if isinstance(verdict, Fault):
            if watch.cancelled and verdict.code == "INTERRUPTED":
                return self._withdrawn(course)
            return self._failed(course, verdict)
        ended_at = time.monotonic()
        outputs = await self._collect(
            verdict.refs,
            fetch=partial(_fetch, course),
            folder=course.folder,
            name=attempt.name,
            outputs=attempt.workflow.outputs,
        )
        return self._succeeded(course, verdict, outputs, ended_at)

    def _succeeded(
        self, course: _Course, verdict: Succeeded, outputs: tuple[Output, ...], ended_at: float
    ) -> AttemptSucceeded:
        began_at = course.watch.running_at or ended_at - verdict.run_s
        return AttemptSucceeded(
            prompt_id=course.attempt.prompt_id,
            server=course.attempt.server,
            outputs=outputs,
            queue_s=max(0.0, began_at - course.submitted_at),
            run_s=verdict.run_s,
            collect_s=time.monotonic() - ended_at,
            cached_nodes=verdict.cached,
        )

    def _failed(self, course: _Course, fault: Fault) -> AttemptFailed:
        return AttemptFailed(prompt_id=course.attempt.prompt_id, server=course.attempt.server, fault=fault)

    def _withdrawn(self, course: _Course) -> AttemptCancelled:
        return AttemptCancelled(prompt_id=course.attempt.prompt_id, server=course.attempt.server)

    def _gone(self, course: _Course) -> Ended:
        """Return what it means that the attempt is nowhere, and has been for long enough."""
        if course.watch.cancelled:
            return self._withdrawn(course)
        doubt = course.doubt
        if doubt is not None and doubt.status >= 300 and doubt.status not in (500, 502, 503, 504):
            return self._failed(course, _fault("SERVER_REJECTS", str(doubt), "elsewhere"))
        told = f"; the submission was answered unclearly: {doubt}" if doubt is not None else ""
        message = (
            f"{course.server.url} has it neither queued nor in its history (restarted or cleared?){told}"
        )
        return self._failed(course, _fault("LOST", message, "again"))

    def _news(self, course: _Course) -> None:
        """Tell what is new about an attempt, in the order submitted, running, progress."""
        watch, tracker = course.watch, course.watch.tracker
        if not watch.sent_at and not course.adopted:
            return
        prompt_id, server, now = course.attempt.prompt_id, course.attempt.server, time.monotonic()
        if not course.submitted_at:
            if not watch.accepted and tracker.phase == "unknown":
                return
            course.submitted_at, watch.accepted = now, True
            self._emit(AttemptSubmitted(prompt_id=prompt_id, server=server))
        if watch.running_at and not course.running_told:
            course.running_told = True
            self._emit(AttemptRunning(prompt_id=prompt_id, server=server))
        if tracker.node and now - course.progress_at >= _PROGRESS_S:
            course.progress_at = now
            self._emit(_progress(course))


def _progress(course: _Course) -> AttemptProgress:
    tracker = course.watch.tracker
    node = course.attempt.workflow.nodes.get(tracker.node, {})
    return AttemptProgress(
        prompt_id=course.attempt.prompt_id,
        server=course.attempt.server,
        node=tracker.node,
        node_class=str(node.get("class_type", "")),
        value=tracker.value,
        maximum=tracker.maximum,
    )


async def _fetch(course: _Course, ref: FileRef, sink: Callable[[bytes], None], limit: int) -> int:
    view = partial(course.server.client.view, ref, sink, limit=limit)
    return await course.server.insist(view, course.watch, tries=1)


async def _read(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


def _fault(code: str, message: str, retry: Retry) -> Fault:
    return Fault(code=code, message=message[:500], retry=retry)


def _from_frames(tracker: Tracker) -> Mapping[str, Plain] | None:
    """Return what frames said of a success whose history entry is gone: its files may still be there."""
    if tracker.hint != "success":
        return None
    status = {"status_str": "success", "messages": [["execution_success", {}]]}
    return {"status": status, "outputs": tracker.outputs}


def facts_of(
    url: str, stats: Mapping[str, Plain], *, classes: int = 0, latency_s: float = 0.0
) -> ServerFacts:
    """Return what `/system_stats` says; unknown parts stay empty."""
    system = stats.get("system")
    system = system if isinstance(system, dict) else {}
    devices = stats.get("devices")
    device = devices[0] if isinstance(devices, list) and devices and isinstance(devices[0], dict) else {}
    previz = str(system.get("animerun_previz") or "")
    return ServerFacts(
        url=url,
        realm="previz" if previz else "comfyui",
        version=str(system.get("comfyui_version") or ""),
        torch=str(system.get("pytorch_version") or ""),
        python=str(system.get("python_version") or "").partition(" ")[0],
        device=str(device.get("name") or ""),
        os=str(system.get("os") or ""),
        classes=classes,
        previz=previz,
        latency_s=latency_s,
    )
