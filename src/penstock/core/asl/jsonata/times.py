"""`$toMillis`, with the reference implementation's idea of a timestamp, and without the clock."""

import re
from datetime import UTC, datetime
from typing import Any, Final

from penstock.core.asl.jsonata.library import Functions, JException
from penstock.core.asl.jsonata.running import current

_ISO: Final = re.compile(r"\d{4}(-[01]\d)*(-[0-3]\d)*(T[0-2]\d:[0-5]\d:[0-5]\d)*(\.\d+)?([+-][0-2]\d:?[0-5]\d|Z)?")
_COMPONENT: Final = re.compile(r"\[\s*([a-zA-Z])")
_MS: Final = 1000


def to_millis(text: Any = None, picture: Any = None) -> Any:
    if text is None:
        return None
    if picture is None:
        if not _ISO.fullmatch(text):
            raise JException("D3110", -1, text)
        try:
            return Functions.datetime_to_millis(text, None)
        except ValueError as broken:
            raise JException("D3110", -1, text) from broken
    try:
        millis = Functions.datetime_to_millis(text, picture)
    except KeyError as unknown:
        raise JException("D3132", -1, unknown.args[0]) from unknown
    return None if millis is None else _of_today(millis, set(_COMPONENT.findall(picture)))


def _of_today(millis: int, components: set[str]) -> int:
    """Put the evaluation's date in the place of the clock's, which the library takes for what a picture leaves out."""
    if components & {"Y", "X"}:
        return millis
    today = datetime.fromtimestamp(current().timestamp / _MS, UTC)
    found = datetime.fromtimestamp(millis / _MS, UTC)
    month, day = (found.month, found.day) if components & {"M", "D", "d", "W"} else (today.month, today.day)
    return round(found.replace(year=today.year, month=month, day=day).timestamp() * _MS)
