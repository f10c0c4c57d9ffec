from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.cli import call


@dataclass(frozen=True)
class Said:
    """What one call of the command line came to."""

    code: int
    out: str
    err: str


class Project:
    """A project folder one can call animerun in, as from a shell."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def animerun(self, *args: str) -> Said:
        self._capsys.readouterr()
        code = call(list(args))
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)

    def runs(self) -> list[Path]:
        """The folders of the runs, oldest first; names tell no order within one second."""
        folder = self.folder / "runs"
        found = (path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
        return sorted(found, key=lambda path: (path / "run.json").stat().st_mtime_ns)


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project folder that is also the working folder; no settings from outside."""
    for name in ("SERVER", "RUNS", "DEPTH", "TOKEN", "BASIC", "HEADER", "COMFY_API_KEY"):
        monkeypatch.delenv(f"ANIMERUN_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "animerun.toml").write_text("")
    return Project(tmp_path, capsys)


ProjectMaker = Callable[[], Project]
