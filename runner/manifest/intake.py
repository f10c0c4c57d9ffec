"""What comes in: a run's folder out of a file that `export_run` wrote, checked before it is moved in place.

Nothing of the file is trusted: entries are plain files under the run's own name, names are harmless, there
are no links, no devices, no sparse files, and never more bytes than the file itself has. The journal must be
whole; outputs are compared with what it says of them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from runner import beneath, door
from runner.errors import RecordDamaged, StorageError, UsageError
from runner.manifest.journal import Line, Reading
from runner.manifest.store import JOURNAL, NOTES, PUBLISHED, try_out
from runner.text.letters import is_letter, strange
from runner.text.shown import shown

MOST_FILES = 5_000_000
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE)
_LONGEST_NAME = 64 * 1024
_SPARE = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of taking a run in. Sizes in bytes."""

    run: str
    new: bool
    """False: the same run is there already and nothing was done."""
    files: int = 0
    size: int = 0
    changed: tuple[str, ...] = ()
    """Outputs that are not what the journal says, relative to the run's folder."""
    missing: tuple[str, ...] = ()


def import_run(file: Path, runs: Path) -> Taken:
    """Take the run in *file* into the folder *runs*, durable on return.

    Raises UsageError for a file that is no exported run or names what it may not, and for a run of that name
    with another journal; RecordDamaged for a journal that is not whole; StorageError for the local disk.
    Whatever goes wrong, nothing is left in *runs*.
    """
    try:
        with file.open("rb") as opened:
            _check_blocks(opened, file)
            return _take(opened, file, runs)
    except tarfile.TarError as error:
        raise UsageError(f"{file} is no file that animerun export wrote ({error})") from error
    except OSError as error:
        raise StorageError(f"cannot import {file}: {error.strerror or error}") from error


def _check_blocks(opened: BinaryIO, file: Path) -> None:
    """Go through the headers alone, before a library believes one of them."""
    size, count = os.fstat(opened.fileno()).st_size, 0
    while (block := opened.read(tarfile.BLOCKSIZE)) and block.strip(b"\0"):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        long = member.type in _LONG_NAMES
        if not (long or member.type in _PLAIN or member.type == tarfile.DIRTYPE):
            raise UsageError(
                f"{file} holds `{shown(member.name)}`, which is no plain file; nothing was taken from it"
            )
        if member.size < 0 or (long and member.size > _LONGEST_NAME):
            raise UsageError(f"{file} holds a name that is too long; nothing was taken from it")
        count += not long
        if count > MOST_FILES:
            raise UsageError(f"{file} holds more than {MOST_FILES:,} files; nothing was taken from it")
        opened.seek(-(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE, os.SEEK_CUR)
        if opened.tell() > size:
            raise UsageError(f"{file} ends too early: it was not copied whole")
    opened.seek(0)


def _take(opened: BinaryIO, file: Path, runs: Path) -> Taken:
    door.make_folder(runs)
    need, free = os.fstat(opened.fileno()).st_size, shutil.disk_usage(runs).free
    if need + _SPARE > free:
        raise StorageError(f"{file} needs {need:,} bytes in {runs}, where {free:,} are free")
    place = runs / beneath.fresh_name(".import-")
    door.make_folder(place)
    try:
        with tarfile.open(fileobj=opened, mode="r:") as tar:
            run, hashes = _unpack(tar, place, file)
        return _move(place / run, runs / run, hashes)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _unpack(tar: tarfile.TarFile, place: Path, file: Path) -> tuple[str, dict[str, tuple[int, str]]]:
    """Write every file below *place*; return the run's name, and path → (size, sha256)."""
    run = ""
    hashes: dict[str, tuple[int, str]] = {}
    for member in tar:
        reason = _unwanted(member, run)
        name = member.name.partition("/")[2]
        if not reason and name in hashes:
            reason = "a name that was there before"
        if reason:
            raise UsageError(f"{file} holds `{shown(member.name)}`: {reason}; nothing was taken from it")
        run = run or member.name.partition("/")[0]
        if member.isfile():
            source = tar.extractfile(member)
            assert source is not None
            with source:
                hashes[name] = (member.size, _write(source, place / member.name))
    if JOURNAL not in hashes:
        raise UsageError(f"{file} holds no {JOURNAL}; it is no file that animerun export wrote")
    return run, hashes


def _unwanted(member: tarfile.TarInfo, run: str) -> str:
    """Return what is wrong with an entry, empty when nothing is."""
    if not (member.isreg() or member.isdir()) or member.issparse():
        return "no plain file"
    parts = member.name.split("/")
    if parts[0].lower().startswith(PUBLISHED):
        return "a name that the index has"
    if not _is_run(parts[0]) or (run and parts[0] != run) or (member.isreg() and len(parts) < 2):
        return "not in the folder of the run"
    return unwanted_path("/".join(parts[1:])) if len(parts) > 1 else ""


def _is_run(name: str) -> bool:
    return is_letter(name[:1]) and not strange(name, "._-") and len(name.encode()) <= 255


def unwanted_path(path: str) -> str:
    """Return why *path* may not be the place of a file in a run's folder, empty when it may."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "a name that leads elsewhere"
    if parts[0] != "plan" and any(part.startswith(".") for part in parts):
        return "a hidden name"
    if "\\" in path or any(unicodedata.category(ch) == "Cc" for ch in path):
        return "a name with a backslash or a control character"
    long = len(parts) > 32 or any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in parts)
    return "a name that is too long or too deep" if long else ""


def _write(source: IO[bytes], target: Path) -> str:
    door.make_folder(target.parent)
    check = hashlib.sha256()
    with door.File(target, "xb") as file:
        while block := source.read(1 << 20):
            check.update(block)
            file.write(block)
        file.sync()
    return check.hexdigest()


def _move(folder: Path, target: Path, hashes: dict[str, tuple[int, str]]) -> Taken:
    """Try the record out, compare the files with it, and move the folder in place."""
    try_out(folder)
    changed, missing = _compare(folder, hashes)
    if target.exists():
        if _sha256(target / JOURNAL) == hashes[JOURNAL][1]:
            return Taken(run=folder.name, new=False)
        raise UsageError(
            f"{target} is there already and is another run of that name, or the same at another time; "
            "nothing was changed",
            hint="import into another folder: --runs DIR",
        )
    for place, _, _ in os.walk(folder, topdown=False):
        door.sync_folder(Path(place))
    door.rename(folder, target)
    door.sync_folder(target.parent)
    size = sum(size for size, _ in hashes.values())
    return Taken(run=folder.name, new=True, files=len(hashes), size=size, changed=changed, missing=missing)


def _compare(folder: Path, hashes: dict[str, tuple[int, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the outputs that differ from the record and those that are not there. The record is whole."""
    changed, missing = [], []
    for output in _recorded(folder):
        path = output["path"]
        if not isinstance(path, str) or unwanted_path(path):
            what = f"the journal names an output `{shown(str(path))}`"
            raise UsageError(f"{what}, which is no place in a run's folder")
        found = hashes.get(path)
        if found is None:
            missing.append(path)
        elif found != (output["size"], output["sha256"]):
            changed.append(path)
        elif isinstance(written := output.get("mtime_ns"), int) and written:
            # Reuse looks at sizes and times first; these bytes have just been compared.
            os.utime(folder / path, ns=(written, written))
    return tuple(changed), tuple(missing)


def _recorded(folder: Path) -> Iterator[Line]:
    for name in (JOURNAL, NOTES):
        if not (folder / name).is_file():
            continue
        reading = Reading(folder / name)
        for number, line in enumerate(reading):
            if number == 0 and (line["t"], line.get("run")) != ("journal", folder.name):
                raise RecordDamaged(f"{name} in the file is not that of the run {folder.name}", hint=_AGAIN)
            if line["t"] in ("done", "reused"):
                yield from line["outputs"]
        if reading.torn or reading.position.line == 1:
            raise RecordDamaged(f"{name} in the file is not whole", hint=_AGAIN)


_AGAIN = "export the run again, and copy the file whole"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
