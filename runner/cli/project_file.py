"""`animerun.toml`: settings that a project brings, read as what they are: somebody's claims.

Every file it names is a regular file of the project and is reached without links; every number has its range.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runner import beneath
from runner.errors import UsageError
from runner.text.nearest import did_you_mean

PROJECT_FILE: Final = "animerun.toml"
_MOST: Final = 1_000_000
"""Bytes of the file; and the largest number of jobs, files and attempts."""
_MOST_DOTS: Final = 2_000
"""In one line: a key of many parts takes tomllib time by their square."""
_MOST_SUMS: Final = 16_000_000
"""Bytes of a list of sums."""
_SUM: Final = re.compile(
    r"(?P<sha256>[0-9a-fA-F]{64}) [ *](?:\./)?(?:models/)?(?P<folder>[^/]+)/(?P<name>.+)"
)
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,3})?)\s*([KMGT]?)i?B?", re.IGNORECASE)
_SIZES: Final = ("max_job_size", "disk_reserve")
_NUMBERS: Final = {
    "depth": range(1, 65),
    "attempts": range(1, 1_001),
    "max_jobs": range(1, 100 * _MOST),
    "max_job_files": range(1, _MOST + 1),
}
_SWITCHES: Final = ("allow_plain_http", "allow_insecure_tls", "require_uniform", "require_all", "strict")
_LISTS: Final = ("servers", "allow_nodes")
_PATHS: Final = ("runs", "model_sums", "ca_file")
_ELSEWHERE: Final = {
    "runs": "a person names what lies elsewhere: --runs DIR or ANIMERUN_RUNS",
    "model_sums": "a person names what lies elsewhere: ANIMERUN_MODEL_SUMS",
}
_KEYS: Final = (*_LISTS, *_NUMBERS, *_SIZES, *_SWITCHES, *_PATHS)


def read_project_file(folder: Path) -> dict[str, Any]:
    """Return the settings in the `animerun.toml` of *folder*; paths are absolute. Raises UsageError."""
    path = folder / PROJECT_FILE
    try:
        text = _text(path, _MOST)
        if max((line.count(".") for line in text.splitlines()), default=0) > _MOST_DOTS:
            raise UsageError(f"{path}: a line has more than {_MOST_DOTS:,} dots")
        content = tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"{path}: it is nested too deeply") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: a number in it has too many digits") from error
    return {name: _value(path, name, value) for name, value in content.items()}


def _value(path: Path, name: str, value: Any) -> Any:
    if name not in _KEYS:
        raise UsageError(f"{path}: unknown key `{name}`{did_you_mean(name, _KEYS)}")
    if name in _SIZES:
        return _size(path, name, value)
    if name in _LISTS and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    if name in _SWITCHES and isinstance(value, bool):
        return value
    if name in _NUMBERS and type(value) is int and value in _NUMBERS[name]:
        return value
    if name in _PATHS and isinstance(value, str):
        return _inside(path, name, value)
    raise UsageError(f"{path}: `{name}` must be {_wanted(name)}")


def _wanted(name: str) -> str:
    if found := _NUMBERS.get(name):
        return f"a number from {found.start:,} to {found.stop - 1:,}"
    return "a list of texts" if name in _LISTS else "true or false" if name in _SWITCHES else "a path"


def _size(path: Path, name: str, value: Any) -> int:
    """Return the bytes of `500 MB` or `20GiB`; K, M, G and T are powers of 1,024."""
    found = _SIZE.fullmatch(str(value).strip()) if type(value) in (int, str) else None
    if not found:
        raise UsageError(f'{path}: `{name}` must be a size like "20 GB"')
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def _inside(path: Path, name: str, value: str) -> Path:
    """Return the path *value* below the project's folder."""
    place = Path(os.path.normpath(path.parent / value))
    if "\0" in value or place == path.parent or not place.is_relative_to(path.parent):
        hint = _ELSEWHERE.get(name, "")
        raise UsageError(f"{path}: `{name}` must be a path below the project's folder", hint=hint)
    return place


def read_sums(path: Path) -> Mapping[tuple[str, str], str]:
    """Return (folder, model file) → sha256 from what `sha256sum FOLDER/FILE …` printed in a models folder."""
    found: dict[tuple[str, str], str] = {}
    try:
        lines = _text(path, _MOST_SUMS).splitlines()
    except ValueError as error:
        raise UsageError(f"model_sums {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        told = _SUM.fullmatch(line)
        if told is None:
            hint = "in the server's models folder: sha256sum checkpoints/* loras/* > models.sha256"
            raise UsageError(f"{path}:{number}: not a line `SHA256  FOLDER/FILE`: {line[:80]}", hint=hint)
        found[told["folder"], told["name"]] = told["sha256"].lower()
    return found


def _text(path: Path, most: int) -> str:
    """Return what the regular file *path* holds; raises UsageError, UnicodeDecodeError."""
    try:
        with beneath.open_regular(path) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if len(content) > most:
        raise UsageError(f"{path}: it is larger than {most:,} bytes")
    return content.decode("utf-8-sig")
