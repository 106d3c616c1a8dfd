"""What this process and this machine are: memory, versions, the disk below a folder.

Linux tells most; elsewhere a figure that cannot be had is None.
"""

import os
import platform
import sqlite3
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MOUNTS = Path("/proc/mounts")
STATM = Path("/proc/self/statm")
IMPORT_WITHIN_S = 60.0
_PACKAGES = ("penstock", "numpy", "msgspec", "pydantic", "uvloop")
_IMPORT = "import time; t = time.perf_counter(); import penstock.app; print((time.perf_counter() - t) * 1000)"


def rss_mb() -> float | None:
    """Resident memory of this process in MiB."""
    if not STATM.exists():
        return None
    pages = int(STATM.read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def versions() -> dict[str, str]:
    """The versions that a figure depends on."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def filesystem(folder: Path) -> str | None:
    """The kind of file system that a folder is on, such as "ext4"; on "tmpfs" a sync costs nothing and proves nothing."""
    if not MOUNTS.exists():
        return None
    path = folder.resolve()
    kind, deepest = None, -1
    for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, mounted_kind, *_ = line.split()
        point = Path(mount.replace("\\040", " "))
        if (path == point or point in path.parents) and len(point.parts) >= deepest:
            kind, deepest = mounted_kind, len(point.parts)
    return kind


def import_ms() -> float:
    """How long a fresh interpreter takes to import `penstock.app`."""
    done = subprocess.run(  # noqa: S603 - our own interpreter, and a constant
        [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True, timeout=IMPORT_WITHIN_S
    )
    return round(float(done.stdout), 1)
