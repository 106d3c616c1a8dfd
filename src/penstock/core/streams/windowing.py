"""What follows from an event, or from time, for the windows of one key: which grow, merge, are shown, and go.

The rules are those of Flink's `WindowOperator` with its `EventTimeTrigger` (flink-streaming-java; in Python
`pyflink/fn_execution/datastream/window/window_operator.py`; in the documentation "Windows", "Allowed Lateness"), and of
`BoundedOutOfOrdernessWatermarks`:

- The watermark is the newest time so far, less `out_of_order_ms`, less 1 ms. An event is held against the watermark *before* it.
- A window is shown when the watermark reaches its last moment, in the order of these; with its whole content each time.
- Until the watermark is `lateness_ms` further, what still comes for it is added, and it is shown again at once.
- Then it goes. An event all of whose windows have gone is late.

What differs: Flink has one watermark for each parallel source, here each key has its own. So what is late does not depend on
other keys, on how many workers there are, nor on when a watermark happens to be made: a replay gives the same. A key that falls
silent would keep its windows open: `idle_watermark` lets its time go on with the clock on the wall.

Nothing here knows what is in a window: whoever holds the contents does what a `Decision` says, in the order of its fields.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from penstock.core.streams.windows import Sessions, Span, Window, spans_of
from penstock.errors import LimitReached

NEVER: Final = -(2**62)  # a watermark before all times
OPEN_MAX = 10_000  # windows of one key at once


class Open(Struct, frozen=True, array_like=True):
    """A window that has not gone, and how often it was shown."""

    start_ms: int
    end_ms: int
    shown: int = 0

    @property
    def span(self) -> Span:
        return Span(self.start_ms, self.end_ms)


class KeyClock(Struct, frozen=True, array_like=True):
    """The event time of one key: what is stored beside the contents of its windows. New fields go to the end."""

    watermark_ms: int = NEVER
    newest_ms: int = NEVER
    open: tuple[Open, ...] = ()
    seen_ms: int = 0  # when the newest event that was taken had been recorded
    due_ms: int = 0  # when the timer of this key is due, on the clock of `seen_ms`; 0: there is none


@dataclass(frozen=True, slots=True)
class Windowing:
    """How a stream is cut into windows. `idle_ms`: from which silence of a key on its time goes on with the wall's; None: never.

    `forget_ms`: after which silence a key without open windows is forgotten.
    """

    window: Window
    lateness_ms: int = 0
    out_of_order_ms: int = 0
    idle_ms: int | None = None
    forget_ms: int = 86_400_000

    @property
    def merges(self) -> bool:
        return isinstance(self.window, Sessions)

    def gone_ms(self, span: Span) -> int:
        """Return the watermark at which a window goes (Flink's `cleanupTime`)."""
        return span.last_ms + self.lateness_ms


class Merge(NamedTuple):
    """Windows, the earliest first, that become one."""

    into: Span
    parts: tuple[Span, ...]


class Shown(NamedTuple):
    """A window that is shown, and how often it was before."""

    span: Span
    number: int


@dataclass(slots=True)
class Decision:
    """What follows, to be done in this order: merge, add the event, show, drop."""

    is_late: bool = False
    merges: list[Merge] = field(default_factory=list[Merge])
    adds: list[Span] = field(default_factory=list[Span])
    shows: list[Shown] = field(default_factory=list[Shown])
    drops: list[Span] = field(default_factory=list[Span])


def taken(how: Windowing, clock: KeyClock, at_ms: int, seen_ms: int) -> tuple[KeyClock, Decision]:
    """Return what follows from an event of the time `at_ms` that was recorded at `seen_ms`; if it is late, nothing but that."""
    decision, watermark = Decision(), clock.watermark_ms
    held = {each.span: each.shown for each in clock.open}
    for own in spans_of(how.window, at_ms):
        span = _merged(own, held, decision) if how.merges else own
        if how.gone_ms(span) <= watermark:
            continue
        held.setdefault(span, 0)
        decision.adds.append(span)
        if span.last_ms <= watermark:
            _show(span, held, decision)
    if not decision.adds and at_ms + how.lateness_ms <= watermark:  # between windows there is no other way to tell
        return clock, Decision(is_late=True)
    if len(held) > OPEN_MAX:
        hint = "make windows larger, or allow less lateness and disorder"
        raise LimitReached("the number of open windows of a key", len(held), OPEN_MAX, hint)
    newest = max(clock.newest_ms, at_ms)
    after = replace(clock, newest_ms=newest, seen_ms=max(clock.seen_ms, seen_ms))
    return _advanced(how, after, held, newest - how.out_of_order_ms - 1, decision)


def advanced(how: Windowing, clock: KeyClock, watermark_ms: int) -> tuple[KeyClock, Decision]:
    """Return what follows when event time goes on to a watermark; it never goes back."""
    return _advanced(how, clock, {each.span: each.shown for each in clock.open}, watermark_ms, Decision())


def idle_watermark(how: Windowing, clock: KeyClock, now_ms: int) -> int:
    """Return the watermark of a key at a moment of the clock of `seen_ms`: a silent key's time goes on with that clock."""
    silence = now_ms - clock.seen_ms
    if how.idle_ms is None or clock.newest_ms == NEVER or silence < how.idle_ms:
        return clock.watermark_ms
    return max(clock.watermark_ms, clock.newest_ms + silence - how.out_of_order_ms - 1)


def due_ms(how: Windowing, clock: KeyClock) -> int:
    """Return when the key must be looked at next, if it stays silent, on the clock of `seen_ms`; 0: not at all."""
    if not clock.open:
        return clock.seen_ms + how.forget_ms
    if how.idle_ms is None:
        return 0
    marks = [mark for each in clock.open for mark in (each.span.last_ms, how.gone_ms(each.span))]
    mark = min((mark for mark in marks if mark > clock.watermark_ms), default=clock.watermark_ms)
    return clock.seen_ms + max(how.idle_ms, mark - clock.newest_ms + how.out_of_order_ms + 1)


def _merged(span: Span, held: dict[Span, int], decision: Decision) -> Span:
    parts = tuple(sorted(each for each in held if each.touches(span)))
    if not parts:
        return span
    whole = span
    for each in parts:
        whole = whole.over(each)
    if parts != (whole,):
        decision.merges.append(Merge(whole, parts))
        held[whole] = max([held.pop(each) for each in parts])
    return whole


def _advanced(
    how: Windowing, clock: KeyClock, held: dict[Span, int], watermark_ms: int, decision: Decision
) -> tuple[KeyClock, Decision]:
    before, now = clock.watermark_ms, max(clock.watermark_ms, watermark_ms)
    for span in sorted(held, key=lambda each: (each.end_ms, each.start_ms)):
        if before < span.last_ms <= now:
            _show(span, held, decision)
        if how.gone_ms(span) <= now:
            decision.drops.append(span)
            del held[span]
    still = tuple(Open(*span, shown) for span, shown in sorted(held.items()))
    return replace(clock, watermark_ms=now, open=still), decision


def _show(span: Span, held: dict[Span, int], decision: Decision) -> None:
    decision.shows.append(Shown(span, held[span]))
    held[span] += 1
