"""What Python source says about its public names, read without running it.

What a function takes is given as the source's own text between `def` and the docstring, so that defaults and annotations
stay as written.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import cleandoc

ARGUMENTS_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Symbol:
    """A documented name: `path` within its module (`Queue.put`), what it takes (`(item)`), its docstring, cleaned."""

    path: str
    arguments: str
    docstring: str


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed module: its docstring, its documented public names in order of the source, and its syntax tree."""

    docstring: str
    symbols: tuple[Symbol, ...]
    tree: ast.Module


def module(source: str) -> Module:
    """Parse a module. Raises what `ast.parse` does: SyntaxError, ValueError, RecursionError, MemoryError."""
    with warnings.catch_warnings():
        # Another's invalid escape sequence is not this program's warning.
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    symbols = tuple(_symbols(tree.body, "", source.splitlines()))
    return Module(cleandoc(ast.get_docstring(tree, clean=False) or ""), symbols, tree)


_Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body, with those that stand under `if`, `else`, `try` and `except` there."""
    for node in body:
        match node:
            case ast.If():
                yield from flat([*node.body, *node.orelse])
            case ast.Try():
                handlers = [inner for handler in node.handlers for inner in handler.body]
                yield from flat([*node.body, *handlers, *node.orelse])
            case _:
                yield node


def _symbols(body: Sequence[ast.stmt], prefix: str, lines: Sequence[str]) -> Iterator[Symbol]:
    seen: set[str] = set()
    hidden = {node.name: node for node in flat(body) if isinstance(node, ast.ClassDef) and node.name.startswith("_")}
    for node in flat(body):
        if not isinstance(node, _Named) or node.name.startswith("_") or node.name in seen:
            continue
        maker = _maker(node)
        docstrings = dict.fromkeys(ast.get_docstring(each, clean=False) for each in (node, maker) if each)
        if said := [cleandoc(docstring) for docstring in docstrings if docstring]:
            # A second definition of a name is a fallback, an overload or a setter.
            seen.add(node.name)
            yield Symbol(prefix + node.name, _arguments(maker, lines), "\n\n".join(said))
        if isinstance(node, ast.ClassDef):
            # What a public class has from a hidden one is only to be found in the public one, and there once.
            taken = [
                hidden.pop(each.id).body for each in node.bases if isinstance(each, ast.Name) and each.id in hidden
            ]
            inner = [*node.body, *(statement for statements in taken for statement in statements)]
            yield from _symbols(inner, f"{prefix}{node.name}.", lines)


def _maker(node: _Named) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return what is called when the name is: the function itself, or the `__init__` of the class."""
    if not isinstance(node, ast.ClassDef):
        return node
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return inner
    return None


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef | None, lines: Sequence[str]) -> str:
    if node is None:
        return ""
    head = " ".join(" ".join(lines[node.lineno - 1 : node.body[0].lineno - 1]).split())
    arguments = head.partition(f"def {node.name}")[2].strip()
    if arguments.startswith("(") and arguments.endswith(":") and "#" not in arguments:
        arguments = arguments[:-1]
    else:
        # A comment stands in it, or the body begins on the line of the `def`.
        arguments = f"({ast.unparse(node.args)})"
    return arguments[:ARGUMENTS_CHARS_MAX].replace("(self, ", "(").replace("(self)", "()").replace("(cls, ", "(")
