"""The three folders of a server (output, input, temp): names, the counter rule, annotated references."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KINDS = ("output", "input", "temp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where files live; all three lie below *root*, as absolute paths."""

    root: Path

    def of(self, kind: str) -> Path | None:
        """Return the folder of ``output``, ``input`` or ``temp``; None for any other word."""
        return self.root / kind if kind in KINDS else None

    def prepare(self) -> None:
        """Create the folders and wipe what an earlier process left in temp."""
        self.wipe_temp()
        for kind in KINDS:
            (self.root / kind).mkdir(parents=True, exist_ok=True)

    def wipe_temp(self) -> None:
        """Remove the temp folder."""
        shutil.rmtree(self.root / "temp", ignore_errors=True)

    def find(self, name: str) -> Path | None:
        """Return the existing path that a name such as ``a.png [output]`` means; None if there is none.

        A name may climb out of its own folder (a real server lets it) but not out of *root*.
        """
        bare, kind = split_annotation(name)
        path = Path(os.path.normpath(self.root / (kind or "input") / bare))
        return path if inside(path, self.root) and path.exists() else None

    def input_names(self) -> list[str]:
        """Return the names of the top-level pictures in the input folder, sorted."""
        suffixes = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
        with os.scandir(self.root / "input") as entries:
            return sorted(e.name for e in entries if e.is_file() and e.name.lower().endswith(suffixes))


def inside(path: Path, folder: Path) -> bool:
    """Return whether *path* is *folder* or lies below it; both absolute, `..` already resolved textually."""
    return path == folder or folder in path.parents


def split_annotation(name: str) -> tuple[str, str | None]:
    """Return ``("a.png", "output")`` for ``a.png [output]`` and ``(name, None)`` without an annotation."""
    for kind in KINDS:
        suffix = f"[{kind}]"
        if name.endswith(suffix):
            return name[: -len(suffix) - 1], kind
    return name, None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one save puts its files: ``<folder>/<stem>_<counter>_.<suffix>``."""

    folder: Path
    stem: str
    subfolder: str
    counter: int
    kind: str

    def entry(self, name: str) -> dict[str, str]:
        """Return the reference that goes into `outputs`."""
        return {"filename": name, "subfolder": self.subfolder, "type": self.kind}


def claim(folders: Folders, *, prefix: str, kind: str, width: int, height: int) -> Place:
    """Return the place for the next files of *prefix*, creating its folder.

    The counter is one more than the highest among names ``<stem>_<digits>_...`` there now.

    Raises:
        Exception: *prefix* leaves the folder; type and first line are what clients of a real server see.

    """
    top = folders.root / kind
    if "%" in prefix:
        prefix = fill(prefix, width=width, height=height, now=time.localtime())
    tidy = os.path.normpath(prefix)
    subfolder, stem = os.path.split(tidy)
    folder = Path(os.path.normpath(top / subfolder))
    if not inside(folder, top):
        text = "**** ERROR: Saving image outside the output folder is not allowed."
        raise Exception(f"{text}\n prefix: {prefix!r}")
    folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(folder) as entries:
        counter = next_counter((entry.name for entry in entries), stem)
    return Place(folder=folder, stem=stem, subfolder=subfolder, counter=counter, kind=kind)


def next_counter(names: Iterable[str], stem: str) -> int:
    """Return one more than the highest counter of *stem* among *names*; 1 when there is none."""
    head = stem + "_"
    highest = 0
    for name in names:
        if name.startswith(head):
            highest = max(highest, leading_number(name[len(head) :]))
    return highest + 1


def leading_number(rest: str) -> int:
    """Return the number before the first underscore or dot of *rest*; 0 when it is none."""
    try:
        return int(rest.split(".", 1)[0].split("_", 1)[0])
    except ValueError:
        return 0


def fill(prefix: str, *, width: int, height: int, now: time.struct_time) -> str:
    """Return *prefix* with the placeholders that the server itself knows filled in."""
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for word, value in values.items():
        prefix = prefix.replace(f"%{word}%", value)
    return prefix
