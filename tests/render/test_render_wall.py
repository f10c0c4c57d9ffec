"""The second wall: whatever a template makes of the child that renders it, it stays there and ends soon."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runner.errors import StorageError
from runner.sandbox import process, talk
from runner.sandbox.client import Client
from runner.sandbox.process import PROGRAM, Sandbox
from runner.sandbox.wire import BODY, LARGEST_GRAPH, LINE_SECONDS, SECONDS, Mistake, Refused, Source
from tests.render import children

ROOT = Path(__file__).parent.parent.parent
Open = Callable[..., tuple[Sandbox, Client]]


def source(body: str, **fields: Any) -> Source:
    """Return a template of this body, with the parameter `x`."""
    given = {"macros": (), "first": 1, "parameters": ("x",), "texts": (), "seed": ""} | fields
    return Source(body=body + "{% set used = x %}", **given)


GOOD = source("{{ x }}")


def until(holds: Callable[[], bool]) -> None:
    """Wait for something to hold."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it never held")


def waiting(sandbox: Sandbox) -> int:
    """Return how many bytes of a request the child has not read."""
    process = sandbox._process
    assert process is not None
    assert process.stdin is not None
    return int(struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)))[0])


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def opened() -> Iterator[Open]:
    """Return sandboxes that run another program; their children are ended."""
    made: list[Sandbox] = []

    def make(program: str = PROGRAM, patience_s: float = 30.0) -> tuple[Sandbox, Client]:
        made.append(Sandbox(program, patience_s))
        return made[-1], Client(made[-1])

    yield make
    for sandbox in made:
        sandbox.close()


def refusal(client: Client, body: str) -> str:
    """Return why *body* is not rendered."""
    with pytest.raises(Refused) as fault:
        client.text(source(body), {"x": 1})
    assert [mistake.file for mistake in fault.value.mistakes] == [BODY]
    return fault.value.mistakes[0].message


EXHAUSTING = {
    "loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "it takes more than 1.2 s of processor time; use fewer or shorter loops",
    ),
    "one step that Python cannot be stopped in": (
        "{% set y = 3 ** 99999999 %}",
        "it takes more than 1.2 s of processor time; use fewer or shorter loops",
    ),
    "one text": ("{{ 'x' * 1000000000 }}", "it needs more than 300 MiB of memory; write and keep less text"),
    "a text that doubles": (
        "{% set n = namespace(x='x') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "it needs more than 300 MiB of memory; write and keep less text",
    ),
    "a graph of 9 MiB": ("{{ 'x' * 9437184 }}", "renders to 9.0 MiB; a graph has at most 8 MiB"),
}


def test_loading_rendering_and_finding_lines_fit_together() -> None:
    """Each may take its time to the full and still leave some of the 3 s that a template has."""
    assert 2 * SECONDS + LINE_SECONDS < 3


@pytest.mark.parametrize("name", EXHAUSTING)
def test_the_second_wall_stands_alone(name: str, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no budget in the child, time and memory are still counted, and the next template is rendered."""
    body, message = EXHAUSTING[name]
    _, client = opened(children.BARE)

    assert refusal(client, body) == message
    assert client.text(GOOD, {"x": 7}) == " 7 "


GROWN = "{% for i in range(40) %}{% set n.x = namespace(a=n.x, b=n.x) %}{% endfor %}"
NAMESPACES = "{% set n = namespace(x='x') %}"


@pytest.mark.parametrize(
    "body",
    [
        NAMESPACES + GROWN + "{{ n.x | string }}",
        NAMESPACES + "{% set t = (n, n) %}" + GROWN + "{{ t ~ '' }}",
    ],
    ids=["as a text", "in a list"],
)
def test_namespaces_within_namespaces_are_paid_for(body: str, opened: Open) -> None:
    """What they hold counts like the entries of a map, however small they look, on a slow machine too."""
    _, client = opened(children.PATIENT)

    assert refusal(client, body) == "it writes, repeats or compares far more than a graph needs"


@pytest.mark.parametrize(("others", "children_started"), [(0, 1), (1, 2)])
def test_a_child_that_is_full_of_others_is_no_reason_to_refuse(
    others: int, children_started: int, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template that finds no memory in a child that served others is judged by one of its own, once."""
    started: list[str] = []
    start = process._started
    monkeypatch.setattr(process, "_started", lambda program: started.append(program) or start(program))
    sandbox, client = opened(children.BARE)
    for _ in range(others):
        client.text(GOOD, {"x": 7})

    assert refusal(client, "{{ 'x' * 1000000000 }}").startswith("it needs more than 300 MiB")
    assert len(started) == children_started
    assert sandbox.pid == 0


def test_a_graph_of_the_largest_size_fits(opened: Open) -> None:
    """What is allowed is rendered: 8 MiB of text that is wide, with half as much to write it from."""
    text = "夕" * ((LARGEST_GRAPH - 8) // 3)
    _, client = opened()

    assert client.text(GOOD, {"x": text}) == f' "{text}" '


REACHING = [
    "open('/etc/hostname').read()",
    "open('/tmp/animerun', 'w')",
    "__import__('os').open('/', 0)",
    "__import__('os').listdir('/')",
    "__import__('os').system('true')",
    "__import__('os').fork()",
    "__import__('os').kill(1, 0)",
    "__import__('os').execv('/bin/true', ['true'])",
    "__import__('socket').create_connection(('127.0.0.1', 1))",
    "__import__('_socket').socket()",
    "__import__('subprocess').run(['true'])",
    "__import__('_posixsubprocess').fork_exec",
    "__import__('ctypes')",
    "__import__('resource').setrlimit(7, (3, 3))",
]


@pytest.mark.parametrize("deed", REACHING)
def test_a_template_that_escaped_ends_its_process(deed: str, opened: Open) -> None:
    """Python that runs in the child reaches no file, socket, process or module; the next child is fine."""
    sandbox, client = opened(children.ESCAPED)
    client.text(GOOD, {"x": 7})

    assert refusal(client, f'{{{{ "{deed}" | python }}}}') == (
        "it reached for files, the network or other processes"
    )
    assert sandbox.pid == 0
    assert client.text(GOOD, {"x": 7}) == " 7 "


@pytest.mark.parametrize(
    "deed", ["open('/etc/hostname')", "__import__('os').dup(1)", "__import__('_socket').socket()"]
)
def test_the_operating_system_opens_nothing_for_it(deed: str, opened: Open) -> None:
    """Where nobody listens to what the child does, it still has no descriptor left to open anything with."""
    _, client = opened(children.UNWATCHED)

    assert "Too many open files" in refusal(client, f'{{{{ "{deed}" | python }}}}') or "_socket" in deed


def test_a_template_that_escaped_finds_nothing_to_take(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment variable, and no module that could connect or start a process."""
    monkeypatch.setenv("FARM_TOKEN", "secret-of-the-farm")
    _, client = opened(children.ESCAPED)

    def python(text: str) -> str:
        return client.text(source(f'{{{{ "{text}" | python }}}}'), {"x": 1})

    assert "secret" not in python("dict(__import__('os').environ)")
    assert set(python("' '.join(__import__('os').environ)").strip(' "').split()) <= {"LC_CTYPE"}
    assert python("__import__('os').getcwd()") == ' "/" '
    known = python("' '.join(__import__('sys').modules)").strip(' "').split()
    assert "jinja2" in known
    reaching = "_socket socket _posixsubprocess subprocess _ctypes mmap yaml httpx duckdb runner.domain"
    assert set(known) & set(reaching.split()) == set()


def test_a_child_that_was_killed_is_replaced(opened: Open) -> None:
    """Killed before or in the middle of a rendering, the text still comes, from the next child."""
    sandbox, client = opened()
    client.text(GOOD, {"x": 1})
    os.kill(sandbox.pid, signal.SIGKILL)
    assert client.text(GOOD, {"x": 2}) == " 2 "

    first = sandbox.pid
    os.kill(first, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.text, GOOD, {"x": "x" * 1_000_000})
        until(lambda: waiting(sandbox) > 0)
        os.kill(first, signal.SIGKILL)
        assert asked.result() == f' "{"x" * 1_000_000}" '
    assert sandbox.pid != first
    assert not alive(first)


def test_a_child_that_stands_still_is_replaced(opened: Open) -> None:
    """One that was stopped in the middle of a long request is given up, and the next one asked."""
    sandbox, client = opened(patience_s=5.0)
    client.text(GOOD, {"x": 1})
    sandbox._patience_s = 0.3
    os.kill(sandbox.pid, signal.SIGSTOP)
    with pytest.raises(talk.Lost, match="answers nothing"):
        sandbox.ask(b"x" * 1_000_000)
    sandbox._patience_s = 30.0

    assert client.text(GOOD, {"x": 2}) == " 2 "


@pytest.mark.parametrize("deed", children.HOSTILE)
def test_a_hostile_answer_is_a_mistake_of_the_template(deed: str, opened: Open) -> None:
    """Garbage, endless, false or no answers from a child that was taken over are told; nothing hangs."""
    sandbox, client = opened(children.hostile(deed), patience_s=0.3)

    assert refusal(client, "{{ x }}").startswith("the process that renders templates ")
    with pytest.raises(Refused):
        client.load(GOOD)
    assert sandbox.pid == 0


def test_a_stop_in_the_middle_leaves_no_answer_behind(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C between question and answer, the next answer is that of the next question."""
    _, client = opened()
    client.text(GOOD, {"x": 1})
    with monkeypatch.context() as patch:
        patch.setattr(talk.Polled, "_wait", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.text(GOOD, {"x": 2})

    assert client.text(GOOD, {"x": 3}) == " 3 "


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_fork_has_a_child_of_its_own(opened: Open) -> None:
    """A process that was forked off never speaks into the pipe of the first one."""
    client = Client(process.SHARED)
    client.text(GOOD, {"x": 1})
    first = process.SHARED.pid
    reading, writing = os.pipe()
    if (forked := os.fork()) == 0:
        try:
            said = client.text(GOOD, {"x": 2})
            os.write(writing, f"{said}{process.SHARED.pid}".encode())
            process.SHARED.close()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text, other = pipe.read().decode().split()
    os.waitpid(forked, 0)

    assert (text, process.SHARED.pid) == ("2", first)
    assert int(other) != first
    assert client.text(GOOD, {"x": 3}) == " 3 "


@pytest.mark.parametrize("how", ["pass", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_the_child_ends_with_its_parent(how: str) -> None:
    """However the parent ends, its child is gone soon after, and nothing is said on standard error."""
    program = (
        f"from runner.sandbox.process import SHARED, begin; begin(); print(SHARED.pid, flush=True); {how}"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stderr == ""
    until(lambda: not alive(int(done.stdout)))


def test_the_child_is_out_of_the_terminals_reach(opened: Open) -> None:
    """It has a session of its own, so that Ctrl-C is the parent's to handle."""
    sandbox, _ = opened()
    sandbox.begin()

    until(lambda: os.getsid(sandbox.pid) == sandbox.pid)


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"], ["plan", "nothing.yaml"]])
def test_commands_without_templates_start_no_child(arguments: list[str], tmp_path: Path) -> None:
    """What renders nothing pays nothing."""
    program = (
        f"import sys; from runner.cli import call; call({arguments!r})\n"
        "used = sys.modules.get('runner.sandbox.process'); print('child', used.SHARED.pid if used else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.splitlines()[-1] == "child 0"


def test_templates_that_were_forgotten_are_loaded_again(opened: Open) -> None:
    """The child keeps a bounded number; the first of very many still renders."""
    _, client = opened()
    many = [source(f"{{# {number:0200000} #}}{{{{ x }}}}") for number in range(15)]
    for each in many:
        client.load(each)

    assert [client.text(each, {"x": 5}) for each in many] == [" 5 "] * 15


def test_mistakes_name_their_file(opened: Open) -> None:
    """A macro file's mistake is told with its number, so that the right file can be named."""
    _, client = opened()
    with pytest.raises(Refused) as fault:
        client.load(
            source(
                "{{ x }}", macros=("{% macro a() %}{% endmacro %}", "\n{% macro b() %}{{ y }}{% endmacro %}")
            )
        )

    assert fault.value.mistakes == (Mistake(1, 2, "`y` is no parameter and set nowhere"),)


def test_a_machine_that_starts_no_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a child nothing is rendered, and the reason is the operating system's."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(StorageError, match="cannot start /nowhere/python: No such file or directory"):
        Sandbox().begin()


def test_the_parent_touches_no_template_with_jinja() -> None:
    """Only the child's modules import Jinja; the parent's side of templates never does."""
    client_side = [ROOT / "runner" / "sandbox" / f"{name}.py" for name in ("client", "process", "wire")]
    ours = [*(ROOT / "runner" / "render").glob("*.py"), *client_side]

    assert [path.name for path in ours if re.search("(import|from) jinja2", path.read_text("utf-8"))] == []
