"""One attempt from upload to its terminal event.

    upload → POST ─ accepted ────────────┐
               ├─ refused → failed       ├→ follow → judge → collect → succeeded | failed
               └─ anything else: doubt ──┘      └ nowhere for the settle time → lost, or withdrawn

Exactly one terminal event comes of it; AttemptSubmitted before AttemptRunning, both before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from runner import door
from runner.comfy.additions import fitted, picture_info, unprefixed
from runner.comfy.client import Fetch, Rejected, Sink
from runner.comfy.facts import memory_of
from runner.comfy.hearsay import altered, from_frames
from runner.comfy.object_info import ObjectInfo
from runner.comfy.protocol import FileRef, Tracker
from runner.comfy.server import Server
from runner.comfy.verdict import Succeeded, Uncollected, busy, concerning, judge, rejection, unclear
from runner.comfy.watch import Watch
from runner.domain import Attempt, Fault, Output, OutputKind, Plain
from runner.errors import Ambiguous, NotLetIn, Refused, ServerFault, Unreachable
from runner.events import (
    AttemptCancelled,
    AttemptCollecting,
    AttemptFailed,
    AttemptProgress,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    ExecutorEvent,
    ServerBusy,
    ServerNotice,
)

Retry = Literal["never", "elsewhere", "again"]
Nodes = Mapping[str, Mapping[str, Plain]]
Ended = AttemptSucceeded | AttemptFailed | AttemptCancelled

_PROGRESS_S = 0.2
_MOST_FILES = 4097
_LARGEST = 128 * 2**20
"""The most bytes taken from a file that is only asked whether it is there."""

_DENIED = 3
"""How often a submission may be denied while the server lets other requests in."""

_BUSY_S = 10.0
"""How long a server is left alone that is too busy and does not say for how long."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What attempts need of the executor they run in."""

    bind: Bind
    collect: Collect
    emit: Callable[[ExecutorEvent], None]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    upload: Callable[[Server, Mapping[str, Path], Watch], Awaitable[None]]
    another_is_up: Callable[[str], bool]
    """Whether some server but this one can be used."""
    as_listed: Callable[[str, Nodes], Nodes]
    """Bound nodes → with file names as that server lists them."""
    extra_data: Callable[[str, Nodes], Mapping[str, Plain]]
    """What that server needs besides nodes: a key, where one of them asks for it."""
    offers: Callable[[str], ObjectInfo | None] = lambda _: None
    """Server → the node classes it has, as far as they are known."""


class Course:
    """One attempt under way.

    Args:
        attempt: What to do.
        folder: The run's folder.
        server: Where.
        means: The executor's.
        age_s: An earlier process intended it so long ago: follow only. None = submit it.

    """

    def __init__(
        self, attempt: Attempt, folder: Path, server: Server, means: Means, *, age_s: float | None = None
    ) -> None:
        self._attempt = attempt
        self._folder = folder
        self._server = server
        self._means = means
        self._age_s = age_s
        self._watch = server.watch(attempt.prompt_id, lambda _: self._news())
        self._submitted_at = 0.0
        self._running_told = False
        self._progress_at = 0.0
        self._doubt: ServerFault | None = None
        self._nodes: Nodes = {}
        """As they were sent; empty when an earlier process did that."""
        self._over = False
        self._interrupts = False
        """Cancelling it ends it also when it runs."""

    async def run(self) -> Ended:
        """Return the terminal event; raises StorageError when its outputs cannot be stored here."""
        try:
            return await self._run()
        except Unreachable as silence:
            # Unwanted, and either never sent or held by nobody: its server listens no more.
            if self._watch.cancelled:
                return self._withdrawn()
            return self._failed(self._abandoned(silence))
        except (Ambiguous, Refused) as unreadable:
            return await self._unreadable(unreadable)
        except Uncollected as error:
            return self._failed(error.fault)
        finally:
            self._over = True
            self._server.forget(self._watch)

    def cancel(self, *, running: bool = True) -> None:
        """Withdraw it, one that runs only with *running*; its terminal event shows whether in time."""
        self._interrupts = self._interrupts or running
        if self._watch.cancelled or self._watch.over:
            # What has ended there is fetched; should that not come in time, the next process does it.
            return
        self._watch.cancelled = True
        self._watch.stir()
        if self._watch.sent_at:
            self._means.spawn(self._withdraw())

    async def _run(self) -> Ended:
        if self._age_s is not None:
            self._watch.old = self._age_s >= self._server.settle_s
            self._server.sent(self._watch)
        else:
            fault = await self._submit()
            if fault is not None:
                return self._failed(fault)
        entry = await self._server.entry(self._watch) or from_frames(self._watch.tracker)
        return self._gone() if entry is None else await self._finish(entry)

    async def _submit(self) -> Fault | None:
        """Send the attempt; None when it may be on the server now."""
        attempt, server, watch = self._attempt, self._server, self._watch
        uploads = {name: name for name in attempt.files}
        nonce = attempt.prompt_id if attempt.number > 1 else ""
        stored = fitted(attempt.workflow.nodes, self._offers, nonce)
        bound = self._means.bind(stored, prefix=attempt.prefix, uploads=uploads)
        nodes = self._means.as_listed(attempt.server, bound)
        if attempt.free:
            await self._free()
        denied = 0
        while True:
            await server.recovered(watch)
            # Each time, for whoever is back may be another process with an empty input folder.
            fault = await self._upload()
            if fault is not None:
                return fault
            if watch.cancelled:
                raise Unreachable("cancelled before it was sent")
            try:
                return await self._post(nodes)
            except (Unreachable, NotLetIn) as away:
                server.trouble(away)
                denied += isinstance(away, NotLetIn)
                if denied >= _DENIED:
                    return _fault("SERVER_REJECTS", str(away), "elsewhere")
                if self._means.another_is_up(self._attempt.server):
                    return _fault("UNREACHABLE", str(away), "elsewhere")

    async def _free(self) -> None:
        """Have the server free its memory, unless others have jobs there; give it time to do so."""
        try:
            queue = await self._server.client.queue()
            if self._server.strangers(queue):
                return
            await self._server.client.free()
        except ServerFault as fault:
            self._server.trouble(fault)
            return
        await asyncio.sleep(self._server.pace.free_s)

    async def _upload(self) -> Fault | None:
        try:
            await self._means.upload(self._server, self._attempt.files, self._watch)
        except (Refused, Ambiguous) as no:
            message = f"an input file was not taken: {no}"
            if no.status == 413:
                return _fault("TOO_LARGE", message, "never")
            return _fault("SERVER_REJECTS", message, "elsewhere")
        return None

    async def _post(self, nodes: Nodes) -> Fault | None:
        attempt, server, watch = self._attempt, self._server, self._watch
        watch.client_id = door.fresh_id().hex if server.listener is None else server.listener.client_id
        self._nodes = nodes
        info = picture_info(attempt.tags, nodes, self._offers)
        extra = {"client_id": watch.client_id, "extra_pnginfo": info}
        extra |= self._means.extra_data(attempt.server, nodes)
        try:
            accepted = await server.client.submit(
                nodes, prompt_id=attempt.prompt_id, client_id=watch.client_id, extra_data=extra
            )
        except Rejected as no:
            return rejection(no.status, no.body, nodes)
        except Ambiguous as doubt:
            self._doubt = doubt
            if busy(doubt):
                seconds = doubt.wait_s or _BUSY_S
                self._means.emit(ServerBusy(server=attempt.server, seconds=seconds))
            self._sent()
            return None
        if accepted.prompt_id != attempt.prompt_id:
            return await self._misnamed(accepted.prompt_id)
        if errors := concerning(accepted.node_errors, attempt.workflow.outputs):
            return await self._partly(rejection(200, {"node_errors": errors}, nodes))
        watch.accepted = True
        self._sent()
        return None

    @property
    def _offers(self) -> ObjectInfo | None:
        return self._means.offers(self._attempt.server)

    def _sent(self) -> None:
        self._server.sent(self._watch)
        self._news()
        if self._watch.cancelled:
            self._means.spawn(self._withdraw())

    async def _misnamed(self, echoed: str) -> Fault | None:
        """Take back a prompt that was queued under an id of the server's own: it could not be found again.

        A server that holds it under that id is left out at once. Where only the answer was damaged, ours is
        there all the same: so it is looked for.
        """
        server, watch = self._server, self._watch
        if await server.insist(partial(server.client.renamed, watch.prompt_id, echoed), watch):
            if not server.final:
                server.leave_out(f"{server.url} gives jobs ids of its own: its ComfyUI or a proxy is too old")
            return _fault("UNREACHABLE", server.down, "elsewhere")
        self._doubt = Refused("the server answered with another id than was sent", status=409)
        self._sent()
        return None

    async def _partly(self, fault: Fault) -> Fault:
        """Take back a prompt of which the server would make only some outputs."""
        self._watch.accepted = self._watch.cancelled = True
        self._sent()
        # Refused it is in any case, also where the server goes before it is proven gone.
        with suppress(ServerFault):
            await self._server.entry(self._watch)
        return fault

    async def _withdraw(self) -> None:
        """Delete it, and interrupt it when it runs, until it is over or may run to its end."""
        client, prompt_id, pause_s = self._server.client, self._attempt.prompt_id, 0.25
        while not self._over:
            try:
                if self._interrupts:
                    await client.cancel(prompt_id)
                else:
                    await client.delete([prompt_id])
                    if prompt_id in (await client.queue()).running:
                        self._watch.cancelled = False
                        return
            except ServerFault as fault:
                self._server.trouble(fault)
            self._server.kick()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 5.0)

    async def _finish(self, entry: Mapping[str, Plain]) -> Ended:
        attempt, watch = self._attempt, self._watch
        watch.accepted = True
        self._news()
        workflow = attempt.workflow
        verdict = judge(
            entry,
            workflow.outputs,
            attempt.prefix,
            nodes=workflow.nodes,
            unprefixed=unprefixed(workflow.nodes, workflow.outputs, self._offers),
            optional=workflow.optional,
        )
        self._compare(entry)
        if isinstance(verdict, Fault):
            if watch.cancelled and verdict.code == "INTERRUPTED":
                return self._withdrawn()
            return self._failed(await self._explained(verdict))
        return await self._collected(verdict)

    async def _collected(self, verdict: Succeeded) -> AttemptSucceeded:
        attempt = self._attempt
        ended_at = self._server.clock()
        self._means.emit(AttemptCollecting(prompt_id=attempt.prompt_id, server=attempt.server))
        outputs = await self._means.collect(
            verdict.refs,
            fetch=self._fetch,
            folder=self._folder,
            name=attempt.name,
            outputs=attempt.workflow.outputs,
        )
        return self._succeeded(verdict, outputs, ended_at)

    def _compare(self, entry: Mapping[str, Plain]) -> None:
        """Say once for a server that it did not run what it was sent: it replaced nodes."""
        row = entry.get("prompt")
        ran = row[2] if isinstance(row, list) and len(row) > 2 and isinstance(row[2], dict) else None
        if not self._nodes or ran is None or self._server.alters:
            return
        changes = tuple(altered(self._nodes, ran))
        if changes:
            self._server.alters = True
            shown = "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if len(changes) > 3 else "")
            message = f"{self._server.url} does not run workflows as they are sent: {shown}"
            self._means.emit(ServerNotice(server=self._attempt.server, message=message))

    async def _explained(self, fault: Fault) -> Fault:
        """Return *fault* with what only this side knows: who interrupted it, how much memory there is."""
        if fault.code == "INTERRUPTED" and self._watch.stuck:
            return _fault("HUNG", f"{self._watch.stuck}; it was interrupted", "elsewhere")
        if fault.code != "OOM":
            return fault
        try:
            memory = memory_of(await self._server.client.system_stats())
        except ServerFault:
            return fault
        return replace(fault, message=f"{fault.message[: 499 - len(memory)].rstrip('.')}{memory}")

    async def _unreadable(self, error: ServerFault) -> Ended:
        """Return what comes of an attempt whose history stays unreadable: its files may be there by name."""
        try:
            refs = await self._by_name() if error.status != 413 else ()
            if refs:
                return await self._collected(Succeeded(refs=refs))
        except Uncollected as failed:
            return self._failed(failed.fault)
        except (Ambiguous, Refused, Unreachable) as gone:
            error = gone
        retry: Retry = "never" if error.status == 413 else "again"
        return self._failed(_fault("UNREADABLE", f"its history cannot be read: {error}", retry))

    async def _by_name(self) -> tuple[FileRef, ...]:
        """Return the files that a SaveImage has written under our prefix; its names can be told.

        Only where it is the one declared output: several share a counter.
        """
        [*outputs] = self._attempt.workflow.outputs
        nodes = self._attempt.workflow.nodes
        if len(outputs) != 1 or nodes.get(outputs[0], {}).get("class_type") != "SaveImage":
            return ()
        folder, _, stem = self._attempt.prefix.rpartition("/")
        refs: list[FileRef] = []
        # It counts from 1: what answers for 0 answers for anything.
        for number in range(_MOST_FILES):
            name = f"{stem}_{number:05}_.png"
            ref = FileRef(node=outputs[0], index=max(0, number - 1), filename=name, subfolder=folder)
            view = partial(self._server.client.view, ref, lambda _: None, limit=_LARGEST)
            try:
                # A line that broke off every look at the history breaks off this one too.
                await self._server.insist(view, self._watch)
            except Refused:
                if number:
                    break
                continue
            if not number:
                return ()
            refs.append(ref)
        return tuple(refs)

    async def _fetch(self, ref: FileRef, sink: Sink, limit: int) -> int:
        if ref.text is not None:
            content = ref.text.encode("utf-8", "replace")[:limit]
            sink(content)
            return len(content)
        view = partial(self._server.client.view, ref, sink, limit=limit)
        return await self._server.insist(view, self._watch, tries=1)

    def _succeeded(
        self, verdict: Succeeded, outputs: tuple[Output, ...], ended_at: float
    ) -> AttemptSucceeded:
        began_at = self._watch.running_at or ended_at - verdict.run_s
        return AttemptSucceeded(
            prompt_id=self._attempt.prompt_id,
            server=self._attempt.server,
            outputs=outputs,
            queue_s=max(0.0, began_at - self._submitted_at),
            run_s=verdict.run_s,
            collect_s=self._server.clock() - ended_at,
            cached_nodes=verdict.cached,
        )

    def _failed(self, fault: Fault) -> AttemptFailed:
        return AttemptFailed(prompt_id=self._attempt.prompt_id, server=self._attempt.server, fault=fault)

    def _withdrawn(self) -> AttemptCancelled:
        return AttemptCancelled(prompt_id=self._attempt.prompt_id, server=self._attempt.server)

    def _abandoned(self, silence: Unreachable) -> Fault:
        """Return the fault of an attempt that its server took with it, or holds without running it."""
        watch = self._watch
        ran = not (watch.over or watch.tracker.phase == "over") and (watch.running_at or watch.next_to_run)
        if ran and (watch.stuck or self._server.refused):
            return _fault("SERVER_DIED", f"was running when its server failed: {silence}", "elsewhere")
        return _fault("LOST", str(silence), "elsewhere")

    def _gone(self) -> Ended:
        """Return what it means that the attempt is nowhere, and has been for long enough."""
        if self._watch.cancelled:
            return self._withdrawn()
        doubt = self._doubt
        if doubt is not None and doubt.status >= 300:
            return self._failed(unclear(doubt))
        url = self._server.url
        match self._server.how_lost(self._watch):
            case "died":
                return self._failed(_fault("SERVER_DIED", f"{url} stopped while this job ran", "elsewhere"))
            case "removed":
                message = f"taken out of the queue of {url} by somebody else"
                return self._failed(_fault("REMOVED", message, "again"))
            case "lost":
                told = f"; the submission was answered unclearly: {doubt}" if doubt is not None else ""
                message = f"{url} has it neither queued nor in its history (restarted or cleared?){told}"
                return self._failed(_fault("LOST", message, "again"))

    def _news(self) -> None:
        """Tell what is new, in the order submitted, running, progress."""
        watch, now = self._watch, self._server.clock()
        if not watch.sent_at:
            return
        if not self._submitted_at:
            # A frame of it proves as much as an answer.
            watch.accepted = watch.accepted or watch.tracker.phase != "unknown"
            if not watch.accepted:
                return
            self._submitted_at = now
            self._means.emit(AttemptSubmitted(prompt_id=self._attempt.prompt_id, server=self._attempt.server))
        if watch.running_at and not self._running_told:
            self._running_told = True
            self._means.emit(AttemptRunning(prompt_id=self._attempt.prompt_id, server=self._attempt.server))
        if watch.tracker.node and watch.tracker.phase == "running" and now - self._progress_at >= _PROGRESS_S:
            self._progress_at = now
            self._means.emit(self._progress(watch.tracker))

    def _progress(self, tracker: Tracker) -> AttemptProgress:
        node = self._attempt.workflow.nodes.get(tracker.node, {})
        return AttemptProgress(
            prompt_id=self._attempt.prompt_id,
            server=self._attempt.server,
            node=tracker.node,
            node_class=str(node.get("class_type", "")),
            value=tracker.value,
            maximum=tracker.maximum,
        )


def _fault(code: str, message: str, retry: Retry) -> Fault:
    return Fault(code=code, message=message[:500], retry=retry)
