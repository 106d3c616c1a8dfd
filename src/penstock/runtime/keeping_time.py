"""What callers do with the schedules and timers of a running app."""

from collections.abc import Sequence

from penstock.core.events.event import Event
from penstock.core.timing.schedule_events import SchedulePaused, ScheduleResumed, ScheduleTriggered
from penstock.core.timing.timers import Timer
from penstock.errors import Missing
from penstock.runtime.engine import Engine
from penstock.runtime.schedules import KeptSchedule


class ForTime:
    """The doors to what happens later."""

    __slots__ = ()
    engine: Engine

    async def cancel_timer(self, id: str, *, tenant: str = "default") -> None:
        """Cancel what waits for its time, and return once that is durable; `Missing` when it has fired, or never was.

        `TimedOut`: the worker that has it did not answer; it will cancel it, unless it fires before.
        """
        await self.engine.cancel_timer(id, tenant)

    async def schedules(self) -> Sequence[KeptSchedule]:
        """Return the schedules of the app, and where each of them is."""
        return [] if self.engine.parts.schedules is None else await self.engine.parts.schedules.kept()

    async def pause_schedule(self, name: str) -> str:
        """Have a schedule fire no more until it is resumed, over restarts too; return the id of the event that says so."""
        return await self._say_to(name, SchedulePaused(schedule=name))

    async def resume_schedule(self, name: str) -> str:
        """Have a paused schedule go on with its next due time; what was due meanwhile is not made up for."""
        return await self._say_to(name, ScheduleResumed(schedule=name))

    async def trigger_schedule(self, name: str, *, id: str | None = None) -> str:
        """Have a schedule fire once now, beside its due times; the same `id` twice is one firing."""
        return await self._say_to(name, ScheduleTriggered(schedule=name), id=id)

    async def _say_to(self, name: str, said: Event, *, id: str | None = None) -> str:
        schedules = self.engine.parts.schedules
        if schedules is None:
            raise Missing(f"the schedule {name!r}", "this app declares none: app.schedule(...)")
        return await self.engine.send(said, id=id, tenant=schedules.require(name).tenant)

    async def timers(self, *, tenant: str | None = None, limit: int = 50) -> Sequence[Timer]:
        """Return what waits for its time, the soonest first."""
        return await self.engine.parts.store.timers(tenant=tenant, limit=limit)
