"""Timestamps as the States Language takes them: date, `T`, time, and an offset or `Z`, such as `2024-03-14T01:59:00Z`."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_PATTERN = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_S = 1_000_000_000


def timestamp_ns(text: object) -> int | None:
    """Return the moment in nanoseconds since 1970, or None when it is no timestamp: no zone, no `T`, no such day."""
    found = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    minutes, seconds, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{minutes}:{seconds or '00'}").replace(tzinfo=_zone(zone))
        whole_s = (moment - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None
    return whole_s * _NS_PER_S + int((fraction or "").ljust(9, "0"))


@lru_cache(maxsize=4096)  # a run goes through several states in one moment
def iso(at_ms: int) -> str:
    """Return a time as the context object shows it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03}Z"


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)
