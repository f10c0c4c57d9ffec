"""Nodes that misbehave on purpose (`--test-nodes`), as seen from outside like those of a real server."""

from __future__ import annotations

import os
import struct
import time
from typing import Any

from runner.previz.nodes.definition import (
    Blocked,
    Call,
    Expansion,
    NodeClass,
    Ui,
    choice,
    link,
    number,
    string,
    switch,
)

TICKS_PER_S = 10


class OutOfMemoryError(RuntimeError):
    """Stands for the error that a GPU out of memory raises; reported under torch's name."""


OutOfMemoryError.__module__ = "torch"


class Unstoppable(BaseException):
    """Not an Exception: nothing in a server catches it."""


def sleep(call: Call, *, image: Any, seconds: float, coop: bool) -> tuple[Any, ...]:
    """Sleep in ticks; a cooperative one reports progress at each and so can be interrupted."""
    ticks = max(1, int(seconds * TICKS_PER_S))
    for tick in range(ticks):
        time.sleep(seconds / ticks)
        if coop:
            call.report(tick + 1, ticks)
    return (image,)


def pass_gate(call: Call, *, image: Any) -> tuple[Any, ...]:
    """Wait for a file in the input folder: `gate-…` lets one job pass and is removed; `gate.open` all."""
    folder, looks = call.folders.root / "input", 0
    while not (folder / "gate.open").exists():
        permit = next(folder.glob("gate-*"), None)
        if permit is not None:
            permit.unlink()
            break
        time.sleep(0.01)
        looks += 1
        if looks % TICKS_PER_S == 0:
            call.report(looks // TICKS_PER_S, 1 + looks // TICKS_PER_S)
    return (image,)


def fail(call: Call, *, image: Any, kind: str) -> tuple[Any, ...]:
    """Raise the kind of failure asked for."""
    errors: dict[str, BaseException] = {
        "value": ValueError("deliberate failure"),
        "oom": OutOfMemoryError("Allocation on device 0 would exceed allowed memory. (out of memory)"),
        "torchoom": RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        "memoryerror": MemoryError("no memory"),
        "keyboard": KeyboardInterrupt(),
        "systemexit": SystemExit(3),
    }
    raise errors.get(kind, Unstoppable("base"))


def bad_ui(call: Call, *, image: Any, kind: str) -> Ui:
    """Show something that JSON cannot hold."""
    value: Any = {"set": {1, 2}, "nan": float("nan")}.get(kind, b"abc")
    return Ui(shown={"x": [value]})


def die(call: Call, *, image: Any) -> tuple[Any, ...]:
    """End the process at once."""
    os._exit(9)


def wait(call: Call, *, image: Any, seconds: float) -> tuple[Any, ...]:
    """Sleep without ever looking at the interrupt flag."""
    time.sleep(seconds)
    return (image,)


def expand(call: Call, *, image: Any) -> Expansion:
    """Turn into one ImageInvert."""
    return Expansion(
        nodes={"1": {"class_type": "ImageInvert", "inputs": {"image": image}}}, results=(["1", 0],)
    )


def expand_and_show(call: Call, *, image: Any) -> Expansion:
    """Turn into one ImageInvert and a preview of it."""
    shown = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    invert = {"class_type": "ImageInvert", "inputs": {"image": image}}
    return Expansion(nodes={"1": invert, "2": shown}, results=(["1", 0],))


def same(call: Call, *, image: Any) -> tuple[Any, ...]:
    """Return the picture unchanged."""
    return (image,)


def show(call: Call, *, text: str, unique_id: str) -> Ui:
    """Send the text as a binary frame and show it."""
    node = unique_id.encode()
    call.send_bytes(struct.pack(">II", 3, len(node)) + node + text.encode())
    return Ui(shown={"text": [text]})


def block(call: Call, *, image: Any, msg: str) -> tuple[Any, ...]:
    """Stop everything below."""
    return (Blocked(message=msg or None),)


IMAGE = {"image": link("IMAGE")}
KINDS = choice("value", "oom", "torchoom", "memoryerror", "keyboard", "systemexit", "baseexc")


def _test(name: str, run: Any, **more: Any) -> NodeClass:
    settings = {"returns": ("IMAGE",), "required": IMAGE, **more}
    return NodeClass(name=name, run=run, category="test", module="custom_nodes.ctest", **settings)


CLASSES = (
    _test(
        "TSleep",
        sleep,
        required={**IMAGE, "seconds": number(1.0, 0.0, 600.0), "coop": switch(True)},
    ),
    _test("TGate", pass_gate),
    _test("TRaise", fail, required={**IMAGE, "kind": KINDS}),
    _test(
        "TBadUI",
        bad_ui,
        required={**IMAGE, "kind": choice("set", "nan", "bytes")},
        returns=(),
        output=True,
    ),
    _test("TDie", die),
    _test(
        "TAsync",
        wait,
        required={**IMAGE, "seconds": ["FLOAT", {"default": 1.0}]},
        asynchronous=True,
    ),
    _test("TExpand", expand),
    _test("TExpandShow", expand_and_show),
    _test("TNow", same, changed=lambda _folders, _inputs: float("nan")),
    _test(
        "TText",
        show,
        required={"text": string()},
        hidden={"unique_id": "UNIQUE_ID"},
        returns=(),
        output=True,
        fickle=True,
    ),
    _test("TBlock", block, required={**IMAGE, "msg": string(default="")}),
)
