"""The public names of the standard library's modules, found in their source without importing them.

A name is given once, where users import it from: `asyncio.Queue`, not `asyncio.queues.Queue`; `os.getpid`, not
`posix.getpid`. Compiled modules have no source, so those are imported (see `live_docstrings`).
"""

import ast
import inspect
import os.path
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from penstock.adapters.documents.docstrings import Symbol, flat, module
from penstock.adapters.documents.live_docstrings import compiled_module, live_symbols, public_names

HOPS_MAX = 6


class Origin(NamedTuple):
    """Where something is defined: a module, and the path of a name in it (empty for the module itself)."""

    module: str
    path: str

    def attribute(self, name: str) -> "Origin":
        return Origin(self.module, f"{self.path}.{name}" if self.path else name)


@dataclass(frozen=True, slots=True)
class Source:
    """What the source of a module says about names, its own and those it takes from elsewhere."""

    name: str
    is_package: bool
    docstring: str
    symbols: Mapping[str, Symbol]
    bindings: dict[str, Origin] = field(default_factory=dict[str, Origin])
    instances: dict[str, Origin] = field(default_factory=dict[str, Origin])
    stars: list[str] = field(default_factory=list[str])
    exports: list[str] = field(default_factory=list[str])


class DocumentedModule(NamedTuple):
    """A public module with its docstring and its documented names."""

    name: str
    docstring: str
    symbols: Sequence[Symbol]


class Library:
    """A folder of modules, as the standard library's. Nothing is read before it is asked for."""

    def __init__(self, paths: Mapping[str, Path], compiled: Sequence[str]) -> None:
        self._paths = paths
        self._compiled = frozenset(compiled)
        self._sources: dict[str, Source | None] = {}
        self._given: set[Origin] = set()

    def documented(self, top: str) -> Iterator[DocumentedModule]:
        """Yield the public modules of a top-level package or module, outer ones first, since they name things first."""
        if top in self._compiled and (found := compiled_module(top)):
            # In Python's own words it is `str.split`, not `builtins.str.split`.
            yield DocumentedModule(top, inspect.cleandoc(found.__doc__ or ""), self._live(found))
        names = [name for name in self._paths if name.split(".")[0] == top]
        for name in sorted(names, key=lambda name: (name.count("."), name)):
            if not is_private(name) and (source := self._source(name)):
                shown = PUBLIC_NAMES.get(name, name)
                yield DocumentedModule(shown, self._docstring(source), self._symbols(source))
        # Only what crosses packages is asked for again, and that is little.
        self._sources = {name: source for name, source in self._sources.items() if is_private(name)}

    def _docstring(self, source: Source) -> str:
        # `from _csv import __doc__` is how some modules have theirs.
        borrowed = source.bindings.get("__doc__")
        found = compiled_module(borrowed.module) if borrowed and is_private(borrowed.module) else None
        return inspect.cleandoc(found.__doc__ or "") if found else source.docstring

    def _live(self, found: ModuleType) -> list[Symbol]:
        symbols: list[Symbol] = []
        for name in public_names(found):
            # A program may have put a hook of its own in place, which says nothing of what is documented.
            thing = getattr(found, f"__{name}__" if name.endswith("hook") else name, getattr(found, name))
            home = getattr(thing, "__module__", None) or found.__name__
            if home in (found.__name__, "io", "_io") and self._is_first(Origin(found.__name__, name)):
                # `open` is at home in `io`, but users have it from here.
                self._given.add(Origin("_io", name))
                symbols.extend(live_symbols(thing, name))
        return symbols

    def _symbols(self, source: Source) -> list[Symbol]:
        symbols: list[Symbol] = []
        for name in ASKED.get(source.name, ()):
            symbols.extend(live_symbols(getattr(compiled_module(source.name), name, None), name))
        # `random.choice` is a method of a hidden `Random`: the short name goes first.
        for name in sorted(self._public(source), key=lambda name: "." not in source.bindings.get(name, ("", ""))[1]):
            for origin, symbol in self._resolve(Origin(source.name, name), HOPS_MAX):
                if self._is_ours(source, origin.module) and self._is_first(origin):
                    symbols.append(Symbol(name + symbol.path, symbol.arguments, symbol.docstring))
        return symbols

    def _is_first(self, origin: Origin) -> bool:
        first = origin not in self._given
        self._given.add(origin)
        return first

    def _public(self, source: Source) -> list[str]:
        """Return the names that users may import from a module."""
        own = [path for path in source.symbols if "." not in path]
        foreign = {name for name, origin in source.bindings.items() if not self._is_ours(source, origin.module)}
        taken = [name for name in source.bindings if name not in foreign]
        stars = [name for star in source.stars if self._is_ours(source, star) for name in self._exported(star)]
        names = [*own, *taken, *stars]
        if source.exports and not source.stars:
            names = source.exports
        elif source.exports:
            names = [*source.exports, *stars]
        return [name for name in dict.fromkeys(names) if not name.startswith("_") and name not in foreign]

    def _is_ours(self, source: Source, origin: str) -> bool:
        """Whether what comes from `origin` is shown as this module's: nobody else's, or that of its own package."""
        if origin == source.name or is_private(origin):
            return True
        return source.is_package and origin.startswith(f"{source.name}.")

    def _exported(self, name: str) -> list[str]:
        if source := self._source(name):
            return self._public(source)
        found = compiled_module(name) if is_private(name) else None
        return public_names(found) if found else []

    def _resolve(self, origin: Origin, hops: int) -> list[tuple[Origin, Symbol]]:
        """Return what is documented at and below a name, with paths relative to it."""
        source = self._source(origin.module)
        if hops == 0 or not origin.path:
            return []
        if source is None:
            return self._resolve_live(origin)
        below = f"{origin.path}."
        if found := [s for path, s in source.symbols.items() if path == origin.path or path.startswith(below)]:
            here = len(origin.path)
            return [(Origin(origin.module, s.path), Symbol(s.path[here:], s.arguments, s.docstring)) for s in found]
        top, dot, rest = origin.path.partition(".")
        candidates = [Origin(star, top) for star in source.stars]
        if top in source.bindings:
            candidates.insert(0, source.bindings[top])
        elif source.is_package and top in source.exports:
            # Exported but nowhere assigned: made on first use by the module's `__getattr__`.
            inner = [name for name in self._paths if name.rpartition(".")[0] == source.name]
            candidates.extend(Origin(name, top) for name in inner)
        for candidate in candidates:
            if found := self._resolve(candidate.attribute(rest) if dot else candidate, hops - 1):
                return found
        return []

    def _resolve_live(self, origin: Origin) -> list[tuple[Origin, Symbol]]:
        known = is_private(origin.module) or origin.module in self._compiled
        thing: object = compiled_module(origin.module) if known else None
        for name in origin.path.split("."):
            thing = getattr(thing, name, None)
        here = len(origin.path)
        return [
            (Origin(origin.module, symbol.path), Symbol(symbol.path[here:], symbol.arguments, symbol.docstring))
            for symbol in live_symbols(thing, origin.path)
        ]

    def _source(self, name: str) -> Source | None:
        if name not in self._sources:
            path = self._paths.get(name)
            self._sources[name] = _read(name, path) if path else None
        return self._sources[name]


# Names that only the running module has. These modules are loaded in any case.
ASKED: Mapping[str, Sequence[str]] = {
    "re": ("Pattern", "Match"),
    "hashlib": ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"),
}
# The module that `os.path` is on this system, and what it is made of.
PUBLIC_NAMES: Mapping[str, str] = {os.path.__name__: "os.path"}
_PRIVATE = frozenset({"genericpath", "posix", "nt", "posixpath", "ntpath", "nturl2path", "opcode"}) - set(PUBLIC_NAMES)


def is_private(name: str) -> bool:
    """Whether a module is an implementation of others, not to be imported by users."""
    return name in _PRIVATE or any(part.startswith("_") for part in name.split("."))


def _read(name: str, path: Path) -> Source | None:
    try:
        parsed = module(path.read_text("utf-8", errors="replace"))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    symbols = {symbol.path: symbol for symbol in parsed.symbols}
    source = Source(name, path.name == "__init__.py", parsed.docstring, symbols)
    for node in flat(parsed.tree.body):
        _bind(source, node)
    return source


def _bind(source: Source, node: ast.stmt) -> None:
    """Note what a statement of the module binds; the first binding of a name counts, since later ones are fallbacks."""
    match node:
        case ast.ImportFrom(module=target, names=names, level=level):
            origin = _absolute(source, target or "", level)
            for alias in names:
                if alias.name == "*":
                    source.stars.append(origin)
                else:
                    source.bindings.setdefault(alias.asname or alias.name, Origin(origin, alias.name))
        case ast.Import(names=names):
            for alias in names:
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                source.bindings.setdefault(alias.asname or bound, Origin(bound, ""))
        case (
            ast.Assign(targets=[ast.Name(id="__all__")], value=value)
            | ast.AugAssign(target=ast.Name(id="__all__"), value=value)
        ):
            source.exports.extend(_strings(value))
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="__all__")), args=[value])):
            source.exports.extend(_strings(value))
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func)) if origin := _origin(source, func):
            source.instances.setdefault(name, origin)
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if origin := _origin(source, value):
            source.bindings.setdefault(name, origin)
        case _:
            return


def _absolute(source: Source, target: str, level: int) -> str:
    if level == 0:
        return target
    parts = source.name.split(".")
    package = parts[: len(parts) - level + source.is_package]
    return ".".join([*package, target] if target else package)


def _origin(source: Source, value: ast.expr) -> Origin | None:
    """Return what an expression names, as `_inst.choice` does after `_inst = Random()`."""
    match value:
        case ast.Name(id=name):
            known = name in source.symbols or any(path.startswith(f"{name}.") for path in source.symbols)
            return source.bindings.get(name) or (Origin(source.name, name) if known else None)
        case ast.Attribute(value=inner, attr=name):
            made = source.instances.get(inner.id) if isinstance(inner, ast.Name) else None
            origin = made or _origin(source, inner)
            return origin.attribute(name) if origin else None
        case _:
            return None


def _strings(value: ast.expr) -> list[str]:
    return [node.value for node in ast.walk(value) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
