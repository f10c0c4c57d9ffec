# ruff: noqa: E501 - a table reads better in long rows
"""A credential is never printed and never written, whoever repeats it, however the run ends (T19)."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

import runner.admission
from tests.cli.conftest import Project, Said
from tests.cli.served import SPEC, TEMPLATE, Scripted, served

CANARY = "c4n4ry+S/of=the%mine#7"
"""Has everything that URL and base64 encoding change."""
CHANNELS = {"TOKEN": CANARY, "BASIC": f"user:{CANARY}", "HEADER": f"X-Api-Key: {CANARY}"}
CRASHES = os.environ.get("CANARY_CRASHES", "30 60").split()
"""Effects in whose place a run dies: `CANARY_CRASHES="$(seq 10 70)"` tries them all."""
REPOSITORY = Path(__file__).parent.parent.parent
LOUDNESS = {"plain": (), "quiet": ("--quiet",), "json": ("--json",)}


def forms() -> set[bytes]:
    """Every form of the secret that must not be found, base64 at any place of a longer text among them."""
    plain = CANARY.encode()
    cores = {
        base64.b64encode(b"x" * n + plain)[4 if n else 0 : 4 * ((n + len(plain)) // 3)] for n in range(3)
    }
    return {plain, quote(CANARY, safe="").encode(), quote_plus(CANARY).encode(), *cores}


def repeated() -> str:
    """What a server says that repeats what it was sent, in all ways."""
    whole = base64.b64encode(f"user:{CANARY}".encode()).decode()
    return f"Bearer {CANARY} / Basic {whole} / {quote(CANARY, safe='')} / {base64.b64encode(CANARY.encode()).decode()}"


def tells_all_in_stats(fake: Scripted) -> None:
    told = {"system": {"comfyui_version": repeated(), "os": repeated(), "argv": [repeated()]},
            "devices": [{"name": repeated()}]}  # fmt: skip
    fake.said["GET /system_stats"] = told


def is_another_server(fake: Scripted) -> None:
    fake.plan("GET /system_stats", *[(200, repeated(), repeated().encode())] * 9)


def keeps_the_door_shut(fake: Scripted) -> None:
    fake.plan("GET /system_stats", *[(401, "text/plain", repeated().encode())] * 9)


def refuses_the_job(fake: Scripted) -> None:
    wrong = {"type": repeated(), "message": repeated(), "details": repeated(), "extra_info": {}}
    node = {"errors": [wrong], "dependent_outputs": ["out"], "class_type": repeated()}
    said = {"error": {"type": repeated(), "message": repeated()}, "node_errors": {"out": node}}
    fake.plan("POST /prompt", *[(400, "application/json", json.dumps(said).encode())] * 9)


def fails_the_job(fake: Scripted) -> None:
    told = {"node_id": "out", "node_type": repeated(), "exception_message": repeated(),
            "exception_type": repeated(), "traceback": [repeated()], "current_inputs": {"api_key": [CANARY]}}  # fmt: skip
    messages = [["execution_start", {}], ["execution_error", told]]
    fake.extra = {"status": {"status_str": "error", "completed": False, "messages": messages}}


def names_its_file_so(fake: Scripted) -> None:
    file = {"filename": f"{repeated()}.png", "subfolder": repeated(), "type": "output"}
    fake.extra = {"outputs": {"out": {"images": [file]}}}


SERVERS: dict[Callable[[Scripted], None], int] = {
    tells_all_in_stats: 0,
    is_another_server: 3,
    keeps_the_door_shut: 3,
    refuses_the_job: 1,
    fails_the_job: 1,
    names_its_file_so: 1,
}
"""With the exit code of a run on such a server."""


@pytest.fixture(scope="module")
def farm() -> Iterator[Scripted]:
    """One server for all tests; each tells it anew what to say."""
    with served() as fake:
        yield fake


def run(project: Project, fake: Scripted, *flags: str) -> Said:
    project.write("templates/one.json.j2", TEMPLATE)
    project.write("spec.yaml", SPEC % "a lighthouse")
    reports = ("--junit", "junit.xml", "--summary", "summary.md", "--fail-on", "failed")
    return project.animerun("spec.yaml", "--server", fake.url, "--no-socket", *reports, *flags)


def traces(project: Project, *said: Said) -> list[str]:
    """Return where any form of the secret is found: among what was printed and in every file."""
    places = {f"printed by call {number}": (each.out + each.err).encode() for number, each in enumerate(said)}
    places |= {str(path): path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    return [name for name, content in places.items() for form in forms() if form.lower() in content.lower()]


@pytest.mark.parametrize("serve", SERVERS, ids=lambda serve: serve.__name__)
@pytest.mark.parametrize("channel", CHANNELS)
def test_a_server_that_repeats_it_gives_nothing_away(
    project: Project,
    farm: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    channel: str,
    serve: Callable[[Scripted], None],
) -> None:
    """It was sent, and stands nowhere: not in output, journal, index, run.json, JUnit, summary or exports."""
    monkeypatch.setenv(f"ANIMERUN_{channel}", CHANNELS[channel])
    farm.clear()
    serve(farm)

    said = [run(project, farm)]
    if project.runs():
        run_name = project.runs()[0].name
        said += [project.animerun(*args) for args in (
            ("show",), ("show", "--json"), ("list",), ("export", run_name), ("verify",),
            ("export", run_name, "--to", "tables", "--format", "csv"),
            ("sql", "select * from attempts"), ("sql", "--json", "select * from jobs"),
        )]  # fmt: skip

    sent = {value for headers in farm.headers for value in headers.values()}
    assert said[0].code == SERVERS[serve]
    assert any(CANARY in value or value.startswith("Basic ") for value in sent)
    assert traces(project, *said) == []


OTHER_WRITERS: dict[str, Callable[[str], str]] = {
    "PHP": lambda text: text.replace("/", "\\/"),
    ".NET": lambda text: text.replace("+", "\\u002B"),
    "all escaped": lambda text: text.replace(CANARY, "".join(f"\\u{ord(ch):04X}" for ch in CANARY)),
    "as in HTML": lambda text: text.replace("+", "&#43;").replace("/", "&#x2F;"),
    "invisible inside": lambda text: text.replace("c4n4ry", "c4n\u200b4ry"),
}
"""Who wrote the JSON → what becomes of text in it."""


@pytest.mark.parametrize("writer", OTHER_WRITERS)
def test_however_json_is_written_it_stays_hidden(
    project: Project, farm: Scripted, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    """Other languages escape other characters; after parsing it is the secret again, and that is hidden too."""
    monkeypatch.setenv("ANIMERUN_TOKEN", CANARY)
    farm.clear()
    said = {"error": {"type": "x", "message": f"no: Bearer {CANARY}"}, "node_errors": {}}
    body = OTHER_WRITERS[writer](json.dumps(said)).encode()
    farm.plan("POST /prompt", *[(400, "application/json", body)] * 9)
    done = run(project, farm)

    assert done.code == 1
    assert traces(project, done, project.animerun("show")) == []


@pytest.mark.parametrize("loudness", LOUDNESS)
@pytest.mark.parametrize("serve", SERVERS, ids=lambda serve: serve.__name__)
def test_no_loudness_gives_it_away(
    project: Project,
    farm: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    loudness: str,
    serve: Callable[[Scripted], None],
) -> None:
    """Lines for people, few of them, or JSON: none holds it."""
    monkeypatch.setenv("ANIMERUN_TOKEN", CANARY)
    farm.clear()
    serve(farm)

    assert traces(project, run(project, farm, *LOUDNESS[loudness])) == []


def test_a_bug_report_does_not_hold_it(
    project: Project, farm: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 70 prints the whole traceback, with `***` where the secret was."""
    monkeypatch.setenv("ANIMERUN_TOKEN", CANARY)
    farm.clear()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"headers were {repeated()}")

    monkeypatch.setattr(runner.admission, "preflight", broken)
    said = run(project, farm)

    assert said.code == 70
    assert "headers were Bearer *** / Basic dXNlcjp*** / *** / ***" in said.err
    assert traces(project, said) == []


@pytest.mark.parametrize("effect", CRASHES)
def test_a_killed_process_leaves_it_nowhere(
    project: Project, farm: Scripted, monkeypatch: pytest.MonkeyPatch, effect: str
) -> None:
    """SIGKILL in the middle of a run on a server that repeats it: neither output nor a half-written file holds it."""
    farm.clear()
    tells_all_in_stats(farm)
    fails_the_job(farm)
    project.write("templates/one.json.j2", TEMPLATE)
    project.write("spec.yaml", SPEC % "a lighthouse")
    environ = {
        **os.environ,
        "ANIMERUN_TOKEN": CANARY,
        "ANIMERUN_CRASH_AT": effect,
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-m", "runner", "spec.yaml", "--server", farm.url, "--no-socket", "--json"]
    done = subprocess.run(
        command, cwd=project.folder, env=environ, capture_output=True, text=True, check=False
    )

    assert done.returncode == -signal.SIGKILL
    assert any(CANARY in value for headers in farm.headers for value in headers.values())
    assert traces(project, Said(done.returncode, done.stdout, done.stderr)) == []


@pytest.mark.parametrize(
    "address", ["http://user:{}@gpu.example:8188", "user:{}@gpu.example", "http://{}@gpu.example"]
)
def test_an_address_with_a_password_is_refused_without_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Exit 2, and the message shows the address without what stands before the @."""
    project.write("templates/one.json.j2", TEMPLATE)
    project.write("spec.yaml", SPEC % "x")
    said = project.animerun("spec.yaml", "--server", address.format("hunter2-hunter2"))

    assert said.code == 2
    assert "gpu.example" in said.err
    assert "hunter2" not in said.out + said.err


@pytest.mark.parametrize("where", ["spec", "--set", "template"])
@pytest.mark.parametrize("command", ["run", "check", "plan"])
def test_a_spec_that_holds_it_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, command: str, where: str
) -> None:
    """The record and the pictures' metadata would hold it for ever: exit 2, before anything is asked or written."""
    monkeypatch.setenv("ANIMERUN_TOKEN", CANARY)
    project.write(
        "templates/one.json.j2",
        TEMPLATE.replace('"text"', json.dumps(CANARY if where == "template" else "text")),
    )
    project.write("spec.yaml", SPEC % json.dumps(CANARY if where == "spec" else "x"))
    sets = ("--set", f"prompt={CANARY}") if where == "--set" else ()
    said = project.animerun(command, "spec.yaml", "--server", "http://127.0.0.1:9", *sets)

    assert said.code == 2
    assert "ANIMERUN_" in said.err
    assert CANARY not in said.out + said.err
    assert project.runs() == []


def test_credentials_travel_over_plain_http_to_this_machine_only(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine needs https, or a flag that says otherwise."""
    monkeypatch.setenv("ANIMERUN_TOKEN", CANARY)
    project.write("templates/one.json.j2", TEMPLATE)
    project.write("spec.yaml", SPEC % "x")
    said = project.animerun("spec.yaml", "--server", "http://192.0.2.1:8188")

    assert said.code == 2
    assert "would travel unencrypted" in said.err
    assert CANARY not in said.err


def test_an_empty_value_for_a_host_keeps_the_general_one_from_it(
    project: Project, farm: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It means none there, from the environment too."""
    monkeypatch.setenv("ANIMERUN_TOKEN", CANARY)
    monkeypatch.setenv("ANIMERUN_TOKEN_127_0_0_1", "")
    farm.clear()
    said = run(project, farm)

    assert said.code == 0
    assert not any("authorization" in headers for headers in farm.headers)


def test_neither_netrc_nor_a_proxy_stands_between_us_and_this_machine(
    project: Project, farm: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On loopback no proxy of the environment is asked and no .netrc is read."""
    (project.folder / ".netrc").write_text(f"machine 127.0.0.1 login user password {CANARY}\n")
    (project.folder / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(project.folder))
    monkeypatch.setenv("NETRC", str(project.folder / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    farm.clear()
    said = run(project, farm)

    assert said.code == 0
    assert not any("authorization" in headers for headers in farm.headers)
