# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The class it extends has no types.
"""jsonata-python's interpreter, mended where it differs from the reference implementation, and bounded without a clock.

One evaluation is one copy of the parsed expression's interpreter, so that any number may run at once. The library looks for
the running one in a variable of the thread: it is set for the time of an evaluation.
"""

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from penstock.core.asl.jsonata.library import Functions, JException, Jsonata, Parser, Utils
from penstock.core.asl.jsonata.problems import (
    DEPTH_EXCEEDED,
    MEMORY_EXCEEDED,
    TIME_EXCEEDED,
    QueryProblem,
    problem_of,
)
from penstock.core.asl.jsonata.texts import string
from penstock.core.asl.scope import Chance

DEPTH_MAX: Final = 100
"""How deep evaluations nest in one expression: AWS's own ceiling."""
STEPS_MAX: Final = 1_000_000
"""How many evaluations of parts one expression may take. AWS counts seconds and bytes; a count gives the same answer anywhere."""

RANGE_LENGTH_MAX: Final = 873_782
TEXT_LENGTH_MAX: Final = 6_990_256
"""The longest `[1..n]` and text that AWS's memory limit lets pass."""


class _MendedParser(Parser):  # pyright: ignore[reportUntypedBaseClass]
    def process_ast(self, expr: Any) -> Any:
        # `-1 ?: x` processes its left side twice, and the library negates the number in place each time.
        if expr is not None and expr.type == "unary" and str(expr.value) == "-" and expr.expression.type == "number":
            number = copy.copy(expr.expression)
            number.value = -number.value
            number.keep_array = number.keep_array or expr.keep_array
            return number
        return super().process_ast(expr)


class Frame(Jsonata.Frame):  # pyright: ignore[reportUntypedBaseClass]
    """The names that an expression can see. The library asks every frame up to the top for its two callbacks, at each step."""

    def lookup(self, name: str) -> Any:
        if name.startswith("__"):
            return None
        frame = self
        while frame is not None:
            value = frame.bindings.get(name, Utils.NONE)
            if value is not Utils.NONE:
                return value
            frame = frame.parent
        return None


class Builtin(Jsonata.JFunction):  # pyright: ignore[reportUntypedBaseClass]
    """A Python function as one of JSONata's, checked by a signature, such as `<s-n?:s>`."""

    def __init__(self, name: str, function: Callable[..., Any], signature: str) -> None:
        super().__init__(Jsonata.JLambda(function), signature)
        self.function_name = name
        self._arguments = len(inspect.signature(function).parameters)

    def get_number_of_args(self) -> int:
        return self._arguments


class Interpreter(Jsonata):  # pyright: ignore[reportUntypedBaseClass]
    """A parsed expression. `evaluate` of the library is not used: `run` is."""

    def __init__(self, text: str, functions: Any) -> None:
        self.regex_engine = Jsonata.jsonata.__defaults__[0]
        self.parser = _MendedParser()
        self.ast = _parsed(self.parser, text, self.regex_engine)
        self.errors = None
        self.environment = functions
        self.timestamp = 0
        self.input = None
        self.depth = 0
        self.steps = 0
        self.depth_max = DEPTH_MAX
        self.steps_max = STEPS_MAX
        self.range_length_max = RANGE_LENGTH_MAX
        self.chance: Chance | None = None

    def run(self, bindings: Mapping[str, Any], chance: Chance, now_ms: int, document: Any = None) -> Any:
        """Return the value, where None is undefined and `NULL` is null. Raise `QueryProblem`."""
        one = copy.copy(self)
        one.chance, one.timestamp = chance, now_ms
        frame = Frame(one.environment)
        frame.bindings.update(bindings)
        frame.bindings["$"] = document
        if isinstance(document, list) and not Utils.is_sequence(document):
            document = Utils.create_sequence(document)
            document.outer_wrapper = True
        Jsonata.CURRENT.jsonata = one
        try:
            return one.eval(one.ast, document, frame)
        except Exception as error:
            raise problem_of(error) from error
        finally:
            Jsonata.CURRENT.jsonata = self  # nothing of this evaluation's data stays behind

    def eval(self, expr: Any, input: Any, environment: Any) -> Any:
        self.depth += 1
        self.steps += 1
        if self.depth > self.depth_max:
            raise DEPTH_EXCEEDED
        if self.steps > self.steps_max:
            raise TIME_EXCEEDED
        before = (self.input, self.environment)
        try:
            return self._eval(expr, input, environment)
        finally:
            self.input, self.environment = before
            self.depth -= 1

    def create_frame(self, enclosing_environment: Any = None) -> Any:
        return Frame(enclosing_environment)

    def get_per_thread_instance(self) -> Any:
        return self

    def apply_inner(self, proc: Any, args: Any, input: Any, environment: Any) -> Any:
        if not (
            Functions.is_lambda(proc)
            or Functions.is_regex(proc)
            or isinstance(proc, Jsonata.JFunction | Jsonata.JLambda)
        ):
            raise JException("T1006", 0)  # the library would print what it cannot call
        return super().apply_inner(proc, args, input, environment)

    def evaluate_numeric_expression(self, lhs: Any, rhs: Any, op: Any) -> Any:
        if lhs is not None and not Utils.is_numeric(lhs):
            raise JException("T2001", -1, op, lhs)
        if rhs is not None and not Utils.is_numeric(rhs):
            raise JException("T2002", -1, op, rhs)
        return None if lhs is None or rhs is None else computed(lhs, rhs, op)

    def evaluate_string_concat(self, lhs: Any, rhs: Any) -> str:
        left, right = string(lhs) or "", string(rhs) or ""
        if len(left) + len(right) > TEXT_LENGTH_MAX:
            raise MEMORY_EXCEEDED
        return left + right

    def evaluate_range_expression(self, lhs: Any, rhs: Any) -> Any:
        if isinstance(lhs, int) and isinstance(rhs, int) and rhs - lhs >= self.range_length_max:
            raise MEMORY_EXCEEDED
        return super().evaluate_range_expression(lhs, rhs)

    def evaluate_partial_application(self, expr: Any, input: Any, environment: Any) -> Any:
        procedure = expr.procedure
        if getattr(procedure, "type", None) == "path" and self.eval(procedure, input, environment) is None:
            name = procedure.steps[0].value
            if environment.lookup(str(name)) is not None:
                raise JException("T1007", expr.position, name)  # a forgotten `$`
        return super().evaluate_partial_application(expr, input, environment)

    def partial_apply_native_function(self, native: Any, args: Any) -> Any:
        self.parser = _MendedParser()  # what is parsed here must not disturb another evaluation of the expression
        return super().partial_apply_native_function(native, args)

    def evaluate_group_expression(self, expr: Any, input: Any, environment: Any) -> Any:
        # A join without a match groups nothing: the library would look into what is not there.
        if isinstance(input, list) and not input and getattr(input, "tuple_stream", False):
            return cast("dict[str, Any]", {})
        return super().evaluate_group_expression(expr, input, environment)


def _parsed(parser: Any, text: str, regex_engine: Any) -> Any:
    try:
        return parser.parse(text, regex_engine)
    except IndexError as error:
        raise QueryProblem("S0106", "Comment has no closing tag") from error
    except KeyError as error:
        raise QueryProblem("S0204", f"Unknown operator: {error}") from error
    except Exception as error:
        if (
            isinstance(error, JException)
            and cast("Any", error).error == "S0301"
            and cast("Any", error).current is not None
        ):
            escape = cast("Any", error).current
            raise QueryProblem(
                "S0103", f"Unsupported escape sequence: \\{escape}"
            ) from error  # the library's code is that of patterns
        raise problem_of(error) from error


def computed(left: float, right: float, operator: str) -> float:
    """Compute as JavaScript does: in floating numbers, without an error for what is too large or divided by zero."""
    one, other = float(left), float(right)
    try:
        match operator:
            case "+":
                result = one + other
            case "-":
                result = one - other
            case "*":
                result = one * other
            case "/":
                result = one / other
            case _:
                result = math.fmod(one, other)
    except ZeroDivisionError:
        result = math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one) * math.copysign(1, other)
    except ValueError:  # the remainder of a division by zero
        result = math.nan
    except OverflowError:
        result = math.copysign(math.inf, one) * math.copysign(1, other)
    return int(result) if math.isfinite(result) and result == int(result) else result
