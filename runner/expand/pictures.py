"""Files of the project that a spec names: they must exist, globs must match."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from runner.domain import Parameter, Plain
from runner.faults import Faults
from runner.text.letters import composed, folded
from runner.text.nearest import did_you_mean
from runner.text.tree import Mark, Node, Scalar
from runner.values import project_path
from runner.values.links import resolved

MOST_FILES = 10_000


@dataclass(slots=True)
class Pictures:
    """Looks files up below the project folder, each path once.

    With *frozen*, the files that a run was planned with, the folder is not looked into: a file was there when
    the run began, and a glob matches what it matched then.
    """

    root: Path
    faults: Faults
    frozen: Collection[str] | None = None
    _globs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)

    def found(self, value: Plain, parameter: Parameter, mark: Mark) -> Plain:
        """Return *value* with a glob replaced by its files; notes what does not exist."""
        if parameter.type in ("image", "video", "audio") and isinstance(value, dict):
            self._check(value["$file"], mark)
        if parameter.type == "images" and isinstance(value, dict):
            files = self._listed(value["$glob"], mark)
            self._check_number(files, parameter, mark)
            return [{"$file": file} for file in files]
        return value

    def glob(self, node: Node) -> list[Plain]:
        """Return the files that the reference *node* of a character names."""
        if not isinstance(node, Scalar):
            self.faults.at(node.mark, "`refs` takes a glob or a list of them")
            return []
        try:
            pattern = project_path(node.text)
        except ValueError as error:
            self.faults.at(node.mark, f"`refs: {node.text}`: {error}")
            return []
        return [{"$file": file} for file in self._listed(pattern, node.mark)]

    def _check(self, path: str, mark: Mark) -> None:
        if self.frozen is not None:
            return
        if path not in self._files:
            self._files[path] = self._trouble(path)
        if self._files[path]:
            self.faults.at(mark, self._files[path])

    def _trouble(self, path: str) -> str:
        try:
            file = resolved(self.root / path)
        except OSError as fault:
            return f"`{path}` is no file: {fault.strerror}"
        if not file.is_relative_to(self.root):
            return f"`{path}` leads out of the project folder {self.root}"
        return "" if _is_file(file) else f"there is no file `{path}` in {self.root}{self._near(path)}"

    def _near(self, path: str) -> str:
        """Return the nearest file beside where *path* would be; its name may differ in normal form alone."""
        try:
            beside = [file.relative_to(self.root).as_posix() for file in (self.root / path).parent.iterdir()]
        except OSError:
            return ""
        same = next((name for name in beside if folded(name) == folded(path)), None)
        if same is not None and composed(same) == composed(path):
            return "; a file there has this name in another normal form (NFC, NFD): rename it"
        return f"; did you mean `{same}`?" if same else did_you_mean(path, beside)

    def _listed(self, pattern: str, mark: Mark) -> tuple[str, ...]:
        if pattern not in self._globs:
            kept = self.frozen
            self._globs[pattern] = self._matching(pattern) if kept is None else _of(kept, pattern)
        if not self._globs[pattern] and self.frozen is None:
            self.faults.at(mark, f"no file matches `{pattern}` in {self.root}")
        return self._globs[pattern]

    def _matching(self, pattern: str) -> tuple[str, ...]:
        try:
            found = sorted(
                path.relative_to(self.root).as_posix()
                for path in self.root.glob(pattern)
                if path.is_file() and path.resolve().is_relative_to(self.root)
            )
        except (OSError, ValueError):  # what no file can be called, such as `a**` or a name that is too long
            return ()
        return tuple(found[:MOST_FILES])

    def _check_number(self, files: tuple[str, ...], parameter: Parameter, mark: Mark) -> None:
        if self.frozen is not None:
            return
        for limit, beyond, what in ((parameter.min, -1, "at least"), (parameter.max, 1, "at most")):
            if limit is not None and files and (len(files) - float(limit)) * beyond > 0:
                self.faults.at(
                    mark, f"`{parameter.name}` takes {what} {limit} pictures; {len(files)} match here"
                )


def _of(paths: Collection[str], pattern: str) -> tuple[str, ...]:
    """Return those of *paths* that the glob *pattern* matches, sorted."""
    parts = pattern.split("/")
    return tuple(sorted(path for path in paths if _matches(path.split("/"), parts)))


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    if not path or not pattern:
        return not path and not pattern
    if pattern[0] == "**":
        return _matches(path, pattern[1:]) or _matches(path[1:], pattern)
    return fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have, such as one that is too long
        return False
