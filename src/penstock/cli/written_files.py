"""Files that commands write: refused before the work where they cannot be, and what is there stays until all is written."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from penstock.errors import Refused


def require_writable(path: Path | None, option: str) -> None:
    """Raise `Refused` where a file cannot be written, before what it is to hold is made: some of that is made once only."""
    if path is None:
        return
    folder = path.absolute().parent
    problem = ""
    if path.is_dir():
        problem = "is a folder"
    elif not folder.is_dir():
        problem = f"cannot be written: there is no folder {folder}"
    elif not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        problem = "may not be written"
    if problem:
        raise _refusal(path, problem, option)


@contextmanager
def written(path: Path, option: str) -> Generator[IO[bytes]]:
    """Yield a file that takes the place of `path` when the block ends well; `Refused` when it cannot be written."""
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(path)
    except OSError as error:
        raise _refusal(path, f"cannot be written ({error.strerror or error})", option) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _refusal(path: Path, problem: str, option: str) -> Refused:
    return Refused(f"{path} {problem}", f"give {option} another file")
