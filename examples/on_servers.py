"""How the command of an example begins, in the project's environment, and how it has servers, by the project's own scripts."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv" / "bin" / "python"
SERVICES = ROOT / "tests" / "services"


class NoStack(Exception):
    """A server that a stack needs cannot be had here; the message says why."""


def require_penstock(command: str) -> None:
    """Go on with the Python that has penstock. In a fresh clone it is made first, once."""
    if find_spec("penstock") is not None:
        return
    if Path(sys.executable) == PYTHON:
        sys.exit(f"{command}: penstock is not in .venv: run `make setup`")
    if not (PYTHON.parent.parent / ".ready").exists():
        make = shutil.which("make")
        if make is None:
            print(f"{command}: no `make` here: install it, or penstock with pip", file=sys.stderr)
            sys.exit(2)
        print(f"{command}: making .venv, once (make setup)", file=sys.stderr)
        if subprocess.run([make, "-s", "-C", ROOT, "setup"], stdout=sys.stderr, check=False).returncode:
            sys.exit(2)
    os.execv(PYTHON, [str(PYTHON), *sys.argv])


@contextmanager
def scripts_of_servers(*folders: str) -> Generator[None]:
    """Have the project's scripts at hand, and say in one way what cannot be had."""
    for name in folders:
        sys.path.insert(0, str(SERVICES / name))
    try:
        import pytest
        from own_process import NoServerError
    except ImportError as error:
        raise NoStack(f"{error}: run `make setup` first") from error
    try:
        yield
    except ImportError as error:
        raise NoStack(f"{error}: run `make setup` first") from error
    except (NoServerError, AssertionError, pytest.skip.Exception, pytest.fail.Exception) as error:
        raise NoStack(str(error)) from error
