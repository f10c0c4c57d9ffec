"""Reading the spec and its libraries from the project folder, and from nowhere else."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from runner.errors import Problem, SpecError
from runner.faults import Faults
from runner.story import SpecFile
from runner.text.compose import Limits, compose_with_warnings
from runner.text.recognised import not_a_spec
from runner.text.tree import Entry, Mapping, Node, Scalar, Sequence
from runner.values.links import resolved

PROJECT_FILE = "animerun.toml"
IGNORED = "x-"
LIBRARY_DEPTH = 32
_ABOVE = 3
"""Folders above the project in which a missing file is looked for."""


def project_root(path: Path) -> Path:
    """Return the project folder of the spec at *path*, absolute.

    It is the nearest folder at or above the spec that holds an `animerun.toml`, else the spec's own folder.
    """
    folder = path.resolve().parent
    return next((found for found in (folder, *folder.parents) if (found / PROJECT_FILE).is_file()), folder)


def name_in_project(path: Path) -> str:
    """Return the spec at *path* as named from its project folder: one name, however *path* is spelled."""
    return _relative(path, project_root(path))


def path_trouble(text: str) -> str:
    """Return why *text* is no path inside the project, empty when it may be one (it need not exist)."""
    if not text or "\0" in text:
        return "is no path"
    if PureWindowsPath(text).drive or "\\" in text:
        return "is not written with / and without a drive"
    if text.startswith(("/", "~")):
        return "is absolute; paths start at the project folder"
    if ".." in PurePosixPath(text).parts:
        return "leaves the project folder"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One file as read: the spec itself or something it includes."""

    path: str
    """Relative to the project folder; the spec's own is as the user wrote it."""
    root: Mapping
    reaches: frozenset[str] = frozenset()
    """Paths of all files it includes, directly or not."""


@dataclass(slots=True)
class Shelf:
    """Reads files once each and keeps what was read."""

    folder: Path
    faults: Faults
    files: list[SpecFile] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """Paths as messages show them, in the order reached."""
    libraries: list[Library] = field(default_factory=list)
    """Every library, those it includes before it."""
    _beside_spec: Path = Path()
    """Folder of the spec."""
    _reached: dict[str, frozenset[str]] = field(default_factory=dict)

    def open(self, path: Path, *, shown: str) -> Mapping | None:
        """Return the tree of *path*, or None with the mistakes noted."""
        if not self.shown:
            self._beside_spec = path.resolve().parent
        self.shown.append(shown)
        try:
            data = _bytes(path, shown)
            if known := not_a_spec(data):
                raise SpecError([Problem(message=known, path=shown)])
            composed = compose_with_warnings(data, path=shown)
        except SpecError as refused:
            self.faults.add(refused.problems)
            return None
        self.files.append(
            SpecFile(
                path=_relative(path, self.folder),
                sha256=hashlib.sha256(data).hexdigest(),
                size_bytes=len(data),
            )
        )
        self.faults.warn(composed.warnings)
        if isinstance(composed.root, Mapping):
            return without_ignored(composed.root)
        self.faults.at(composed.root.mark, "a spec is a map of words; begin with `animerun: 1`")
        return None

    def include(self, root: Mapping, *, depth: int = 0) -> frozenset[str]:
        """Read every library that *root* includes; return the paths of all it reaches."""
        reached: set[str] = set()
        for item in _listed(root.get("include")):
            reached |= self._library(item, depth)
        return frozenset(reached)

    def _library(self, item: Scalar, depth: int) -> frozenset[str]:
        path = self._resolve(item)
        if path is None:
            return frozenset()
        name = _relative(path, self.folder)
        if name in self._reached:
            return self._reached[name] | {name}
        self._reached[name] = frozenset()
        if depth >= LIBRARY_DEPTH:
            self.faults.at(item.mark, f"more than {LIBRARY_DEPTH} libraries include one another")
            return frozenset({name})
        root = self.open(path, shown=_shown(path))
        if root is not None:
            self._reached[name] = reaches = self.include(root, depth=depth + 1)
            self.libraries.append(Library(path=name, root=root, reaches=reaches))
        return self._reached[name] | {name}

    def _resolve(self, item: Scalar) -> Path | None:
        """Return the file that *item* names, or None with the mistake noted."""
        trouble = path_trouble(item.text)
        path = self.folder
        try:
            path = resolved(self.folder / item.text) if not trouble else path
        except OSError as fault:
            trouble = f"cannot be read: {fault.strerror}"
        if not trouble and not path.is_relative_to(self.folder):
            trouble = "leaves the project folder"
        if trouble:
            self.faults.at(item.mark, f"include: `{item.text}` {trouble} ({self.folder})")
            return None
        if not _is_file(path):
            self.faults.at(
                item.mark, f"include: there is no file `{item.text}` in {self._missing(item.text)}"
            )
            return None
        return path

    def _missing(self, text: str) -> str:
        """Return the project's folder, why it is that one, and where *text* is instead, if it is near."""
        marked = (self.folder / PROJECT_FILE).is_file()
        if marked and (beside := self._beside_spec / text) != self.folder / text and _is_file(beside):
            return f"{self.folder}, the project's folder; write `{_relative(beside, self.folder)}`"
        if marked:
            return f"{self.folder}, the project's folder"
        above = next((folder for folder in self.folder.parents[:_ABOVE] if _is_file(folder / text)), None)
        hint = f"; put an empty one into {above}, where the file is" if above else ""
        return f"{self.folder}, the project's folder, for there is no {PROJECT_FILE} in it or above{hint}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have, such as one that is too long
        return False


def without_ignored(root: Mapping) -> Mapping:
    """Return *root* without keys that begin with `x-`, at any depth; the others as names are compared."""
    kept = (entry for entry in root if not entry.key.text.startswith(IGNORED))
    entries = tuple(Entry(_named(entry.key), _kept(entry.value)) for entry in kept)
    return Mapping(entries, root.mark)


def _named(key: Scalar) -> Scalar:
    return key if key.text.isascii() else Scalar(key.name, key.mark, key.plain)


def _kept(node: Node) -> Node:
    if isinstance(node, Mapping):
        return without_ignored(node)
    if isinstance(node, Sequence):
        return Sequence(tuple(_kept(item) for item in node), node.mark)
    return node


def _listed(node: object) -> tuple[Scalar, ...]:
    items = node.items if isinstance(node, Sequence) else (node,)
    return tuple(item for item in items if isinstance(item, Scalar))


def _bytes(path: Path, shown: str) -> bytes:
    """Return the bytes of a regular file of bearable size."""
    limit = Limits().file_bytes
    try:
        # Asked before opening: to open a pipe is to wait for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SpecError([Problem(message="this is not a regular file", path=shown)])
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as fault:
        raise SpecError(
            [Problem(message=f"cannot be read: {fault.strerror or fault}", path=shown)]
        ) from fault
    if len(data) > limit:
        raise SpecError(
            [Problem(message=f"the file is larger than {limit:,} bytes, the most that is read", path=shown)]
        )
    return data


def _relative(path: Path, folder: Path) -> str:
    resolved = path.resolve()
    return resolved.relative_to(folder).as_posix() if resolved.is_relative_to(folder) else resolved.as_posix()


def _shown(path: Path) -> str:
    """Return *path* as the shorter of absolute and relative to the working folder."""
    absolute = str(path)
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return absolute
    return min(relative, absolute, key=len)
