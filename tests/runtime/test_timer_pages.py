"""Many timers: fetched in pages as they become due, bounded in memory, right while the store is asked (C9, C11)."""

import asyncio
from datetime import UTC, datetime

from penstock import App, Event
from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Envelope
from penstock.core.timing.timers import FIRST, Timer, TimerWrite, named_timer_id, when
from penstock.runtime.engine import Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.timer_queue import HELD_MAX, LOW, PAGE, TimerQueue
from penstock.runtime.topology import Topology
from penstock.testing.apps import Disk, app
from penstock.testing.virtual_time import VirtualClock, run_virtually


class Reminded(Event, key="who"):
    who: str
    at_s: float = 0


class SlowStore(MemoryStore):
    """Takes a second to answer what is due, with what was so when it was asked."""

    async def timers_due(self, clock, *, after, limit, partitions=None):
        page = await super().timers_due(clock, after=after, limit=limit, partitions=partitions)
        await asyncio.sleep(1)
        return page


def waiting(number: int, due_ms: int) -> Timer:
    body = b'{"who":"%d","at_s":0}' % number
    event = Envelope(f"e{number}", "/test", "Reminded.v1", str(number), 0, body, correlation_id=f"e{number}")
    return Timer(f"e{number}", 0, "wall", due_ms, 0, "reminded", event)


def reminding(seen: list[tuple[str, float]]) -> App:
    """Return an app that notes when it is reminded."""
    reminders = App("reminders", events=[Reminded])

    @reminders.agent
    async def note(reminded: Reminded) -> None:
        seen.append((reminded.who, round(asyncio.get_running_loop().time(), 3)))

    return reminders


def test_many_timers_are_fetched_in_pages_as_they_become_due():
    seen: list[tuple[str, float]] = []
    disk = Disk()
    total = 3 * PAGE
    start_ms = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)

    async def life() -> None:
        store = MemoryStore(disk.memory)
        timers = [waiting(number, start_ms + 1000 * (number + 1)) for number in range(total)]
        await store.commit(await store.claim("w"), 1, Writes(timers=[TimerWrite(each.id, each) for each in timers]))
        async with app(reminding(seen), disk=disk) as live:
            queue = live.engine.services.timers._queues["wall"]
            await asyncio.sleep(0.5)
            assert len(queue.timers) == PAGE
            await live.send(Reminded(who="between"), at=datetime.fromtimestamp(start_ms / 1000 + 10.5, UTC))
            await live.send(Reminded(who="far"), at=datetime.fromtimestamp(start_ms / 1000 + total - 0.5, UTC))
            assert len(queue.timers) == PAGE + 1
            await asyncio.sleep(PAGE)
            assert len(queue.timers) <= PAGE + LOW
            await asyncio.sleep(total)
            await live.settled()

    run_virtually(life())
    assert [who for who, _ in seen if who.isdigit()] == [str(number) for number in range(total)]
    assert ("between", 10.5) in seen
    assert ("far", total - 0.5) in seen
    assert len(seen) == total + 2


def test_what_changes_while_the_store_is_asked_counts_more_than_its_answer():
    seen: list[str] = []

    async def note(reminded: Reminded) -> None:
        seen.append(reminded.who)

    async def life() -> None:
        start_ms = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
        store = SlowStore()
        timers = [waiting(number, start_ms + 10_000 + number) for number in range(2 * PAGE)]
        await store.commit(await store.claim("w"), 1, Writes(timers=[TimerWrite(each.id, each) for each in timers]))
        topology = Topology({"note": declare(note, "note", Options())}, [Reminded])
        parts = Parts("reminders", topology, store, VirtualClock(), Models(_no_model, Prompts(None)))
        async with running(parts, owner="w") as engine:
            await asyncio.sleep(1.1)  # the other clock's page comes first
            await engine.cancel_timer("e3", "default")
            await engine.send(Reminded(who="new"), when=when(None, datetime.fromtimestamp(start_ms / 1000 + 10, UTC)))
            assert await engine.send(Reminded(who="e7"), id="e7") == "e7"
            assert await engine.send(Reminded(who="late"), id=f"e{2 * PAGE - 1}") == f"e{2 * PAGE - 1}"
            assert engine.services.committer.idle  # all of it is durable before the answer comes
            await asyncio.sleep(20)
            assert await engine.settled(5)

    run_virtually(life())
    assert sorted(seen, key=str.isdigit) == ["new", *(str(number) for number in range(2 * PAGE) if number != 3)]


def _no_model(name: str):
    raise AssertionError(name)


def test_memory_is_bounded_while_timers_are_set():
    queue = TimerQueue("wall", lambda: 0)
    queue.extend([], PAGE)
    for number in range(3 * HELD_MAX):
        queue.put(waiting(number, 1000 + (number * 7919) % 5000))
        assert len(queue.timers) <= HELD_MAX
    assert not queue.is_whole
    assert queue.after[0] == queue.covers_ms
    assert all(each.due_ms < queue.covers_ms for each in queue.timers.values())


def test_a_timer_that_moves_often_does_not_fill_the_heap():
    queue = TimerQueue("wall", lambda: 0)
    queue.extend([], PAGE)
    for number in range(10_000):
        queue.put(waiting(1, number))
    assert len(queue._heap) <= 2 + 2 * LOW
    assert queue.next_due_ms() == 9_999


def test_names_are_kept_apart():
    ids = {named_timer_id(*names) for names in [("t", "a", "k", "n"), ("t", "ak", "", "n"), ("t", "a", "kn", "")]}
    assert len(ids) == 3
    assert FIRST < (0, "")
