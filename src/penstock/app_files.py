"""From a Python file to the app in it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from penstock.app import App
from penstock.errors import Finding, Invalid


def executed(path: Path, hint: str) -> ModuleType:
    """Execute a user's Python file, and return its module. `Invalid` when it is no such file; what it raises leaves as it is."""
    import importlib.util

    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise Invalid(str(path), (Finding("file", problem, hint),))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise Invalid(str(path), (Finding("file", "is not a Python file", hint),))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # annotations are looked up there
    sys.path.insert(0, str(path.resolve().parent))
    spec.loader.exec_module(module)
    return module


def load(path: Path) -> App:
    """Return the app that a Python file defines; `Invalid` when there is none, or more than one.

    The file is executed: what it raises leaves as it is.
    """
    module = executed(path, "give the path of a Python file with an App in it")
    apps: Mapping[int, App] = {id(value): value for value in vars(module).values() if isinstance(value, App)}
    if len(apps) != 1:
        hint = "define exactly one: app = App('name')"
        raise Invalid(str(path), (Finding("app", f"{len(apps)} apps were found", hint),))
    app = next(iter(apps.values()))
    app.source = str(path.resolve())
    return app
