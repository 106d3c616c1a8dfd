"""What compiled modules say about their public names: there is no source to read, so they are asked."""

import inspect
import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from penstock.adapters.documents.docstrings import ARGUMENTS_CHARS_MAX, Symbol


def compiled_module(name: str) -> ModuleType | None:
    """Import a compiled module of the standard library, or return None where this system has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return import_module(name)
        except ImportError:
            return None


def public_names(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]


def live_symbols(thing: object, path: str) -> Iterator[Symbol]:
    """Yield the symbol at `path`, if it is a documented class or function, then a class's public members."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return
    if docstring := inspect.cleandoc(thing.__doc__ or ""):
        yield Symbol(path, _arguments(thing, docstring), docstring)
    if inspect.isclass(thing):
        for name, member in vars(thing).items():
            if not name.startswith("_"):
                yield from _member(getattr(thing, name, member), member, f"{path}.{name}")


def _member(bound: object, member: object, path: str) -> Iterator[Symbol]:
    if inspect.isclass(bound):
        return
    documented = inspect.isroutine(bound) or inspect.isgetsetdescriptor(member) or inspect.ismemberdescriptor(member)
    docstring = inspect.cleandoc(getattr(bound, "__doc__", None) or "") if documented else ""
    if docstring:
        yield Symbol(path, _arguments(bound, docstring) if inspect.isroutine(bound) else "", docstring)


def _arguments(thing: object, docstring: str) -> str:
    """Return what the compiled code says it takes, unless the docstring starts with that."""
    if docstring.startswith(f"{getattr(thing, '__name__', '')}("):
        return ""
    signature = " ".join((getattr(thing, "__text_signature__", None) or "").split())
    return re.sub(r"\(\$\w+(?:, /)?(?:, )?", "(", signature)[:ARGUMENTS_CHARS_MAX]
