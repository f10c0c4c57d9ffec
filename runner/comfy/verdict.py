"""How an attempt ended: a history entry or a refusal in, references to files or a Fault out. Pure.

How an attempt can fail, and what may help:

    VALIDATION        never      the server refused the graph, or a part of it
    TOO_LARGE         never      workflow, input or output above a limit
    NODE_ERROR        never      a node raised
    MISSING_OUTPUT    never      success, but a declared node saved nothing
    BAD_OUTPUT        never      an output of another kind than declared
    OOM               elsewhere  out of memory
    SERVER_SICK       elsewhere  the machine failed, not the job: CUDA error, its disk full
    SERVER_REJECTS    elsewhere  not let in, redirected, input not taken, ids not ours to choose
    SERVER_DIED       elsewhere  was running when its server stopped, or stopped working
    HUNG              elsewhere  showed no progress, and was interrupted for that
    UNREACHABLE       elsewhere  could not be sent, and another server is up
    SERVER_BUSY       again      not taken: too many requests
    SERVER_ERROR      elsewhere  not taken: the server or what stands before it failed
    LOST              again      nowhere for the settle time (elsewhere: its server was given up)
    REMOVED           again      somebody took it out of the queue
    CACHED_OUTPUT     again      an older file in place of a new one, or one that is gone
    DOWNLOAD_CORRUPT  again      eight downloads, none whole
    INTERRUPTED       again      somebody stopped it
    UNREADABLE        again      its history says nothing that can be understood
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from runner.comfy.protocol import FileRef, files_of, malformed, printable, shown_by, texts_of
from runner.domain import Fault, OutputKind
from runner.errors import ServerFault
from runner.text.shown import written

Plain = Any
Nodes = Mapping[str, Mapping[str, Plain]]
Retry = Literal["never", "elsewhere", "again"]

_NO_NODES: Nodes = {}
_MODEL_FILE = re.compile(r"\.(safetensors|sft|ckpt|pth?|bin|gguf|onnx|ya?ml)$")
_NODE_ID = re.compile(r"Node ID '#(.{1,80})'")
_OOM_TYPES = ("OutOfMemoryError", "OOM_EXCEPTION")
_SICK_WORDS = ("cuda error", "device-side assert", "cublas_status", "cudnn_status", "no space left on device")
"""What a node says when not the job but the machine is broken."""
_OOM_WORDS = ("out of memory", "allocation on device", "can't allocate memory", "not enough memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The server made every declared output."""

    refs: tuple[FileRef, ...]
    """In the order the outputs were declared, then as the server lists them."""
    run_s: float = 0.0
    """Execution time by the server's own clock; waiting not included."""
    cached: int = 0
    """Nodes answered from the cache."""


class Uncollected(Exception):
    """An output that the server made cannot be had; *fault* says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def judge(
    entry: Mapping[str, Plain],
    expected: Mapping[str, OutputKind],
    prefix: str,
    *,
    nodes: Nodes = _NO_NODES,
    unprefixed: Collection[str] = (),
    optional: Collection[str] = (),
) -> Succeeded | Fault:
    """Return the files of a finished prompt, or why it does not count as a success.

    Success needs all of: status `success`, an `execution_success` message, no error or interrupt message, and
    for every expected node at least one file under *prefix* (an older one is an answer from the cache).

    Args:
        entry: Of the history.
        expected: Declared nodes and what each saves.
        prefix: Where the server was told to save.
        nodes: The graph, for titles in messages.
        unprefixed: Nodes that are not told where to save: what they list counts, whatever it is called.
        optional: Nodes that may list nothing, as a switch decides; of all nodes one must list something.

    """
    messages = tuple(_messages(entry))
    for name, data in messages:
        if name == "execution_error":
            return node_fault(data, nodes)
        if name == "execution_interrupted":
            return _interrupted(data, nodes)
    status = entry.get("status")
    word = status.get("status_str") if isinstance(status, dict) else None
    if word != "success" or not any(name == "execution_success" for name, _ in messages):
        return Fault(
            code="UNREADABLE", retry="again", message="the server's history does not say how it ended"
        )
    refs = _declared(entry, expected, prefix, nodes, unprefixed=unprefixed, optional=optional)
    if isinstance(refs, Fault):
        return refs
    return Succeeded(refs=refs, run_s=_run_time(messages), cached=_cached(messages))


def _messages(entry: Mapping[str, Plain]) -> Iterable[tuple[str, Mapping[str, Plain]]]:
    status = entry.get("status")
    messages = status.get("messages") if isinstance(status, dict) else None
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, list) and len(message) == 2 and isinstance(message[0], str):
            yield message[0], message[1] if isinstance(message[1], dict) else {}


def _declared(
    entry: Mapping[str, Plain],
    expected: Mapping[str, OutputKind],
    prefix: str,
    nodes: Nodes,
    *,
    unprefixed: Collection[str],
    optional: Collection[str],
) -> tuple[FileRef, ...] | Fault:
    refs: list[FileRef] = []
    for node, kind in expected.items():
        shown = shown_by(node, entry)
        if bad := malformed(*shown):
            message = f"{_title(node, nodes)} lists a file that can be none: {printable(bad[0], limit=200)}"
            return Fault(code="BAD_OUTPUT", message=message, node=node, node_class=_class(node, nodes))
        found = files_of(node, *shown)
        kept = _saved(found) if node in unprefixed else _ours(found, prefix)
        if kind in ("text", "file") and not found:
            kept = texts_of(node, *shown)
        if not found and not kept and node in optional:
            continue
        if not kept:
            return _nothing_new(node, found, nodes)
        refs.extend(replace(ref, index=index) for index, ref in enumerate(kept))
    return tuple(refs) if refs else _nothing_new(next(iter(expected)), (), nodes)


def _saved(found: Sequence[FileRef]) -> tuple[FileRef, ...]:
    """Return the files that were saved for good; where there are nothing but previews, those."""
    return tuple(ref for ref in found if ref.type == "output") or tuple(found)


def _ours(found: Sequence[FileRef], prefix: str) -> tuple[FileRef, ...]:
    """Return the files under our prefix; where a declared node makes nothing but previews, those."""
    kept = tuple(ref for ref in found if ref.type == "output" and under(ref.server_name, prefix))
    if kept or any(ref.type == "output" for ref in found):
        return kept
    return tuple(ref for ref in found if ref.type == "temp")


def under(name: str, prefix: str) -> bool:
    """Tell whether a server would name a file *name* when told to save under *prefix*."""
    wanted = prefix.replace("\\", "/")
    rest = name.removeprefix(wanted)
    return bool(wanted) and name != rest and (wanted.endswith("/") or not rest[:1].isalnum())


def _nothing_new(node: str, found: Sequence[FileRef], nodes: Nodes) -> Fault:
    title, node_class = _title(node, nodes), _class(node, nodes)
    if found:
        older = printable(found[0].filename, limit=80)
        message = f"{title} answered with an older file instead of a new one: {older}"
        return Fault(code="CACHED_OUTPUT", retry="again", message=message, node=node, node_class=node_class)
    message = f"the server reports success, but {title} saved nothing (a blocked branch, or no save node); "
    message += "one that may save nothing is declared with `optional: true`"
    return Fault(code="MISSING_OUTPUT", message=message, node=node, node_class=node_class)


def node_fault(data: Mapping[str, Plain], nodes: Nodes = _NO_NODES) -> Fault:
    """Return the fault that an `execution_error` tells of: OOM, SERVER_SICK or NODE_ERROR; no traceback."""
    node = printable(data.get("node_id") or "", limit=80)
    node_class = printable(data.get("node_type") or _class(node, nodes), limit=80)
    kind = printable(data.get("exception_type") or "", limit=80)
    reason = printable(data.get("exception_message") or "no reason given", limit=360)
    if kind.rpartition(".")[2] in _OOM_TYPES or any(word in reason.lower() for word in _OOM_WORDS):
        message = f"{_title(node, nodes, node_class)} ran out of memory: {reason}"
        return Fault(code="OOM", retry="elsewhere", message=message[:500], node=node, node_class=node_class)
    sick = any(word in reason.lower() for word in _SICK_WORDS)
    message = f"{_title(node, nodes, node_class)} failed: {kind + ': ' if kind else ''}{reason}"
    code: tuple[str, Retry] = ("SERVER_SICK", "elsewhere") if sick else ("NODE_ERROR", "never")
    return Fault(code=code[0], retry=code[1], message=message[:500], node=node, node_class=node_class)


def _interrupted(data: Mapping[str, Plain], nodes: Nodes) -> Fault:
    node = printable(data.get("node_id") or "", limit=80)
    node_class = printable(data.get("node_type") or _class(node, nodes), limit=80)
    at = f" at {_title(node, nodes, node_class)}" if node else ""
    return Fault(
        code="INTERRUPTED",
        retry="again",
        message=f"interrupted on the server{at}",
        node=node,
        node_class=node_class,
    )


def _run_time(messages: Sequence[tuple[str, Mapping[str, Plain]]]) -> float:
    stamps = [
        stamp
        for name, data in messages
        if name in ("execution_start", "execution_success")
        and isinstance(stamp := data.get("timestamp"), (int, float))
        and 0 <= stamp < 2**53
    ]
    span = (stamps[-1] - stamps[0]) / 1000 if len(stamps) > 1 else 0.0
    return span if 0 <= span < 1e9 else 0.0


def _cached(messages: Sequence[tuple[str, Mapping[str, Plain]]]) -> int:
    lists = [data.get("nodes") for name, data in messages if name == "execution_cached"]
    return len(lists[0]) if lists and isinstance(lists[0], list) else 0


def _class(node: str, nodes: Nodes) -> str:
    return str(nodes.get(node, {}).get("class_type", ""))


def _title(node: str, nodes: Nodes, node_class: str = "") -> str:
    """Return `node 7 (KSampler)`, and `node 7 (First pass, KSampler)` for one with a title of its own."""
    meta = nodes.get(node, {}).get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    title = printable(title, limit=60) if isinstance(title, str) else ""
    names = ", ".join(dict.fromkeys(name for name in (title, node_class or _class(node, nodes)) if name))
    return f"node {node} ({names})" if names else f"node {node}"


def rejection(status: int, body: Plain, nodes: Nodes = _NO_NODES) -> Fault:
    """Return why a submission was refused (400, 413, or 200 with `node_errors`), summarised for a person."""
    if status == 413:
        return Fault(
            code="TOO_LARGE",
            message="the workflow is larger than the server accepts (--max-upload-size there)",
        )
    content = body if isinstance(body, dict) else {}
    errors = content.get("node_errors")
    if isinstance(errors, dict) and errors:
        return _node_errors(errors, nodes)
    return _whole_graph(content.get("error"), nodes)


def concerning(errors: Mapping[str, Plain], outputs: Collection[str]) -> Mapping[str, Plain]:
    """Return those of *errors* (`node_errors`) that keep one of *outputs* from being made.

    The server drops only the outputs that depend on a bad node (ComfyUI 0.33 execution.py validate_prompt),
    so a preview that nobody declared stops no job.
    """

    def concerns(error: Plain) -> bool:
        dependent = error.get("dependent_outputs") if isinstance(error, dict) else None
        return not isinstance(dependent, list) or any(str(each) in outputs for each in dependent)

    return {node: error for node, error in errors.items() if concerns(error)}


def _whole_graph(error: Plain, nodes: Nodes) -> Fault:
    if not isinstance(error, dict):
        return Fault(
            code="VALIDATION", message=f"the server refused the workflow: {printable(error, limit=300)}"
        )
    message, details = (printable(error.get(key) or "", limit=200) for key in ("message", "details"))
    named = _NODE_ID.fullmatch(details)
    node = named[1] if named else ""
    extra = error.get("extra_info")
    # A title hides the class in the message (ComfyUI 0.33 execution.py validate_prompt).
    told = extra.get("class_type") if isinstance(extra, dict) else None
    node_class = printable(told, limit=80) if isinstance(told, str) else _class(node, nodes)
    where = f"{_title(node, nodes, node_class)}: " if node else ""
    text = message if node or not details else f"{message} ({details})"
    return Fault(
        code="VALIDATION",
        message=f"the server refused the workflow: {where}{text or 'no reason given'}"[:500],
        node=node,
        node_class=node_class,
    )


def _node_errors(errors: Mapping[str, Plain], nodes: Nodes) -> Fault:
    lines: list[str] = []
    first, first_class = "", ""
    for node, said in errors.items():
        if not isinstance(said, dict):
            continue
        node_class = printable(said.get("class_type") or "", limit=80)
        first, first_class = (first, first_class) if lines else (node, node_class)
        where = _title(printable(node, limit=80), nodes, node_class)
        found = said.get("errors")
        lines.extend(f"{where}: {_one(item)}" for item in (found if isinstance(found, list) else [])[:4])
    text = "; ".join(lines[:4]) or "no reason given"
    more = f"; and {len(lines) - 4} more" if len(lines) > 4 else ""
    message = f"the server refused the workflow: {text[: 460 - len(more)]}{more}"
    return Fault(code="VALIDATION", message=message, node=printable(first, limit=80), node_class=first_class)


def _one(error: Plain) -> str:
    """Return one validation error as `input: what is wrong`."""
    if not isinstance(error, dict):
        return "refused"
    extra = error.get("extra_info")
    extra = extra if isinstance(extra, dict) else {}
    name = printable(extra.get("input_name") or "", limit=60)
    value = extra.get("received_value")
    kind = error.get("type")
    if kind == "value_not_in_list":
        return f"{name}: {_value(value)} is not offered{choices(value, _allowed(extra.get('input_config')))}"
    if kind == "required_input_missing":
        return f"{name or printable(error.get('details') or '', limit=60)}: missing"
    text = printable(error.get("message") or kind or "refused", limit=160)
    details = printable(error.get("details") or "", limit=160)
    place = f"{name}: " if name else ""
    tail = f" ({details})" if details and details != name else ""
    got = f", got {_value(value)}" if value is not None and _value(value) not in text + tail else ""
    return f"{place}{text}{tail}{got}"


def _allowed(config: Plain) -> tuple[str, ...]:
    if not isinstance(config, list) or not config:
        return ()
    options = config[0]
    if options == "COMBO" and len(config) > 1 and isinstance(config[1], dict):
        options = config[1].get("options")
    return tuple(str(item) for item in options) if isinstance(options, list) else ()


def _value(value: Plain) -> str:
    return printable(f"`{value}`" if isinstance(value, str) else written(value), limit=80)


def choices(value: object, allowed: Sequence[str], *, shown: int = 5) -> str:
    """Return `; did you mean X? there are: a, b, … (n in all)`; empty without *allowed*."""
    return listed(nearest(str(value), allowed), allowed, shown=shown)


def listed(near: str, allowed: Sequence[str], *, shown: int = 5) -> str:
    """Return `; did you mean NEAR? there are: a, b, … (n in all)`; empty without *allowed*."""
    if not allowed:
        return ""
    some = ", ".join(printable(item, limit=60) for item in allowed[:shown])
    count = f", … ({len(allowed)} in all)" if len(allowed) > shown else ""
    return f"{f'; did you mean {printable(near, limit=80)}?' if near else ';'} there are: {some}{count}"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the name most like *name*, case, folders and file endings aside; empty when none is close."""
    folded: dict[str, str] = {}
    for candidate in names:
        folded.setdefault(_core(candidate), candidate)
    found = difflib.get_close_matches(_core(name), folded, n=1, cutoff=0.75)
    return folded[found[0]] if found else ""


def is_model_file(name: object) -> bool:
    """Whether *name* ends as the files of models do."""
    return isinstance(name, str) and bool(_MODEL_FILE.search(name.lower()))


def _core(name: str) -> str:
    last = name.lower().replace("\\", "/").rpartition("/")[2]
    return _MODEL_FILE.sub("", last) or last


def busy(fault: ServerFault) -> bool:
    """Whether a server asked to be left alone."""
    return fault.status == 429 or (fault.status == 503 and fault.wait_s > 0)


def unclear(doubt: ServerFault) -> Fault:
    """Return the fault of a submission that was answered with the status of *doubt* and did not arrive."""
    message = str(doubt)[:500]
    if busy(doubt):
        return Fault(code="SERVER_BUSY", message=message, retry="again")
    code = "SERVER_ERROR" if doubt.status >= 500 else "SERVER_REJECTS"
    return Fault(code=code, message=message, retry="elsewhere")
