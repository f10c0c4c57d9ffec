"""Single requests against answers that drip, swell, stall or point elsewhere."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from runner.comfy.client import Client, Limits
from runner.comfy.credentials import credentials_for
from runner.comfy.protocol import FileRef
from runner.comfy.reasons import cause_of
from runner.errors import Ambiguous, NotComfyUI, Refused, ServerFault, Unreachable

from .conftest import GUARD_S

REF = FileRef(node="1", index=0, filename="ä b%.png", subfolder="x/y")
TOKEN = "tok-SECRET-12345"
Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(behave: Behave, **limits: float) -> AsyncIterator[tuple[Client, list[str]]]:
    """Yield a client of a server that reads a request and then does *behave*, and the request lines."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head.split(b"\r\n")[0].decode())
            await behave(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client(
        f"http://127.0.0.1:{port}/base", limits=Limits(**{"read_s": 10.0, "connect_s": 10.0} | limits)
    )
    try:
        yield client, seen
    finally:
        await client.close()
        server.close()


def answer(body: bytes, head: str = "") -> Behave:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body)

    return behave


async def test_a_dripping_answer_is_cut_off_and_the_client_still_works() -> None:
    """Bytes that come too slowly never trip a read timeout; the request's own deadline does."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    # More requests than connections: one slot left taken by each would be too many.
    async with talking(drip, read_s=0.4, connections=2) as (client, seen):
        for _ in range(6):
            with pytest.raises(Ambiguous, match="within"):
                await client.queue()

    assert seen == ["GET /base/api/queue HTTP/1.1"] * 6


async def test_a_dripping_download_is_cut_off() -> None:
    """A file may take the time its size deserves, not as long as somebody likes to send it."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with talking(drip, download_s=0.4) as (client, _):
        got: list[bytes] = []
        with pytest.raises(Ambiguous, match="too slowly"):
            await client.view(REF, got.append, limit=100_000)

    assert 0 < len(got) < 100


async def test_a_bomb_is_not_unpacked() -> None:
    """What is compressed though that was declined is not read, however small it is."""
    packed = gzip.compress(bytes(1_000_000))
    async with talking(answer(packed, "Content-Encoding: gzip\r\n")) as (client, _):
        got: list[bytes] = []
        with pytest.raises(Ambiguous, match="compressed"):
            await client.view(REF, got.append, limit=100_000_000)
        with pytest.raises(Ambiguous, match="compressed"):
            await client.queue()

    assert got == []


async def test_an_endless_answer_is_cut_off_at_its_limit() -> None:
    """An answer without an end costs no more memory than allowed."""

    async def swell(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()

    async with talking(swell, answer=50_000) as (client, _):
        with pytest.raises(Refused, match="larger than 50000"):
            await client.queue()


async def test_an_announced_size_above_the_limit_is_not_read() -> None:
    """The header alone is enough to say no."""
    async with talking(answer(b"x" * 2000)) as (client, _):
        got: list[bytes] = []
        with pytest.raises(Refused) as caught:
            await client.view(REF, got.append, limit=1000)

    assert (caught.value.status, got) == (413, [])


async def test_a_download_arrives_in_pieces_under_its_exact_name() -> None:
    """The three fields of an entry travel encoded, the bytes as they are."""
    got: list[bytes] = []
    async with talking(answer(b"x" * 200_000)) as (client, seen):
        assert await client.view(REF, got.append, limit=1_000_000) == 200_000

    assert b"".join(got) == b"x" * 200_000
    assert seen == [
        "GET /base/api/view?filename=%C3%A4%20b%25.png&subfolder=x%2Fy&type=output HTTP/1.1"
    ] or seen == ["GET /base/api/view?filename=%C3%A4+b%25.png&subfolder=x%2Fy&type=output HTTP/1.1"]


@pytest.mark.parametrize(
    "head",
    ["Connection: close\r\n", "Content-Length: 10\r\n", "Content-Length: 5\r\nContent-Encoding: gzip\r\n"],
    ids=["without a length", "shorter than announced", "compressed"],
)
async def test_a_download_whose_end_cannot_be_told_is_not_taken(head: str) -> None:
    """A body that merely stops may have been cut; so may one shorter than announced."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\nhello".encode())

    async with talking(behave) as (client, _):
        with pytest.raises(Ambiguous):
            await client.view(REF, lambda _: None, limit=1000)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0\1\2\3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_garbage_is_no_answer(garbage: bytes) -> None:
    """Empty answers, other protocols, two lengths and endless headers are ambiguous, never an answer."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)

    async with talking(behave) as (client, _):
        with pytest.raises(Ambiguous):
            await client.submit({}, prompt_id="a", client_id="b", extra_data={})


async def test_a_stall_is_ambiguous() -> None:
    """No answer in time says nothing about what happened."""

    async def stall(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with talking(stall, post_s=0.1) as (client, _):
        with pytest.raises(Ambiguous):
            await client.submit({}, prompt_id="a", client_id="b", extra_data={})


async def test_nobody_listening_is_unreachable() -> None:
    """A refused connection is the one failure that proves that nothing happened."""
    client = Client("http://127.0.0.1:1")
    with pytest.raises(Unreachable):
        await client.submit({}, prompt_id="a", client_id="b", extra_data={})
    await client.close()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"system": {}}', b'{"system": 5}', b"\xff"])
async def test_only_a_comfyui_answers_like_one(body: bytes) -> None:
    """Anything but its system statistics is told as something else, with what came."""
    async with talking(answer(body)) as (client, _):
        with pytest.raises(NotComfyUI) as caught:
            await client.system_stats()

    assert caught.value.hint == "give the address of ComfyUI itself, like http://127.0.0.1:8188"


def test_an_error_without_words_is_named_by_its_kind() -> None:
    """Some libraries raise without a reason; a message that ends in nothing helps nobody."""
    assert cause_of(ConnectionError()) == "ConnectionError"
    assert cause_of(ConnectionError("it broke")) == "it broke"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"queue_running": 1, "queue_pending": []}'])
async def test_an_answer_without_a_queue_is_not_an_empty_queue(body: bytes) -> None:
    """A malformed answer must never look like absence."""
    async with talking(answer(body)) as (client, _):
        with pytest.raises(ServerFault):
            await client.queue()


async def test_an_answer_without_an_object_is_not_an_empty_history() -> None:
    """Nor here."""
    async with talking(answer(b"null")) as (client, _):
        with pytest.raises(Ambiguous):
            await client.history("a")


async def test_a_history_with_nan_and_half_characters_is_read() -> None:
    """What Python's encoder writes and JSON forbids is still an entry."""
    async with talking(answer(b'{"a": {"x": NaN, "y": "\\ud800", "n": 18446744073709551615}}')) as (
        client,
        _,
    ):
        entry = await client.history("a")

    assert entry is not None
    assert entry["n"] == 2**64 - 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32"])
async def test_no_encoding_carries_a_credential_past_us(encoding: str) -> None:
    """In UTF-8 it is hidden in what is read; in others nothing is read, and what is shown holds none."""
    history = {"p": {"outputs": {"9": {"text": [f"you sent {TOKEN}"]}}}}
    async with talking(answer(json.dumps(history).encode(encoding))) as (client, _):
        client.credentials = credentials_for(client.url, {"ANIMERUN_TOKEN": TOKEN})
        if encoding == "utf-8":
            entry = await client.history("p")
            assert entry == {"outputs": {"9": {"text": ["you sent ***"]}}}
        else:
            with pytest.raises(Ambiguous, match=r"you sent \*\*\*") as caught:
                await client.history("p")
            assert TOKEN not in str(caught.value)


async def test_an_answer_of_too_many_values_is_not_read() -> None:
    """Lists within lists are small to send and twenty times as large to hold."""
    body = b'{"a": [' + b"[]," * 1_000 + b"[]]}"
    async with talking(answer(body), object_info_values=2_000) as (client, _):
        with pytest.raises(Ambiguous, match="gave no object"):
            await client.object_info()
    async with talking(answer(body), object_info_values=3_000) as (client, _):
        assert len((await client.object_info())["a"]) == 1_001


async def test_a_pool_whose_slots_are_gone_is_replaced() -> None:
    """When no slot comes free, the request fails as not sent, and the next one has a new pool."""

    came: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = asyncio.Event()
        came.append(gone)
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"queue_running": [], "queue_pending": []}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    limits = Limits(connections=1, connect_s=0.1, read_s=0.1)
    client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", limits=limits)
    request = client._pool.build_request("GET", f"{client.url}/queue")
    held = await client._pool.send(request, stream=True)
    with pytest.raises(Unreachable):
        await client.queue()
    queue = await client.queue()
    await held.aclose()
    await client.close()
    server.close()
    async with asyncio.timeout(GUARD_S):
        for gone in came:
            await gone.wait()

    assert len(came) == 2, "one connection that was held, one of the new pool"
    assert not queue.running | queue.pending


@pytest.mark.parametrize("what", ["size", "modified"])
async def test_a_size_or_time_that_no_file_has_is_unknown(what: str) -> None:
    """What a server says of its model files is kept where it can be true; seconds lose their fraction."""
    said = {"a": 5, "b": 2**63 - 1, "c": 2**63, "d": 2**80, "e": -1, "f": "9", "g": None, "h": 7.9, "i": True}
    body = json.dumps([{"name": name, what: value} for name, value in said.items()]).encode()
    async with talking(answer(body)) as (client, _):
        found = await client.listed_models("loras")

    known = {name: value for name, each in found.items() if (value := getattr(each, what)) is not None}
    assert known == {"a": 5, "b": 2**63 - 1, "h": 7}
    assert found.keys() == said.keys()
