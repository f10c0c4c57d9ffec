"""What real servers said, broken in every way; what comes of reading it must be a value or a Fault.

python -m tests.comfy.mutations --examples 5000000 [--seed 1]
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

from runner.comfy.protocol import (
    Tracker,
    entry_of,
    files_of,
    locate,
    parse_frame,
    parse_json,
    parse_queue,
)
from runner.comfy.verdict import Succeeded, judge, rejection, under
from runner.domain import Fault

from . import transcripts

HOSTILE: list[Any] = [
    None, True, 0, -1, 2**64, 1e308, float("nan"), float("inf"),
    "", "..", "../../etc/passwd", "a\0b", "\ud800", "\x1b[2J", "x" * 5000,
    "success", "error", "execution_success", [], {}, [[]], [1, 2, 3],
    ["execution_error", {}], ["execution_error"],
    {"filename": "../x.png"}, {"filename": 7}, {"node_errors": {"1": None}},
]  # fmt: skip
RAN = [name for name in transcripts.NAMES if any("history" in line for line in transcripts.lines(name))]


class Example:
    """One transcript: what was expected of it, and what the server said."""

    def __init__(self, name: str) -> None:
        lines = transcripts.lines(name)
        self.name = name
        self.prompt_id = transcripts.prompt_id(name)
        self.prefix = f"animerun/t/{name}-a1/p"
        self.history = next(line["history"] for line in lines if "history" in line)
        self.queues = [line["queue"] for line in lines if "queue" in line]
        self.frames = [line["frame"] for line in lines if "frame" in line]
        self.body = next(line["body"] for line in lines if "post" in line)
        outputs = self.history[self.prompt_id].get("outputs", {})
        self.expected: dict[str, Any] = dict.fromkeys(outputs, "image") or {"9": "image"}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key or index) of everything inside *value*."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from places(inner)


def broken(value: Any, chance: random.Random) -> Any:
    """Return *value* with up to four places replaced, taken away, doubled or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 4)):
        spots = list(places(value))
        if not spots:
            return chance.choice(HOSTILE)
        holder, key = chance.choice(spots)
        match chance.randrange(5):
            case 0 | 1:
                holder[key] = copy.deepcopy(chance.choice(HOSTILE))
            case 2:
                del holder[key]
            case 3 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case _:
                other, name = chance.choice(spots)
                gone = name not in other if isinstance(other, dict) else name >= len(other)
                holder[key] = None if gone else copy.deepcopy(other[name])
    return value


def damaged(text: str, chance: random.Random) -> bytes:
    """Return the bytes of *text*, some flipped, cut or doubled."""
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) or 1)
        match chance.randrange(3):
            case 0 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : at + chance.randint(1, 40)]
            case _:
                data[at:at] = data[at : at + 20]
    return bytes(data)


def said(value: Any, chance: random.Random) -> Any:
    """Return *value* as it is read after something happened to its structure or to its bytes."""
    if chance.random() < 0.7:
        return parse_json(json.dumps(broken(value, chance)))
    return parse_json(damaged(json.dumps(value), chance))


def read_history(example: Example, chance: random.Random) -> None:
    """A damaged entry is judged; a success has every output that was asked for, under our own prefix."""
    history = said(example.history, chance)
    entry = entry_of(history, example.prompt_id)
    if entry is None:
        return
    verdict = judge(entry, example.expected, example.prefix)
    assert isinstance(verdict, (Succeeded, Fault))
    if isinstance(verdict, Fault):
        assert verdict.message.isprintable(), verdict
        return
    messages = [m for m in entry["status"]["messages"] if isinstance(m, list) and len(m) == 2]
    kinds = {kind for kind, _ in messages if isinstance(kind, str)}
    assert entry["status"]["status_str"] == "success"
    assert "execution_success" in kinds
    assert not {"execution_error", "execution_interrupted"} & kinds
    for node in example.expected:
        refs = [ref for ref in verdict.refs if ref.node == node]
        listed = [ref for ref in files_of(node, entry["outputs"][node]) if ref.type == "output"]
        assert refs, f"success without the output of {node}"
        assert all(under(ref.server_name, example.prefix) or not listed for ref in refs)
        assert not any(".." in ref.server_name.split("/") or "\0" in ref.server_name for ref in refs)


def read_queue(example: Example, chance: random.Random) -> None:
    """A damaged queue is none, or holds ids that are texts."""
    queue = parse_queue(said(chance.choice(example.queues), chance)) if example.queues else None
    if queue is not None:
        assert all(isinstance(each, str) for each in queue.running | queue.pending)
        locate(queue, said(example.history, chance), example.prompt_id)


def read_frames(example: Example, chance: random.Random) -> None:
    """Damaged frames in any order move a tracker forward or leave it."""
    tracker, order = Tracker(prompt_id=example.prompt_id), ["unknown", "queued", "running", "over"]
    for frame in chance.sample(example.frames, min(6, len(example.frames))):
        text = json.dumps(broken(frame, chance))
        if chance.random() < 0.3:
            text = damaged(text, chance).decode("utf-8", "replace")
        read = parse_frame(text)
        after = tracker if read is None else tracker.after(read)
        assert order.index(after.phase) >= order.index(tracker.phase)
        tracker = after


def read_refusal(example: Example, chance: random.Random) -> None:
    """A damaged refusal is told in one line."""
    fault = rejection(chance.choice([200, 400, 413]), said(example.body, chance))
    assert fault.message.isprintable()
    assert len(fault.message) <= 520


READERS = [read_history, read_history, read_queue, read_frames, read_refusal]


def run(examples: int, seed: int) -> None:
    """Read so many damaged answers; an AssertionError names the seed that repeats it."""
    known = [Example(name) for name in RAN]
    for number in range(examples):
        chance = random.Random(f"{seed}/{number}")
        reader, example = chance.choice(READERS), chance.choice(known)
        try:
            reader(example, chance)
        except Exception as error:
            raise AssertionError(
                f"{reader.__name__} of {example.name}, seed {seed}/{number}: {error!r}"
            ) from error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    run(wish.examples, wish.seed)
    sys.stdout.write(f"{wish.examples:,} damaged answers read, seed {wish.seed}\n")
