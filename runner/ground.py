"""What this machine must give before a run: enough open files, and locks that hold where the record lies."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from runner import door, locks, system
from runner.errors import StorageError

MOUNTS = Path("/proc/self/mounts")
"""`device folder type options …` a line (proc_pid_mounts(5)); blanks in names are written \\040."""
NETWORK = re.compile(r"nfs4?|cifs|smb\w*|9p|afs|ncpfs|ceph|glusterfs|lustre|beegfs|davfs|virtiofs|fuse\.\w+")
"""Kinds of file systems whose files other machines may write."""
FILES, FILES_A_SERVER = 64, 32
"""Open files: of the run itself (record, index, console), and for each server (connections, downloads)."""

_CHILD = """
import sys
from runner import locks
with open(sys.argv[1], "rb") as file:
    sys.exit(3 if locks.held(file.fileno()) else 0)
"""
_KEPT = 3


def ready(runs: Path, *, servers: int) -> tuple[str, ...]:
    """Return what a person should know about the place of a run in *runs* on so many *servers*.

    Raises StorageError where two processes could hold one lock there, or when too few files may be open.
    """
    _allow_files(FILES + FILES_A_SERVER * max(servers, 1))
    kind = file_system(runs)
    if not locks.AVAILABLE:
        return ("this system has no file locks: two runs of one spec at once would both make its pictures",)
    if not NETWORK.fullmatch(kind):
        return ()
    if not _keeps_locks(runs):
        raise StorageError(
            f"{runs} lies on a network file system ({kind}) without locks: two runs could write one record",
            hint="a folder on a disk of this machine: --runs DIR",
        )
    return (
        f"{runs} lies on a network file system ({kind}): locks hold there now, but not through every outage, "
        "and what is synced may be lost with the server; a disk of this machine is safer: --runs DIR",
    )


def file_system(path: Path) -> str:
    """Return the kind of file system that *path* lies on, or will; empty where nobody can say."""
    try:
        lines = MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    place = path.resolve()
    found, depth = "", -1
    for line in lines:
        _, folder, kind, *_ = line.split(" ")
        mounted = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), folder))
        # Of two on one folder the later one hides the other.
        if place.is_relative_to(mounted) and len(mounted.parts) >= depth:
            found, depth = kind, len(mounted.parts)
    return found


def _keeps_locks(runs: Path) -> bool:
    """Return whether another process sees a lock of this one; within one process NFS would not tell."""
    path = runs / f".locks-{door.token(4)}"
    try:
        door.make_folder(runs)
        try:
            with door.File(path, "xb") as file:
                locks.take_at_once(file.fileno())
                child = subprocess.run([sys.executable, "-c", _CHILD, str(path)], check=False, timeout=30)
        finally:
            door.unlink(path)
    except OSError as error:
        raise StorageError.of("lock a file in", runs, error) from error
    return child.returncode == _KEPT


def _allow_files(needed: int) -> None:
    """Have the system allow this process so many open files; raises StorageError where it will not."""
    most = system.allow_open_files(needed)
    if most is not None:
        raise StorageError(
            f"this process may have {most} files open, and a run on these servers needs up to {needed}",
            hint=f"allow it more (ulimit -n {needed}, LimitNOFILE=), or use fewer servers",
        )
