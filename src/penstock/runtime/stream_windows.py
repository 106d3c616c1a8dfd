"""The windows of a stage at work: what `core/streams/windowing.py` decides is done to the values of the key.

Under an agent's values of a key, a window operator keeps its clock, and each open window what it holds: all of it is written in
the commit that is done with the event (C3), so a window is shown once, whatever dies. A silent key is woken up by a durable timer
(C11); one timer stands for all that may become due: it is set anew only when it fires, or when something is due earlier.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from msgspec.structs import replace

from penstock.core.streams.plan import Cut, Fold, Node, Timed
from penstock.core.streams.values import Pane, StreamTick
from penstock.core.streams.windowing import Decision, KeyClock, Windowing, advanced, due_ms, idle_watermark, taken
from penstock.core.streams.windows import Span
from penstock.errors import Refused
from penstock.runtime.context import Context
from penstock.runtime.stream_wakes import Wakes


class Moment(NamedTuple):
    """Where a value stands: when it happened, and in which handling it is."""

    at_ms: int
    ctx: Context


Push: TypeAlias = Callable[[Any, Moment], Awaitable[None]]


def windowing_of(does: Cut, timed: Timed) -> Windowing:
    """Return how a stream is cut, in milliseconds."""
    idle_ms = None if timed.idle_s is None else round(timed.idle_s * 1000)
    return Windowing(
        does.window,
        round(does.lateness_s * 1000),
        round(timed.out_of_order_s * 1000),
        idle_ms,
        round(timed.forget_s * 1000),
    )


class Windows:
    """One window operator of one stage, for all keys."""

    def __init__(
        self,
        does: Cut,
        timed: Timed,
        tick: type[StreamTick],
        folds: Sequence[tuple[Node, Push]],
        late: Sequence[Push],
    ) -> None:
        self._name = does.name
        self._rule = does.late
        self._how = windowing_of(does, timed)
        self._wakes = Wakes(tick, "window", self._name)
        self._folds = [(cast("Fold", node.does), push) for node, push in folds]
        self._late = late

    async def take(self, value: Any, moment: Moment) -> None:
        """Add a value to its windows, and show those that close."""
        ctx = moment.ctx
        clock = await self._clock(ctx)
        after, decision = taken(self._how, clock, moment.at_ms, ctx.event.time_ms)
        if decision.is_late:
            await self._came_late(value, moment, clock)
            return
        await self._do(decision, moment, value)
        await self._keep(ctx, after)

    async def tick(self, tick: StreamTick, ctx: Context) -> None:
        """Let time go on for a key that was silent."""
        clock = replace(await self._clock(ctx), due_ms=0)
        if not clock.seen_ms:
            return
        after, decision = advanced(self._how, clock, idle_watermark(self._how, clock, tick.due_ms))
        await self._do(decision, Moment(after.watermark_ms, ctx), None)
        if not after.open and tick.due_ms - after.seen_ms >= self._how.forget_ms:
            await ctx.values.set(self._name, None)
            return
        await self._keep(ctx, after, tick.due_ms)

    async def _clock(self, ctx: Context) -> KeyClock:
        found: KeyClock | None = await ctx.values.get(self._name, None, to=KeyClock)
        return KeyClock() if found is None else found

    async def _keep(self, ctx: Context, clock: KeyClock, now_ms: int = 0) -> None:
        due = self._wakes.set(ctx, due_ms(self._how, clock), clock.due_ms, now_ms)
        await ctx.values.set(self._name, clock if due == clock.due_ms else replace(clock, due_ms=due))

    async def _came_late(self, value: Any, moment: Moment, clock: KeyClock) -> None:
        for push in self._late:
            await push(value, moment)
        if not self._late and self._rule == "dead":
            behind_s = (clock.watermark_ms - moment.at_ms) / 1000
            hint = "take what is late with .late(), allow more lateness_s, or window(..., late='drop')"
            raise Refused(f"it came {behind_s:,.3f} s too late for its windows ({self._name})", hint)

    async def _do(self, decision: Decision, moment: Moment, value: Any) -> None:
        """Do what was decided, in its order."""
        values = moment.ctx.values
        for fold, push in self._folds:
            for merge in decision.merges:
                held = [await self._held(values, fold, part) for part in merge.parts]
                whole = held[0]
                for other in held[1:]:
                    assert fold.merge is not None, fold
                    whole = fold.merge(whole, other)
                for part in merge.parts:
                    await values.set(self._place(fold, part), None)
                await values.set(self._place(fold, merge.into), [whole])
            for span in decision.adds:
                grown = fold.add(await self._held(values, fold, span), value)
                await values.set(self._place(fold, span), [grown])
            for span, number in decision.shows:
                pane = Pane(moment.ctx.key, *span, await self._held(values, fold, span), number)
                await push(pane, moment._replace(at_ms=span.last_ms))
            for span in decision.drops:
                await values.set(self._place(fold, span), None)

    async def _held(self, values: Any, fold: Fold, span: Span) -> Any:
        found = await values.get(self._place(fold, span), None, to=list[fold.holds])
        return fold.initial() if found is None else found[0]

    def _place(self, fold: Fold, span: Span) -> str:
        return f"{self._name}/{fold.name}/{span.start_ms}-{span.end_ms}"
