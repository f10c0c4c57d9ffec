"""What a journal line means in tables: pure translation, no database.

`rows(run, line)` gives (table, row) in the column order of schema.sql. Lines this version does not know are
skipped: a newer animerun may add facts, never change one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Final

Row = tuple[Any, ...]
Rows = list[tuple[str, Row]]
Fact = Mapping[str, Any]

# An index is built from millions of these: plain tuples, fields by itemgetter, no generators.
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a `timestamp` column holds naive UTC
_ATTEMPT: Final = itemgetter("key", "n", "id", "server")
_TIMES: Final = itemgetter("queue_s", "run_s", "collect_s", "cached")
_VARIANT: Final = itemgetter(
    "variant", "episode", "scene", "cut", "title", "template", "model", "prompt", "negative"
)
_SEALED: Final = itemgetter("slots", "loras", "params", "members")
_RUN: Final = itemgetter("uuid", "spec", "episode", "title", "realm", "animerun")
_OUTPUT: Final = itemgetter(
    "node", "index", "path", "sha256", "size", "kind", "pixels", "width", "height", "frames", "media",
    "server_name",
)  # fmt: skip
_NO_ERROR: Final = ("", "", "", "")
_NO_TIMES: Final = (0.0, 0.0, 0.0, 0)
_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _at(seconds: float) -> datetime:
    """Seconds since the epoch as the naive UTC time that a `timestamp` column holds."""
    return _EPOCH + timedelta(seconds=seconds)


def rows(run: str, line: Fact) -> Rows:
    """Return the rows *line* adds to the manifest."""
    make = _ROWS.get(line["t"])
    return make(run, line) if make is not None else []


def _run(run: str, x: Fact) -> Rows:
    row = (run, *_RUN(x), _at(x["at"]), x["total"], x["waiting"], _json(x["scope"]), x.get("replay_of", ""))
    return [("runs", row)]


def _end(run: str, x: Fact) -> Rows:
    return [("run_ends", (run, _at(x["at"]), x["code"], x["reason"]))]


def _server(run: str, x: Fact) -> Rows:
    names = ("url", "realm", "version", "torch", "python", "device", "os", "previz")
    return [("servers", (run, *(x.get(name, "") for name in names)))]


def _input(run: str, x: Fact) -> Rows:
    return [("inputs", (run, x["name"], x["path"], x["size"]))]


def _shape(run: str, x: Fact) -> Rows:
    return [("shapes", (run, x["shape"], _json(x["nodes"])))]


def _text(run: str, x: Fact) -> Rows:
    return [("texts", (run, x["text"], x["value"]))]


def _template(run: str, x: Fact) -> Rows:
    return [("templates", (run, x["name"], x["digest"]))]


def _model_file(run: str, x: Fact) -> Rows:
    return [
        (
            "model_files",
            (run, x["server"], x["folder"], x["name"], x.get("size"), x.get("sha256"), x.get("modified")),
        )
    ]


def _variant(run: str, x: Fact) -> Rows:
    return [("variants", (run, *_VARIANT(x), *map(_json, _SEALED(x)), x["place"]))]


def _job(run: str, x: Fact) -> Rows:
    get = x.get
    packed = get("workflow") or {"shape": "", "leaves": {}}
    own = (run, x["key"], get("seq"), x["variant"], get("take"), get("seed"), get("name"), get("recipe"))
    told = (get("digest"), packed["shape"], _json(packed["leaves"]), get("waits", ""), get("reason", ""))
    return [("jobs", own + told)]


def _note(run: str, x: Fact) -> Rows:
    return [("notes", (run, _at(x["at"]), x["kind"], _json(x["facts"])))]


def _intent(run: str, x: Fact) -> Rows:
    return [("intents", (run, *_ATTEMPT(x), x["prefix"], _at(x["at"])))]


def _done(run: str, x: Fact) -> Rows:
    row = (run, *_ATTEMPT(x), "succeeded", _at(x["at"]), *_TIMES(x), *_NO_ERROR, True, "")
    return [("attempts", row), *_outputs(run, x)]


def _reused(run: str, x: Fact) -> Rows:
    row = (run, x["key"], 0, x["id"], "", "reused", _at(x["at"]), *_NO_TIMES, *_NO_ERROR, True, x["from"])
    return [("attempts", row), *_outputs(run, x)]


def _outputs(run: str, x: Fact) -> Rows:
    key, prompt_id = x["key"], x["id"]
    return [("outputs", (run, key, prompt_id, *_OUTPUT(o), o.get("mtime_ns"))) for o in x["outputs"]]


def _failed(run: str, x: Fact) -> Rows:
    error = (x["code"], x["message"], x["node"], x["node_class"])
    row = (run, *_ATTEMPT(x), "failed", _at(x["at"]), *_NO_TIMES, *error, x["final"], "")
    return [("attempts", row)]


def _cancelled(run: str, x: Fact) -> Rows:
    return [("attempts", (run, *_ATTEMPT(x), "cancelled", _at(x["at"]), *_NO_TIMES, *_NO_ERROR, True, ""))]


_ROWS: Final = {
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
