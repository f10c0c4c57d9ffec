"""One commit of a run: names of files, then the record that speaks of them, then what proved them ours."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runner import door
from runner.errors import StorageError
from runner.record import Recorder


class Durable:
    """What of one run is not durable yet besides what its *recorder* was handed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.named_in: set[Path] = set()
        """Folders with names of shared files that are not durable yet."""
        self.parts: list[Path] = []
        """Second names of collected files that are not durably recorded yet."""

    async def commit(self) -> None:
        """Make all of it durable; who is cancelled meanwhile leaves when the disk is done with it."""
        writing = asyncio.get_running_loop().run_in_executor(None, self._write)
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            raise

    def _write(self) -> None:
        """Make names durable, then what speaks of them: once per folder, however many jobs share files.

        On file systems that share blocks, syncing the folder commits what was shared before it too.
        """
        try:
            for path in sorted(self.named_in):
                door.sync_folder(path)
            self.named_in.clear()
            self._recorder.commit()
            for path in self.parts:
                door.unlink(path)
            self.parts.clear()
        except OSError as error:
            raise StorageError.of("write", path, error) from error
