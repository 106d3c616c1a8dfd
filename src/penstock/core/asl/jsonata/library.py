"""What is used of jsonata-python, untyped as it is. Nothing else imports it.

Importing it raises the interpreter's recursion limit to 10,000 for the whole process, which is not ours to do: put back here.
Depth is bounded by `interpreter.DEPTH_MAX` instead.
"""

import sys
from importlib import import_module
from typing import Any, Final

_limit = sys.getrecursionlimit()
_jsonata: Any = import_module("jsonata.jsonata")
sys.setrecursionlimit(_limit)

Jsonata: Final[Any] = _jsonata.Jsonata
Functions: Final[Any] = import_module("jsonata.functions").Functions
Parser: Final[Any] = import_module("jsonata.parser").Parser
Signature: Final[Any] = import_module("jsonata.signature").Signature
JException: Final[Any] = import_module("jsonata.jexception").JException
Utils: Final[Any] = import_module("jsonata.utils").Utils
NULL: Final[Any] = Utils.NULL_VALUE
"""JSON's null inside of an evaluation. Python's None stands for undefined there."""
