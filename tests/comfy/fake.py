"""A tiny scripted ComfyUI on a real loopback socket: polling only, one thing wrong at a time.

It runs a submitted prompt at once unless told to hold it. `script` maps a route to what goes wrong with its
next requests, in order; None lets one pass.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image

PNG = io.BytesIO()
Image.new("RGB", (8, 8), (200, 30, 60)).save(PNG, "PNG")


class Fake:
    """The server; `async with Fake() as fake`."""

    def __init__(self, *, base: str = "") -> None:
        self.base = base
        self.script: dict[str, deque[Any]] = defaultdict(deque)
        self.seen: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.posts: list[dict[str, Any]] = []
        self.pending: list[str] = []
        self.running: list[str] = []
        self.history: dict[str, Any] = {}
        self.inputs: dict[str, bytes] = {}
        self.hold = False
        self.previz = False
        self.atomic = False
        """It has `/jobs/{id}/cancel`, as ComfyUI 0.33 does."""
        self.own_ids = False
        """It gives every prompt an id of its own, as ComfyUI before 0.3.45 does."""
        self.locked = False
        """Nobody is let in: 401 on everything."""
        self.wedged = False
        """Its worker is dead: an interrupt changes nothing."""
        self.picture = PNG.getvalue()
        self.pictures = 1
        """How many a save node writes."""
        self.extra: dict[str, Any] = {}
        self.offers: dict[str, Any] = {"SaveImage": {"input": {"required": {}}}}
        """Its node classes."""
        self.targets: list[str] = []
        """What was asked for, with the query."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Fake:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}"

    async def up(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Be gone, memory and all."""
        if self._server is None:
            return
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)
        await self._server.wait_closed()
        self._server = None
        self.pending, self.running, self.history = [], [], {}

    def plan(self, route: str, *faults: Any) -> None:
        """Let the next requests to *route* (`POST /prompt`) go wrong like this."""
        self.script[route].extend(faults)

    def count(self, route: str) -> int:
        return sum(f"{method} {path}" == route for method, path in self.seen)

    def seen_after(self, first: str, route: str, times: int) -> bool:
        """Tell whether *route* was asked for *times* times since *first* was asked for."""
        routes = [f"{method} {path}" for method, path in self.seen]
        return first in routes and routes[routes.index(first) :].count(route) >= times

    def finish(self, prompt_id: str) -> None:
        """Run a held prompt to its end."""
        for queue in (self.pending, self.running):
            if prompt_id in queue:
                queue.remove(prompt_id)
        prompt = next(post["prompt"] for post in self.posts if post["prompt_id"] == prompt_id)
        self.history[prompt_id] = self._entry(prompt_id, prompt)

    def _entry(self, prompt_id: str, prompt: dict[str, Any]) -> dict[str, Any]:
        outputs = {}
        for node, said in prompt.items():
            prefix = said["inputs"].get("filename_prefix")
            if prefix:
                folder, _, stem = prefix.rpartition("/")
                file = {"filename": f"{stem}_00001_.png", "subfolder": folder, "type": "output"}
                outputs[node] = {"images": [file]}
        mark = {"prompt_id": prompt_id, "timestamp": 1}
        messages = [["execution_start", mark], ["execution_success", {**mark, "timestamp": 6}]]
        status = {"status_str": "success", "completed": True, "messages": messages}
        return {"outputs": outputs, "status": status} | self.extra

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        path = parts.path.removeprefix(self.base).removeprefix("/api")
        self.seen.append((method, path))
        self.targets.append(target)
        self.headers.append(headers)
        route = f"{method} /history" if path.startswith("/history/") else f"{method} {path}"
        fault = self.script[route].popleft() if self.script[route] else None
        if fault == "lock":
            self.locked = True
        if self.locked:
            return await self._answer(writer, 401, b"who are you?", "text/plain")
        if fault == "drop":
            return False
        if fault == "stall":
            await asyncio.sleep(3600)
        if fault == "late":
            await asyncio.sleep(0.3)
        if isinstance(fault, tuple):
            status, media, content, *more = fault
            return await self._answer(writer, status, content, media, more=more)
        status, content, media = self._route(method, path, parse_qs(parts.query), body, fault)
        if fault == "eat":
            return False
        if fault in ("500 yet queued", "429 yet queued"):
            return await self._answer(writer, int(fault[:3]), b"not now", "text/plain")
        return await self._answer(writer, status, content, media, fault)

    async def _answer(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        content: bytes,
        media: str,
        fault: Any = None,
        more: Iterable[str] = (),
    ) -> bool:
        length = f"Content-Length: {len(content)}\r\n"
        headers = "".join(f"{line}\r\n" for line in more)
        if fault == "unannounced":
            length = "Connection: close\r\n"
        if fault == "compressed":
            headers = "Content-Encoding: gzip\r\n"
        if 300 <= status < 400:
            headers = "Location: http://127.0.0.1:1/elsewhere\r\n"
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {media}\r\n{length}{headers}\r\n"
        sent = content[: len(content) // 2] if fault in ("truncated", "unannounced") else content
        if fault == "corrupt":
            sent = content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
        writer.write(head.encode() + sent)
        await writer.drain()
        return fault not in ("truncated", "unannounced")

    def _route(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes, fault: Any
    ) -> tuple[int, bytes, str]:
        if path == "/view":
            return self._view(query["filename"][0])
        if path == "/upload/image":
            return self._upload(body, fault)
        said = json.loads(body) if body else {}
        match f"{method} {path.split('/')[1]}":
            case "GET system_stats":
                answer: Any = {
                    "system": {"comfyui_version": "0.3.64", "os": "posix"}
                    | ({"animerun_previz": "1"} if self.previz else {}),
                    "devices": [{"name": "gpu", "vram_free": 2**29, "vram_total": 8 * 2**30}],
                }
            case "GET object_info":
                answer = self.offers
            case "GET queue":
                rows = [[[1, pid, {}, {}, []] for pid in ids] for ids in (self.running, self.pending)]
                answer = {"queue_running": rows[0], "queue_pending": rows[1]}
            case "GET history":
                known = self.history.get(path.split("/")[2])
                answer = {} if known is None else {path.split("/")[2]: known}
            case "POST prompt":
                answer = self._prompt(said, fault)
            case "POST queue":
                self._delete(said.get("delete", ()))
                answer = {}
            case "POST interrupt":
                self._interrupt(said["prompt_id"])
                answer = {}
            case "POST jobs" if self.atomic:
                named = path.split("/")[2]
                answer = {"cancelled": named in self.pending or named in self.running}
                self._delete([named])
                self._interrupt(named)
            case "POST free":
                answer = {}
            case _:
                return 404, b"", "application/octet-stream"
        return 200, json.dumps(answer).encode(), "application/json; charset=utf-8"

    def _view(self, name: str) -> tuple[int, bytes, str]:
        """As many pictures as `pictures` says; their counter begins with 1."""
        numbered = re.search(r"_(\d{5})_\.png$", name)
        if numbered and not 1 <= int(numbered[1]) <= self.pictures:
            return 404, b"", "application/octet-stream"
        return 200, self.picture, "image/png"

    def _prompt(self, said: dict[str, Any], fault: Any) -> dict[str, Any]:
        prompt_id = "11111111-2222-3333-4444-555555555555" if fault == "other id" else said["prompt_id"]
        prompt_id = f"{len(self.posts):08}-0000-4000-8000-000000000000" if self.own_ids else prompt_id
        self.posts.append({**said, "prompt_id": prompt_id})
        errors: dict[str, Any] = {}
        if fault in ("partly", "beside"):
            wrong = {
                "type": "value_smaller_than_min",
                "message": "too small",
                "details": "width",
                "extra_info": {},
            }
            errors = {
                "1": {
                    "errors": [wrong],
                    "dependent_outputs": ["2" if fault == "partly" else "9"],
                    "class_type": "EmptyImage",
                }
            }
        self.pending.append(prompt_id)
        if not self.hold and fault != "partly":
            self.finish(prompt_id)
        return {"prompt_id": prompt_id, "number": len(self.posts), "node_errors": errors}

    def _delete(self, ids: Iterable[str]) -> None:
        for prompt_id in ids:
            if prompt_id in self.pending:
                self.pending.remove(prompt_id)  # one of them: equal ids are kept apart

    def _interrupt(self, prompt_id: str) -> None:
        if prompt_id in self.running and not self.wedged:
            self.running.remove(prompt_id)
            messages = [
                ["execution_start", {}],
                ["execution_interrupted", {"node_id": "2", "node_type": "X"}],
            ]
            self.history[prompt_id] = {"outputs": {}, "status": {"status_str": "error", "messages": messages}}

    def _upload(self, body: bytes, fault: Any) -> tuple[int, bytes, str]:
        head, _, rest = body.partition(b"\r\n\r\n")
        name = head.split(b'filename="')[1].split(b'"')[0].decode()
        self.inputs[name] = rest[: rest.rindex(b"\r\n--")]
        told = "other.png" if fault == "other name" else name
        return 200, json.dumps({"name": told, "subfolder": "", "type": "input"}).encode(), "application/json"
