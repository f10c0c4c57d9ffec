"""Files of an earlier run in a new one: shared, not rendered again. An edited file is never shared."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from runner.domain import Output
from runner.errors import StorageError

_FICLONE: Final = 0x40049409
"""ioctl that shares the blocks of a file. Source: Linux include/uapi/linux/fs.h."""


def intact(folder: Path, outputs: Iterable[Output]) -> str:
    """Return why the files cannot be used, empty when they are what was recorded.

    Size and time of the last write are enough; where they differ, the content decides.
    """
    for output in outputs:
        path = folder / output.path
        try:
            found = path.stat(follow_symlinks=False)
        except OSError:
            return f"output file {output.path} is gone"
        if (found.st_size, found.st_mtime_ns) == (output.size, output.mtime_ns):
            continue
        if found.st_size != output.size or _sha256(path) != output.sha256:
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
    stood behind the deliver name (node, number, extension) stands behind the new one. Raises StorageError;
    a file of another content under that name is never replaced.
    """
    path = new_name + output.path.removeprefix(old_name)
    target = folder / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _share(source / output.path, target, copy=copy)
        return replace(output, path=path, mtime_ns=target.stat().st_mtime_ns)
    except OSError as error:
        raise StorageError(f"cannot put {source / output.path} at {target}: {error.strerror}") from error


def _share(source: Path, target: Path, *, copy: bool) -> None:
    if not copy and (_reflink(source, target) or _hardlink(source, target)):
        return
    with source.open("rb") as reading, target.open("xb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())
    shutil.copystat(source, target)


def _reflink(source: Path, target: Path) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    with source.open("rb") as reading, target.open("xb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError:
            shared = False
        else:
            shared = True
    if shared:
        shutil.copystat(source, target)
    else:
        target.unlink()
    return shared


def _hardlink(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            return False
        raise
    return True
