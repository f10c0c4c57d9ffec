"""The pictures, videos and sounds of a project that jobs use, known by their content."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path

from runner.text.nearest import did_you_mean
from runner.values.links import ROUND, resolved

INPUT_LIMIT = 512 * 1024 * 1024
_INPUTS = {
    *("png", "jpg", "jpeg", "webp", "gif", "bmp", "mp4", "webm", "mov", "mkv"),
    *("wav", "mp3", "flac", "ogg", "opus", "m4a", "aac"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file of the project that a job uses."""

    name: str
    """`<sha256>.<ext>`: the name it is uploaded under."""
    project: str
    """Path relative to the project folder, as in the spec."""
    path: Path
    size: int


def input_file(root: Path, project: str) -> InputFile | str:
    """Return the input file, or the sentence that says why it cannot be used."""
    real = _place(root, project)
    if isinstance(real, str):
        return real
    suffix = real.suffix.lower().lstrip(".")
    if not real.is_file():
        return f"{project} is not a file"
    if suffix not in _INPUTS:
        ends = ", ".join(sorted(_INPUTS))
        return f"{project} is no picture, video or sound; its name must end in one of {ends}"
    if real.stat().st_size > INPUT_LIMIT:
        return f"{project} is larger than {INPUT_LIMIT // 2**20} MiB"
    with real.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return InputFile(name=f"{digest}.{suffix}", project=project, path=real, size=real.stat().st_size)


def _place(root: Path, project: str) -> Path | str:
    """Return where *project* lies, or why it cannot be used; nothing outside *root* is looked at."""
    absent = f"there is no file {project} in the project"
    try:
        real = resolved(root / project)
    except OSError as fault:
        return f"{project} is no file: {ROUND}" if fault.errno == errno.ELOOP else absent
    except ValueError:
        return absent
    if not real.is_relative_to(root.resolve()):
        return f"{project} leads out of the project folder {root}"
    try:
        real.stat()
    except OSError:
        return absent + did_you_mean(real.name, _beside(real))
    return real


def _beside(path: Path) -> list[str]:
    """Return the names in the folder of *path*; none when that cannot be looked into."""
    try:
        return sorted(each.name for each in path.parent.iterdir())
    except (OSError, ValueError):
        return []
