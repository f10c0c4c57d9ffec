"""The structure of the code and of the tests, read from their sources."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUNNER = ROOT / "runner"

LAYERS = [
    {"system"},
    {"beneath"},
    {"errors", "door"},
    {"domain", "locks"},
    {"events", "settings", "summary", "text", "awake", "pictures", "ground"},
    {
        "faults",
        "story",
        "naming",
        "values",
        "wording",
        "explain",
        "relink",
        "likeness",
        "diff",
        "drift",
        "model_files",
    },
    {"comfy", "manifest", "previz", "sandbox"},
    {"spec", "expand", "render", "schedule", "submit", "collect", "record"},
    {"inputs", "rendered", "reuse", "embedded", "completions", "durable"},
    {"variants"},
    {"plan", "foreign"},
    {"preflight", "stored"},
    {"run", "admission"},
    {"resume", "replay", "batch"},
    {"launch", "compare"},
    {"cli"},
    {"__main__"},
]
"""Lowest first. A module imports lower rows, or its own folder; neighbours do not know each other."""

BESIDE = {
    ("values", "naming"),
    ("wording", "naming"),
    ("story", "faults"),
    ("faults", "story"),
    ("domain", "errors"),
}
PURE = [
    "spec",
    "expand",
    "render",
    "schedule",
    "comfy/protocol",
    "comfy/verdict",
    "comfy/node_inputs",
    "comfy/object_info",
    "comfy/graph_check",
    "comfy/spelling",
    "comfy/replacements",
    "naming",
    "values",
    "wording",
    "drift",
]
IMPURE = {
    "asyncio",
    "datetime",
    "duckdb",
    "httpx",
    "random",
    "secrets",
    "socket",
    "time",
    "uuid",
    "websockets",
}


def row(name: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if name in names]
    assert found, f"runner/{name} has no row in LAYERS"
    return found[0]


def modules() -> list[Path]:
    return sorted(path for path in RUNNER.rglob("*.py") if "shipped" not in path.parts)


def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def imported(found: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in found:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name if node.module == "runner" else node.module, node.lineno) for name in names)


def imported_names(found: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in found:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def test_imports_point_one_way() -> None:
    """A module imports only what stands in a lower row, or in its own folder."""
    wrong = []
    for path in modules():
        mine = path.relative_to(RUNNER).parts[0].removesuffix(".py")
        for name, line in imported(nodes(path)):
            if not name.startswith("runner.") or mine == "__init__":
                continue
            theirs = name.split(".")[1]
            if theirs in (mine, "__version__") or (mine, theirs) in BESIDE:
                continue
            if row(theirs) >= row(mine):
                wrong.append(f"{path.relative_to(RUNNER)}:{line} imports {name}")

    assert len(modules()) > 200
    assert wrong == []


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_know_no_outside(name: str) -> None:
    """Decisions are made without clock, loop, network, database or randomness."""
    place = RUNNER / name
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    wrong = [
        f"{path.relative_to(RUNNER)}:{line} imports {found}"
        for path in paths
        for found, line in imported(nodes(path))
        if found.split(".")[0] in IMPURE or found == "runner.door"
    ]

    assert paths
    assert wrong == []


def test_only_the_command_line_reads_the_environment() -> None:
    """Settings are a value passed down: os.environ is read in cli/ and nowhere else."""
    wrong = [
        f"{path.relative_to(RUNNER)}:{node.lineno}"
        for path in modules()
        if path.relative_to(RUNNER).parts[0] != "cli"
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]

    assert wrong == []


BEHIND_THE_DOOR = {
    "time": "door.now, door.monotonic, door.pause",
    "random": "door.uniform",
    "secrets": "door.token",
    "websockets.asyncio.client.connect": "door.socket",
    "websockets.sync.client": "door.socket",
}
"""What is imported nowhere else, and what there is instead."""

DOOR_KEPT = {
    "now": "door.utc",
    "utcnow": "door.utc",
    "today": "door.utc",
    "uuid1": "door.fresh_id",
    "uuid4": "door.fresh_id",
    "AsyncClient": "door.http_pool",
    "Client": "door.http_pool",
    "fsync": "door.File.sync",
    "fdatasync": "door.File.sync",
    "rename": "door.rename",
    "renames": "door.rename",
    "link": "door.link",
    "hardlink_to": "door.link",
    "symlink_to": "nothing",
    "unlink": "door.unlink",
    "truncate": "door.truncate",
    "mkdir": "door.make_folder",
    "makedirs": "door.make_folder",
    "write_bytes": "door.File",
    "write_text": "door.File",
    "copyfile": "door.File",
    "rmtree": "door.unlink",
    "rmdir": "door.unlink",
}
"""What is called nowhere else, and what there is instead."""

NO_DOOR = {
    "system.py": "what the door itself calls",
    "beneath.py": "the same; and locks and temporary names, on which no safety rests",
    "previz": "the other side: a server, a process of its own",
    "sandbox": "a real child process, which takes real time in a simulation too",
    "cli/new_command.py": "a project folder of examples; nothing is recorded yet",
    "cli/streams.py": "descriptors the process was given",
    "compare/opening.py": "a folder that is gone when the comparison ends",
    "embedded.py:rmtree": "the folder of the embedded previz, gone with it",
    "manifest/folder.py:truncate": "the same",
    "manifest/intake.py:rmtree": "what is being unpacked, before it has its name",
    "manifest/prune.py:rmdir": "empty folders",
}


def behind_the_door(path: Path) -> Iterator[str]:
    """Yield what *path* does that is the door's alone."""
    every = nodes(path)
    for name, line in [*imported(every), *imported_names(every)]:
        if (instead := BEHIND_THE_DOOR.get(name)) is not None:
            yield f"{path.name}:{line} imports {name}; use {instead}"
    for node in every:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, node.func.value
        if isinstance(owner, ast.Name) and owner.id in ("door", "self"):
            continue
        if name in DOOR_KEPT:
            yield f"{path.name}:{node.lineno} calls {name}; use {DOOR_KEPT[name]}"
        if isinstance(owner, ast.Name) and owner.id == "os" and name in ("open", "write"):
            yield f"{path.name}:{node.lineno} calls os.{name}; use door.File"
        # `a.replace(b)` of a path has one argument, that of a text two, that of a date keywords.
        if name == "replace" and len(node.args) == 1 and not node.keywords:
            yield f"{path.name}:{node.lineno} calls replace; use door.rename"
        mode = node.args[0] if name == "open" and node.args else None
        if isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wxa+"):
            yield f"{path.name}:{node.lineno} calls open; use door.File"


def test_clocks_chance_network_and_disk_lie_behind_one_door() -> None:
    """What a test must be able to replace is reached through `runner/door.py` and nowhere else."""
    wrong = []
    for path in modules():
        place = path.relative_to(RUNNER).as_posix()
        if place == "door.py" or any(place.startswith(each) for each in NO_DOOR if ":" not in each):
            continue
        kept = {each.partition(":")[2] for each in NO_DOOR if each.startswith(f"{place}:")}
        calls = [f"calls {each};" for each in kept]
        wrong += [found for found in behind_the_door(path) if not any(call in found for call in calls)]

    assert wrong == []


ONLY_SOME_SYSTEMS = {
    "system.py": "where they are looked for",
    "beneath.py": "a name in an open folder, and where that cannot be had",
    "locks.py": "flock, and msvcrt.locking",
    "sandbox/limits.py": "what the child is limited by",
    "sandbox/talk.py": "pipes that can be polled, and the others",
}
"""Modules that may name what not every system has."""

SYSTEM_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "msvcrt", "winreg", "ctypes"}
SYSTEM_NAMES = {
    "SIGHUP", "SIGQUIT", "SIGKILL", "SIGPROF", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGBREAK",
    "setitimer", "pthread_sigmask", "add_signal_handler",
    "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "O_TMPFILE", "O_BINARY",
    "fork", "register_at_fork", "setsid", "killpg", "getpgid", "waitpid", "mkfifo", "uname", "statvfs",
    "fdatasync", "geteuid", "getuid", "getgid", "sched_getaffinity", "sched_setaffinity", "set_blocking",
    "fchmod", "chown", "lchown", "getrusage", "getrlimit", "setrlimit", "flock", "ioctl", "locking",
    "poll", "epoll", "AF_UNIX", "SO_REUSEADDR", "SO_REUSEPORT", "CREATE_NEW_PROCESS_GROUP", "startfile",
}  # fmt: skip
SYSTEM_WORDS = {"preexec_fn", "start_new_session", "pass_fds", "creationflags", "startupinfo", "dir_fd"}


def of_some_systems(path: Path) -> Iterator[str]:
    """Yield what *path* names that not every system has."""
    every = nodes(path)
    place = path.relative_to(RUNNER)
    yield from (f"{place}:{line} imports {name}" for name, line in imported(every) if name in SYSTEM_MODULES)
    for node in every:
        if isinstance(node, ast.Attribute) and node.attr in SYSTEM_NAMES:
            yield f"{place}:{node.lineno} names {node.attr}"
        elif isinstance(node, ast.keyword) and node.arg in SYSTEM_WORDS:
            yield f"{place}:{node.lineno} passes {node.arg}"


def test_what_only_some_systems_have_is_named_in_one_place() -> None:
    """Modules and names that Windows or POSIX lacks stand in `system.py` and what is listed beside it."""
    mine = [path for path in modules() if path.relative_to(RUNNER).as_posix() not in ONLY_SOME_SYSTEMS]

    assert [found for path in mine for found in of_some_systems(path)] == []


def test_every_test_states_its_behaviour() -> None:
    """Each test function begins with one sentence that says what holds."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in nodes(path)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_modules_have_one_subject() -> None:
    """No module grows beyond 500 lines."""
    long = {
        str(path.relative_to(RUNNER)): lines
        for path in modules()
        if (lines := len(path.read_text("utf-8").splitlines())) > 500
    }

    assert long == {}
