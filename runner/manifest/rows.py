"""What a journal line means in tables: pure translation, no database.

`rows(run, line)` yields (table, row) in the column order of schema.sql. Lines this version does not know
are skipped: a newer animerun may add facts, never change one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Row = tuple[Any, ...]


def _at(seconds: float) -> datetime:
    """Seconds since the epoch as the naive UTC time that a `timestamp` column holds."""
    return datetime.fromtimestamp(seconds, tz=UTC).replace(tzinfo=None)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def rows(run: str, line: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    """Yield the rows *line* adds to the manifest."""
    make = _ROWS.get(line["t"])
    if make is not None:
        yield from make(run, line)


def _run(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield (
        "runs",
        (run, x["uuid"], x["spec"], x["episode"], x["title"], x["realm"], x["animerun"], _at(x["at"]),
         x["total"], x["waiting"], _json(x["scope"]), x.get("replay_of", "")),
    )  # fmt: skip


def _end(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield "run_ends", (run, _at(x["at"]), x["code"], x["reason"])


def _server(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    names = ("url", "realm", "version", "torch", "python", "device", "os", "previz")
    yield "servers", (run, *(x.get(name, "") for name in names))


def _input(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield "inputs", (run, x["name"], x["path"], x["size"])


def _shape(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield "shapes", (run, x["shape"], _json(x["nodes"]))


def _text(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield "texts", (run, x["text"], x["value"])


def _template(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield "templates", (run, x["name"], x["digest"])


def _model_file(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield "model_files", (run, x["server"], x["folder"], x["name"], x["size"])


def _variant(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    texts = ("variant", "episode", "scene", "cut", "title", "template", "model", "prompt", "negative")
    facts = ("slots", "loras", "params", "members")
    yield "variants", (run, *(x[name] for name in texts), *(_json(x[name]) for name in facts), x["place"])


def _job(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    plain = ("key", "seq", "variant", "take", "seed", "name", "recipe", "digest")
    packed = x.get("workflow", {"shape": "", "leaves": {}})
    yield (
        "jobs",
        (run, *(x.get(name) for name in plain), packed["shape"], _json(packed["leaves"]), x.get("waits", ""),
         x.get("reason", "")),
    )  # fmt: skip


def _note(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield "notes", (run, _at(x["at"]), x["kind"], _json(x["facts"]))


def _intent(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield "intents", (run, x["key"], x["n"], x["id"], x["server"], x["prefix"], _at(x["at"]))


def _done(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield (
        "attempts",
        (run, x["key"], x["n"], x["id"], x["server"], "succeeded", _at(x["at"]), x["queue_s"], x["run_s"],
         x["collect_s"], x["cached"], "", "", "", "", True, ""),
    )  # fmt: skip
    yield from _outputs(run, x)


def _reused(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield (
        "attempts",
        (
            run,
            x["key"],
            0,
            x["id"],
            "",
            "reused",
            _at(x["at"]),
            0.0,
            0.0,
            0.0,
            0,
            "",
            "",
            "",
            "",
            True,
            x["from"],
        ),
    )
    yield from _outputs(run, x)


def _outputs(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    for output in x["outputs"]:
        yield "outputs", (run, x["key"], x["id"], *(output.get(name) for name in _OUTPUT))


_OUTPUT = (
    "node", "index", "path", "sha256", "size", "kind", "pixels", "width", "height", "frames", "media",
    "server_name", "mtime_ns",
)  # fmt: skip


def _failed(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield (
        "attempts",
        (run, x["key"], x["n"], x["id"], x["server"], "failed", _at(x["at"]), 0.0, 0.0, 0.0, 0, x["code"],
         x["message"], x["node"], x["node_class"], x["final"], ""),
    )  # fmt: skip


def _cancelled(run: str, x: Mapping[str, Any]) -> Iterator[tuple[str, Row]]:
    yield (
        "attempts",
        (run, x["key"], x["n"], x["id"], x["server"], "cancelled", _at(x["at"]), 0.0, 0.0, 0.0, 0, "", "", "",
         "", True, ""),
    )  # fmt: skip


_ROWS = {
    "run": _run,
    "end": _end,
    "server": _server,
    "input": _input,
    "shape": _shape,
    "text": _text,
    "template": _template,
    "model_file": _model_file,
    "variant": _variant,
    "job": _job,
    "reused": _reused,
    "note": _note,
    "intent": _intent,
    "done": _done,
    "failed": _failed,
    "cancelled": _cancelled,
}
