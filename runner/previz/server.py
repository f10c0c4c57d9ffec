"""The routes and the socket: a thin skin over the worker, the registry of sockets and the three folders."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

import runner
from runner.previz.files import Folders
from runner.previz.job_list import BadQuery, ended, is_canonical, page, queued
from runner.previz.jobs import SECRETS
from runner.previz.mischief import Mischief
from runner.previz.nodes.definition import Catalogue, describe
from runner.previz.profile import NEWEST, PROFILES, BadId, Profile
from runner.previz.sockets import Sockets
from runner.previz.upload import upload_image, upload_mask
from runner.previz.validate import validate
from runner.previz.view import view
from runner.previz.web import (
    LARGEST_BODY,
    LARGEST_SETTINGS,
    Route,
    Router,
    TooLarge,
    body_of,
    foreign,
    form_of,
    is_ours,
    json_of,
    plain_json,
)
from runner.previz.worker import Worker

log = logging.getLogger(__name__)

FEATURES = {
    "supports_preview_metadata": True,
    "max_upload_size": LARGEST_BODY,
    "node_replacements": True,
    "assets": False,
}
MODEL_FOLDERS = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def status(remaining: int) -> dict[str, Any]:
    """Return the data of a `status` frame."""
    return {"status": {"exec_info": {"queue_remaining": remaining}}}


def refusal(error: Any, node_errors: Any) -> Response:
    """Return the 400 of a rejected prompt."""
    return plain_json({"error": error, "node_errors": node_errors}, status=400)


@dataclass(slots=True, kw_only=True)
class App:
    """The ASGI application."""

    catalogue: Catalogue
    folders: Folders
    worker: Worker
    sockets: Sockets
    profile: Profile = PROFILES[NEWEST]
    mischief: Mischief | None = None
    _settings: dict[str, Any] = field(default_factory=dict)
    _router: Router = field(init=False)

    def __post_init__(self) -> None:
        self._router = Router(self._routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or serve one socket."""
        if scope["type"] == "http":
            request = Request(scope, receive)
            step = self.mischief.request(request.method, request.url.path) if self.mischief else None
            if self.mischief is not None and step is not None:
                respond = partial(self._router.answer, request)
                await self.mischief.answer(step, respond, scope, receive, send)
                return
            answer = await self._router.answer(request)
            await answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(WebSocket(scope, receive, send))

    def _routes(self) -> list[Route]:
        newer = [
            Route(path="jobs", get=self._jobs, bare=False),
            Route(path="jobs/*", get=self._job, bare=False),
            Route(path="jobs/cancel", post=self._cancel_several, bare=False),
            Route(path="jobs/*/cancel", post=self._cancel, bare=False),
            Route(path="node_replacements", get=_constant({})),
        ]
        return [
            *(newer if self.profile.lists_jobs else ()),
            Route(path="prompt", get=self._remaining, post=self._submit),
            Route(path="queue", get=self._queue, post=self._change_queue),
            Route(path="interrupt", post=self._interrupt),
            Route(path="free", post=self._free),
            Route(path="history", get=self._history, post=self._change_history),
            Route(path="history/*", get=self._history_of),
            Route(path="view", get=self._view),
            Route(path="upload/image", post=self._upload_image),
            Route(path="upload/mask", post=self._upload_mask),
            Route(path="object_info", get=self._object_info),
            Route(path="object_info/*", get=self._object_info_of),
            Route(path="system_stats", get=self._system_stats),
            Route(path="features", get=_constant(FEATURES)),
            Route(path="embeddings", get=_constant([])),
            Route(path="models", get=_constant(list(MODEL_FOLDERS))),
            Route(path="models/*", get=self._models),
            Route(
                path="experiment/models",
                get=_constant([{"name": name, "folders": [], "extensions": []} for name in MODEL_FOLDERS]),
            ),
            Route(path="experiment/models/*", get=self._models),
            Route(path="view_metadata/*", get=self._nothing),
            Route(path="extensions", get=_constant([])),
            Route(path="i18n", get=_constant({})),
            Route(path="workflow_templates", get=_constant({})),
            Route(path="users", get=_constant({"storage": "server", "migrated": False})),
            Route(path="settings", get=self._all_settings, post=self._set_settings),
            Route(path="settings/*", get=self._setting, post=self._set_setting),
            Route(path="internal/logs", get=_constant(""), api=False),
            Route(path="internal/files/*", get=self._list_files, api=False),
            Route(path="ws", get=self._not_a_socket),
        ]

    # Submitting and the queue.

    async def _remaining(self, _request: Request, _variable: str) -> Response:
        return plain_json(status(self.worker.remaining())["status"])

    async def _submit(self, request: Request, _variable: str) -> Response:
        body = await json_of(request)
        number = self.worker.number(body)
        if "prompt" not in body:
            text = "No prompt provided"
            error = {"type": "no_prompt", "message": text, "details": text, "extra_info": {}}
            return refusal(error, {})
        prompt = body["prompt"]
        try:
            prompt_id = self.profile.prompt_id(body)
        except BadId:
            text = "prompt_id must be a canonical lower-case UUID"
            return refusal(
                {"type": "invalid_prompt_id", "message": text, "details": "", "extra_info": {}}, {}
            )
        verdict = validate(
            prompt,
            self.catalogue,
            self.folders,
            body.get("partial_execution_targets"),
            newer=self.profile.lists_jobs,
        )
        extra_data = body.get("extra_data", {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        if verdict.error is not None:
            return refusal(verdict.error, verdict.node_errors)
        if self.profile.lists_jobs:
            for secret in SECRETS:
                extra_data.pop(secret, None)
            extra_data["create_time"] = int(time.time() * 1000)
        if self.mischief is not None:
            self.mischief.submitted(prompt_id)
        self.worker.submit((number, prompt_id, prompt, extra_data, verdict.outputs))
        return plain_json({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})

    async def _queue(self, _request: Request, _variable: str) -> Response:
        return plain_json(self.worker.queue())

    async def _change_queue(self, request: Request, _variable: str) -> Response:
        body = await json_of(request)
        if "clear" in body and body["clear"]:  # noqa: RUF019  # a list has no get
            self.worker.clear()
        if "delete" in body:
            for prompt_id in body["delete"]:
                self.worker.delete(prompt_id)
        return Response()

    async def _interrupt(self, request: Request, _variable: str) -> Response:
        text = (await body_of(request)).decode()
        try:
            body = json.loads(text)
        except json.JSONDecodeError:
            body = {}
        named = body.get("prompt_id") if self.profile.interrupts_by_id else None
        self.worker.interrupt(named or None)
        return Response()

    async def _free(self, request: Request, _variable: str) -> Response:
        body = await json_of(request)
        unload, free = body.get("unload_models", False), body.get("free_memory", False)
        self.worker.free(unload_models=bool(unload), free_memory=bool(free))
        return Response()

    # Jobs as one list.

    async def _jobs(self, request: Request, _variable: str) -> Response:
        waiting = self.worker.queue()
        jobs = [queued(item, "in_progress") for item in waiting["queue_running"]]
        jobs += [queued(item, "pending") for item in waiting["queue_pending"]]
        jobs += [ended(entry) for entry in self.worker.history(None, -1).values()]
        try:
            return plain_json(page(jobs, request.query_params))
        except BadQuery as error:
            return plain_json({"error": str(error)}, status=400)

    async def _job(self, _request: Request, prompt_id: str) -> Response:
        for entry in self.worker.history_of(prompt_id).values():
            return plain_json(ended(entry, whole=True))
        waiting = self.worker.queue()
        for key, word in (("queue_running", "in_progress"), ("queue_pending", "pending")):
            for item in waiting[key]:
                if item[1] == prompt_id:
                    return plain_json(queued(item, word))
        return plain_json({"error": "Job not found"}, status=404)

    async def _cancel(self, _request: Request, prompt_id: str) -> Response:
        return plain_json({"cancelled": self.worker.cancel(prompt_id)})

    async def _cancel_several(self, request: Request, _variable: str) -> Response:
        try:
            body = await json_of(request)
        except json.JSONDecodeError:
            return plain_json({"error": "Request body must be valid JSON"}, status=400)
        ids = body.get("job_ids") if isinstance(body, dict) else None
        if not isinstance(ids, list):
            return plain_json({"error": "job_ids must be a list"}, status=400)
        if bad := [each for each in ids if not is_canonical(each)]:
            return plain_json({"error": "job_ids contains invalid id(s)", "invalid_ids": bad}, status=400)
        cancelled = [self.worker.cancel(each) for each in ids]
        return plain_json({"cancelled": any(cancelled)})

    # History.

    async def _history(self, request: Request, _variable: str) -> Response:
        max_items, offset = (request.query_params.get(name) for name in ("max_items", "offset"))
        page = self.worker.history(
            None if max_items is None else int(max_items), -1 if offset is None else int(offset)
        )
        return plain_json(page)

    async def _history_of(self, _request: Request, prompt_id: str) -> Response:
        return plain_json(self.worker.history_of(prompt_id))

    async def _change_history(self, request: Request, _variable: str) -> Response:
        body = await json_of(request)
        if "clear" in body and body["clear"]:  # noqa: RUF019  # a list has no get
            self.worker.forget_all()
        if "delete" in body:
            for prompt_id in body["delete"]:
                self.worker.forget(prompt_id)
        return Response()

    # Files.

    async def _view(self, request: Request, _variable: str) -> Response:
        return await view(self.folders, request)

    async def _upload_image(self, request: Request, _variable: str) -> Response:
        return await upload_image(self.folders, await form_of(request))

    async def _upload_mask(self, request: Request, _variable: str) -> Response:
        return await upload_mask(self.folders, await form_of(request))

    async def _list_files(self, _request: Request, kind: str) -> Response:
        folder = self.folders.of(kind)
        if folder is None:
            return plain_json({"error": "Invalid directory type"}, status=400)
        with os.scandir(folder) as entries:
            files = [(entry.stat().st_mtime, entry.name) for entry in entries if entry.is_file()]
        return plain_json([name for _time, name in sorted(files, reverse=True)])

    # What the server is.

    async def _object_info(self, _request: Request, _variable: str) -> Response:
        return plain_json({name: describe(node, self.folders) for name, node in self.catalogue.items()})

    async def _object_info_of(self, _request: Request, name: str) -> Response:
        node = self.catalogue.get(name)
        return plain_json({} if node is None else {name: describe(node, self.folders)})

    async def _system_stats(self, _request: Request, _variable: str) -> Response:
        total, free = memory()
        system = {
            "os": sys.platform,
            "ram_total": total,
            "ram_free": free,
            "comfyui_version": self.profile.version,
            "required_frontend_version": None,
            "installed_templates_version": None,
            "required_templates_version": None,
            "comfy_package_versions": [],
            "python_version": sys.version,
            "pytorch_version": "none",
            "embedded_python": False,
            "deploy_environment": "previz",
            "argv": ["previz"],
            "animerun_previz": runner.__version__,
        }
        device = {
            "name": "cpu",
            "type": "cpu",
            "index": None,
            "vram_total": total,
            "vram_free": free,
            "torch_vram_total": total,
            "torch_vram_free": free,
        }
        return plain_json({"system": system, "devices": [device]})

    async def _models(self, _request: Request, folder: str) -> Response:
        return plain_json([]) if folder in MODEL_FOLDERS else Response(status_code=404)

    async def _nothing(self, _request: Request, _variable: str) -> Response:
        return Response(status_code=404)

    async def _all_settings(self, _request: Request, _variable: str) -> Response:
        return plain_json(self._settings)

    async def _setting(self, _request: Request, name: str) -> Response:
        return plain_json(self._settings.get(name))

    async def _set_settings(self, request: Request, _variable: str) -> Response:
        self._keep(await json_of(request))
        return Response()

    async def _set_setting(self, request: Request, name: str) -> Response:
        self._keep({name: await json_of(request)})
        return Response()

    def _keep(self, more: dict[str, Any]) -> None:
        """Keep *more* settings; raises TooLarge when all of them are: they stay in memory until the end."""
        settings = {**self._settings, **more}
        if len(json.dumps(settings)) > LARGEST_SETTINGS:
            raise TooLarge
        self._settings = settings

    # The socket.

    async def _not_a_socket(self, _request: Request, _variable: str) -> Response:
        return Response("400: expected a WebSocket handshake", status_code=400, media_type="text/plain")

    async def _socket(self, socket: WebSocket) -> None:
        host, origin = socket.headers.get("host"), socket.headers.get("origin")
        is_foreign = not is_ours(host) or foreign(host, origin)
        if is_foreign or socket.url.path.rstrip("/") not in ("/ws", "/api/ws"):
            await socket.close()
            return
        if self.mischief is not None and (step := self.mischief.socket()) is not None:
            await self.mischief.refuse(step, socket)
            return
        await socket.accept()
        client_id = socket.query_params.get("clientId") or uuid.uuid4().hex
        self.sockets.register(client_id, socket)
        try:
            await self._greet(socket, client_id)
            await _listen(socket)
        except WebSocketDisconnect:
            log.debug("socket of %s closed", client_id)
        finally:
            self.sockets.forget(client_id)

    async def _greet(self, socket: WebSocket, client_id: str) -> None:
        first = {**status(self.worker.remaining()), "sid": client_id}
        await _send_text(socket, "status", first)
        node = self.worker.node_of(client_id)
        if node is not None:
            await _send_text(socket, "executing", {"node": node})


async def _send_text(socket: WebSocket, kind: str, data: Any) -> None:
    await socket.send({"type": "websocket.send", "text": json.dumps({"type": kind, "data": data})})


async def _listen(socket: WebSocket) -> None:
    """Read until the client leaves; only feature flags in the first sensible text frame mean anything."""
    is_first = True
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if not is_first or text is None:
            continue
        data = _object(text)
        if data is None:
            continue
        is_first = False
        if data.get("type") == "feature_flags":
            await _send_text(socket, "feature_flags", FEATURES)


def _object(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        return None
    return data if isinstance(data, dict) else None


def _constant(value: Any) -> Callable[[Request, str], Awaitable[Response]]:
    async def action(_request: Request, _variable: str) -> Response:
        return plain_json(value)

    return action


def memory() -> tuple[int, int]:
    """Return (total, free) bytes of RAM; zeros where the system does not say."""
    if platform.system() != "Linux":
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
