"""An archive in a folder: a file of compressed lines for each part, in a folder for each day."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from penstock.adapters.exports.jsonl import JsonlWriter, open_jsonl_writer
from penstock.core.exports.lines import Line
from penstock.errors import PenstockError
from penstock.ports.clock import Clock

_LEFT_BEHIND_S = 86_400.0  # from when on nobody is writing it any more


class FolderArchive:
    """An `Archive`. What processes that died left unfinished is removed when the next one begins to keep something."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._is_swept = False

    async def keep(self, lines: AsyncIterator[Sequence[Line]]) -> None:
        now_ms = self._clock.now_ms()
        if not self._is_swept:
            await asyncio.to_thread(self._sweep, now_ms / 1000 - _LEFT_BEHIND_S)
            self._is_swept = True
        day = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
        opened = open_jsonl_writer(self._folder / day / f"{self._clock.new_id()}.jsonl.gz")
        writer = await asyncio.to_thread(opened.__enter__)
        try:
            async for page in lines:
                await asyncio.to_thread(_write, writer, page)
        except BaseException as error:
            with suppress(PenstockError, type(error)):  # what ended the block is told, and not what closing it came to
                opened.__exit__(type(error), error, error.__traceback__)
            raise
        await asyncio.to_thread(opened.__exit__, None, None, None)

    def _sweep(self, before_s: float) -> None:
        for path in self._folder.glob("*/.*.part"):
            with suppress(OSError):
                if path.stat().st_mtime < before_s:
                    path.unlink()


def _write(writer: JsonlWriter, page: Sequence[Line]) -> None:
    for line in page:
        writer.write(line)
