"""The join of two streams at work: what `core/streams/joining.py` decides is done to the values of the key.

Under an agent's values of a key, a join keeps its clock, and each value that waits apart: so a value is written once, in the
commit that is done with the event (C3). A key of which a side is silent is woken up as one of windows is.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from penstock.core.streams.joining import OTHER, JoinClock, Joining, Met, Side, SideRule, due_ms, gone_on, met
from penstock.core.streams.plan import JoinStream, Timed
from penstock.core.streams.values import Pair, StreamTick
from penstock.errors import Refused
from penstock.runtime.context import Context
from penstock.runtime.stream_wakes import Wakes
from penstock.runtime.stream_windows import Moment, Push


def joining_of(does: JoinStream) -> Joining:
    """Return how two streams are joined, in milliseconds."""
    lower_s, upper_s = does.between_s
    forget_s = max(each.forget_s for each in does.timed.values())
    left, right = (_rule(does.timed[side]) for side in ("left", "right"))
    return Joining(round(lower_s * 1000), round(upper_s * 1000), left, right, does.values_max, round(forget_s * 1000))


def _rule(timed: Timed) -> SideRule:
    return SideRule(round(timed.out_of_order_s * 1000), None if timed.idle_s is None else round(timed.idle_s * 1000))


class Joins:
    """The join of one stage, for all keys. `holds`: the types of the values of both sides."""

    def __init__(self, does: JoinStream, holds: Mapping[Side, Any], tick: type[StreamTick], push: Push) -> None:
        self._name = does.name
        self._place = f"join:{does.name}"  # windows of this stage have names of their own
        self._rule = does.late
        self._how = joining_of(does)
        self._holds = holds
        self._wakes = Wakes(tick, "join", self._name)
        self._push = push

    async def take(self, side: Side, value: Any, moment: Moment) -> None:
        """Have a value meet those that wait on the other side, and wait itself."""
        ctx, other = moment.ctx, OTHER[side]
        clock = await self._clock(ctx)
        after, found = met(self._how, clock, side, moment.at_ms, ctx.event.time_ms)
        if found.is_late:
            self._came_late(clock.of(side).watermark_ms - moment.at_ms)
            return
        for each in found.pairs:
            held: list[Any] = await ctx.values.get(self._at(other, each.number), None, to=list[self._holds[other]])
            pair = Pair(value, held[0]) if side == "left" else Pair(held[0], value)
            await self._push(pair, moment._replace(at_ms=max(moment.at_ms, each.at_ms)))
        if found.number:
            await ctx.values.set(self._at(side, found.number), [value])
        await self._drop(found, ctx)
        await self._keep(ctx, after)

    async def tick(self, tick: StreamTick, ctx: Context) -> None:
        """Let time go on for a key of which a side was silent."""
        clock = replace(await self._clock(ctx), due_ms=0)
        if not clock.seen_ms:
            return
        after, found = gone_on(self._how, clock, tick.due_ms)
        await self._drop(found, ctx)
        if not after.is_waiting and tick.due_ms - after.seen_ms >= self._how.forget_ms:
            await ctx.values.set(self._place, None)
            return
        await self._keep(ctx, after, tick.due_ms)

    async def _clock(self, ctx: Context) -> JoinClock:
        found: JoinClock | None = await ctx.values.get(self._place, None, to=JoinClock)
        return JoinClock() if found is None else found

    async def _drop(self, found: Met, ctx: Context) -> None:
        for side, number in found.drops:
            await ctx.values.set(self._at(side, number), None)

    async def _keep(self, ctx: Context, clock: JoinClock, now_ms: int = 0) -> None:
        due = self._wakes.set(ctx, due_ms(self._how, clock), clock.due_ms, now_ms)
        await ctx.values.set(self._place, clock if due == clock.due_ms else replace(clock, due_ms=due))

    def _came_late(self, behind_ms: int) -> None:
        if self._rule == "dead":
            hint = "allow more out_of_order_s, or join(..., late='drop')"
            raise Refused(f"it came {behind_ms / 1000:,.3f} s too late to be joined ({self._name})", hint)

    def _at(self, side: Side, number: int) -> str:
        return f"{self._place}/{side}/{number}"
