"""Files that come to their place whole: they are written under another name, synced, and then renamed.

What a process that died left under the other name is nobody's, and is removed by the next one who writes to the same place.
"""

import errno
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from penstock.errors import Refused, Unavailable

FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def placed(place: Path) -> Generator[Path]:
    """Yield a path to write a file or a folder to; it takes its place when the block ends without an error.

    A file that is there is replaced. A folder is not: `Refused`. `Unavailable` when the disk is full.
    """
    beside = place.with_name(f".{place.name}.part")
    try:
        if place.is_dir():
            raise Refused(f"{place} is a folder that is there already", "name another place")
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove(beside)
        try:
            yield beside
            for each in (*(beside.iterdir() if beside.is_dir() else ()), beside):
                synced(each)
            beside.replace(place)
            synced(place.parent)
        except BaseException:
            with suppress(OSError):
                _remove(beside)
            raise
    except OSError as error:
        raise _ours(error, place) from error


def synced(path: Path) -> None:
    """Have the disk hold what is in a file, or in a folder."""
    if os.name == "nt" and path.is_dir():  # pragma: no cover - Windows syncs no folders
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _ours(error: OSError, place: Path) -> Unavailable | Refused:
    if error.errno in FULL:
        return Unavailable("the disk", f"writing {place.name}", str(error))
    return Refused(f"{place} cannot be written ({error})", "check that the folder exists and may be written")
