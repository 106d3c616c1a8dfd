"""Which events a subtask has begun, in a file that outlives its process, so that one whose handling kills it is found (C6).

The state of a key is that of the last checkpoint, and says nothing of what happened after it; a process that was killed says
nothing at all. So each event is noted when it is begun and when it has ended, by one write each, without a sync: what a process
wrote outlives it. What was under way when one died may be to blame. The file does not outlive the machine: whoever begins on
another one begins to count anew, and Flink's own limit of failures still holds.
"""

import os
import tempfile
from pathlib import Path

from penstock.flink.keyed_state import digest_of

ALONE_FROM = 2  # deaths from which on an event is handled while nothing else is
DEATHS_MAX = 3  # then it is given up
LINES_MAX = 100_000  # then the file is written anew
BEGUN, ENDED, DEATHS = "+", "-", "="


class Begun:
    """Those of a subtask. Without a path nothing outlives the process, and nobody is suspected."""

    def __init__(self, path: Path | None = None, *, lines_max: int = LINES_MAX) -> None:
        self._path = path
        self._lines_max = lines_max
        self._file = -1
        self._lines = 0
        self._under_way: set[str] = set()
        self._deaths = {} if path is None else _read(path)
        if path is not None:
            self._write_anew()

    def deaths(self, event_id: str) -> int:
        """Return how many processes died while they handled an event."""
        return self._deaths.get(_name(event_id), 0) if self._deaths else 0

    def begin(self, event_id: str) -> None:
        """Note that an event is handled from now on."""
        if self._path is not None:
            name = _name(event_id)
            self._under_way.add(name)
            self._note(BEGUN, name)

    def end(self, event_id: str) -> None:
        """Note that an event is done with, well or not."""
        if self._path is not None:
            name = _name(event_id)
            self._under_way.discard(name)
            self._deaths.pop(name, None)
            self._note(ENDED, name)

    def close(self) -> None:
        """The process ends as it should: what it cuts off is not to blame."""
        if self._path is not None:
            self._under_way.clear()
            self._write_anew()
            os.close(self._file)
            self._path = None

    def _note(self, what: str, name: str) -> None:
        os.write(self._file, f"{what}{name}\n".encode())
        self._lines += 1
        if self._lines >= self._lines_max:
            self._write_anew()

    def _write_anew(self) -> None:
        assert self._path is not None
        lines = [f"{DEATHS}{name} {count}" for name, count in self._deaths.items()]
        lines += [BEGUN + name for name in self._under_way]
        beside = self._path.with_suffix(".new")
        beside.write_text("".join(f"{each}\n" for each in lines))
        beside.replace(self._path)
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._lines = 0


def path_of(group: str, subtask: int, *, within: Path | None = None) -> Path | None:
    """Return where a subtask of a job keeps it, in a folder of our own; None where there can be none."""
    folder = (within or Path(tempfile.gettempdir())) / f"penstock-flink-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or folder.is_symlink():
            return None
    except OSError:
        return None
    return folder / f"{_name(group)}-{subtask}"


def _read(path: Path) -> dict[str, int]:
    """Return the deaths of each event, with the one that just was: of what was begun and had not ended."""
    deaths, begun = dict[str, int](), set[str]()
    text = path.read_text(errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        what, rest = line[:1], line[1:]
        if what == BEGUN:
            begun.add(rest)
        elif what == ENDED:
            begun.discard(rest)
            deaths.pop(rest, None)
        elif what == DEATHS:
            name, _, count = rest.partition(" ")
            deaths[name] = int(count) if count.isdecimal() else 1
    for name in begun:
        deaths[name] = deaths.get(name, 0) + 1
    return deaths


def _name(event_id: str) -> str:
    return digest_of(event_id).hex()
