"""The first contact with a server: what is tried again, what is refused for good, and what is said."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runner import launch
from runner.comfy.client import Limits
from runner.comfy.facts import facts_of
from runner.comfy.tls import trust
from runner.errors import NoServer, PreflightRefused, UsageError
from runner.events import AttemptSucceeded, ExecutorEvent, ServerDown, ServerUp
from runner.model_files import Listed
from runner.submit import ComfyExecutor

from .conftest import make, opened
from .fake import Fake
from .test_attempts import until, until_end, until_posted

TLS = Path(__file__).parent / "tls"
"""Certificates of a CA of our own, for loopback: a good one, one of another host, one that has expired."""
HTML = (200, "text/html", b"<html>Sign in</html>")
BUSY = (502, "text/html", b"<h1>Bad Gateway</h1>")


@asynccontextmanager
async def secured(fake: Fake, name: str) -> AsyncIterator[str]:
    """Yield an https address that leads to *fake*, with the certificate *name*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / f"{name}.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await fake._serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class At:
    """Stands for a server at *url*."""

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.mark.parametrize(
    "fault", ["drop", "truncated", "compressed", BUSY, (429, "text/plain", b"slow down")], ids=str
)
@pytest.mark.parametrize("route", ["GET /system_stats", "GET /object_info"])
async def test_an_answer_that_broke_off_is_asked_for_again(fake: Fake, route: str, fault: Any) -> None:
    """Reading changes nothing, so one bad answer is no reason to go without the server."""
    fake.plan(route, fault)
    async with opened(fake) as executor:
        event = await executor.next_event()

    assert isinstance(event, ServerUp)
    assert fake.count(route) == 2


async def test_what_was_said_last_of_each_server_is_kept(fake: Fake) -> None:
    """Whoever reads the events next finds a server up that was not when it was first asked."""
    async with Fake() as late:
        late.plan("GET /system_stats", *["drop"] * 3)
        async with opened(fake, late) as executor:
            heard = [await executor.next_event() for _ in range(2)]
            before = {each.server: type(each) for each in executor.told}
            await until(executor, ServerUp)

            assert {type(event) for event in heard} == {ServerUp, ServerDown}
            assert before == {fake.url: ServerUp, late.url: ServerDown}
            assert {each.server: type(each) for each in executor.told} == {
                fake.url: ServerUp,
                late.url: ServerUp,
            }


async def test_a_server_that_never_answers_whole_is_no_server(fake: Fake) -> None:
    """After three answers that broke off it counts as not there: exit 4, for it may come back."""
    fake.plan("GET /system_stats", *["drop"] * 9)

    with pytest.raises(NoServer, match="broke off"):
        async with opened(fake):
            pass
    assert fake.count("GET /system_stats") == 3


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (HTML, "does not answer like a ComfyUI: 200 text/html: <html>Sign in</html>"),
        ((200, "application/json", b"{}"), "does not answer like a ComfyUI"),
        ((404, "text/plain", b"not here"), "404"),
        ((405, "text/plain", b"not so"), "405"),
        ((401, "text/plain", b"who?"), "see ANIMERUN_TOKEN"),
        ((403, "text/plain", b"not you"), "see ANIMERUN_TOKEN"),
        ((407, "text/plain", b"proxy"), "407"),
        ((302, "text/html", b""), "redirects are not followed, give the final address"),
    ],
    ids=str,
)
async def test_what_will_not_change_is_refused_before_the_first_job(
    fake: Fake, fault: Any, told: str
) -> None:
    """Something else at the address, a shut door, a redirect: exit 3 at the first answer, no second try."""
    fake.plan("GET /system_stats", fault)

    with pytest.raises(PreflightRefused, match=told.replace("?", r"\?")) as caught:
        async with opened(fake):
            pass
    assert caught.value.exit_code == 3
    assert fake.count("GET /system_stats") == 1


async def test_one_that_may_come_back_makes_it_a_matter_of_waiting(fake: Fake) -> None:
    """Of two servers one is refused for good and one is away: exit 4, both reasons are told."""
    fake.plan("GET /system_stats", HTML)

    with pytest.raises(NoServer, match=r"(?s)like a ComfyUI.*cannot be reached"):
        async with opened(fake, At("http://127.0.0.1:1")):
            pass


def test_what_a_server_says_of_itself_is_made_fit_for_a_record() -> None:
    """Surrogates and escapes are taken out, long words cut, and what is no text stays empty."""
    system = {"os": "linux\ud800", "comfyui_version": "v" * 999, "python_version": "3.12 \x1b[2J"}
    stats: dict[str, Any] = {
        "system": system | {"pytorch_version": [2]},
        "devices": [{"name": "gpu\x1b[2J\n"}],
    }
    facts = facts_of("http://a", stats)

    assert (facts.os, facts.python, facts.torch, facts.device) == ("linux", "3.12", "", "gpu[2J")
    assert len(facts.version) == 200


@pytest.mark.parametrize(
    ("version", "fits"), [("0.3.44", False), ("v0.3.45", True), ("1.0.0", True), ("", True)]
)
async def test_a_server_that_chooses_ids_is_refused(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, version: str, fits: bool
) -> None:
    """A ComfyUI from before July 2025 is told with its version and what to do; unknown versions are tried."""
    stats = {"system": {"comfyui_version": version, "os": "posix"}, "devices": []}
    fake.plan("GET /system_stats", (200, "application/json", json.dumps(stats).encode()))
    if fits:
        async with opened(fake) as executor:
            assert isinstance(await executor.next_event(), ServerUp)
        return
    with pytest.raises(PreflightRefused, match=r"0\.3\.44, which chooses the ids") as caught:
        async with opened(fake):
            pass
    assert "0.3.45 or newer" in caught.value.hint


@pytest.mark.parametrize("errno", [socket.EAI_NONAME, socket.EAI_AGAIN])
async def test_a_name_that_means_nothing_is_no_server(monkeypatch: pytest.MonkeyPatch, errno: int) -> None:
    """An unknown host is as a refused connection (exit 4), and so is a resolver that does not answer."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(errno, "the resolver's words")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NoServer, match=r"http://gpu\.example:8188 cannot be reached: the resolver's words"):
        async with opened(At("http://gpu.example:8188")):
            pass


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("good", {}, "unable to get local issuer certificate"),
        ("other", {"ca_file": TLS / "ca.pem"}, "IP address mismatch"),
        ("expired", {"ca_file": TLS / "ca.pem"}, "certificate has expired"),
    ],
)
async def test_a_certificate_in_doubt_stops_that_server(
    fake: Fake, name: str, options: dict[str, Any], told: str
) -> None:
    """Unknown issuer, another host, expired: exit 3 with the reason and what would help; nothing was sent."""
    async with secured(fake, name) as url:
        with pytest.raises(PreflightRefused, match=told) as caught:
            async with opened(At(url), **options):
                pass

    assert "ca_file" in caught.value.hint
    assert fake.seen == []


async def test_a_server_without_tls_is_told_as_such() -> None:
    """https:// to a server that speaks http: no riddle of the operating system, but what is likely meant."""

    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(NoServer, match=r"TLS failed \(.*\); is its address http://\?"):
        async with opened(At(url)):
            pass
    server.close()


@pytest.mark.parametrize(
    ("name", "options"),
    [("good", {"ca_file": TLS / "ca.pem"}), ("expired", {"allow_insecure_tls": True})],
)
async def test_trust_can_be_given(fake: Fake, tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """With the issuer in `ca_file`, or without any check when a person insists, jobs are made over TLS."""
    async with secured(fake, name) as url, opened(At(url), **options) as executor:
        executor.start(make(executor.servers[0]), tmp_path)
        events = await until_end(executor)

    assert isinstance(events[-1], AttemptSucceeded)


@pytest.mark.parametrize(
    ("content", "told"), [(None, "no such file"), ("nonsense", "holds no PEM certificate")]
)
def test_a_useless_ca_file_is_told(tmp_path: Path, content: str | None, told: str) -> None:
    """A missing file or one without certificates is a usage error before anything is asked."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(UsageError, match=told):
        trust(ca_file=path)


async def went(executor: ComfyExecutor, fake: Fake, folder: Path) -> None:
    """Let *fake* go away while a job is started on it."""
    await executor.next_event()
    await fake.down()
    executor.start(make(executor.servers[0]), folder)
    await until(executor, ServerDown)


async def test_a_server_that_is_back_but_not_whole_is_knocked_at_again(fake: Fake, tmp_path: Path) -> None:
    """Its queue answers before its other routes do: it takes jobs again once all of them answer."""
    async with opened(fake) as executor:
        await went(executor, fake, tmp_path)
        fake.plan("GET /object_info", *[BUSY] * 4)
        await fake.up()
        up = await until(executor, ServerUp)
        asked = fake.count("GET /object_info")

    assert isinstance(up, ServerUp)
    assert asked == 6


async def test_a_server_that_never_answers_holds_up_no_other(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once one can be used, a server that says nothing is left for later; it joins when it speaks."""
    monkeypatch.setattr("runner.submit._LATE_S", 0.3)
    async with Fake() as mute:
        mute.plan("GET /system_stats", "stall")
        async with opened(fake, mute) as executor:
            first = [await executor.next_event() for _ in range(2)]
            executor.start(make(executor.servers[0]), tmp_path)
            later: list[ExecutorEvent] = []
            while not {ServerUp, AttemptSucceeded} <= {type(event) for event in later}:
                later.append(await executor.next_event())

    assert [(type(event), event.server) for event in first] == [(ServerUp, fake.url), (ServerDown, mute.url)]
    assert [event.server for event in later if isinstance(event, ServerUp)] == [mute.url]


async def test_servers_that_all_answer_late_are_waited_for(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as none can be used there is nothing to go on with: the first contact waits."""
    monkeypatch.setattr("runner.submit._LATE_S", 0.01)
    async with Fake() as other:
        for each in (fake, other):
            each.plan("GET /system_stats", "late")
        async with opened(fake, other, limits=Limits()) as executor:
            first = [await executor.next_event() for _ in executor.servers]

    assert any(isinstance(event, ServerUp) for event in first)


async def test_a_previz_that_takes_the_place_of_a_server_is_left_out(fake: Fake, tmp_path: Path) -> None:
    """A run never mixes cards with pictures, also where another program comes up at the same address."""
    async with opened(fake) as executor:
        await went(executor, fake, tmp_path)
        fake.previz = True
        await fake.up()
        down = await until(executor, ServerDown)

    assert isinstance(down, ServerDown)
    assert down.final
    assert "draws previz cards" in down.reason
    assert not fake.posts


async def test_a_previz_that_is_there_before_anybody_missed_the_server_is_left_out(
    fake: Fake, tmp_path: Path
) -> None:
    """One answer that broke off is reason enough to ask what it is now: its cards are no pictures."""
    async with opened(fake) as executor:
        await executor.next_event()
        fake.hold = True
        executor.start(make(executor.servers[0]), tmp_path)
        await until_posted(fake)
        fake.previz = True
        fake.plan("GET /queue", "drop")
        down = await until(executor, ServerDown)

    assert isinstance(down, ServerDown)
    assert down.final
    assert "draws previz cards" in down.reason


async def test_who_goes_while_model_sizes_are_asked_for_ends_nothing(fake: Fake) -> None:
    """A broken answer about sizes is asked for again; of a server that has gone nothing is known."""
    route, wanted = "/experiment/models/checkpoints", frozenset({("checkpoints", "x")})
    told = (200, "application/json", b'[{"name": "x", "size": 7, "modified": 8.5}]')
    async with Fake() as other, opened(fake, other) as executor:
        facts = [event.facts for _ in range(2) if isinstance(event := await executor.next_event(), ServerUp)]
        fake.plan(f"GET {route}", told, told)
        other.plan(f"GET {route}", "drop", told)
        both = await launch._listed(wanted, executor, facts)
        await other.down()
        one = await launch._listed(wanted, executor, facts)

    assert both == {("checkpoints", "x"): {fake.url: Listed(7, 8), other.url: Listed(7, 8)}}
    assert one == {("checkpoints", "x"): {fake.url: Listed(7, 8)}}
