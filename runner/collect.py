"""Files that a server names → verified, hashed files in the run's folder. Knows no HTTP.

A file counts only when all of its bytes are here, are what they claim to be, and lie under their final name.
Names come from us: of what a server says only an extension becomes a part of a path, and only where the bytes
do not tell their type (`comfy.media`).

Beside each file lies its `.part`, a second name of it, until the record tells of the file. A killed process
leaves the two behind, and so it can be told that an unrecorded file is ours to remove (`discard`).

The pixels hash is the sha256 of the ASCII line `MODE WIDTH HEIGHT FRAMES` and a newline, followed by the raw
samples of every frame, top row first, as Pillow's `tobytes` gives them. Still pictures keep their mode
(palettes become RGB, or RGBA where something is transparent); frames of animations are RGBA. Metadata
does not count.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from runner import door
from runner.comfy.protocol import FileRef, printable
from runner.comfy.sniff import Facts, Unwanted, examine
from runner.comfy.verdict import Uncollected
from runner.domain import Fault, Output, OutputKind
from runner.errors import Ambiguous, Refused, StorageError
from runner.pictures import NotWhole
from runner.text.filename import cut, node_part

Sink = Callable[[bytes], None]
Fetch = Callable[[FileRef, Sink, int], Awaitable[int]]
"""Sends the bytes of a file to the sink, at most so many; returns how many were announced, -1 for none."""

_MIB = 2**20
_GIB = 2**30
_LOOK = 64 * _MIB
"""Bytes written between two looks at what is free on the disk."""
_LONGEST = 200
"""Bytes of a file's name before its number, its copy mark and its extension; file systems take 255."""
_FINAL = (0, 400, 404, 410, 413)
"""Statuses that are about this file; any other refusal is the door's, and that may open."""
_RETRY: Mapping[str, Literal["elsewhere", "again"]] = {
    "DOWNLOAD_CORRUPT": "again",
    "SERVER_REJECTS": "elsewhere",
    "CACHED_OUTPUT": "again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The most that is taken from a server. Bytes and pixels."""

    image: int = 512 * _MIB
    other: int = 8 * _GIB
    files: int = 10_000
    """Of one job; setting `max_job_files`."""
    together: int = 64 * _GIB
    """Of all files of one job; setting `max_job_size`."""
    reserve: int = _GIB // 4
    """What stays free on the disk, for the record above all; setting `disk_reserve`."""
    pixels: int = 64_000_000
    """Per frame, checked before anything is decoded."""
    tries: int = 8
    """Downloads of one file until one is whole: to render it again costs more than any of them."""
    pause_s: float = 0.1
    """Before the second download; doubles with each further one, to 6 s before the last."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One file to be fetched."""

    ref: FileRef
    stem: str
    kind: OutputKind
    bounds: Bounds
    left: int
    """Bytes that the job may still have."""

    @property
    def most(self) -> int:
        """Bytes that are taken of it."""
        return min(self.left, self.bounds.image if self.kind == "image" else self.bounds.other)


async def collect(
    refs: Sequence[FileRef],
    *,
    fetch: Fetch,
    folder: Path,
    name: str,
    outputs: Mapping[str, OutputKind],
    bounds: Bounds | None = None,
) -> tuple[Output, ...]:
    """Return every file of *refs*, verified and durable, in their order.

    Args:
        refs: Files of declared nodes; others are left out.
        fetch: How to get one.
        folder: The run's folder; made where missing.
        name: Deliver name: relative path with `/`, without extension.
        outputs: Declared nodes and what each saves.
        bounds: Limits.

    Raises:
        Uncollected: An output is damaged, too large, of another kind, or gone; or there are too many.
        StorageError: The local disk is full or nearly so, read-only or not ours.

    """
    limits = bounds or Bounds()
    wanted = [ref for ref in refs if ref.node in outputs]
    if len(wanted) > limits.files:
        raise Uncollected(_too_many(wanted, limits.files))
    stems = _stems(wanted, name, outputs)
    taken: list[Output] = []
    left = limits.together
    try:
        for ref, stem in zip(wanted, stems, strict=True):
            one = _Wanted(ref, stem, outputs[ref.node], limits, left)
            taken.append(await _take(one, fetch=fetch, folder=folder))
            left -= taken[-1].size
    except BaseException:
        # No record will tell of them.
        for output in taken:
            discard(part_of(folder / output.path, output.mtime_ns))
        raise
    return tuple(taken)


def part_of(path: Path, mtime_ns: int) -> Path:
    """Return the second name that a collected *path*, written at *mtime_ns*, has until it is recorded."""
    mark = hashlib.sha256(f"{path.name} {mtime_ns}".encode()).hexdigest()[:8]
    return path.with_name(f".{cut(path.name, 80)}.{mark}.part")


def discard(part: Path, recorded: Container[Path] = ()) -> None:
    """Remove a download, and the name it was given, unless that is *recorded*; raises StorageError.

    Only what is one file with *part*, under the name and of the time that *part* stands for, was named by us
    and written by nobody since.
    """
    try:
        named = part.exists() and part.stat().st_nlink > 1
        for path in part.parent.iterdir() if named else ():
            found = path.lstat()
            ours = part_of(path, found.st_mtime_ns) == part and found.st_ino == part.stat().st_ino
            if ours and path not in recorded:
                door.unlink(path)
    except OSError as error:
        raise _storage("remove", part, error) from error
    _remove(part)


def _stems(refs: Sequence[FileRef], name: str, outputs: Mapping[str, OutputKind]) -> tuple[str, ...]:
    """Return a name for each, without extension; `_NODE` and `.0001` where there are several."""
    counts = Counter(ref.node for ref in refs)
    whole = {ref.node: _short(name + (f"_{node_part(ref.node)}" if len(outputs) > 1 else "")) for ref in refs}
    return tuple(whole[ref.node] + (f".{ref.index + 1:04d}" if counts[ref.node] > 1 else "") for ref in refs)


def _short(name: str) -> str:
    """Return *name* with a last part that every file system takes, number and extension after it."""
    parent, slash, last = name.rpartition("/")
    if len(last.encode("utf-8", "replace")) <= _LONGEST:
        return name
    mark = hashlib.sha256(last.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{parent}{slash}{cut(last, _LONGEST - 9)}-{mark}"


async def _take(one: _Wanted, *, fetch: Fetch, folder: Path) -> Output:
    reason = code = ""
    seen: set[str] = set()
    for count in range(one.bounds.tries):
        if count:
            await asyncio.sleep(one.bounds.pause_s * 2 ** (count - 1))
        part = _part(folder, one.stem)
        try:
            announced = await _download(one, part, folder, fetch)
            # Decoding and fsync would hold up every other attempt.
            return await asyncio.to_thread(_settle, one, part, folder, announced, seen)
        except (NotWhole, Ambiguous) as error:
            code, reason = "DOWNLOAD_CORRUPT", str(error)
        except Unwanted as error:
            raise Uncollected(_fault(one.ref, error.code, str(error))) from error
        except Refused as error:
            if error.status in _FINAL:
                raise Uncollected(_refused(one, error)) from error
            code, reason = "SERVER_REJECTS", str(error)
        finally:
            _remove(part)
    raise Uncollected(_fault(one.ref, code, f"{reason} ({one.bounds.tries} downloads)"))


def _fault(ref: FileRef, code: str, reason: str) -> Fault:
    message = f"{printable(ref.filename, limit=100)} of node {ref.node}: {printable(reason, limit=350)}"
    return Fault(code=code, retry=_RETRY.get(code, "never"), message=message[:500], node=ref.node)


def _too_many(refs: Sequence[FileRef], most: int) -> Fault:
    node, count = Counter(ref.node for ref in refs).most_common(1)[0]
    listed = f"the server lists {len(refs):,} files of this job, {count:,} of them of node {node}"
    message = f"{listed}; at most {most:,} are taken (`max_job_files` in animerun.toml)"
    return Fault(code="TOO_LARGE", message=message, node=node)


def _refused(one: _Wanted, error: Refused) -> Fault:
    if error.status == 413 and one.most == one.left:
        most = f"all files of one job together may have {one.bounds.together:,} bytes"
        return _fault(one.ref, "TOO_LARGE", f"{most} (`max_job_size` in animerun.toml)")
    if error.status == 413:
        return _fault(one.ref, "TOO_LARGE", str(error))
    if error.status == 404:
        return _fault(one.ref, "CACHED_OUTPUT", "the server lists this file but has it no longer")
    return _fault(one.ref, "BAD_OUTPUT", str(error))


def _part(folder: Path, stem: str) -> Path:
    """Return a name for a download that has no other yet."""
    parent, _, last = stem.rpartition("/")
    return folder / parent / f".{cut(last, 80)}.{door.token(4)}.part"


async def _download(one: _Wanted, part: Path, folder: Path, fetch: Fetch) -> int:
    """Fetch the file into *part*; return how many bytes the server announced, -1 where it did not."""
    with _create(part, folder) as file:
        _check_reserve(part, one.bounds.reserve)
        looked = written = 0

        def write(chunk: bytes) -> None:
            nonlocal looked, written
            if (written := written + len(chunk)) - looked > _LOOK:
                _check_reserve(part, one.bounds.reserve)
                looked = written
            try:
                file.write(chunk)
            except OSError as error:
                raise _storage("write", part, error) from error

        return await fetch(one.ref, write, one.most)


def _check_reserve(part: Path, reserve: int) -> None:
    """Raise StorageError where less is free than is to stay free."""
    free = door.free_bytes(part.parent) if reserve else 0
    if reserve and free < reserve:
        told = f"{free:,} bytes are free at {part.parent}, and {reserve:,} are to stay free"
        hint = "free some space, then the same command again; or a smaller `disk_reserve` in animerun.toml"
        raise StorageError(told, hint=hint)


def _create(part: Path, folder: Path) -> door.File:
    """Open a file that was not there, following no link out of *folder*."""
    try:
        door.make_folder_below(folder, part.parent)
        return door.File(part, "xb")
    except OSError as error:
        raise _storage("create", part, error) from error


def _settle(one: _Wanted, part: Path, folder: Path, announced: int, seen: set[str]) -> Output:
    """Verify the finished download, make it durable and give it its name.

    *seen* are the hashes of the downloads before it, to which its own is added.
    """
    ref, kind = one.ref, one.kind
    try:
        digest, size = _hash(part)
        again = digest in seen
        seen.add(digest)
        facts = examine(
            part,
            kind=kind,
            pixels=one.bounds.pixels,
            name=ref.filename,
            fits=announced == size,
            again=again,
        )
        with door.File(part, "ab") as file:
            file.sync()
        path = _name(part, folder, f"{one.stem}.{facts.extension}", digest)
        door.sync_folder(path.parent)
        mtime_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise _storage("store", folder / one.stem, error) from error
    return replace(_output(ref, path.relative_to(folder), facts, kind, digest, size), mtime_ns=mtime_ns)


def _output(ref: FileRef, path: Path, facts: Facts, kind: OutputKind, digest: str, size: int) -> Output:
    return Output(
        node=ref.node,
        index=ref.index,
        path=path.as_posix(),
        sha256=digest,
        size=size,
        kind=kind,
        pixels=facts.pixels,
        width=facts.width,
        height=facts.height,
        frames=facts.frames,
        server_name=printable(ref.server_name, limit=400),
        media=facts.media,
    )


def _name(part: Path, folder: Path, name: str, digest: str) -> Path:
    """Give *part* its name beside its own, replacing nothing: another file there moves ours to `NAME~2`."""
    stem, _, extension = name.rpartition(".")
    for count in range(1, 10_000):
        path = folder / (name if count == 1 else f"{stem}~{count}.{extension}")
        kept = part_of(path, part.stat().st_mtime_ns)
        door.rename(part, kept)
        part = kept
        try:
            door.link(part, path)
        except FileExistsError:
            if not path.is_symlink() and path.is_file() and _hash(path)[0] == digest:
                door.unlink(part)
                return path
            continue
        except OSError:
            return _rename(part, path)
        return path
    raise FileExistsError(f"{name} and 9,999 others exist")


def _rename(part: Path, path: Path) -> Path:
    """Rename where the file system has no hard links; one writer per run makes the look before it enough."""
    if path.exists() or path.is_symlink():
        raise FileExistsError(str(path))
    door.rename(part, path)
    return path


def _hash(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def _remove(part: Path) -> None:
    try:
        door.unlink(part)
    except OSError as error:
        raise _storage("remove", part, error) from error


def _storage(operation: str, path: Path, error: OSError) -> StorageError:
    return StorageError.of(operation, path, error)
