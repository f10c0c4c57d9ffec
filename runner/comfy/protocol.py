"""What a ComfyUI says, read: socket frames, `/queue` and `/history` answers. Pure: no clock, no network.

Everything a server sends is untrusted text. What cannot be placed (unknown frame types, junk, frames of other
people's prompts) is ignored; nothing here raises on any input.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from runner.text.secrets import Secrets
from runner.text.shown import UNSEEN

Plain = Any
"""Plain JSON data."""

Hint = Literal["", "success", "error", "interrupted"]
Phase = Literal["unknown", "queued", "running", "over"]

_HINTS: Mapping[str, Hint] = {
    "execution_success": "success",
    "execution_error": "error",
    "execution_interrupted": "interrupted",
}
_WORDS = frozenset({
    "__value__", "input_mapping", "new_id", "old_id", "set_value",
    "animerun_any", "animerun_previz", "API_KEY_COMFY_ORG", "api_node", "audio_upload", "class_type",
    "COMFY_AUTOGROW_V3", "COMFY_DYNAMICCOMBO_V3", "COMFY_DYNAMICSLOT_V3", "COMFY_MATCHTYPE_V3",
    "comfyui_version", "dependent_outputs", "details", "devices", "display_node", "errors",
    "exception_message",
    "exception_type", "executed", "executing", "execution_cached", "execution_error",
    "execution_interrupted", "execution_start", "execution_success", "ExecutionBlocked", "extra_info",
    "file_upload", "filename", "formats", "hidden", "image_upload", "input_config", "input_name", "inputs",
    "message", "messages", "model_upload", "multiselect", "names", "new_node_id", "node_errors", "node_id",
    "node_type", "number", "optional", "options", "output", "output_node", "outputs", "prefix", "progress",
    "prompt", "prompt_id", "python_module", "python_version", "pytorch_version", "queue_pending",
    "queue_running", "received_value", "required", "required_input_missing", "status", "status_str",
    "subfolder", "success", "system", "template", "timestamp", "value_not_in_list", "video_upload",
    "vram_free", "vram_total",
})  # fmt: skip
"""What answers are read by, where it is long enough to be a credential; as one it would be no secret."""
_NODES_KEPT = 1_000
_OUTPUTS_KEPT = 8 * 2**20
"""Characters, for one prompt."""
VALUES: Final = 1_000_000
"""Of an answer; small ones take twenty times their bytes in memory."""
_NOTHING = Secrets()
_MARKS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: object, *, limit: int = 500) -> str:
    """Return *text* on one line of at most *limit* characters, safe to print.

    Control, bidirectional, invisible and surrogate characters become spaces or vanish.
    """
    raw = (text if isinstance(text, str) else str(text))[: limit * 4]
    if not (raw.isascii() and raw.isprintable()):
        raw = "".join(" " if ch in "\n\r\t" else ch for ch in raw if ch in "\n\r\t" or _shows(ch))
    line = " ".join(raw.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _shows(ch: str) -> bool:
    return unicodedata.category(ch) not in _MARKS and ch not in UNSEEN


def parse_json(text: str | bytes, secrets: Secrets = _NOTHING, *, most: int = VALUES) -> Plain:
    """Return plain data without *secrets*, or None for what is not JSON (`NaN` and `Infinity` are accepted).

    Bytes are UTF-8. Words of the protocol stay as they are, whatever the secrets are. What may hold more than
    *most* values is not read.
    """
    try:
        text = text if isinstance(text, str) else str(text, "utf-8-sig", "surrogatepass")
        if len(text) > most and sum(map(text.count, "{[,")) > most:
            return None
        content = json.loads(text)
        return secrets.hide_in(content, names=True, words=_WORDS)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One text frame that has the shape of one."""

    type: str
    prompt_id: str = ""
    """Empty for frames that belong to no prompt, like `status`."""
    data: Mapping[str, Plain] = field(default_factory=dict)
    size: int = field(default=0, compare=False)
    """Characters it came in."""


def parse_frame(message: str | bytes, secrets: Secrets = _NOTHING) -> Frame | None:
    """Return the frame without *secrets*, None for previews (every binary frame) and other shapes."""
    if not isinstance(message, str):
        return None
    content = parse_json(message, secrets)
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        return None
    data = content.get("data")
    if not isinstance(data, dict):
        data = {}
    prompt_id = data.get("prompt_id")
    prompt_id = prompt_id if isinstance(prompt_id, str) else ""
    return Frame(type=content["type"], prompt_id=prompt_id, data=data, size=len(message))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracker:
    """What the frames said about one prompt so far: a hint for waking up and for progress, not the truth."""

    prompt_id: str
    phase: Phase = "unknown"
    """Moves forward only."""
    node: str = ""
    """The node at work, as it is called in the submitted graph."""
    value: int = 0
    maximum: int = 0
    cached: tuple[str, ...] = ()
    """Nodes answered from the server's cache."""
    hint: Hint = ""
    """How it seems to have ended; history decides."""
    outputs: Mapping[str, Mapping[str, Plain]] = field(default_factory=dict)
    """Node → what its `executed` frame listed; history has what is too much to keep."""
    meta: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Node → as what it is shown, as history has it."""
    kept: int = 0
    """Characters of the frames whose outputs were kept."""

    def after(self, frame: Frame) -> Tracker:
        """Return the tracker that has heard *frame*; itself when the frame says nothing about this prompt."""
        if frame.prompt_id != self.prompt_id or self.phase == "over":
            return self
        match frame.type:
            case "execution_start":
                return replace(self, phase="running")
            case "execution_cached":
                return replace(self, phase="running", cached=_texts(frame.data.get("nodes")))
            case "executing":
                return self._executing(frame.data)
            case "progress":
                return self._progress(frame.data)
            case "executed":
                return self._executed(frame.data, frame.size)
            case "execution_success" | "execution_error" | "execution_interrupted":
                return self._ending(frame)
            case _:
                return self

    def _executing(self, data: Mapping[str, Plain]) -> Tracker:
        if "node" not in data:
            return self
        if data["node"] is None:
            return replace(self, phase="over")
        node = data.get("display_node") or data["node"]
        if not isinstance(node, str):
            return self
        return replace(self, phase="running", node=node, value=0, maximum=0)

    def _progress(self, data: Mapping[str, Plain]) -> Tracker:
        value, maximum = _whole(data.get("value")), _whole(data.get("max"))
        if value is None or maximum is None:
            return self
        return replace(self, phase="running", value=min(value, maximum), maximum=maximum)

    def _executed(self, data: Mapping[str, Plain], size: int) -> Tracker:
        node, output = data.get("node"), data.get("output")
        if not isinstance(node, str) or not isinstance(output, dict):
            return self
        shown = data.get("display_node") or node
        meta = {**self.meta, node: {"display_node": shown if isinstance(shown, str) else node}}
        outputs = {**self.outputs, node: output}
        kept = self.kept + size
        if len(outputs) > _NODES_KEPT or kept > _OUTPUTS_KEPT:
            return replace(self, phase="running")
        return replace(self, phase="running", outputs=outputs, meta=meta, kept=kept)

    def _ending(self, frame: Frame) -> Tracker:
        # A blocked branch sends an error frame of this type and the prompt goes on.
        if frame.data.get("exception_type") == "ExecutionBlocked":
            return self
        return replace(self, phase="running", hint=_HINTS[frame.type])


def _texts(value: Plain) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _whole(value: Plain) -> int | None:
    """Return a sane count, None for anything else (NaN and infinities included)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**53:
        return None
    return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The ids `/queue` lists, ours and others'."""

    running: frozenset[str]
    pending: frozenset[str]
    doubled: frozenset[str] = frozenset()
    """Listed more than once: the server keeps equal ids apart."""

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


def parse_queue(body: Plain) -> Queue | None:
    """Return the ids of a `/queue` answer, None when it has not the shape of one."""
    if not isinstance(body, dict):
        return None
    running, pending = body.get("queue_running"), body.get("queue_pending")
    if not isinstance(running, list) or not isinstance(pending, list):
        return None
    counts = Counter((*_ids(running), *_ids(pending)))
    return Queue(
        running=frozenset(_ids(running)),
        pending=frozenset(_ids(pending)),
        doubled=frozenset(prompt_id for prompt_id, count in counts.items() if count > 1),
    )


def _ids(items: list[Plain]) -> list[str]:
    rows = (item for item in items if isinstance(item, list) and len(item) > 1)
    return [item[1] for item in rows if isinstance(item[1], str)]


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting in the queue."""


@dataclass(frozen=True, slots=True)
class Running:
    """Being executed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """In the history."""

    entry: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Absent:
    """In none of them: proof of nothing until it has lasted for the settle time."""


Location = Queued | Running | Finished | Absent


def entry_of(history: Plain, prompt_id: str) -> Mapping[str, Plain] | None:
    """Return the entry of *prompt_id* in a `/history/{id}` answer, None when there is none."""
    entry = history.get(prompt_id) if isinstance(history, dict) else None
    return entry if isinstance(entry, dict) else None


def locate(queue: Queue, history: Plain, prompt_id: str) -> Location:
    """Return where *prompt_id* is.

    *queue* must have been asked before *history*: a prompt moves from pending to running to history only,
    so in the other order one that finishes in between would be seen in neither.
    """
    entry = entry_of(history, prompt_id)
    if entry is not None:
        return Finished(entry)
    if prompt_id in queue.running:
        return Running()
    return Queued() if prompt_id in queue.pending else Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """One file as a server names it: good for asking that server for it, and for nothing else."""

    node: str
    index: int
    """Position among the collected files of its node, from 0."""
    filename: str
    subfolder: str = ""
    type: str = "output"
    text: str | None = None
    """What a node showed without saving it; there is no file to fetch then."""

    @property
    def server_name(self) -> str:
        """`subfolder/filename` with `/`, as the server would find it."""
        folder = self.subfolder.replace("\\", "/").strip("/")
        return f"{folder}/{self.filename}" if folder else self.filename


def files_of(node: str, *outputs: Plain) -> tuple[FileRef, ...]:
    """Return every file that one node's *outputs* list, once each, in order; malformed entries left out."""
    found = dict.fromkeys(ref for entry in _entries(outputs) if (ref := _file(node, entry)) is not None)
    return tuple(replace(ref, index=index) for index, ref in enumerate(found))


def _entries(outputs: Iterable[Plain]) -> Iterator[Plain]:
    for output in outputs:
        for value in output.values() if isinstance(output, dict) else ():
            yield from value if isinstance(value, list) else ()


def shown_by(node: str, entry: Mapping[str, Plain]) -> tuple[Plain, ...]:
    """Return what a history entry lists for *node* of the submitted graph, in order.

    A node that a loop or a group made anew runs under an id of its own (`4.0.0.9`), and `meta` says as what
    it is shown (ComfyUI 0.33 execution.py, comfy_execution/graph.py get_display_node_id).
    """
    outputs, meta = entry.get("outputs"), entry.get("meta")
    if not isinstance(outputs, dict):
        return ()
    facts = meta if isinstance(meta, dict) else {}
    return tuple(
        output for name, output in outputs.items() if name == node or _shown_as(facts.get(name)) == node
    )


def _shown_as(said: Plain) -> Plain:
    return said.get("display_node") if isinstance(said, dict) else None


def malformed(*outputs: Plain) -> tuple[Plain, ...]:
    """Return what one node's *outputs* list as files though it can be none: it lies elsewhere, or nowhere."""
    return tuple(
        each
        for each in _entries(outputs)
        if isinstance(each, dict) and "filename" in each and not _file("", each)
    )


def texts_of(node: str, *outputs: Plain) -> tuple[FileRef, ...]:
    """Return what a node showed as text, one ref for each."""
    shown = [output.get("text") for output in outputs if isinstance(output, dict)]
    texts = [item for each in shown if isinstance(each, list) for item in each if isinstance(item, str)]
    return tuple(FileRef(node=node, index=at, filename="", text=text) for at, text in enumerate(texts))


def _file(node: str, entry: Plain) -> FileRef | None:
    if not isinstance(entry, dict):
        return None
    name, folder, kind = entry.get("filename"), entry.get("subfolder", ""), entry.get("type", "output")
    if not isinstance(name, str) or not name or not isinstance(folder, str) or not isinstance(kind, str):
        return None
    parts = folder.replace("\\", "/").split("/")
    if kind not in ("output", "temp") or "\0" in name + folder or name in (".", ".."):
        return None
    # A server cuts folders off a name, so one with folders in it is no name; nor is an absolute place.
    if "/" in name or "\\" in name or ".." in parts or folder[:1] in ("/", "\\") or parts[0].endswith(":"):
        return None
    return FileRef(node=node, index=0, filename=name, subfolder=folder, type=kind)
