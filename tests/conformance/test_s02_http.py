"""Protocol section 2: HTTP basics."""

from __future__ import annotations

import json
import uuid

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .graphs import picture
from .server import Server

TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"


@pytest.mark.parametrize("path", ["/prompt", "/queue", "/features", "/models"])
def test_s02_api_prefix_is_a_twin(server: Server, path: str) -> None:
    """Each route answers under /api exactly as without it."""
    plain, prefixed = server.http.get(path), server.http.get("/api" + path)

    assert (plain.status_code, prefixed.status_code) == (200, 200)
    assert plain.json() == prefixed.json()


def test_s02_submit_through_the_api_prefix(server: Server, prefix: str) -> None:
    """A job sent to /api/prompt is found under both forms of /history."""
    prompt_id = server.http.post("/api/prompt", json={"prompt": picture(prefix)}).json()["prompt_id"]
    server.finish(prompt_id)

    assert (
        server.http.get(f"/api/history/{prompt_id}").json() == server.http.get(f"/history/{prompt_id}").json()
    )


def test_s02_internal_routes_have_no_api_twin(server: Server) -> None:
    """/internal exists only without the /api prefix."""
    assert server.http.get("/api/internal/folder_paths").status_code == 404


@pytest.mark.parametrize("origin", ["http://example.org", "http://127.0.0.1:1", "http://localhost"])
def test_s02_foreign_origin_is_refused(server: Server, origin: str) -> None:
    """Another host or another port in Origin gives 403 with an empty body."""
    answer = server.http.get("/prompt", headers={"Origin": origin})

    assert (answer.status_code, answer.content) == (403, b"")


def test_s02_foreign_origin_cannot_submit(server: Server, prefix: str) -> None:
    """A POST with a foreign Origin is refused too, and queues nothing."""
    prompt_id = str(uuid.uuid4())
    body = {"prompt": picture(prefix), "prompt_id": prompt_id}
    answer = server.http.post("/prompt", json=body, headers={"Origin": "http://example.org"})

    assert answer.status_code == 403
    assert prompt_id not in server.running() + server.pending()
    assert server.entry(prompt_id) is None


def test_s02_other_names_pass_with_any_origin_or_not_at_all(
    server: Server, abilities: dict[str, bool]
) -> None:
    """A Host that is no loopback name passes whatever its Origin, or not at all."""
    headers = {"Host": "render.example", "Origin": "http://elsewhere.example"}
    wanted = 200 if abilities["answers_to_any_name"] else 403

    assert server.http.get("/prompt", headers=headers).status_code == wanted


def test_s02_own_origin_passes(server: Server) -> None:
    """The server's own origin is let through."""
    assert server.http.get("/prompt", headers={"Origin": server.url}).status_code == 200


def test_s02_null_is_an_origin_of_anybody(server: Server, abilities: dict[str, bool]) -> None:
    """The origin null is let through by the servers that answer to any name, and by no other."""
    wanted = 200 if abilities["answers_to_any_name"] else 403

    assert server.http.get("/prompt", headers={"Origin": "null"}).status_code == wanted


def test_s02_origin_check_covers_the_socket(server: Server) -> None:
    """The WebSocket handshake of a foreign Origin is answered with 403."""
    address = server.url.replace("http", "ws", 1) + "/ws"
    with pytest.raises(InvalidStatus) as refused, connect(address, origin="http://example.org", proxy=None):
        pass

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/prompt", "/ws", "/no/such/path"])
def test_s02_options_answers_everywhere(server: Server, path: str) -> None:
    """OPTIONS gives 200 with an empty body on any path."""
    answer = server.http.options(path)

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("body", [b"{not json", b""])
@pytest.mark.parametrize("path", ["/prompt", "/queue", "/free", "/history"])
def test_s02_broken_json_is_a_500(server: Server, path: str, body: bytes) -> None:
    """Invalid JSON or no body gives the plain-text 500, never a 400."""
    answer = server.http.post(path, content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 500
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text == TROUBLE


def test_s02_unknown_path(server: Server) -> None:
    """An unknown path gives 404 with an empty body."""
    answer = server.http.get("/no/such/path")

    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("path", ["/prompt", "/queue"])
def test_s02_wrong_method(server: Server, path: str) -> None:
    """A wrong method on a known path gives 405 and names the allowed ones."""
    answer = server.http.put(path)

    assert answer.status_code == 405
    assert answer.text == "405: Method Not Allowed"
    assert {"GET", "HEAD", "POST"} <= set(answer.headers["Allow"].split(","))


@pytest.mark.parametrize("path", ["/interrupt", "/free", "/upload/image"])
def test_s02_get_on_a_post_only_path(server: Server, path: str) -> None:
    """GET on a path that knows only POST gives 404, because it falls through to the static files."""
    assert server.http.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/prompt", "/queue", "/history", "/system_stats", "/object_info/SaveImage"])
def test_s02_head(server: Server, path: str) -> None:
    """HEAD works on every GET route and has no body."""
    answer = server.http.head(path)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_s02_content_type_of_a_submission_is_ignored(server: Server, prefix: str) -> None:
    """The body is parsed as JSON whatever its Content-Type says."""
    body = json.dumps({"prompt": picture(prefix)})
    answer = server.http.post("/prompt", content=body, headers={"Content-Type": "text/plain"})

    assert answer.status_code == 200
    server.finish(answer.json()["prompt_id"])


def test_s02_answers_are_ascii_json(server: Server, prefix: str) -> None:
    """JSON answers declare utf-8 and escape everything beyond ASCII."""
    prompt_id = server.submit(picture(prefix), extra_data={"note": "雨 ☂"})
    server.finish(prompt_id)
    answer = server.http.get(f"/history/{prompt_id}")

    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.content.isascii()
    assert answer.json()[prompt_id]["prompt"][3]["note"] == "雨 ☂"


def test_s02_integers_beyond_64_bits_survive(server: Server, prefix: str) -> None:
    """The largest seed comes back exactly, not as a float."""
    entry = server.render(picture(prefix), extra_data={"seed": 18446744073709551615})

    assert entry["prompt"][3]["seed"] == 18446744073709551615


@pytest.mark.parametrize("chunked", [False, True])
def test_s02_a_body_over_the_limit(server: Server, chunked: bool) -> None:
    """A body larger than the limit told by /features gives 413 and names the limit, announced or not."""
    limit = server.http.get("/features").json()["max_upload_size"]
    if limit > 256 * 1024 * 1024:
        pytest.skip(f"the limit is {limit} bytes, too much to send in a test")
    piece = b" " * (1024 * 1024)
    pieces = -(-limit // len(piece)) + 1
    answer = server.http.post(
        "/prompt", content=(piece for _ in range(pieces)) if chunked else piece * pieces
    )

    assert answer.status_code == 413
    assert answer.text.startswith(f"Maximum request body size {limit} exceeded")
