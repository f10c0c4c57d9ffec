"""HTTP to one ComfyUI. The only place that knows httpx, and where its exceptions end.

Every request has its own deadline and a bound on the answer's size; none is ever cancelled half-way by us
except by that deadline, after which the connection pool is thrown away (a cancelled request can leave a slot
taken in it).
Redirects are not followed, compressed answers are refused, environment proxies are not used on loopback.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from runner import door
from runner.comfy.credentials import Credentials, is_loopback
from runner.comfy.protocol import VALUES, FileRef, Queue, entry_of, parse_json, parse_queue, printable
from runner.comfy.reasons import cause_of, unsent
from runner.comfy.tls import trust
from runner.errors import (
    Ambiguous,
    NotComfyUI,
    NotLetIn,
    Refused,
    ServerFault,
)
from runner.model_files import Listed
from runner.text.secrets import Secrets

Plain = Any
Sink = Callable[[bytes], None]

_MIB = 2**20
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
_WORN = 3
"""Used-up pools kept for what is still under way in them."""
_LATER = (408, 425, 429)
"""What may be asked again, though it begins with a 4."""
_LOCKED = (401, 403, 407)
"""Credentials are asked for: whoever says so has handed nothing on."""
_DOOR = (401, 403, 404, 405, 407)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how large an answer may be. Seconds and bytes."""

    connect_s: float = 5.0
    read_s: float = 30.0
    post_s: float = 60.0
    object_info_s: float = 120.0
    download_s: float = 60.0
    """Allowed for any download, on top of one second per 64 KiB."""
    answer: int = 16 * _MIB
    history: int = 32 * _MIB
    object_info: int = 64 * _MIB
    object_info_values: int = 4_000_000
    """A server with a hundred packs has half as many."""
    connections: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer, whatever its status."""

    status: int
    media: str
    body: bytes = field(repr=False)
    """As it came: what opens the door may be in it."""
    wait_s: float = 0.0
    """`Retry-After` in seconds, 0 where there is none that is a number."""
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    values: int = VALUES
    """Read at most."""

    @property
    def json(self) -> Plain:
        """The body as plain data without secrets, None when it is not JSON."""
        return parse_json(self.body, self.secrets, most=self.values)

    @property
    def shown(self) -> str:
        """What came instead of what was wanted, for a message."""
        # What is unprintable may stand between the letters of a secret, and a cut would leave half of one.
        seen = printable(self.secrets.hide(self.body[:4096].decode("utf-8", "replace")), limit=4096)
        head = printable(self.secrets.hide(seen), limit=80)
        return f"{self.status} {self.media or 'without a type'}{': ' + head if head else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A submission was queued, at least in part."""

    prompt_id: str
    """As the server echoed it."""
    number: float
    node_errors: Mapping[str, Plain]
    """Not empty: the outputs named in it will not be made."""


class Rejected(Refused):
    """The server read the submission and refused it; nothing was queued."""

    def __init__(self, status: int, body: Plain) -> None:
        super().__init__(f"refused with {status}", status=status)
        self.body = body


class Client:
    """One ComfyUI over HTTP.

    Args:
        url: As `normalise_url` returns it; a path in it is kept.
        credentials: Sent with every request.
        limits: Bounds for all of them.
        tls: What a certificate is checked with, see `comfy.tls`.

    Raises (every method):
        Unreachable: No byte was sent.
        Ambiguous: Sent, but no trustworthy answer.
        Refused: The server said no.

    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None = None,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self.slowest_post_s = 0.0
        self._cancels = True
        """Until it says otherwise: it knows `/api/jobs/{id}/cancel`."""
        self._base = f"{url}/api"
        self.credentials = credentials or Credentials()
        """What opens the door, and is taken out of what comes back; for the socket too."""
        self._limits = limits or Limits()
        # A server without TLS needs no certificates, and to read the system's takes its time.
        self.tls = (tls or trust()) if url.startswith("https:") else None
        """What its certificate is checked with; nothing to a server without TLS."""
        self._pool = self._new_pool()
        self._worn: list[httpx.AsyncClient] = []

    def _new_pool(self) -> httpx.AsyncClient:
        limits = self._limits
        return door.http_pool(
            headers={"Accept-Encoding": "identity", "User-Agent": "animerun", **self.credentials.headers},
            timeout=httpx.Timeout(
                limits.read_s, connect=limits.connect_s, pool=limits.connect_s + limits.read_s
            ),
            limits=httpx.Limits(
                max_connections=limits.connections, max_keepalive_connections=limits.connections
            ),
            follow_redirects=False,
            verify=self.tls or False,
            trust_env=not is_loopback(self.url),
        )

    async def close(self) -> None:
        """Drop all connections."""
        for pool in (self._pool, *self._worn):
            await pool.aclose()

    @property
    def socket_url(self) -> str:
        """Where the WebSocket is, without its `clientId`."""
        parts = urlsplit(self._base)
        return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{parts.path}/ws"

    async def system_stats(self) -> Mapping[str, Plain]:
        """Return `/system_stats`; NotComfyUI when the answer has not its shape."""
        answer = await self._get("/system_stats")
        if answer.status >= 500 or answer.status in _LATER:
            # A gateway whose ComfyUI is just starting says so; that is no other kind of server.
            raise Ambiguous(f"{self.url} answered /system_stats with {answer.shown}", status=answer.status)
        body = answer.json
        system = body.get("system") if isinstance(body, dict) else None
        if answer.status != 200 or not isinstance(system, dict) or "comfyui_version" not in system:
            hint = "give the address of ComfyUI itself, like http://127.0.0.1:8188"
            message = f"{self.url} does not answer like a ComfyUI: {answer.shown}"
            raise NotComfyUI(message, status=answer.status, hint=hint)
        return {**body}

    async def object_info(self) -> Mapping[str, Plain]:
        """Return all node classes of the server: large and slow to make, so keep it."""
        limits = self._limits
        answer = await self._get(
            "/object_info",
            limit=limits.object_info,
            total_s=limits.object_info_s,
            read_s=limits.object_info_s,
        )
        return self._object(replace(answer, values=limits.object_info_values), "/object_info")

    async def node_replacements(self) -> Mapping[str, Plain]:
        """Return what `/node_replacements` lists; empty where a server has none."""
        try:
            return self._object(await self._get("/node_replacements"), "/node_replacements")
        except Refused:
            return {}

    async def listed_models(self, folder: str) -> Mapping[str, Listed]:
        """Return name → size and time of change of the files in a model folder, where they can be true."""
        try:
            # ComfyUI 0.3.64 and 0.33 app/model_manager.py recursive_search_models_: os.path.getmtime, getsize
            body = (await self._get(f"/experiment/models/{quote(folder, safe='')}")).json
        except Refused:
            return {}
        listed = body if isinstance(body, list) else []
        return {
            str(each["name"]): Listed.read(each)
            for each in listed
            if isinstance(each, dict) and "name" in each
        }

    async def queue(self) -> Queue:
        """Return the ids waiting and running."""
        answer = await self._get("/queue")
        queue = parse_queue(answer.json) if answer.status == 200 else None
        if queue is None:
            raise Ambiguous(f"{self.url} gave no queue: {answer.shown}", status=answer.status)
        return queue

    async def history(self, prompt_id: str) -> Mapping[str, Plain] | None:
        """Return the history entry of one prompt, None when it has none (unknown, waiting or running)."""
        answer = await self._get(f"/history/{prompt_id}", limit=self._limits.history)
        return entry_of(self._object(answer, "/history"), prompt_id)

    async def submit(
        self, prompt: Mapping[str, Plain], *, prompt_id: str, client_id: str, extra_data: Mapping[str, Plain]
    ) -> Accepted:
        """Queue *prompt* under our *prompt_id*.

        Only a parsed 200, 400 or 413 and failures before the first byte mean anything.

        Raises:
            Rejected: 400 with ComfyUI's own error object, or 413.
            Unreachable: Nothing was sent.
            NotLetIn: Nothing was handed on to it.
            Ambiguous: Everything else; `status` holds the status where there was one.

        """
        order = {"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id, "extra_data": extra_data}
        content = json.dumps(order, ensure_ascii=True, separators=(",", ":")).encode("ascii")
        began = door.monotonic()
        try:
            answer = await self._post("/prompt", content, total_s=self._limits.post_s)
        finally:
            self.slowest_post_s = max(self.slowest_post_s * 0.9, door.monotonic() - began)
        body = answer.json
        said = body if isinstance(body, dict) else {}
        if answer.status == 200 and isinstance(said.get("prompt_id"), str):
            errors, number = said.get("node_errors"), said.get("number")
            return Accepted(
                prompt_id=said["prompt_id"],
                number=number if isinstance(number, (int, float)) else 0,
                node_errors=errors if isinstance(errors, dict) else {},
            )
        if answer.status == 413 or (answer.status == 400 and isinstance(said.get("error"), dict)):
            raise Rejected(answer.status, said)
        if answer.status in _LOCKED:
            raise self._no(answer.status, "/prompt")
        told = f"{self.url} answered the submission with {answer.shown}"
        raise Ambiguous(told, status=answer.status, wait_s=answer.wait_s)

    async def delete(self, prompt_ids: Sequence[str]) -> None:
        """Take *prompt_ids* out of the queue; running and unknown ones are not touched."""
        await self._order("/queue", {"delete": list(prompt_ids)})

    async def cancel(self, prompt_id: str, *, running: bool | None = None) -> None:
        """Take *prompt_id* out of the queue, or stop it if it is what the server runs at this moment.

        *running*: what a look at the queue said; None = nobody has looked. Unknown ids are no mistake. A
        server with `POST /api/jobs/{id}/cancel` does it in one step: nothing else can begin in between.
        """
        if self._cancels:
            # ComfyUI 0.33 server.py cancel_job_by_id; 0.3.64 answers 405 (its pages take GET anywhere)
            answer = await self._post(f"/jobs/{prompt_id}/cancel", b"{}", total_s=self._limits.read_s)
            if answer.status == 200:
                return
            if answer.status >= 500 or answer.status in (*_LATER, 401, 407):
                raise self._no(answer.status, "/jobs/…/cancel")
            self._cancels = answer.status not in (404, 405)
        if not running:
            await self._order("/queue", {"delete": [prompt_id]})
        if running is None:
            # Old servers ignore the id and stop whatever runs, hence the look.
            running = prompt_id in (await self.queue()).running
        if running:
            await self._order("/interrupt", {"prompt_id": prompt_id})

    async def renamed(self, sent: str, echoed: str) -> bool:
        """Tell whether the server has as *echoed* what was sent to it as *sent*; *echoed* is cancelled."""
        queue = await self.queue()
        has = echoed in queue or await self.history(echoed) is not None
        await self.cancel(echoed)
        return has and sent not in queue

    async def free(self) -> None:
        """Have the server unload its models and forget what it computed, before its next prompt."""
        await self._order("/free", {"unload_models": True, "free_memory": True})

    async def upload(self, content: bytes, name: str) -> None:
        """Store *content* as the input file *name* (content-addressed: the same bytes are stored once).

        Raises:
            Refused: The server would store it under another name, or not at all.

        """
        request = self._pool.build_request(
            "POST", f"{self._base}/upload/image", files={"image": (name, content, "application/octet-stream")}
        )
        total_s = self._limits.post_s + len(content) / 65536
        answer = await self._exchange(request, limit=self._limits.answer, total_s=total_s)
        if answer.status == 413:
            raise Refused(f"{self.url} does not take a file of {len(content)} bytes", status=413)
        stored = self._object(answer, "/upload/image").get("name")
        if stored != name:
            raise Refused(f"{self.url} stored {name} as {printable(stored, limit=80)}")

    async def view(self, ref: FileRef, sink: Sink, *, limit: int) -> int:
        """Send the bytes of *ref* to *sink* as they come; return how many were announced, -1 for none.

        Raises:
            Refused: The server has no such file (404), or it is larger than *limit* bytes (413).
            Ambiguous: It did not arrive whole; what *sink* got is worthless.

        """
        query = {"filename": ref.filename, "subfolder": ref.subfolder, "type": ref.type}
        request = self._pool.build_request("GET", f"{self._base}/view", params=query)
        async with self._open(request, total_s=self._limits.download_s + limit / 65536) as response:
            if response.status_code != 200:
                raise self._no(response.status_code, f"/view of {printable(ref.filename, limit=80)}")
            size = _length(response, limit)
            if response.headers.get("content-type", "").lower().startswith("text/html"):
                # A ComfyUI sends even stored HTML as plain bytes: this is somebody's page in between.
                raise Ambiguous(f"{self.url} sent a web page in place of {printable(ref.filename, limit=80)}")
            began, got = door.monotonic(), 0
            async for chunk in response.aiter_raw():
                got += len(chunk)
                _bound(got, limit)
                if door.monotonic() > began + self._limits.download_s + (size or got) / 65536:
                    raise Ambiguous(f"{self.url} sends too slowly: {got} bytes in time for more")
                sink(chunk)
        return -1 if size is None else size

    async def _order(self, path: str, body: Mapping[str, Plain]) -> None:
        answer = await self._post(path, json.dumps(body).encode(), total_s=self._limits.read_s)
        if answer.status != 200:
            raise self._no(answer.status, path)

    async def _get(
        self,
        path: str,
        *,
        limit: int | None = None,
        total_s: float | None = None,
        read_s: float | None = None,
    ) -> Answer:
        limits = self._limits
        timeout = httpx.Timeout(read_s or limits.read_s, connect=limits.connect_s)
        request = self._pool.build_request("GET", f"{self._base}{path}", timeout=timeout)
        answer = await self._exchange(
            request, limit=limit or limits.answer, total_s=total_s or 2 * limits.read_s
        )
        if answer.status in _DOOR or 300 <= answer.status < 400:
            raise self._no(answer.status, path)
        return answer

    async def _post(self, path: str, content: bytes, *, total_s: float) -> Answer:
        timeout = httpx.Timeout(total_s, connect=self._limits.connect_s)
        request = self._pool.build_request(
            "POST",
            f"{self._base}{path}",
            content=content,
            headers={"Content-Type": "application/json"},
            timeout=timeout,
        )
        return await self._exchange(
            request, limit=self._limits.answer, total_s=total_s + self._limits.connect_s
        )

    async def _exchange(self, request: httpx.Request, *, limit: int, total_s: float) -> Answer:
        async with self._open(request, total_s=total_s) as response:
            _length(response, limit)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                _bound(len(body), limit)
        secrets = self.credentials.secrets
        media = secrets.hide(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
        wait = response.headers.get("retry-after", "").strip()
        return Answer(
            status=response.status_code,
            media=printable(media, limit=60),
            body=bytes(body),
            secrets=secrets,
            wait_s=float(wait) if wait.isdecimal() and len(wait) < 9 else 0.0,
        )

    @asynccontextmanager
    async def _open(self, request: httpx.Request, *, total_s: float) -> AsyncIterator[httpx.Response]:
        pool = self._pool
        try:
            async with asyncio.timeout(total_s):
                response = await door.send(pool, request)
                try:
                    yield response
                finally:
                    await response.aclose()
        except TimeoutError as error:
            await self._renew(pool)
            raise Ambiguous(f"{self.url} did not answer within {total_s:.0f} s") from error
        except _NEVER_SENT as error:
            if isinstance(error, httpx.PoolTimeout):
                await self._renew(pool)
            raise unsent(self.url, error, self._why(error)) from error
        except httpx.HTTPError as error:
            raise Ambiguous(f"{self.url} broke off: {self._why(error)}") from error

    def _why(self, error: BaseException) -> str:
        return self.credentials.secrets.hide(cause_of(error))

    async def _renew(self, pool: httpx.AsyncClient) -> None:
        """Leave *pool* to the requests still in it: the one cut short may hold its slot for ever."""
        if self._pool is pool:
            self._worn.append(pool)
            self._pool = self._new_pool()
        while len(self._worn) > _WORN:
            await self._worn.pop(0).aclose()

    def _object(self, answer: Answer, path: str) -> Mapping[str, Plain]:
        body = answer.json
        if answer.status == 200 and isinstance(body, dict):
            return body
        if 400 <= answer.status < 500:
            raise self._no(answer.status, path)
        raise Ambiguous(f"{self.url}{path} gave no object: {answer.shown}", status=answer.status)

    def _no(self, status: int, path: str) -> ServerFault:
        """Return the fault for a status that answers no question."""
        where = f"{self.url} answered {path} with {status}"
        if status in _LOCKED:
            used = self.credentials.name or "no credentials were sent; see ANIMERUN_TOKEN"
            return NotLetIn(f"{where}: not let in ({used})", status=status)
        if 300 <= status < 400:
            return Refused(f"{where}: redirects are not followed, give the final address", status=status)
        if 400 <= status < 500 and status not in _LATER:
            return Refused(where, status=status)
        return Ambiguous(where, status=status)


def _length(response: httpx.Response, limit: int) -> int | None:
    """Return the announced size, None for a chunked body; refuse what cannot be checked."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise Ambiguous("the answer is compressed though that was declined")
    announced = response.headers.get("content-length", "")
    if announced.isdecimal():
        _bound(int(announced), limit)
        return int(announced)
    if response.headers.get("transfer-encoding", "").lower() != "chunked" and response.status_code == 200:
        raise Ambiguous("the answer does not say how long it is")
    return None


def _bound(size: int, limit: int) -> None:
    if size > limit:
        raise Refused(f"the answer is larger than {limit} bytes", status=413)


Fetch = Callable[[FileRef, Sink, int], Awaitable[int]]
"""Sends the bytes of one file to a sink, at most so many; returns how many were announced, -1 for none."""
