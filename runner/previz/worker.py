"""The one worker thread: takes jobs in order, runs them, files the results; and the lock around the queue."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from runner.previz.cache import NodeCache
from runner.previz.execution import Desk, Execution, client_of
from runner.previz.jobs import Item, Jobs

log = logging.getLogger(__name__)


class Worker:
    """The queue with its lock, and the thread that empties it.

    Every public method may be called from any thread. *announce* is called with the number of jobs left
    whenever the queue changes; *over* with (prompt id, client id) when a job is in history.
    """

    spoil: Callable[[Desk, str], Desk] | None = None
    """(desk, prompt id) → the desk that job gets, where a script of faults says so."""

    def __init__(self, announce: Callable[[int], None], over: Callable[[str, str], None]) -> None:
        self._announce = announce
        self._over = over
        self._changed = threading.Condition(threading.RLock())
        self._jobs = Jobs()
        self._flags: set[str] = set()
        self._interrupt = False
        self._client: Any = None
        self._node: str | None = None
        self._desk: Desk | None = None
        self._thread: threading.Thread | None = None

    def start(self, desk: Desk) -> None:
        """Start the thread; it ends with the process, or for ever when a job kills it."""
        self._desk = desk
        self._thread = threading.Thread(target=self._loop, args=(desk,), name="previz-worker", daemon=True)
        self._thread.start()

    def restart(self) -> None:
        """Forget everything as a new process would; what runs is abandoned, and its thread with it."""
        assert self._desk is not None, "started before"
        with self._changed:
            self._jobs, self._flags, self._interrupt = Jobs(), set(), False
            self._client = self._node = None
            self.start(replace(self._desk, cache=NodeCache()))
            self._changed.notify_all()
            self._announce(0)

    # Called by requests.

    def number(self, body: Any) -> float:
        """Return the next submission's priority (see `Jobs.number`)."""
        with self._changed:
            return self._jobs.number(body)

    def submit(self, item: Item) -> None:
        """Queue a job (see `Jobs.put`)."""
        with self._changed:
            self._jobs.put(item)
            self._announce(self._jobs.remaining)
            self._changed.notify()

    def remaining(self) -> int:
        """Return how many jobs are pending or running."""
        with self._changed:
            return self._jobs.remaining

    def queue(self) -> dict[str, list[Item]]:
        """Return what `/queue` shows."""
        with self._changed:
            return {"queue_running": list(self._jobs.running), "queue_pending": list(self._jobs.pending)}

    def clear(self) -> None:
        """Drop every pending job."""
        with self._changed:
            self._jobs.clear()
            self._announce(self._jobs.remaining)

    def delete(self, prompt_id: object) -> None:
        """Drop one pending job; unknown and running ids are ignored."""
        with self._changed:
            if self._jobs.delete(prompt_id):
                self._announce(self._jobs.remaining)

    def history(self, max_items: int | None, offset: int) -> dict[str, Any]:
        """Return a page of the history."""
        with self._changed:
            return self._jobs.page(max_items, offset)

    def history_of(self, prompt_id: str) -> dict[str, Any]:
        """Return ``{id: entry}``, or ``{}`` when the id is not in history."""
        with self._changed:
            entry = self._jobs.history.get(prompt_id)
            return {} if entry is None else {prompt_id: entry}

    def forget(self, prompt_id: object) -> None:
        """Drop one history entry."""
        with self._changed:
            self._jobs.history.pop(prompt_id, None)  # type: ignore[call-overload]

    def forget_all(self) -> None:
        """Drop the history."""
        with self._changed:
            self._jobs.history = {}

    def interrupt(self, prompt_id: object = None) -> None:
        """Ask the running job to stop; with an id only if that one is running now."""
        with self._changed:
            if prompt_id is None or any(item[1] == prompt_id for item in self._jobs.running):
                self._interrupt = True

    def cancel(self, prompt_id: object) -> bool:
        """Take a pending job out or interrupt the running one, in one step; return whether it was either."""
        with self._changed:
            if any(item[1] == prompt_id for item in self._jobs.running):
                self._interrupt = True
                return True
            if not self._jobs.delete(prompt_id):
                return False
            self._announce(self._jobs.remaining)
            return True

    def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Ask the worker to forget, between two jobs."""
        with self._changed:
            if unload_models:
                self._flags.add("unload_models")
            if free_memory:
                self._flags.add("free_memory")
            self._changed.notify()

    def node_of(self, client_id: str) -> str | None:
        """Return the node running now if the running job is of *client_id*."""
        with self._changed:
            return self._node if self._client == client_id else None

    # Called by the running job.

    def at_node(self, node_id: str | None) -> None:
        """Note the node that begins (None: the job ends)."""
        with self._changed:
            self._node = node_id

    def interrupted(self) -> bool:
        """Return whether an interrupt was asked for, and take it."""
        with self._changed:
            if self._abandoned():
                return True
            asked, self._interrupt = self._interrupt, False
            return asked

    def _abandoned(self) -> bool:
        """Whether the calling thread worked for a server that has been restarted since."""
        return self._thread is not None and threading.current_thread() is not self._thread

    # The thread.

    def _loop(self, desk: Desk) -> None:
        while not self._abandoned():
            item = self._next()
            if item is not None:
                self._run(desk, item)
            if "free_memory" in self._take_flags():
                desk.cache.clear()

    def _next(self) -> Item | None:
        with self._changed:
            while not self._jobs.pending and not self._flags and not self._abandoned():
                self._changed.wait()
            if not self._jobs.pending or self._abandoned():
                return None
            item = self._jobs.take()
            self._announce(self._jobs.remaining)
            return item

    def _take_flags(self) -> set[str]:
        with self._changed:
            if self._abandoned():
                return set()
            flags, self._flags = self._flags, set()
            return flags

    def _run(self, desk: Desk, item: Item) -> None:
        _number, prompt_id, prompt, extra_data, outputs = item
        self.interrupted()
        client_id = client_of(extra_data)
        with self._changed:
            self._client = client_id
        if self.spoil is not None:
            desk = self.spoil(desk, prompt_id)
        execution = Execution(desk, prompt_id=prompt_id, prompt=prompt, extra_data=extra_data)
        result = execution.run(outputs)
        with self._changed:
            if self._abandoned():
                return
            self._jobs.finish(result)
            self._announce(self._jobs.remaining)
        if client_id is not None:
            self._over(prompt_id, client_id)
