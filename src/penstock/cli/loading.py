"""Taking the app from a user's file: what is wrong in that file is shown in the user's own lines."""

import sys
import traceback
from collections.abc import Callable
from inspect import isfunction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.app import App

T = TypeVar("T")
_INSTALLED = {"site-packages", "dist-packages"}


class BrokenFile(Exception):
    """A user's file could not be executed; its cause is what it raised."""

    def __init__(self, file: Path, cause: Exception) -> None:
        super().__init__(file, cause)
        self.file = file
        self.cause = cause

    def __str__(self) -> str:
        """Return the frames that lie in the folder of the file, and what was raised there."""
        folder = self.file.resolve().parent
        told = traceback.TracebackException.from_exception(self.cause)
        frames = [each for each in told.stack if _is_below(folder, Path(each.filename))]
        lines = [*traceback.StackSummary.from_list(frames).format(), *told.format_exception_only()]
        return f"{self.file} cannot be executed:\n{''.join(lines).rstrip()}"


def executed(path: Path, hint: str) -> ModuleType:
    """Execute a user's Python file, and return its module. `Invalid` when it is no such file; what it raises leaves as it is."""
    from penstock.app_files import executed

    return executed(path, hint)


def load(path: Path) -> "App":
    """Return the app that a Python file defines; `Invalid` when there is none, or more than one.

    The file is executed: what it raises leaves as it is.
    """
    from penstock.app_files import load

    return load(path)


def loaded_app(file: Path) -> "App":
    """Return the app in a file; `BrokenFile` when the file raises something, `Invalid` when there is no app in it."""
    return _told(file, load)


def loaded_functions(file: Path) -> dict[str, Callable[[Any], Any]]:
    """Return the functions that a file defines itself, by name, and those of its `functions`, where names are free.

    `BrokenFile` when the file raises something.
    """
    module = _told(file, lambda path: executed(path, "give the path of a Python file with functions"))
    own = {
        name: value
        for name, value in vars(module).items()
        if isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    return {**own, **getattr(module, "functions", {})}


def _told(file: Path, execute: "Callable[[Path], T]") -> "T":
    try:
        return execute(file)
    except PenstockError:
        raise
    except Exception as error:  # the user's file is executed: it may raise anything
        raise BrokenFile(file, error) from error


def warn_of_no_agents(app: "App") -> None:
    """Say that an app has no agents: it can be served, and does nothing."""
    if not app.agents:
        print(f"penstock: the app {app.name!r} has no agents: declare one with @app.agent", file=sys.stderr)


def _is_below(folder: Path, file: Path) -> bool:
    return file.is_absolute() and file.is_relative_to(folder) and not _INSTALLED & set(file.parts)
