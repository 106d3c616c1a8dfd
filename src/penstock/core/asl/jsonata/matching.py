"""`$match`, `$contains`, `$split` and `$replace`: with a text, a pattern, or a function that finds matches itself."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, cast

from penstock.core.asl.jsonata.library import NULL, Functions, JException, Utils

_REFERENCE: Final = re.compile(r"\$(\$|\d+)?")


@dataclass(frozen=True, slots=True)
class _Match:
    text: str
    start: int
    end: int
    groups: list[str]


def _matches(matcher: Any, text: str, function: str) -> Iterator[_Match]:
    if Functions.is_regex(matcher):
        for found in matcher.finditer(text):
            yield _Match(found.group(), found.start(), found.end(), list(found.groups()))
        return
    found = Functions.func_apply(matcher, [text])
    while found is not None:
        if not isinstance(found, dict) or not {"match", "start", "end", "groups", "next"} <= found.keys():
            raise JException("T1010", -1, function)
        members = cast("dict[str, Any]", found)
        yield _Match(members["match"], members["start"], members["end"], list(members["groups"]))
        found = Functions.func_apply(members["next"], [])


def match(text: Any = None, matcher: Any = None, limit: Any = None) -> Any:
    if text is None:
        return None
    if text is NULL:
        raise JException("T0410", -1, 1, "match")
    if limit is not None and limit < 0:
        raise JException("D3040", -1, limit)
    found = islice(_matches(matcher, text, "match"), None if limit is None else math.ceil(limit))
    members = [{"match": each.text, "index": each.start, "groups": each.groups} for each in found]
    return Utils.create_sequence_from_iter(members)


def contains(text: Any = None, token: Any = None) -> Any:
    if text is None or token is None or text is NULL:
        return None
    return token in text if isinstance(token, str) else next(_matches(token, text, "contains"), None) is not None


def split(text: Any = None, separator: Any = None, limit: Any = None) -> Any:
    if text is None:
        return None
    if text is NULL or limit is NULL:
        raise JException("T0410", -1, 1 if text is NULL else 3, "split")
    if limit is not None and int(limit) < 0:
        raise JException("D3020", -1, limit)
    parts: list[str] = []
    if isinstance(separator, str):
        parts += list(text) if separator == "" else text.split(separator)
    else:
        at = 0
        for each in _matches(separator, text, "split"):
            parts.append(text[at : each.start])
            at = each.end
        parts.append(text[at:])
    return parts if limit is None else parts[: int(limit)]


def replace(text: Any = None, pattern: Any = None, replacement: Any = None, limit: Any = None) -> Any:
    if text is None:
        return None
    if text is NULL or limit is NULL:
        raise JException("T0410", -1, 1 if text is NULL else 4, "replace")
    if pattern == "":
        raise JException("D3010", -1, pattern)
    if limit is not None and limit < 0:
        raise JException("D3011", -1, limit)
    count = None if limit is None else math.ceil(limit)
    if not isinstance(pattern, str):
        return _replaced(text, islice(_matches(pattern, text, "replace"), count), _replacer(replacement))
    if isinstance(replacement, str):
        return text.replace(pattern, replacement, -1 if count is None else count)
    return Functions.replace(text, pattern, replacement, limit)


def _replaced(text: str, found: Iterator[_Match], replacer: Callable[[_Match], Any]) -> str:
    parts: list[str] = []
    at = 0
    for each in found:
        if each.text == "":
            raise JException("D1004", -1, text)
        new = replacer(each)
        if not isinstance(new, str):
            raise JException("D3012", -1, new)
        parts += (text[at : each.start], new)
        at = each.end
    return "".join((*parts, text[at:]))


def _replacer(replacement: Any) -> Callable[[_Match], Any]:
    if isinstance(replacement, str):
        return lambda each: _REFERENCE.sub(lambda written: _referred(written[1], each), replacement)
    return lambda each: Functions.func_apply(
        replacement,
        [{"match": each.text, "start": each.start, "end": each.end, "groups": each.groups, "index": each.start}],
    )


def _referred(what: str | None, found: _Match) -> str:
    """Return what `$1` stands for. Of several digits as many count as there are groups to need them; the rest is text."""
    if what is None or what == "$":
        return "$"
    if what.startswith("0"):
        return found.text + what[1:]
    digits = what[: max(1, len(str(len(found.groups))))]
    if len(digits) > 1 and int(digits) > len(found.groups):
        digits = digits[:-1]
    group = found.groups[int(digits) - 1] if int(digits) <= len(found.groups) else ""
    return (group or "") + what[len(digits) :]
