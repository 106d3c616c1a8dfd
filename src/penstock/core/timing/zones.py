"""Between what a clock on the wall shows in a time zone, and the moment at which it shows it.

A wall time is a naive `datetime`; a moment is milliseconds since 1970-01-01 UTC. Where clocks are set forward some wall times do
not exist; where they are set back some exist twice, and the first counts. The rules of the zones are data that `zoneinfo` looks
up; UTC needs none.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from penstock.errors import Finding, Invalid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def zone_named(name: str) -> tzinfo:
    """Return the time zone of an IANA name such as "Europe/Berlin". Raise `Invalid` if there is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    # zoneinfo looks names up as files: a folder's name is an OSError, one that leaves the folder a ValueError.
    except (KeyError, OSError, ValueError) as error:
        hint = "write a name as Europe/Berlin or UTC; where the system has no time zones, install the package tzdata"
        raise Invalid("the time zone", (Finding("zone", f"{name!r} is not known", hint),)) from error


def wall_time(moment_ms: int, zone: tzinfo) -> datetime:
    """Return what clocks in the zone show at a moment, to the millisecond."""
    return (EPOCH + moment_ms * _MS).astimezone(zone).replace(tzinfo=None, fold=0)


def moment_of(wall: datetime, zone: tzinfo) -> int | None:
    """Return the first moment (ms) at which clocks in the zone show `wall`, or None if they never do."""
    moment_ms = shifted_moment_of(wall, zone)
    return moment_ms if wall_time(moment_ms, zone) == wall else None


def shifted_moment_of(wall: datetime, zone: tzinfo) -> int:
    """Return the first moment (ms) of `wall`. One that does not exist is read by the offset before the gap (PEP 495)."""
    return (wall.replace(tzinfo=zone, fold=0) - EPOCH) // _MS
