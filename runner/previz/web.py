"""HTTP as the real server speaks it: routes, error bodies, body limit, Origin rule."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

log = logging.getLogger(__name__)

LARGEST_BODY = 104_857_600
LARGEST_SETTINGS = 1_000_000
"""Characters of all settings as JSON."""
BODY_S = 120
"""The longest that the body of a request may take to come."""
ELSEWHERE = "403: previz answers to the names of this machine only, such as 127.0.0.1 and localhost"
UNEXPECTED = "500 Internal Server Error\n\nServer got itself in trouble"

Action = Callable[[Request, str], Awaitable[Response]]
"""One route: the request and the path's variable part (empty when it has none) in, the answer out."""

Message = MutableMapping[str, Any]


class TooLarge(Exception):
    """The request body is larger than LARGEST_BODY, or asks to keep more than is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path such as ``queue`` or ``history/*`` (one variable part), at `/` if *bare*, at `/api` if *api*."""

    path: str
    get: Action | None = None
    post: Action | None = None
    api: bool = True
    bare: bool = True

    @property
    def methods(self) -> str:
        """The ``Allow`` header: reading is always in it, as every path falls through to static files."""
        return "GET,HEAD,POST" if self.post is not None else "GET,HEAD"


class Router:
    """Finds the route of a request and answers whatever has none."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes = {route.path: route for route in routes}

    async def answer(self, request: Request) -> Response:
        """Return the answer to one request; any exception becomes the 500 of the real server."""
        if not is_ours(request.headers.get("host")):
            return Response(ELSEWHERE, status_code=403, media_type="text/plain")
        if foreign(request.headers.get("host"), request.headers.get("origin")):
            return Response(status_code=403)
        if request.method == "OPTIONS":
            return Response()
        route, variable = self._find(request.scope.get("raw_path") or request.url.path.encode())
        action = self._action(route, request.method)
        if action is None:
            return _no_action(route, request.method)
        try:
            return await action(request, variable)
        except TooLarge:
            text = f"Maximum request body size {LARGEST_BODY} exceeded."
            return Response(text, status_code=413, media_type="text/plain")
        except TimeoutError:
            text = f"408: the body did not come within {BODY_S} s"
            return Response(text, status_code=408, headers={"Connection": "close"}, media_type="text/plain")
        except (
            Exception
        ):  # the real server answers any surprise with this text, and clients must cope with it
            log.exception("%s %s failed", request.method, request.url.path)
            return Response(UNEXPECTED, status_code=500, media_type="text/plain")

    def _find(self, raw_path: bytes) -> tuple[Route | None, str]:
        parts = raw_path.decode("latin-1").partition("?")[0].strip("/").split("/")
        prefixed = parts[0] == "api"
        parts = parts[1:] if prefixed else parts
        for path, variable in (
            ("/".join(parts), ""),
            ("/".join([*parts[:-1], "*"]), parts[-1] if parts else ""),
            ("/".join([*parts[:-2], "*", parts[-1]]) if len(parts) > 2 else "", parts[-2:][0]),
        ):
            route = self._routes.get(path)
            if route is not None and (route.api if prefixed else route.bare):
                return route, unquote(variable)
        return None, ""

    def _action(self, route: Route | None, method: str) -> Action | None:
        if route is None:
            return None
        if method in ("GET", "HEAD"):
            return route.get
        return route.post if method == "POST" else None


def _no_action(route: Route | None, method: str) -> Response:
    if method in ("GET", "HEAD"):
        return Response(status_code=404, media_type="application/octet-stream")
    allow = "GET,HEAD" if route is None else route.methods
    text = "405: Method Not Allowed"
    return Response(text, status_code=405, headers={"Allow": allow}, media_type="text/plain")


def is_ours(host: str | None) -> bool:
    """Return whether a request that calls us *host* means this machine; None is a client without that header.

    A page whose name was made to lead to 127.0.0.1 after it was loaded may read what it likes; it still sends
    its own name. Any port is right: who forwards one is at home. The real server answers to every name.
    """
    if host is None:
        return True
    name = _place(f"//{host}")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def foreign(host: str | None, origin: str | None) -> bool:
    """Return whether a request to *host* comes from a page of another host or port.

    So does one whose origin is the word null, which the real server lets pass: any site can send it from a
    frame that it shuts in.
    """
    if host is None or origin is None:
        return False
    return not origin.lower().startswith("http://") or _place(origin) != _place(f"http://{host}")


def _place(address: str) -> tuple[str, int]:
    """Return the name and the port of *address*; an empty name where there is none to be read."""
    try:
        parts = urlsplit(address.lower())
        return parts.hostname or "", parts.port or 80
    except ValueError:
        return "", 0


def plain_json(value: Any, *, status: int = 200) -> Response:
    """Return an ASCII JSON answer; NaN and Infinity are written as such."""
    body = json.dumps(value).encode("ascii")
    return Response(body, status_code=status, media_type="application/json; charset=utf-8")


async def body_of(request: Request) -> bytes:
    """Return the whole body.

    Raises:
        TooLarge: It is larger than LARGEST_BODY.
        TimeoutError: It did not come within BODY_S.

    """
    chunks, size = [], 0
    refuse_large(request.headers)
    async with asyncio.timeout(BODY_S):
        async for chunk in request.stream():
            size += len(chunk)
            if size > LARGEST_BODY:
                raise TooLarge
            chunks.append(chunk)
    return b"".join(chunks)


def refuse_large(headers: Mapping[str, str]) -> None:
    """Raise TooLarge when the declared length is over the limit."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > LARGEST_BODY:
        raise TooLarge


async def json_of(request: Request) -> Any:
    """Return the body as JSON, whatever its Content-Type.

    Raises:
        ValueError: It is not JSON (an empty body is not).
        TooLarge: It is too large.
        TimeoutError: It did not come within BODY_S.

    """
    return json.loads((await body_of(request)).decode())


async def form_of(request: Request) -> FormData:
    """Return a multipart body; large files lie in temporary files.

    Raises:
        TooLarge: It is too large.
        TimeoutError: It did not come within BODY_S.

    """
    refuse_large(request.headers)
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            raise TooLarge
        return message

    async with asyncio.timeout(BODY_S):
        return await Request(request.scope, receive).form(max_part_size=LARGEST_BODY)
