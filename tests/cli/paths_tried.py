# ruff: noqa: E501 - a table reads better in long rows
"""Names that lead elsewhere, in every place where a name is taken; prints what was opened or changed outside.

`python -m tests.cli.paths_tried FOLDER SHARE` makes a project in FOLDER, with files and traps round it, and watches this
process by Python's audit events: a violation is a line of JSON [channel, name, event, path].
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from runner.collect import Bounds, collect
from runner.comfy.protocol import files_of
from runner.comfy.verdict import Uncollected
from runner.domain import OutputKind
from runner.errors import AnimerunError
from runner.inputs import InputFile, input_file
from runner.manifest.export import export_run
from runner.manifest.intake import import_run
from runner.manifest.journal import Journal
from runner.plan import make_plan

_NAMES = (
    "../secret", "../../secret", "../../../../../../etc/passwd", "/etc/passwd", "//etc/passwd", "~/secret", "~root/x",
    "C:\\x", "C:/x", "C:x", "\\\\server\\share\\x", "\\\\?\\C:\\x", "\\x", "..\\secret", "a\\..\\..\\secret",
    "file:///etc/passwd", "http://127.0.0.1:1/x", "%2e%2e/secret", "..%2fsecret", "..;/secret", ".../secret", "....//secret",
    "a/../../secret", "./../secret", "a/./../../secret", "x\0", "x\0/../../secret", "\u202e../secret", "．．/secret",
    "‥/secret", "..\u2215secret", "..\u2044secret", "con", "nul", "aux.png", "com1", "lpt1.txt", "x.", "x ", "x...", "-rf",
    "--help", "$(id)", "`id`", "$HOME/x", "${HOME}", "{{ x }}", "*", "?", "[a]", "link", "linkdir/secret", "linkdir/../secret",
    "linkdir", "pipe", "", ".", "..", "/", "//", ".git/config", ".ssh/key", "a" * 300, "a/" * 100 + "x", "x\n", "x\r../secret",
    "\x1b[31m", "proc/self/environ", "/proc/self/environ", "/dev/zero", "/dev/stdin", "/dev/fd/0", "specs/../../secret",
    "a**/x", "**/**/**/**/**/**/**/**/*", "linkdir/*", "*/../../*", "[", "**",
)  # fmt: skip
NAMES = tuple(dict.fromkeys(name + end for name in _NAMES for end in ("", ".png", ".yaml")))
_WRITING = ("os.mkdir", "os.rename", "os.link", "os.remove", "os.truncate", "os.rmdir", "shutil.rmtree")
SHARES = 5
"""Into how many parts the channels are dealt, so that several processes can try them."""
HEAD = "animerun: 1\nepisode: demo\n"


class Watch:
    """Sees what this process opens and changes, from when it is told to."""

    def __init__(self, project: Path) -> None:
        self.allowed = [
            str(project),
            sys.prefix,
            sys.base_prefix,
            str(Path(__file__).parents[2]),
            *filter(os.path.isabs, sys.path),  # where modules come from
            "/dev/urandom",
        ]
        self.found: list[tuple[str, str]] = []
        self.on = False
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or (event != "open" and event not in _WRITING):
            return
        for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
            if isinstance(path, (str, bytes, os.PathLike)):
                real = _real(os.fsdecode(path), follow=event == "open")
                if real and not any(real == each or real.startswith(f"{each}/") for each in self.allowed):
                    self.found.append((event, real))


def _real(path: str, *, follow: bool) -> str:
    """Return where *path* leads; what is taken away or made there is not followed itself."""
    if "\0" in path:
        return ""
    return os.path.realpath(path) if follow else f"{os.path.realpath(Path(path).parent)}/{Path(path).name}"


def made(folder: Path) -> Path:
    """Return the project, with what must not be touched round it and traps in it."""
    project = folder / "a/b/project"
    for place in (project / "templates", project / "runs", folder / "a/b/outside", project / "specs"):
        place.mkdir(parents=True)
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    for place in (folder, folder / "a", folder / "a/b", folder / "a/b/outside"):
        for name in ("secret", "secret.png", "secret.png.png"):
            (place / name).write_bytes(picture.getvalue())
        (place / "secret.yaml").write_text("prompts: {}\n")
        (place / "secret.json.j2").write_text("---\noutputs: {out: image}\n---\n{}")
    (project / "animerun.toml").touch()
    front = "---\nparameters: {prompt: {type: text}, poses: {type: images}}\noutputs: {out: image}\n---\n"
    body = '{"out": {"class_type": "SaveImage", "inputs": {"text": {{ prompt }}, "x": {{ poses[0] }}}}}'
    (project / "templates/many.json.j2").write_text(front + body)
    (project / "linkdir").symlink_to(folder / "a/b/outside")
    (project / "templates/linkdir").symlink_to(folder / "a/b/outside")
    for end in ("", ".png", ".yaml"):
        (project / f"link{end}").symlink_to(folder / f"a/b/secret{end}")
        os.mkfifo(project / f"pipe{end}")
    (project / "templates/link.json.j2").symlink_to(folder / "a/b/secret.json.j2")
    os.mkfifo(project / "templates/pipe.json.j2")
    return project


def planned(project: Path, lines: str) -> None:
    path = project / "specs/spec.yaml"
    path.write_bytes((HEAD + lines).encode("utf-8", "surrogatepass"))
    for _ in make_plan(path).rendered():
        pass


def delivered(project: Path, name: str) -> None:
    """Plan a job with that deliver name, and put a picture where it belongs."""
    path = project / "specs/spec.yaml"
    path.write_bytes(
        (HEAD + f"deliver: {{name: {json.dumps(name)}}}\nscenes: {{s01: {{prompt: x}}}}\n").encode()
    )
    for rendered in make_plan(path).rendered():
        collected(project, rendered.job.name, "x.png")


def collected(project: Path, name: str, server_name: str) -> None:
    """Collect a file that a server calls *server_name* for the deliver name *name*."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")

    async def fetch(_ref: Any, sink: Callable[[bytes], None], _limit: int) -> int:
        sink(picture.getvalue())
        return len(picture.getvalue())

    outputs: dict[str, OutputKind] = {"out": "image"}
    listed = {"images": [{"filename": server_name, "subfolder": server_name, "type": "output"}]}
    refs = files_of("out", listed)
    folder = project / "runs/r"
    with contextlib.suppress(Uncollected):
        asyncio.run(
            collect(refs, fetch=fetch, folder=folder, name=name, outputs=outputs, bounds=Bounds(pause_s=0))
        )


def taken_in(project: Path, name: str, kind: bytes) -> None:
    """Import an archive with a member of that name, or a link that leads there."""
    file = project / "evil.tar"
    journal = project / "journal.jsonl"
    if not journal.exists():
        Journal.create(journal, run="r").close()
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(journal, "q/journal.jsonl")
        member = tarfile.TarInfo(f"q/{name}" if kind == tarfile.REGTYPE else "q/x")
        member.type, member.linkname = kind, name if kind != tarfile.REGTYPE else ""
        member.size = 1 if kind == tarfile.REGTYPE else 0
        tar.addfile(member, io.BytesIO(b"x"))
    import_run(file, project / "runs")


def exported(project: Path, name: str) -> None:
    """Export a run whose folder has a link to *name*."""
    if "\0" in name:  # no link can lead there
        return
    folder = project / "runs/e"
    folder.mkdir(exist_ok=True)
    if not (folder / "journal.jsonl").exists():
        Journal.create(folder / "journal.jsonl", run="e").close()
    (folder / "x.png").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (folder / "x.png").symlink_to(name)
    (project / "out.tar").unlink(missing_ok=True)
    export_run(folder, project / "out.tar")
    with tarfile.open(project / "out.tar") as tar:
        assert not any(member.name.endswith("x.png") for member in tar)


def uploaded(project: Path, name: str) -> None:
    found = input_file(project, name)
    assert not isinstance(found, InputFile) or found.path.is_relative_to(project)


CHANNELS: dict[str, Callable[[Path, str], None]] = {
    "include": lambda project, name: planned(project, f"include: [{json.dumps(name)}]\nscenes: {{s01: {{prompt: x}}}}\n"),
    "template": lambda project, name: planned(project, f"template: {json.dumps(name)}\nscenes: {{s01: {{prompt: x}}}}\n"),
    "input": lambda project, name: planned(
        project, f"template: img2img\nscenes: {{s01: {{prompt: x, image: {json.dumps(name)}}}}}\n"
    ),
    "inputs by pattern": lambda project, name: planned(
        project, f"template: many\nscenes: {{s01: {{prompt: x, poses: {json.dumps(name)}}}}}\n"
    ),
    "input, unchecked": uploaded,
    "deliver name": delivered,
    "server's file": lambda project, name: collected(project, "s01/a", name),
    "archive": lambda project, name: taken_in(project, name, tarfile.REGTYPE),
    "archive, link": lambda project, name: taken_in(project, name, tarfile.SYMTYPE),
    "archive, hard link": lambda project, name: taken_in(project, name, tarfile.LNKTYPE),
    "export": exported,
}  # fmt: skip


def names_for(channel: str) -> tuple[str, ...]:
    """Return all names for the main places, those without endings for the others."""
    return NAMES if channel in ("include", "input", "server's file", "archive") else _NAMES


def main() -> None:
    """Try every name in every channel."""
    project = made(Path(sys.argv[1]))
    os.chdir(project / "specs")  # which has no traps: the names of a folder that is taken away are relative
    os.fsync = os.fdatasync = lambda _fd: None  # thousands of files that nobody will miss
    watch = Watch(project)
    planned(project, "scenes: {s01: {prompt: x}}\n")  # what is imported at the first use is imported now
    tried = 0
    for channel, attempt in list(CHANNELS.items())[int(sys.argv[2]) :: SHARES]:
        for name in names_for(channel):
            watch.found.clear()
            watch.on = True
            try:
                with contextlib.suppress(AnimerunError):
                    attempt(project, name)
            except (OSError, ValueError) as fault:
                watch.found.append((type(fault).__name__, str(fault)))
            finally:
                watch.on = False
            tried += 1
            for event, path in watch.found:
                sys.stdout.write(json.dumps([channel, name, event, path]) + "\n")
    sys.stdout.write(json.dumps({"tried": tried}) + "\n")


if __name__ == "__main__":
    main()
