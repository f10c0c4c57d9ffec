"""A deliberately plain client: it adds nothing to the protocol that the tests are about."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from .graphs import Graph

PATIENCE_S = 60.0
Entry = dict[str, Any]
Frame = dict[str, Any]
FILE_FIELDS = ("filename", "subfolder", "type")


def poll(look: Callable[[], Any], *, what: str) -> Any:
    """Return the first truthy answer of *look*; fail after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE_S:g} s for {what}")


class Listener:
    """One open socket; text frames come as objects, binary frames as bytes."""

    def __init__(self, connection: ClientConnection, client_id: str) -> None:
        self.connection = connection
        self.client_id = client_id

    def next(self) -> Frame | bytes:
        """Return the next frame, within PATIENCE_S."""
        frame = self.connection.recv(timeout=PATIENCE_S)
        return json.loads(frame) if isinstance(frame, str) else frame

    def until(self, wanted: Callable[[Frame], bool]) -> list[Frame | bytes]:
        """Return all frames up to and with the first text frame that is *wanted*."""
        frames = []
        while True:
            frames.append(self.next())
            if isinstance(frames[-1], dict) and wanted(frames[-1]):
                return frames

    def until_over(self, prompt_id: str) -> list[Frame]:
        """Return the text frames up to and with the one that ends the job (executing, node null)."""
        return [f for f in self.until(lambda frame: is_over(frame, prompt_id)) if isinstance(f, dict)]

    def job(self, prompt_id: str) -> list[Frame]:
        """Return the text frames of one job up to its end, without status and foreign frames."""
        return [f for f in self.until_over(prompt_id) if f["data"].get("prompt_id") == prompt_id]

    def arrived(self) -> list[Frame | bytes]:
        """Return every frame that the server had sent to this socket when it answered a ping just now."""
        pong = self.connection.ping()
        assert pong.wait(PATIENCE_S), "the server did not answer a ping"
        frames: list[Frame | bytes] = []
        while True:
            try:
                frame = self.connection.recv(timeout=0)
            except TimeoutError:
                return frames
            frames.append(json.loads(frame) if isinstance(frame, str) else frame)

    def send(self, text: str | bytes) -> None:
        """Send one frame."""
        self.connection.send(text)


class Server:
    """One server under test; remembers the jobs of a test so that none is left behind."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url
        self.http = http
        self._jobs: list[str] = []

    def post_prompt(self, graph: Any, **body: Any) -> httpx.Response:
        """Send a workflow and return the raw answer; the prompt id is chosen here unless given."""
        body.setdefault("prompt_id", str(uuid.uuid4()))
        self._jobs.append(str(body["prompt_id"]))
        return self.http.post("/prompt", json={"prompt": graph, **body})

    def submit(self, graph: Graph, **body: Any) -> str:
        """Queue a valid workflow and return its prompt id."""
        answer = self.post_prompt(graph, **body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["node_errors"] == {}
        return answer.json()["prompt_id"]

    def entry(self, prompt_id: str) -> Entry | None:
        """Return the history entry, or None while there is none."""
        return self.http.get(f"/history/{prompt_id}").json().get(prompt_id)

    def finish(self, prompt_id: str) -> Entry:
        """Wait for the history entry and return it."""
        return poll(lambda: self.entry(prompt_id), what=f"the history entry of {prompt_id}")

    def render(self, graph: Graph, **body: Any) -> Entry:
        """Queue a workflow and return its history entry."""
        return self.finish(self.submit(graph, **body))

    def follow(self, graph: Graph, **body: Any) -> tuple[list[Frame], Entry]:
        """Run a workflow with a socket of its own; return the job's frames and its history entry."""
        with self.listen() as socket:
            prompt_id = self.submit(graph, client_id=socket.client_id, **body)
            frames = socket.job(prompt_id)
        return frames, self.finish(prompt_id)

    def queue(self) -> dict[str, list[list[Any]]]:
        """Return GET /queue."""
        return self.http.get("/queue").json()

    def running(self) -> list[str]:
        """Return the ids that run now (none or one)."""
        return [item[1] for item in self.queue()["queue_running"]]

    def pending(self) -> list[str]:
        """Return the ids that wait, in the order in which they will run."""
        return [item[1] for item in sorted(self.queue()["queue_pending"], key=lambda item: item[:2])]

    def await_start(self, prompt_id: str) -> None:
        """Wait until the job runs."""
        poll(lambda: prompt_id in self.running(), what=f"{prompt_id} to run")

    def interrupt(self, prompt_id: str) -> httpx.Response:
        """Interrupt one job by id."""
        return self.http.post("/interrupt", json={"prompt_id": prompt_id})

    def delete(self, *prompt_ids: str) -> httpx.Response:
        """Delete pending jobs by id."""
        return self.http.post("/queue", json={"delete": list(prompt_ids)})

    def stop(self, prompt_id: str) -> None:
        """End a job wherever it is and wait until it is gone from the queue."""
        while prompt_id in self.pending():
            self.delete(prompt_id)
        self.interrupt(prompt_id)
        poll(lambda: prompt_id not in self.running(), what=f"{prompt_id} to stop")

    def stop_all(self) -> None:
        """End every job that this test left behind."""
        queue = self.queue()
        alive = {item[1] for side in queue.values() for item in side}
        for prompt_id in dict.fromkeys(self._jobs):
            if prompt_id in alive:
                self.stop(prompt_id)

    def view(self, ref: dict[str, str], **more: str) -> httpx.Response:
        """Download one reported file."""
        return self.http.get("/view", params={**ref, **more})

    def upload(self, name: str, content: bytes, **fields: str) -> httpx.Response:
        """Upload a file through /upload/image."""
        return self.http.post("/upload/image", files={"image": (name, content)}, data=fields)

    @contextmanager
    def listen(
        self, client_id: str | None = None, *, path: str = "/ws", greet: bool = True
    ) -> Iterator[Listener]:
        """Open a socket; *greet* takes the first status frame off it."""
        client_id = client_id or uuid.uuid4().hex
        address = f"{self.url.replace('http', 'ws', 1)}{path}?clientId={client_id}"
        with connect(address, max_size=None, compression=None, proxy=None) as connection:
            listener = Listener(connection, client_id)
            if greet:
                first = listener.next()
                assert isinstance(first, dict)
                assert first["type"] == "status"
            yield listener


def is_over(frame: Frame, prompt_id: str) -> bool:
    """Return whether this frame ends the job: executing with node null."""
    data = frame["data"]
    return frame["type"] == "executing" and data["node"] is None and data.get("prompt_id") == prompt_id


def types(frames: list[Frame]) -> list[str]:
    """Return the frames' types in order, without progress_state."""
    return [frame["type"] for frame in frames if frame["type"] != "progress_state"]


def ran(frames: list[Frame]) -> list[str]:
    """Return the node ids that were announced as running, in order."""
    return [f["data"]["node"] for f in frames if f["type"] == "executing" and f["data"]["node"] is not None]


def of_type(frames: list[Frame], name: str) -> list[dict[str, Any]]:
    """Return the payloads of the frames of one type."""
    return [frame["data"] for frame in frames if frame["type"] == name]


def message(entry: Entry, name: str) -> dict[str, Any]:
    """Return the payload of one message of a history entry's status."""
    found = [payload for kind, payload in entry["status"]["messages"] if kind == name]
    assert found, f"no {name} in {[kind for kind, _ in entry['status']['messages']]}"
    return found[0]


def files(entry: Entry, node_id: str = "2") -> list[dict[str, str]]:
    """Return the image entries of one output node, as `outputs` gives them."""
    return outputs(entry)[node_id]["images"]


def outputs(entry: Entry) -> dict[str, dict[str, list[Any]]]:
    """Return the outputs of a history entry, of each file the three fields that name it.

    A server with `--enable-assets` adds more, `id` among them.
    """
    return {
        node_id: {key: [_reference(item) for item in items] for key, items in shown.items()}
        for node_id, shown in entry["outputs"].items()
    }


def _reference(item: Any) -> Any:
    if not isinstance(item, dict) or not set(FILE_FIELDS) <= set(item):
        return item
    return {name: item[name] for name in FILE_FIELDS}


def uploaded(answer: httpx.Response) -> dict[str, str]:
    """Return where an upload went; a server with `--enable-assets` adds `asset`."""
    told = answer.json()
    return {name: told[name] for name in ("name", "subfolder", "type")}


def sent_extra(item: list[Any]) -> dict[str, Any]:
    """Return the extra_data of a queue item as the client sent it.

    A server that lists jobs stamps each with `create_time` in ms (ComfyUI 0.33 server.py post_prompt).
    """
    extra = dict(item[3])
    if "create_time" in extra:
        assert type(extra.pop("create_time")) is int
    return extra
