"""A disk of a few megabytes, which can be filled: a tmpfs in a mount namespace of the trial's own, gone when that ends."""

import asyncio
import ctypes
import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from own_process import NoServerError

SIZE = 48 * 1024 * 1024
AGAIN_S = 0.05
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def small_disk(folder: Path, size: int = SIZE) -> Generator["SmallDisk"]:
    """Have a folder be a disk of its own for this process and its children. `NoServerError` where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    # A namespace for the processes that this one starts from now on: nobody else sees the disk, nothing is left of it.
    if _libc.unshare(CLONE_NEWNS) or _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise NoServerError(f"no mount namespace here ({os.strerror(ctypes.get_errno())}): it takes a root's rights")
    options = f"size={size},mode=777".encode()
    if _libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, options):
        raise NoServerError(f"no tmpfs can be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        yield SmallDisk(folder)
    finally:
        _libc.umount2(str(folder).encode(), 2)  # detached: whoever still has a file open keeps it until he ends


class SmallDisk:
    """A disk, and the ballast that fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    async def full_for(self, seconds: float) -> None:
        """Have no byte left for a while, also where others make room."""
        until_s = asyncio.get_running_loop().time() + seconds
        with self._ballast.open("wb") as ballast:
            try:
                while asyncio.get_running_loop().time() < until_s:
                    self._fill(ballast.fileno())
                    await asyncio.sleep(AGAIN_S)
            finally:
                self._ballast.unlink()

    def _fill(self, ballast: int) -> None:
        for size in (1 << 20, 4096):
            try:
                while os.write(ballast, b"\0" * size):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
