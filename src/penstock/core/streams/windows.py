"""Which windows an event falls into, by its time alone.

The meaning is that of Flink's event-time windows (Apache Flink documentation, "Windows", "Window Assigners"; `TimeWindow`
and its assigners in flink-streaming-java): a window is [start, end), tumbling and sliding ones begin at multiples of their step
counted from 1970-01-01 UTC plus the offset, sessions of a key that overlap *or touch* become one. (Beam's sessions differ in the
last point: those that only touch stay apart.)
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from penstock.errors import Finding

SPANS_OF_ONE_MAX = 1_000  # windows that one event may be in
SIZE_S_MAX = 366 * 86_400.0
MS = 1000


class Span(NamedTuple):
    """One window: from `start_ms` on, up to but not with `end_ms`."""

    start_ms: int
    end_ms: int

    @property
    def last_ms(self) -> int:
        """The last moment that is in it (Flink's `maxTimestamp`)."""
        return self.end_ms - 1

    def touches(self, other: "Span") -> bool:
        """Whether they overlap, or one ends where the other begins (Flink's `TimeWindow.intersects`)."""
        return self.start_ms <= other.end_ms and self.end_ms >= other.start_ms

    def over(self, other: "Span") -> "Span":
        """Return the smallest one that covers both."""
        return Span(min(self.start_ms, other.start_ms), max(self.end_ms, other.end_ms))


@dataclass(frozen=True, slots=True)
class Tumbling:
    """Windows of one size, one after another: each event is in one. `offset_s` shifts where they begin."""

    size_s: float
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sliding:
    """Windows of one size that begin every `every_s`: each event is in `size_s / every_s` of them."""

    size_s: float
    every_s: float
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sessions:
    """Windows that last until nothing came for `gap_s`."""

    gap_s: float


Window: TypeAlias = Tumbling | Sliding | Sessions


def spans_of(window: Window, at_ms: int) -> list[Span]:
    """Return the windows of an event of this time, the earliest first; a session is that of this event alone."""
    match window:
        case Sessions():
            return [Span(at_ms, at_ms + _ms(window.gap_s))]
        case Tumbling():
            size, step, offset = _ms(window.size_s), _ms(window.size_s), _ms(window.offset_s)
        case Sliding():
            size, step, offset = _ms(window.size_s), _ms(window.every_s), _ms(window.offset_s)
    latest = at_ms - (at_ms - offset) % step
    return [Span(start, start + size) for start in reversed(range(latest, at_ms - size, -step))]


def window_findings(window: object) -> list[Finding]:
    """Return what is wrong with a window. No type checker has seen many of them: it may be anything."""
    if not isinstance(window, Tumbling | Sliding | Sessions):
        return [Finding("window", f"is {window!r}", "Tumbling(60), Sliding(60, every_s=10) or Sessions(gap_s=1800)")]
    values = {name: getattr(window, name) for name in window.__slots__}
    findings = [
        Finding(f"window.{name}", f"is {value!r}", f"a number of seconds, 0.001 to {SIZE_S_MAX:.0f}")
        for name, value in values.items()
        if name != "offset_s" and not _is_size(value)
    ]
    offset = values.get("offset_s", 0.0)
    if not _is_number(offset) or abs(offset) > SIZE_S_MAX:
        findings.append(Finding("window.offset_s", f"is {offset!r}", "a number of seconds"))
    if not findings and isinstance(window, Sliding) and window.size_s > window.every_s * SPANS_OF_ONE_MAX:
        problem = f"is {window.every_s!r}: each event would be in {window.size_s / window.every_s:.0f} windows"
        findings.append(Finding("window.every_s", problem, f"{SPANS_OF_ONE_MAX} at most"))
    return findings


def _ms(seconds: float) -> int:
    return round(seconds * MS)


def _is_size(value: object) -> bool:
    return _is_number(value) and 0.001 <= value <= SIZE_S_MAX  # type: ignore[operator] # noqa: PLR2004 - a millisecond


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
