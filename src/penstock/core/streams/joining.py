"""What follows from a value, or from time, for the join of two streams under one key: who meets whom, who waits, who goes.

A value of the left side meets each one of the right side that happened from `lower_ms` to `upper_ms` after it (Flink's interval
join). Each side has a watermark of its own, per key: its newest time so far, less its disorder, less 1 ms.

- A value that its own side's watermark has reached is late. So what is late follows from that side alone.
- A value waits until the other side's watermark says that nobody comes any more whom it could meet.

Whom a value meets therefore does not depend on which side came first, nor on how far one side is behind the other: for each
value that is not late, all that it can meet and that came before is still there. So a replay, several workers and another host
give the same pairs; only their order is that in which they met. A pair happened when the later one of both did: pairs are out of
order by at most `disorder_ms`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from penstock.core.streams.windowing import NEVER
from penstock.errors import LimitReached

Side = Literal["left", "right"]
SIDES: Final[tuple[Side, Side]] = ("left", "right")
OTHER: Final[dict[Side, Side]] = {"left": "right", "right": "left"}


class Waits(NamedTuple):
    """A value that waits: when it happened, and the number under which it is kept."""

    at_ms: int
    number: int


class SideClock(Struct, frozen=True, array_like=True):
    """The event time of one side of a key, and who waits there. New fields go to the end."""

    newest_ms: int = NEVER
    watermark_ms: int = NEVER
    seen_ms: int = 0  # when the newest value that was taken had been recorded
    waiting: tuple[Waits, ...] = ()


class JoinClock(Struct, frozen=True, array_like=True):
    """Both sides of a key. New fields go to the end."""

    left: SideClock = SideClock()
    right: SideClock = SideClock()
    number: int = 0  # of the newest value
    due_ms: int = 0  # when the timer of this key is due; 0: there is none

    def of(self, side: Side) -> SideClock:
        return self.left if side == "left" else self.right

    def having(self, side: Side, clock: SideClock) -> "JoinClock":
        return replace(self, left=clock) if side == "left" else replace(self, right=clock)

    @property
    def seen_ms(self) -> int:
        return max(self.left.seen_ms, self.right.seen_ms)

    @property
    def is_waiting(self) -> bool:
        return bool(self.left.waiting or self.right.waiting)


@dataclass(frozen=True, slots=True)
class SideRule:
    """How one side tells time. `idle_ms`: from which silence on it goes on with the clock on the wall; None: never."""

    out_of_order_ms: int = 0
    idle_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Joining:
    """How two streams are joined. `values_max`: how many values of a side and key may wait."""

    lower_ms: int
    upper_ms: int
    left: SideRule = SideRule()
    right: SideRule = SideRule()
    values_max: int = 1_000
    forget_ms: int = 86_400_000

    def of(self, side: Side) -> SideRule:
        return self.left if side == "left" else self.right

    def span(self, side: Side, at_ms: int) -> tuple[int, int]:
        """Return from when to when those happened whom a value of this side meets."""
        if side == "left":
            return at_ms + self.lower_ms, at_ms + self.upper_ms
        return at_ms - self.upper_ms, at_ms - self.lower_ms

    @property
    def disorder_ms(self) -> int:
        """By how much pairs may be out of order, if neither side has more disorder than it says."""
        apart = max(abs(self.lower_ms), abs(self.upper_ms))
        return apart + max(self.left.out_of_order_ms, self.right.out_of_order_ms)


@dataclass(slots=True)
class Met:
    """What follows: whom the value meets, in the order of their time, whether it waits (`number`, or 0), and who goes."""

    is_late: bool = False
    pairs: list[Waits] = field(default_factory=list[Waits])
    number: int = 0
    drops: list[tuple[Side, int]] = field(default_factory=list[tuple[Side, int]])


def met(how: Joining, clock: JoinClock, side: Side, at_ms: int, seen_ms: int) -> tuple[JoinClock, Met]:
    """Return what follows from a value of one side; if it is late, nothing but that."""
    own, other = clock.of(side), clock.of(OTHER[side])
    if at_ms <= own.watermark_ms:
        return clock, Met(is_late=True)
    first_ms, last_ms = how.span(side, at_ms)
    found = Met(pairs=sorted(each for each in other.waiting if first_ms <= each.at_ms <= last_ms))
    waiting, number = own.waiting, clock.number
    if other.watermark_ms < last_ms:
        found.number = number = number + 1
        waiting = (*waiting, Waits(at_ms, number))
    newest = max(own.newest_ms, at_ms)
    watermark = max(own.watermark_ms, newest - how.of(side).out_of_order_ms - 1)
    after = SideClock(newest, watermark, max(own.seen_ms, seen_ms), waiting)
    clock = replace(clock.having(side, after), number=number)
    clock = _dropped(how, clock, found)
    if len(clock.of(side).waiting) > how.values_max:
        hint = "make between_s narrower, see why the other stream does not come, or raise values_max"
        count = len(clock.of(side).waiting)
        raise LimitReached("the number of values that wait for the other stream", count, how.values_max, hint)
    return clock, found


def gone_on(how: Joining, clock: JoinClock, now_ms: int) -> tuple[JoinClock, Met]:
    """Return what follows when it is so late on the clock of `seen_ms`: the time of a side that was silent goes on with that."""
    found = Met()
    for side in SIDES:
        clock = clock.having(side, replace(clock.of(side), watermark_ms=_idle_watermark(how, clock, side, now_ms)))
    return _dropped(how, clock, found), found


def due_ms(how: Joining, clock: JoinClock) -> int:
    """Return when the key must be looked at next, if it stays silent, on the clock of `seen_ms`; 0: not at all."""
    if not clock.is_waiting:
        return clock.seen_ms + how.forget_ms
    found: list[int] = []
    for side in SIDES:
        other = OTHER[side]
        rule, waiting = how.of(other), clock.of(side).waiting
        if waiting and rule.idle_ms is not None:
            newest_ms, seen_ms = _last(clock, other)
            mark = min(how.span(side, each.at_ms)[1] for each in waiting)
            found.append(seen_ms + max(rule.idle_ms, mark - newest_ms + rule.out_of_order_ms + 1))
    return min(found, default=0)


def _last(clock: JoinClock, side: Side) -> tuple[int, int]:
    """Return the newest time of a side, and when that was seen: one that never came has the other's."""
    own = clock.of(side)
    known = own if own.newest_ms != NEVER else clock.of(OTHER[side])
    return known.newest_ms, known.seen_ms


def _idle_watermark(how: Joining, clock: JoinClock, side: Side, now_ms: int) -> int:
    rule, (newest_ms, seen_ms) = how.of(side), _last(clock, side)
    silence = now_ms - seen_ms
    if rule.idle_ms is None or newest_ms == NEVER or silence < rule.idle_ms:
        return clock.of(side).watermark_ms
    return max(clock.of(side).watermark_ms, newest_ms + silence - rule.out_of_order_ms - 1)


def _dropped(how: Joining, clock: JoinClock, found: Met) -> JoinClock:
    """Let those go whom nobody comes for any more."""
    for side in SIDES:
        waiting, mark = clock.of(side).waiting, clock.of(OTHER[side]).watermark_ms
        still = tuple(each for each in waiting if mark < how.span(side, each.at_ms)[1])
        if len(still) < len(waiting):
            found.drops += _gone(side, waiting, still)
            clock = clock.having(side, replace(clock.of(side), waiting=still))
    return clock


def _gone(side: Side, before: Sequence[Waits], still: Sequence[Waits]) -> list[tuple[Side, int]]:
    kept = {each.number for each in still}
    return [(side, each.number) for each in before if each.number not in kept]
