"""Serving an app in a process of its own that is started again when a file changes.

- One process at a time: the next is started when the one before has closed the store, so state is kept and never shared.
- The process lives while its input is open. It ends gently when we close it, and also when we are killed.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import Finding, Invalid

LOOK_EVERY_S = 0.3
STOP_S = 15.0  # requests, handlers and the store have their own graces, which are shorter
FILES_MAX = 5000
WATCHED = {".py", ".md", ".toml", ".json", ".yaml", ".yml", ".txt"}
UNWATCHED = {"node_modules", "__pycache__", "site-packages", "dist", "build"}
Stamps = dict[Path, tuple[int, int]]


def reload_app(file: Path, arguments: list[str], *, debug: bool = False) -> None:
    """Serve the app in a file until Ctrl-C, and start it again at each change in its folder; `Invalid` without the file."""
    if not file.is_file():
        finding = Finding("file", "does not exist", "give the path of a Python file with an App in it")
        raise Invalid(str(file), (finding,))
    program = [sys.executable, "-m", "penstock.cli", *(["--debug"] if debug else [])]
    command = [*program, "serve", str(file), *arguments, "--while-stdin-open"]
    with _terminated_like_interrupted():
        while True:
            stamps = _stamps(file)
            with _served(command) as process:
                changed = _change(file, stamps, process)
                print(f"penstock: {changed} has changed", file=sys.stderr, flush=True)


@contextmanager
def _served(command: list[str]) -> Generator["subprocess.Popen[bytes]"]:
    # A session of its own: Ctrl-C reaches us alone, and we decide what follows.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - this very program
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(STOP_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()


def _change(file: Path, before: Stamps, process: "subprocess.Popen[bytes]") -> Path:
    """Return the first file that changes; say so when the process ends by itself meanwhile."""
    said = False
    while True:
        now = _stamps(file)
        changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
        if changed:
            return changed[0]
        if not said and process.poll() is not None:
            said = True
            print("penstock: the app has stopped; it is started again at the next change", file=sys.stderr, flush=True)
        time.sleep(LOOK_EVERY_S)


def _stamps(file: Path) -> Stamps:
    """Return when the files around the app were written, and their sizes."""
    stamps: Stamps = {}
    for path in _watched(file.resolve().parent):
        try:
            status = path.stat()
        except OSError:  # it is being replaced
            continue
        stamps[path] = (status.st_mtime_ns, status.st_size)
        if len(stamps) >= FILES_MAX:
            break
    return stamps


def _watched(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # it is gone, or not ours to read
        return
    for path in entries:
        if path.name.startswith(".") or path.name in UNWATCHED or path.is_symlink():
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from _watched(path)
        elif path.suffix in WATCHED:
            yield path


@contextmanager
def _terminated_like_interrupted() -> Generator[None]:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
