"""A ComfyUI as a pure state machine: requests in, answers and frames out, time given from outside.

It holds what decides the safety of a client: one job at a time, a queue and a history in memory, moves that
go one way only, no dedupe, a cache of the previous prompt, files by name, frames for one socket per client
id. Its sentences are those of `tests/conformance`, part of which is run against it.
"""

from __future__ import annotations

import heapq
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CAP = 10_000
"""History entries kept."""

CAP_OF_LONG_RUNS = 200
"""The same where memory is measured: the model's must not grow."""

GAP_S = 0.005
"""Between the frame `execution_success` and the history entry."""

HEADERS = {"content-type": "application/json; charset=utf-8"}

CLASSES: dict[str, dict[str, Any]] = {
    "EmptyImage": {
        "input": {
            "required": {
                "width": ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}],
                "height": ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}],
                "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}],
                "color": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFF, "step": 1}],
            }
        },
        "output": ["IMAGE"],
    },
    "TSleep": {
        "input": {"required": {"image": ["IMAGE"], "seconds": ["FLOAT", {}], "coop": ["BOOLEAN", {}]}},
        "output": ["IMAGE"],
    },
    "TRaise": {
        "input": {"required": {"image": ["IMAGE"], "kind": [["value", "oom"], {}]}},
        "output": ["IMAGE"],
    },
    "ImageInvert": {"input": {"required": {"image": ["IMAGE"]}}, "output": ["IMAGE"]},
    "TBlock": {"input": {"required": {"image": ["IMAGE"]}}, "output": ["IMAGE"]},
    "SaveImage": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}},
        "output": [],
        "output_node": True,
    },
    "PreviewImage": {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True},
}
_BARE = {"output_node": False, "python_module": "nodes", "category": "image", "description": ""}
OBJECT_INFO = json.dumps({name: {**_BARE, "name": name, **said} for name, said in CLASSES.items()}).encode()
STATS = {
    "system": {"os": "posix", "comfyui_version": "0.3.64", "python_version": "3.12", "pytorch_version": "2"},
    "devices": [{"name": "model", "type": "cpu", "index": None}],
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request comes to; `died` = the process went down over it."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def say(content: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), HEADERS)


NOTHING, BROKEN = Answer(200), Answer(500, b"500 Internal Server Error", {"content-type": "text/plain"})


@dataclass(order=True, slots=True)
class Job:
    """A queued prompt; ordered as the queue is."""

    number: float
    prompt_id: str
    graph: dict[str, Any] = field(compare=False)
    extra: dict[str, Any] = field(compare=False)
    outputs: list[str] = field(compare=False)
    messages: list[Any] = field(compare=False, default_factory=list)

    @property
    def client(self) -> str | None:
        return self.extra.get("client_id")

    @property
    def item(self) -> list[Any]:
        return [self.number, self.prompt_id, self.graph, self.extra, self.outputs]


@dataclass(slots=True)
class Socket:
    """One connection; frames wait in it. *wake* is called when one has come or the server is gone."""

    client_id: str
    wake: Callable[[], None] = lambda: None
    frames: list[str] = field(default_factory=list)
    gone: bool = False


def plain_duration(job: Job) -> float:
    """Return what its sleeping nodes ask for."""
    naps = [n["inputs"]["seconds"] for n in job.graph.values() if n["class_type"] == "TSleep"]
    return 0.01 + float(sum(naps))


class Comfy:
    """One server process after another on one disk.

    Args:
        duration: Job → how long it runs.
        fate: Job → "" or the type of the exception that it ends with.
        keep: Whether what was posted and made is remembered; False for very long runs.
        atomic: Whether it has `/jobs/{id}/cancel`, as ComfyUI 0.33 does.

    """

    def __init__(
        self,
        *,
        duration: Callable[[Job], float] = plain_duration,
        fate: Callable[[Job], str] = lambda job: "",
        keep: bool = True,
        atomic: bool = False,
    ) -> None:
        self.atomic = atomic
        self.duration, self.fate, self.keep = duration, fate, keep
        self.files: dict[tuple[str, str, str], bytes] = {}
        """(type, subfolder, name) → content; survives restarts."""
        self.posts: list[str] = []
        """The id of every prompt that was queued."""
        self.rendered: dict[str, int] = {}
        """Prompt id → how often it ended in success with files of its own."""
        self.up = True
        self.most = 0
        self.now = 0.0
        self._forget()

    # -- the process ----------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self.queue: list[Job] = []
        self.running: Job | None = None
        self.history: dict[str, bytes] = {}
        self.sockets: dict[str, Socket] = {}
        self.open: list[Socket] = []
        self._told: tuple[list[Job | None], Answer] | None = None
        self._number = 0
        self._cache: dict[str, Any] = {}
        self._node = ""
        self._stoppable = False
        self._steps: list[tuple[float, Callable[[], None]]] = []
        for name in [name for name in self.files if name[0] == "temp"]:
            del self.files[name]

    def stop(self) -> None:
        """Be gone, memory and all."""
        gone = self.open
        self.up = False
        self._forget()
        for socket in gone:
            socket.gone = True
            socket.wake()

    def start(self) -> None:
        """Be there again, with nothing but the files."""
        self.up = True

    @property
    def due(self) -> float | None:
        """When something happens next by itself."""
        return self._steps[0][0] if self._steps else None

    def advance(self, now: float) -> None:
        """Let everything happen that is due by *now*."""
        while self._steps and self._steps[0][0] <= now:
            self.now, step = self._steps.pop(0)
            step()
        self.now = max(self.now, now)

    def _then(self, delay: float, step: Callable[[], None]) -> None:
        self._steps.append((self.now + delay, step))

    # -- sockets --------------------------------------------------------------------------------------------

    def connect(self, client_id: str) -> Socket:
        """Return a new connection; it takes the id over from whoever had it."""
        socket = Socket(client_id)
        self.sockets[client_id] = socket
        self.open.append(socket)
        socket.frames.append(_frame("status", status=self._status(), sid=client_id))
        if self.running is not None and self.running.client == client_id:
            socket.frames.append(_frame("executing", node=self._node))
        return socket

    def disconnect(self, socket: Socket) -> None:
        """The clean-up after a connection removes its id, whoever uses it by now."""
        if socket in self.open:
            self.open.remove(socket)
            self.sockets.pop(socket.client_id, None)

    def _send(self, client: str | None, text: str) -> None:
        socket = self.sockets.get(client or "")
        if socket is not None:
            socket.frames.append(text)
            socket.wake()

    def _status(self) -> dict[str, Any]:
        return {"exec_info": {"queue_remaining": len(self.queue) + (self.running is not None)}}

    def _broadcast(self) -> None:
        if self.sockets:
            text = _frame("status", status=self._status())
            for client in tuple(self.sockets):
                self._send(client, text)

    # -- requests -------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to one request."""
        path = path.removeprefix("/api")
        if method == "GET":
            return self._get(path, query)
        if path == "/upload/image":
            return self._upload(body)
        try:
            order = json.loads(body)
        except ValueError:
            order = None
        return self._order(path, order)

    def _get(self, path: str, query: Mapping[str, str]) -> Answer:
        if path == "/queue":
            return self._queue()
        if path.startswith("/history/"):
            name = path.removeprefix("/history/")
            entry = self.history.get(name)
            return (
                say({})
                if entry is None
                else Answer(200, b"{%s:%s}" % (json.dumps(name).encode(), entry), HEADERS)
            )
        if path == "/history":
            return Answer(
                200,
                b"{"
                + b",".join(b"%s:%s" % (json.dumps(k).encode(), v) for k, v in self.history.items())
                + b"}",
                HEADERS,
            )
        if path == "/view":
            return self._view(query)
        if path == "/prompt":
            return say(self._status())
        if path == "/object_info":
            return Answer(200, OBJECT_INFO, HEADERS)
        if path == "/system_stats":
            return say(STATS)
        return Answer(404, b"", {"content-type": "application/octet-stream"})

    def _queue(self) -> Answer:
        """Return what waits and runs, written down once for as long as it stays so."""
        held = [self.running, *self.queue]
        if (
            self._told is None
            or len(held) != len(self._told[0])
            or any(a is not b for a, b in zip(held, self._told[0], strict=True))
        ):
            running = [self.running.item] if self.running else []
            self._told = (
                held,
                say({"queue_running": running, "queue_pending": [job.item for job in self.queue]}),
            )
        return self._told[1]

    def _view(self, query: Mapping[str, str]) -> Answer:
        name, kind = query.get("filename"), query.get("type", "output")
        if (
            name == ""
            or (name or "").startswith("/")
            or ".." in (name or "")
            or kind not in ("output", "temp", "input")
        ):
            return Answer(400)
        if ".." in query.get("subfolder", "").split("/") or query.get("subfolder", "").startswith("/"):
            return Answer(403)
        place = (kind, query.get("subfolder", ""), (name or "").rpartition("/")[2])
        found = self.files.get(place) if self.keep else self.files.pop(place, None)
        return Answer(404) if found is None else Answer(200, found, {"content-type": "image/png"})

    def _upload(self, body: bytes) -> Answer:
        head, _, rest = body.partition(b"\r\n\r\n")
        name = head.partition(b'filename="')[2].partition(b'"')[0].decode()
        self.files["input", "", name] = rest.rpartition(b"\r\n--")[0]
        return say({"name": name, "subfolder": "", "type": "input"})

    def _order(self, path: str, order: Any) -> Answer:
        if path == "/interrupt":
            return self._interrupt(order)
        if path == "/prompt":
            return self._prompt(order)
        if self.atomic and path.startswith("/jobs/") and path.endswith("/cancel"):
            return self._cancel(path.split("/")[2])
        if not isinstance(order, dict):
            return BROKEN
        wanted = order.get("delete") or ()
        if path == "/queue":
            if order.get("clear"):
                self.queue.clear()
            for prompt_id in wanted:
                self._delete(prompt_id)
            self._broadcast()
        elif path == "/history":
            if order.get("clear"):
                self.history.clear()
            for prompt_id in wanted:
                self.history.pop(prompt_id, None)
        elif path != "/free":
            return Answer(404)
        return NOTHING

    def _cancel(self, prompt_id: str) -> Answer:
        """One step, as ComfyUI 0.33 cancel_job: what runs is interrupted, else one of equal ids goes."""
        if self.running is not None and self.running.prompt_id == prompt_id:
            self._interrupt({"prompt_id": prompt_id})
            return say({"cancelled": True})
        held = len(self.queue)
        self._delete(prompt_id)
        self._broadcast()
        return say({"cancelled": len(self.queue) < held})

    def _delete(self, prompt_id: str) -> None:
        job = next((job for job in self.queue if job.prompt_id == prompt_id), None)
        if job is not None:
            self.queue.remove(job)
            heapq.heapify(self.queue)

    def _interrupt(self, order: Any) -> Answer:
        if isinstance(order, list):
            return BROKEN
        named = order.get("prompt_id") if isinstance(order, dict) else None
        if self._stoppable and self.running is not None and named in (None, self.running.prompt_id):
            self._stoppable = False
            self._steps = [(self.now + GAP_S, self._end_interrupted)]
        return NOTHING

    def _prompt(self, order: Any) -> Answer:
        if not isinstance(order, (dict, list)):
            return BROKEN
        number: float = self._number
        if "number" in order:
            try:
                number = float(order["number"])
            except (TypeError, ValueError):
                return BROKEN
        else:
            number = -number if order.get("front") else number
            self._number += 1
        if "prompt" not in order:
            return _no("no_prompt", "No prompt provided")
        graph, extra = order["prompt"], order.get("extra_data", {})
        if not isinstance(graph, dict) or not isinstance(extra, dict):
            return BROKEN
        refused = _unknown(graph)
        if refused is not None:
            return refused
        outputs, errors = _validated(graph, order.get("partial_execution_targets"))
        if not outputs:
            kind = "prompt_outputs_failed_validation" if errors else "prompt_no_outputs"
            return _no(kind, "Prompt has no outputs", errors)
        if "client_id" in order:
            extra["client_id"] = order["client_id"]
        prompt_id = str(order.get("prompt_id", f"{len(self.posts):08x}-0000-4000-8000-000000000000"))
        twin = any((job.number, job.prompt_id) == (number, prompt_id) for job in self.queue)
        heapq.heappush(self.queue, Job(number, prompt_id, graph, extra, outputs))
        if self.keep:
            self.posts.append(prompt_id)
        self.most = max(self.most, len(self.queue) + (self.running is not None))
        self._broadcast()
        self._next()
        return BROKEN if twin else say({"prompt_id": prompt_id, "number": number, "node_errors": errors})

    # -- the worker -----------------------------------------------------------------------------------------

    def _next(self) -> None:
        if self.running is None and self.queue:
            self.running = heapq.heappop(self.queue)
            self._then(0.0, self._begin)

    def _begin(self) -> None:
        job = self.running
        assert job is not None
        self._stoppable = True
        self._broadcast()
        known = {node: _signature(job.graph, node) for node in job.graph}
        self._cache = {key: self._cache[key] for key in known.values() if key in self._cache}
        cached = [node for node, key in known.items() if key in self._cache]
        self._say(job, "execution_start")
        self._say(job, "execution_cached", nodes=cached)
        for node in job.graph:
            if node not in cached and not CLASSES[job.graph[node]["class_type"]].get("output_node"):
                self._tell(job, "executing", node=node, display_node=node)
                self._node = node
        self._then(self.duration(job) if len(cached) < len(job.graph) else 0.0, self._render)

    def _render(self) -> None:
        job = self.running
        assert job is not None
        self._stoppable = False
        outputs: dict[str, Any] = {}
        raising = next((n for n in job.graph if job.graph[n]["class_type"] == "TRaise"), "")
        error = self.fate(job) or ("ValueError" if raising else "")
        if error:
            node = raising or next(iter(job.graph))
            self._say(
                job, "execution_error", node_id=node, node_type=job.graph[node]["class_type"],
                executed=list(_above(job.graph, node)),
                exception_message="deliberate failure\n", exception_type=error, traceback=[],
                current_inputs={}, current_outputs=list(job.graph),
            )  # fmt: skip
            self._then(GAP_S, lambda: self._over(outputs, success=False))
            return
        made = 0
        for node in job.graph:
            key = _signature(job.graph, node)
            if node in job.outputs:
                fresh = key not in self._cache
                shown = self._save(job, node) if fresh else self._cache[key]
                if shown is not None:
                    if fresh:
                        self._tell(job, "executing", node=node, display_node=node)
                    made += fresh
                    outputs[node] = shown
                    self._tell(job, "executed", node=node, display_node=node, output=shown)
                    self._cache[key] = shown
            else:
                self._cache[key] = None
        if made and self.keep:
            self.rendered[job.prompt_id] = self.rendered.get(job.prompt_id, 0) + 1
        self._say(job, "execution_success")
        self._then(GAP_S, lambda: self._over(outputs, success=True))

    def _save(self, job: Job, node: str) -> dict[str, Any] | None:
        """Write the pictures of an output node; None behind a blocked branch."""
        inputs, above = job.graph[node]["inputs"], list(_above(job.graph, node))
        if any(job.graph[each]["class_type"] == "TBlock" for each in above):
            return None
        colours = [
            job.graph[e]["inputs"]["color"] for e in above if job.graph[e]["class_type"] == "EmptyImage"
        ]
        kind = "temp" if job.graph[node]["class_type"] == "PreviewImage" else "output"
        folder, _, stem = inputs.get("filename_prefix", "ComfyUI_temp_abcde").rpartition("/")
        taken = (
            [n for k, f, n in self.files if (k, f) == (kind, folder) and n.startswith(f"{stem}_")]
            if len(self.files) < 500
            else []
        )
        numbers = [int(d) for n in taken if (d := n[len(stem) + 1 :].partition("_")[0]).isdigit()]
        name = f"{stem}_{max(numbers, default=0) + 1:05}_.png"
        self.files[kind, folder, name] = picture(colours[0] if colours else 0, job.prompt_id)
        return {"images": [{"filename": name, "subfolder": folder, "type": kind}]}

    def _end_interrupted(self) -> None:
        job = self.running
        assert job is not None
        node = self._node or next(iter(job.graph))
        self._say(
            job, "execution_interrupted", node_id=node, node_type=job.graph[node]["class_type"], executed=[]
        )
        self._then(GAP_S, lambda: self._over({}, success=False))

    def _over(self, outputs: Mapping[str, Any], *, success: bool) -> None:
        job = self.running
        assert job is not None
        status = {
            "status_str": "success" if success else "error",
            "completed": success,
            "messages": job.messages,
        }
        meta = {n: {"node_id": n, "display_node": n, "parent_node": None, "real_node_id": n} for n in outputs}
        entry = {"prompt": job.item, "outputs": outputs, "status": status, "meta": meta}
        self.history.pop(job.prompt_id, None)
        self.history[job.prompt_id] = json.dumps(entry).encode()
        if len(self.history) > (CAP if self.keep else CAP_OF_LONG_RUNS):
            del self.history[next(iter(self.history))]
        self.running, self._node = None, ""
        self._broadcast()
        self._tell(job, "executing", node=None)
        self._next()

    def _tell(self, job: Job, type_: str, **data: Any) -> None:
        if job.client in self.sockets:
            self._send(job.client, _frame(type_, **data, prompt_id=job.prompt_id))

    def _say(self, job: Job, type_: str, **data: Any) -> None:
        told = {**data, "prompt_id": job.prompt_id, "timestamp": int(1.8e12 + self.now * 1000)}
        job.messages.append([type_, told])
        if job.client in self.sockets:
            self._send(job.client, _frame(type_, **told))


def _frame(type_: str, **data: Any) -> str:
    return json.dumps({"type": type_, "data": data})


def _no(kind: str, message: str, errors: Mapping[str, Any] | None = None, details: str = "") -> Answer:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return say({"error": error, "node_errors": errors or {}}, 400)


def _unknown(graph: Mapping[str, Any]) -> Answer | None:
    for name, node in graph.items():
        kind = node.get("class_type") if isinstance(node, dict) else None
        if kind is None:
            return _no(
                "invalid_prompt",
                "Cannot execute because a node is missing the class_type property.",
                details=f"Node ID '#{name}'",
            )
        if kind not in CLASSES:
            return _no(
                "invalid_prompt",
                f"Cannot execute because node {kind} does not exist.",
                details=f"Node ID '#{name}'",
            )
    return None


def _validated(graph: Mapping[str, Any], targets: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the outputs that can be made and what is wrong with the others."""
    good, errors = [], {}
    for name, node in graph.items():
        if not CLASSES[node["class_type"]].get("output_node") or (
            targets is not None and name not in targets
        ):
            continue
        wrong = {each: found for each in (name, *_above(graph, name)) if (found := _faults(graph[each]))}
        if not wrong:
            good.append(name)
        for each, found in wrong.items():
            told = errors.setdefault(
                each, {"errors": found, "dependent_outputs": [], "class_type": graph[each]["class_type"]}
            )
            told["dependent_outputs"].append(name)
    return good, errors


def _faults(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, spec in CLASSES[node["class_type"]]["input"]["required"].items():
        value = node["inputs"].get(name)
        config = {"input_name": name, "input_config": spec, "received_value": value}
        if name not in node["inputs"]:
            found.append(
                {
                    "type": "required_input_missing",
                    "message": "Required input is missing",
                    "details": name,
                    "extra_info": {"input_name": name},
                }
            )
        elif isinstance(value, list) and len(value) != 2:
            found.append(
                {
                    "type": "bad_linked_input",
                    "message": "Bad linked input, must be a length-2 list of [node_id, slot_index]",
                    "details": name,
                    "extra_info": config,
                }
            )
        elif spec[0] == "INT" and isinstance(value, int) and value < spec[1]["min"]:
            found.append(
                {
                    "type": "value_smaller_than_min",
                    "message": f"Value {value} smaller than min of {spec[1]['min']}",
                    "details": name,
                    "extra_info": config,
                }
            )
        elif spec[0] == "INT" and isinstance(value, int) and value > spec[1]["max"]:
            found.append(
                {
                    "type": "value_bigger_than_max",
                    "message": f"Value {value} bigger than max of {spec[1]['max']}",
                    "details": name,
                    "extra_info": config,
                }
            )
    return found


def _above(graph: Mapping[str, Any], node: str) -> dict[str, None]:
    """Return the nodes that *node* needs, nearest first."""
    found: dict[str, None] = {}
    for value in graph[node]["inputs"].values():
        if isinstance(value, list) and len(value) == 2 and value[0] in graph and value[0] not in found:
            found |= {value[0]: None} | _above(graph, value[0])
    return found


def _signature(graph: Mapping[str, Any], node: str) -> str:
    """Return what the cache knows the result of *node* by."""
    inputs = {
        name: [_signature(graph, value[0]), value[1]]
        if isinstance(value, list) and len(value) == 2
        else value
        for name, value in graph[node]["inputs"].items()
    }
    return f"{graph[node]['class_type']}{sorted(inputs.items())}"


def picture(colour: int, maker: str) -> bytes:
    """Return a PNG of one pixel that says who made it."""
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" + colour.to_bytes(3, "big"), 1)
    chunks = ((b"IHDR", head), (b"tEXt", b"prompt\0" + maker.encode()), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
