"""Processes whose clock on the wall can be set while they run, by libfaketime; the one that never goes back stays as it is."""

from pathlib import Path

from own_process import NoServerError, installed_by_apt

LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
NAME = "libfaketime.so.1"


class SetClock:
    """A clock of some processes, as far off the machine's as a file says."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        installed_by_apt("faketime", "faketime")
        self._library = _library()

    @property
    def environment(self) -> dict[str, str]:
        """What processes are started with that have this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def set(self, seconds: int) -> None:
        """Have it go so many seconds ahead (or behind), within a second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)


def _library() -> Path:
    for folder in LIBRARIES:
        for found in Path(folder).glob(f"**/faketime/{NAME}"):
            return found
    raise NoServerError(f"no {NAME} here: install libfaketime")
