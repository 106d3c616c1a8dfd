"""Checkpoints beside the commits: what was committed goes from the write-ahead log into the file, in a thread of its own.

- A commit is durable in the log (C1). When it comes to its place in the file does not matter to anybody, so nobody waits for it.
- SQLite begins the log anew only when all of it was copied and nobody wrote meanwhile. Under steady writing that is never so;
  once the log is long, the little that came since is copied by the writer's thread, between two commits: the log is bounded.
- Where this cannot keep up, or does not run, SQLite itself checkpoints within a commit, as it always does (`BACKSTOP_FRAMES`).
- The log is not made shorter: to write over what is there costs a commit one write, to make a file longer several.
- How long the log is stands in it: a frame that belongs to it carries the salts of its header (SQLite's file format, 4.1). That
  is read without a lock. The file of the shared memory is not to be opened: closing it would give up SQLite's locks.
"""

import logging
import os
import sqlite3
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BACKSTOP_FRAMES = 16_000

_HEADER_BYTES, _FRAME_HEADER_BYTES, _SALTS_BYTES = 32, 24, 8
_SALTS_AT, _FRAME_SALTS_AT, _PAGE_BYTES_AT = 16, 8, 8
_log = logging.getLogger("penstock")


@dataclass(frozen=True, slots=True)
class LogLengths:
    """In frames of the log, which are pages: after how many new ones a checkpoint begins, and from when on the log must end."""

    checkpoint: int = 2_000
    end: int = 8_000


LENGTHS = LogLengths()


class Checkpoints:
    """The checkpoints of one file, for one connection that writes to it.

    `writing`: the thread in which that connection writes.
    """

    def __init__(
        self, path: Path, writer: sqlite3.Connection, writing: Executor, lengths: LogLengths = LENGTHS
    ) -> None:
        self._path = path
        self._writer = writer
        self._writing = writing
        self._lengths = lengths
        self._log = _Log(path.with_name(f"{path.name}-wal"))
        self._copying: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._busy = False
        self._copied = b"", 0  # the salts of a log, and how much of it was looked after
        self._closed = False
        self._turn = threading.Lock()

    def consider(self) -> None:
        """After a commit, in the writer's thread: begin a checkpoint if it is time. Takes some microseconds."""
        if self._busy:
            return
        salts, copied = self._copied
        now = self._log.salts()
        if self._log.reaches(self._lengths.checkpoint + (copied if salts == now else 0)):
            with self._turn:
                if self._closed:
                    return
                self._busy = True
                self._copying = self._copying or ThreadPoolExecutor(1, thread_name_prefix="penstock-checkpoint")
                self._copying.submit(self._copy)

    def close(self) -> None:
        """Wait for what is being copied. Before the writer's connection is closed."""
        with self._turn:
            self._closed = True
        if self._copying is not None:
            self._copying.shutdown()
        if self._connection is not None:
            self._connection.close()
        self._log.close()

    def _copy(self) -> None:
        """In a thread of its own."""
        try:
            self._connection = self._connection or _connected(self._path)
            length = self._checkpoint(self._connection, "PASSIVE")
        except sqlite3.Error as error:
            # Nothing is lost: all is in the log. The next one tries again; who writes hears of a full disk by itself.
            _log.warning("what was committed could not be copied into %s yet: %s", self._path.name, error)
            length = 0
        with self._turn:
            if length < self._lengths.end or self._closed:
                self._busy = False
                return
        with suppress(RuntimeError):  # its thread has been told to end
            self._writing.submit(self._end)

    def _end(self) -> None:
        """In the writer's thread, between two commits: copy the last of the log, so that the next commit begins it anew."""
        try:
            self._checkpoint(self._writer, "FULL")
        except sqlite3.Error as error:
            _log.warning("the write-ahead log of %s could not be ended yet: %s", self._path.name, error)
        finally:
            self._busy = False

    def _checkpoint(self, connection: sqlite3.Connection, how: str) -> int:
        """Copy what can be copied without waiting for anybody; return how long the log is."""
        salts = self._log.salts()
        _, length, _ = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
        # Negative: somebody else is copying. What comes after this much is considered again.
        self._copied = salts, max(length, self._copied[1] if self._copied[0] == salts else 0)
        return length


class _Log:
    """The write-ahead log as a file: its salts, and whether it has reached a length."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: int | None = None

    def salts(self) -> bytes:
        """What the frames of this log carry; another one has others. Empty before the first commit."""
        return self._read(_SALTS_AT, _SALTS_BYTES)

    def reaches(self, frames: int) -> bool:
        """Whether the log has at least so many frames."""
        page_bytes = int.from_bytes(self._read(_PAGE_BYTES_AT, 4))
        last = _HEADER_BYTES + (frames - 1) * (page_bytes + _FRAME_HEADER_BYTES)
        return len(salts := self._read(last + _FRAME_SALTS_AT, _SALTS_BYTES)) == _SALTS_BYTES and salts == self.salts()

    def close(self) -> None:
        if self._number is not None:
            os.close(self._number)
            self._number = None

    def _read(self, at: int, size: int) -> bytes:
        if self._number is None:
            try:
                self._number = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            except OSError:
                return b""
        return os.pread(self._number, size, at)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=0)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection
