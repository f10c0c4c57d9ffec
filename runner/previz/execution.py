"""One job from `execution_start` to its last message: what runs, what is cached, what is said about it.

No clock, socket, queue or loop: they come in as a `Desk`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.previz.cache import Entry, NodeCache, signatures
from runner.previz.files import Folders
from runner.previz.graph import Node, Order, Prompt, is_link
from runner.previz.nodes.definition import (
    Blocked,
    Call,
    Catalogue,
    Expansion,
    Interrupted,
    Letters,
    NodeClass,
    Ui,
)
from runner.previz.picture import story_of
from runner.previz.progress import Names, Progress
from runner.previz.validate import type_name

log = logging.getLogger(__name__)

OUT_OF_MEMORY = "torch.OutOfMemoryError"
OUT_OF_MEMORY_ADVICE = "Out of memory: ask for smaller or fewer pictures."


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything a job needs from outside."""

    catalogue: Catalogue
    folders: Folders
    cache: NodeCache
    letters: Letters
    step_s: float
    send: Callable[[str, Mapping[str, Any], str | None], None]
    """``send(type, data, client id)`` queues a text frame; None means everyone."""
    send_bytes: Callable[[bytes, str | None], None]
    at_node: Callable[[str | None], None]
    """Told the node that begins, for sockets that connect in the middle."""
    interrupted: Callable[[], bool]
    """Whether an interrupt was asked for; asking takes it."""
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a node did not finish."""

    real_node: str
    error: Exception
    inputs: Mapping[str, Any]


def client_of(extra_data: Any) -> Any:
    """Return the client id of a submission, or None.

    Raises:
        TypeError: *extra_data* is null, which kills a worker here as it does there.

    """
    if "client_id" in extra_data:
        return extra_data["client_id"]
    return None


class Execution:
    """The run of one prompt; use once."""

    def __init__(self, desk: Desk, *, prompt_id: str, prompt: Prompt, extra_data: dict[str, Any]) -> None:
        self._desk = desk
        self._prompt_id = prompt_id
        self._client = client_of(extra_data)
        self._submitted = prompt
        self._prompt = dict(prompt)
        self._extra_data = extra_data
        self._story = story_of(extra_data)
        self._names: dict[str, Names] = {}
        self._keys: dict[str, Hashable] = {}
        self._messages: list[tuple[str, dict[str, Any]]] = []
        self._executed: dict[str, None] = {}
        self._expanded: dict[str, Expansion] = {}
        self._progress = Progress(prompt_id)
        self._order = Order(
            self._prompt,
            is_output=lambda node_id: self._class(node_id).output,
            goes_first=lambda node_id: self._class(node_id).asynchronous,
            is_lazy=lambda node_id, name: self._class(node_id).is_lazy(name),
            is_cached=lambda node_id: self._entry(node_id) is not None,
        )

    def run(self, outputs: list[str]) -> dict[str, Any]:
        """Run what *outputs* need and return the history entry's ``outputs``, ``status`` and ``meta``.

        Raises:
            BaseException: Whatever kills a real server's worker does so here: a node without ``inputs``,
                SystemExit in a node, and the like.

        """
        self._say("execution_start", {"prompt_id": self._prompt_id})
        self._keys = signatures(self._prompt, self._desk.catalogue, self._changes())
        self._desk.cache.keep(self._keys.values())
        self._desk.letters.keep(self._submitted)
        cached = [node_id for node_id in self._prompt if self._entry(node_id) is not None]
        self._say("execution_cached", {"nodes": cached, "prompt_id": self._prompt_id})
        for output in outputs:
            self._order.add(output)
        failure = self._all()
        if failure is None:
            self._say("execution_success", {"prompt_id": self._prompt_id})
        else:
            self._complain(failure)
        self._desk.at_node(None)
        return self._result(success=failure is None)

    def _all(self) -> Failure | None:
        while self._order:
            node_id = self._order.pick()
            failure, done = self._one(node_id)
            if failure is not None:
                return failure
            if done:
                self._order.complete(node_id)
        return None

    def _one(self, node_id: str) -> tuple[Failure | None, bool]:
        names = self._name(node_id)
        entry = self._entry(node_id)
        if entry is not None:
            self._frame("executed", node=node_id, display_node=names.display, output=entry.shown)
            self._finish(names)
            return None, True
        inputs: dict[str, Any] = {}
        try:
            if node_id in self._expanded:
                self._settle(node_id, names)
            else:
                self._begin(names)
                inputs.update(self._inputs(node_id))
                if self._is_waiting(node_id, inputs) or self._is_expanding(node_id, names, inputs):
                    return None, False
        except Exception as error:  # noqa: BLE001  # whatever a node raises is the job's failure, not the server's
            return Failure(real_node=names.real, error=error, inputs=inputs), False
        self._finish(names)
        self._executed[node_id] = None
        return None, True

    def _begin(self, names: Names) -> None:
        self._progress.start(names)
        self._send_progress()
        if self._client is not None:
            self._desk.at_node(names.display)
        self._frame("executing", node=names.node, display_node=names.display)

    def _finish(self, names: Names) -> None:
        self._progress.finish(names)
        self._send_progress()

    def _is_waiting(self, node_id: str, inputs: Mapping[str, Any]) -> bool:
        """Return whether the node wants a lazy input that is not computed yet; it comes again after that."""
        wants = self._class(node_id).wants
        value: Any = self._prompt[node_id]["inputs"].get(wants(inputs)) if wants is not None else None
        if not is_link(value) or self._entry(value[0]) is not None:
            return False
        self._order.require(value[0], node_id)
        return True

    def _is_expanding(self, node_id: str, names: Names, inputs: Mapping[str, Any]) -> bool:
        result = self._call(node_id, names, inputs)
        if isinstance(result, Expansion):
            self._expand(node_id, names, result)
            return True
        shown = (result.shown or None) if isinstance(result, Ui) else None
        values = result.result if isinstance(result, Ui) else result
        if shown is not None:
            self._frame("executed", node=node_id, display_node=names.display, output=shown)
        meta = names.meta() if shown is not None else None
        self._desk.cache.put(self._keys[node_id], Entry(outputs=values, shown=shown, meta=meta))
        return False

    def _call(self, node_id: str, names: Names, inputs: Mapping[str, Any]) -> Any:
        node_class = self._class(node_id)
        if self._desk.interrupted():
            raise Interrupted
        for value in inputs.values():
            if isinstance(value, Blocked):
                return self._block(names, value, len(node_class.returns))
        call = Call(
            node_id=node_id,
            class_type=node_class.name,
            folders=self._desk.folders,
            story=self._story,
            letters=self._desk.letters,
            step_s=self._desk.step_s,
            report=lambda value, most: self._report(names, value, most),
            send_bytes=lambda payload: self._desk.send_bytes(payload, self._client),
        )
        return node_class.run(call, **inputs)

    def _block(self, names: Names, block: Blocked, outputs: int) -> tuple[Any, ...]:
        if block.message is not None:
            data = {
                "prompt_id": self._prompt_id,
                "node_id": names.node,
                "node_type": self._class(names.node).name,
                "executed": list(self._executed),
                "exception_message": f"Execution Blocked: {block.message}",
                "exception_type": "ExecutionBlocked",
                "traceback": [],
                "current_inputs": [],
                "current_outputs": [],
            }
            self._desk.send("execution_error", data, self._client)
        return (Blocked(message=None),) * outputs

    def _report(self, names: Names, value: int, most: int) -> None:
        if self._desk.interrupted():
            raise Interrupted
        value = min(value, most)
        self._progress.update(names, value, most)
        self._send_progress()
        data = {"value": value, "max": most, "prompt_id": self._prompt_id, "node": names.node}
        self._desk.send("progress", data, self._client)

    # Sub-graphs: a node may turn into others; they get ids below its own and it ends when they do.

    def _expand(self, node_id: str, names: Names, expansion: Expansion) -> None:
        for local, node in expansion.nodes.items():
            child = _child(node_id, local)
            inputs = {name: _below(node_id, value, expansion) for name, value in node["inputs"].items()}
            self._prompt[child] = {"class_type": node["class_type"], "inputs": inputs}
            self._names[child] = Names(node=child, display=names.display, parent=node_id, real=names.real)
            self._keys[child] = (self._keys[node_id], local)
        self._expanded[node_id] = expansion
        for local in expansion.nodes:
            if self._class(_child(node_id, local)).output:
                self._order.add(_child(node_id, local))
        for local, _slot in expansion.results:
            self._order.require(_child(node_id, local), node_id)

    def _settle(self, node_id: str, names: Names) -> None:
        values = []
        for local, slot in self._expanded[node_id].results:
            entry = self._entry(_child(node_id, local))
            assert entry is not None, "the order runs a parent after its children"
            values.append(entry.outputs[slot])
        self._desk.cache.put(self._keys[node_id], Entry(outputs=tuple(values)))

    # What is known about nodes.

    def _class(self, node_id: str) -> NodeClass:
        return self._desk.catalogue[self._prompt[node_id]["class_type"]]

    def _name(self, node_id: str) -> Names:
        if node_id not in self._names:
            self._names[node_id] = Names(node=node_id, display=node_id, parent=None, real=node_id)
        return self._names[node_id]

    def _entry(self, node_id: str) -> Entry | None:
        key = self._keys.get(node_id)
        return None if key is None else self._desk.cache.get(key)

    def _changes(self) -> dict[str, object]:
        changes: dict[str, object] = {}
        for node_id, node in self._submitted.items():
            node_class = self._desk.catalogue[node["class_type"]]
            if node_class.changed is None:
                continue
            if "is_changed" not in node:
                node["is_changed"] = self._change(node_class, node)
            changes[node_id] = node["is_changed"]
        return changes

    def _change(self, node_class: NodeClass, node: Node) -> object:
        assert node_class.changed is not None
        try:
            return [node_class.changed(self._desk.folders, node["inputs"])]
        except Exception as error:  # noqa: BLE001  # a failing check means "always changed", as in the real server
            log.warning("change check of %s failed: %s", node_class.name, error)
            return float("nan")

    def _inputs(self, node_id: str) -> dict[str, Any]:
        node, node_class = self._prompt[node_id], self._class(node_id)
        values: dict[str, Any] = {}
        known = node_class.sockets(node["inputs"])
        for name, value in node["inputs"].items():
            if name not in known:
                continue
            if is_link(value):
                entry = self._entry(value[0])
                values[name] = None if entry is None else entry.outputs[int(value[1])]
            else:
                values[name] = value
        for name, kind in node_class.hidden.items():
            values[name] = self._hidden(kind, node_id)
        return values

    def _hidden(self, kind: str, node_id: str) -> Any:
        if kind == "PROMPT":
            return self._submitted
        if kind == "EXTRA_PNGINFO":
            return self._extra_data.get("extra_pnginfo")
        return node_id

    # What is said.

    def _say(self, kind: str, data: Mapping[str, Any], *, broadcast: bool = False) -> None:
        stamped = {**data, "timestamp": self._desk.now_ms()}
        self._messages.append((kind, stamped))
        if self._client is not None or broadcast:
            self._desk.send(kind, stamped, self._client)

    def _frame(self, kind: str, **data: Any) -> None:
        if self._client is not None:
            self._desk.send(kind, {**data, "prompt_id": self._prompt_id}, self._client)

    def _send_progress(self) -> None:
        self._desk.send("progress_state", self._progress.data(), self._client)

    def _complain(self, failure: Failure) -> None:
        where = {
            "prompt_id": self._prompt_id,
            "node_id": failure.real_node,
            "node_type": self._submitted[failure.real_node]["class_type"],
            "executed": list(self._executed),
        }
        if isinstance(failure.error, Interrupted):
            self._say("execution_interrupted", where, broadcast=True)
            return
        kind = type_name(failure.error)
        log.info("node %s failed: %s: %s", failure.real_node, kind, failure.error)
        advice = OUT_OF_MEMORY_ADVICE if kind == OUT_OF_MEMORY else ""
        why = {
            "exception_message": f"{failure.error}\n{advice}",
            "exception_type": kind,
            "traceback": traceback.format_tb(failure.error.__traceback__),
            "current_inputs": {name: [_rendered(value)] for name, value in failure.inputs.items()},
            "current_outputs": list(self._prompt),
        }
        self._say("execution_error", {**where, **why})

    def _result(self, *, success: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        meta: dict[str, Any] = {}
        for node_id in self._prompt:
            entry = self._entry(node_id)
            if entry is not None and entry.shown is not None:
                shown[node_id] = entry.shown
                meta[node_id] = entry.meta
        status = {
            "status_str": "success" if success else "error",
            "completed": success,
            "messages": self._messages,
        }
        return {"outputs": shown, "status": status, "meta": meta}


def _child(node_id: str, local: str) -> str:
    return f"{node_id}.0.0.{local}"


def _below(node_id: str, value: Any, expansion: Expansion) -> Any:
    if is_link(value) and value[0] in expansion.nodes:
        return [_child(node_id, value[0]), value[1]]
    return value


def _rendered(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
