"""Attempts on servers: what the conductor knows of them (Executor), and the one over ComfyUI by URL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from runner.awake import BEAT_S, Awake
from runner.comfy.client import Client, Limits
from runner.comfy.course import Bind, Collect, Course, Means
from runner.comfy.credentials import credentials_for, distinct, normalise_url
from runner.comfy.facts import facts_of
from runner.comfy.known import Known
from runner.comfy.object_info import ObjectInfo
from runner.comfy.replacements import Replacement
from runner.comfy.server import Server
from runner.comfy.tls import trust
from runner.comfy.watch import Pace, Watch
from runner.domain import Attempt, Plain, Realm, ServerFacts
from runner.errors import (
    Ambiguous,
    AnimerunError,
    NoServer,
    PreflightRefused,
    ServerFault,
    StorageError,
    Unreachable,
    Untrusted,
)
from runner.events import ExecutorEvent, ServerDown, ServerNotice, ServerUp
from runner.model_files import Listed

_Answer = TypeVar("_Answer")
Place = Literal["queued", "running", "finished", "absent"]

_FIRST_SOCKET_S = 2.0
_PAUSES_S = (0.3, 1.0)
"""Before asking once more what a server is."""
_LATE_S = 15.0
"""Without any answer, once a server can be used, before the others are left for later."""
_ASK_AGAIN_S = 0.5
"""Between two tries to learn what a server is that has come back."""


Lacks = Callable[[ServerFacts], Awaitable[Sequence[str]]]
"""Returns what a server lacks for the run, a sentence each."""


class Executor(Protocol):
    """Takes rendered jobs, yields events. Everything the conductor knows about servers."""

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers by the names that attempts and events use."""
        ...

    @property
    def told(self) -> tuple[ServerUp | ServerDown, ...]:
        """What `next_event` said last of each server: whoever takes over the events begins with it."""
        ...

    async def open(self) -> tuple[ServerFacts, ...]:
        """Contact every server once; return what those that answered said, raise NoServer when none did."""
        ...

    @property
    def facts(self) -> tuple[ServerFacts, ...]:
        """What the servers are that can be used at this moment."""
        ...

    def admit(self, lacks: Lacks) -> None:
        """From now on ask *lacks* of who joins or comes back, and leave out one that lacks anything."""
        ...

    def leave_out(self, server: str, missing: Sequence[str]) -> None:
        """Use *server* no more in this run, because it lacks *missing*, a sentence each."""
        ...

    async def object_info(self, server: str) -> ObjectInfo:
        """Return what the server offers."""
        ...

    async def replacements(self, server: str) -> Mapping[str, Replacement]:
        """Return node class that the server does not have → the one it runs in its place."""
        ...

    async def listed_models(self, server: str, folders: Collection[str]) -> Mapping[tuple[str, str], Listed]:
        """Return (folder, name) → what the server lists of its model files."""
        ...

    def start(self, attempt: Attempt, folder: Path) -> None:
        """Submit *attempt* and collect its outputs into *folder*; its progress and end come as events."""
        ...

    def adopt(self, attempt: Attempt, folder: Path, *, age_s: float) -> None:
        """Follow an attempt that an earlier process intended *age_s* ago, without submitting it."""
        ...

    def cancel(self, prompt_id: str, *, running: bool = True) -> None:
        """Take it out of the queue, with *running* interrupt it; AttemptCancelled comes when it is gone."""
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


class ComfyExecutor:
    """An executor over ComfyUI servers by URL. Opened and closed by the same task.

    Args:
        servers: Addresses, as a person writes them.
        bind: Stored workflow → sent workflow.
        collect: Refs → outputs.
        credentials: `ANIMERUN_TOKEN` and its like, see `comfy.credentials`.
        allow_plain_http: Send them unencrypted to other machines too.
        ca_file: Certificates to trust beside the system's.
        allow_insecure_tls: Believe any certificate.
        settle_s: How long an id must be nowhere before it counts as lost.
        server_wait_s: How long a server may be silent before it is left out.
        no_progress_s: How long a running job may show nothing before it is interrupted.
        sockets: Whether to be woken by WebSockets; polling alone suffices.
        pace: All times, in place of the three above.
        limits: Sizes and deadlines of single requests.

    Raises:
        UsageError: An address or a credential makes no sense.

    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        bind: Bind,
        collect: Collect,
        credentials: Mapping[str, str] | None = None,
        allow_plain_http: bool = False,
        ca_file: Path | None = None,
        allow_insecure_tls: bool = False,
        settle_s: float = 8.0,
        server_wait_s: float = 600.0,
        no_progress_s: float = 1800.0,
        sockets: bool = True,
        pace: Pace | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._means = Means(
            bind=bind,
            collect=collect,
            emit=self._emit,
            spawn=self._spawn,
            upload=self._upload,
            another_is_up=self._another_is_up,
            as_listed=lambda url, nodes: self._known[url].as_listed(nodes),
            extra_data=lambda url, nodes: self._known[url].extra_data(nodes),
            offers=lambda url: self._known[url].object_info,
        )
        self._pace = pace or Pace(settle_s=settle_s, server_wait_s=server_wait_s, no_progress_s=no_progress_s)
        self._awake = Awake()
        self._events: asyncio.Queue[ExecutorEvent | AnimerunError] = asyncio.Queue()
        self._told: dict[str, ServerUp | ServerDown] = {}
        self._courses: dict[str, Course] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: dict[str, Known] = {}
        secured = ca_file is not None or any(url.startswith("https:") for url in map(normalise_url, servers))
        tls = trust(ca_file=ca_file, allow_insecure_tls=allow_insecure_tls) if secured else None
        for url in distinct(servers):
            keys = credentials_for(url, credentials or {}, allow_plain_http=allow_plain_http)
            client = Client(url, credentials=keys, limits=limits, tls=tls)
            state = partial(self._state, url)
            server = Server(
                client,
                pace=self._pace,
                on_state=state,
                sockets=sockets,
                others_up=partial(self._another_is_up, url),
                unlike=partial(self._other_realm, url),
                clock=self._awake,
                tell=partial(self._notice, url),
            )
            self._known[url] = Known(server=server)
        self._stack = AsyncExitStack()
        self._group: asyncio.TaskGroup | None = None
        self._realms: set[Realm] = set()
        self._lacks: Lacks | None = None

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers' addresses, normalised, in the order given."""
        return tuple(self._known)

    @property
    def told(self) -> tuple[ServerUp | ServerDown, ...]:
        """What was said last of each server."""
        return tuple(self._told.values())

    @property
    def facts(self) -> tuple[ServerFacts, ...]:
        """What the servers are that can be used at this moment."""
        every = self._known.values()
        return tuple(each.facts for each in every if each.facts is not None and not each.server.down)

    def admit(self, lacks: Lacks) -> None:
        """From now on ask *lacks* of who joins or comes back, and leave out one that lacks anything."""
        self._lacks = lacks
        for known in self._known.values():
            known.fit = known.now if known.facts is not None and not known.server.down else None

    async def _missing(self, known: Known) -> Sequence[str]:
        """Return what a server lacks; one that is what it was is not looked at again, for that takes long."""
        facts, offers = known.now
        if self._lacks is None or (known.fit and known.fit[0] == facts and known.fit[1].same(offers)):
            return ()
        missing = await self._lacks(facts)
        known.fit = None if missing else (facts, offers)
        return missing

    async def open(self) -> tuple[ServerFacts, ...]:
        """Contact every server once; emits ServerUp or ServerDown for each.

        Raises:
            NoServer: None answered; says what was tried and what came of it.
            PreflightRefused: None can be used, and waiting would not change that.

        """
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        failed = await self._contact_all()
        if len(failed) == len(self._known):
            await self.close()
            if all(_lasting(fault) for fault in failed):
                raise PreflightRefused([str(fault) for fault in failed], hint=failed[0].hint)
            raise NoServer("no server can be used:\n" + "\n".join(f"  {fault}" for fault in failed))
        self._realms = {each.realm for each in self.facts}
        await self._listen()
        return self.facts

    async def _contact_all(self) -> list[ServerFault]:
        """Return why servers cannot be used; once one can, the others have a little time, or join later."""
        one_up, waiting = False, set[asyncio.Task[ServerFault | None]]()
        async with asyncio.TaskGroup() as contacts:
            asked = {contacts.create_task(self._contact(known)): known for known in self._known.values()}
            waiting.update(asked)
            while waiting:
                patience_s = _LATE_S if one_up else None
                done, waiting = await asyncio.wait(
                    waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                one_up = one_up or any(task.result() is None for task in done)
            for task in waiting:
                task.cancel()
                asked[task].server.out(f"{asked[task].server.url} does not answer", final=False)
        return [fault for task in asked if task not in waiting and (fault := task.result())]

    async def _contact(self, known: Known) -> ServerFault | None:
        """Return why the server cannot be used, None when it can."""
        server = known.server
        try:
            await self._ask(known)
        except ServerFault as fault:
            server.out(str(fault), final=_lasting(fault))
            return fault
        self._emit(ServerUp(server=server.url, facts=self._facts(known)))
        return None

    async def _ask(self, known: Known) -> None:
        """Ask a server what it is and what it offers."""
        await _insisting(known.ask)

    def _facts(self, known: Known) -> ServerFacts:
        assert known.facts is not None, "asked before"
        return known.facts

    async def _listen(self) -> None:
        """Start following; wait a moment for the sockets, so that the first jobs are heard."""
        self._spawn(self._beat())
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

    def _notice(self, url: str, message: str) -> None:
        self._emit(ServerNotice(server=url, message=message))

    async def _beat(self) -> None:
        """Read the clock often enough that only sleep can be a gap."""
        while True:
            self._awake()
            await asyncio.sleep(BEAT_S)

    def _other_realm(self, url: str, stats: Mapping[str, Plain]) -> str:
        """Return why a server with these *stats* has no place in this run, "" when it has."""
        realm = facts_of(url, stats).realm
        if realm in self._realms:
            return ""
        draws = "draws previz cards" if realm == "previz" else "draws pictures, no previz cards"
        return f"{url} {draws} now; a run never mixes the two"

    def _state(self, url: str, reason: str, final: bool) -> None:
        known = self._known[url]
        if reason:
            # Whoever comes back may be another process with an empty input folder.
            known.uploaded.clear()
            self._emit(ServerDown(server=url, reason=reason, final=final))
        else:
            self._spawn(self._welcome(known))

    async def _welcome(self, known: Known) -> None:
        """Ask a server that is back what it is now, until it says so or is down again."""
        while not known.server.down:
            try:
                await self._ask(known)
            except ServerFault as fault:
                known.server.trouble(fault)
                await asyncio.sleep(_ASK_AGAIN_S)
            else:
                break
        missing = () if known.server.down else await self._missing(known)
        if missing:
            self.leave_out(known.server.url, missing)
        if not known.server.down:
            self._emit(ServerUp(server=known.server.url, facts=self._facts(known)))

    def leave_out(self, server: str, missing: Sequence[str]) -> None:
        """Use *server* no more in this run, because it lacks *missing*."""
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        known = self._known[server]
        known.fit = None
        known.server.leave_out(f"{server} is left out: {missing[0]}{more}")

    async def replacements(self, server: str) -> Mapping[str, Replacement]:
        """Return what *server* replaces; raises NoServer."""
        try:
            return await _insisting(self._known[server].replacements)
        except ServerFault as fault:
            raise NoServer(str(fault)) from fault

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

    async def listed_models(self, server: str, folders: Collection[str]) -> Mapping[tuple[str, str], Listed]:
        """Return (folder, name) → what the server lists of the model files in *folders*; raises NoServer."""
        client = self._known[server].server.client
        found: dict[tuple[str, str], Listed] = {}
        for folder in sorted(folders):
            try:
                files = await _insisting(partial(client.listed_models, folder))
            except ServerFault as fault:
                raise NoServer(str(fault)) from fault
            found |= {(folder, name): listed for name, listed in files.items()}
        return found

    async def _upload(self, server: Server, files: Mapping[str, Path], watch: Watch) -> None:
        known = self._known[server.url]
        for name, path in files.items():
            async with known.uploading:
                if name in known.uploaded:
                    continue
                content = await _read(path)
                await server.insist(partial(server.client.upload, content, name), watch)
                known.uploaded.add(name)

    def _another_is_up(self, url: str) -> bool:
        return any(not known.server.down for other, known in self._known.items() if other != url)

    def start(self, attempt: Attempt, folder: Path) -> None:
        """Submit *attempt*; returns at once."""
        self._begin(attempt, folder)

    def adopt(self, attempt: Attempt, folder: Path, *, age_s: float = 0.0) -> None:
        """Follow *attempt* without submitting it; LOST when it is nowhere for the settle time since then."""
        self._begin(attempt, folder, age_s=age_s)

    def _begin(self, attempt: Attempt, folder: Path, *, age_s: float | None = None) -> None:
        server = self._known[attempt.server].server
        course = Course(attempt, folder, server, self._means, age_s=age_s)
        self._courses[attempt.prompt_id] = course
        self._spawn(self._follow(attempt.prompt_id, course))

    async def _follow(self, prompt_id: str, course: Course) -> None:
        try:
            self._emit(await course.run())
        except StorageError as error:
            self._events.put_nowait(error)
        finally:
            del self._courses[prompt_id]

    def cancel(self, prompt_id: str, *, running: bool = True) -> None:
        """Withdraw an attempt, one that runs only with *running*; unknown and finished ones are ignored."""
        course = self._courses.get(prompt_id)
        if course is not None:
            course.cancel(running=running)

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
        if isinstance(event, (ServerUp, ServerDown)):
            self._told[event.server] = event
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


async def _insisting(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Return what *ask* returns; an answer that broke off is asked for again, for reading changes nothing."""
    for pause_s in _PAUSES_S:
        try:
            return await ask()
        except Ambiguous:
            await asyncio.sleep(pause_s)
    return await ask()


async def _read(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


def _lasting(fault: ServerFault) -> bool:
    """Whether asking again will be answered the same."""
    return isinstance(fault, Untrusted) or not isinstance(fault, (Unreachable, Ambiguous))
