"""What each intrinsic function computes, within the limits that AWS sets.

Fractions count towards zero where a whole number is wanted, except in `States.MathAdd`, which rounds each operand to the
nearest (a half upwards): both as observed on AWS.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from penstock.core.asl.intrinsics.java_sets import unique
from penstock.core.asl.intrinsics.template import TemplateInvalid, template_parts
from penstock.core.asl.java_random import JavaRandom
from penstock.core.asl.scope import Chance
from penstock.core.asl.values import Json, is_number, java_text, json_text, parsed_json

ARGUMENTS_MAX = 1000
TEXT_LENGTH_MAX = 10_000
RANGE_LENGTH_MAX = 1000
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_HASHES: Final = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class ArgumentsInvalid(Exception):
    """A function does not take these values. The text is AWS's."""


@dataclass(frozen=True, slots=True)
class Function:
    arity: tuple[int, int]
    compute: Callable[[Sequence[Json], Chance], Json]
    takes_template: bool = False

    def call(self, name: str, values: Sequence[Json], chance: Chance) -> Json:
        try:
            return self.compute(values, chance)
        except TemplateInvalid as error:
            raise ArgumentsInvalid(f"Invalid template in {name}: {error}") from error
        except _Refused as error:
            detail = f": {error}" if str(error) else ""
            raise ArgumentsInvalid(f"Invalid arguments in {name}{detail}") from error


class _Refused(Exception):
    """An argument is of the wrong kind or out of bounds."""


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise _Refused
    return value


def _text(value: Json, length_max: int | None = None) -> str:
    if not isinstance(value, str) or (length_max is not None and len(value) > length_max):
        raise _Refused
    return value


def _number(value: Json) -> float:
    if not is_number(value) or not math.isfinite(value):
        raise _Refused
    return value


def _whole(value: Json) -> int:
    return int(_number(value))


def _format(values: Sequence[Json], _chance: Chance) -> Json:
    template, *arguments = values
    parts = template_parts(java_text(template))
    if len(parts) - 1 != len(arguments):
        raise _Refused("number of arguments do not match the occurrences of {}.")
    texts = [parts[0]]
    for argument, part in zip(arguments, parts[1:], strict=True):
        texts += (java_text(argument), part)
    return "".join(texts)


def _string_to_json(values: Sequence[Json], _chance: Chance) -> Json:
    text = _text(values[0])
    if not text.strip():
        return None
    try:
        return parsed_json(text)
    except ValueError as error:
        raise _Refused from error


def _array_contains(values: Sequence[Json], _chance: Chance) -> Json:
    # AWS compares what Java shows of the values: true is in ["true"], and the order of an object's keys counts.
    wanted = java_text(values[1])
    return any(java_text(each) == wanted for each in _list(values[0]))


def _array_partition(values: Sequence[Json], _chance: Chance) -> Json:
    items, size = _list(values[0]), _whole(values[1])
    if size < 1:
        raise _Refused
    return [items[start : start + size] for start in range(0, len(items), size)]


def _array_range(values: Sequence[Json], _chance: Chance) -> Json:
    first, last, step = map(_whole, values)
    if step == 0:
        raise _Refused
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if len(numbers) > RANGE_LENGTH_MAX:
        raise _Refused
    return list(numbers)


def _array_get_item(values: Sequence[Json], _chance: Chance) -> Json:
    items, index = _list(values[0]), _whole(values[1])
    if not items:
        return None  # as observed on AWS, where any other index outside is refused
    if not 0 <= index < len(items):
        raise _Refused
    return items[index]


def _base64_encode(values: Sequence[Json], _chance: Chance) -> Json:
    return base64.b64encode(_text(values[0], TEXT_LENGTH_MAX).encode()).decode()


def _base64_decode(values: Sequence[Json], _chance: Chance) -> Json:
    # AWS's decoder passes over what is not of the alphabet, and takes what is cut short.
    text = _text(values[0], TEXT_LENGTH_MAX).translate({ord("-"): "+", ord("_"): "/"}).partition("=")[0]
    digits = "".join(char for char in text if char in _BASE64)
    whole = digits[: len(digits) - 1] if len(digits) % 4 == 1 else digits
    return base64.b64decode(whole + "=" * (-len(whole) % 4)).decode(errors="replace")


def _hash(values: Sequence[Json], _chance: Chance) -> Json:
    data, algorithm = values
    name = _HASHES.get(_text(algorithm))
    text = data if isinstance(data, str) else json_text(data)
    if name is None or len(text) > TEXT_LENGTH_MAX:
        raise _Refused
    return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _json_merge(values: Sequence[Json], _chance: Chance) -> Json:
    left, right, deep = values
    if not isinstance(left, dict) or not isinstance(right, dict) or deep is True:
        raise _Refused
    return {**left, **right}


def _math_random(values: Sequence[Json], chance: Chance) -> Json:
    first, end = map(_whole, values[:2])
    if first >= end:
        raise _Refused
    if len(values) > 2:  # noqa: PLR2004 - a seed is given
        return first + JavaRandom(_whole(values[2])).below(end - first)
    return first + int(chance.fraction() * (end - first))


def _math_add(values: Sequence[Json], _chance: Chance) -> Json:
    left, right = (math.floor(_number(each) + 0.5) for each in values)
    if not all(_INT_MIN <= each <= _INT_MAX for each in (left, right, left + right)):
        raise _Refused
    return left + right


def _string_split(values: Sequence[Json], _chance: Chance) -> Json:
    text, separators = map(_text, values)
    first, *others = separators or "\0"
    for other in others:
        text = text.replace(other, first)
    return [part for part in text.split(first) if part] if separators else [text] if text else []


FUNCTIONS: Final[dict[str, Function]] = {
    "States.Array": Function((0, ARGUMENTS_MAX), lambda values, _: list(values)),
    "States.ArrayContains": Function((2, 2), _array_contains),
    "States.ArrayGetItem": Function((2, 2), _array_get_item),
    "States.ArrayLength": Function((1, 1), lambda values, _: len(_list(values[0]))),
    "States.ArrayPartition": Function((2, 2), _array_partition),
    "States.ArrayRange": Function((3, 3), _array_range),
    "States.ArrayUnique": Function((1, 1), lambda values, _: unique(_list(values[0]))),
    "States.Base64Decode": Function((1, 1), _base64_decode),
    "States.Base64Encode": Function((1, 1), _base64_encode),
    "States.Format": Function((1, ARGUMENTS_MAX), _format, takes_template=True),
    "States.Hash": Function((2, 2), _hash),
    "States.JsonMerge": Function((3, 3), _json_merge),
    "States.JsonToString": Function((1, 1), lambda values, _: json_text(values[0])),
    "States.MathAdd": Function((2, 2), _math_add),
    "States.MathRandom": Function((2, 3), _math_random),
    "States.StringSplit": Function((2, 2), _string_split),
    "States.StringToJson": Function((1, 1), _string_to_json),
    "States.UUID": Function((0, 0), lambda _, chance: chance.uuid()),
}
