"""Files of an earlier run in a new one: shared, not rendered again. An edited file is never shared."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from runner import door, system
from runner.domain import Output
from runner.errors import StorageError
from runner.text.filename import cut


@dataclass(frozen=True, slots=True)
class Held:
    """A recorded file of some run."""

    path: Path
    tail: str
    """What stands behind the deliver name in its path: node, number, extension."""
    sha256: str
    mtime_ns: int


_NO_LINKS: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EINVAL)
"""Where a file can have no second name. EINVAL: ERROR_INVALID_FUNCTION of Windows, on exFAT."""


def intact(folder: Path, outputs: Iterable[Output]) -> str:
    """Return why the files cannot be used, empty when they are what was recorded.

    Size and time of the last write are enough; where they differ, the content decides.
    """
    for output in outputs:
        try:
            found = os.stat(f"{folder}/{output.path}", follow_symlinks=False)  # noqa: PTH116 - for very many
        except OSError:
            return f"output file {output.path} is gone"
        if (found.st_size, found.st_mtime_ns) == (output.size, output.mtime_ns):
            continue
        if found.st_size != output.size or _sha256(folder / output.path) != output.sha256:
            return f"output file {output.path} was edited"
    return ""


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def relink(source: Path, output: Output, folder: Path, *, old_name: str, new_name: str, copy: bool) -> Output:
    """Put the file of *output* from run folder *source* into *folder*; return it as it is there.

    It is reflinked where the file system can, else hard-linked, else copied; always copied with *copy*. What
    stood behind the deliver name (node, number, extension) stands behind the new one. A file of that content
    that is there already serves; beside another one ours is called `NAME~2`, and nothing is replaced. Raises
    StorageError.
    """
    wanted = new_name + output.path.removeprefix(old_name)
    try:
        door.make_folder_below(folder, (folder / wanted).parent)
        target = _placed(source / output.path, folder / wanted, output.sha256, copy=copy)
        path = target.relative_to(folder).as_posix()
        return replace(output, path=path, mtime_ns=target.stat().st_mtime_ns)
    except OSError as error:
        raise StorageError.of(f"put {source / output.path} at", folder / wanted, error) from error


def unshare(
    folder: Path,
    paths: Iterable[Path],
    *,
    names: Callable[[], Container[str]],
    held: Callable[[Collection[str]], Iterable[Held]],
) -> None:
    """Remove those of *paths*, in *folder*, that a killed process took over from others and did not record.

    That is a file under the name that `relink` gives to one of *names*, of the same bytes and the same time
    of writing as one that another run recorded and has as it was; *held* tells these for contents. Raises
    StorageError.
    """
    content: dict[str, list[Path]] = {}
    for path in paths:
        if path.is_file() and not path.is_symlink():
            content.setdefault(_sha256(path), []).append(path)
    twins = list(held(content.keys())) if content else []
    known = names() if twins else ()
    for twin in twins:
        for path in content[twin.sha256]:
            try:
                _remove_copy(path, path.relative_to(folder).as_posix(), twin, known)
            except OSError as error:
                raise StorageError.of("remove", path, error) from error


def _remove_copy(path: Path, name: str, twin: Held, known: Container[str]) -> None:
    """Remove *path*, called *name*, if it is ours, and no more than one name of what *twin* is."""
    end, dot, extension = twin.tail.rpartition(".")
    shape = re.fullmatch(rf"(.+?){re.escape(end)}(?:~\d+)?{re.escape(dot + extension)}", name, re.DOTALL)
    ours = shape is not None and shape[1] in known and path.exists()
    if ours and path.stat().st_mtime_ns == twin.mtime_ns and _sha256(twin.path) == twin.sha256:
        door.unlink(path)


def _placed(source: Path, wanted: Path, sha256: str, *, copy: bool) -> Path:
    for count in range(1, 10_000):
        target = wanted if count == 1 else wanted.with_name(f"{wanted.stem}~{count}{wanted.suffix}")
        try:
            _share(source, target, copy=copy)
        except FileExistsError:
            if target.is_symlink() or not target.is_file() or _sha256(target) != sha256:
                continue
        return target
    raise FileExistsError(f"{wanted.name} and 9,998 others exist")


def _share(source: Path, target: Path, *, copy: bool) -> None:
    """Make *target*, whole or not at all; raises FileExistsError when something is there."""
    if target.exists() or target.is_symlink():
        raise FileExistsError(str(target))
    part = target.with_name(f".{cut(target.name, 80)}.{door.token(4)}.part")
    try:
        if not copy and not _reflink(source, part) and _hardlink(source, target):
            return
        if not part.exists():
            _copy(source, part)
        shutil.copystat(source, part)
        door.rename(part, target)
    finally:
        door.unlink(part)


def _copy(source: Path, part: Path) -> None:
    with source.open("rb") as reading, door.File(part, "xb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.sync()


def _reflink(source: Path, part: Path) -> bool:
    """Make *part* share the blocks of *source*; tell whether the file system can."""
    with source.open("rb") as reading, door.File(part, "xb") as writing:
        shared = system.share_blocks(reading.fileno(), writing.fileno())
    if not shared:
        door.unlink(part)
    return shared


def _hardlink(source: Path, target: Path) -> bool:
    try:
        door.link(source, target)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True
